//! Options of the calls, read from plain JavaScript objects.

use std::time::Duration;

use js_sys::{Array, Function, Object};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::AbortSignal;

use crate::error::{Error, Result};
use crate::index::{IndexOptions, IndexPrecision};
use crate::interop::get;
use crate::tasks::{EmbedOptions, GenerateOptions, Precision, STALL, Tower};
use crate::weights::Dtype;

/// An options object, or nothing.
pub(super) struct Options(Option<Object>);

impl Options {
    /// *Errors*: `InvalidInput` where it is something else than an object.
    pub fn new(value: &JsValue) -> Result<Self> {
        if value.is_undefined() || value.is_null() {
            return Ok(Self(None));
        }
        // Not by its class: an object of another realm, or of no prototype, is one too.
        if value.is_object() {
            return Ok(Self(Some(value.clone().unchecked_into())));
        }
        Err(Error::invalid_input(format!(
            "options is {}, expected an object",
            kind(value)
        )))
    }

    fn get(&self, name: &str) -> Option<JsValue> {
        get(self.0.as_ref()?, name)
    }

    fn typed<T: JsCast>(&self, name: &str, expected: &str) -> Result<Option<T>> {
        let convert = |value: JsValue| {
            value.dyn_into().map_err(|value| {
                Error::invalid_input(format!("{name} is {}, expected {expected}", kind(&value)))
            })
        };
        self.get(name).map(convert).transpose()
    }

    fn string(&self, name: &str) -> Result<Option<String>> {
        let convert = |value: JsValue| {
            let wrong =
                || Error::invalid_input(format!("{name} is {}, expected a string", kind(&value)));
            value.as_string().ok_or_else(wrong)
        };
        self.get(name).map(convert).transpose()
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>> {
        let convert = |value: JsValue| {
            let wrong =
                || Error::invalid_input(format!("{name} is {}, expected a boolean", kind(&value)));
            value.as_bool().ok_or_else(wrong)
        };
        self.get(name).map(convert).transpose()
    }

    /// A whole number that is not negative; its range is the task's to check.
    fn whole(&self, name: &str) -> Result<Option<usize>> {
        let convert = |value: JsValue| {
            // NaN is not equal to its rounding.
            let number = value
                .as_f64()
                .filter(|number| number.trunc() == *number && (0.0..=1e9).contains(number));
            let wrong = || {
                Error::invalid_input(format!(
                    "{name} is {}, expected a whole number from 1",
                    shown(&value)
                ))
            };
            number.map(|number| number as usize).ok_or_else(wrong)
        };
        self.get(name).map(convert).transpose()
    }

    /// Any number, NaN too; its range is the task's to check.
    fn number(&self, name: &str) -> Result<Option<f32>> {
        let convert = |value: JsValue| {
            let wrong =
                || Error::invalid_input(format!("{name} is {}, expected a number", kind(&value)));
            value.as_f64().map(|number| number as f32).ok_or_else(wrong)
        };
        self.get(name).map(convert).transpose()
    }

    fn milliseconds(&self, name: &str) -> Result<Option<Duration>> {
        let convert = |value: JsValue| {
            let number = value.as_f64().filter(|number| (1.0..=1e9).contains(number));
            let wrong = || {
                Error::invalid_input(format!(
                    "{name} is {}, expected milliseconds from 1 to 1e9",
                    shown(&value)
                ))
            };
            number
                .map(|ms| Duration::from_secs_f64(ms / 1e3))
                .ok_or_else(wrong)
        };
        self.get(name).map(convert).transpose()
    }
}

/// What calls on stored models take.
pub(super) struct StoreOptions {
    pub store: StoreOption,
    pub locks: Option<Object>,
}

impl StoreOptions {
    /// *Errors*: `InvalidInput` naming the option.
    pub fn new(value: &JsValue) -> Result<Self> {
        let options = Options::new(value)?;
        Ok(Self {
            store: StoreOption::new(&options)?,
            locks: options.typed("locks", "an object")?,
        })
    }
}

/// Where a model is kept.
pub(super) enum StoreOption {
    /// IndexedDB where there is one, else memory.
    Default,
    IndexedDb,
    Memory,
    None,
    Host(Object),
}

/// `LoadOptions` of the TypeScript types.
pub(super) struct LoadOptions {
    pub webgpu: bool,
    pub dtype: Dtype,
    pub revision: String,
    pub host: String,
    pub token: Option<String>,
    pub files: Option<Object>,
    /// How a host is asked: `Request` of `request.ts`.
    pub request: Option<Function>,
    pub store: StoreOption,
    /// Whether other models may be deleted where the store is full.
    pub evict: bool,
    /// A connection without a byte for so long is given up.
    pub stall: Duration,
    /// Whose turn it is among the tabs: see `locks.ts`.
    pub locks: Option<Object>,
    pub signal: Option<AbortSignal>,
    pub on_progress: Option<Function>,
    /// Which towers of a model that has some; empty where that was not said.
    pub towers: Vec<Tower>,
}

impl LoadOptions {
    /// *Errors*: `InvalidInput` naming the option.
    pub fn new(value: &JsValue) -> Result<Self> {
        let options = Options::new(value)?;
        let webgpu = match options.string("device")?.as_deref() {
            None | Some("cpu") => false,
            Some("webgpu") => true,
            Some(other) => {
                return Err(Error::invalid_input(format!(
                    "device is '{other}', expected 'cpu' or 'webgpu'"
                )));
            }
        };
        let dtype = match options.string("dtype")? {
            Some(name) => Dtype::from_name(&name)?,
            None if webgpu => Dtype::F32,
            None => Dtype::Q8,
        };
        Ok(Self {
            webgpu,
            dtype,
            revision: options.string("revision")?.unwrap_or_else(|| "main".into()),
            host: options
                .string("host")?
                .unwrap_or_else(|| "https://huggingface.co".into()),
            token: token(&options)?,
            files: options.typed("files", "an object of files by name")?,
            request: options.typed("request", "a function")?,
            store: StoreOption::new(&options)?,
            evict: options.boolean("evict")?.unwrap_or(false),
            stall: options.milliseconds("timeout")?.unwrap_or(STALL),
            locks: options.typed("locks", "an object")?,
            signal: options.typed("signal", "an AbortSignal")?,
            on_progress: options.typed("onProgress", "a function")?,
            towers: towers(&options)?,
        })
    }
}

fn towers(options: &Options) -> Result<Vec<Tower>> {
    let Some(list) = options.typed::<Array>("towers", "an array of 'text' and 'image'")? else {
        return Ok(Vec::new());
    };
    if list.length() == 0 {
        return Err(Error::invalid_input(
            "towers is empty, expected 'text', 'image' or both",
        ));
    }
    let mut towers = Vec::new();
    for name in list.iter() {
        let tower = Tower::from_name(&name.as_string().unwrap_or_else(|| kind(&name)))?;
        if !towers.contains(&tower) {
            towers.push(tower);
        }
    }
    Ok(towers)
}

/// What can stand in a header; a message never has the token itself.
fn token(options: &Options) -> Result<Option<String>> {
    let token = options.string("token")?;
    match &token {
        Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Error::invalid_input(
                "token has characters that no token has, expected printable ASCII",
            ))
        }
        _ => Ok(token),
    }
}

impl StoreOption {
    fn new(options: &Options) -> Result<Self> {
        let Some(value) = options.get("store") else {
            return Ok(Self::Default);
        };
        match (value.as_string().as_deref(), value.as_bool()) {
            (Some("indexeddb"), _) => Ok(Self::IndexedDb),
            (Some("memory"), _) => Ok(Self::Memory),
            (_, Some(false)) => Ok(Self::None),
            _ if value.is_object() => Ok(Self::Host(value.unchecked_into())),
            _ => {
                let found = value
                    .as_string()
                    .map_or_else(|| kind(&value), |text| format!("'{text}'"));
                Err(Error::invalid_input(format!(
                    "store is {found}, expected 'indexeddb', 'memory', false or a Store"
                )))
            }
        }
    }
}

/// `EmbedOptions` of the TypeScript types, and the signal.
pub(super) fn embed_options(value: &JsValue) -> Result<(EmbedOptions, Option<AbortSignal>)> {
    let options = Options::new(value)?;
    let precision = match options.string("precision")? {
        Some(name) => Precision::from_name(&name)?,
        None => Precision::Float32,
    };
    Ok((
        EmbedOptions {
            dimensions: options.whole("dimensions")?,
            precision,
        },
        options.typed("signal", "an AbortSignal")?,
    ))
}

/// What `DigitGenerator` hands on: how to draw, the signal, and who is shown each step.
pub(super) fn draw_options(
    value: &JsValue,
) -> Result<(GenerateOptions, Option<AbortSignal>, Option<Function>)> {
    let options = Options::new(value)?;
    let usual = GenerateOptions::default();
    let draw = GenerateOptions {
        steps: options.whole("steps")?.unwrap_or(usual.steps),
        guidance: options.number("guidance")?.unwrap_or(usual.guidance),
    };
    let signal = options.typed("signal", "an AbortSignal")?;
    Ok((draw, signal, options.typed("onStep", "a function")?))
}

/// What is handed on where a call has no other option: the signal.
pub(super) fn signal_option(value: &JsValue) -> Result<Option<AbortSignal>> {
    Options::new(value)?.typed("signal", "an AbortSignal")
}

/// `VectorIndexOptions` of the TypeScript types.
pub(super) fn index_options(value: &JsValue) -> Result<IndexOptions> {
    let options = Options::new(value)?;
    let dimensions = options.whole("dimensions")?;
    let precision = options.string("precision")?;
    Ok(IndexOptions {
        dimensions: dimensions.ok_or_else(|| {
            Error::invalid_input("dimensions is missing, expected the number of a vector's values")
        })?,
        precision: precision
            .as_deref()
            .map_or(Ok(IndexPrecision::default()), IndexPrecision::from_name)?,
        prefilter: options.boolean("prefilter")?.unwrap_or(false),
        source: options.string("source")?,
    })
}

/// What `VectorIndex.search` of the package hands on: one of the filters, and how to search.
pub(super) struct FindOptions {
    /// Called with an id.
    pub filter: Option<Function>,
    pub tags: Option<Vec<String>>,
    pub any: bool,
    pub exact: bool,
    pub candidates: Option<usize>,
}

impl FindOptions {
    /// *Errors*: `InvalidInput` naming the option.
    pub fn new(value: &JsValue) -> Result<Self> {
        let options = Options::new(value)?;
        let tags = options.typed::<Array>("tags", "an array of strings")?;
        Ok(Self {
            filter: options.typed("filter", "a function")?,
            tags: tags.map(|tags| strings("tags", &tags)).transpose()?,
            any: options.boolean("any")?.unwrap_or(false),
            exact: options.boolean("exact")?.unwrap_or(false),
            candidates: options.whole("candidates")?,
        })
    }
}

/// A list of strings.
pub(super) fn strings(name: &str, list: &Array) -> Result<Vec<String>> {
    let text = |(index, value): (usize, JsValue)| {
        let wrong = || {
            Error::invalid_input(format!(
                "{name}[{index}] is {}, expected a string",
                kind(&value)
            ))
        };
        value.as_string().ok_or_else(wrong)
    };
    list.iter().enumerate().map(text).collect()
}

/// A text, or a list of texts, that messages call `name`. A lone surrogate becomes U+FFFD, as in any UTF-8 encoder.
pub(super) fn texts(name: &str, value: &JsValue) -> Result<Vec<String>> {
    if let Some(text) = value.as_string() {
        return Ok(vec![text]);
    }
    let Some(list) = value.dyn_ref::<Array>() else {
        return Err(Error::invalid_input(format!(
            "{name} is {}, expected a string or an array of strings",
            kind(value)
        )));
    };
    strings(name, list)
}

/// What a value is, for messages: never its content, which may be private.
pub(super) fn kind(value: &JsValue) -> String {
    if value.is_null() {
        return "null".into();
    }
    if Array::is_array(value) {
        return "an array".into();
    }
    value.js_typeof().as_string().unwrap_or_default()
}

fn shown(value: &JsValue) -> String {
    value
        .as_f64()
        .map_or_else(|| kind(value), |number| number.to_string())
}
