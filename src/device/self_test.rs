//! Testing a GPU: whether its results match those of the CPU.

use burn::tensor::{Device, Int, Tensor};
use pilotlight_kernels::testing::Random;

use super::{Gpu, cpu};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::{
    Activation, Conv2d, Dtype, Embedding, LayerNorm, Linear, LinearNorm, LinearWeight, PANEL,
    QueryKeyValue, Reduction, RelativeBias, RmsNorm, Rotary, Spans, Window, attention,
    count_self_test, floats, gated, group_norm, integers, now_ms, packed_f32_shape, pool, read,
    upsample,
};

/// The largest accepted difference between two correct implementations, on values of magnitude one.
const TOLERANCE: f32 = 1e-3;
/// The sizes of an encoder layer of MiniLM.
const WIDTH: usize = 384;
const HEADS: usize = 12;
const INTERMEDIATE: usize = 1536;
/// Lengths of the sequences whose values are compared: together enough for the kernels of 16 rows and more, in tiles that they do not fill.
const CHECKED: [usize; 2] = [20, 9];

impl Gpu {
    /// Runs the kernels of models with weights of this format on the GPU and on the CPU, compares all values, and returns the largest difference, on values of
    /// magnitude one. This takes a tenth of a second, or seconds where kernels take long to compile. Later calls return the first result.
    ///
    /// *Errors*: `BackendUnavailable` if its results differ from the CPU's, and those of [`check`](Self::check).
    pub async fn test(&self, dtype: Dtype) -> Result<f32> {
        let known = &self.tests[dtype as usize];
        if let Some(difference) = known.get() {
            return Ok(*difference);
        }
        let start = now_ms();
        let parts_on_cpu = Parts::new(&cpu(), dtype)?;
        let on_gpu = Layer::new(Parts::new(self.device(), dtype)?, self.device());
        let expected = outputs(dtype, &cpu(), |x, spans| parts_on_cpu.forward(x, spans))?;
        let outputs = outputs(dtype, self.device(), |x, spans| on_gpu.forward(x, spans))?;
        let mut largest = 0.0f32;
        for (expected, got) in expected.into_iter().zip(outputs) {
            let (name, expected) = (expected.0, read(expected.1).await?);
            let got = read(got.1).await?;
            self.check()?;
            let error = difference(&expected, &got);
            if error > TOLERANCE {
                return Err(Error::new(
                    ErrorKind::BackendUnavailable,
                    format!(
                        "the results of the GPU differ from the CPU's: {name} by {error}, expected at most {TOLERANCE}"
                    ),
                ));
            }
            largest = largest.max(error);
        }
        count_self_test(now_ms() - start);
        Ok(*known.get_or_init(|| largest))
    }
}

/// The results of the operations of models with weights of this format, on sizes at the edges of the tiles of the kernels, and of a layer of MiniLM.
fn outputs(
    dtype: Dtype,
    device: &Device,
    layer: impl Fn(Tensor<2>, &Spans) -> Tensor<2>,
) -> Result<Vec<(String, Tensor<2>)>> {
    let mut random = RandomTensors::new(1);
    let mut outputs = Vec::new();
    // Models in int4 have a layer in int8, that of the logits.
    let formats: &[Dtype] = match dtype {
        Dtype::F32 => &[Dtype::F32],
        Dtype::F16 => &[Dtype::F16],
        Dtype::Q8 => &[Dtype::Q8],
        Dtype::Q4 => &[Dtype::Q4, Dtype::Q8],
    };
    // The kernel has three sizes of tiles, of which the smallest is tested twice.
    for (m, k, n, activation) in [
        (1, 1, 1, Activation::Identity),
        (3, 7, 9, Activation::Relu),
        (15, 33, 65, Activation::Gelu),
        (33, 40, 31, Activation::GeluTanh),
    ] {
        for dtype in formats {
            let linear = random.linear(n, k, *dtype, device)?;
            let y = apply(&linear, random.matrix(m, k, device), activation);
            let name = dtype.name();
            outputs.push((format!("a linear layer of {m}x{k}x{n} in {name}"), y));
        }
    }
    if dtype == Dtype::Q4 {
        let mut linear = random.linear(9, 33, dtype, device)?;
        if let LinearWeight::Q4 { scale, offset, .. } = &mut linear.weight {
            *offset = Some(scale.clone());
        }
        let y = apply(&linear, random.matrix(3, 33, device), Activation::Identity);
        outputs.push(("a linear layer in q4 with offsets".into(), y));
    }
    let pools = [
        (0..5, Reduction::Mean),
        (1..7, Reduction::Max),
        (2..4, Reduction::MeanSqrtLength),
        (3..9, Reduction::WeightedMean { first: 2 }),
    ];
    let x = random.matrix(9, 33, device);
    outputs.push(("pooled rows".into(), pool(x, pools.into())));
    let ids = || integers(vec![6, 0, 3, 3], [4], device);
    outputs.push((
        "rows of a table".into(),
        Embedding::F32(random.matrix(7, 33, device)).forward(ids()),
    ));
    match dtype {
        Dtype::F32 => outputs.extend(convolutions(&mut random, device)),
        Dtype::F16 => outputs.extend(rows_in_f16(&mut random, ids, device)?),
        Dtype::Q8 | Dtype::Q4 => outputs.extend(rows_in_q8(&mut random, ids, device)?),
    }
    for (heads, head, spans) in [
        (3, 20, Spans::from_lengths([3, 1, 34])),
        (1, 64, Spans::from_lengths([3, 1, 34]).causal()),
    ] {
        let [q, k, v] = std::array::from_fn(|_| random.matrix(38, heads * head, device));
        outputs.push((
            format!("attention with {heads} heads of {head}"),
            attention(q, k, v, &spans, heads),
        ));
    }
    let spans = Spans::from_lengths([3, 1, 34]).causal();
    let (q, k, v) = (
        random.matrix(38, 6 * 8, device),
        random.matrix(38, 2 * 8, device),
        random.matrix(38, 2 * 8, device),
    );
    let rotary = Rotary::new(&spans, 8, 1e4, device);
    let (q, k) = (rotary.forward(q), rotary.forward(k));
    outputs.push((
        "rotated attention with 6 heads on 2".into(),
        attention(q, k, v, &spans, 6),
    ));
    let spans = Spans::from_lengths([3, 1, 34]);
    let bias = RelativeBias::new(&spans, 3, |head, distance| {
        (head as f32 - 1.0) * distance as f32 * 0.1
    });
    for (name, bias) in [
        ("biased attention", bias),
        ("attention in a window", RelativeBias::window(&spans, 2)),
    ] {
        let [q, k, v] = std::array::from_fn(|_| random.matrix(38, 3 * 8, device));
        let spans = spans.clone().with_bias(bias);
        outputs.push((name.into(), attention(q, k, v, &spans, 3)));
    }
    let norm = RmsNorm {
        weight: floats(random.values(33, 1.0), [33], device),
        epsilon: 1e-5,
    };
    let (gate, up) = (random.matrix(3, 33, device), random.matrix(3, 33, device));
    for activation in [Activation::Silu, Activation::Gelu] {
        outputs.push((
            format!("a normalized gate by {activation:?}"),
            norm.forward(gated(gate.clone(), up.clone(), activation)),
        ));
    }
    let (x, residual) = (random.matrix(3, 33, device), random.matrix(3, 33, device));
    outputs.push((
        "layer norm".into(),
        random.norm(33, device).forward(x, residual),
    ));
    let x = random.matrix(CHECKED.iter().sum(), WIDTH, device);
    outputs.push((
        format!("a layer of MiniLM in {}", dtype.name()),
        layer(x, &Spans::from_lengths(CHECKED)),
    ));
    Ok(outputs)
}

/// The results of tables and of tied layers in int8, which models in int4 have too.
fn rows_in_q8(
    random: &mut RandomTensors,
    ids: impl Fn() -> Tensor<1, Int>,
    device: &Device,
) -> Result<Vec<(String, Tensor<2>)>> {
    let mut outputs = Vec::new();
    let words = random.values(7 * 9, 2e9);
    let words = words.iter().map(|x| *x as i32).collect();
    let table = Embedding::Q8 {
        packed: integers(words, [7, 9], device),
        scale: floats(random.values(7, 0.01), [7], device),
        dimensions: 33,
    };
    outputs.push(("rows of a table in q8".into(), table.forward(ids())));
    if let LinearWeight::Q8 {
        packed,
        scale,
        smooth,
        ..
    } = random.linear(7, 33, Dtype::Q8, device)?.weight
    {
        let table = Embedding::TiedQ8 {
            packed,
            scale,
            smooth,
        };
        outputs.push(("rows of a layer in q8".into(), table.forward(ids())));
    }
    Ok(outputs)
}

/// The results of tables and of tied layers in f16.
fn rows_in_f16(
    random: &mut RandomTensors,
    ids: impl Fn() -> Tensor<1, Int>,
    device: &Device,
) -> Result<Vec<(String, Tensor<2>)>> {
    let mut outputs = Vec::new();
    let layer = random.linear(7, 33, Dtype::F16, device)?;
    if let LinearWeight::F16(packed) = layer.weight {
        // Its words make a table too, of which the last column of a row is padding.
        let table = Embedding::F16 {
            packed: packed.clone().reshape([4, 33]),
            dimensions: 65,
        };
        let table = table.forward(integers(vec![3, 0, 2], [3], device));
        outputs.push(("rows of a table in f16".into(), table));
        let layer = Embedding::TiedF16(packed).forward(ids());
        outputs.push(("rows of a layer in f16".into(), layer));
    }
    Ok(outputs)
}

/// The results of the operations of the digit generator, whose weights are in f32.
fn convolutions(random: &mut RandomTensors, device: &Device) -> Vec<(String, Tensor<2>)> {
    [(1, 9, 2), (12, 20, 1)]
        .map(|(c, n, stride)| {
            let window = Window {
                size: 3,
                stride,
                padding: 1,
            };
            let x = floats(random.values(2 * 7 * 5 * c, 1.7), [2, 7, 5, c], device);
            let y = upsample(random.conv(c, n, window, device).forward(x), 2);
            let [b, h, w, n] = y.dims();
            let (gain, offset) = (random.matrix(b, n, device), random.matrix(b, n, device));
            let y = group_norm(y, gain, offset, 1, 1e-5, Activation::Silu);
            let name = format!("a convolution of {c} to {n} channels, enlarged and normalized");
            (name, y.reshape([b, h * w * n]))
        })
        .into()
}

/// The result of a layer: of its kernel on a GPU, and of the plain body on the CPU, whose kernels would quantize the inputs too.
fn apply(linear: &Linear, x: Tensor<2>, activation: Activation) -> Tensor<2> {
    match x.device() == cpu() {
        true => linear.forward_plainly(x, activation),
        false => linear.forward(x, activation),
    }
}

/// The layers of an encoder layer with the sizes of MiniLM.
struct Parts {
    /// On the CPU, from where [`QueryKeyValue`] sends them to a GPU.
    query_key_value: [Linear; 3],
    output: Linear,
    intermediate: Linear,
    dense: Linear,
    norm: LayerNorm,
}

impl Parts {
    fn new(device: &Device, dtype: Dtype) -> Result<Self> {
        let mut random = RandomTensors::new(2);
        let mut square = || random.linear(WIDTH, WIDTH, dtype, &cpu());
        let query_key_value = [square()?, square()?, square()?];
        let mut linear = |n, k| random.linear(n, k, dtype, device);
        Ok(Self {
            query_key_value,
            output: linear(WIDTH, WIDTH)?,
            intermediate: linear(INTERMEDIATE, WIDTH)?,
            dense: linear(WIDTH, INTERMEDIATE)?,
            norm: random.norm(WIDTH, device),
        })
    }

    /// The result of [`Layer::forward`], with nothing joined.
    fn forward(&self, x: Tensor<2>, spans: &Spans) -> Tensor<2> {
        let [query, key, value] = self
            .query_key_value
            .each_ref()
            .map(|linear| apply(linear, x.clone(), Activation::Identity));
        let context = attention(query, key, value, spans, HEADS);
        let y = apply(&self.output, context, Activation::Identity);
        let x = self.norm.forward(y, x);
        let hidden = apply(&self.intermediate, x.clone(), Activation::Gelu);
        let y = apply(&self.dense, hidden, Activation::Identity);
        self.norm.forward(y, x)
    }
}

/// The encoder layer of [`Parts`], as models compute it.
struct Layer {
    query_key_value: QueryKeyValue,
    output: LinearNorm,
    intermediate: Linear,
    dense: LinearNorm,
}

impl Layer {
    fn new(parts: Parts, device: &Device) -> Self {
        Self {
            query_key_value: QueryKeyValue::new(parts.query_key_value, device),
            output: LinearNorm::new(parts.output, parts.norm.clone()),
            intermediate: parts.intermediate,
            dense: LinearNorm::new(parts.dense, parts.norm),
        }
    }

    fn forward(&self, x: Tensor<2>, spans: &Spans) -> Tensor<2> {
        let context = self.query_key_value.attention(x.clone(), spans, HEADS);
        let x = self.output.forward(context, x);
        let hidden = self.intermediate.forward(x.clone(), Activation::Gelu);
        self.dense.forward(hidden, x)
    }
}

/// Random tensors and layers, the same on every device.
struct RandomTensors(Random);

impl RandomTensors {
    fn new(seed: u32) -> Self {
        Self(Random::new(seed))
    }

    /// Values from `-magnitude` to `magnitude`.
    fn values(&mut self, count: usize, magnitude: f32) -> Vec<f32> {
        let values = (0..count).map(|_| self.0.value() * magnitude);
        values.collect()
    }

    fn matrix(&mut self, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
        floats(self.values(rows * columns, 1.7), [rows, columns], device)
    }

    fn vector(&mut self, length: usize, device: &Device) -> Tensor<1> {
        floats(self.values(length, 1.0), [length], device)
    }

    /// A layer whose outputs have about the magnitude of its inputs.
    fn linear(&mut self, n: usize, k: usize, dtype: Dtype, device: &Device) -> Result<Linear> {
        let bias = self.values(n, 1.0);
        let weight = self.values(n * k, (3.0 / k as f32).sqrt());
        Linear::pack(&weight, &bias, dtype, device)
    }

    /// Packed weights, scaled so that outputs have about the magnitude of the inputs, and a bias.
    fn panels(&mut self, n: usize, k: usize, device: &Device) -> (Tensor<3>, Tensor<1>) {
        let shape = packed_f32_shape(n, k);
        let mut packed = self.values(shape.iter().product(), (3.0 / k as f32).sqrt());
        // Outputs past the last are zeros, as in all packed weights.
        for (i, weight) in packed.iter_mut().enumerate() {
            if i / (k * PANEL) * PANEL + i % PANEL >= n {
                *weight = 0.0;
            }
        }
        (floats(packed, shape, device), self.vector(n, device))
    }

    fn conv(&mut self, c: usize, n: usize, window: Window, device: &Device) -> Conv2d {
        let (weight, bias) = self.panels(n, window.size * window.size * c, device);
        Conv2d {
            weight,
            bias,
            window,
        }
    }

    fn norm(&mut self, d: usize, device: &Device) -> LayerNorm {
        LayerNorm {
            weight: self.vector(d, device),
            bias: self.vector(d, device),
            epsilon: 1e-12,
        }
    }
}

/// The largest difference; infinite if a value is NaN or missing.
fn difference(expected: &[f32], got: &[f32]) -> f32 {
    if expected.len() != got.len() {
        return f32::INFINITY;
    }
    expected
        .iter()
        .zip(got)
        .fold(0.0, |largest, (expected, got)| {
            let error = (expected - got).abs();
            if error.is_nan() {
                f32::INFINITY
            } else {
                error.max(largest)
            }
        })
}
