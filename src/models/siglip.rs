//! SigLIP: a text tower and an image tower whose vectors share one space, and a probability for each pair of them.
//!
//! *Source*: Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023, and `transformers`, `models/siglip/modeling_siglip.py`,
//! whose module names the fields have. The layers are those of CLIP.

use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

use super::clip::{Encoder, patch_rows};
use super::clip_config::{
    ClipConfig, LOGIT_SCALE, TextConfig, VisionConfig, logit_scale, no_scores,
};
use super::config::{FILE, check_sequences, indices, positions_of, read, token_ids};
use crate::error::{Error, Result};
use crate::ops::{
    Activation, Embedding, LayerNorm, Linear, Spans, activation_from_config, attention, columns,
    floats, part,
};
use crate::scheduler::Scheduler;
use crate::weights::{Presence, Tensors};

/// The tensor with the number that is added to scaled cosines.
const LOGIT_BIAS: &str = "logit_bias";

/// The values of `SiglipTextConfig` and of `SiglipVisionConfig` in `transformers`, where they are not CLIP's.
const DEFAULTS: [(&str, &str); 2] = [
    (
        "text_config",
        r#"{"vocab_size":32000,"hidden_size":768,"intermediate_size":3072,"num_attention_heads":12,"max_position_embeddings":64,
        "hidden_act":"gelu_pytorch_tanh","layer_norm_eps":1e-6}"#,
    ),
    (
        "vision_config",
        r#"{"patch_size":16,"hidden_act":"gelu_pytorch_tanh","layer_norm_eps":1e-6}"#,
    ),
];

/// Reads and checks the config of a model whose `model_type` is `siglip`.
///
/// *Errors*: `UnsupportedModel` for an image tower without its head, `InvalidWeights` where the file is broken or absurd.
pub(super) fn config(json: &[u8]) -> Result<ClipConfig> {
    let mut config: Map<String, Value> = read(json)?;
    for (tower, defaults) in DEFAULTS {
        let defaults: Map<String, Value> = read(defaults.as_bytes())?;
        let own = config.entry(tower).or_insert(Value::Null);
        // Nothing reads the ids in it, which may be lists.
        let own_fields = own.as_object().cloned().unwrap_or_default().into_iter();
        let own_fields = own_fields.filter(|(name, _)| !name.ends_with("_token_id"));
        *own = Value::Object(defaults.into_iter().chain(own_fields).collect());
    }
    let mut config = Value::Object(config);
    if config["vision_config"]["vision_use_head"] == false {
        return Err(Error::unsupported(format!(
            "{FILE}: vision_config.vision_use_head is false, expected true"
        )));
    }
    let text = &config["text_config"];
    let projection = match &text["projection_size"] {
        Value::Null => text["hidden_size"].clone(),
        size => size.clone(),
    };
    config["projection_dim"] = projection;
    let config = ClipConfig::from_json(config.to_string().as_bytes())?;
    let (d, n) = (config.vision_config.hidden_size, config.projection_dim);
    match d == n {
        true => Ok(config),
        false => Err(Error::invalid_weights(format!(
            "{FILE}: vision_config.hidden_size is {d}, expected {n}, the number of values of a text's vector"
        ))),
    }
}

/// The text tower.
pub struct SiglipText {
    config: TextConfig,
    /// `[v, d]`
    token_embedding: Embedding,
    /// `[max_position, d]`
    position_embedding: Embedding,
    encoder: Encoder,
    final_layer_norm: LayerNorm,
    /// `[projection, d]`
    head: Linear,
    /// `None` where the weights are those of this tower alone.
    logit_scale: Option<f32>,
    logit_bias: Option<f32>,
    device: Device,
}

impl SiglipText {
    /// Takes the tower's tensors.
    pub fn new(config: &ClipConfig, tensors: &mut Tensors) -> Result<Self> {
        let (text, n) = (config.text_config.clone(), config.projection_dim);
        let d = text.hidden_size;
        let logit_scale = logit_scale(tensors, &[1])?;
        let logit_bias = tensors.number(LOGIT_BIAS, &[1], Presence::InCheckpoint)?;
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
            final_layer_norm: tensors.layer_norm(&last_norm, d, text.layer_norm_eps)?,
            head: tensors.linear(&part("head"), [n, d], Some(&last_norm))?,
            logit_scale,
            logit_bias,
            config: text,
            device: tensors.device().clone(),
        })
    }

    /// Computes the probability that each label describes an image, whatever the other labels are, from its cosine with the image.
    ///
    /// *Source*: Zhai et al. 2023, section 3.2. *Errors*: `UnsupportedModel` where the weights are those of this tower alone.
    pub fn probabilities(&self, cosines: &[f32]) -> Result<Vec<f32>> {
        let scale = self.logit_scale.ok_or_else(|| no_scores(LOGIT_SCALE))?;
        let bias = self.logit_bias.ok_or_else(|| no_scores(LOGIT_BIAS))?;
        let logits = cosines.iter().map(|x| scale * x + bias);
        Ok(logits.map(|x| 1.0 / (1.0 + (-x).exp())).collect())
    }

    /// Computes the vectors of texts, not normalized.
    ///
    /// *Shapes*: `sequences`: token ids of each of `b` texts with an end token, padded to the longest text as in training; result
    /// `[b, projection]`.
    /// *Errors*: `InvalidInput` for an empty or too long sequence, `InvalidWeights` for an id past the vocabulary; `Aborted`.
    pub async fn forward(
        &self,
        sequences: &[&[u32]],
        scheduler: &dyn Scheduler,
    ) -> Result<Tensor<2>> {
        let (v, longest) = (self.config.vocab_size, self.config.max_position_embeddings);
        check_sequences(sequences, v, longest)?;
        // There is no mask: all tokens attend to each other, and to padding.
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        // Word and position embeddings, summed: [t, d]
        let ids = token_ids(sequences, &self.device);
        let positions = positions_of(sequences, &self.device);
        let x = self.token_embedding.forward(ids) + self.position_embedding.forward(positions);
        // The last token, which may be padding, becomes the text's vector: [t, d] → [b, d] → [b, projection]
        let ends = spans.iter().map(|rows| rows.end as i32 - 1).collect();
        let ends = indices(ends, &self.device);
        let x = self.encoder.forward(x, &spans, ends, scheduler).await?;
        let x = self.final_layer_norm.normalize(x);
        Ok(self.head.forward(x, Activation::Identity))
    }
}

/// The image tower.
pub struct SiglipVision {
    config: VisionConfig,
    /// `[d, 3 · patch · patch]`: a convolution whose windows do not overlap.
    patch_embedding: Linear,
    /// `[patches, d]`
    position_embedding: Embedding,
    encoder: Encoder,
    post_layernorm: LayerNorm,
    head: PoolingHead,
    device: Device,
}

impl SiglipVision {
    /// Takes the tower's tensors.
    pub fn new(config: &ClipConfig, tensors: &mut Tensors) -> Result<Self> {
        let vision = config.vision_config.clone();
        let (d, p) = (vision.hidden_size, vision.patch_size);
        let part = |part: &str| format!("vision_model.{part}");
        let (patches, last_norm) = (part("embeddings.patch_embedding"), part("post_layernorm"));
        Ok(Self {
            patch_embedding: Linear {
                bias: tensors.vector(&format!("{patches}.bias"), d)?,
                ..tensors.linear_without_bias(&patches, &[d, 3, p, p], None)?
            },
            position_embedding: tensors.plain_embedding(
                &part("embeddings.position_embedding"),
                [vision.patches(), d],
            )?,
            encoder: Encoder::new(&vision.encoder(), &part("encoder"), tensors)?,
            post_layernorm: tensors.layer_norm(&last_norm, d, vision.layer_norm_eps)?,
            head: PoolingHead::new(&vision, &part("head"), &last_norm, tensors)?,
            config: vision,
            device: tensors.device().clone(),
        })
    }

    /// Computes the vectors of images, not normalized.
    ///
    /// *Shapes*: `pixels`: for each of `b` images the values of red, then green, then blue, row by row, `[3, size, size]`;
    /// result `[b, d]`. *Errors*: `InvalidInput` for another number of values; `Aborted`.
    pub async fn forward(&self, pixels: &[&[f32]], scheduler: &dyn Scheduler) -> Result<Tensor<2>> {
        let (b, n) = (pixels.len(), self.config.patches());
        // [b, 3, size, size] → [b · patches, 3 · patch · patch] → [b · patches, d]
        let patches = patch_rows(&self.config, pixels, &self.device)?;
        let x = self.patch_embedding.forward(patches, Activation::Identity);
        let positions = (0..b).flat_map(|_| 0..n as i32).collect();
        let positions = indices(positions, &self.device);
        let x = x + self.position_embedding.forward(positions);
        let spans = Spans::from_lengths(vec![n; b]);
        let all = indices((0..(b * n) as i32).collect(), &self.device);
        let x = self.encoder.forward(x, &spans, all, scheduler).await?;
        let x = self.post_layernorm.normalize(x);
        // The patches of each image become its vector: [b · patches, d] → [b, d]
        let pooled = spans.iter().map(|rows| self.head.forward(part(&x, rows)));
        Ok(Tensor::cat(pooled.collect(), 0))
    }
}

/// The head that makes one vector of an image's patches: a learned query attends to all of them.
///
/// *Source*: Lee et al., "Set Transformer", 2019, section 3.2, and Zhai et al., "Scaling Vision Transformers", 2022.
struct PoolingHead {
    /// `[1, d]`
    probe: Tensor<2>,
    /// `[3d, d]`: queries, keys and values.
    in_proj: Linear,
    /// `[d, d]`
    out_proj: Linear,
    layernorm: LayerNorm,
    /// `[inner, d]`
    fc1: Linear,
    /// `[d, inner]`
    fc2: Linear,
    heads: usize,
    activation: Activation,
}

impl PoolingHead {
    fn new(
        config: &VisionConfig,
        name: &str,
        norm_before: &str,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let config = &config.encoder();
        let (d, inner) = (config.hidden_size, config.intermediate_size);
        let part = |part: &str| format!("{name}.{part}");
        let norm = part("layernorm");
        let probe = tensors.values(&part("probe"), &[1, 1, d])?;
        Ok(Self {
            probe: floats(probe, [1, d], tensors.device()),
            in_proj: tensors.in_projection(&part("attention"), d, norm_before)?,
            out_proj: tensors.linear(&part("attention.out_proj"), [d, d], None)?,
            layernorm: tensors.layer_norm(&norm, d, config.epsilon)?,
            fc1: tensors.linear(&part("mlp.fc1"), [inner, d], Some(&norm))?,
            fc2: tensors.linear(&part("mlp.fc2"), [d, inner], None)?,
            heads: config.heads,
            activation: activation_from_config("hidden_act", config.hidden_act)?,
        })
    }

    /// Computes the vector of one image.
    ///
    /// *Shapes*: `x: [patches, d]`, result `[1, d]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [n, d] = x.dims();
        // The probe goes through the same projection as the patches: [patches + 1, 3d]
        let x = Tensor::cat(vec![self.probe.clone(), x], 0);
        let x = self.in_proj.forward(x, Activation::Identity);
        let query = columns(&part(&x, 0..1), 0..d);
        let patches = part(&x, 1..n + 1);
        let (key, value) = (columns(&patches, d..2 * d), columns(&patches, 2 * d..3 * d));
        let spans = Spans::from_lengths([n]);
        let context = attention(query, key, value, &spans, self.heads);
        let x = self.out_proj.forward(context, Activation::Identity);
        // The residual goes around the norm and the feed-forward: [1, d] → [1, inner] → [1, d]
        let inner = self.layernorm.normalize(x.clone());
        let inner = self.fc1.forward(inner, self.activation);
        x + self.fc2.forward(inner, Activation::Identity)
    }
}
