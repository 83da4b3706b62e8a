//! `DecoderHandle`, on which the npm package builds its `Decoder`.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Promise, Uint32Array};
use pilotlight_kernels::statistics::TokenStatistics;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::caller::{for_caller, promise};
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::options::{hidden_states_options, likelihood_options, texts};
use super::source::load_model;
use super::text_embedder::embeddings_to_js;
use crate::device::Backend;
use crate::error::Result;
use crate::interop::object;
use crate::tasks::{Decoder, Likelihoods};

/// A loaded decoder. Calls may overlap: they share the model and do not change it.
#[wasm_bindgen]
pub struct DecoderHandle {
    decoder: Rc<Decoder>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl DecoderHandle {
    /// Loads a model. `options` are the `LoadOptions` of the TypeScript types, with `device` resolved.
    ///
    /// *Errors*: a `PilotlightError`, with the codes that the types list.
    pub async fn load(model: JsValue, options: JsValue) -> Result<DecoderHandle, JsValue> {
        let load = load_model(&model, &options, async |source, dtype, device| {
            Decoder::load(source, dtype, device).await
        });
        let (decoder, backend) = load.await.map_err(to_js)?;
        Ok(Self { decoder, backend })
    }

    /// Computes hidden states of texts on this thread, yielding to the event loop between layers. `options` are the `HiddenStatesOptions`
    /// of the TypeScript types. The arrays in the result are copies that the caller owns.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`.
    #[wasm_bindgen(js_name = hiddenStates)]
    pub fn hidden_states(&self, values: JsValue, options: JsValue) -> Promise {
        self.call(options, async move |decoder, options| {
            let (options, signal) = hidden_states_options(options)?;
            let scheduler = EventLoopScheduler::new(signal);
            let texts = texts("texts", &values)?;
            let states = decoder.hidden_states(&texts, &options, &scheduler).await?;
            Ok(embeddings_to_js(&states))
        })
    }

    /// Computes how likely the tokens of texts are, as `hiddenStates` computes states. `options` are the `LikelihoodOptions` of the
    /// TypeScript types; the result is an array of `Likelihoods`.
    ///
    /// *Errors*: `INVALID_INPUT`, `UNSUPPORTED_MODEL`, `RESOURCE_LIMIT`, `ABORTED`.
    pub fn likelihoods(&self, values: JsValue, options: JsValue) -> Promise {
        self.call(options, async move |decoder, options| {
            let (options, signal) = likelihood_options(options)?;
            let scheduler = EventLoopScheduler::new(signal);
            let texts = texts("texts", &values)?;
            let all = decoder.likelihoods(&texts, &options, &scheduler).await?;
            Ok(all.iter().map(likelihoods_to_js).collect::<Array>().into())
        })
    }

    /// The commit of the model's files, or its stand-in if they come from no commit.
    #[wasm_bindgen(getter)]
    pub fn commit(&self) -> String {
        self.decoder.commit().into()
    }

    /// The number of values of a hidden state.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> usize {
        self.decoder.dimensions()
    }

    /// The longest text in tokens; longer ones are truncated.
    #[wasm_bindgen(getter, js_name = maxTokens)]
    pub fn max_tokens(&self) -> usize {
        self.decoder.max_tokens()
    }

    /// The number of loaded layers.
    #[wasm_bindgen(getter)]
    pub fn layers(&self) -> usize {
        self.decoder.layers()
    }

    /// Whether the model has more layers than were loaded.
    #[wasm_bindgen(getter, js_name = isCut)]
    pub fn is_cut(&self) -> bool {
        self.decoder.is_cut()
    }
}

impl DecoderHandle {
    /// Runs `work`, and drops it if the caller disappears.
    fn call(
        &self,
        options: JsValue,
        work: impl AsyncFnOnce(&Decoder, &JsValue) -> Result<JsValue> + 'static,
    ) -> Promise {
        // The future shares ownership of the model, so that `free` during a call is harmless.
        let (decoder, backend) = (self.decoder.clone(), self.backend.clone());
        promise(async move {
            let compute = async {
                let result = work(&decoder, &options).await?;
                backend.check().map(|()| result)
            };
            for_caller(&options, compute).await.map_err(to_js)
        })
    }
}

fn likelihoods_to_js(likelihoods: &Likelihoods) -> JsValue {
    let tokens = &likelihoods.tokens;
    let floats = |of: fn(&TokenStatistics) -> f32| {
        let values: Vec<f32> = tokens.iter().map(of).collect();
        JsValue::from(Float32Array::from(values.as_slice()))
    };
    let ranks: Vec<u32> = tokens.iter().map(|token| token.rank).collect();
    object([
        (
            "starts",
            Uint32Array::from(likelihoods.starts.as_slice()).into(),
        ),
        ("logProbabilities", floats(|token| token.log_probability)),
        ("entropies", floats(|token| token.entropy)),
        ("variances", floats(|token| token.variance)),
        ("ranks", Uint32Array::from(ranks.as_slice()).into()),
        ("truncated", likelihoods.truncated.into()),
    ])
}
