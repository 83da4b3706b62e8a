//! `ImageTextEmbedderHandle`, on which the npm package builds its `ImageTextEmbedder`.

use std::rc::Rc;

use js_sys::{Array, Function, Promise, Uint8Array, Uint8ClampedArray};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::caller::{for_caller, promise};
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::options::{LoadOptions, embed_options, kind, signal_option, texts};
use super::source::load_model;
use super::text_embedder::{embeddings_to_js, numbers, values_to_js};
use crate::device::Backend;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Rgb;
use crate::interop::{get, object};
use crate::memory::{out_of_memory, try_zeros};
use crate::tasks::ImageTextEmbedder;

/// A model of CLIP or SigLIP with one or both towers. Calls may overlap: they share the model and do not change it.
#[wasm_bindgen]
pub struct ImageTextEmbedderHandle {
    embedder: Rc<ImageTextEmbedder>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl ImageTextEmbedderHandle {
    /// Loads the towers. `options` are the `ImageTextLoadOptions` of the TypeScript types, with `device` resolved.
    ///
    /// *Errors*: a `PilotlightError`, with the codes that the types list.
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

    /// The commit of the model's files, or its stand-in if they come from no commit.
    #[wasm_bindgen(getter)]
    pub fn commit(&self) -> String {
        self.embedder.commit().into()
    }

    /// Embeds texts on this thread, yielding to the event loop between layers. The arrays in the result are copies that the caller owns.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    #[wasm_bindgen(js_name = embedTexts)]
    pub fn embed_texts(&self, values: JsValue, options: JsValue) -> Promise {
        // The future shares ownership of the model, so that `free` during a call is harmless.
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        promise(async move {
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

    /// Embeds `count` images on this thread. Each is requested, when the one before is done, by `image(index)`, which returns a promise
    /// of the bytes of a file, which `decodeImage` of the options decodes, or of an object with `data`, `width` and `height` like an
    /// `ImageData`. With `report`, those that are neither, or cannot be decoded, have no rows: `errors` of the result has their indices and errors in turn.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`; `INTERNAL` if `image` throws or rejects.
    #[wasm_bindgen(js_name = embedImages)]
    pub fn embed_images(
        &self,
        count: usize,
        image: Function,
        report: bool,
        options: JsValue,
    ) -> Promise {
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        promise(async move {
            let embed = async {
                let js_options = &options;
                let (options, signal) = embed_options(js_options)?;
                let scheduler = EventLoopScheduler::new(signal);
                let read = async |index: usize| {
                    let image = answer_of(&image, &(index as f64).into()).await;
                    let image =
                        image.ok_or_else(|| Error::internal("an image could not be read"))?;
                    let image = to_image(&image, js_options).await;
                    image.map_err(|error| error.context(&format!("images[{index}]")))
                };
                let errors = Array::new();
                let failed = |index: usize, error: Error| match error.kind() {
                    ErrorKind::InvalidInput | ErrorKind::ResourceLimit if report => {
                        errors.push(&(index as f64).into());
                        errors.push(&to_js(error));
                        Ok(())
                    }
                    _ => Err(error),
                };
                let (values, width) = embedder
                    .embed_images(count, read, failed, &options, &scheduler)
                    .await?;
                backend.check().map(|()| (values, width, errors))
            };
            let (values, width, errors) = for_caller(&options, embed).await.map_err(to_js)?;
            let rows = count - errors.length() as usize / 2;
            Ok(object([
                ("data", values_to_js(&values)),
                ("dims", numbers(&[rows, width]).into()),
                ("errors", errors.into()),
            ]))
        })
    }

    /// Scores labels for an image, which is given as for `embedImages`: an array of `{ label, score }`, the most probable label first.
    ///
    /// *Errors*: `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`.
    pub fn classify(
        &self,
        image: JsValue,
        labels: JsValue,
        templates: JsValue,
        options: JsValue,
    ) -> Promise {
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        promise(async move {
            let classify = async {
                let scheduler = EventLoopScheduler::new(signal_option(&options)?);
                let (labels, templates) =
                    (texts("labels", &labels)?, texts("template", &templates)?);
                let image = to_image(&image, &options).await;
                let image = image.map_err(|error| error.context("image"))?;
                let scores = embedder
                    .classify(&image, &labels, &templates, &scheduler)
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

    /// The number of values in a vector.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    /// The longest text in tokens; `undefined` if the text tower was not loaded.
    #[wasm_bindgen(getter, js_name = maxTokens)]
    pub fn max_tokens(&self) -> Option<usize> {
        self.embedder.max_tokens()
    }
}

/// The largest image that is copied into linear memory, in bytes of the file or of its pixels.
const MAX_BYTES: u32 = 256 << 20;

/// A buffer for the bytes of an image.
///
/// *Errors*: `ResourceLimit`.
fn buffer(bytes: u32) -> Result<Vec<u8>> {
    if bytes > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::ResourceLimit,
            format!("the image has {bytes} bytes, expected at most {MAX_BYTES}"),
        ));
    }
    let message = || format!("there is no memory for the {bytes} bytes of the image");
    try_zeros(bytes as usize).map_err(|error| out_of_memory(message(), error))
}

/// Calls a function of the package and awaits its promise. `None` where it throws or rejects: the package keeps the error and rejects with it.
async fn answer_of(function: &Function, argument: &JsValue) -> Option<JsValue> {
    let promise = function.call1(&JsValue::NULL, argument).ok()?;
    JsFuture::from(Promise::resolve(&promise)).await.ok()
}

/// Has the bytes of a file decoded by the function `decodeImage` of the options, or copies pixels.
///
/// *Errors*: `InvalidInput`, `ResourceLimit`; `Internal` if the function throws or rejects.
async fn to_image(value: &JsValue, options: &JsValue) -> Result<Rgb> {
    if !value.is_instance_of::<Uint8Array>() {
        return to_rgb(value);
    }
    let decode = get(options, "decodeImage").and_then(|decode| decode.dyn_into::<Function>().ok());
    let decode = decode.ok_or_else(|| Error::internal("decodeImage is no function"))?;
    let decoded = answer_of(&decode, value).await;
    let decoded =
        decoded.ok_or_else(|| Error::internal("the image decoders could not be loaded"))?;
    let text = |name: &str| get(&decoded, name).and_then(|text| text.as_string());
    match (text("code"), text("message")) {
        (Some(code), Some(message)) => {
            let kinds = [ErrorKind::InvalidInput, ErrorKind::ResourceLimit];
            let kind = kinds.into_iter().find(|kind| kind.code() == code);
            Err(Error::new(kind.unwrap_or(ErrorKind::Internal), message))
        }
        _ => to_rgb(&decoded),
    }
}

/// Copies the pixels of an object like `ImageData`, or those of a decoder, which have no alpha.
///
/// *Errors*: `InvalidInput`, `ResourceLimit`.
fn to_rgb(value: &JsValue) -> Result<Rgb> {
    let edge = |name: &str| {
        let edge = get(value, name)?.as_f64()?;
        (edge.trunc() == edge && (1.0..=1e9).contains(&edge)).then_some(edge as usize)
    };
    if let (Some(data), Some(width), Some(height)) =
        (get(value, "data"), edge("width"), edge("height"))
    {
        if let Some(rgba) = data.dyn_ref::<Uint8ClampedArray>() {
            let mut copy = buffer(rgba.length())?;
            rgba.copy_to(&mut copy);
            return Rgb::from_rgba(width, height, &copy);
        }
        if let Some(rgb) = data.dyn_ref::<Uint8Array>() {
            let mut copy = buffer(rgb.length())?;
            rgb.copy_to(&mut copy);
            return Rgb::new(width, height, copy);
        }
    }
    Err(Error::invalid_input(format!(
        "the image is {}, expected bytes or pixels",
        kind(value)
    )))
}
