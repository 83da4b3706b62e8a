//! Self-attention with its projections: queries, keys and values of the same input.

#[cfg(feature = "webgpu")]
mod join;

use burn::tensor::{Device, Tensor};

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
    /// Makes the layers of queries, keys and values on a device. They are there already, or on the CPU: layers that a GPU joins would leave memory
    /// behind there, which burn keeps for tensors of the same size.
    pub fn new(layers: [Linear; 3], device: &Device) -> Self {
        #[cfg(feature = "webgpu")]
        if super::is_gpu(device) {
            let parts = match join::join(&layers) {
                Some(layer) => Parts::Joined(layer.on(device)),
                None => Parts::Apart(layers.map(|layer| layer.on(device))),
            };
            // Frees the joined values here. A failure is told by the calls that need the layers.
            let _ = device.flush();
            return Self(parts);
        }
        let _ = device;
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
