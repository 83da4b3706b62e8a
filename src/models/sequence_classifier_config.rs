//! The configuration of a classifier of whole texts: its encoder, its head and its labels.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::config::{self, FILE, MAX_WIDTH};
use super::sentence_encoder::SentenceEncoderConfig;
use crate::error::{Error, Result};
use crate::ops::{Activation, activation_from_config};

/// The suffix of the name of an architecture with such a head.
const SUFFIX: &str = "ForSequenceClassification";

/// The parts of `config.json` that are about the head.
#[derive(Deserialize)]
struct HeadConfig {
    architectures: Option<Vec<String>>,
    id2label: Option<BTreeMap<String, String>>,
    num_labels: Option<usize>,
    problem_type: Option<String>,
    /// The settings by which sentence-transformers turns the logits of a pair into a score.
    sentence_transformers: Option<CrossEncoder>,
    /// The same, in files of its older releases.
    sbert_ce_default_activation_function: Option<String>,
    classifier_pooling: Option<String>,
    classifier_activation: Option<String>,
    #[serde(default)]
    classifier_bias: bool,
}

#[derive(Deserialize)]
struct CrossEncoder {
    activation_fn: Option<String>,
}

/// The layers between the encoder and the labels.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeadKind {
    /// A layer with tanh, of BERT and of those that are built on it.
    Pooler,
    /// A layer with ReLU, of DistilBERT.
    PreClassifier,
    /// A layer with tanh in the classifier itself, of RoBERTa and MPNet.
    Classifier,
    /// A layer, its activation and a norm, of ModernBERT, on the first hidden state or their mean.
    Normalized {
        activation: Activation,
        is_mean: bool,
        has_bias: bool,
    },
}

/// The function that turns logits into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// One label is right: the probabilities of all sum to 1.
    Softmax,
    /// Each label is right or wrong by itself.
    Sigmoid,
    /// The labels are numbers that the model estimates.
    Regression,
}

/// The architecture, from `config.json`.
pub struct SequenceClassifierConfig {
    pub(super) encoder: SentenceEncoderConfig,
    pub(super) head: HeadKind,
    /// The name of the norm whose output the head's first layer takes.
    pub(super) last_norm: Option<String>,
    /// The names of the labels, in the order of the classifier's rows.
    pub labels: Vec<String>,
    output: Output,
    /// Whether the score of a pair is the logit itself, and not its sigmoid.
    is_logit: bool,
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
        let mut encoder = SentenceEncoderConfig::from_json(json)?;
        let last = encoder.layers().saturating_sub(1);
        let (kind, last_norm) = match encoder {
            SentenceEncoderConfig::Bert(_) => (
                HeadKind::Pooler,
                Some(format!("encoder.layer.{last}.output.LayerNorm")),
            ),
            SentenceEncoderConfig::JinaBert(_) => (
                HeadKind::Pooler,
                Some(format!("encoder.layer.{last}.mlp.layernorm")),
            ),
            SentenceEncoderConfig::NomicBert(_) => (
                HeadKind::Pooler,
                Some(format!("encoder.layers.{last}.norm2")),
            ),
            SentenceEncoderConfig::DistilBert(_) => (
                HeadKind::PreClassifier,
                Some(format!("transformer.layer.{last}.output_layer_norm")),
            ),
            SentenceEncoderConfig::Roberta(_) | SentenceEncoderConfig::MpNet(_) => (
                HeadKind::Classifier,
                Some(format!("encoder.layer.{last}.output.LayerNorm")),
            ),
            SentenceEncoderConfig::ModernBert(_) => (head.normalized()?, None),
            SentenceEncoderConfig::Decoder(_) | SentenceEncoderConfig::StaticEmbedding(_) => {
                return Err(Error::unsupported(format!(
                    "{FILE}: model_type is that of a decoder or a table, expected an encoder"
                )));
            }
        };
        head.check(encoder.heads())?;
        let labels = head.labels()?;
        let output = match head.problem_type.as_deref() {
            Some("multi_label_classification") => Output::Sigmoid,
            // As the pipelines of `transformers` do: a single label would have the probability 1 for every text.
            None | Some("single_label_classification") if labels.len() == 1 => Output::Sigmoid,
            None | Some("single_label_classification") => Output::Softmax,
            Some("regression") => Output::Regression,
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "{FILE}: problem_type is '{other}', expected 'single_label_classification', 'multi_label_classification' or 'regression'"
                )));
            }
        };
        let is_logit = head.is_logit(labels.len())?;
        Ok(Self {
            encoder,
            head: kind,
            last_norm,
            labels,
            output,
            is_logit,
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

    /// The score of a pair of texts, of a model with one label.
    pub fn score(&self, logit: f32) -> f64 {
        let logit = f64::from(logit);
        match self.is_logit {
            true => logit,
            false => sigmoid(logit),
        }
    }

    /// The probability of each label, 0 to 1; none where the labels are numbers that the model estimates.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let logits = logits.iter().copied().map(f64::from);
        match self.output {
            Output::Regression => Vec::new(),
            Output::Sigmoid => logits.map(sigmoid).collect(),
            Output::Softmax => {
                let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = logits.map(|logit| (logit - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(|power| power / sum).collect()
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl HeadConfig {
    /// Checks that the architecture has a head, by how the names of the encoder's architectures begin.
    fn check(&self, kinds: &[&str]) -> Result<()> {
        let names = self.architectures.as_deref().unwrap_or_default();
        let expected: Vec<_> = kinds.iter().map(|kind| format!("{kind}{SUFFIX}")).collect();
        if names.iter().any(|name| expected.contains(name)) {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "{FILE}: architectures is [{}], expected {}",
            names.join(", "),
            expected.join(" or ")
        )))
    }

    /// The head of ModernBERT.
    fn normalized(&self) -> Result<HeadKind> {
        let is_mean = match self.classifier_pooling.as_deref() {
            None | Some("cls") => false,
            Some("mean") => true,
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "{FILE}: classifier_pooling is '{other}', expected 'cls' or 'mean'"
                )));
            }
        };
        let activation = self.classifier_activation.as_deref().unwrap_or("gelu");
        Ok(HeadKind::Normalized {
            activation: activation_from_config("classifier_activation", activation)?,
            is_mean,
            has_bias: self.classifier_bias,
        })
    }

    /// Whether the score of a pair is the logit itself: where the file names the identity, or there are several labels.
    fn is_logit(&self, labels: usize) -> Result<bool> {
        let new = self.sentence_transformers.as_ref();
        let new = new.and_then(|own| own.activation_fn.as_deref());
        let name = new.or(self.sbert_ce_default_activation_function.as_deref());
        match name.map(|path| path.rsplit('.').next().unwrap_or(path)) {
            None => Ok(labels != 1),
            Some("Identity") => Ok(true),
            Some("Sigmoid") => Ok(false),
            Some(other) => Err(Error::unsupported(format!(
                "{FILE}: activation_fn is '{other}', expected Identity or Sigmoid"
            ))),
        }
    }

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
        assert!(of(r#""problem_type":"regression""#, &[2.0, 3.0]).is_empty());
    }

    #[test]
    fn the_score_of_a_pair_is_the_sigmoid_unless_the_file_says_the_identity() {
        let of = |more: &str| {
            config(&format!("{BERT},\"num_labels\":1{more}")).map(|config| config.score(2.0))
        };
        assert!((of("").unwrap() - 0.880_797).abs() < 1e-6);
        for identity in [
            r#","sentence_transformers":{"activation_fn":"torch.nn.modules.linear.Identity"}"#,
            r#","sbert_ce_default_activation_function":"torch.nn.modules.linear.Identity""#,
        ] {
            assert_eq!(of(identity).unwrap(), 2.0);
        }
        let error =
            of(r#","sentence_transformers":{"activation_fn":"torch.nn.Mish"}"#).unwrap_err();
        assert!(
            error.to_string().contains("activation_fn is 'Mish'"),
            "{error}"
        );
    }

    #[test]
    fn another_architecture_or_odd_labels_are_errors_that_name_the_field() {
        for (more, kind, what) in [
            (
                r#""architectures":["T5ForSequenceClassification"]"#,
                ErrorKind::UnsupportedModel,
                "architectures is [T5ForSequenceClassification], expected BertForSequenceClassification",
            ),
            (
                r#""num_labels":2"#,
                ErrorKind::UnsupportedModel,
                "architectures is []",
            ),
            (
                r#""architectures":["BertForSequenceClassification"],"problem_type":"ranking""#,
                ErrorKind::UnsupportedModel,
                "problem_type is 'ranking'",
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
