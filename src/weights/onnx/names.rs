//! The names that a model's weights had in PyTorch.
//!
//! The exporter keeps the names of embeddings, norms and biases. The weight of a linear layer it stores transposed, under a name such as
//! `onnx::MatMul_123`; which one it is, is told by the bias that is added to the product, or by the name of the node, which is the path of the
//! module.

use std::collections::{HashMap, HashSet};

use super::Tensor;

/// An operation of the graph that tells the name of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    MatMul,
    Add,
    /// Gives a tensor that is equal to another one the name that it had.
    Identity,
}

impl Op {
    /// Finds an operation by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "MatMul" => Self::MatMul,
            "Add" => Self::Add,
            "Identity" => Self::Identity,
            _ => return None,
        })
    }
}

/// A node of the graph.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    pub name: String,
    /// The first two inputs.
    pub inputs: [String; 2],
    pub output: String,
}

/// Gives the tensors their names in PyTorch, and says which are transposed. A tensor that several layers share is listed once for each.
pub(super) fn restore(tensors: &mut Vec<Tensor>, nodes: &[Node]) {
    add_copies(tensors, nodes);
    let by_name: HashMap<_, _> = tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| (tensor.name.as_str(), index))
        .collect();
    let biases = biases(tensors, nodes, &by_name);
    let products: Vec<_> = nodes
        .iter()
        .filter(|node| node.op == Op::MatMul)
        .filter_map(|node| {
            let index = *by_name.get(node.inputs[1].as_str())?;
            let tensor = &tensors[index];
            let is_weight = tensor.shape.len() == 2 && !tensor.name.ends_with(".weight");
            is_weight.then_some((node, index))
        })
        .collect();
    let by_bias = |node: &Node, index: usize| {
        let bias: &Tensor = &tensors[*biases.get(node.output.as_str())?];
        let module = bias.name.strip_suffix(".bias")?;
        (bias.shape == tensors[index].shape[1..]).then(|| format!("{module}.weight"))
    };
    // Where layers share a bias of the same values, it tells nothing.
    let mut owners: HashMap<String, HashSet<usize>> = HashMap::new();
    for (node, index) in &products {
        if let Some(name) = by_bias(node, *index) {
            owners.entry(name).or_default().insert(*index);
        }
    }
    let mut taken: HashMap<String, Option<usize>> = HashMap::new();
    for (node, index) in &products {
        let is_sure = |name: &String| owners.get(name).is_some_and(|owners| owners.len() == 1);
        let sure = by_bias(node, *index).filter(is_sure);
        let Some(name) = sure.or_else(|| by_path(&node.name)) else {
            continue;
        };
        if by_name.contains_key(name.as_str()) {
            continue;
        }
        let owner = taken.entry(name).or_insert(Some(*index));
        if *owner != Some(*index) {
            *owner = None;
        }
    }
    let mut renamed = HashSet::new();
    for (name, index) in taken {
        let Some(index) = index else { continue };
        let stored = &tensors[index];
        let mut shape = stored.shape.clone();
        if !renamed.contains(&index) {
            shape.reverse();
        }
        let tensor = Tensor {
            name,
            shape,
            transposed: true,
            ..stored.clone()
        };
        match renamed.insert(index) {
            true => tensors[index] = tensor,
            false => tensors.push(tensor),
        }
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
            let tensor = *by_name.get(node.inputs[0].as_str())?;
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
    by_name: &HashMap<&str, usize>,
) -> HashMap<&'a str, usize> {
    let bias = |name: &str| {
        let index = *by_name.get(name)?;
        let tensor = &tensors[index];
        (tensor.shape.len() == 1 && tensor.name.ends_with(".bias")).then_some(index)
    };
    let mut biases = HashMap::new();
    for node in nodes.iter().filter(|node| node.op == Op::Add) {
        let [a, b] = &node.inputs;
        for (value, other) in [(a, b), (b, a)] {
            if let Some(index) = bias(other) {
                biases.insert(value.as_str(), index);
            }
        }
    }
    biases
}

/// The name of the weight of the module whose product a node is: `/encoder/layer.0/attention/self/query/MatMul` is that of
/// `encoder.layer.0.attention.self.query.weight`.
fn by_path(node: &str) -> Option<String> {
    let module = node.strip_prefix('/')?.strip_suffix("/MatMul")?;
    Some(format!("{}.weight", module.replace('/', ".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[u64]) -> Tensor {
        Tensor {
            name: name.into(),
            dtype: "F32".into(),
            shape: shape.to_vec(),
            range: 0..4 * shape.iter().product::<u64>(),
            transposed: false,
        }
    }

    fn node(op: Op, name: &str, inputs: [&str; 2], output: &str) -> Node {
        Node {
            op,
            name: name.into(),
            inputs: inputs.map(Into::into),
            output: output.into(),
        }
    }

    /// The names, shapes and orders that tensors have after they were restored, sorted.
    fn restored(mut tensors: Vec<Tensor>, nodes: &[Node]) -> Vec<(String, Vec<u64>, bool)> {
        restore(&mut tensors, nodes);
        let described = tensors.into_iter();
        let mut described: Vec<_> = described
            .map(|tensor| (tensor.name, tensor.shape, tensor.transposed))
            .collect();
        described.sort();
        described
    }

    #[test]
    fn the_bias_that_is_added_names_the_weight() {
        let tensors = || vec![tensor("a.bias", &[3]), tensor("onnx::MatMul_7", &[2, 3])];
        for inputs in [["a.bias", "y"], ["y", "a.bias"]] {
            let nodes = [
                node(Op::MatMul, "MatMul_1", ["x", "onnx::MatMul_7"], "y"),
                node(Op::Add, "Add_1", inputs, "z"),
            ];
            let expected = [
                ("a.bias".to_string(), vec![3], false),
                ("a.weight".to_string(), vec![3, 2], true),
            ];
            assert_eq!(restored(tensors(), &nodes), expected);
        }
    }

    #[test]
    fn a_bias_of_another_length_or_of_no_module_names_nothing() {
        let product = node(Op::MatMul, "", ["x", "w"], "y");
        for (bias, shape) in [
            ("a.bias", vec![2]),
            ("a.b", vec![3]),
            ("a.bias", vec![3, 1]),
        ] {
            let tensors = vec![tensor(bias, &shape), tensor("w", &[2, 3])];
            let nodes = [product.clone(), node(Op::Add, "", ["y", bias], "z")];
            assert_eq!(restored(tensors, &nodes)[1].0, "w", "{bias} {shape:?}");
        }
    }

    #[test]
    fn the_path_of_the_node_names_a_weight_without_bias() {
        let nodes = [node(Op::MatMul, "/layers.0/mlp/Wi/MatMul", ["x", "w"], "y")];
        let expected = ("layers.0.mlp.Wi.weight".to_string(), vec![3, 2], true);
        assert_eq!(restored(vec![tensor("w", &[2, 3])], &nodes), [expected]);
        for name in ["MatMul_3", "/layers.0/MatMul_1", "/Add", ""] {
            let nodes = [node(Op::MatMul, name, ["x", "w"], "y")];
            assert_eq!(restored(vec![tensor("w", &[2, 3])], &nodes)[0].0, "w");
        }
    }

    #[test]
    fn layers_that_share_a_bias_are_told_apart_by_their_paths() {
        let tensors = vec![
            tensor("a.bias", &[3]),
            tensor("v", &[2, 3]),
            tensor("w", &[2, 3]),
        ];
        let nodes = [
            node(Op::MatMul, "/a/MatMul", ["x", "w"], "1"),
            node(Op::Add, "", ["1", "a.bias"], "2"),
            node(Op::MatMul, "/b/MatMul", ["x", "v"], "3"),
            node(Op::Add, "", ["3", "a.bias"], "4"),
        ];
        let names: Vec<_> = restored(tensors, &nodes).into_iter().map(|t| t.0).collect();
        assert_eq!(names, ["a.bias", "a.weight", "b.weight"]);
    }

    #[test]
    fn weights_that_claim_one_name_have_none() {
        let tensors = vec![tensor("v", &[2, 3]), tensor("w", &[2, 3])];
        let nodes = ["v", "w"].map(|name| node(Op::MatMul, "/a/MatMul", ["x", name], name));
        let names: Vec<_> = restored(tensors, &nodes).into_iter().map(|t| t.0).collect();
        assert_eq!(names, ["v", "w"]);
    }

    #[test]
    fn a_shared_tensor_has_the_name_of_each_layer() {
        let tensors = vec![tensor("a.bias", &[3]), tensor("w", &[2, 3])];
        let nodes = [
            node(Op::Identity, "Identity_0", ["a.bias", ""], "b.bias"),
            node(Op::MatMul, "", ["x", "w"], "1"),
            node(Op::Add, "", ["1", "a.bias"], "2"),
            node(Op::MatMul, "", ["2", "w"], "3"),
            node(Op::Add, "", ["b.bias", "3"], "4"),
        ];
        let expected = [
            ("a.bias".to_string(), vec![3], false),
            ("a.weight".to_string(), vec![3, 2], true),
            ("b.bias".to_string(), vec![3], false),
            ("b.weight".to_string(), vec![3, 2], true),
        ];
        assert_eq!(restored(tensors, &nodes), expected);
    }

    #[test]
    fn a_tensor_that_has_its_name_keeps_it() {
        let tensors = vec![tensor("a.bias", &[3]), tensor("a.weight", &[2, 3])];
        let nodes = [
            node(Op::MatMul, "/b/MatMul", ["x", "a.weight"], "1"),
            node(Op::Add, "", ["1", "a.bias"], "2"),
        ];
        let expected = [
            ("a.bias".to_string(), vec![3], false),
            ("a.weight".to_string(), vec![2, 3], false),
        ];
        assert_eq!(restored(tensors, &nodes), expected);
    }
}
