//! The post-norm layer of a transformer encoder, as in BERT and DistilBERT.
//!
//! *Source*: Vaswani et al., "Attention Is All You Need", 2017, section 3.1.

use burn::tensor::Tensor;

use crate::error::Result;
use crate::ops::{Activation, Linear, LinearNorm, QueryKeyValue, Spans};
use crate::weights::Tensors;

/// The names of one layer's parts in the checkpoint.
pub(super) struct LayerNames {
    pub query: String,
    pub key: String,
    pub value: String,
    pub attention_output: String,
    pub attention_norm: String,
    pub intermediate: String,
    pub output: String,
    pub output_norm: String,
}

/// Attention and feed-forward, each followed by a residual and a norm.
pub(super) struct EncoderLayer {
    /// `[d, d]` each
    query_key_value: QueryKeyValue,
    /// `[d, d]`, and the norm of the sum with the residual
    attention_output: LinearNorm,
    /// `[inner, d]`
    intermediate: Linear,
    /// `[d, inner]`, and the norm of the sum with the residual
    output: LinearNorm,
}

impl EncoderLayer {
    /// Takes the layer's tensors. `norm_before`: the name of the norm whose output the layer takes.
    pub fn new(
        names: &LayerNames,
        [d, inner]: [usize; 2],
        epsilon: f32,
        norm_before: &str,
        tensors: &mut Tensors,
    ) -> Result<Self> {
        let between = Some(names.attention_norm.as_str());
        Ok(Self {
            query_key_value: tensors.query_key_value(
                [&names.query, &names.key, &names.value],
                d,
                norm_before,
            )?,
            attention_output: LinearNorm::new(
                tensors.linear(&names.attention_output, [d, d], None)?,
                tensors.layer_norm(&names.attention_norm, d, epsilon)?,
            ),
            intermediate: tensors.linear(&names.intermediate, [inner, d], between)?,
            output: LinearNorm::new(
                tensors.linear(&names.output, [d, inner], None)?,
                tensors.layer_norm(&names.output_norm, d, epsilon)?,
            ),
        })
    }

    /// Applies the layer to all texts.
    ///
    /// *Shapes*: `x: [t, d]`, result the same.
    pub fn forward(
        &self,
        x: Tensor<2>,
        spans: &Spans,
        heads: usize,
        activation: Activation,
    ) -> Tensor<2> {
        // Self-attention within each text: [t, d] → [t, d]
        let context = self.query_key_value.attention(x.clone(), spans, heads);
        // The norm adds the residual before it normalizes.
        let x = self.attention_output.forward(context, x);
        // Feed-forward: [t, d] → [t, inner] → [t, d]
        let inner = self.intermediate.forward(x.clone(), activation);
        self.output.forward(inner, x)
    }
}
