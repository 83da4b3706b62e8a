//! How hidden states become one vector: by the repository's own sentence-transformers files.

use serde::Deserialize;

use crate::error::{Error, Result};

/// Which hidden states make the vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// That of the first token.
    Cls,
    /// The mean over all tokens.
    Mean,
    /// The largest value of each dimension.
    Max,
    /// The sum over all tokens, divided by the root of their number.
    MeanSqrtLength,
}

/// A line of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// What `modules.json` says of the steps after the encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Modules {
    /// The pooling's config, where there is one.
    pub pooling_config: Option<String>,
    /// Whether vectors are scaled to length 1.
    pub normalize: bool,
}

impl Modules {
    /// Without the file: sentence-transformers then takes the mean and does not normalize.
    pub const ABSENT: Self = Self {
        pooling_config: None,
        normalize: false,
    };

    /// *Errors*: `InvalidWeights` where the file is broken, `UnsupportedModel` for a step not known here.
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

/// Whether a path stays in the repository, in a URL as in a file system.
fn is_inside(path: &str) -> bool {
    let plain =
        |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '%', '?', '#']);
    path.split('/').all(plain)
}

impl Pooling {
    /// Reads a pooling module's `config.json`; `file` is its path, for messages.
    ///
    /// *Errors*: `InvalidWeights` where the file is broken, `UnsupportedModel` for a mode or combination not known here.
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        let config: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json)
            .map_err(|error| Error::invalid_weights(format!("{file}: is not valid: {error}")))?;
        let chosen: Vec<&str> = config
            .iter()
            .filter(|(name, value)| {
                name.starts_with("pooling_mode_") && value.as_bool() == Some(true)
            })
            .map(|(name, _)| name.as_str())
            .collect();
        match chosen[..] {
            ["pooling_mode_cls_token"] => Ok(Self::Cls),
            ["pooling_mode_mean_tokens"] => Ok(Self::Mean),
            ["pooling_mode_max_tokens"] => Ok(Self::Max),
            ["pooling_mode_mean_sqrt_len_tokens"] => Ok(Self::MeanSqrtLength),
            _ => Err(Error::unsupported(format!(
                "{file}: the pooling is [{}], expected one of cls_token, mean_tokens, max_tokens, mean_sqrt_len_tokens",
                chosen.join(", ")
            ))),
        }
    }

    /// *Shapes*: `hidden: [t, d]` of one text, `to: [d]`.
    pub(super) fn pool(self, hidden: &[f32], to: &mut [f32]) {
        let d = to.len();
        let rows = hidden.len() / d;
        to.copy_from_slice(&hidden[..d]);
        if self == Self::Cls {
            return;
        }
        for row in hidden.chunks_exact(d).skip(1) {
            for (to, x) in to.iter_mut().zip(row) {
                *to = if self == Self::Max {
                    to.max(*x)
                } else {
                    *to + x
                };
            }
        }
        let divisor = match self {
            Self::Mean => rows as f32,
            Self::MeanSqrtLength => (rows as f32).sqrt(),
            Self::Cls | Self::Max => 1.0,
        };
        for to in to {
            *to /= divisor;
        }
    }
}

/// Scales a vector to length 1; a vector of zeros stays.
pub(super) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        for x in vector {
            *x /= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn each_mode_pools_as_sentence_transformers_does() {
        let hidden = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 0.0];
        for (mode, expected) in [
            (Pooling::Cls, [1.0, -2.0]),
            (Pooling::Mean, [4.0, -1.0]),
            (Pooling::Max, [7.0, 4.0]),
            (Pooling::MeanSqrtLength, [8.0, -2.0]),
        ] {
            let mut to = [0.0; 2];
            mode.pool(&hidden, &mut to);
            assert_eq!(to, expected, "{mode:?}");
        }
    }

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
