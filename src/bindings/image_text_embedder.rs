//! `ImageTextEmbedderHandle`: what `ImageTextEmbedder` of the npm package calls.

use std::rc::Rc;

use js_sys::{Array, Function, Promise, Uint8Array, Uint8ClampedArray};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use super::caller::for_caller;
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::options::{LoadOptions, embed_options, kind, signal_option, texts};
use super::source::load_model;
use super::text_embedder::{embeddings_to_js, numbers, values_to_js};
use crate::device::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Rgb, decode};
use crate::interop::{get, object};
use crate::memory::{out_of_memory, try_zeros};
use crate::tasks::ImageTextEmbedder;

/// Loaded towers of CLIP. Calls may overlap; each borrows the model only.
#[wasm_bindgen]
pub struct ImageTextEmbedderHandle {
    embedder: Rc<ImageTextEmbedder>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl ImageTextEmbedderHandle {
    /// Loads the towers; `options` are the `ImageTextLoadOptions` of the TypeScript types, with `device` decided.
    ///
    /// *Errors*: an `Error` with `code`, see the types.
    pub async fn load(
        model: JsValue,
        options: JsValue,
    ) -> Result<ImageTextEmbedderHandle, JsValue> {
        let load = async {
            let towers = LoadOptions::new(&options)?.towers;
            load_model(&model, &options, async |source, dtype, device| {
                ImageTextEmbedder::load(source, &towers, dtype, device).await
            })
            .await
        };
        let (embedder, backend) = load.await.map_err(to_js)?;
        Ok(Self { embedder, backend })
    }

    /// Embeds texts on this thread, yielding to the event loop between layers. The arrays in the result are the caller's.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    #[wasm_bindgen(js_name = embedTexts)]
    pub fn embed_texts(&self, values: JsValue, options: JsValue) -> Promise {
        // The future holds the model itself, so `free` during a call is harmless.
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        future_to_promise(async move {
            let embed = async {
                let (options, signal) = embed_options(&options)?;
                let scheduler = EventLoopScheduler::new(signal);
                let texts = texts("texts", &values)?;
                let embeddings = embedder.embed_texts(&texts, &options, &scheduler).await?;
                backend.check().map(|()| embeddings)
            };
            for_caller(&options, embed)
                .await
                .map(|embeddings| embeddings_to_js(&embeddings))
                .map_err(to_js)
        })
    }

    /// Embeds `count` pictures on this thread, asking `picture(index)` for one at a time: a promise of a file's bytes, or of
    /// an object with `data`, `width` and `height` as `ImageData` has them.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`; what `picture` throws.
    #[wasm_bindgen(js_name = embedImages)]
    pub fn embed_images(&self, count: usize, picture: Function, options: JsValue) -> Promise {
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        future_to_promise(async move {
            let embed = async {
                let (options, signal) = embed_options(&options)?;
                let scheduler = EventLoopScheduler::new(signal);
                let read = async |index: usize| {
                    let asked = picture.call1(&JsValue::NULL, &(index as f64).into());
                    let given = match asked {
                        Ok(promise) => JsFuture::from(Promise::resolve(&promise)).await,
                        Err(error) => Err(error),
                    };
                    // The caller knows why.
                    let given =
                        given.map_err(|_| Error::internal("a picture could not be read"))?;
                    to_picture(&given).map_err(|error| error.context(&format!("images[{index}]")))
                };
                let (values, width) = embedder
                    .embed_images(count, read, &options, &scheduler)
                    .await?;
                backend.check().map(|()| (values, width))
            };
            let (values, width) = for_caller(&options, embed).await.map_err(to_js)?;
            Ok(object([
                ("data", values_to_js(&values)),
                ("dims", numbers(&[count, width]).into()),
            ]))
        })
    }

    /// How likely each label is for a picture, given as bytes or pixels: an array of `{ label, score }`, the likeliest first.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`.
    pub fn classify(
        &self,
        picture: JsValue,
        labels: JsValue,
        templates: JsValue,
        options: JsValue,
    ) -> Promise {
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        future_to_promise(async move {
            let classify = async {
                let scheduler = EventLoopScheduler::new(signal_option(&options)?);
                let (labels, templates) =
                    (texts("labels", &labels)?, texts("template", &templates)?);
                let picture = to_picture(&picture).map_err(|error| error.context("image"))?;
                let scores = embedder
                    .classify(&picture, &labels, &templates, &scheduler)
                    .await?;
                backend.check().map(|()| scores)
            };
            let scores = for_caller(&options, classify).await.map_err(to_js)?;
            let scores = scores.iter().map(|score| {
                object([
                    ("label", JsValue::from(score.label.as_str())),
                    ("score", JsValue::from(score.score)),
                ])
            });
            Ok(scores.collect::<Array>().into())
        })
    }

    /// Values of one vector.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    /// Longest text in tokens; nothing where the text tower was not loaded.
    #[wasm_bindgen(getter, js_name = maxTokens)]
    pub fn max_tokens(&self) -> Option<usize> {
        self.embedder.max_tokens()
    }
}

/// Most bytes of a file, or of pixels.
const MOST_BYTES: u32 = 256 << 20;

fn buffer(bytes: u32) -> Result<Vec<u8>> {
    if bytes > MOST_BYTES {
        return Err(Error::new(
            ErrorKind::ResourceLimit,
            format!("the image has {bytes} bytes, expected at most {MOST_BYTES}"),
        ));
    }
    let message = || format!("there is no memory for the {bytes} bytes of the image");
    try_zeros(bytes as usize).map_err(|error| out_of_memory(message(), error))
}

/// A file's bytes are decoded, pixels are taken as they are.
fn to_picture(value: &JsValue) -> Result<Rgb> {
    if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        let mut copy = buffer(bytes.length())?;
        bytes.copy_to(&mut copy);
        return decode(&copy);
    }
    let edge = |name: &str| {
        let edge = get(value, name)?.as_f64()?;
        (edge.trunc() == edge && (1.0..=1e9).contains(&edge)).then_some(edge as usize)
    };
    let data = get(value, "data").and_then(|data| data.dyn_into::<Uint8ClampedArray>().ok());
    match (data, edge("width"), edge("height")) {
        (Some(data), Some(width), Some(height)) => {
            let mut copy = buffer(data.length())?;
            data.copy_to(&mut copy);
            Rgb::from_rgba(width, height, &copy)
        }
        _ => Err(Error::invalid_input(format!(
            "the picture is {}, expected bytes or pixels",
            kind(value)
        ))),
    }
}
