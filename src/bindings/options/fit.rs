//! Options of fitting a head.

use js_sys::{Float32Array, Function, Uint8Array, Uint32Array};
use wasm_bindgen::JsValue;
use web_sys::AbortSignal;

use super::Options;
use crate::error::{Error, Result};
use crate::heads::examples::{Examples, TrainingSet};
use crate::heads::fitting::{FitOptions, HeadKind};
use crate::memory::{out_of_memory, try_zeros};

/// The examples and the options of a fit, as the package passes them on.
pub(in crate::bindings) struct FitRequest {
    pub training: TrainingSet,
    pub options: FitOptions,
    pub signal: Option<AbortSignal>,
    pub on_progress: Option<Function>,
}

impl FitRequest {
    /// Reads the options, among which are the examples.
    ///
    /// *Errors*: `InvalidInput` naming the option, `ResourceLimit`.
    pub fn new(value: &JsValue) -> Result<Self> {
        let options = Options::new(value)?;
        let missing = |name: &str| Error::invalid_input(format!("{name} is missing"));
        let vectors: Float32Array = options
            .typed("vectors", "a Float32Array")?
            .ok_or_else(|| missing("vectors"))?;
        let classes: Uint32Array = options
            .typed("classes", "a Uint32Array")?
            .ok_or_else(|| missing("classes"))?;
        let labels: Option<Uint8Array> = options.typed("labelTexts", "a Uint8Array")?;
        let defaults = FitOptions::default();
        let examples = Examples {
            dimensions: options
                .whole("dimensions", 1)?
                .ok_or_else(|| missing("dimensions"))?,
            vectors: floats(&vectors)?,
            classes: classes.to_vec(),
        };
        let class_count = options
            .whole("classCount", 1)?
            .ok_or_else(|| missing("classCount"))?;
        let is_label_text = labels.map_or_else(Vec::new, |labels| {
            labels.to_vec().iter().map(|one| *one != 0).collect()
        });
        let is_normalized = options.boolean("normalize")?.unwrap_or(true);
        Ok(Self {
            training: match is_normalized {
                true => TrainingSet::new(examples, class_count, is_label_text)?,
                false => TrainingSet::raw(examples, class_count)?,
            },
            options: FitOptions {
                head: options
                    .string("head")?
                    .as_deref()
                    .map_or(Ok(defaults.head), HeadKind::from_name)?,
                c: positive(&options, "C")?,
                gamma: positive(&options, "gamma")?,
                k: options.whole("k", 1)?.unwrap_or(defaults.k),
                tolerance: positive(&options, "tolerance")?,
                seed: options.whole("seed", 0)?.unwrap_or_default() as u64,
            },
            signal: options.typed("signal", "an AbortSignal")?,
            on_progress: options.typed("onProgress", "a function")?,
        })
    }
}

fn positive(options: &Options, name: &str) -> Result<Option<f64>> {
    match options.number(name)? {
        Some(value) if !(value > 0.0 && value.is_finite()) => Err(Error::invalid_input(format!(
            "{name} is {value}, expected a number above 0"
        ))),
        value => Ok(value),
    }
}

/// Copies an array.
///
/// *Errors*: `ResourceLimit`.
pub(in crate::bindings) fn floats(array: &Float32Array) -> Result<Vec<f32>> {
    let mut values = try_zeros(array.length() as usize).map_err(|error| {
        out_of_memory(
            format!("{} values do not fit in memory", array.length()),
            error,
        )
    })?;
    array.copy_to(&mut values);
    Ok(values)
}
