//! Options of embedding texts or images.

use wasm_bindgen::JsValue;
use web_sys::AbortSignal;

use super::Options;
use crate::error::Result;
use crate::tasks::{EmbedOptions, Precision};

/// The `EmbedOptions` of the TypeScript types, and the `signal`.
pub(in crate::bindings) fn embed_options(
    value: &JsValue,
) -> Result<(EmbedOptions, Option<AbortSignal>)> {
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
