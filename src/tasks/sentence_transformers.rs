//! The configuration of a sentence-transformers repository: its encoder, its pooling, and the truncation of texts.

use serde::Deserialize;

use super::load::Loading;
use super::modules::{Kind, MODULES, Module, Steps, is_static_embedding, modules};
use super::pooling::PoolingConfig;
use super::prompts::{PROMPTS, Prompts};
use crate::error::{Error, Result};
use crate::models::{
    STATIC_EMBEDDING, SentenceEncoderConfig, is_model2vec, is_sequence_classifier,
};
use crate::text::{TOKENIZER_CONFIG, TokenizerConfig, VOCABULARY};

pub(super) const CONFIG: &str = "config.json";
const POOLING: &str = "1_Pooling/config.json";
const SENTENCE: &str = "sentence_bert_config.json";
/// Other names of the same file, by the families of encoders, in the order in which sentence-transformers looks for them.
const OTHER_SENTENCE: [&str; 6] = [
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// All config files, the largest last.
pub(super) const FILES: &[&str] = &[
    CONFIG,
    MODULES,
    POOLING,
    SENTENCE,
    PROMPTS,
    TOKENIZER_CONFIG,
    TOKENIZER,
];

/// The configuration of a sentence encoder, from the config files of its repository.
pub struct SentenceTransformerConfig {
    pub(super) encoder: SentenceEncoderConfig,
    /// Whether the model has more layers than the encoder.
    pub(super) is_cut: bool,
    /// Whether the checkpoint is that of a classifier of whole texts, and has no modules of a sentence encoder.
    pub(super) is_classifier: bool,
    pub(super) pooling: PoolingConfig,
    /// The modules that follow the pooling.
    pub(super) steps: Steps,
    pub(super) prompts: Prompts,
    /// The longest text in tokens, special tokens included.
    pub(super) max_tokens: usize,
    /// Whether texts are lowercased before they are tokenized.
    pub(super) lowercase: bool,
    pub(super) tokenizer: TokenizerConfig,
}

impl SentenceTransformerConfig {
    /// Reads the files. If there is only `config.json`, vectors are the mean of all hidden states, as in Python.
    ///
    /// *Errors*: `FetchFailed`, `InvalidWeights` naming the file, `UnsupportedModel`.
    pub async fn read(files: &mut Loading<'_, '_>) -> Result<Self> {
        let config = files.required(CONFIG).await;
        let list = match &config {
            Err(error) if error.status() != Some(404) && !error.is_refused() => None,
            _ => files.optional(MODULES).await?,
        };
        // The module has no config; one that lies beside it is of another model, but for that of model2vec.
        let list = list.map(|json| modules(&json)).transpose();
        let is_static = matches!(&list, Ok(Some(list)) if is_static_embedding(list));
        let config = match config {
            Ok(config) if !is_static || is_model2vec(&config) => config,
            _ if is_static => STATIC_EMBEDDING.to_vec(),
            // Modules that cannot be read may be the reason why there is no config.
            Err(error) => return Err(list.err().unwrap_or(error)),
            Ok(config) => config,
        };
        let mut encoder = SentenceEncoderConfig::from_json(&config)?;
        let is_cut = match files.layers() {
            Some(layers) => cut(&mut encoder, layers)?,
            None => false,
        };
        let list = match list? {
            Some(list) => Some(list),
            None if encoder.is_decoder() => {
                return Err(Error::unsupported(format!(
                    "{MODULES}: is missing, and a decoder without it is no sentence encoder: load it by Decoder"
                )));
            }
            None => None,
        };
        let is_classifier = list.is_none() && is_sequence_classifier(&config);
        let list = list.unwrap_or_default();
        let pooling = match list.iter().find(|module| module.kind == Kind::Pooling) {
            Some(Module { folder, .. }) if encoder.as_static().is_none() => {
                let file = format!("{folder}config.json");
                PoolingConfig::from_json(&file, &files.required(&file).await?)?
            }
            _ => PoolingConfig::default(),
        };
        let [hidden, positions] = encoder.sizes();
        let mut steps = match encoder.as_static().and_then(|own| own.model2vec) {
            Some(own) => Steps::normalizing(own.normalize),
            None => Steps::read(files, &list, hidden * pooling.modes.len()).await?,
        };
        let prompts = match files.optional(PROMPTS).await? {
            Some(json) => Prompts::from_json(&json)?,
            None => Prompts::default(),
        };
        if let Some(most) = prompts.truncate_dim {
            steps.truncate(most.get());
        }
        if prompts.truncate_normalized {
            steps.normalize();
        }
        let tokenizer = tokenizer_config(files, &config).await?;
        // A host that does not list its files is asked for the usual name alone.
        let mut names = OTHER_SENTENCE.into_iter();
        let name = match files.snapshot().lacks(SENTENCE) {
            true => names.find(|name| files.snapshot().lists(name)),
            false => None,
        };
        let name = name.unwrap_or(SENTENCE);
        let sentence = match files.optional(name).await? {
            Some(json) => SentenceConfig::from_json(name, &json)?,
            None => SentenceConfig::default(),
        };
        let longest = sentence.max_seq_length.or(tokenizer.longest());
        let max_tokens = longest.unwrap_or(positions).min(positions);
        Ok(Self {
            encoder,
            is_cut,
            is_classifier,
            pooling,
            steps,
            prompts,
            max_tokens,
            lowercase: sentence.do_lower_case,
            tokenizer,
        })
    }
}

/// Reads `tokenizer_config.json`, which a repository may lack; `config` is its `config.json`.
pub(super) async fn tokenizer_config(
    files: &mut Loading<'_, '_>,
    config: &[u8],
) -> Result<TokenizerConfig> {
    let json = files.optional(TOKENIZER_CONFIG).await?;
    TokenizerConfig::new(json.as_deref(), config)
}

/// Reads `tokenizer.json`, or makes it from `vocab.txt`, if the repository has only that.
///
/// *Errors*: `FetchFailed` where there is neither, `UnsupportedModel` for the files of another tokenizer.
pub(super) async fn tokenizer_file(
    files: &mut Loading<'_, '_>,
    file: &str,
    config: &TokenizerConfig,
) -> Result<Vec<u8>> {
    if let Some(json) = files.optional(file).await? {
        return Ok(json);
    }
    match files.optional(VOCABULARY).await? {
        Some(words) => config.tokenizer_of(&words),
        None => Err(files.missing(file)),
    }
}

/// Leaves the encoder its first `layers` layers. Returns whether it had more.
///
/// *Errors*: `InvalidInput` for no layers, or more than it has.
pub(super) fn cut(encoder: &mut SentenceEncoderConfig, layers: usize) -> Result<bool> {
    cut_layers(encoder.layers(), layers)
}

/// Replaces a number of layers by a lower one. Returns whether it was lower.
///
/// *Errors*: `InvalidInput` for no layers, or more than there are.
pub(super) fn cut_layers(all: &mut usize, layers: usize) -> Result<bool> {
    let all = std::mem::replace(all, layers);
    if all == 0 {
        return Err(Error::invalid_input(format!(
            "layers is {layers}, but the model is a table without layers"
        )));
    }
    if layers == 0 || layers > all {
        return Err(Error::invalid_input(format!(
            "layers is {layers}, expected 1 to {all}"
        )));
    }
    Ok(layers < all)
}

/// The contents of `sentence_bert_config.json`, or of its other names.
#[derive(Default, Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl SentenceConfig {
    fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json)
            .map_err(|error| Error::invalid_weights(format!("{file}: is not valid: {error}")))
    }
}
