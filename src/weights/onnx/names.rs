//! The names that a model's weights had in PyTorch.
//!
//! The exporter keeps the names of embeddings, norms and biases. The weight of a linear layer it stores transposed, under a name such as
//! `onnx::MatMul_123`; the layer is found by the bias that is added to the product, or by the name of the node, which is the path of the
//! module. An optimizer may have put query, key and value into one matrix, whose layer is found by the product that follows.

mod order;
mod towers;

use std::collections::{HashMap, HashSet};

use super::UNREADABLE;
use super::ops::{Node, Op};
use super::quantized::{part_of, without_suffix};
use super::table::{Numbers, Tensor};

/// The suffixes of the names of attention's output layer, and of its query, key and value layers.
const ATTENTIONS: [(&str, [&str; 3]); 4] = [
    (
        "attention.output.dense",
        [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
        ],
    ),
    (
        "attention.out_lin",
        ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    ),
    (
        "self_attn.out_proj",
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    ),
    (
        "attention.attn.o",
        ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    ),
];

/// The most conversions between a product and its bias.
const MAX_CONVERSIONS: usize = 3;

/// A product with a weight.
struct Product<'n> {
    node: &'n Node,
    /// The index of the weight.
    weight: usize,
    /// Whether the columns of the weight come one after the other.
    is_columns: bool,
}

/// Gives the tensors their names in PyTorch, and says which are transposed. A tensor that several layers share is listed once for each.
pub(super) fn restore(tensors: &mut Vec<Tensor>, nodes: &[Node]) {
    add_copies(tensors, nodes);
    towers::restore(tensors, nodes);
    let names: HashMap<_, _> = tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| (tensor.name.clone(), index))
        .collect();
    let by_name = |name: &str| {
        let found = names.get(name).or_else(|| names.get(without_suffix(name)));
        found.copied()
    };
    order::restore(tensors, nodes, &by_name);
    let biases = biases(tensors, nodes, &by_name);
    let conversions: HashMap<_, _> = nodes
        .iter()
        .filter(|node| node.op == Op::Conversion)
        .flat_map(|node| {
            node.inputs
                .iter()
                .map(|input| (input.as_str(), node.output.as_str()))
        })
        .collect();
    let bias_of = |node: &Node| {
        let own = node.op.bias().and_then(|index| by_name(node.input(index)));
        let mut value = node.output.as_str();
        let mut hops = match node.op {
            Op::ByteProduct { .. } => MAX_CONVERSIONS,
            _ => 0,
        };
        own.or_else(|| {
            loop {
                if let Some(bias) = biases.get(value) {
                    return Some(*bias);
                }
                value = conversions.get(value).filter(|_| hops > 0)?;
                hops -= 1;
            }
        })
    };
    let products: Vec<_> = nodes
        .iter()
        .filter(|node| node.op.is_product())
        .filter_map(|node| product(node, by_name(node.input(1))?, tensors))
        .collect();
    let by_bias = |product: &Product| {
        let bias: &Tensor = &tensors[bias_of(product.node)?];
        let module = bias.name.strip_suffix(".bias")?;
        let outputs = product.outputs(tensors);
        (bias.shape == [outputs]).then(|| format!("{module}.weight"))
    };
    // A bias that several layers share, because their values are equal, identifies none of them.
    let mut owners: HashMap<String, HashSet<usize>> = HashMap::new();
    for product in &products {
        if let Some(name) = by_bias(product) {
            owners.entry(name).or_default().insert(product.weight);
        }
    }
    let mut taken: HashMap<String, Option<usize>> = HashMap::new();
    let mut modules: HashMap<&str, String> = HashMap::new();
    let mut is_columns = HashSet::new();
    for product in &products {
        let node = product.node;
        let is_sure = |name: &String| owners.get(name).is_some_and(|owners| owners.len() == 1);
        let sure = by_bias(product).filter(is_sure);
        let own = &tensors[product.weight].name;
        let name = match own.ends_with(".weight") {
            true => own.clone(),
            false => match sure.or_else(|| by_path(&node.name)) {
                Some(name) => name,
                None => continue,
            },
        };
        // The quantizer names what it rounds after the value.
        modules
            .entry(without_suffix(node.input(0)))
            .or_insert_with(|| name.clone());
        if product.is_columns {
            is_columns.insert(product.weight);
        }
        if name != *own && names.contains_key(&name) {
            continue;
        }
        let owner = taken.entry(name).or_insert(Some(product.weight));
        if *owner != Some(product.weight) {
            *owner = None;
        }
    }
    let merged = merged(tensors, nodes, &by_name, &modules);
    let mut renamed = HashSet::new();
    for (name, index) in taken {
        let Some(index) = index else { continue };
        let stored = &tensors[index];
        let mut tensor = Tensor {
            name,
            ..stored.clone()
        };
        if is_columns.contains(&index) && stored.columns.is_none() {
            tensor.columns = stored.shape.last().map(|outputs| (0, *outputs));
            tensor.shape.reverse();
        }
        match renamed.insert(index) {
            true => tensors[index] = tensor,
            false => tensors.push(tensor),
        }
    }
    tensors.extend(merged);
    for tensor in tensors {
        // Scales of columns, of a tensor that no product has.
        if tensor.numbers.is_some() && tensor.check().is_err() {
            tensor.numbers = None;
            tensor.dtype = UNREADABLE.into();
        }
    }
}

/// A node with the weight at `index`, unless that is no matrix, or has its name and its shape in PyTorch.
fn product<'n>(node: &'n Node, weight: usize, tensors: &[Tensor]) -> Option<Product<'n>> {
    let tensor = &tensors[weight];
    let is_named = tensor.name.ends_with(".weight");
    let is_columns = match node.op {
        Op::NibbleProduct => tensor.numbers.is_some().then_some(false)?,
        Op::Gemm => node.number("transB").unwrap_or(0) == 0,
        // The quantizer keeps the name of a weight that it transposes.
        Op::ByteProduct { .. } => true,
        _ if is_named => return None,
        _ => true,
    };
    let is_done = is_named && !is_columns;
    (tensor.shape.len() == 2 && !is_done).then_some(Product {
        node,
        weight,
        is_columns,
    })
}

impl Product<'_> {
    /// The number of outputs.
    fn outputs(&self, tensors: &[Tensor]) -> u64 {
        let shape = &tensors[self.weight].shape;
        let outputs = match self.is_columns {
            true => shape.last(),
            false => shape.first(),
        };
        outputs.copied().unwrap_or(0)
    }
}

/// The weights and biases of queries, keys and values that are in one tensor. `modules`: the names of the weights that values are multiplied
/// with, by the names of the values.
fn merged(
    tensors: &[Tensor],
    nodes: &[Node],
    by_name: &dyn Fn(&str) -> Option<usize>,
    modules: &HashMap<&str, String>,
) -> Vec<Tensor> {
    let (mut found, mut done) = (Vec::new(), HashSet::new());
    for node in nodes {
        let (weight, bias) = match node.op {
            Op::Attention => (by_name(node.input(1)), by_name(node.input(2))),
            Op::AttentionOfThree => (None, by_name(node.input(3))),
            _ => continue,
        };
        let Some(layers) = layers(modules.get(node.output.as_str())) else {
            continue;
        };
        for (index, ending) in [(weight, "weight"), (bias, "bias")] {
            let Some(index) = index.filter(|index| done.insert(*index)) else {
                continue;
            };
            for (part, layer) in layers.iter().enumerate() {
                found.extend(third(
                    &tensors[index],
                    part as u64,
                    format!("{layer}.{ending}"),
                ));
            }
        }
    }
    found.retain(|tensor| by_name(&tensor.name).is_none());
    found
}

/// The names of the layers for query, key and value, from the name of the weight of the layer behind their attention.
fn layers(output: Option<&String>) -> Option<[String; 3]> {
    let output = output?.strip_suffix(".weight")?;
    ATTENTIONS.iter().find_map(|(ending, own)| {
        let block = output.strip_suffix(ending)?;
        Some(own.map(|layer| format!("{block}{layer}")))
    })
}

/// A third of the columns of a matrix, or of the values of a bias.
fn third(all: &Tensor, part: u64, name: String) -> Option<Tensor> {
    let of = *all.shape.last()?;
    let count = of / 3;
    if !of.is_multiple_of(3) || all.held.is_some() || all.columns.is_some() {
        return None;
    }
    let numbers = all.numbers.as_ref().map(|numbers| Numbers {
        scales: part_of(&numbers.scales, 4, part * count, count),
        zeros: part_of(&numbers.zeros, 1, part * count, count),
        ..numbers.clone()
    });
    let tensor = Tensor {
        name,
        numbers,
        ..all.clone()
    };
    match *all.shape.as_slice() {
        [_] if all.numbers.is_none() => {
            let bytes = (all.range.end - all.range.start) / 3;
            let from = all.range.start + part * bytes;
            Some(Tensor {
                shape: vec![count],
                range: from..from + bytes,
                ..tensor
            })
        }
        [length, _] => Some(Tensor {
            shape: vec![count, length],
            columns: Some((part * count, of)),
            ..tensor
        }),
        _ => None,
    }
}

/// Lists each tensor under the names that `Identity` nodes give it.
fn add_copies(tensors: &mut Vec<Tensor>, nodes: &[Node]) {
    let by_name: HashMap<_, _> = tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let mut names = HashSet::new();
    let copies: Vec<_> = nodes
        .iter()
        .filter(|node| node.op == Op::Identity && !node.output.is_empty())
        .filter_map(|node| {
            let tensor = *by_name.get(node.input(0))?;
            let is_new = !by_name.contains_key(node.output.as_str()) && names.insert(&node.output);
            is_new.then(|| Tensor {
                name: node.output.clone(),
                ..tensor.clone()
            })
        })
        .collect();
    tensors.extend(copies);
}

/// The biases that are added to values, by the names of the values.
fn biases<'a>(
    tensors: &[Tensor],
    nodes: &'a [Node],
    by_name: &dyn Fn(&str) -> Option<usize>,
) -> HashMap<&'a str, usize> {
    let bias = |name: &str| {
        let index = by_name(name)?;
        let tensor = &tensors[index];
        (tensor.shape.len() == 1 && tensor.name.ends_with(".bias")).then_some(index)
    };
    let mut biases = HashMap::new();
    for node in nodes {
        let pairs: &[(usize, usize)] = match node.op {
            Op::Add => &[(0, 1), (1, 0)],
            Op::BiasActivation => &[(0, 1)],
            Op::SkipNorm => &[(0, 4), (1, 4)],
            _ => &[],
        };
        for (value, other) in pairs {
            if let (Some(value), Some(index)) = (node.inputs.get(*value), bias(node.input(*other)))
            {
                biases.insert(value.as_str(), index);
            }
        }
    }
    biases
}

/// The name of the weight of the module whose product a node is: `/encoder/layer.0/attention/self/query/MatMul` is that of
/// `encoder.layer.0.attention.self.query.weight`.
fn by_path(node: &str) -> Option<String> {
    let path = node.strip_prefix('/')?;
    // The suffixes that quantizers add to the name of the node that they replace.
    let path = ["_Q4", "_quant"]
        .iter()
        .find_map(|end| path.strip_suffix(end))
        .unwrap_or(path);
    let module = path
        .strip_suffix("/MatMul")
        .or_else(|| path.strip_suffix("/Gemm"))?;
    Some(format!("{}.weight", module.replace('/', ".")))
}

#[cfg(test)]
mod tests;
