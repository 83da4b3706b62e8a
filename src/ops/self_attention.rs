//! Self-attention with its projections: queries, keys and values of the same input.

#[cfg(feature = "webgpu")]
mod join;

use burn::tensor::Tensor;

use super::attention::attention;
use super::{Activation, Linear, Spans};

/// The layers that compute queries, keys and values, of the same numbers of inputs and outputs.
#[derive(Clone, Debug)]
pub struct QueryKeyValue(Parts);

/// On a GPU the layers are one, where their outputs fill panels: each dispatch costs as much as the work of many rows. The CPU
/// kernels would gain nothing, and attention would have to take their results apart.
#[derive(Clone, Debug)]
enum Parts {
    Apart([Linear; 3]),
    #[cfg(feature = "webgpu")]
    Joined(Linear),
}

impl QueryKeyValue {
    /// Makes the layers of queries, keys and values, which are on the same device.
    pub fn new(layers: [Linear; 3]) -> Self {
        #[cfg(feature = "webgpu")]
        if super::is_gpu(&layers[0].bias.device())
            && let Some(layer) = join::join(&layers)
        {
            return Self(Parts::Joined(layer));
        }
        Self(Parts::Apart(layers))
    }

    /// Computes the attention of the rows of each sequence to each other. *Shapes*: `x: [t, d]`, result `[t, n]`.
    pub fn attention(&self, x: Tensor<2>, spans: &Spans, heads: usize) -> Tensor<2> {
        match &self.0 {
            Parts::Apart(layers) => {
                let [query, key, value] = layers
                    .each_ref()
                    .map(|layer| layer.forward(x.clone(), Activation::Identity));
                attention(query, key, value, spans, heads)
            }
            #[cfg(feature = "webgpu")]
            Parts::Joined(layer) => {
                use super::HotOps;

                let all = layer.forward(x, Activation::Identity).into_dispatch();
                let dispatch = burn::backend::Dispatch::joined_attention(all, spans.clone(), heads);
                Tensor::from_dispatch(dispatch)
            }
        }
    }
}
