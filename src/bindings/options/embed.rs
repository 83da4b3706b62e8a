//! Options of embedding texts or images, of hidden states and of likelihoods.

use wasm_bindgen::JsValue;
use web_sys::AbortSignal;

use super::Options;
use crate::error::{Error, Result};
use crate::tasks::{EmbedOptions, HiddenStatesOptions, LikelihoodOptions, Pooling, Precision};

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
            dimensions: options.whole("dimensions", 1)?,
            precision,
            prompt: options.string("prompt")?,
        },
        options.typed("signal", "an AbortSignal")?,
    ))
}

/// The `HiddenStatesOptions` of the TypeScript types, and the `signal`.
pub(in crate::bindings) fn hidden_states_options(
    value: &JsValue,
) -> Result<(HiddenStatesOptions, Option<AbortSignal>)> {
    let options = Options::new(value)?;
    let pooling = match options.string("pool")?.as_deref() {
        None | Some("mean") => Some(Pooling::Mean),
        Some("cls") => Some(Pooling::Cls),
        Some("last") => Some(Pooling::LastToken),
        Some("none") => None,
        Some(other) => {
            return Err(Error::invalid_input(format!(
                "pool is '{other}', expected 'mean', 'cls', 'last' or 'none'"
            )));
        }
    };
    let layer = options.whole("layer", 0)?;
    let signal = options.typed("signal", "an AbortSignal")?;
    Ok((HiddenStatesOptions { layer, pooling }, signal))
}

/// The `LikelihoodOptions` of the TypeScript types, and the `signal`.
pub(in crate::bindings) fn likelihood_options(
    value: &JsValue,
) -> Result<(LikelihoodOptions, Option<AbortSignal>)> {
    let options = Options::new(value)?;
    let max_tokens = options.whole("maxTokens", 1)?;
    let signal = options.typed("signal", "an AbortSignal")?;
    Ok((LikelihoodOptions { max_tokens }, signal))
}
