//! `DigitGeneratorHandle` and `DigitClassifierHandle`: what `DigitGenerator` and `DigitClassifier` of the npm package call.

use std::rc::Rc;

use js_sys::{Float32Array, Float64Array, Function, Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::caller::for_caller;
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::options::{draw_options, signal_option};
use super::source::load_model;
use crate::device::Backend;
use crate::error::Result;
use crate::tasks::{DigitClassifier, DigitGenerator, Interpolation, Latent};

/// The name by which messages and progress would call it; its files come with the call.
const MODEL: &str = "digits";

/// Numbers that make a sketch: digit, seed and index of both starts, and the t.
const NUMBERS: usize = 7;

/// A loaded generator. Calls may overlap; each borrows the model only.
#[wasm_bindgen]
pub struct DigitGeneratorHandle {
    generator: Rc<DigitGenerator>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl DigitGeneratorHandle {
    /// Loads the generator; `options` are `LoadOptions` with the weights in `files`.
    ///
    /// *Errors*: an `Error` with `code`, see the types.
    pub async fn load(options: JsValue) -> Result<DigitGeneratorHandle, JsValue> {
        let model = MODEL.into();
        let load = load_model(&model, &options, async |source, _, device| {
            DigitGenerator::load(source, device).await
        });
        let (generator, backend) = load.await.map_err(to_js)?;
        Ok(Self { generator, backend })
    }

    /// Draws on this thread, yielding to the event loop between layers: a `Uint8Array` of 784 grey values a picture.
    ///
    /// `sketches` has seven numbers for each picture, whole and in range but for the last: digit, seed and index of where it
    /// begins, the same of where it leads, and how far it is on the way, 0 to 1.
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    pub fn generate(&self, sketches: Float64Array, options: JsValue) -> Promise {
        let (generator, backend) = (self.generator.clone(), self.backend.clone());
        wasm_bindgen_futures::future_to_promise(async move {
            let generate = async {
                let (options, signal, listener) = draw_options(&options)?;
                let scheduler = EventLoopScheduler::new(signal);
                let sketches = to_sketches(&sketches.to_vec());
                let mut on_step = listener.map(|listener| {
                    move |step: usize, steps: usize, pictures: &[u8]| {
                        report(&listener, step, steps, pictures)
                    }
                });
                let on_step = on_step.as_mut().map(|on_step| on_step as _);
                let pictures = generator
                    .generate(&sketches, &options, on_step, &scheduler)
                    .await?;
                backend.check().map(|()| pictures)
            };
            let pictures = for_caller(&options, generate).await.map_err(to_js)?;
            Ok(Uint8Array::from(pictures.as_slice()).into())
        })
    }
}

fn to_sketches(numbers: &[f64]) -> Vec<Interpolation> {
    let sketches = numbers.as_chunks::<NUMBERS>().0.iter();
    let start = |digit: f64, seed: f64, index: f64| Latent {
        digit: digit as u8,
        seed: seed as u64,
        index: index as u64,
    };
    let sketch = |[a, b, c, d, e, f, t]: &[f64; NUMBERS]| Interpolation {
        from: start(*a, *b, *c),
        to: start(*d, *e, *f),
        t: *t as f32,
    };
    sketches.map(sketch).collect()
}

fn report(listener: &Function, step: usize, steps: usize, pictures: &[u8]) {
    let pictures = Uint8Array::from(pictures);
    let (step, steps) = ((step as f64).into(), (steps as f64).into());
    // A listener that throws does not break the drawing.
    let _ = listener.call3(&JsValue::NULL, &step, &steps, &pictures);
}

/// A loaded judge. Calls may overlap; each borrows the model only.
#[wasm_bindgen]
pub struct DigitClassifierHandle {
    judge: Rc<DigitClassifier>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl DigitClassifierHandle {
    /// Loads the judge; `options` are `LoadOptions` with the weights in `files`.
    ///
    /// *Errors*: an `Error` with `code`, see the types.
    pub async fn load(options: JsValue) -> Result<DigitClassifierHandle, JsValue> {
        let model = MODEL.into();
        let load = load_model(&model, &options, async |source, _, device| {
            DigitClassifier::load(source, device).await
        });
        let (judge, backend) = load.await.map_err(to_js)?;
        Ok(Self { judge, backend })
    }

    /// Ten probabilities for each picture of 784 grey values, as a `Float32Array`.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    pub fn read(&self, pictures: Uint8Array, options: JsValue) -> Promise {
        let (judge, backend) = (self.judge.clone(), self.backend.clone());
        wasm_bindgen_futures::future_to_promise(async move {
            let read = async {
                let scheduler = EventLoopScheduler::new(signal_option(&options)?);
                let probabilities = judge.read(&pictures.to_vec(), &scheduler).await?;
                backend.check().map(|()| probabilities)
            };
            let probabilities = for_caller(&options, read).await.map_err(to_js)?;
            Ok(Float32Array::from(probabilities.as_slice()).into())
        })
    }
}
