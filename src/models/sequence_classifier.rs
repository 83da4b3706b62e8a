//! Classifiers of whole texts: an encoder, and a head on the hidden state of the first token.
//!
//! *Source*: `transformers`, `BertForSequenceClassification` in `models/bert/modeling_bert.py` and
//! `DistilBertForSequenceClassification` in `models/distilbert/modeling_distilbert.py`, whose module names the tensors have.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::config::{self, FILE, MAX_WIDTH, indices};
use super::sentence_encoder::{SentenceEncoder, SentenceEncoderConfig};
use crate::error::{Error, Result};
use crate::ops::{Activation, Linear, read};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// How the name of an architecture with such a head ends.
const SUFFIX: &str = "ForSequenceClassification";

/// The parts of `config.json` that are about the head.
#[derive(Deserialize)]
struct HeadConfig {
    architectures: Option<Vec<String>>,
    id2label: Option<BTreeMap<String, String>>,
    num_labels: Option<usize>,
    problem_type: Option<String>,
}

/// The function that turns logits into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// One label is right: the probabilities of all sum to 1.
    Softmax,
    /// Each label is right or wrong by itself.
    Sigmoid,
}

/// The architecture, from `config.json`.
pub struct SequenceClassifierConfig {
    encoder: SentenceEncoderConfig,
    /// The name of the head's first layer, `[d, d]`.
    dense: &'static str,
    /// The name of the norm whose output that layer takes.
    last_norm: String,
    /// The names of the labels, in the order of the classifier's rows.
    pub labels: Vec<String>,
    output: Output,
}

/// Whether `config.json` is that of a classifier of whole texts, be it of an architecture that is known here or not.
pub fn is_sequence_classifier(json: &[u8]) -> bool {
    let config = config::read::<HeadConfig>(json);
    config.is_ok_and(|config| {
        let mut names = config.architectures.iter().flatten();
        names.any(|name| name.ends_with(SUFFIX))
    })
}

impl SequenceClassifierConfig {
    /// Reads and checks the config.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture or kind of problem, `InvalidWeights` where the file is broken or absurd.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let head: HeadConfig = config::read(json)?;
        let known = ["Bert", "DistilBert"].map(|name| format!("{name}{SUFFIX}"));
        let architectures = head.architectures.as_deref().unwrap_or_default();
        if !architectures.iter().any(|name| known.contains(name)) {
            return Err(Error::unsupported(format!(
                "{FILE}: architectures is [{}], expected {}",
                architectures.join(", "),
                known.join(" or ")
            )));
        }
        let mut encoder = SentenceEncoderConfig::from_json(json)?;
        let last = *encoder.layers() - 1;
        let (dense, last_norm) = match encoder {
            SentenceEncoderConfig::Bert(_) => (
                "pooler.dense",
                format!("encoder.layer.{last}.output.LayerNorm"),
            ),
            SentenceEncoderConfig::DistilBert(_) => (
                "pre_classifier",
                format!("transformer.layer.{last}.output_layer_norm"),
            ),
            _ => {
                return Err(Error::unsupported(format!(
                    "{FILE}: model_type is another than the architecture has, expected bert or distilbert"
                )));
            }
        };
        let labels = head.labels()?;
        let output = match head.problem_type.as_deref() {
            Some("multi_label_classification") => Output::Sigmoid,
            // As the pipelines of `transformers` do: a single label would have the probability 1 for every text.
            None | Some("single_label_classification") if labels.len() == 1 => Output::Sigmoid,
            None | Some("single_label_classification") => Output::Softmax,
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "{FILE}: problem_type is '{other}', expected 'single_label_classification' or 'multi_label_classification'"
                )));
            }
        };
        Ok(Self {
            encoder,
            dense,
            last_norm,
            labels,
            output,
        })
    }

    /// The longest sequence in tokens.
    pub fn positions(&self) -> usize {
        let [_, positions] = self.encoder.sizes();
        positions
    }

    /// The prefixes that tensor names may have in a checkpoint: those of the encoder, while the head has none.
    pub fn prefixes(&self) -> &'static [&'static str] {
        self.encoder.prefixes()
    }

    /// The probability of each label, 0 to 1.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let logits = logits.iter().copied().map(f64::from);
        match self.output {
            Output::Sigmoid => logits.map(|logit| 1.0 / (1.0 + (-logit).exp())).collect(),
            Output::Softmax => {
                let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = logits.map(|logit| (logit - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(|power| power / sum).collect()
            }
        }
    }
}

impl HeadConfig {
    /// The names of the labels by their numbers; `LABEL_0` and so on where the config has none, of which there are two unless it says
    /// otherwise, as in `transformers`.
    fn labels(&self) -> Result<Vec<String>> {
        let count = match &self.id2label {
            Some(labels) => labels.len(),
            None => self.num_labels.unwrap_or(2),
        };
        config::check_sizes(&[("the number of labels", count, MAX_WIDTH)])?;
        let name = |index: usize| match &self.id2label {
            None => Ok(format!("LABEL_{index}")),
            Some(labels) => labels.get(&index.to_string()).cloned().ok_or_else(|| {
                Error::invalid_weights(format!(
                    "{FILE}: id2label has no '{index}', expected '0' to '{}'",
                    count - 1
                ))
            }),
        };
        (0..count).map(name).collect()
    }
}

/// A classifier of whole texts.
pub struct SequenceClassifier {
    encoder: SentenceEncoder,
    head: Head,
    device: Device,
}

struct Head {
    /// `[d, d]`: `bert.pooler.dense` or `pre_classifier`.
    dense: Linear,
    is_tanh: bool,
    /// `[labels, d]`, in f32 at every dtype: it is small, and its rounding would go right into the logits.
    classifier: Vec<f32>,
    /// `[labels]`
    bias: Vec<f32>,
}

impl SequenceClassifier {
    /// Takes the tensors of the encoder and of the head.
    pub fn new(config: &SequenceClassifierConfig, tensors: &mut Tensors) -> Result<Self> {
        let encoder = SentenceEncoder::new(&config.encoder, tensors)?;
        let ([d, _], count) = (config.encoder.sizes(), config.labels.len());
        let head = Head {
            dense: tensors.linear(config.dense, [d, d], Some(&config.last_norm))?,
            is_tanh: matches!(config.encoder, SentenceEncoderConfig::Bert(_)),
            classifier: tensors.list("classifier.weight", &[count, d])?,
            bias: tensors.list("classifier.bias", &[count])?,
        };
        Ok(Self {
            encoder,
            head,
            device: tensors.device().clone(),
        })
    }

    /// Computes the logits of several sequences.
    ///
    /// *Shapes*: `sequences`: token ids of each text, result `[texts, labels]`.
    /// *Errors*: as [`Encoder::forward`](super::Encoder::forward).
    pub async fn forward(
        &self,
        sequences: &[&[u32]],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<f32>> {
        let (hidden, spans) = self
            .encoder
            .forward(sequences, usize::MAX, scheduler)
            .await?;
        // The first token of each text: [t, d] → [texts, d]
        let firsts = spans.iter().map(|rows| rows.start as i32).collect();
        let pooled = self
            .head
            .pool(hidden.select(0, indices(firsts, &self.device)));
        let pooled = read(pooled).await?;
        // [texts, d] → [texts, labels]
        let d = self.head.classifier.len() / self.head.bias.len();
        Ok(pooled
            .chunks_exact(d)
            .flat_map(|row| self.head.logits(row))
            .collect())
    }
}

impl Head {
    /// *Shapes*: `x: [texts, d]`, result the same.
    fn pool(&self, x: Tensor<2>) -> Tensor<2> {
        match self.is_tanh {
            true => self.dense.forward(x, Activation::Identity).tanh(),
            false => self.dense.forward(x, Activation::Relu),
        }
    }

    fn logits(&self, pooled: &[f32]) -> impl Iterator<Item = f32> {
        let rows = self.classifier.chunks_exact(pooled.len());
        rows.zip(&self.bias).map(move |(row, bias)| {
            let products = row.iter().zip(pooled).map(|(w, x)| w * x);
            products.sum::<f32>() + bias
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn config(more: &str) -> Result<SequenceClassifierConfig> {
        let json = format!(
            r#"{{"model_type":"bert","vocab_size":10,"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
            "intermediate_size":16,"hidden_act":"gelu","max_position_embeddings":4,"type_vocab_size":1,{more}}}"#
        );
        SequenceClassifierConfig::from_json(json.as_bytes())
    }

    const BERT: &str = r#""architectures":["BertForSequenceClassification"]"#;

    #[test]
    fn labels_come_by_their_numbers_and_two_are_the_default() {
        let labels = |more: &str| config(&format!("{BERT}{more}")).map(|config| config.labels);
        assert_eq!(labels("").unwrap(), ["LABEL_0", "LABEL_1"]);
        assert_eq!(labels(r#","num_labels":1"#).unwrap(), ["LABEL_0"]);
        let names: Vec<_> = (0..12).map(|i| format!(r#""{i}":"l{i}""#)).collect();
        let given = labels(&format!(r#","id2label":{{{}}}"#, names.join(","))).unwrap();
        assert_eq!(given[2], "l2");
        assert_eq!(given.last().unwrap(), "l11");
    }

    #[test]
    fn one_label_or_several_at_once_have_probabilities_of_their_own() {
        let of = |more: &str, logits: &[f32]| {
            config(&format!("{BERT},{more}"))
                .unwrap()
                .probabilities(logits)
        };
        let single = r#""problem_type":"single_label_classification""#;
        let multi = r#""problem_type":"multi_label_classification""#;
        assert_eq!(of(single, &[0.0, 0.0]), [0.5, 0.5]);
        assert_eq!(of(multi, &[0.0, 0.0]), [0.5, 0.5]);
        // Far apart, without an overflow, and without losing the small one.
        let [no, yes] = of(single, &[20.0, -20.0])[..] else {
            panic!("two labels")
        };
        assert!(no <= 1.0 && (yes / (-40f64).exp() - 1.0).abs() < 1e-9);
        assert_eq!(of(single, &[1e30, -1e30]), [1.0, 0.0]);
        let both = of(multi, &[2.0, 2.0]);
        assert!((both[0] - 0.880_797).abs() < 1e-6 && both[0].to_bits() == both[1].to_bits());
        let alone = of(r#""num_labels":1"#, &[2.0]);
        assert!((alone[0] - 0.880_797).abs() < 1e-6);
    }

    #[test]
    fn another_architecture_or_odd_labels_are_errors_that_name_the_field() {
        for (more, kind, what) in [
            (
                r#""architectures":["RobertaForSequenceClassification"]"#,
                ErrorKind::UnsupportedModel,
                "architectures is [RobertaForSequenceClassification], expected BertForSequenceClassification",
            ),
            (
                r#""num_labels":2"#,
                ErrorKind::UnsupportedModel,
                "architectures is []",
            ),
            (
                r#""architectures":["BertForSequenceClassification"],"problem_type":"regression""#,
                ErrorKind::UnsupportedModel,
                "problem_type is 'regression'",
            ),
            (
                r#""architectures":["BertForSequenceClassification"],"id2label":{"0":"a","2":"b"}"#,
                ErrorKind::InvalidWeights,
                "id2label has no '1'",
            ),
            (
                r#""architectures":["BertForSequenceClassification"],"id2label":{}"#,
                ErrorKind::InvalidWeights,
                "the number of labels is 0",
            ),
            (
                r#""architectures":["BertForSequenceClassification"],"num_labels":1000000000"#,
                ErrorKind::InvalidWeights,
                "the number of labels is 1000000000",
            ),
            (
                r#""architectures":"BertForSequenceClassification""#,
                ErrorKind::InvalidWeights,
                "not valid",
            ),
        ] {
            let error = config(more).err().unwrap();
            assert_eq!(error.kind(), kind, "{more}");
            let message = error.to_string();
            assert!(
                message.starts_with("config.json: ") && message.contains(what),
                "{message}"
            );
        }
    }

    #[test]
    fn a_config_is_that_of_a_classifier_by_its_architecture() {
        for (json, expected) in [
            (
                r#"{"architectures":["RobertaForSequenceClassification"]}"#,
                true,
            ),
            (r#"{"architectures":["BertModel"]}"#, false),
            (r#"{"architectures":null}"#, false),
            ("{}", false),
            ("<html>", false),
        ] {
            assert_eq!(is_sequence_classifier(json.as_bytes()), expected, "{json}");
        }
    }
}
