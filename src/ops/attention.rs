//! Self-attention over a ragged batch: the sequences lie one after the other in one matrix, without padding.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Scalar, TensorMetadata};
use burn::tensor::{Shape, Slice, Tensor, TensorData};

use super::HotOps;

/// The rows of each sequence in a ragged batch, and whether attention is causal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// The first row of each sequence, followed by the total number of rows.
    offsets: Arc<[u32]>,
    causal: bool,
}

impl Spans {
    /// The spans of sequences with these lengths, one after the other.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length as u32;
            end
        });
        Self {
            offsets: std::iter::once(0).chain(ends.collect::<Vec<_>>()).collect(),
            causal: false,
        }
    }

    /// The same spans with causal attention: a row attends only to itself and earlier rows of its span.
    pub fn causal(self) -> Self {
        Self {
            causal: true,
            ..self
        }
    }

    /// The spans of one sequence, with attention of the same kind.
    pub fn of(&self, length: usize) -> Self {
        Self {
            causal: self.causal,
            ..Self::from_lengths([length])
        }
    }

    /// Whether a row attends only to itself and earlier rows of its span.
    pub fn is_causal(&self) -> bool {
        self.causal
    }

    /// The first row of each sequence, followed by the total number of rows.
    pub(super) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The rows of each sequence.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets
            .windows(2)
            .map(|pair| pair[0] as usize..pair[1] as usize)
    }
}

/// Scaled dot-product self-attention of each sequence.
///
/// *Shapes*: `query`: `[t, heads * d]`, `key`, `value`: `[t, key_heads * d]`, result as `query`. `heads` must divide the width of the
/// queries, and `key_heads` must divide `heads`: each head of the keys serves as many neighbouring ones of the queries. Of a single span,
/// `query` may have only the last rows; the bits are the same if it begins at a multiple of [`QUERY_BLOCK`](pilotlight_kernels::QUERY_BLOCK).
/// *Source*: Vaswani et al., "Attention Is All You Need", 2017, section 3.2; for fewer heads of keys, Ainslie et al., "GQA", 2023.
pub fn attention(
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    spans: &Spans,
    heads: usize,
) -> Tensor<2> {
    let (q, k, v) = (
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
    );
    Tensor::from_dispatch(Dispatch::attention(q, k, v, spans.clone(), heads))
}

pub(super) fn plain<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    spans: Spans,
    heads: usize,
) -> FloatTensor<B> {
    let [queries, width] = query.shape().dims();
    let [keys, key_width] = key.shape().dims();
    let d = width / heads;
    let key_heads = key_width / d;
    let contexts = spans.iter().filter(|rows| !rows.is_empty()).map(|rows| {
        let t = rows.len() - (keys - queries);
        // [t, g * d] → [g, t, d], then each head as often as it serves one of the queries: [h, t, d]
        let split = |x: &FloatTensor<B>| {
            let [total, width] = x.shape().dims();
            let rows = rows.start..rows.end.min(total);
            let t = rows.len();
            let x = B::float_slice(x.clone(), &[Slice::from(rows), Slice::from(0..width)]);
            let x = B::float_reshape(x, Shape::from([t, width / d, d]));
            let x = B::float_permute(x, &[1, 0, 2]);
            if width / d == heads {
                return x;
            }
            let x = B::float_reshape(x, Shape::from([key_heads, 1, t, d]));
            let x = B::float_repeat_dim(x, 1, heads / key_heads);
            B::float_reshape(x, Shape::from([heads, t, d]))
        };
        let scores = B::float_matmul(split(&query), B::float_transpose(split(&key)));
        let scores = B::float_mul_scalar(scores, Scalar::from(1.0 / (d as f32).sqrt()));
        let scores = if spans.is_causal() {
            let device = scores.device();
            B::float_add(scores, causal_mask::<B>(t, rows.len(), &device))
        } else {
            scores
        };
        // [h, t, t] · [h, t, d] → [h, t, d] → [t, h * d]
        let context = B::float_matmul(B::softmax(scores, 2), split(&value));
        B::float_reshape(
            B::float_permute(context, &[1, 0, 2]),
            Shape::from([t, width]),
        )
    });
    B::float_cat(contexts.collect(), 0)
}

/// The mask `[1, queries, keys]` that is added to scores, so that no row attends to later ones. The queries are the last rows.
fn causal_mask<B: Backend>(queries: usize, keys: usize, device: &B::Device) -> FloatTensor<B> {
    let rows = (keys - queries..keys)
        .flat_map(|row| (0..keys).map(move |column| if column > row { -1e30f32 } else { 0.0 }));
    B::float_from_data(TensorData::new(rows.collect(), [1, queries, keys]), device)
}
