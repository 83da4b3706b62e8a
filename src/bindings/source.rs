//! The source of a model: its host, its store, and how its loading is reported and cancelled.

use std::rc::Rc;

use burn::tensor::Device;
use js_sys::Function;
use wasm_bindgen::JsValue;

use super::caller::for_caller;
use super::event_loop::EventLoopScheduler;
use super::options::LoadOptions;
use super::store::{self, now};
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::hub::{FilesHost, Host, HubHost};
use crate::interop::object;
use crate::store::{CacheConfig, Locks, ModelKey, Store};
use crate::tasks::{LoadProgress, LoadStatus, Source, Weights};
use crate::weights::Dtype;

/// Owns the values that a [`Source`] borrows.
pub(super) struct JsSource {
    host: Box<dyn Host>,
    store: Option<Rc<dyn Store>>,
    locks: Box<dyn Locks>,
    key: ModelKey,
    evict: bool,
    stall: std::time::Duration,
    is_reranker: bool,
    layers: Option<usize>,
    weights: Weights,
    lossy: bool,
    embeddings_in_store: bool,
    on_progress: Option<Function>,
    #[cfg(feature = "webgpu")]
    on_timed: Option<Function>,
    scheduler: EventLoopScheduler,
}

impl JsSource {
    /// Opens the host and the store that the options name.
    ///
    /// *Errors*: `InvalidInput`; `BackendUnavailable` if the store cannot be opened.
    pub async fn new(model: &JsValue, options: LoadOptions) -> Result<Self> {
        let model = model.as_string().filter(|model| !model.trim().is_empty());
        let model = model.ok_or_else(|| {
            Error::invalid_input("model is not a name, expected a string such as 'owner/model'")
        })?;
        let LoadOptions {
            dtype,
            revision,
            host,
            token,
            files,
            request,
            store,
            evict,
            stall,
            locks,
            signal,
            on_progress,
            #[cfg(feature = "webgpu")]
            on_timed,
            is_reranker,
            layers,
            weights,
            lossy,
            embeddings_in_store,
            ..
        } = options;
        // Files that the caller passes are not cached: the next call may pass others under the same name.
        let store = match files {
            Some(_) => None,
            None => store::open(store).await?.map(Rc::from),
        };
        if embeddings_in_store && store.is_none() {
            return Err(Error::invalid_input(
                "embeddings is 'store', but nothing is stored with store: false or with files of the caller",
            ));
        }
        let key = ModelKey::new(&host, &model, &revision, dtype);
        let key = match weights.key(lossy) {
            Some(name) => key.weights(&name),
            None => key,
        };
        let cached = store.is_some() && store::has_indexed_db();
        let host: Box<dyn Host> = match files {
            Some(files) => Box::new(FilesHost::new(files)),
            None => {
                let missing =
                    || Error::internal("the option request is missing, expected a function");
                let request = request.ok_or_else(missing)?;
                Box::new(HubHost::new(
                    &host, &model, &revision, token, request, cached,
                ))
            }
        };
        Ok(Self {
            host,
            store,
            locks: store::locks(locks),
            key,
            evict,
            stall,
            is_reranker,
            layers,
            weights,
            lossy,
            embeddings_in_store,
            on_progress,
            #[cfg(feature = "webgpu")]
            on_timed,
            scheduler: EventLoopScheduler::new(signal),
        })
    }

    /// Runs `work` with a [`Source`] that borrows from this one.
    pub async fn with<T>(&self, work: impl AsyncFn(&Source<'_>) -> Result<T>) -> Result<T> {
        let progress = |progress: &LoadProgress| {
            if let Some(listener) = &self.on_progress {
                report(progress, listener);
            }
        };
        #[cfg(feature = "webgpu")]
        let timed = |reason: &str, is_faster: bool| {
            if let Some(listener) = &self.on_timed {
                // An error in the listener does not fail the load.
                let _ = listener.call2(&JsValue::NULL, &reason.into(), &is_faster.into());
            }
        };
        let nonce = (js_sys::Math::random() * u64::MAX as f64) as u64;
        let cache = self.store.as_deref().map(|store| CacheConfig {
            locks: self.locks.as_ref(),
            evict: self.evict,
            ..CacheConfig::new(store, self.key.clone(), nonce, now())
        });
        let source = Source {
            cache,
            progress: &progress,
            #[cfg(feature = "webgpu")]
            on_timed: self.on_timed.as_ref().map(|_| &timed as _),
            stall: self.stall,
            is_reranker: self.is_reranker,
            layers: self.layers,
            weights: self.weights.clone(),
            lossy: self.lossy,
            embeddings: self.store.clone().filter(|_| self.embeddings_in_store),
            ..Source::new(self.host.as_ref(), &self.scheduler)
        };
        work(&source).await
    }

    /// Free bytes of the store, if it can tell.
    pub async fn available(&self) -> Option<u64> {
        self.store.as_ref()?.available().await
    }
}

/// Loads a model from the source and onto the backend that `options` name. These are `LoadOptions` with `device` resolved.
pub(super) async fn load_model<T>(
    model: &JsValue,
    options: &JsValue,
    load: impl AsyncFn(&Source<'_>, Dtype, &Device) -> Result<T>,
) -> Result<(Rc<T>, Rc<Backend>)> {
    for_caller(options, async {
        let options = LoadOptions::new(options)?;
        let backend = Backend::open(options.webgpu).await?;
        let (dtype, device) = (options.dtype, backend.device());
        let source = JsSource::new(model, options).await?;
        let model = source
            .with(async |source| load(source, dtype, &device).await)
            .await?;
        backend.check().map(|()| (Rc::new(model), Rc::new(backend)))
    })
    .await
}

fn report(progress: &LoadProgress, listener: &Function) {
    let status = match progress.status {
        LoadStatus::Plan => "plan",
        LoadStatus::Download => "download",
        LoadStatus::Prepare => "prepare",
        LoadStatus::Ready => "ready",
    };
    let mut entries = vec![
        ("status", JsValue::from(status)),
        ("loaded", JsValue::from(progress.loaded as f64)),
        ("total", JsValue::from(progress.total as f64)),
        ("cached", JsValue::from(progress.cached)),
    ];
    entries.extend(progress.file.map(|file| ("file", JsValue::from(file))));
    let verified = progress.verified;
    entries.extend(verified.map(|verified| ("verified", JsValue::from(verified.name()))));
    // An error in the listener does not fail the load.
    let _ = listener.call1(&JsValue::NULL, &object(entries));
}
