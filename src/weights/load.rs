//! Reads a checkpoint or a packed model from a stream, and writes the packed form to the store as it goes.

use std::collections::HashMap;

use async_trait::async_trait;
use burn::tensor::{Device, Tensor};
use half::{bf16, f16};

use super::layout::{
    Companion, Layout, Loaded, PACK_DTYPE, PACK_VERSION, Values, not_finite, packed_header,
};
use super::pack::smoothing;
use super::safetensors::{Entry, Header, named};
use super::{Dtype, Parameter};
use crate::error::{Error, Result};
use crate::hub::ByteStream;
use crate::ops::{Embedding, LayerNorm, Linear, LinearWeight, PANEL, floats, group_sums, integers};
use crate::pace::Pace;

/// Most source bytes that are in memory at a time.
const BLOCK: usize = 1 << 20;

/// Where the packed file goes while it is made.
#[async_trait(?Send)]
pub trait Sink {
    /// Takes the next bytes of the file.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;
}

/// A model's tensors by name, each taken out once.
pub struct Weights {
    tensors: HashMap<String, Loaded>,
    device: Device,
}

impl Weights {
    /// The layer whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn linear(&mut self, name: &str) -> Result<Linear> {
        let bias = self.vector(&format!("{name}.bias"))?;
        let Loaded {
            values,
            shape,
            scale,
            smooth,
            sums,
            halves,
        } = self.take(&format!("{name}.weight"))?;
        let shape = [shape[0], shape[1], shape[2]];
        let weight = match values {
            Values::F32(values) => LinearWeight::F32(floats(values, shape, &self.device)),
            Values::Q8(values) => LinearWeight::q8(values, sums, scale, smooth, &self.device),
            Values::Q4(values) => {
                let groups = halves.len() / (shape[0] * PANEL / 2).max(1);
                LinearWeight::Q4 {
                    packed: integers(values, shape, &self.device),
                    scale: integers(halves, [shape[0], groups, PANEL / 2], &self.device),
                }
            }
        };
        Ok(Linear { weight, bias })
    }

    /// The table `{name}.weight`.
    pub fn embedding(&mut self, name: &str, dimensions: usize) -> Result<Embedding> {
        let Loaded {
            values,
            shape,
            scale,
            ..
        } = self.take(&format!("{name}.weight"))?;
        let shape = [shape[0], shape[1]];
        Ok(match values {
            Values::F32(values) => Embedding::F32(floats(values, shape, &self.device)),
            Values::Q8(values) | Values::Q4(values) => {
                let packed = integers(values, shape, &self.device);
                Embedding::Q8 {
                    packed,
                    scale: self.scale(scale),
                    dimensions,
                }
            }
        })
    }

    /// The norm whose tensors are `{name}.weight` and `{name}.bias`.
    pub fn layer_norm(&mut self, name: &str, epsilon: f32) -> Result<LayerNorm> {
        let weight = self.vector(&format!("{name}.weight"))?;
        Ok(LayerNorm {
            weight,
            bias: self.vector(&format!("{name}.bias"))?,
            epsilon,
        })
    }

    /// A tensor with one dimension.
    pub fn vector(&mut self, name: &str) -> Result<Tensor<1>> {
        match self.take(name)? {
            Loaded {
                values: Values::F32(values),
                shape,
                ..
            } => Ok(floats(values, [shape[0]], &self.device)),
            Loaded {
                values: Values::Q8(_) | Values::Q4(_),
                ..
            } => Err(Error::internal(format!("tensor '{name}' is not plain"))),
        }
    }

    fn scale(&self, scale: Vec<f32>) -> Tensor<1> {
        let length = scale.len();
        floats(scale, [length], &self.device)
    }

    fn take(&mut self, name: &str) -> Result<Loaded> {
        self.tensors
            .remove(name)
            .ok_or_else(|| Error::internal(format!("tensor '{name}' was not asked for")))
    }
}

/// Reads the tensors that a model needs, casts or quantizes them by blocks of rows, and hands the packed file to `sink`.
///
/// Tensors that are not needed are passed over. Names may carry one of `prefixes` in an upstream checkpoint.
/// *Errors*: `InvalidWeights` naming the file and the tensor, `ResourceLimit` where memory is short, and the stream's own.
pub async fn load(
    file: &str,
    stream: &mut dyn ByteStream,
    parameters: &[Parameter],
    prefixes: &[&str],
    dtype: Dtype,
    device: &Device,
    mut sink: Option<&mut dyn Sink>,
    pace: &dyn Pace,
) -> Result<Weights> {
    let header = Header::read(file, stream).await?;
    let packed = is_packed(file, &header, dtype)?;
    let layouts: Vec<_> = parameters
        .iter()
        .map(|parameter| Layout::of(parameter, dtype))
        .collect();
    let order = file_order(
        file,
        &header,
        parameters,
        &layouts,
        if packed { &[""] } else { prefixes },
        packed,
    )?;
    if let Some(sink) = sink.as_deref_mut() {
        sink.write(&packed_header(
            order
                .iter()
                .map(|found| (&parameters[found.index], &layouts[found.index])),
            dtype,
        )?)
        .await?;
    }
    let mut reader = Reader {
        file,
        stream,
        position: 0,
        block: Vec::new(),
        pace,
    };
    let mut tensors = HashMap::new();
    for Found {
        index,
        entry,
        companions,
    } in order
    {
        let (parameter, layout) = (&parameters[index], &layouts[index]);
        let mut loaded = layout.allocate(&parameter.name)?;
        reader.skip_to(entry.range.start).await?;
        if packed {
            reader.copy(entry, loaded.values.bytes_mut()).await?;
            for (companion, to) in companions.iter().zip(loaded.companions_mut()) {
                reader.skip_to(companion.range.start).await?;
                reader.copy(companion, to).await?;
            }
            loaded.check_finite(file, &parameter.name)?;
        } else {
            let norm = norm_of(parameter, &tensors);
            reader.rows(entry, parameter, norm, &mut loaded).await?;
            if let (Values::Q8(values), false) = (&loaded.values, loaded.sums.is_empty()) {
                loaded.sums = group_sums(values, loaded.smooth.len());
            }
        }
        if let Some(sink) = sink.as_deref_mut() {
            sink.write(loaded.values.bytes()).await?;
            for companion in loaded.companions() {
                sink.write(companion).await?;
            }
        }
        tensors.insert(parameter.name.clone(), loaded);
    }
    // To the very end: a stream of unknown length may be too short or too long.
    reader
        .skip_to(header.entries.last().map_or(0, |last| last.range.end))
        .await?;
    if reader.stream.read(&mut [0]).await? != 0 {
        return Err(Error::invalid_weights(format!(
            "{file}: there are bytes behind the last tensor"
        )));
    }
    Ok(Weights {
        tensors,
        device: device.clone(),
    })
}

fn is_packed(file: &str, header: &Header, dtype: Dtype) -> Result<bool> {
    let Some(version) = header.metadata.get(PACK_VERSION.0) else {
        return Ok(false);
    };
    let found = header.metadata.get(PACK_DTYPE).map_or("", String::as_str);
    if version != PACK_VERSION.1 || found != dtype.name() {
        return Err(Error::invalid_weights(format!(
            "{file}: is a packed model of version {version} and dtype '{found}', expected version {} and '{}'",
            PACK_VERSION.1,
            dtype.name()
        )));
    }
    Ok(true)
}

/// A parameter's place in a file.
struct Found<'a> {
    index: usize,
    entry: &'a Entry,
    /// What follows an int8 tensor in a packed file: its scale, and a linear layer's smoothing.
    companions: Vec<&'a Entry>,
}

/// `gamma` and `beta` of the norm whose output a linear layer takes, where they stand before it in the file.
fn norm_of<'a>(
    parameter: &Parameter,
    tensors: &'a HashMap<String, Loaded>,
) -> Option<(&'a [f32], &'a [f32])> {
    let norm = parameter.after.as_ref()?;
    let get = |part| match &tensors.get(&format!("{norm}.{part}"))?.values {
        Values::F32(values) => Some(values.as_slice()),
        Values::Q8(_) | Values::Q4(_) => None,
    };
    Some((get("weight")?, get("bias")?))
}

/// The parameters in the order of their bytes, each checked against what the model expects.
fn file_order<'a>(
    file: &str,
    header: &'a Header,
    parameters: &[Parameter],
    layouts: &[Layout],
    prefixes: &[&str],
    packed: bool,
) -> Result<Vec<Found<'a>>> {
    let by_name: HashMap<_, _> = header
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry))
        .collect();
    let get = |name: &str| {
        prefixes
            .iter()
            .find_map(|prefix| by_name.get(format!("{prefix}{name}").as_str()).copied())
    };
    let mut order = Vec::with_capacity(parameters.len());
    for (index, (parameter, layout)) in parameters.iter().zip(layouts).enumerate() {
        let name = &parameter.name;
        let find = |name: &str| {
            get(name).ok_or_else(|| {
                Error::invalid_weights(format!("{file}: tensor '{name}' is missing"))
            })
        };
        let entry = find(name)?;
        let (shape, dtypes) = if packed {
            (&layout.shape, &[layout.dtype] as &[&str])
        } else {
            (&parameter.shape, &["F32", "F16", "BF16"] as &[&str])
        };
        check(file, entry, shape, dtypes)?;
        let mut companions = Vec::new();
        if packed {
            let mut end = entry.range.end;
            for Companion { kind, dtype, shape } in &layout.companions {
                let companion = find(&format!("{name}_{kind}"))?;
                check(file, companion, shape, &[dtype])?;
                if companion.range.start < end {
                    return Err(Error::invalid_weights(format!(
                        "{file}: tensor '{}' is out of order",
                        companion.name
                    )));
                }
                end = companion.range.end;
                companions.push(companion);
            }
        }
        order.push(Found {
            index,
            entry,
            companions,
        });
    }
    order.sort_by_key(|found| found.entry.range.start);
    // Companions must follow their tensor at once, because the stream cannot go back.
    for pair in order.windows(2) {
        let end = pair[0]
            .companions
            .last()
            .unwrap_or(&pair[0].entry)
            .range
            .end;
        if end > pair[1].entry.range.start {
            return Err(Error::invalid_weights(format!(
                "{file}: tensor '{}' is out of order",
                pair[1].entry.name
            )));
        }
    }
    Ok(order)
}

fn check(file: &str, entry: &Entry, shape: &[usize], dtypes: &[&str]) -> Result<()> {
    let bad = |what: String| {
        Err(Error::invalid_weights(format!(
            "{file}: tensor '{}' has {what}",
            entry.name
        )))
    };
    if entry.shape != shape {
        return bad(format!("shape {:?}, expected {shape:?}", entry.shape));
    }
    if !dtypes.contains(&entry.dtype.as_str()) {
        return bad(format!(
            "dtype {}, expected {}",
            entry.dtype,
            dtypes.join(" or ")
        ));
    }
    Ok(())
}

/// Reads tensors one after the other through one block of memory.
struct Reader<'a> {
    file: &'a str,
    stream: &'a mut dyn ByteStream,
    /// In bytes from the end of the header.
    position: u64,
    block: Vec<u8>,
    pace: &'a dyn Pace,
}

impl Reader<'_> {
    /// Passes over tensors that are not needed.
    async fn skip_to(&mut self, position: u64) -> Result<()> {
        while self.position < position {
            self.next_block((position - self.position).min(BLOCK as u64) as usize)
                .await?;
        }
        Ok(())
    }

    /// Copies a tensor of the packed file to its place.
    async fn copy(&mut self, entry: &Entry, to: &mut [u8]) -> Result<()> {
        debug_assert_eq!(entry.range.start, self.position);
        for part in to.chunks_mut(BLOCK) {
            self.pace.breathe().await?;
            self.stream
                .read_exact(part)
                .await
                .map_err(|error| named(self.file, error))?;
            self.position += part.len() as u64;
        }
        Ok(())
    }

    /// Casts an upstream tensor to f32 and packs it, a block of rows at a time.
    ///
    /// `norm` is what the inputs of a linear layer come from, for smoothing.
    async fn rows(
        &mut self,
        entry: &Entry,
        parameter: &Parameter,
        norm: Option<(&[f32], &[f32])>,
        to: &mut Loaded,
    ) -> Result<()> {
        let length = entry.shape.last().copied().unwrap_or(1);
        if length == 0 {
            return Err(Error::invalid_weights(format!(
                "{}: tensor '{}' is empty",
                self.file, entry.name
            )));
        }
        let width = if entry.dtype == "F32" { 4 } else { 2 };
        let count = entry.shape.iter().product::<usize>() / length;
        let rows_at_once = (BLOCK / (length * width)).max(1);
        let (mut row, mut bytes) = (vec![0.0; length], vec![0; length]);
        for first in (0..count).step_by(rows_at_once) {
            let rows = rows_at_once.min(count - first);
            self.next_block(rows * length * width).await?;
            if let (0, Some((gamma, beta)), false) = (first, norm, to.smooth.is_empty()) {
                let mut block = vec![0.0; rows * length];
                cast(&self.block, &entry.dtype, &mut block);
                to.smooth = smoothing(gamma, beta, &block);
            }
            for (index, source) in (first..).zip(self.block.chunks_exact(length * width)) {
                cast(source, &entry.dtype, &mut row);
                if !row.iter().all(|value| value.is_finite()) {
                    return Err(not_finite(self.file, &entry.name));
                }
                to.set_row(parameter.role, index, &mut row, &mut bytes);
            }
        }
        Ok(())
    }

    async fn next_block(&mut self, length: usize) -> Result<()> {
        self.pace.breathe().await?;
        self.block.resize(length, 0);
        self.stream
            .read_exact(&mut self.block)
            .await
            .map_err(|error| named(self.file, error))?;
        self.position += length as u64;
        Ok(())
    }
}

/// Little-endian values of a float dtype to f32.
fn cast(source: &[u8], dtype: &str, to: &mut [f32]) {
    match dtype {
        "F32" => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<4>().0) {
                *to = f32::from_le_bytes(*bytes);
            }
        }
        "F16" => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<2>().0) {
                *to = f16::from_le_bytes(*bytes).to_f32();
            }
        }
        // `check` lets only these three pass.
        _ => {
            for (to, bytes) in to.iter_mut().zip(source.as_chunks::<2>().0) {
                *to = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
    }
}
