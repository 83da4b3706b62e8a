//! Static embeddings: the vector of a text is the mean of rows of a table, one for each token.
//!
//! *Source*: model2vec 0.10, `StaticModel`, and sentence-transformers 5.4, `StaticEmbedding`.

use burn::tensor::Tensor;
use serde_json::Value;

use super::config::{Fields, architecture, check_ids};
use super::sentence_encoder::Encoder;
use crate::device::cpu;
use crate::error::{Error, Result};
use crate::memory::{out_of_memory, try_zeros};
use crate::ops::{Spans, floats};
use crate::scheduler::Scheduler;
use crate::weights::{Table, Tensors};

/// The `model_type` of model2vec.
const MODEL2VEC: &str = "model2vec";

/// The longest text in tokens where a config of model2vec has no `max_length`.
const MAX_LENGTH: usize = 512;

/// A config for the module `StaticEmbedding` of sentence-transformers, which has no file for one.
pub const STATIC_EMBEDDING: &[u8] = br#"{"model_type":"static embedding"}"#;

/// Whether `config.json` is that of a repository of model2vec.
pub fn is_model2vec(json: &[u8]) -> bool {
    architecture(json).is_ok_and(|name| name == MODEL2VEC)
}

/// The settings of a static embedding.
#[derive(Clone, Debug)]
pub struct StaticEmbeddingConfig {
    /// The settings in `config.json` of model2vec; `None` for the module of sentence-transformers.
    pub model2vec: Option<Model2Vec>,
    /// The number of layers, which is 0.
    layers: usize,
}

/// The settings of model2vec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model2Vec {
    /// Whether vectors have the length 1.
    pub normalize: bool,
    /// The longest text in tokens; `None` for no limit.
    pub max_length: Option<usize>,
    /// The median number of characters of a token before the vocabulary was cut, which only `pilotlight pull --vocabulary` writes.
    pub median_token_length: Option<usize>,
}

/// A static embedding.
pub struct StaticEmbedding {
    /// `[rows, d]`
    table: Table,
    /// The row of each token; `None` where the token `i` has the row `i`.
    mapping: Option<Vec<u32>>,
    /// The weight of each token; `None` where all weigh 1.
    weights: Option<Vec<f32>>,
}

impl Encoder for StaticEmbedding {
    type Config = StaticEmbeddingConfig;

    const PREFIXES: &'static [&'static str] = &[""];

    fn config(json: &[u8]) -> Result<StaticEmbeddingConfig> {
        let model2vec = match is_model2vec(json) {
            true => Some(Model2Vec::from_json(json)?),
            false => None,
        };
        Ok(StaticEmbeddingConfig {
            model2vec,
            layers: 0,
        })
    }

    fn sizes(config: &StaticEmbeddingConfig) -> [usize; 2] {
        let limit = config.model2vec.and_then(|own| own.max_length);
        [0, limit.unwrap_or(usize::MAX)]
    }

    fn layers(config: &mut StaticEmbeddingConfig) -> &mut usize {
        &mut config.layers
    }

    fn new(config: &StaticEmbeddingConfig, tensors: &mut Tensors) -> Result<Self> {
        if config.model2vec.is_none() {
            return Ok(Self {
                table: tensors.table_of_any_size("embedding.weight", Some("embeddings"))?,
                mapping: None,
                weights: None,
            });
        }
        let table = tensors.table_of_any_size("embeddings", None)?;
        let mapping = match tensors.optional_indices("mapping")? {
            Some(rows) => Some(checked(&rows, table.rows())?),
            None => None,
        };
        Ok(Self {
            table,
            mapping,
            weights: tensors.optional_numbers("weights")?,
        })
    }

    /// Looks up the rows of the tokens, times their weights, on the CPU. A text may have no tokens.
    async fn forward(
        &self,
        sequences: &[&[u32]],
        _layers: usize,
        _scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let d = self.dimensions();
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let t = sequences.iter().map(|ids| ids.len()).sum::<usize>();
        let mut x = try_zeros(t.saturating_mul(d)).map_err(|error| {
            out_of_memory(format!("out of memory for {t} rows of {d} values"), error)
        })?;
        let mut rows = x.chunks_exact_mut(d);
        for ids in sequences {
            check_ids(ids, self.tokens())?;
            for (&id, to) in ids.iter().zip(&mut rows) {
                self.add(id, to);
            }
        }
        Ok((floats(x, [t, d], &cpu()), spans))
    }
}

impl StaticEmbedding {
    /// The number of values of a vector.
    pub fn dimensions(&self) -> usize {
        self.table.columns()
    }

    /// Computes the mean of the rows of a text's tokens, each times its weight; zeros for a text without tokens. The sum is divided by the
    /// number of tokens, whatever their weights.
    ///
    /// *Shapes*: `to: [d]`.
    /// *Errors*: `InvalidWeights` for an id past the vocabulary.
    pub fn mean(&self, ids: &[u32], to: &mut [f32]) -> Result<()> {
        check_ids(ids, self.tokens())?;
        to.fill(0.0);
        for &id in ids {
            self.add(id, to);
        }
        let count = ids.len().max(1) as f32;
        for to in to {
            *to /= count;
        }
        Ok(())
    }

    /// The number of token ids that have a row and a weight.
    fn tokens(&self) -> usize {
        let mapped = self.mapping.as_ref().map_or(self.table.rows(), Vec::len);
        let weighed = self.weights.as_ref().map_or(usize::MAX, Vec::len);
        mapped.min(weighed)
    }

    /// Adds the row of a token, times its weight. The id must be below [`tokens`](Self::tokens).
    fn add(&self, id: u32, to: &mut [f32]) {
        let id = id as usize;
        let row = self.mapping.as_ref().map_or(id, |rows| rows[id] as usize);
        let weight = self.weights.as_ref().map_or(1.0, |weights| weights[id]);
        self.table.add_row(row, weight, to);
    }
}

impl Model2Vec {
    fn from_json(json: &[u8]) -> Result<Self> {
        let fields = Fields::parse(json, &[MODEL2VEC], "{}")?;
        fields.only(&[("normalize", &[true.into(), false.into()])])?;
        let normalize = fields.get("normalize").and_then(Value::as_bool);
        let max_length = match fields.get("max_length") {
            Some(_) => Some(fields.size("max_length", u32::MAX as usize)?),
            // Null is no limit.
            None if fields.has("max_length") => None,
            None => Some(MAX_LENGTH),
        };
        let median_token_length = match fields.has("median_token_length") {
            true => Some(fields.size("median_token_length", u32::MAX as usize)?),
            false => None,
        };
        Ok(Self {
            normalize: normalize.unwrap_or(false),
            max_length,
            median_token_length,
        })
    }
}

/// The rows that a mapping names.
///
/// *Errors*: `InvalidWeights` for one that the table does not have.
fn checked(mapping: &[f32], rows: usize) -> Result<Vec<u32>> {
    let is_row = |row: &f32| (0.0..rows as f32).contains(row);
    match mapping.iter().position(|row| !is_row(row)) {
        Some(id) => Err(Error::invalid_weights(format!(
            "tensor 'mapping' has the row {} for the token {id}, but 'embeddings' has {rows} rows",
            mapping[id]
        ))
        .with_tensor("mapping")),
        None => Ok(mapping.iter().map(|row| *row as u32).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn config(fields: &str) -> Result<StaticEmbeddingConfig> {
        StaticEmbedding::config(format!(r#"{{"model_type":"model2vec"{fields}}}"#).as_bytes())
    }

    #[test]
    fn the_longest_text_has_a_default_and_may_have_no_limit() {
        for (fields, normalize, max_length, median_token_length) in [
            ("", false, Some(512), None),
            (r#","max_length":20,"normalize":true"#, true, Some(20), None),
            (r#","max_length":null,"normalize":false"#, false, None, None),
            (r#","median_token_length":6"#, false, Some(512), Some(6)),
        ] {
            let expected = Model2Vec {
                normalize,
                max_length,
                median_token_length,
            };
            assert_eq!(
                config(fields).unwrap().model2vec,
                Some(expected),
                "{fields}"
            );
        }
        let module = StaticEmbedding::config(STATIC_EMBEDDING).unwrap();
        assert_eq!(module.model2vec, None);
        assert_eq!(StaticEmbedding::sizes(&module), [0, usize::MAX]);
    }

    #[test]
    fn an_absurd_config_is_an_error_that_names_the_field() {
        for (name, value, kind) in [
            ("max_length", "0", ErrorKind::InvalidWeights),
            ("max_length", "-1", ErrorKind::InvalidWeights),
            ("max_length", "1.5", ErrorKind::InvalidWeights),
            ("median_token_length", "0", ErrorKind::InvalidWeights),
            ("normalize", "1", ErrorKind::UnsupportedModel),
        ] {
            let error = config(&format!(r#","{name}":{value}"#)).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(
                error.to_string().contains(&format!("{name} is {value}")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_mapping_names_rows_of_the_table() {
        assert_eq!(checked(&[2.0, 0.0, 2.0], 3).unwrap(), [2, 0, 2]);
        for row in [3.0, -1.0] {
            let error = checked(&[0.0, row], 3).unwrap_err();
            assert_eq!(error.tensor(), Some("mapping"));
            assert!(error.to_string().contains("for the token 1"), "{error}");
        }
    }
}
