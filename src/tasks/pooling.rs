//! Pooling: the reduction of a text's hidden states to one vector.

use crate::error::{Error, Result};

/// The way in which the hidden states of a text are reduced to one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The hidden state of the first token.
    Cls,
    /// The hidden state of the last token.
    LastToken,
    /// The mean over all tokens.
    Mean,
    /// The largest value of each dimension.
    Max,
    /// The sum over all tokens, divided by the root of their number.
    MeanSqrtLength,
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
            ["pooling_mode_lasttoken"] => Ok(Self::LastToken),
            ["pooling_mode_mean_tokens"] => Ok(Self::Mean),
            ["pooling_mode_max_tokens"] => Ok(Self::Max),
            ["pooling_mode_mean_sqrt_len_tokens"] => Ok(Self::MeanSqrtLength),
            _ => Err(Error::unsupported(format!(
                "{file}: the pooling is [{}], expected one of cls_token, lasttoken, mean_tokens, max_tokens, mean_sqrt_len_tokens",
                chosen.join(", ")
            ))),
        }
    }

    /// Pools the hidden states of one text into `to`, but for those of its first `skipped` tokens: of a prompt that is not to be pooled. The
    /// first token stays that of the whole, as in sentence-transformers. Where no token is left, the result is zero.
    ///
    /// *Shapes*: `hidden: [t, d]`, `to: [d]`.
    pub(super) fn pool_after(self, skipped: usize, hidden: &[f32], to: &mut [f32]) {
        match hidden.get(skipped * to.len()..) {
            _ if self == Self::Cls => self.pool(hidden, to),
            Some(rest) if !rest.is_empty() => self.pool(rest, to),
            _ => to.fill(0.0),
        }
    }

    /// Pools the hidden states of one text into `to`.
    ///
    /// *Shapes*: `hidden: [t, d]`, `to: [d]`.
    pub(super) fn pool(self, hidden: &[f32], to: &mut [f32]) {
        let d = to.len();
        let rows = hidden.len() / d;
        to.copy_from_slice(&hidden[..d]);
        match self {
            Self::Cls => return,
            Self::LastToken => {
                to.copy_from_slice(&hidden[hidden.len() - d..]);
                return;
            }
            Self::Mean | Self::Max | Self::MeanSqrtLength => {}
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
            Self::Cls | Self::LastToken | Self::Max => 1.0,
        };
        for to in to {
            *to /= divisor;
        }
    }
}

/// Whether a pooling module's `config.json` says that the tokens of a prompt are pooled too, as they are where it says nothing.
pub(super) fn includes_prompt(json: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Config {
        include_prompt: Option<bool>,
    }
    let config = serde_json::from_slice::<Config>(json);
    config.map_or(true, |config| config.include_prompt != Some(false))
}

/// Scales a vector to length 1; a vector of zeros stays as it is.
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

    #[test]
    fn each_mode_pools_as_sentence_transformers_does() {
        let hidden = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 0.0];
        for (mode, expected) in [
            (Pooling::Cls, [1.0, -2.0]),
            (Pooling::LastToken, [7.0, 0.0]),
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
    fn tokens_of_a_prompt_are_left_out_but_for_the_first_token_of_all() {
        let hidden = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 0.0];
        for (mode, expected) in [
            (Pooling::Cls, [1.0, -2.0]),
            (Pooling::LastToken, [7.0, 0.0]),
            (Pooling::Mean, [6.0, -3.0]),
            (Pooling::Max, [7.0, 0.0]),
        ] {
            let mut to = [9.0; 2];
            mode.pool_after(2, &hidden, &mut to);
            assert_eq!(to, expected, "{mode:?}");
            for all in [4, 5] {
                mode.pool_after(all, &hidden, &mut to);
                let left = if mode == Pooling::Cls {
                    expected
                } else {
                    [0.0; 2]
                };
                assert_eq!(to, left, "{mode:?}");
            }
        }
        assert!(includes_prompt(br#"{"pooling_mode_cls_token":true}"#));
        assert!(!includes_prompt(br#"{"include_prompt":false}"#));
    }
}
