//! Embedding tables, whose rows are looked up by id.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, FloatDType, Scalar, TensorMetadata};
use burn::tensor::{Int, Shape, Slice, Tensor};

use super::{HotOps, LinearWeight, PANEL, linear};

/// An embedding table in the precision of the loaded model.
#[derive(Clone, Debug)]
pub enum Embedding {
    /// `[v, d]`
    F32(Tensor<2>),
    /// A table in f16 on a GPU. On the CPU it is in f32.
    #[cfg(feature = "webgpu")]
    F16 {
        /// `[v, ⌈d / 2⌉]`, two f16 in each i32, the lower half first.
        packed: Tensor<2, Int>,
        /// `d`, without the padding to two.
        dimensions: usize,
    },
    /// An int8 table with one scale per row.
    Q8 {
        /// `[v, ⌈d / 4⌉]`, four int8 in each i32, the lowest byte first.
        packed: Tensor<2, Int>,
        /// `[v]`
        scale: Tensor<1>,
        /// `d`, without the padding to four.
        dimensions: usize,
    },
    /// The f32 weights of a linear layer, `[⌈v / 8⌉, d, 8]`, of which those of an output are a row: the table of a model whose
    /// vocabulary head has the same weights.
    TiedF32(Tensor<3>),
    /// The f16 weights of a linear layer on a GPU, `[⌈v / 8⌉, d, 4]`, in the same way.
    #[cfg(feature = "webgpu")]
    TiedF16(Tensor<3, Int>),
    /// The int8 weights of a linear layer, in the same way.
    TiedQ8 {
        /// `[⌈v / 8⌉, quads, 8]`, four int8 in each i32.
        packed: Tensor<3, Int>,
        /// The scale of each row, `[v]`.
        scale: Tensor<1>,
        /// The factors by which the weights were divided, `[d]`.
        smooth: Tensor<1>,
    },
}

impl Embedding {
    /// The table of the weights of a linear layer; `None` for int4, in which no row can be looked up.
    pub(crate) fn tied(weight: &LinearWeight) -> Option<Self> {
        Some(match weight {
            LinearWeight::F32(weight) => Self::TiedF32(weight.clone()),
            #[cfg(feature = "webgpu")]
            LinearWeight::F16(weight) => Self::TiedF16(weight.clone()),
            LinearWeight::Q8 {
                packed,
                scale,
                smooth,
                ..
            } => Self::TiedQ8 {
                packed: packed.clone(),
                scale: scale.clone(),
                smooth: smooth.clone(),
            },
            LinearWeight::Q4 { .. } => return None,
        })
    }

    /// Looks up a row for each id.
    ///
    /// *Shapes*: `ids: [t]`, each below the number of rows, result `[t, d]`.
    pub fn forward(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::F32(table) => table.clone().select(0, ids),
            #[cfg(feature = "webgpu")]
            Self::F16 { packed, dimensions } => Tensor::from_dispatch(Dispatch::embedding_f16(
                packed.clone().into_dispatch(),
                ids.into_dispatch(),
                *dimensions,
            )),
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
            Self::TiedF32(weight) => Tensor::from_dispatch(Dispatch::panel_rows_f32(
                weight.clone().into_dispatch(),
                ids.into_dispatch(),
            )),
            #[cfg(feature = "webgpu")]
            Self::TiedF16(weight) => Tensor::from_dispatch(Dispatch::panel_rows_f16(
                weight.clone().into_dispatch(),
                ids.into_dispatch(),
            )),
            Self::TiedQ8 {
                packed,
                scale,
                smooth,
            } => Tensor::from_dispatch(Dispatch::panel_rows_q8(
                packed.clone().into_dispatch(),
                scale.clone().into_dispatch(),
                smooth.clone().into_dispatch(),
                ids.into_dispatch(),
            )),
        }
    }
}

pub(super) fn plain_panel_rows_f32<B: Backend>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    let [t] = ids.shape().dims();
    let [_, k, _] = weight.shape().dims();
    let panels = B::float_select(weight, 0, panel_of::<B>(&ids));
    let rows = B::float_mul(panels, lane_of::<B>(&ids));
    B::float_reshape(B::float_sum_dim(rows, 2), Shape::from([t, k]))
}

#[cfg(feature = "webgpu")]
pub(super) fn plain_panel_rows_f16<B: Backend>(
    weight: IntTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    plain_panel_rows_f32::<B>(linear::panels_of_halves::<B>(weight), ids)
}

#[cfg(feature = "webgpu")]
pub(super) fn plain_f16<B: Backend>(
    table: IntTensor<B>,
    ids: IntTensor<B>,
    dimensions: usize,
) -> FloatTensor<B> {
    let [t] = ids.shape().dims();
    let [_, pairs] = table.shape().dims();
    let rows = linear::halves::<B>(B::int_select(table, 0, ids));
    let rows = B::float_reshape(rows, Shape::from([t, pairs * 2]));
    B::float_slice(rows, &[Slice::from(0..t), Slice::from(0..dimensions)])
}

pub(super) fn plain_panel_rows_q8<B: Backend>(
    weight: IntTensor<B>,
    scale: FloatTensor<B>,
    smooth: FloatTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    let ([t], [k]) = (ids.shape().dims(), smooth.shape().dims());
    let [_, quads, _] = weight.shape().dims();
    let panels = B::int_select(weight, 0, panel_of::<B>(&ids));
    // [t, quads, 8, 4] → [t, quads, 4] → [t, k]
    let lane = B::float_reshape(lane_of::<B>(&ids), Shape::from([t, 1, PANEL, 1]));
    let rows = B::float_sum_dim(B::float_mul(linear::unpack_bytes::<B>(panels), lane), 2);
    let rows = B::float_reshape(rows, Shape::from([t, quads * 4]));
    let rows = B::float_slice(rows, &[Slice::from(0..t), Slice::from(0..k)]);
    let scale = B::float_reshape(B::float_select(scale, 0, ids), Shape::from([t, 1]));
    let smooth = B::float_reshape(smooth, Shape::from([1, k]));
    B::float_mul(B::float_mul(rows, scale), smooth)
}

/// The panel that has each id's row.
fn panel_of<B: Backend>(ids: &IntTensor<B>) -> IntTensor<B> {
    B::bitwise_right_shift_scalar(ids.clone(), Scalar::from(PANEL.ilog2() as i32))
}

/// One in the lane of each id's row, else zero: `[t, 1, 8]`.
fn lane_of<B: Backend>(ids: &IntTensor<B>) -> FloatTensor<B> {
    let [t] = ids.shape().dims();
    let lane = B::bitwise_and_scalar(ids.clone(), Scalar::from(PANEL as i32 - 1));
    let lane = B::int_into_float(lane, FloatDType::F32);
    let lane = B::float_reshape(lane, Shape::from([t, 1, 1]));
    let all = (0..PANEL).map(|i| {
        // Distances are whole numbers, so only the lane itself is above zero.
        let distance = B::float_abs(B::float_sub_scalar(lane.clone(), Scalar::from(i as f32)));
        let near = B::float_sub_scalar(B::float_neg(distance), Scalar::from(-1.0f32));
        B::float_clamp_min(near, Scalar::from(0.0f32))
    });
    B::float_cat(all.collect(), 2)
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
