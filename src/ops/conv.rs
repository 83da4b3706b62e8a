//! 2-D convolution and upsampling of images with channels last: `[b, h, w, c]`.
//!
//! There is no downsampling: models use a convolution with a stride for it.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{FloatDType, Shape, Slice, Tensor};

pub use pilotlight_kernels::Window;

use super::HotOps;

/// A 2-D convolution with bias.
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// The packed weights, `[⌈n / 8⌉, size · size · c, 8]`, with inputs ordered by row, column and channel of the window.
    pub weight: Tensor<3>,
    /// `[n]`
    pub bias: Tensor<1>,
    /// The size, stride and padding of the window.
    pub window: Window,
}

impl Conv2d {
    /// Convolves `x`. *Shapes*: `x: [b, h, w, c]`, result `[b, window.outputs(h), window.outputs(w), n]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::conv2d(
            x.into_dispatch(),
            self.weight.clone().into_dispatch(),
            self.bias.clone().into_dispatch(),
            self.window,
        ))
    }
}

/// Repeats each pixel `factor` times in both directions. *Shapes*: `x: [b, h, w, c]`, result `[b, h · factor, w · factor, c]`.
pub fn upsample(x: Tensor<4>, factor: usize) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::upsample(x.into_dispatch(), factor))
}

/// Adds up a matrix product for each pixel of the window.
pub(super) fn plain<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    window: Window,
) -> FloatTensor<B> {
    let [b, h, w, c] = x.shape().dims();
    let [panels, _, lanes] = weight.shape().dims();
    let [n] = bias.shape().dims();
    let Window {
        size,
        stride,
        padding,
    } = window;
    let (high, wide) = (window.outputs(h), window.outputs(w));
    let x = pad::<B>(x, padding);
    // [panels, size · size, c, lanes] → [size · size, c, n]
    let weight = B::float_reshape(weight, Shape::from([panels, size * size, c, lanes]));
    let weight = B::float_permute(weight, &[1, 2, 0, 3]);
    let weight = B::float_reshape(weight, Shape::from([size * size, c, panels * lanes]));
    let mut y = B::float_reshape(bias, Shape::from([1, n]));
    for pixel in 0..size * size {
        let pixels = |from: usize, count: usize| {
            let end = from + (count * stride).saturating_sub(stride - 1);
            Slice::new(from as isize, Some(end as isize), stride as isize)
        };
        let part = [
            Slice::from(0..b),
            pixels(pixel / size, high),
            pixels(pixel % size, wide),
            Slice::from(0..c),
        ];
        let part = B::float_slice(x.clone(), &part);
        let part = B::float_reshape(part, Shape::from([b * high * wide, c]));
        let weight = B::float_slice(
            weight.clone(),
            &[
                Slice::from(pixel..pixel + 1),
                Slice::from(0..c),
                Slice::from(0..n),
            ],
        );
        let weight = B::float_reshape(weight, Shape::from([c, n]));
        y = B::float_add(y, B::float_matmul(part, weight));
    }
    B::float_reshape(y, Shape::from([b, high, wide, n]))
}

/// Surrounds each image with zeros.
fn pad<B: Backend>(x: FloatTensor<B>, padding: usize) -> FloatTensor<B> {
    if padding == 0 {
        return x;
    }
    let [b, h, w, c] = x.shape().dims();
    let shape = Shape::from([b, h + 2 * padding, w + 2 * padding, c]);
    let zeros = B::float_zeros(shape, &x.device(), FloatDType::F32);
    let inner = [
        Slice::from(0..b),
        Slice::from(padding..padding + h),
        Slice::from(padding..padding + w),
        Slice::from(0..c),
    ];
    B::float_slice_assign(zeros, &inner, x)
}

pub(super) fn plain_upsample<B: Backend>(x: FloatTensor<B>, factor: usize) -> FloatTensor<B> {
    let [b, h, w, c] = x.shape().dims();
    let x = B::float_reshape(x, Shape::from([b, h, 1, w, 1, c]));
    let x = B::float_expand(x, Shape::from([b, h, factor, w, factor, c]));
    B::float_reshape(x, Shape::from([b, h * factor, w * factor, c]))
}
