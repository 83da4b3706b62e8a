//! Small models that run where the user is: Rust, natively or compiled to WebAssembly, with a CPU and a WebGPU backend.
//!
//! The modules form layers. From top to bottom, each uses only the ones below it (`tests/layers.rs` checks this):
//!
//! * `bindings`: the JavaScript API, which only converts arguments, results and errors.
//! * `tasks`: the classes of the API: [`TextEmbedder`], [`SequenceClassifier`], [`Decoder`], [`ImageTextEmbedder`], [`DigitGenerator`],
//!   [`DigitClassifier`].
//! * `index` and [`heads`]: the [`VectorIndex`]; classifiers of vectors, fitted or imported.
//! * `models` and `store`: the networks, written once on burn's `Tensor`; the store of models and indexes between sessions ([`Store`]).
//! * `weights`: safetensors read as a stream, cast or quantized a block of rows at a time.
//! * `hub` and `device`: the hosts that files are downloaded from ([`Host`]); the CPU and the GPU.
//! * `ops`, `text` and `image`: operations with kernels for CPU and GPU; tokenizing; resizing.
//! * `scheduler`, `memory` and `interop`: yielding and cancelling ([`Scheduler`]); fallible allocation; JavaScript values.
//! * `error`: [`Error`] and its kinds.
//!
//! The kernels for the CPU are a crate of their own, `pilotlight-kernels`, and so are the decoders of images, `pilotlight-images`.
//!
//! A native program loads a model from a folder:
//!
//! ```no_run
//! # async fn example() -> pilotlight::Result<()> {
//! use pilotlight::{Dtype, EmbedOptions, MemoryHost, Source, TextEmbedder, NoYield};
//!
//! let host = MemoryHost::from_folder("all-MiniLM-L6-v2".as_ref())?;
//! let source = Source::new(&host, &NoYield);
//! let embedder = TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu()).await?;
//! let embeddings = embedder.embed(&["A sentence.".into()], &EmbedOptions::default(), &NoYield).await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp))]

#[cfg(target_arch = "wasm32")]
mod bindings;
mod device;
mod error;
pub mod heads;
mod hub;
mod image;
mod index;
#[cfg(target_arch = "wasm32")]
mod interop;
mod memory;
mod models;
mod ops;
mod scheduler;
mod store;
mod tasks;
mod text;
mod weights;

pub use device::cpu;
#[cfg(feature = "webgpu")]
pub use device::{Adapter, Gpu};
pub use error::{Error, ErrorKind, FetchReason, Result, StorageQuota};
pub use hub::{
    ByteStream, Digest, FileEntry, Host, MemoryHost, MemoryStream, Opened, PlatformHash, Snapshot,
    Verified,
};
pub use image::{ImageProcessor, Rgb};
pub use index::{
    Filter, Hit, Id, IndexMetric, IndexOptions, IndexPrecision, IndexSnapshot, SavedIndex,
    SearchOptions, Tags, VectorIndex, Vectors,
};
#[cfg(feature = "webgpu")]
pub use ops::GpuStats;
pub use ops::{Activation, Linear, LinearWeight};
pub use pilotlight_kernels::statistics::TokenStatistics;
pub use scheduler::{NoYield, Scheduler};
pub use store::{
    CacheConfig, Chunk, Library, LockGuard, Locks, MemoryStore, ModelKey, NamedKey, NoLocks, Store,
    StoredInfo, WriterProgress,
};
#[cfg(feature = "webgpu")]
pub use tasks::OnTimed;
pub use tasks::{
    Classification, Decoder, DigitClassifier, DigitGenerator, EmbedOptions, Embeddings,
    GenerateOptions, HiddenStatesOptions, ImageTextEmbedder, Interpolation, LabelScore, Latent,
    LikelihoodOptions, Likelihoods, LoadPlan, LoadProgress, LoadStatus, ModelClass, OnStep,
    PairScore, PlannedFile, Pooling, Precision, SequenceClassifier, Source, TextEmbedder, Tower,
    Values, Weights, plan_model, refresh_model,
};
pub use weights::Dtype;
