//! The configuration of a sentence-transformers repository: its encoder, its pooling, and the truncation of texts.

use serde::Deserialize;

use super::load::Loading;
use super::pooling::{Pooling, includes_prompt};
use super::prompts::{PROMPTS, Prompts};
use crate::error::{Error, Result};
use crate::models::{SentenceEncoderConfig, is_sequence_classifier};

pub(super) const CONFIG: &str = "config.json";
pub(super) const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";
const SENTENCE: &str = "sentence_bert_config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// All config files, the largest last.
pub(super) const FILES: &[&str] = &[CONFIG, MODULES, POOLING, SENTENCE, PROMPTS, TOKENIZER];

/// The configuration of a sentence encoder, from the config files of its repository.
pub struct SentenceTransformerConfig {
    pub(super) encoder: SentenceEncoderConfig,
    /// Whether the model has more layers than the encoder.
    pub(super) is_cut: bool,
    /// Whether the checkpoint is that of a classifier of whole texts, and has no modules of a sentence encoder.
    pub(super) is_classifier: bool,
    pub(super) pooling: Pooling,
    pub(super) prompts: Prompts,
    /// Whether the tokens of a prompt are pooled too.
    pub(super) include_prompt: bool,
    /// Whether vectors are scaled to length 1.
    pub(super) normalize: bool,
    /// The longest text in tokens, special tokens included.
    pub(super) max_tokens: usize,
    /// Whether texts are lowercased before they are tokenized.
    pub(super) lowercase: bool,
}

impl SentenceTransformerConfig {
    /// Reads the files. If there is only `config.json`, vectors are the mean of all hidden states, as in Python.
    ///
    /// *Errors*: `FetchFailed`, `InvalidWeights` naming the file, `UnsupportedModel`.
    pub async fn read(files: &mut Loading<'_, '_>) -> Result<Self> {
        let config = files.required(CONFIG).await?;
        let mut encoder = SentenceEncoderConfig::from_json(&config)?;
        let is_cut = match files.layers() {
            Some(layers) => cut(&mut encoder, layers)?,
            None => false,
        };
        let modules = files.optional(MODULES).await?;
        let is_classifier = modules.is_none() && is_sequence_classifier(&config);
        let modules = match modules {
            Some(json) => Modules::from_json(&json)?,
            None if encoder.is_decoder() => {
                return Err(Error::unsupported(format!(
                    "{MODULES}: is missing, and a decoder without it is no sentence encoder: load it by Decoder"
                )));
            }
            None => Modules::ABSENT,
        };
        let (pooling, include_prompt) = match &modules.pooling_config {
            Some(file) => {
                let json = files.required(file).await?;
                (Pooling::from_json(file, &json)?, includes_prompt(&json))
            }
            None => (Pooling::Mean, true),
        };
        let prompts = match files.optional(PROMPTS).await? {
            Some(json) => Prompts::from_json(&json)?,
            None => Prompts::default(),
        };
        let [_, positions] = encoder.sizes();
        let (max_tokens, lowercase) = match files.optional(SENTENCE).await? {
            Some(json) => SentenceConfig::from_json(&json)?.limits(positions),
            None => (positions, false),
        };
        Ok(Self {
            encoder,
            is_cut,
            is_classifier,
            pooling,
            prompts,
            include_prompt,
            normalize: modules.normalize,
            max_tokens,
            lowercase,
        })
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
    if layers == 0 || layers > all {
        return Err(Error::invalid_input(format!(
            "layers is {layers}, expected 1 to {all}"
        )));
    }
    Ok(layers < all)
}

/// The contents of `sentence_bert_config.json`.
#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl SentenceConfig {
    fn from_json(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json)
            .map_err(|error| Error::invalid_weights(format!("{SENTENCE}: is not valid: {error}")))
    }

    /// The longest text, and whether texts are lowercased.
    fn limits(&self, positions: usize) -> (usize, bool) {
        let longest = self.max_seq_length.unwrap_or(positions).min(positions);
        (longest, self.do_lower_case)
    }
}

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The steps after the encoder, from `modules.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Modules {
    /// The path of the pooling's config, if there is a pooling step.
    pub pooling_config: Option<String>,
    /// Whether vectors are scaled to length 1.
    pub normalize: bool,
}

impl Modules {
    /// The steps of a repository without the file: sentence-transformers then pools by the mean and does not normalize.
    pub const ABSENT: Self = Self {
        pooling_config: None,
        normalize: false,
    };

    /// Reads `modules.json`.
    ///
    /// *Errors*: `InvalidWeights` where the file is broken, `UnsupportedModel` for an unknown step.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let modules: Vec<Module> = serde_json::from_slice(json).map_err(|error| {
            Error::invalid_weights(format!("modules.json: is not valid: {error}"))
        })?;
        let mut found = Self::ABSENT;
        for Module { path, kind } in modules {
            match kind.rsplit('.').next() {
                Some("Transformer") => {}
                Some("Pooling") if is_inside(&path) => {
                    found.pooling_config = Some(format!("{path}/config.json"));
                }
                Some("Pooling") => {
                    return Err(Error::invalid_weights(format!(
                        "modules.json: path is '{path}', expected a folder of the repository"
                    )));
                }
                Some("Normalize") => found.normalize = true,
                _ => {
                    return Err(Error::unsupported(format!(
                        "modules.json: type is '{kind}', expected Transformer, Pooling or Normalize"
                    )));
                }
            }
        }
        Ok(found)
    }
}

/// Whether a path stays within the repository, both as a URL and in a file system.
fn is_inside(path: &str) -> bool {
    let plain =
        |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '%', '?', '#']);
    path.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_path_that_leads_out_of_the_repository_is_an_error_that_names_it() {
        for path in [
            "..",
            "../x",
            "a/../../b",
            "/etc",
            "",
            "a//b",
            "C:\\\\x",
            "%2e%2e",
            "a?b",
        ] {
            let json = format!(r#"[{{"path":"{path}","type":"models.Pooling"}}]"#);
            let error = Modules::from_json(json.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{path}");
            assert!(error.to_string().contains("modules.json: path"), "{error}");
        }
    }

    #[test]
    fn unknown_steps_and_modes_are_errors_that_name_them() {
        let error = Modules::from_json(
            br#"[{"path":"2_Dense","type":"sentence_transformers.models.Dense"}]"#,
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        assert!(error.to_string().contains("models.Dense"), "{error}");
        for json in [
            r#"{"pooling_mode_cls_token":true,"pooling_mode_max_tokens":true}"#,
            "{}",
        ] {
            let error = Pooling::from_json("1_Pooling/config.json", json.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        }
        assert_eq!(
            Pooling::from_json("x", b"[").unwrap_err().kind(),
            ErrorKind::InvalidWeights
        );
    }
}
