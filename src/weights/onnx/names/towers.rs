//! The names of tensors of CLIP and SigLIP that an exporter or an optimizer removed: of tensors that do not depend on the input, and of
//! the numbers that turn cosines into scores.

use std::collections::HashSet;

use super::super::ops::{Node, Op};
use super::super::table::Tensor;

/// The suffixes of the names of values that an optimizer computed, and of the tensors that they are equal to. The positions of an image are
/// always the same, and a tensor is expanded to a batch of one.
const COMPUTED: [(&str, &str); 2] = [
    (
        "/position_embedding/Gather_output_0",
        "/position_embedding/weight",
    ),
    ("/head/Expand_output_0", "/head/probe"),
];

/// The logarithm of the factor of cosines, the factor itself, and what is added to scaled cosines.
const SCALE: &str = "logit_scale";
const FACTOR: &str = "logit_scale.exp";
const BIAS: &str = "logit_bias";

/// The outputs of a model of both towers whose products are cosines.
const VECTORS: [&str; 2] = ["text_embeds", "image_embeds"];

/// The most nodes between the scale of scores and the factor of cosines.
const MAX_HOPS: usize = 3;

/// Gives these tensors their names, where no other tensor has them.
pub(super) fn restore(tensors: &mut [Tensor], nodes: &[Node]) {
    let names: HashSet<_> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    for tensor in tensors.iter_mut() {
        if let Some((name, shape)) = computed(tensor).filter(|(name, _)| !names.contains(name)) {
            (tensor.name, tensor.shape) = (name, shape);
        }
    }
    for (index, name) in scores(tensors, nodes).into_iter().flatten().flatten() {
        if !names.contains(name) {
            tensors[index].name = name.into();
        }
    }
}

/// The name and the shape of the tensor that a computed value is equal to.
fn computed(tensor: &Tensor) -> Option<(String, Vec<u64>)> {
    let path = COMPUTED.iter().find_map(|(end, own)| {
        let module = tensor.name.strip_suffix(end)?;
        Some(format!("{module}{own}"))
    })?;
    let name = path.trim_start_matches('/').replace('/', ".");
    match *tensor.shape.as_slice() {
        [1, rows, width] if name.ends_with(".weight") => Some((name, vec![rows, width])),
        [1, 1, width] => Some((name, vec![1, 1, width])),
        _ => None,
    }
}

/// The numbers that turn cosines into scores, with their names.
fn scores(tensors: &[Tensor], nodes: &[Node]) -> Option<[Option<(usize, &'static str)>; 2]> {
    let reader = |value: &str, op: Op| {
        let mut nodes = nodes.iter();
        nodes.find(|node| node.op == op && node.inputs.iter().any(|input| input == value))
    };
    let cosines = nodes.iter().find(|node| {
        let mut inputs = node.inputs.iter();
        matches!(node.op, Op::Product { .. })
            && inputs.any(|input| VECTORS.contains(&input.as_str()))
    })?;
    let scaled = reader(&cosines.output, Op::Conversion)?;
    let mut inputs = scaled.inputs.iter();
    let mut factor = inputs.find(|input| **input != cosines.output)?;
    let mut found = number(tensors, factor).map(|index| (index, FACTOR));
    for _ in 0..MAX_HOPS {
        let maker = nodes.iter().find(|node| node.output == *factor);
        let Some(maker) = maker.filter(|_| found.is_none()) else {
            break;
        };
        if maker.op == Op::Exponential {
            found = number(tensors, maker.input(0)).map(|index| (index, SCALE));
        }
        factor = maker.inputs.first()?;
    }
    let added = reader(&scaled.output, Op::Add);
    let bias = added.and_then(|node| {
        let mut inputs = node.inputs.iter();
        inputs.find_map(|input| number(tensors, input))
    });
    Some([found, bias.map(|index| (index, BIAS))])
}

/// The tensor of one value with this name.
fn number(tensors: &[Tensor], name: &str) -> Option<usize> {
    tensors
        .iter()
        .position(|tensor| tensor.name == name && tensor.shape.iter().all(|dim| *dim == 1))
}
