//! The options of calls, read from plain JavaScript objects. Each class has a file.

mod digits;
mod embed;
mod fit;
mod index;
mod load;
mod store;

use std::time::Duration;

use js_sys::{Array, Object};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::AbortSignal;

pub(super) use self::digits::digit_options;
pub(super) use self::embed::{embed_options, hidden_states_options, likelihood_options};
pub(super) use self::fit::{FitRequest, floats};
pub(super) use self::index::{SearchRequest, index_options};
pub(super) use self::load::LoadOptions;
pub(super) use self::store::{StoreOption, StoreOptions};
use crate::error::{Error, Result};
use crate::interop::get;

/// The `signal` of a call's options.
///
/// *Errors*: `InvalidInput` if it is none.
pub(super) fn signal(options: &JsValue) -> Result<Option<AbortSignal>> {
    Options::new(options)?.typed("signal", "an AbortSignal")
}

/// The options object of a call, which may be absent.
pub(super) struct Options(Option<Object>);

impl Options {
    /// Wraps the argument of a call.
    ///
    /// *Errors*: `InvalidInput` if it is neither an object nor absent.
    pub fn new(value: &JsValue) -> Result<Self> {
        if value.is_undefined() || value.is_null() {
            return Ok(Self(None));
        }
        // `instanceof Object` would refuse objects of another realm and those without a prototype.
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

    /// Reads a non-negative integer. The error names `least` as the lower bound, but the task that takes the integer checks its range.
    fn whole(&self, name: &str, least: u32) -> Result<Option<usize>> {
        let convert = |value: JsValue| {
            let number = value
                .as_f64()
                .filter(|number| number.trunc() == *number && (0.0..=1e9).contains(number));
            let wrong = || {
                Error::invalid_input(format!(
                    "{name} is {}, expected a whole number from {least}",
                    shown(&value)
                ))
            };
            number.map(|number| number as usize).ok_or_else(wrong)
        };
        self.get(name).map(convert).transpose()
    }

    /// Any number, including NaN. The task that takes it checks its range.
    fn number(&self, name: &str) -> Result<Option<f64>> {
        let convert = |value: JsValue| {
            let wrong =
                || Error::invalid_input(format!("{name} is {}, expected a number", kind(&value)));
            value.as_f64().ok_or_else(wrong)
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

/// The `signal` of a call that has no other option.
pub(super) fn signal_option(value: &JsValue) -> Result<Option<AbortSignal>> {
    Options::new(value)?.typed("signal", "an AbortSignal")
}

/// The strings of an array that messages call `name`.
///
/// *Errors*: `InvalidInput` naming the entry that is not a string.
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

/// One text or an array of texts, which messages call `name`. A lone surrogate becomes U+FFFD, as in any UTF-8 encoder.
///
/// *Errors*: `InvalidInput`.
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

/// The type of a value, for messages. They never show the content, which may be private.
pub(super) fn kind(value: &JsValue) -> String {
    if value.is_null() {
        return "null".into();
    }
    if Array::is_array(value) {
        return "an array".into();
    }
    value.js_typeof().as_string().unwrap_or_default()
}

/// A number itself, or the type of any other value.
fn shown(value: &JsValue) -> String {
    value
        .as_f64()
        .map_or_else(|| kind(value), |number| number.to_string())
}
