//! CLIP: a text tower and an image tower whose vectors share one space.
//!
//! *Source*: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, and `transformers`,
//! `models/clip/modeling_clip.py`, whose module names the fields have.

use burn::tensor::{Device, Int, Tensor};

use super::clip_config::{
    ClipConfig, EncoderConfig, LOGIT_SCALE, TextConfig, VisionConfig, logit_scale, no_scores,
};
use super::config::{check_sequences, indices, positions_of, token_ids};
use crate::error::{Error, Result};
use crate::ops::{
    Activation, Embedding, LayerNorm, Linear, QueryKeyValue, Spans, activation_from_config, floats,
    integers,
};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The text tower.
pub struct ClipText {
    config: TextConfig,
    /// `[v, d]`
    token_embedding: Embedding,
    /// `[max_position, d]`
    position_embedding: Embedding,
    encoder: Encoder,
    final_layer_norm: LayerNorm,
    /// `[projection, d]`
    text_projection: Linear,
    /// `None` where the weights are those of this tower alone.
    logit_scale: Option<f32>,
    device: Device,
}

impl ClipText {
    /// Takes the tower's tensors.
    pub fn new(config: &ClipConfig, tensors: &mut Tensors) -> Result<Self> {
        let (text, n) = (config.text_config.clone(), config.projection_dim);
        let (d, epsilon) = (text.hidden_size, text.layer_norm_eps);
        let logit_scale = logit_scale(tensors, &[])?;
        let part = |part: &str| format!("text_model.{part}");
        let last_norm = part("final_layer_norm");
        Ok(Self {
            token_embedding: tensors
                .embedding(&part("embeddings.token_embedding"), [text.vocab_size, d])?,
            position_embedding: tensors.plain_embedding(
                &part("embeddings.position_embedding"),
                [text.max_position_embeddings, d],
            )?,
            encoder: Encoder::new(&text.encoder(), &part("encoder"), tensors)?,
            final_layer_norm: tensors.layer_norm(&last_norm, d, epsilon)?,
            text_projection: tensors.linear_without_bias(
                "text_projection",
                &[n, d],
                Some(&last_norm),
            )?,
            logit_scale,
            config: text,
            device: tensors.device().clone(),
        })
    }

    /// Computes the probability that an image shows each label, of all labels, from their cosines with the image.
    ///
    /// *Source*: Radford et al. 2021, section 3.1. *Errors*: `UnsupportedModel` where the weights are those of this tower alone.
    pub fn probabilities(&self, cosines: &[f32]) -> Result<Vec<f32>> {
        let scale = self.logit_scale.ok_or_else(|| no_scores(LOGIT_SCALE))?;
        let logits: Vec<f32> = cosines.iter().map(|x| scale * x).collect();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f32> = logits.iter().map(|x| (x - largest).exp()).collect();
        let sum: f32 = exponentials.iter().sum();
        Ok(exponentials.iter().map(|x| x / sum).collect())
    }

    /// Computes the vectors of texts, not normalized.
    ///
    /// *Shapes*: `sequences`: token ids of each of `b` texts, with start and end tokens; result `[b, projection]`.
    /// *Errors*: `InvalidInput` for an empty or too long sequence, `InvalidWeights` for an id past the vocabulary; `Aborted`.
    pub async fn forward(
        &self,
        sequences: &[&[u32]],
        scheduler: &dyn Scheduler,
    ) -> Result<Tensor<2>> {
        let (v, longest) = (self.config.vocab_size, self.config.max_position_embeddings);
        check_sequences(sequences, v, longest)?;
        // Attention is causal, so tokens after the end token do not matter and are not computed.
        let sequences: Vec<_> = sequences
            .iter()
            .map(|ids| &ids[..=self.config.eos_position(ids)])
            .collect();
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len())).causal();
        let ids = token_ids(&sequences, &self.device);
        let positions = positions_of(&sequences, &self.device);
        // Word and position embeddings, summed: [t, d]
        let x = self.token_embedding.forward(ids) + self.position_embedding.forward(positions);
        // The last token of each text attends to all others: [t, d] → [b, d] → [b, projection]
        let ends = spans.iter().map(|rows| rows.end as i32 - 1).collect();
        let ends = indices(ends, &self.device);
        let x = self.encoder.forward(x, &spans, ends, scheduler).await?;
        let x = self.final_layer_norm.normalize(x);
        Ok(self.text_projection.forward(x, Activation::Identity))
    }
}

/// The image tower.
pub struct ClipVision {
    config: VisionConfig,
    /// `[d]`
    class_embedding: Tensor<1>,
    /// `[d, 3 · patch · patch]`: a convolution whose windows do not overlap.
    patch_embedding: Linear,
    /// `[patches + 1, d]`
    position_embedding: Embedding,
    pre_layrnorm: LayerNorm,
    encoder: Encoder,
    post_layernorm: LayerNorm,
    /// `[projection, d]`
    visual_projection: Linear,
    device: Device,
}

impl ClipVision {
    /// Takes the tower's tensors.
    pub fn new(config: &ClipConfig, tensors: &mut Tensors) -> Result<Self> {
        let (vision, n) = (config.vision_config.clone(), config.projection_dim);
        let (d, p, epsilon) = (vision.hidden_size, vision.patch_size, vision.layer_norm_eps);
        let part = |part: &str| format!("vision_model.{part}");
        let last_norm = part("post_layernorm");
        Ok(Self {
            class_embedding: tensors.vector(&part("embeddings.class_embedding"), d)?,
            patch_embedding: tensors.linear_without_bias(
                &part("embeddings.patch_embedding"),
                &[d, 3, p, p],
                None,
            )?,
            position_embedding: tensors.plain_embedding(
                &part("embeddings.position_embedding"),
                [vision.patches() + 1, d],
            )?,
            // Spelled so upstream.
            pre_layrnorm: tensors.layer_norm(&part("pre_layrnorm"), d, epsilon)?,
            encoder: Encoder::new(&vision.encoder(), &part("encoder"), tensors)?,
            post_layernorm: tensors.layer_norm(&last_norm, d, epsilon)?,
            visual_projection: tensors.linear_without_bias(
                "visual_projection",
                &[n, d],
                Some(&last_norm),
            )?,
            config: vision,
            device: tensors.device().clone(),
        })
    }

    /// Computes the vectors of images, not normalized.
    ///
    /// *Shapes*: `pixels`: for each of `b` images the values of red, then green, then blue, row by row, `[3, size, size]`;
    /// result `[b, projection]`. *Errors*: `InvalidInput` for another number of values; `Aborted`.
    pub async fn forward(&self, pixels: &[&[f32]], scheduler: &dyn Scheduler) -> Result<Tensor<2>> {
        let (b, d, n) = (
            pixels.len(),
            self.config.hidden_size,
            self.config.patches() + 1,
        );
        // [b, 3, size, size] → [b · patches, 3 · patch · patch] → [b, patches, d]
        let patches = self
            .patch_embedding
            .forward(
                patch_rows(&self.config, pixels, &self.device)?,
                Activation::Identity,
            )
            .reshape([b, n - 1, d]);
        // The class embedding comes before the patches: [b · (patches + 1), d]
        let class = self.class_embedding.clone().reshape([1, 1, d]);
        let x = Tensor::cat(vec![class.repeat_dim(0, b), patches], 1).reshape([b * n, d]);
        let positions = (0..b).flat_map(|_| 0..n as i32).collect();
        let positions = integers(positions, [b * n], &self.device);
        let x = self
            .pre_layrnorm
            .forward(x, self.position_embedding.forward(positions));
        let spans = Spans::from_lengths(vec![n; b]);
        // The class row of each image becomes its vector: [b · (patches + 1), d] → [b, d] → [b, projection]
        let classes = spans.iter().map(|rows| rows.start as i32).collect();
        let classes = integers(classes, [b], &self.device);
        let x = self.encoder.forward(x, &spans, classes, scheduler).await?;
        let x = self.post_layernorm.normalize(x);
        Ok(self.visual_projection.forward(x, Activation::Identity))
    }
}

/// Arranges each patch in a row: red, green and blue one after the other, as in the convolution's weights.
///
/// *Shapes*: `pixels`: `[3, size, size]` of each of `b` images, result `[b · patches, 3 · patch · patch]`.
/// *Errors*: `InvalidInput` for another number of values.
pub(super) fn patch_rows(
    config: &VisionConfig,
    pixels: &[&[f32]],
    device: &Device,
) -> Result<Tensor<2>> {
    let (size, p) = (config.image_size, config.patch_size);
    let (expected, edge) = (3 * size * size, size / p);
    let mut rows = Vec::with_capacity(pixels.len() * expected);
    for image in pixels {
        if image.len() != expected {
            return Err(Error::invalid_input(format!(
                "an image has {} values, expected {expected}",
                image.len()
            )));
        }
        for patch in 0..edge * edge {
            let corner = patch / edge * p * size + patch % edge * p;
            for colour in image.chunks_exact(size * size) {
                for y in 0..p {
                    rows.extend_from_slice(&colour[corner + y * size..][..p]);
                }
            }
        }
    }
    let shape = [pixels.len() * edge * edge, 3 * p * p];
    Ok(floats(rows, shape, device))
}

/// The layers of either tower.
pub(super) struct Encoder {
    layers: Vec<Layer>,
    heads: usize,
    activation: Activation,
}

struct Layer {
    layer_norm1: LayerNorm,
    /// `[d, d]` each
    query_key_value: QueryKeyValue,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    /// `[inner, d]`
    fc1: Linear,
    /// `[d, inner]`
    fc2: Linear,
}

impl Encoder {
    pub(super) fn new(
        config: &EncoderConfig<'_>,
        name: &str,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let (d, inner, epsilon) = (config.hidden_size, config.intermediate_size, config.epsilon);
        let layers = (0..config.layers).map(|index| {
            let part = |part: &str| format!("{name}.layers.{index}.{part}");
            let (norm1, norm2) = (part("layer_norm1"), part("layer_norm2"));
            Ok(Layer {
                layer_norm1: tensors.layer_norm(&norm1, d, epsilon)?,
                query_key_value: tensors.query_key_value(
                    ["q_proj", "k_proj", "v_proj"].map(|name| part(&format!("self_attn.{name}"))),
                    d,
                    &norm1,
                )?,
                out_proj: tensors.linear(&part("self_attn.out_proj"), [d, d], None)?,
                layer_norm2: tensors.layer_norm(&norm2, d, epsilon)?,
                fc1: tensors.linear(&part("mlp.fc1"), [inner, d], Some(&norm2))?,
                fc2: tensors.linear(&part("mlp.fc2"), [d, inner], None)?,
            })
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            heads: config.heads,
            activation: activation_from_config("hidden_act", config.hidden_act)?,
        })
    }

    /// Computes the given rows of the last hidden states.
    ///
    /// *Shapes*: `x: [t, d]`, `rows: [b]`, result `[b, d]`.
    pub(super) async fn forward(
        &self,
        mut x: Tensor<2>,
        spans: &Spans,
        rows: Tensor<1, Int>,
        scheduler: &dyn Scheduler,
    ) -> Result<Tensor<2>> {
        let Some((last, layers)) = self.layers.split_last() else {
            return Ok(x.select(0, rows));
        };
        for layer in layers {
            scheduler.yield_now().await?;
            let context = layer.context(x.clone(), spans, self.heads);
            x = layer.forward(x, context, self.activation);
        }
        // Rows depend on each other only through attention, so after the last one only the given rows are computed.
        scheduler.yield_now().await?;
        let context = last.context(x.clone(), spans, self.heads);
        let (x, context) = (x.select(0, rows.clone()), context.select(0, rows));
        Ok(last.forward(x, context, self.activation))
    }
}

impl Layer {
    /// Computes the attention output before its projection.
    ///
    /// *Shapes*: `x: [t, d]`, result the same.
    fn context(&self, x: Tensor<2>, spans: &Spans, heads: usize) -> Tensor<2> {
        // The norm comes first, and the residual goes around it.
        let h = self.layer_norm1.normalize(x);
        self.query_key_value.attention(h, spans, heads)
    }

    /// Computes the layer's output from its attention context.
    ///
    /// *Shapes*: `x`, `context`: `[m, d]`, result the same.
    fn forward(&self, x: Tensor<2>, context: Tensor<2>, activation: Activation) -> Tensor<2> {
        let attended = self.out_proj.forward(context, Activation::Identity);
        // Feed-forward: [m, d] → [m, inner] → [m, d]
        let h = self.layer_norm2.forward(attended.clone(), x.clone());
        let inner = self.fc1.forward(h, activation);
        x + attended + self.fc2.forward(inner, Activation::Identity)
    }
}
