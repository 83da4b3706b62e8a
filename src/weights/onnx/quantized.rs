//! The tensors of quantized models: those that onnxruntime's `quantize_dynamic` and its quantizer to 4 bits write.
//!
//! *Source*: onnxruntime, `quantization/quant_utils.py` for the names, and `docs/ContribOperators.md`, `MatMulNBits`, for the layout.

use std::collections::HashMap;
use std::ops::Range;

use half::f16;

use super::ops::{Node, Op};
use super::table::{Kind, Numbers, Tensor};
use super::{UNREADABLE, UNSCALED};

/// The suffixes of the names of a tensor's numbers, scales and zero points.
const NUMBERS: &str = "_quantized";
const SCALE: &str = "_scale";
const ZERO_POINT: &str = "_zero_point";

/// The numbers of types of elements: float32, bytes, signed bytes and float16.
const F32: u64 = 1;
const U8: u64 = 2;
const I8: u64 = 3;
const F16: u64 = 10;

/// The name of a tensor whose numbers have the name `name`.
pub(super) fn without_suffix(name: &str) -> &str {
    name.strip_suffix(NUMBERS).unwrap_or(name)
}

/// Lists tensors under the names and in the shapes that they had before they were quantized. `values` has the scales and zero points, and
/// `held` takes those that are needed.
pub(super) fn restore(
    tensors: &mut [Tensor],
    nodes: &[Node],
    values: &HashMap<String, Vec<u8>>,
    held: &mut Vec<u8>,
) {
    let by_name: HashMap<_, _> = tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| (tensor.name.clone(), index))
        .collect();
    let mut keep = |bytes: &[u8]| {
        let from = held.len() as u64;
        held.extend_from_slice(bytes);
        from..held.len() as u64
    };
    // The type and the values of a tensor, where these are as many as its shape says.
    let all: Vec<_> = tensors.iter().map(|tensor| tensor.kind).collect();
    let of = |name: &str| {
        let kind = all.get(*by_name.get(name)?)?;
        Some((*kind, values.get(name)?.as_slice()))
    };
    // The dtype for a tensor that has scales and zero points of these names, but not both in a form that is supported.
    let refused = |names: [&str; 2]| {
        let is_kept = |name: &&str| !by_name.contains_key(*name) || values.contains_key(*name);
        match names.iter().all(is_kept) {
            true => UNREADABLE,
            false => UNSCALED,
        }
    };
    for tensor in tensors.iter_mut() {
        let Some(name) = tensor.name.strip_suffix(NUMBERS).map(str::to_string) else {
            continue;
        };
        if !matches!(tensor.kind, U8 | I8) || by_name.contains_key(&name) {
            continue;
        }
        let scales = of(&format!("{name}{SCALE}")).and_then(floats);
        let zeros = match of(&format!("{name}{ZERO_POINT}")) {
            None => Some(&[] as &[u8]),
            Some((kind, zeros)) => (kind == tensor.kind).then_some(zeros),
        };
        let zeros = zeros.filter(|zeros| {
            let count = scales.as_ref().map_or(0, |scales| scales.len() / 4);
            zeros.is_empty() || zeros.len() == count
        });
        let names = [SCALE, ZERO_POINT].map(|end| format!("{name}{end}"));
        let dtype = refused([&names[0], &names[1]]);
        tensor.name = name;
        match scales
            .zip(zeros)
            .filter(|_| tensor.range.end > tensor.range.start)
        {
            Some((scales, zeros)) => {
                tensor.dtype = "F32".into();
                tensor.numbers = Some(Numbers {
                    kind: match tensor.kind {
                        I8 => Kind::I8,
                        _ => Kind::U8,
                    },
                    scales: keep(&scales),
                    zeros: keep(zeros),
                });
            }
            None => tensor.dtype = dtype.into(),
        }
    }
    for node in nodes.iter().filter(|node| node.op == Op::NibbleProduct) {
        let Some(index) = by_name.get(node.input(1)) else {
            continue;
        };
        let tensor = &mut tensors[*index];
        if tensor.numbers.is_some() || tensor.dtype != "U8" {
            continue;
        }
        let scales = of(node.input(2)).and_then(floats);
        let zeros = match node.input(3) {
            "" => Some(&[] as &[u8]),
            name => of(name)
                .filter(|(kind, _)| *kind == U8)
                .map(|(_, zeros)| zeros),
        };
        let read = scales.zip(zeros).and_then(|(scales, zeros)| {
            let group = group(node, &tensor.shape)?;
            let [rows, groups, _] = *tensor.shape.first_chunk()?;
            let fits = scales.len() as u64 == rows.checked_mul(groups)?.checked_mul(4)?;
            let pairs = rows.checked_mul(groups.div_ceil(2))?;
            let has_all = zeros.is_empty() || zeros.len() as u64 == pairs;
            (fits && has_all).then_some((group, scales, zeros, [rows, groups * group]))
        });
        let Some((group, scales, zeros, shape)) = read else {
            tensor.dtype = refused([node.input(2), node.input(3)]).into();
            continue;
        };
        let dtype = if zeros.is_empty() { "Q4_0" } else { "Q4_1" };
        tensor.dtype = dtype.into();
        tensor.shape = shape.into();
        tensor.numbers = Some(Numbers {
            kind: Kind::U4(group),
            scales: keep(&scales),
            zeros: keep(zeros),
        });
    }
}

/// The number of values that have a scale in common, where the numbers of a node are of a kind that is read.
fn group(node: &Node, shape: &[u64]) -> Option<u64> {
    let [_, groups, bytes] = *<&[u64; 3]>::try_from(shape).ok()?;
    let group = bytes.checked_mul(2)?;
    let is_read = matches!(group, 32 | 64 | 128 | 256)
        && node.number("bits").unwrap_or(4) == 4
        && node.number("block_size").unwrap_or(group) == group
        // A last group that is not full has numbers of no value.
        && node.number("K") == groups.checked_mul(group);
    is_read.then_some(group)
}

/// Scales in float32, from those of a tensor of float32 or float16.
fn floats((kind, bytes): (u64, &[u8])) -> Option<Vec<u8>> {
    match kind {
        F32 if bytes.len().is_multiple_of(4) => Some(bytes.to_vec()),
        F16 => {
            let halves = bytes.as_chunks::<2>().0.iter();
            let floats = halves.map(|half| f16::from_le_bytes(*half).to_f32().to_le_bytes());
            Some(floats.flatten().collect())
        }
        _ => None,
    }
}

/// The lowest bytes of the numbers in a list of integers; `None` where the list is broken.
pub(super) fn bytes_of(list: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let length = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let (number, others) = rest.split_at_checked(length)?;
        let low = number.first()? & 0x7f;
        let bit = number.get(1).map_or(0, |byte| byte & 1);
        bytes.push(low | bit << 7);
        rest = others;
    }
    Some(bytes)
}

/// The part of a list of `width` bytes for each value that belongs to the values from `first` on; the whole list where all values have one
/// in common, or none.
pub(super) fn part_of(list: &Range<u64>, width: u64, first: u64, count: u64) -> Range<u64> {
    if list.end - list.start <= width {
        return list.clone();
    }
    let from = list.start + first * width;
    from..from + count * width
}
