//! Embedding tables, whose rows are looked up by id.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{Int, Shape, Slice, Tensor};

use super::{HotOps, linear};

/// An embedding table in the precision of the loaded model.
#[derive(Clone, Debug)]
pub enum Embedding {
    /// `[v, d]`
    F32(Tensor<2>),
    /// An int8 table with one scale per row.
    Q8 {
        /// `[v, ⌈d / 4⌉]`, four int8 in each i32, the lowest byte first.
        packed: Tensor<2, Int>,
        /// `[v]`
        scale: Tensor<1>,
        /// `d`, without the padding to four.
        dimensions: usize,
    },
}

impl Embedding {
    /// Looks up a row for each id.
    ///
    /// *Shapes*: `ids: [t]`, each below the number of rows, result `[t, d]`.
    pub fn forward(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::F32(table) => table.clone().select(0, ids),
            Self::Q8 {
                packed,
                scale,
                dimensions,
            } => Tensor::from_dispatch(Dispatch::embedding_q8(
                packed.clone().into_dispatch(),
                scale.clone().into_dispatch(),
                ids.into_dispatch(),
                *dimensions,
            )),
        }
    }
}

pub(super) fn plain_q8<B: Backend>(
    table: IntTensor<B>,
    scale: FloatTensor<B>,
    ids: IntTensor<B>,
    dimensions: usize,
) -> FloatTensor<B> {
    let [t] = ids.shape().dims();
    let [_, quads] = table.shape().dims();
    let rows = linear::unpack_bytes::<B>(B::int_select(table, 0, ids.clone()));
    let rows = B::float_reshape(rows, Shape::from([t, quads * 4]));
    let rows = B::float_slice(rows, &[Slice::from(0..t), Slice::from(0..dimensions)]);
    B::float_mul(
        rows,
        B::float_reshape(B::float_select(scale, 0, ids), Shape::from([t, 1])),
    )
}
