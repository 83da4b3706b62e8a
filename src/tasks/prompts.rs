//! Prompts: the texts that a sentence encoder was trained to read before its input, such as the instruction of a search.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::Deserialize;

use crate::error::{Error, Result};

/// The file in which a repository names its prompts.
pub(super) const PROMPTS: &str = "config_sentence_transformers.json";

/// The prompts of a repository, and how its vectors are to be compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    by_name: BTreeMap<String, String>,
    /// The prompt of calls without one.
    default: String,
    similarity: Option<String>,
    /// The number of values that are kept of a vector; the rest is cut off, and the length is not made 1 again.
    pub(super) truncate_dim: Option<NonZeroUsize>,
    /// Whether the length is made 1 after all, which only `pilotlight pull --dimensions` writes.
    pub(super) truncate_normalized: bool,
}

/// The ways to compare vectors that sentence-transformers knows.
const SIMILARITIES: [&str; 4] = ["cosine", "dot", "euclidean", "manhattan"];

/// The parts of the file that are read.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    prompts: Option<BTreeMap<String, Option<String>>>,
    default_prompt_name: Option<String>,
    similarity_fn_name: Option<String>,
    truncate_dim: Option<NonZeroUsize>,
    #[serde(default)]
    truncate_normalized: bool,
}

impl Prompts {
    /// Reads `config_sentence_transformers.json`.
    ///
    /// *Errors*: `InvalidWeights` where the file is broken, or the default is none of the prompts.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(json)
            .map_err(|error| Error::invalid_weights(format!("{PROMPTS}: is not valid: {error}")))?;
        let all = file.prompts.into_iter().flatten();
        let by_name: BTreeMap<_, _> = all
            .map(|(name, prompt)| (name, prompt.unwrap_or_default()))
            .collect();
        let default = match file.default_prompt_name {
            None => String::new(),
            Some(name) => by_name.get(&name).cloned().ok_or_else(|| {
                Error::invalid_weights(format!(
                    "{PROMPTS}: default_prompt_name is '{name}', expected a name of prompts"
                ))
            })?,
        };
        if let Some(name) = &file.similarity_fn_name
            && !SIMILARITIES.contains(&name.as_str())
        {
            return Err(Error::invalid_weights(format!(
                "{PROMPTS}: similarity_fn_name is '{name}', expected one of {}",
                SIMILARITIES.join(", ")
            )));
        }
        Ok(Self {
            by_name,
            default,
            similarity: file.similarity_fn_name,
            truncate_dim: file.truncate_dim,
            truncate_normalized: file.truncate_normalized,
        })
    }

    /// The prompts by their names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.by_name.iter()
    }

    /// The measure by which vectors are to be compared.
    pub fn similarity(&self) -> &str {
        self.similarity.as_deref().unwrap_or(SIMILARITIES[0])
    }

    /// Returns the text to put before each text: the prompt of this name, else the given text itself, and the default if nothing was given.
    pub fn text<'a>(&'a self, given: Option<&'a str>) -> &'a str {
        match given {
            None => &self.default,
            Some(given) => self.by_name.get(given).map_or(given, String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_prompt_is_found_by_its_name_or_is_a_text_of_its_own() {
        let json = br#"{"prompts":{"query":"Q: ","document":"","none":null},"default_prompt_name":"query"}"#;
        let prompts = Prompts::from_json(json).unwrap();
        assert_eq!(prompts.text(None), "Q: ");
        assert_eq!(prompts.text(Some("query")), "Q: ");
        assert_eq!(prompts.text(Some("document")), "");
        assert_eq!(prompts.text(Some("none")), "");
        assert_eq!(prompts.text(Some("")), "");
        assert_eq!(prompts.text(Some("Answer: ")), "Answer: ");
        for json in [
            r#"{"__version__":{}}"#,
            r#"{"prompts":null,"default_prompt_name":null}"#,
        ] {
            assert_eq!(
                Prompts::from_json(json.as_bytes()).unwrap(),
                Prompts::default()
            );
        }
    }

    #[test]
    fn a_broken_file_or_an_unknown_default_is_an_error_that_names_it() {
        for (json, what) in [
            ("[", "not valid"),
            (r#"{"prompts":{"query":7}}"#, "not valid"),
            (
                r#"{"prompts":{"query":"Q: "},"default_prompt_name":"passage"}"#,
                "'passage'",
            ),
            (r#"{"default_prompt_name":"query"}"#, "'query'"),
            (r#"{"similarity_fn_name":"hamming"}"#, "'hamming'"),
            (r#"{"truncate_dim":0}"#, "not valid"),
            (r#"{"truncate_dim":"8"}"#, "not valid"),
        ] {
            let error = Prompts::from_json(json.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{json}");
            assert!(error.to_string().starts_with(PROMPTS), "{error}");
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
