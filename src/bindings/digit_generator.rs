//! `DigitGeneratorHandle` and `DigitClassifierHandle`, on which the npm package builds its `DigitGenerator` and `DigitClassifier`.

use std::rc::Rc;

use js_sys::{Float32Array, Float64Array, Function, Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::caller::{for_caller, promise};
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::options::{digit_options, signal_option};
use super::source::load_model;
use crate::device::Backend;
use crate::error::Result;
use crate::tasks::{DigitClassifier, DigitGenerator, Interpolation, Latent};

/// The name of the model in messages and progress events. It is no repository: the files come with the call.
const MODEL: &str = "digits";

/// Numbers that describe an [`Interpolation`]: digit, seed and index of both latents, and `t`.
const NUMBERS: usize = 7;

/// A loaded generator. Calls may overlap: they share the model and do not change it.
#[wasm_bindgen]
pub struct DigitGeneratorHandle {
    generator: Rc<DigitGenerator>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl DigitGeneratorHandle {
    /// Loads the generator. `options` are `LoadOptions` with the weights in `files`.
    ///
    /// *Errors*: a `PilotlightError`, with the codes that the types list.
    pub async fn load(options: JsValue) -> Result<DigitGeneratorHandle, JsValue> {
        let model = MODEL.into();
        let load = load_model(&model, &options, async |source, _, device| {
            DigitGenerator::load(source, device).await
        });
        let (generator, backend) = load.await.map_err(to_js)?;
        Ok(Self { generator, backend })
    }

    /// Draws digits on this thread, yielding to the event loop between layers, and returns a `Uint8Array` of 784 grey values for each.
    ///
    /// `requests` has seven numbers for each digit: digit, seed and index of the first latent, the same of the second, and `t` from 0
    /// to 1, the position between the two. All but `t` are integers in range, which the package checks.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    pub fn generate(&self, requests: Float64Array, options: JsValue) -> Promise {
        let (generator, backend) = (self.generator.clone(), self.backend.clone());
        promise(async move {
            let generate = async {
                let (options, signal, listener) = digit_options(&options)?;
                let scheduler = EventLoopScheduler::new(signal);
                let requests = to_interpolations(&requests.to_vec());
                let mut on_step = listener.map(|listener| {
                    move |step: usize, steps: usize, digits: &[u8]| {
                        report(&listener, step, steps, digits)
                    }
                });
                let on_step = on_step.as_mut().map(|on_step| on_step as _);
                let digits = generator
                    .generate(&requests, &options, on_step, &scheduler)
                    .await?;
                backend.check().map(|()| digits)
            };
            let digits = for_caller(&options, generate).await.map_err(to_js)?;
            Ok(Uint8Array::from(digits.as_slice()).into())
        })
    }
}

fn to_interpolations(numbers: &[f64]) -> Vec<Interpolation> {
    let requests = numbers.as_chunks::<NUMBERS>().0.iter();
    let latent = |digit: f64, seed: f64, index: f64| Latent {
        digit: digit as u8,
        seed: seed as u64,
        index: index as u64,
    };
    let interpolation = |[a, b, c, d, e, f, t]: &[f64; NUMBERS]| Interpolation {
        from: latent(*a, *b, *c),
        to: latent(*d, *e, *f),
        t: *t as f32,
    };
    requests.map(interpolation).collect()
}

fn report(listener: &Function, step: usize, steps: usize, digits: &[u8]) {
    let digits = Uint8Array::from(digits);
    let (step, steps) = ((step as f64).into(), (steps as f64).into());
    // An error in the listener does not fail the call.
    let _ = listener.call3(&JsValue::NULL, &step, &steps, &digits);
}

/// A loaded digit classifier. Calls may overlap: they share the model and do not change it.
#[wasm_bindgen]
pub struct DigitClassifierHandle {
    classifier: Rc<DigitClassifier>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl DigitClassifierHandle {
    /// Loads the classifier. `options` are `LoadOptions` with the weights in `files`.
    ///
    /// *Errors*: a `PilotlightError`, with the codes that the types list.
    pub async fn load(options: JsValue) -> Result<DigitClassifierHandle, JsValue> {
        let model = MODEL.into();
        let load = load_model(&model, &options, async |source, _, device| {
            DigitClassifier::load(source, device).await
        });
        let (classifier, backend) = load.await.map_err(to_js)?;
        Ok(Self {
            classifier,
            backend,
        })
    }

    /// Classifies digits of 784 grey values each, and returns ten probabilities for each as a `Float32Array`.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    pub fn read(&self, digits: Uint8Array, options: JsValue) -> Promise {
        let (classifier, backend) = (self.classifier.clone(), self.backend.clone());
        promise(async move {
            let read = async {
                let scheduler = EventLoopScheduler::new(signal_option(&options)?);
                let probabilities = classifier.read(&digits.to_vec(), &scheduler).await?;
                backend.check().map(|()| probabilities)
            };
            let probabilities = for_caller(&options, read).await.map_err(to_js)?;
            Ok(Float32Array::from(probabilities.as_slice()).into())
        })
    }
}
