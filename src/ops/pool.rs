//! Pooling: reducing some rows of a matrix to one.

use std::ops::Range;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Scalar, TensorMetadata};
use burn::tensor::{Shape, Slice, Tensor, TensorData};

use super::HotOps;

/// The way in which rows are reduced to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The mean.
    Mean,
    /// The sum, divided by the root of the number of rows.
    MeanSqrtLength,
    /// The largest value of each column.
    Max,
    /// The mean, each row weighted by its place.
    WeightedMean {
        /// The place of the first row.
        first: usize,
    },
}

/// One row of the result: the rows that are reduced to it, and how. Without rows it is zero.
pub type Pool = (Range<usize>, Reduction);

/// Reduces rows of `x`. *Shapes*: `x: [t, d]`, result `[pools, d]`.
pub fn pool(x: Tensor<2>, pools: Vec<Pool>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::pool(x.into_dispatch(), pools))
}

pub(super) fn plain<B: Backend>(x: FloatTensor<B>, pools: Vec<Pool>) -> FloatTensor<B> {
    let [_, d] = x.shape().dims();
    let device = x.device();
    let rows = pools.into_iter().map(|(rows, reduction)| {
        let count = rows.len();
        if count == 0 {
            return B::float_from_data(TensorData::new(vec![0.0f32; d], [1, d]), &device);
        }
        let slices = [Slice::from(rows), Slice::from(0..d)];
        let x = B::float_slice(x.clone(), &slices);
        match reduction {
            Reduction::Mean => B::float_mean_dim(x, 0),
            Reduction::MeanSqrtLength => {
                let root = Scalar::from((count as f32).sqrt());
                B::float_div_scalar(B::float_sum_dim(x, 0), root)
            }
            Reduction::Max => B::float_max_dim(x, 0),
            Reduction::WeightedMean { first } => {
                let places: Vec<f32> = (first..first + count).map(|place| place as f32).collect();
                let sum = Scalar::from(places.iter().sum::<f32>());
                let places = TensorData::new(places, [1, count]);
                let weighted = B::float_matmul(B::float_from_data(places, &device), x);
                B::float_div_scalar(weighted, sum)
            }
        }
    });
    let rows: Vec<_> = rows
        .map(|row| B::float_reshape(row, Shape::from([1, d])))
        .collect();
    B::float_cat(rows, 0)
}
