//! The contract between the loader and the models: a model describes its files and layers, and `load` and `plan` do the rest.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use async_trait::async_trait;
use burn::tensor::Device;

use super::{Build, Loading, Source, load_newest_with, load_with};
use crate::error::{Error, Result};
use crate::store::ModelKey;
use crate::text::{PackedTokenizer, TextTokenizer};
use crate::weights::{Dtype, Needs, Parameter, Presence, Tensors};

/// The last config file of a model, as it was read.
pub enum LastFile {
    /// The file itself.
    Whole(Vec<u8>),
    /// The packed form of `tokenizer.json` that an earlier load has stored.
    Packed(Arc<PackedTokenizer>),
}

impl LastFile {
    /// Returns the bytes of the file; those of a packed tokenizer are written anew.
    ///
    /// *Errors*: `InvalidWeights` where the packed form has a word that is not UTF-8.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Whole(bytes) => Ok(bytes.into()),
            Self::Packed(packed) => packed.json().map(Into::into),
        }
    }

    /// The tokenizer of the file; see [`TextTokenizer::from_json`].
    ///
    /// *Errors*: `InvalidWeights`.
    pub fn tokenizer(&self, max_tokens: usize, lowercase: bool) -> Result<TextTokenizer> {
        match self {
            Self::Whole(json) => TextTokenizer::from_json(json, max_tokens, lowercase),
            Self::Packed(packed) => {
                TextTokenizer::from_packed(packed.clone(), max_tokens, lowercase)
            }
        }
    }
}

/// A model that can be loaded from a repository. [`load`], [`load_newest`] and [`plan`](super::plan) are the only callers.
pub trait Pretrained: Sized {
    /// The config files of the model, the largest last. The last one, such as a tokenizer, is slow to parse: it goes to
    /// [`prepare`](Self::prepare) while the weights arrive. The others go to [`config`](Self::config).
    const FILES: &'static [&'static str];

    /// The files that are read where the host lists no last config file, the preferred ones first, each with all that are read with it.
    const INSTEAD: &'static [&'static [&'static str]] = &[];

    /// The configuration of the model, read from all config files but the last.
    type Config;

    /// The object that is built from the last config file.
    type Prepared;

    /// The network that is built from the weights.
    type Network;

    /// Reads all config files but the last.
    async fn config(files: &mut Loading<'_, '_>) -> Result<Self::Config>;

    /// The prefixes that tensor names may have in an upstream checkpoint.
    fn prefixes(config: &Self::Config) -> &'static [&'static str];

    /// The function that returns the name of a tensor in a GGUF file; `None` from it where no name is known.
    fn gguf_name(_config: &Self::Config) -> fn(&str) -> Option<String> {
        |_| None
    }

    /// Reads the last config file, `file`.
    ///
    /// *Errors*: `FetchFailed` where there is no such file.
    async fn last(
        files: &mut Loading<'_, '_>,
        file: &str,
        _config: &Self::Config,
    ) -> Result<Vec<u8>> {
        files.required(file).await
    }

    /// Parses the last config file; `file` is empty for a model without files.
    fn prepare(config: &Self::Config, file: &LastFile) -> Result<Self::Prepared>;

    /// Returns the tokenizer whose packed form the store is to keep; `None` where there is none.
    fn tokenizer(_prepared: &Self::Prepared) -> Option<&TextTokenizer> {
        None
    }

    /// Builds the layers and names each of their tensors once. It runs twice: see [`Tensors`].
    fn network(config: &Self::Config, tensors: &mut Tensors) -> Result<Self::Network>;

    /// Makes the model from its parts.
    fn assemble(
        config: Self::Config,
        prepared: Self::Prepared,
        network: Self::Network,
        device: &Device,
    ) -> Self;
}

/// A loaded model, and its origin.
pub struct Loaded<T> {
    /// The model.
    pub model: T,
    /// The commit of its files, or the stand-in for one.
    pub commit: String,
    /// Whether the model came from the store.
    pub cached: bool,
    /// The model's key in the store; `None` without a store.
    pub key: Option<ModelKey>,
}

/// Lists the tensors that a model needs.
pub(super) fn declared<T: Pretrained>(config: &T::Config) -> Result<Vec<Parameter>> {
    let mut tensors = Tensors::declaring();
    T::network(config, &mut tensors)?;
    Ok(tensors.into_parameters())
}

/// Counts the tensors without which a model cannot be.
pub(in crate::tasks) fn required<T: Pretrained>(config: &T::Config) -> Result<usize> {
    let parameters = declared::<T>(config)?;
    Ok(parameters
        .iter()
        .filter(|one| one.presence == Presence::Required)
        .count())
}

/// Builds a model from the store where it is complete there, else from the host, and stores it.
///
/// *Errors*: `FetchFailed`, `Integrity`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`. The
/// store then holds a partial download that can be resumed, or nothing; never a readable model.
pub async fn load<T: Pretrained>(
    source: &Source<'_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<T>> {
    let builder = Builder::new(dtype, device);
    load_with(source, &builder).await?;
    builder.finish()
}

/// Builds the model that the host has now. The store serves only where it is known to hold the same.
///
/// *Errors*: as [`load`], and `FetchFailed` where the host cannot be asked.
pub async fn load_newest<T: Pretrained>(
    source: &Source<'_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<T>> {
    let builder = Builder::new(dtype, device);
    load_newest_with(source, &builder).await?;
    builder.finish()
}

/// Builds a model of one class.
struct Builder<'a, T> {
    dtype: Dtype,
    device: &'a Device,
    built: RefCell<Option<Loaded<T>>>,
}

impl<'a, T> Builder<'a, T> {
    fn new(dtype: Dtype, device: &'a Device) -> Self {
        Self {
            dtype,
            device,
            built: RefCell::new(None),
        }
    }

    /// The model, after a load that succeeded.
    fn finish(self) -> Result<Loaded<T>> {
        let built = self.built.into_inner();
        built.ok_or_else(|| Error::internal("a load ended without a model"))
    }
}

#[async_trait(?Send)]
impl<T: Pretrained> Build for Builder<'_, T> {
    async fn build(&self, loading: &mut Loading<'_, '_>) -> Result<()> {
        let loaded = build(loading, self.dtype, self.device).await?;
        self.built.replace(Some(loaded));
        Ok(())
    }
}

async fn build<T: Pretrained>(
    loading: &mut Loading<'_, '_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<T>> {
    let weights = loading.resolve(dtype, T::FILES).await?;
    let config = T::config(loading).await?;
    let largest = match T::FILES.last() {
        Some(file) => match loading.packed.take() {
            Some(packed) => LastFile::Packed(packed.into()),
            None => LastFile::Whole(T::last(loading, file, &config).await?),
        },
        None => LastFile::Whole(Vec::new()),
    };
    if let Some(file) = T::FILES.last() {
        loading.prepare(file);
    }
    let prepared = T::prepare(&config, &largest)?;
    if let (LastFile::Whole(json), Some(tokenizer)) = (&largest, T::tokenizer(&prepared)) {
        loading.pack(tokenizer, json);
    }
    drop(largest);
    let needs = Needs {
        parameters: &declared::<T>(&config)?,
        prefixes: T::prefixes(&config),
        gguf_name: T::gguf_name(&config),
        dtype,
    };
    let mut tensors = loading.weights(weights, &needs, device).await?;
    let network = T::network(&config, &mut tensors)?;
    Ok(Loaded {
        model: T::assemble(config, prepared, network, device),
        commit: loading.commit().into(),
        cached: loading.is_cached(),
        key: loading.key().cloned(),
    })
}
