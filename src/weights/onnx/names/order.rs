//! The names of a fused BERT whose tensors have lost them, by the order of its nodes.

use super::super::ops::{Node, Op};
use super::super::table::Tensor;

/// The tables of words, positions and token types, and the norm, by their places among the inputs of the node that adds the embeddings.
const EMBEDDINGS: [(usize, &str); 5] = [
    (2, "embeddings.word_embeddings.weight"),
    (3, "embeddings.position_embeddings.weight"),
    (4, "embeddings.token_type_embeddings.weight"),
    (5, "embeddings.LayerNorm.weight"),
    (6, "embeddings.LayerNorm.bias"),
];

/// The inputs of a norm that adds a bias and the states before it.
const NORM: [(usize, &str); 3] = [
    (2, "LayerNorm.weight"),
    (3, "LayerNorm.bias"),
    (4, "dense.bias"),
];

/// Gives embeddings, norms and biases their names: a layer has attention, a norm, an activation and another norm, in this order. By them, the
/// names of the weights are found. Graphs of another form, and those that have a name of an embedding, are not changed.
pub(super) fn restore(
    tensors: &mut [Tensor],
    nodes: &[Node],
    by_name: &dyn Fn(&str) -> Option<usize>,
) {
    let count = |op: Op| nodes.iter().filter(|node| node.op == op).count();
    let layers = count(Op::Attention);
    let is_bert = count(Op::EmbedNorm) == 1
        && count(Op::SkipNorm) == 2 * layers
        && count(Op::BiasActivation) == layers;
    let is_named = |node: &Node| {
        let has_name = |(input, name): &(usize, &str)| node.input(*input).contains(name);
        node.op == Op::EmbedNorm && EMBEDDINGS.iter().any(has_name)
    };
    if !is_bert || nodes.iter().any(is_named) {
        return;
    }
    let mut name = |node: &Node, input: usize, name: String| {
        if let Some(index) = by_name(node.input(input)) {
            tensors[index].name = name;
        }
    };
    let (mut norms, mut activations) = (0, 0);
    for node in nodes {
        match node.op {
            Op::EmbedNorm => {
                for (input, own) in EMBEDDINGS {
                    name(node, input, own.into());
                }
            }
            Op::SkipNorm => {
                let (layer, is_last) = (norms / 2, norms % 2 == 1);
                let block = if is_last {
                    "output"
                } else {
                    "attention.output"
                };
                for (input, own) in NORM {
                    name(node, input, format!("encoder.layer.{layer}.{block}.{own}"));
                }
                norms += 1;
            }
            Op::BiasActivation => {
                let bias = format!("encoder.layer.{activations}.intermediate.dense.bias");
                name(node, 1, bias);
                activations += 1;
            }
            _ => {}
        }
    }
}
