//! Pooling: the reduction of a text's hidden states to one vector.

use std::ops::Range;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::ops::{Pool, Reduction};

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
    /// The mean over all tokens, each weighted by its place, from 1.
    WeightedMean,
}

/// The modes by the names of sentence-transformers, in the order in which it joins the vectors of several that flags choose.
const MODES: [(&str, &str, Pooling); 6] = [
    ("cls", "cls_token", Pooling::Cls),
    ("max", "max_tokens", Pooling::Max),
    ("mean", "mean_tokens", Pooling::Mean),
    (
        "mean_sqrt_len_tokens",
        "mean_sqrt_len_tokens",
        Pooling::MeanSqrtLength,
    ),
    ("weightedmean", "weightedmean_tokens", Pooling::WeightedMean),
    ("lasttoken", "lasttoken", Pooling::LastToken),
];

/// The pooling module of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolingConfig {
    /// The modes, whose vectors are joined.
    pub modes: Vec<Pooling>,
    /// Whether the tokens of a prompt are pooled too.
    pub include_prompt: bool,
}

impl Default for PoolingConfig {
    /// The pooling of sentence-transformers for a repository without a pooling module.
    fn default() -> Self {
        Self {
            modes: vec![Pooling::Mean],
            include_prompt: true,
        }
    }
}

impl PoolingConfig {
    /// Reads a pooling module's `config.json`, of any release of sentence-transformers; `file` is its path, for messages.
    ///
    /// *Errors*: `InvalidWeights` where the file is broken, `UnsupportedModel` for a mode that is not known here.
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Names {
            One(String),
            Several(Vec<String>),
        }
        #[derive(Deserialize)]
        struct Config {
            /// Since release 5.4.
            pooling_mode: Option<Names>,
            include_prompt: Option<bool>,
            #[serde(flatten)]
            rest: serde_json::Map<String, serde_json::Value>,
        }
        let config: Config = serde_json::from_slice(json)
            .map_err(|error| Error::invalid_weights(format!("{file}: is not valid: {error}")))?;
        let named = config.pooling_mode.is_some();
        let chosen: Vec<String> = match config.pooling_mode {
            Some(Names::One(name)) => vec![name],
            Some(Names::Several(names)) => names,
            None => config
                .rest
                .iter()
                .filter(|(_, value)| value.as_bool() == Some(true))
                .filter_map(|(name, _)| Some(name.strip_prefix("pooling_mode_")?.to_string()))
                .collect(),
        };
        let mode_of = |name: &String| {
            let place = MODES
                .iter()
                .position(|(new, old, _)| name == new || name == old)?;
            Some((place, MODES[place].2))
        };
        let modes: Option<Vec<_>> = chosen.iter().map(mode_of).collect();
        let Some(mut modes) = modes.filter(|modes| !named || !modes.is_empty()) else {
            return Err(Error::unsupported(format!(
                "{file}: the pooling is [{}], expected some of {}",
                chosen.join(", "),
                MODES.map(|(name, ..)| name).join(", ")
            )));
        };
        // Names have an order of their own; flags have that of the list above, and where none is set, as in older files, it is the mean.
        if !named {
            modes.sort_by_key(|(place, _)| *place);
        }
        let modes: Vec<_> = modes.into_iter().map(|(_, mode)| mode).collect();
        Ok(Self {
            modes: match modes.is_empty() {
                true => vec![Pooling::Mean],
                false => modes,
            },
            include_prompt: config.include_prompt.unwrap_or(true),
        })
    }
}

impl Pooling {
    /// Pools the hidden states of one text into `to`, but for those of its first `skipped` tokens: of a prompt that is not to be pooled. The
    /// first token stays that of the whole, as in sentence-transformers. Where no token is left, the result is zero.
    ///
    /// *Shapes*: `hidden: [t, d]`, `to: [d]`.
    pub(super) fn pool_after(self, skipped: usize, hidden: &[f32], to: &mut [f32]) {
        match hidden.get(skipped * to.len()..) {
            _ if self == Self::Cls => self.pool(hidden, to),
            Some(rest) if !rest.is_empty() && self == Self::WeightedMean => {
                weighted_mean(skipped + 1, rest, to);
            }
            Some(rest) if !rest.is_empty() => self.pool(rest, to),
            _ => to.fill(0.0),
        }
    }

    /// The rows of a text that [`pool_after`](Self::pool_after) reduces to its vector, of those that the text has, and how.
    pub(super) fn rows(self, skipped: usize, text: &Range<usize>) -> Pool {
        let rest = (text.start + skipped).min(text.end)..text.end;
        match self {
            Self::Cls => (text.start..text.end.min(text.start + 1), Reduction::Mean),
            Self::LastToken => (
                rest.start.max(rest.end.saturating_sub(1))..rest.end,
                Reduction::Mean,
            ),
            Self::Mean => (rest, Reduction::Mean),
            Self::Max => (rest, Reduction::Max),
            Self::MeanSqrtLength => (rest, Reduction::MeanSqrtLength),
            Self::WeightedMean => {
                let first = skipped + 1;
                (rest, Reduction::WeightedMean { first })
            }
        }
    }

    /// Pools the hidden states of one text into `to`; a text without tokens gives zeros.
    ///
    /// *Shapes*: `hidden: [t, d]`, `to: [d]`.
    pub(super) fn pool(self, hidden: &[f32], to: &mut [f32]) {
        if hidden.is_empty() {
            return to.fill(0.0);
        }
        let d = to.len();
        let rows = hidden.len() / d;
        to.copy_from_slice(&hidden[..d]);
        match self {
            Self::Cls => return,
            Self::LastToken => {
                to.copy_from_slice(&hidden[hidden.len() - d..]);
                return;
            }
            Self::WeightedMean => return weighted_mean(1, hidden, to),
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
            Self::Cls | Self::LastToken | Self::Max | Self::WeightedMean => 1.0,
        };
        for to in to {
            *to /= divisor;
        }
    }
}

/// The mean of rows, weighted by their places, of which the first is `first`.
fn weighted_mean(first: usize, hidden: &[f32], to: &mut [f32]) {
    to.fill(0.0);
    let mut sum = 0.0;
    for (place, row) in (first..).zip(hidden.chunks_exact(to.len())) {
        sum += place as f32;
        for (to, x) in to.iter_mut().zip(row) {
            *to += place as f32 * x;
        }
    }
    for to in to {
        *to /= sum;
    }
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
    use crate::device::cpu;
    use crate::ops::{floats, pool, read};
    use crate::tasks::goldens::wait;

    #[test]
    fn each_mode_pools_as_sentence_transformers_does() {
        let hidden = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 0.0];
        for (mode, expected) in [
            (Pooling::Cls, [1.0, -2.0]),
            (Pooling::LastToken, [7.0, 0.0]),
            (Pooling::Mean, [4.0, -1.0]),
            (Pooling::Max, [7.0, 4.0]),
            (Pooling::MeanSqrtLength, [8.0, -2.0]),
            (Pooling::WeightedMean, [5.0, -1.2]),
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
    }

    #[test]
    fn pools_of_rows_are_those_of_the_values() {
        // Values that a mean of some rows tells apart.
        let hidden = [1.0, -2.0, 30.0, 4.0, 500.0, -6.0, 7000.0, 80.0];
        let modes = MODES.map(|(_, _, mode)| mode);
        for mode in modes {
            for skipped in [0, 1, 3, 4, 5] {
                // The text follows another one of two rows.
                let mut all = vec![9e9; 4];
                all.extend(hidden);
                let x = floats(all, [6, 2], &cpu());
                let got = wait(read(pool(x, vec![mode.rows(skipped, &(2..6))]))).unwrap();
                let mut expected = [0.0; 2];
                mode.pool_after(skipped, &hidden, &mut expected);
                for (got, expected) in got.iter().zip(expected) {
                    assert!(
                        (got - expected).abs() <= 1e-6 * expected.abs(),
                        "{mode:?}, {skipped} skipped: {got}, expected {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_module_is_read_in_each_spelling_and_joins_modes_as_sentence_transformers_does() {
        let read = |json: &str| PoolingConfig::from_json("1_Pooling/config.json", json.as_bytes());
        let config = |modes: &[Pooling], include_prompt| PoolingConfig {
            modes: modes.into(),
            include_prompt,
        };
        for (json, expected) in [
            (
                r#"{"pooling_mode_cls_token":true}"#,
                config(&[Pooling::Cls], true),
            ),
            (
                r#"{"pooling_mode":"mean","include_prompt":false}"#,
                config(&[Pooling::Mean], false),
            ),
            (
                r#"{"pooling_mode":["mean","cls"]}"#,
                config(&[Pooling::Mean, Pooling::Cls], true),
            ),
            ("{}", config(&[Pooling::Mean], true)),
            (
                r#"{"pooling_mode_cls_token":false}"#,
                config(&[Pooling::Mean], true),
            ),
            (
                r#"{"pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":true,"pooling_mode_lasttoken":false}"#,
                config(&[Pooling::Max, Pooling::Mean], true),
            ),
        ] {
            assert_eq!(read(json).unwrap(), expected, "{json}");
        }
        for json in [
            r#"{"pooling_mode":[]}"#,
            r#"{"pooling_mode":"nope"}"#,
            r#"{"pooling_mode_new":true}"#,
        ] {
            let error = read(json).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::UnsupportedModel);
            assert!(
                error
                    .to_string()
                    .starts_with("1_Pooling/config.json: the pooling is ["),
                "{error}"
            );
        }
    }
}
