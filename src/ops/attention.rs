//! Self-attention over a ragged batch: the sequences lie one after the other in one matrix, without padding.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Scalar, TensorMetadata};
use burn::tensor::{Shape, Slice, Tensor, TensorData};

use super::HotOps;

/// The bias that attention adds to the score of a query and a key; it depends on how far the key is after the query.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativeBias {
    /// `[rows, 2 * longest - 1]`: a row for each head, or one for all of them; from the key that is `longest - 1` before the query.
    pub(super) table: Arc<[f32]>,
    pub(super) rows: usize,
    /// The rows of the longest sequence.
    pub(super) longest: usize,
    /// The number of rows before and after a row to which it attends, if the bias is that of a window.
    pub(super) reach: Option<usize>,
}

/// The value that is added to a masked score: finite, because infinities are not safe on a GPU.
const NEVER: f32 = -1e30;

impl RelativeBias {
    /// Computes `of(row, distance)` for all distances that keys can have from queries in these sequences.
    pub fn new(spans: &Spans, rows: usize, of: impl Fn(usize, isize) -> f32) -> Self {
        let longest = spans
            .iter()
            .map(|rows| rows.len())
            .max()
            .unwrap_or(0)
            .max(1);
        let reach = longest as isize - 1;
        let distances = |row| (-reach..=reach).map(move |distance| (row, distance));
        Self {
            table: (0..rows)
                .flat_map(distances)
                .map(|(row, distance)| of(row, distance))
                .collect(),
            rows,
            longest,
            reach: None,
        }
    }

    /// The bias by which a row attends only to those at most `reach` rows before or after it.
    pub fn window(spans: &Spans, reach: usize) -> Self {
        let own = Self::new(spans, 1, |_, distance| {
            if distance.unsigned_abs() > reach {
                NEVER
            } else {
                0.0
            }
        });
        Self {
            reach: Some(reach),
            ..own
        }
    }

    /// The values for all keys of a sequence of `t` rows, for a query.
    fn of(&self, row: usize, query: usize, t: usize) -> &[f32] {
        &self.table[row * (2 * self.longest - 1) + self.longest - 1 - query..][..t]
    }
}

/// The rows of each sequence in a ragged batch, and which rows attend to which, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Spans {
    /// The first row of each sequence, followed by the total number of rows.
    offsets: Arc<[u32]>,
    causal: bool,
    bias: Option<RelativeBias>,
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
            bias: None,
        }
    }

    /// The same spans, whose scores get a bias. It must be of spans with the same sequences.
    pub fn with_bias(self, bias: RelativeBias) -> Self {
        Self {
            bias: Some(bias),
            ..self
        }
    }

    /// The bias that is added to the scores, if there is one.
    pub(super) fn bias(&self) -> Option<&RelativeBias> {
        self.bias.as_ref()
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
            offsets: Self::from_lengths([length]).offsets,
            ..self.clone()
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

/// Takes queries, keys and values apart that lie side by side.
#[cfg(feature = "webgpu")]
pub(super) fn split<B: Backend>(all: FloatTensor<B>) -> [FloatTensor<B>; 3] {
    let [t, width] = all.shape().dims();
    let d = width / 3;
    [0, 1, 2].map(|part| {
        let columns = Slice::from(part * d..(part + 1) * d);
        B::float_slice(all.clone(), &[Slice::from(0..t), columns])
    })
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
        let scores = match spans.bias() {
            Some(bias) => {
                let keys = rows.len();
                let values = (0..bias.rows).flat_map(|row| {
                    (keys - t..keys).flat_map(move |query| bias.of(row, query, keys))
                });
                let values = TensorData::new(values.copied().collect(), [bias.rows, t, keys]);
                let device = scores.device();
                B::float_add(scores, B::float_from_data(values, &device))
            }
            None => scores,
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
        .flat_map(|row| (0..keys).map(move |column| if column > row { NEVER } else { 0.0 }));
    B::float_from_data(TensorData::new(rows.collect(), [1, queries, keys]), device)
}
