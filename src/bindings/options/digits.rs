//! Options of generating digits.

use js_sys::Function;
use wasm_bindgen::JsValue;
use web_sys::AbortSignal;

use super::Options;
use crate::error::Result;
use crate::tasks::GenerateOptions;

/// The options of `DigitGenerator.generate`, its `signal`, and its listener `onStep`.
pub(in crate::bindings) fn digit_options(
    value: &JsValue,
) -> Result<(GenerateOptions, Option<AbortSignal>, Option<Function>)> {
    let options = Options::new(value)?;
    let defaults = GenerateOptions::default();
    let generate = GenerateOptions {
        steps: options.whole("steps", 1)?.unwrap_or(defaults.steps),
        guidance: options
            .number("guidance")?
            .map_or(defaults.guidance, |guidance| guidance as f32),
    };
    let signal = options.typed("signal", "an AbortSignal")?;
    Ok((generate, signal, options.typed("onStep", "a function")?))
}
