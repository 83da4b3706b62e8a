//! `EmbedderCore`: what `TextEmbedder` of the npm package calls.

use std::rc::Rc;

use js_sys::{Array, Float32Array, Function, Int8Array, Object, Reflect, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::to_js;
use super::options::{LoadOptions, StoreOption, embed_options, texts};
use super::pace::EventLoopPace;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::hub::{FilesHost, Host, HubHost};
use crate::store::{HostStore, IndexedDb, MemoryStore, ModelKey, Store};
use crate::tasks::{Embeddings, LoadProgress, LoadStatus, Source, TextEmbedder, Values};

thread_local! {
    /// `store: 'memory'`: lasts as long as this instance and is shared by its loads.
    static MEMORY: MemoryStore = MemoryStore::default();
}

/// A loaded sentence encoder. Calls may overlap; each borrows the model only.
#[wasm_bindgen]
pub struct EmbedderCore {
    embedder: Rc<TextEmbedder>,
    backend: Rc<Backend>,
}

#[wasm_bindgen]
impl EmbedderCore {
    /// Loads a model; `options` are the `LoadOptions` of the TypeScript types, with `device` decided.
    ///
    /// *Errors*: an `Error` with `code`, see the types.
    pub async fn load(model: JsValue, options: JsValue) -> Result<EmbedderCore, JsValue> {
        let (embedder, backend) = load(&model, &options).await.map_err(to_js)?;
        Ok(Self {
            embedder: Rc::new(embedder),
            backend: Rc::new(backend),
        })
    }

    /// Embeds texts on this thread, yielding to the event loop between layers. The arrays in the result are the caller's.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`.
    pub fn embed(&self, values: JsValue, options: JsValue) -> js_sys::Promise {
        // The future holds the model itself, so `free` during a call is harmless.
        let (embedder, backend) = (self.embedder.clone(), self.backend.clone());
        wasm_bindgen_futures::future_to_promise(async move {
            let embed = async {
                let (options, signal) = embed_options(&options)?;
                let pace = EventLoopPace::new(signal);
                let embeddings = embedder.embed(&texts(&values)?, &options, &pace).await?;
                backend.check().map(|()| embeddings)
            };
            embed
                .await
                .map(|embeddings| embeddings_to_js(&embeddings))
                .map_err(to_js)
        })
    }

    /// Values of one vector.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    /// Longest text in tokens.
    #[wasm_bindgen(getter, js_name = maxTokens)]
    pub fn max_tokens(&self) -> usize {
        self.embedder.max_tokens()
    }
}

async fn load(model: &JsValue, options: &JsValue) -> Result<(TextEmbedder, Backend)> {
    let model = model.as_string().filter(|model| !model.trim().is_empty());
    let model = model.ok_or_else(|| {
        Error::invalid_input("model is not a name, expected a string such as 'owner/model'")
    })?;
    let options = LoadOptions::new(options)?;
    let backend = Backend::open(options.webgpu).await?;
    // Own files are nobody's cache: the same name may come with other bytes next time.
    let from_hub = options.files.is_none();
    let host: Box<dyn Host> = match options.files {
        Some(files) => Box::new(FilesHost::new(files)),
        None => Box::new(HubHost::new(
            &options.host,
            &model,
            &options.revision,
            options.token,
            options.signal.clone(),
        )),
    };
    let store = if from_hub {
        store(options.store).await?
    } else {
        None
    };
    let key = ModelKey::new(&options.host, &model, &options.revision, options.dtype);
    let nonce = (js_sys::Math::random() * u64::MAX as f64) as u64;
    let report = |progress: &LoadProgress| {
        if let Some(listener) = &options.on_progress {
            report_to_js(progress, listener);
        }
    };
    let source = Source {
        host: host.as_ref(),
        store: store.as_deref().map(|store| (store, key, nonce)),
        progress: &report,
        pace: &EventLoopPace::new(options.signal),
    };
    let embedder = TextEmbedder::load(&source, options.dtype, &backend.device()).await?;
    backend.check().map(|()| (embedder, backend))
}

async fn store(option: StoreOption) -> Result<Option<Box<dyn Store>>> {
    let memory = || Some(Box::new(MEMORY.with(MemoryStore::clone)) as Box<dyn Store>);
    Ok(match option {
        StoreOption::None => None,
        StoreOption::Memory => memory(),
        StoreOption::IndexedDb => Some(Box::new(IndexedDb::open().await?)),
        // Private windows and runtimes without IndexedDB go on from memory.
        StoreOption::Default => match IndexedDb::open().await {
            Ok(store) => Some(Box::new(store)),
            Err(_) => memory(),
        },
        StoreOption::Host(object) => Some(Box::new(HostStore::new(object)?)),
    })
}

fn report_to_js(progress: &LoadProgress, listener: &Function) {
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
    // A listener that throws does not break the load.
    let _ = listener.call1(&JsValue::NULL, &object(entries));
}

fn embeddings_to_js(embeddings: &Embeddings) -> JsValue {
    let data: JsValue = match &embeddings.values {
        Values::Float32(values) => Float32Array::from(values.as_slice()).into(),
        Values::Int8(values) => Int8Array::from(values.as_slice()).into(),
        Values::Uint8(values) => Uint8Array::from(values.as_slice()).into(),
    };
    let numbers = |values: &[usize]| {
        values
            .iter()
            .map(|value| JsValue::from(*value as f64))
            .collect::<Array>()
    };
    object([
        ("data", data),
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

fn object(entries: impl IntoIterator<Item = (&'static str, JsValue)>) -> JsValue {
    let object = Object::new();
    for (name, value) in entries {
        // Setting a property of a fresh, extensible object cannot fail.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}
