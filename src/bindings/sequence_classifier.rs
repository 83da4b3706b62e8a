//! `SequenceClassifierHandle`, on which the npm package builds its `SequenceClassifier`.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Float64Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::caller::{for_caller, promise};
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::options::{signal_option, texts};
use super::source::load_model;
use crate::device::Backend;
use crate::interop::object;
use crate::tasks::{Classification, PairScore, SequenceClassifier};

/// A loaded classifier of whole texts. Calls may overlap: they share the model and do not change it.
#[wasm_bindgen]
pub struct SequenceClassifierHandle {
    classifier: Rc<SequenceClassifier>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl SequenceClassifierHandle {
    /// Loads a model. `options` are the `LoadOptions` of the TypeScript types, with `device` resolved.
    ///
    /// *Errors*: a `PilotlightError`, with the codes that the types list.
    pub async fn load(
        model: JsValue,
        options: JsValue,
    ) -> Result<SequenceClassifierHandle, JsValue> {
        let load = load_model(&model, &options, async |source, dtype, device| {
            SequenceClassifier::load(source, dtype, device).await
        });
        let (classifier, backend) = load.await.map_err(to_js)?;
        Ok(Self {
            classifier,
            backend,
        })
    }

    /// Classifies texts on this thread, yielding to the event loop between layers. The result has
    /// `{ logits, probabilities, tokens, truncated }` for each text.
    ///
    /// *Errors*: `INVALID_INPUT`, `INVALID_WEIGHTS`, `ABORTED`.
    pub fn classify(&self, values: JsValue, options: JsValue) -> js_sys::Promise {
        // The future shares ownership of the model, so that `free` during a call is harmless.
        let (classifier, backend) = (self.classifier.clone(), self.backend.clone());
        promise(async move {
            let classify = async {
                let scheduler = EventLoopScheduler::new(signal_option(&options)?);
                let texts = texts("texts", &values)?;
                let results = classifier.classify(&texts, &scheduler).await?;
                backend.check().map(|()| results)
            };
            for_caller(&options, classify)
                .await
                .map(|results| results.iter().map(to_object).collect::<Array>().into())
                .map_err(to_js)
        })
    }

    /// Scores a text with each of others, as `classify` classifies texts. The result has `{ logit, score, tokens, truncated }` for each.
    ///
    /// *Errors*: `INVALID_INPUT`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL` for a model of several labels, `ABORTED`.
    #[wasm_bindgen(js_name = scorePairs)]
    pub fn score_pairs(
        &self,
        first: String,
        seconds: JsValue,
        options: JsValue,
    ) -> js_sys::Promise {
        let (classifier, backend) = (self.classifier.clone(), self.backend.clone());
        promise(async move {
            let score = async {
                let scheduler = EventLoopScheduler::new(signal_option(&options)?);
                let seconds = texts("documents", &seconds)?;
                let scores = classifier.score_pairs(&first, &seconds, &scheduler).await?;
                backend.check().map(|()| scores)
            };
            for_caller(&options, score)
                .await
                .map(|scores| scores.iter().map(pair_to_object).collect::<Array>().into())
                .map_err(to_js)
        })
    }

    /// The commit of the model's files, or its stand-in if they come from no commit.
    #[wasm_bindgen(getter)]
    pub fn commit(&self) -> String {
        self.classifier.commit().into()
    }

    /// The names of the labels, in the order of the probabilities.
    #[wasm_bindgen(getter)]
    pub fn labels(&self) -> Vec<String> {
        self.classifier.labels().to_vec()
    }

    /// The longest text in tokens; longer ones are truncated.
    #[wasm_bindgen(getter, js_name = maxTokens)]
    pub fn max_tokens(&self) -> usize {
        self.classifier.max_tokens()
    }
}

fn to_object(result: &Classification) -> JsValue {
    let probabilities = Float64Array::from(result.probabilities.as_slice());
    let logits = Float32Array::from(result.logits.as_slice());
    object([
        ("logits", logits.into()),
        ("probabilities", probabilities.into()),
        ("tokens", JsValue::from(result.tokens as f64)),
        ("truncated", result.truncated.into()),
    ])
}

fn pair_to_object(result: &PairScore) -> JsValue {
    object([
        ("score", JsValue::from(result.score)),
        ("logit", JsValue::from(f64::from(result.logit))),
        ("tokens", JsValue::from(result.tokens as f64)),
        ("truncated", result.truncated.into()),
    ])
}
