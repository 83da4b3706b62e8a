//! Options of loading a model.

use std::time::Duration;

use js_sys::{Array, Function, Object};
use wasm_bindgen::JsValue;
use web_sys::AbortSignal;

use super::{Options, StoreOption, kind};
use crate::error::{Error, Result};
use crate::tasks::{STALL, Tower, Weights};
use crate::weights::Dtype;

/// The `LoadOptions` of the TypeScript types, with the fields that the package adds.
pub(in crate::bindings) struct LoadOptions {
    pub webgpu: bool,
    pub dtype: Dtype,
    pub revision: String,
    pub host: String,
    pub token: Option<String>,
    pub files: Option<Object>,
    /// The function that sends requests: `Request` of `request.ts`.
    pub request: Option<Function>,
    pub store: StoreOption,
    /// Whether other models may be deleted when the store is full.
    pub evict: bool,
    /// The longest time without a byte before a connection is given up.
    pub stall: Duration,
    /// Locks that tabs share: see `locks.ts`.
    pub locks: Option<Object>,
    pub signal: Option<AbortSignal>,
    pub on_progress: Option<Function>,
    /// The function that receives the times of the model on a GPU and on the CPU, where it is to be on a GPU only if it is faster there.
    #[cfg(feature = "webgpu")]
    pub on_timed: Option<Function>,
    /// The towers to load; empty if the option is absent.
    pub towers: Vec<Tower>,
    /// Whether the model is a classifier of whole texts, of which the store has a part of its own.
    pub is_classifier: bool,
    /// Whether a classifier is to order documents.
    pub is_reranker: bool,
    /// The number of layers to load; all if the option is absent.
    pub layers: Option<usize>,
    /// The file that the weights are read from.
    pub weights: Weights,
    /// Whether the loader may choose a file whose weights were rounded to 8 bits.
    pub lossy: bool,
    /// Whether the rows of a decoder's embedding table stay in the store.
    pub embeddings_in_store: bool,
}

impl LoadOptions {
    /// Reads the options.
    ///
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
            #[cfg(feature = "webgpu")]
            on_timed: options.typed("onTimed", "a function")?,
            towers: towers(&options)?,
            is_classifier: options.boolean("isClassifier")?.unwrap_or(false),
            is_reranker: options.boolean("isReranker")?.unwrap_or(false),
            layers: options.whole("layers", 1)?,
            weights: match options.string("weights")? {
                Some(name) => Weights::from_name(&name)?,
                None => Weights::Auto,
            },
            lossy: options.boolean("lossy")?.unwrap_or(false),
            embeddings_in_store: match options.string("embeddings")?.as_deref() {
                None | Some("memory") => false,
                Some("store") => true,
                Some(other) => {
                    return Err(Error::invalid_input(format!(
                        "embeddings is '{other}', expected 'memory' or 'store'"
                    )));
                }
            },
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

/// The access token, checked for characters that a header cannot hold. Messages never contain it.
fn token(options: &Options) -> Result<Option<String>> {
    let token = options.string("token")?;
    match &token {
        Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Error::invalid_input(
                "token has characters that no token can have, expected printable ASCII",
            ))
        }
        _ => Ok(token),
    }
}
