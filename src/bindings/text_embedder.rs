//! `TextEmbedderHandle`, on which the npm package builds its `TextEmbedder`.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Int8Array, Uint8Array, Uint32Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::caller::{for_caller, promise};
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::options::{embed_options, hidden_states_options, texts};
use super::source::load_model;
use crate::device::Backend;
use crate::error::Result;
use crate::interop::object;
use crate::tasks::{Embeddings, TextEmbedder, Values};

/// A loaded sentence encoder. Calls may overlap: they share the model and do not change it.
#[wasm_bindgen]
pub struct TextEmbedderHandle {
    embedder: Rc<TextEmbedder>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl TextEmbedderHandle {
    /// Loads a model. `options` are the `LoadOptions` of the TypeScript types, with `device` resolved.
    ///
    /// *Errors*: a `PilotlightError`, with the codes that the types list.
    pub async fn load(model: JsValue, options: JsValue) -> Result<TextEmbedderHandle, JsValue> {
        let load = load_model(&model, &options, async |source, dtype, device| {
            TextEmbedder::load(source, dtype, device).await
        });
        let (embedder, backend) = load.await.map_err(to_js)?;
        Ok(Self { embedder, backend })
    }

    /// Embeds texts on this thread, yielding to the event loop between layers. The arrays in the result are copies that the caller owns.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    pub fn embed(&self, values: JsValue, options: JsValue) -> js_sys::Promise {
        // The future shares ownership of the model, so that `free` during a call is harmless.
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        promise(async move {
            let embed = async {
                let (options, signal) = embed_options(&options)?;
                let scheduler = EventLoopScheduler::new(signal);
                let embeddings = embedder
                    .embed(&texts("texts", &values)?, &options, &scheduler)
                    .await?;
                backend.check().map(|()| embeddings)
            };
            for_caller(&options, embed)
                .await
                .map(|embeddings| embeddings_to_js(&embeddings))
                .map_err(to_js)
        })
    }

    /// Computes hidden states of texts, as `embed` computes vectors. `options` are the `HiddenStatesOptions` of the TypeScript types.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`.
    #[wasm_bindgen(js_name = hiddenStates)]
    pub fn hidden_states(&self, values: JsValue, options: JsValue) -> js_sys::Promise {
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        promise(async move {
            let compute = async {
                let (options, signal) = hidden_states_options(&options)?;
                let scheduler = EventLoopScheduler::new(signal);
                let states = embedder
                    .hidden_states(&texts("texts", &values)?, &options, &scheduler)
                    .await?;
                backend.check().map(|()| states)
            };
            for_caller(&options, compute)
                .await
                .map(|states| embeddings_to_js(&states))
                .map_err(to_js)
        })
    }

    /// Tokenizes texts: a `Uint32Array` of ids for each, as the model reads it. Only `pilotlight pull --vocabulary` calls it.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    pub fn tokens(&self, values: JsValue, options: JsValue) -> js_sys::Promise {
        let embedder = self.embedder.clone();
        promise(async move {
            let tokenize = async {
                let (_, signal) = embed_options(&options)?;
                let scheduler = EventLoopScheduler::new(signal);
                embedder.tokens(&texts("texts", &values)?, &scheduler).await
            };
            let lists = for_caller(&options, tokenize).await.map_err(to_js)?;
            let lists = lists.iter().map(|ids| Uint32Array::from(ids.as_slice()));
            Ok(lists.collect::<Array>().into())
        })
    }

    /// The commit of the model's files, or its stand-in if they come from no commit.
    #[wasm_bindgen(getter)]
    pub fn commit(&self) -> String {
        self.embedder.commit().into()
    }

    /// The number of values in a vector.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    /// The longest text in tokens; longer ones are truncated. It is infinite where no text is too long.
    #[wasm_bindgen(getter, js_name = maxTokens)]
    pub fn max_tokens(&self) -> f64 {
        match self.embedder.max_tokens() {
            usize::MAX => f64::INFINITY,
            tokens => tokens as f64,
        }
    }

    /// The number of loaded layers.
    #[wasm_bindgen(getter)]
    pub fn layers(&self) -> usize {
        self.embedder.layers()
    }

    /// The repository's prompts: an object with a text for each name.
    #[wasm_bindgen(getter)]
    pub fn prompts(&self) -> JsValue {
        let prompts = self.embedder.prompts().iter();
        object(prompts.map(|(name, prompt)| (name.as_str(), prompt.as_str().into())))
    }

    /// The prompt of calls without one.
    #[wasm_bindgen(getter, js_name = defaultPrompt)]
    pub fn default_prompt(&self) -> String {
        self.embedder.prompts().text(None).into()
    }

    /// The measure by which vectors are to be compared: 'cosine', 'dot', 'euclidean' or 'manhattan'.
    #[wasm_bindgen(getter)]
    pub fn similarity(&self) -> String {
        self.embedder.prompts().similarity().into()
    }

    /// Whether the model has more layers than were loaded.
    #[wasm_bindgen(getter, js_name = isCut)]
    pub fn is_cut(&self) -> bool {
        self.embedder.is_cut()
    }
}

pub(super) fn embeddings_to_js(embeddings: &Embeddings) -> JsValue {
    object([
        ("data", values_to_js(&embeddings.values)),
        ("dims", numbers(&embeddings.dims).into()),
        ("tokens", numbers(&embeddings.tokens).into()),
        (
            "truncated",
            embeddings
                .truncated
                .iter()
                .map(|cut| JsValue::from(*cut))
                .collect::<Array>()
                .into(),
        ),
    ])
}

pub(super) fn values_to_js(values: &Values) -> JsValue {
    match values {
        Values::Float32(values) => Float32Array::from(values.as_slice()).into(),
        Values::Int8(values) => Int8Array::from(values.as_slice()).into(),
        Values::Uint8(values) => Uint8Array::from(values.as_slice()).into(),
    }
}

pub(super) fn numbers(values: &[usize]) -> Array {
    let numbers = values.iter().map(|value| JsValue::from(*value as f64));
    numbers.collect()
}
