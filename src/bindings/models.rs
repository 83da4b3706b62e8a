//! Functions on models and their stored copies, on which the npm package builds its `models`.

use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

use super::error::to_js;
use super::options::{LoadOptions, StoreOptions};
use super::source::JsSource;
use super::store::{self, now};
use crate::error::{Error, Result};
use crate::interop::message_of;
use crate::store::{Library, StoredInfo};
use crate::tasks;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelPlan<'a> {
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    files: Vec<ModelPlanFile<'a>>,
    tensors: usize,
    fetch_bytes: u64,
    cached_bytes: u64,
    store_bytes: u64,
    memory_bytes: u64,
    #[cfg(feature = "webgpu")]
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_bytes: Option<u64>,
    lossy: bool,
    whole: bool,
}

#[derive(Serialize)]
struct ModelPlanFile<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedModel<'a> {
    key: &'a str,
    host: &'a str,
    model: &'a str,
    revision: &'a str,
    commit: &'a str,
    dtype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'a str>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<u64>,
    whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
}

impl<'a> ListedModel<'a> {
    fn new(info: &'a StoredInfo) -> Self {
        Self {
            key: &info.key,
            host: &info.host,
            model: &info.model,
            revision: &info.revision,
            commit: &info.commit,
            dtype: &info.dtype,
            part: info.part.as_deref(),
            weights: info.weights.as_deref(),
            bytes: info.bytes,
            last_used: info.used,
            whole: info.verified.is_some(),
            verified: info.verified.as_deref(),
            digest: info.digest.as_deref(),
        }
    }
}

/// Returns what loading a model would download, store and keep in memory. `options` are those of `TextEmbedderHandle.load`.
///
/// *Errors*: those of `TextEmbedderHandle.load`.
#[wasm_bindgen(js_name = planModel)]
pub async fn plan_model(model: JsValue, options: JsValue) -> Result<JsValue, JsValue> {
    let plan = async {
        let options = LoadOptions::new(&options)?;
        let (dtype, towers) = (options.dtype, options.towers.clone());
        let webgpu = options.webgpu;
        let source = JsSource::new(&model, options).await?;
        let (class, plan) = source
            .with(async |source| tasks::plan_model(source, &towers, dtype).await)
            .await?;
        let files = plan.files.iter();
        to_object(&ModelPlan {
            class: class.name(),
            commit: plan.commit.as_deref(),
            files: files
                .map(|file| ModelPlanFile {
                    path: &file.path,
                    bytes: file.bytes,
                })
                .collect(),
            tensors: plan.tensors,
            fetch_bytes: plan.fetch,
            cached_bytes: plan.cached,
            store_bytes: plan.stored,
            memory_bytes: plan.memory + if webgpu { 0 } else { plan.widening },
            #[cfg(feature = "webgpu")]
            gpu_bytes: webgpu.then(|| plan.gpu_memory()),
            available_bytes: source.available().await,
            lossy: plan.lossy,
            whole: plan.whole,
        })
    };
    plan.await.map_err(to_js)
}

/// Asks the host for the current commit of a stored model's revision, and records that the model is in use.
///
/// *Errors*: those of `TextEmbedderHandle.load`.
#[wasm_bindgen(js_name = refreshModel)]
pub async fn refresh_model(model: JsValue, options: JsValue) -> Result<(), JsValue> {
    let refresh = async {
        let options = LoadOptions::new(&options)?;
        let (towers, is_classifier) = (options.towers.clone(), options.is_classifier);
        let source = JsSource::new(&model, options).await?;
        source
            .with(async |source| tasks::refresh_model(source, &towers, is_classifier).await)
            .await
    };
    refresh.await.map_err(to_js)
}

/// Lists the models of a store, the largest first.
#[wasm_bindgen(js_name = listModels)]
pub async fn list_models(options: JsValue) -> Result<JsValue, JsValue> {
    let list = async {
        let Some(store) = store::open(StoreOptions::new(&options)?.store).await? else {
            return Ok(js_sys::Array::new().into());
        };
        let models = Library::new(store.as_ref()).list().await?;
        to_object(&models.iter().map(ListedModel::new).collect::<Vec<_>>())
    };
    list.await.map_err(to_js)
}

/// Deletes the model with this `key` of `listModels`. Returns false if there is no such model.
#[wasm_bindgen(js_name = deleteModel)]
pub async fn delete_model(key: String, options: JsValue) -> Result<bool, JsValue> {
    let delete = async {
        match store::open(StoreOptions::new(&options)?.store).await? {
            Some(store) => Library::new(store.as_ref()).delete(&key).await,
            None => Ok(false),
        }
    };
    delete.await.map_err(to_js)
}

/// Passes all files of a completely stored model to `take(file, bytes)`, in order and in pieces, and awaits each call. Returns false
/// if there is no such model.
///
/// *Errors*: `INTEGRITY` if a chunk does not match its digest.
#[wasm_bindgen(js_name = exportModel)]
pub async fn export_model(
    key: String,
    take: js_sys::Function,
    options: JsValue,
) -> Result<bool, JsValue> {
    let take = async |file: &str, bytes: &[u8]| {
        let bytes = js_sys::Uint8Array::from(bytes);
        let taken = take.call2(&JsValue::NULL, &file.into(), &bytes);
        let taken = match taken {
            Ok(promise) => JsFuture::from(js_sys::Promise::resolve(&promise)).await,
            Err(error) => Err(error),
        };
        let failed = |error: JsValue| {
            let message = message_of(&error);
            Error::internal(format!("{file} could not be exported: {message}"))
        };
        taken.map(|_| ()).map_err(failed)
    };
    let export = async {
        match store::open(StoreOptions::new(&options)?.store).await? {
            Some(store) => Library::new(store.as_ref()).export(&key, take).await,
            None => Ok(false),
        }
    };
    export.await.map_err(to_js)
}

/// Removes abandoned partial downloads and unreferenced chunks from a store.
#[wasm_bindgen(js_name = sweepModels)]
pub async fn sweep_models(options: JsValue) -> Result<(), JsValue> {
    let sweep = async {
        let StoreOptions { store, locks } = StoreOptions::new(&options)?;
        match store::open(store).await? {
            Some(store) => {
                let locks = store::locks(locks);
                Library::new(store.as_ref())
                    .sweep(locks.as_ref(), now())
                    .await
            }
            None => Ok(()),
        }
    };
    sweep.await.map_err(to_js)
}

/// Converts a struct to a plain object. Numbers are numbers, also where they are larger than 32 bits.
fn to_object(value: &impl Serialize) -> Result<JsValue> {
    let objects = serde_wasm_bindgen::Serializer::json_compatible();
    value
        .serialize(&objects)
        .map_err(|error| Error::internal(error.to_string()))
}
