//! Classifiers of whole texts, and of pairs of texts: an encoder, and a head on the hidden state of the first token.
//!
//! *Source*: `transformers`, the classes whose names end with `ForSequenceClassification`, whose module names the tensors have.

use burn::tensor::{Device, Tensor};

use super::config::indices;
use super::sentence_encoder::SentenceEncoder;
use super::sequence_classifier_config::{HeadKind, SequenceClassifierConfig};
use crate::error::Result;
use crate::ops::{Activation, LayerNorm, Linear, part, read};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// A classifier of whole texts.
pub struct SequenceClassifier {
    encoder: SentenceEncoder,
    head: Head,
    device: Device,
}

struct Head {
    kind: HeadKind,
    /// `[d, d]`
    dense: Linear,
    /// The norm after it, in ModernBERT.
    norm: Option<LayerNorm>,
    /// `[labels, d]`, in f32 at every dtype: it is small, and its rounding would go right into the logits.
    classifier: Vec<f32>,
    /// `[labels]`
    bias: Vec<f32>,
}

impl SequenceClassifier {
    /// Takes the tensors of the encoder and of the head.
    pub fn new(config: &SequenceClassifierConfig, tensors: &mut Tensors) -> Result<Self> {
        let encoder = SentenceEncoder::new(&config.encoder, tensors)?;
        Ok(Self {
            encoder,
            head: Head::new(config, tensors)?,
            device: tensors.device().clone(),
        })
    }

    /// Computes the logits of several sequences, be they texts or pairs of texts; `firsts` is empty, or has the number of tokens before the second
    /// text of each.
    ///
    /// *Shapes*: `sequences`: token ids, result `[sequences, labels]`.
    /// *Errors*: as [`Encoder::forward`](super::Encoder::forward).
    pub async fn forward(
        &self,
        sequences: &[&[u32]],
        firsts: &[usize],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<f32>> {
        let hidden = self.encoder.forward_pairs(sequences, firsts, scheduler);
        let (hidden, spans) = hidden.await?;
        // One row of each text: [t, d] → [texts, d]
        let rows = match self.head.kind {
            HeadKind::Normalized { is_mean: true, .. } => {
                let means = spans.iter().map(|rows| part(&hidden, rows).mean_dim(0));
                Tensor::cat(means.collect(), 0)
            }
            _ => {
                let firsts = spans.iter().map(|rows| rows.start as i32).collect();
                hidden.select(0, indices(firsts, &self.device))
            }
        };
        let pooled = read(self.head.pool(rows)).await?;
        // [texts, d] → [texts, labels]
        let d = self.head.classifier.len() / self.head.bias.len();
        Ok(pooled
            .chunks_exact(d)
            .flat_map(|row| self.head.logits(row))
            .collect())
    }
}

impl Head {
    fn new(config: &SequenceClassifierConfig, tensors: &mut Tensors) -> Result<Self> {
        let ([d, _], count, kind) = (config.encoder.sizes(), config.labels.len(), config.head);
        let (dense, last) = match kind {
            HeadKind::Pooler => ("pooler.dense", "classifier"),
            HeadKind::PreClassifier => ("pre_classifier", "classifier"),
            HeadKind::Classifier => ("classifier.dense", "classifier.out_proj"),
            HeadKind::Normalized { .. } => ("head.dense", "classifier"),
        };
        let before = config.last_norm.as_deref();
        let (dense, norm) = match kind {
            HeadKind::Normalized { has_bias, .. } => {
                let dense = match has_bias {
                    true => tensors.linear(dense, [d, d], before)?,
                    false => tensors.linear_without_bias(dense, &[d, d], before)?,
                };
                let epsilon = config.encoder.epsilon();
                let norm = tensors.layer_norm_without_bias("head.norm", d, epsilon)?;
                (dense, Some(norm))
            }
            _ => (tensors.linear(dense, [d, d], before)?, None),
        };
        Ok(Self {
            kind,
            dense,
            norm,
            classifier: tensors.list(&format!("{last}.weight"), &[count, d])?,
            bias: tensors.list(&format!("{last}.bias"), &[count])?,
        })
    }

    /// *Shapes*: `x: [texts, d]`, result the same.
    fn pool(&self, x: Tensor<2>) -> Tensor<2> {
        match self.kind {
            HeadKind::Pooler | HeadKind::Classifier => {
                self.dense.forward(x, Activation::Identity).tanh()
            }
            HeadKind::PreClassifier => self.dense.forward(x, Activation::Relu),
            HeadKind::Normalized { activation, .. } => {
                let x = self.dense.forward(x, activation);
                match &self.norm {
                    Some(norm) => norm.normalize(x),
                    None => x,
                }
            }
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
