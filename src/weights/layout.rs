//! The layout of tensors in memory and in the packed file, and the packing of a checkpoint's rows into it.

use pilotlight_kernels::blocks::Format;
use pilotlight_kernels::pack::{
    are_finite, divide, linear_scale, pack_blocks_q4, pack_embedding_row_f16,
    pack_embedding_row_q8, pack_row_f16, pack_row_f32, pack_row_q4, pack_row_q8, quantize_row,
    row_scale,
};
use pilotlight_kernels::{are_finite_halves, fits_halves, unpack_halves};

use serde_json::json;

use super::contents::Found;
use super::safetensors::METADATA;
use super::{Dtype, Parameter, Role};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::{
    PANEL, group_sums_shape, packed_f32_shape, packed_q4_shape, packed_q8_shape, q4_scale_shape,
};

/// The version of the packed layout; files of other versions are rejected.
pub const PACK_VERSION: &str = "1";

/// The metadata key of a packed model's version.
pub(super) const PACK: &str = "pilotlight.pack";
/// The metadata key of a packed model's precision.
pub(super) const PACK_DTYPE: &str = "pilotlight.dtype";

/// The prefix of the metadata key for the checkpoint's shape of a tensor of any size.
pub(super) const SHAPE: &str = "pilotlight.shape.";

/// The kind of the side tensor that has the offsets of an int4 matrix.
pub(super) const OFFSET: &str = "offset";

/// Whether the 4-bit numbers of a tensor type are kept as they are, and count from a minimum: an int4 matrix of them has offsets.
pub(super) fn has_minimum(dtype: &str) -> bool {
    matches!(dtype, "Q4_1" | "Q4_K")
}

/// The most values that a tensor may have. Sizes in bytes are computed in 64 bits, because they may exceed 32.
const MAX_VALUES: u64 = 1 << 31;

/// A tensor in memory, in the layout of the packed file.
pub(super) struct PackedTensor {
    pub values: PackedValues,
    /// The shape in the packed file's header.
    pub shape: Vec<usize>,
    /// The number of values in a row of the checkpoint's tensor, without padding.
    pub columns: usize,
    /// The scales of an int8 tensor, one for each output or row.
    pub scale: Vec<f32>,
    /// The smoothing factors of a linear layer's int8 matrix, one for each input, which is multiplied with it.
    pub smooth: Vec<f32>,
    /// The sums of a linear layer's int8 weights, by groups.
    pub sums: Vec<f32>,
    /// The scales of an int4 matrix, one f16 for each output and group, two in each element.
    pub halves: Vec<i32>,
    /// The offsets of an int4 matrix, in the layout of its scales; empty where it has none.
    pub offsets: Vec<i32>,
    /// The byte of the packed file at which the values begin, where they stay in the store.
    pub start: u64,
    /// The name of the packed file that has the values, where they stay in the store.
    pub file: String,
}

/// The values of a tensor in the packed layout.
pub(super) enum PackedValues {
    /// Values in f32.
    F32(Vec<f32>),
    /// Values in f16, two in each element.
    F16(Vec<i32>),
    /// Values in int8, four in each element.
    Q8(Vec<i32>),
    /// Values in int4, eight in each element.
    Q4(Vec<i32>),
}

impl PackedValues {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::F32(values) => bytemuck::cast_slice(values),
            Self::F16(values) | Self::Q8(values) | Self::Q4(values) => bytemuck::cast_slice(values),
        }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::F32(values) => bytemuck::cast_slice_mut(values),
            Self::F16(values) | Self::Q8(values) | Self::Q4(values) => {
                bytemuck::cast_slice_mut(values)
            }
        }
    }
}

/// The layout of a parameter in the packed file and in memory.
pub(super) struct Layout {
    /// The name of the dtype in safetensors; U8 for int4, two in each byte.
    pub dtype: &'static str,
    /// The shape in the packed file.
    pub shape: Vec<usize>,
    /// The number of values in a row of the checkpoint's tensor, without padding.
    pub columns: usize,
    /// The tensors that follow in the packed file, in the order of [`PackedTensor::side_tensors`].
    pub side_tensors: Vec<SideTensor>,
}

/// A small tensor that belongs to a quantized one, such as its scales. Its name is that tensor's, `_` and `kind`.
pub(super) struct SideTensor {
    pub kind: &'static str,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
}

impl Layout {
    /// Computes the layout of a parameter. `offsets`: whether it has offsets, if it becomes an int4 matrix.
    ///
    /// *Errors*: `ResourceLimit` for a tensor of more than `MAX_VALUES` values.
    pub fn of(parameter: &Parameter, dtype: Dtype, offsets: bool) -> Result<Self> {
        let values = parameter
            .shape
            .iter()
            .try_fold(1, |values: u64, n| values.checked_mul(*n as u64));
        if values.is_none_or(|values| values > MAX_VALUES) {
            return Err(Error::new(
                ErrorKind::ResourceLimit,
                format!(
                    "tensor '{}': shape {:?} is more than {MAX_VALUES} values",
                    parameter.name, parameter.shape
                ),
            )
            .with_tensor(&parameter.name));
        }
        let (shape, [n, k]) = (&parameter.shape, parameter.matrix());
        let side_tensor = |kind, dtype, shape: &[usize]| SideTensor {
            kind,
            dtype,
            shape: shape.to_vec(),
        };
        let (dtype, shape, side_tensors) = match (parameter.role, dtype) {
            (Role::Panels | Role::Head, Dtype::F32) => {
                let packed = packed_f32_shape(n, k);
                ("F32", packed.to_vec(), vec![])
            }
            (Role::Panels | Role::Head, Dtype::F16) => {
                // As f32, but for the width of a value.
                let packed = packed_f32_shape(n, k);
                ("F16", packed.to_vec(), vec![])
            }
            (Role::Panels, Dtype::Q8) | (Role::Head, Dtype::Q8 | Dtype::Q4) => {
                let [panels, quads, lanes] = packed_q8_shape(n, k);
                let scale = side_tensor("scale", "F32", &[n]);
                let smooth = side_tensor("smooth", "F32", &[k]);
                let sums = side_tensor("sums", "F32", &group_sums_shape(n, k));
                (
                    "I8",
                    vec![panels, quads, lanes, 4],
                    vec![scale, smooth, sums],
                )
            }
            (Role::Panels, Dtype::Q4) => {
                let [panels, octets, lanes] = packed_q4_shape(n, k);
                let [_, groups, pairs] = q4_scale_shape(n, k);
                let halves = |kind| side_tensor(kind, "F16", &[panels, groups, pairs * 2]);
                let offset = offsets.then(|| halves(OFFSET));
                let side_tensors = std::iter::once(halves("scale")).chain(offset);
                let packed = vec![panels, octets, lanes, 4];
                ("U8", packed, side_tensors.collect())
            }
            (Role::Rows, Dtype::Q8 | Dtype::Q4) => {
                let packed = vec![n, k.div_ceil(4), 4];
                ("I8", packed, vec![side_tensor("scale", "F32", &[n])])
            }
            (Role::Rows, Dtype::F16) => ("F16", vec![n, k.div_ceil(2), 2], vec![]),
            (Role::Rows, Dtype::F32) | (Role::Plain, _) => ("F32", shape.clone(), vec![]),
        };
        Ok(Self {
            dtype,
            shape,
            columns: k,
            side_tensors,
        })
    }

    /// Bytes in the packed file, side tensors included.
    pub fn bytes(&self) -> u64 {
        let side_tensors = self.side_tensors.iter();
        let side_tensors =
            side_tensors.map(|side_tensor| bytes(&side_tensor.shape, side_tensor.dtype));
        bytes(&self.shape, self.dtype) + side_tensors.sum::<u64>()
    }

    /// Allocates the tensor, filled with zeros, and with ones where it has smoothing factors.
    ///
    /// *Errors*: `ResourceLimit` where memory is short.
    pub fn allocate(&self, name: &str) -> Result<PackedTensor> {
        let short = || {
            let mib = self.bytes() >> 20;
            Error::new(
                ErrorKind::ResourceLimit,
                format!("tensor '{name}': out of memory for its {mib} MiB"),
            )
            .with_tensor(name)
        };
        // Padding may take the number of elements past 32 bits where the number of values fits.
        let length = |shape: &[usize]| {
            let length = usize::try_from(elements(shape)).ok();
            length.ok_or_else(short)
        };
        let integers = |length| zeros(length).ok_or_else(short);
        let floats = |length| zeros(length).ok_or_else(short);
        let values = length(&self.shape)?;
        let mut tensor = PackedTensor {
            values: match self.dtype {
                "F16" => PackedValues::F16(integers(values / 2)?),
                "I8" => PackedValues::Q8(integers(values / 4)?),
                "U8" => PackedValues::Q4(integers(values / 4)?),
                _ => PackedValues::F32(floats(values)?),
            },
            shape: self.shape.clone(),
            columns: self.columns,
            scale: Vec::new(),
            smooth: Vec::new(),
            sums: Vec::new(),
            halves: Vec::new(),
            offsets: Vec::new(),
            start: 0,
            file: String::new(),
        };
        for SideTensor { kind, dtype, shape } in &self.side_tensors {
            let length = length(shape)?;
            match (*kind, *dtype) {
                (OFFSET, _) => tensor.offsets = integers(length / 2)?,
                (_, "F16") => tensor.halves = integers(length / 2)?,
                ("smooth", _) => {
                    tensor.smooth = floats(length)?;
                    tensor.smooth.fill(1.0);
                }
                ("sums", _) => tensor.sums = floats(length)?,
                _ => tensor.scale = floats(length)?,
            }
        }
        Ok(tensor)
    }
}

/// Converts the rows of a table in f16, of `columns` values each, to f32.
pub(super) fn widened_rows(halves: &[i32], columns: usize) -> Vec<f32> {
    let mut values = Vec::new();
    unpack_halves(halves, &mut values);
    if !columns.is_multiple_of(2) {
        // Without the padding at the end of each row.
        let mut place = 0..;
        values.retain(|_| place.next().unwrap_or(0) % (columns + 1) < columns);
    }
    values
}

fn zeros<T: bytemuck::Zeroable>(length: usize) -> Option<Vec<T>> {
    // The allocator returns zeroed pages, so a large vector is not written twice.
    bytemuck::allocation::try_zeroed_vec(length).ok()
}

impl PackedTensor {
    /// Frees the values, which the packed file has from byte `start` on.
    pub fn leave_in_store(&mut self, start: u64) {
        self.values = match self.values {
            PackedValues::F32(_) => PackedValues::F32(Vec::new()),
            PackedValues::F16(_) => PackedValues::F16(Vec::new()),
            PackedValues::Q8(_) | PackedValues::Q4(_) => PackedValues::Q8(Vec::new()),
        };
        self.sums = Vec::new();
        self.start = start;
    }

    /// The bytes of the side tensors, which follow the values in the packed file.
    pub fn side_tensors(&self) -> impl Iterator<Item = &[u8]> {
        [
            bytemuck::cast_slice(&self.scale),
            bytemuck::cast_slice(&self.smooth),
            bytemuck::cast_slice(&self.sums),
            bytemuck::cast_slice(&self.halves),
            bytemuck::cast_slice(&self.offsets),
        ]
        .into_iter()
        .filter(|bytes: &&[u8]| !bytes.is_empty())
    }

    /// The bytes of the side tensors, to be filled.
    pub fn side_tensors_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.parts_mut().skip(1)
    }

    /// The bytes of the values, then those of the side tensors, to be filled.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let side_tensors: [&mut [u8]; 5] = [
            bytemuck::cast_slice_mut(&mut self.scale),
            bytemuck::cast_slice_mut(&mut self.smooth),
            bytemuck::cast_slice_mut(&mut self.sums),
            bytemuck::cast_slice_mut(&mut self.halves),
            bytemuck::cast_slice_mut(&mut self.offsets),
        ];
        let side_tensors = side_tensors.into_iter().filter(|bytes| !bytes.is_empty());
        std::iter::once(self.values.bytes_mut()).chain(side_tensors)
    }

    /// Whether rows of this format keep their 4-bit numbers, instead of being quantized anew.
    pub fn keeps(&self, format: Format) -> bool {
        let is_four_bits = matches!(format, Format::Q4_0 | Format::Q4_1 | Format::Q4K);
        is_four_bits && matches!(self.values, PackedValues::Q4(_))
    }

    /// Packs row `index` of the upstream tensor from its blocks, whose format the tensor [keeps](Self::keeps).
    pub fn set_blocks(&mut self, index: usize, blocks: &[u8], format: Format) {
        if let PackedValues::Q4(values) = &mut self.values {
            let (scale, offset) = (&mut self.halves, &mut self.offsets);
            pack_blocks_q4(values, scale, offset, index, blocks, format);
        }
    }

    /// Whether the tensor's format has a number near each value.
    pub fn holds(&self, row: &[f32]) -> bool {
        match self.values {
            PackedValues::F16(_) => fits_halves(row),
            PackedValues::F32(_) | PackedValues::Q8(_) | PackedValues::Q4(_) => true,
        }
    }

    /// Packs row `index` of the upstream tensor, whose values the tensor [holds](Self::holds). `bytes` is working memory for its quantized values.
    pub fn set_row(&mut self, role: Role, index: usize, row: &mut [f32], bytes: &mut [i8]) {
        match (&mut self.values, role) {
            (PackedValues::F32(values), Role::Panels | Role::Head) => {
                pack_row_f32(values, row.len(), index, row)
            }
            (PackedValues::F32(values), _) => {
                values[index * row.len()..(index + 1) * row.len()].copy_from_slice(row)
            }
            (PackedValues::F16(values), role) if role.is_panels() => {
                pack_row_f16(values, row.len(), index, row)
            }
            (PackedValues::F16(values), _) => {
                let pairs = row.len().div_ceil(2);
                pack_embedding_row_f16(&mut values[index * pairs..(index + 1) * pairs], row)
            }
            (PackedValues::Q4(values), _) => pack_row_q4(values, &mut self.halves, index, row),
            (PackedValues::Q8(values), role) => {
                if role.is_panels() {
                    divide(row, &self.smooth);
                    self.scale[index] = quantize_row(row, linear_scale(row), bytes);
                    pack_row_q8(values, row.len(), index, bytes);
                } else {
                    self.scale[index] = quantize_row(row, row_scale(row), bytes);
                    let quads = row.len().div_ceil(4);
                    pack_embedding_row_q8(&mut values[index * quads..(index + 1) * quads], bytes);
                }
            }
        }
    }

    /// Bytes of the values that are final once the first `rows` rows of `of` are packed; in panels, only whole ones count.
    pub fn finished_bytes(&self, role: Role, rows: usize, of: usize) -> usize {
        let bytes = self.values.bytes().len();
        if rows >= of {
            return bytes;
        }
        match role {
            Role::Panels | Role::Head => bytes / of.div_ceil(PANEL) * (rows / PANEL),
            _ => bytes / of * rows,
        }
    }

    /// Checks that all floats are finite, and that smoothing factors are positive.
    ///
    /// *Errors*: `InvalidWeights` naming the file and the tensor.
    pub fn check_finite(&self, file: &str, name: &str) -> Result<()> {
        let values = match &self.values {
            PackedValues::F32(values) => are_finite(values),
            PackedValues::F16(values) => are_finite_halves(values),
            PackedValues::Q8(_) | PackedValues::Q4(_) => true,
        };
        let halves = are_finite_halves(&self.halves) && are_finite_halves(&self.offsets);
        let smooth = self
            .smooth
            .iter()
            .all(|factor| factor.is_finite() && *factor > 0.0);
        if values && are_finite(&self.scale) && are_finite(&self.sums) && smooth && halves {
            Ok(())
        } else {
            Err(not_finite(file, name))
        }
    }
}

pub(super) fn not_finite(file: &str, name: &str) -> Error {
    Error::invalid_weights(format!(
        "{file}: tensor '{name}' has a value that is not finite"
    ))
    .with_file(file)
    .with_tensor(name)
}

/// The error of a value that is too large for f16.
pub(super) fn beyond_f16(file: &str, name: &str) -> Error {
    Error::invalid_weights(format!(
        "{file}: tensor '{name}' has a value beyond 65504, the largest in f16; another dtype can hold it"
    ))
    .with_file(file)
    .with_tensor(name)
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|n| *n as u64).product()
}

fn bytes(shape: &[usize], dtype: &str) -> u64 {
    elements(shape) * width(dtype)
}

fn width(dtype: &str) -> u64 {
    match dtype {
        "F32" => 4,
        "F16" => 2,
        _ => 1,
    }
}

/// Makes the header of the packed file that holds these tensors in this order.
pub(super) fn packed_header(order: &[Found<'_>], dtype: Dtype) -> Result<Vec<u8>> {
    let mut map = serde_json::Map::new();
    let mut metadata = json!({ PACK: PACK_VERSION, PACK_DTYPE: dtype.name() });
    for Found { parameter, .. } in order.iter().filter(|found| found.of_any_size) {
        // Metadata values can only be strings. The shape is needed because the packed shape includes padding.
        metadata[format!("{SHAPE}{}", parameter.name)] = json!(json!(parameter.shape).to_string());
    }
    map.insert(METADATA.into(), metadata);
    let mut start = 0;
    let mut push = |name: String, dtype: &str, shape: &[usize]| {
        let bytes = bytes(shape, dtype);
        map.insert(
            name,
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, start + bytes] }),
        );
        start += bytes;
    };
    for Found {
        parameter, layout, ..
    } in order
    {
        let name = &parameter.name;
        push(name.clone(), layout.dtype, &layout.shape);
        for SideTensor { kind, dtype, shape } in &layout.side_tensors {
            push(format!("{name}_{kind}"), dtype, shape);
        }
    }
    let mut json = serde_json::to_vec(&map)
        .map_err(|error| Error::internal(format!("packed header: {error}")))?;
    // The format recommends that tensors begin at a multiple of eight bytes.
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_32_bits_cannot_number_are_refused() {
        for (shape, fits) in [
            (vec![151_936, 4096], true),
            // Multiplied in 32 bits these would be 0 and 1.
            (vec![1 << 24, 256], false),
            (vec![0xffff_ffff, 0xffff_ffff], false),
            (vec![usize::MAX, usize::MAX, 2], false),
        ] {
            for role in [Role::Panels, Role::Head, Role::Rows, Role::Plain] {
                for dtype in Dtype::ALL {
                    let layout = Layout::of(&Parameter::new("table", role, &shape), dtype, true);
                    match layout {
                        Ok(layout) => assert!(fits && layout.bytes() > 151_936 * 2048),
                        Err(error) => {
                            assert!(!fits, "{shape:?}");
                            assert_eq!(error.kind(), ErrorKind::ResourceLimit);
                            assert!(error.to_string().contains("tensor 'table'"));
                        }
                    }
                }
            }
        }
    }
}
