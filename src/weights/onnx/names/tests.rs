//! Names that graphs of a few nodes tell.

use super::*;
use crate::weights::onnx::table::Kind;

const MUL: Op = Op::Product { bias: 0 };

fn tensor(name: &str, shape: &[u64]) -> Tensor {
    Tensor {
        name: name.into(),
        dtype: "F32".into(),
        shape: shape.to_vec(),
        range: 0..4 * shape.iter().product::<u64>(),
        ..Tensor::default()
    }
}

fn node(op: Op, name: &str, inputs: [&str; 2], output: &str) -> Node {
    Node {
        op,
        name: name.into(),
        inputs: inputs.map(Into::into).into(),
        output: output.into(),
        numbers: Vec::new(),
    }
}

/// The names, shapes and orders that tensors have after they were restored, sorted.
fn restored(mut tensors: Vec<Tensor>, nodes: &[Node]) -> Vec<(String, Vec<u64>, bool)> {
    restore(&mut tensors, nodes);
    let described = tensors.into_iter();
    let mut described: Vec<_> = described
        .map(|tensor| (tensor.name, tensor.shape, tensor.columns.is_some()))
        .collect();
    described.sort();
    described
}

#[test]
fn the_bias_that_is_added_names_the_weight() {
    let tensors = || vec![tensor("a.bias", &[3]), tensor("onnx::MatMul_7", &[2, 3])];
    for inputs in [["a.bias", "y"], ["y", "a.bias"]] {
        let nodes = [
            node(MUL, "MatMul_1", ["x", "onnx::MatMul_7"], "y"),
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
    let product = node(MUL, "", ["x", "w"], "y");
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
    let nodes = [node(MUL, "/layers.0/mlp/Wi/MatMul", ["x", "w"], "y")];
    let expected = ("layers.0.mlp.Wi.weight".to_string(), vec![3, 2], true);
    assert_eq!(restored(vec![tensor("w", &[2, 3])], &nodes), [expected]);
    for name in ["MatMul_3", "/layers.0/MatMul_1", "/Add", ""] {
        let nodes = [node(MUL, name, ["x", "w"], "y")];
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
        node(MUL, "/a/MatMul", ["x", "w"], "1"),
        node(Op::Add, "", ["1", "a.bias"], "2"),
        node(MUL, "/b/MatMul", ["x", "v"], "3"),
        node(Op::Add, "", ["3", "a.bias"], "4"),
    ];
    let names: Vec<_> = restored(tensors, &nodes).into_iter().map(|t| t.0).collect();
    assert_eq!(names, ["a.bias", "a.weight", "b.weight"]);
}

#[test]
fn weights_that_claim_one_name_have_none() {
    let tensors = vec![tensor("v", &[2, 3]), tensor("w", &[2, 3])];
    let nodes = ["v", "w"].map(|name| node(MUL, "/a/MatMul", ["x", name], name));
    let names: Vec<_> = restored(tensors, &nodes).into_iter().map(|t| t.0).collect();
    assert_eq!(names, ["v", "w"]);
}

#[test]
fn a_shared_tensor_has_the_name_of_each_layer() {
    let tensors = vec![tensor("a.bias", &[3]), tensor("w", &[2, 3])];
    let nodes = [
        node(Op::Identity, "Identity_0", ["a.bias", ""], "b.bias"),
        node(MUL, "", ["x", "w"], "1"),
        node(Op::Add, "", ["1", "a.bias"], "2"),
        node(MUL, "", ["2", "w"], "3"),
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
        node(MUL, "/b/MatMul", ["x", "a.weight"], "1"),
        node(Op::Add, "", ["1", "a.bias"], "2"),
    ];
    let expected = [
        ("a.bias".to_string(), vec![3], false),
        ("a.weight".to_string(), vec![2, 3], false),
    ];
    assert_eq!(restored(tensors, &nodes), expected);
}

/// A product and its bias as the quantizer writes them: through two conversions.
fn quantized(inputs: [&str; 2], bias: &str) -> [Node; 4] {
    [
        node(Op::ByteProduct { bias: 0 }, "", inputs, "integers"),
        node(Op::Conversion, "", ["integers", ""], "floats"),
        node(Op::Conversion, "", ["floats", "scales"], "product"),
        node(Op::Add, "", [bias, "product"], "sum"),
    ]
}

fn bytes(name: &str, shape: &[u64], scales: u64) -> Tensor {
    Tensor {
        range: 0..shape.iter().product::<u64>(),
        numbers: Some(Numbers {
            kind: Kind::U8,
            scales: 0..4 * scales,
            zeros: 0..0,
        }),
        ..tensor(name, shape)
    }
}

#[test]
fn the_bias_of_a_quantized_product_is_behind_its_conversions() {
    let tensors = vec![tensor("a.bias", &[3]), bytes("w", &[2, 3], 3)];
    let nodes = quantized(["x", "w_quantized"], "a.bias");
    let names = restored(tensors.clone(), &nodes);
    assert_eq!(names[1], ("a.weight".to_string(), vec![3, 2], true));
    // A factor of a float is not its scale.
    let mut nodes = nodes;
    nodes[0].op = MUL;
    assert_eq!(restored(tensors, &nodes)[1].0, "w");
}

#[test]
fn a_quantized_weight_with_its_name_is_transposed() {
    let tensors = vec![bytes("a.weight", &[2, 2], 1)];
    let nodes = quantized(["x", "a.weight_quantized"], "");
    let expected = ("a.weight".to_string(), vec![2, 2], true);
    assert_eq!(restored(tensors, &nodes), [expected]);
}

#[test]
fn scales_that_no_rows_have_are_not_read() {
    let mut tensors = vec![bytes("table", &[5, 3], 3), bytes("rows", &[5, 3], 5)];
    restore(&mut tensors, &[]);
    assert_eq!(tensors[0].dtype, UNREADABLE);
    assert_eq!((tensors[1].dtype.as_str(), tensors[1].shape[0]), ("F32", 5));
}

#[test]
fn a_matrix_product_with_a_bias_has_its_columns_or_its_rows() {
    let gemm = |numbers: Vec<(usize, u64)>| Node {
        inputs: ["x", "w", "a.bias"].map(Into::into).into(),
        numbers,
        ..node(Op::Gemm, "", ["", ""], "y")
    };
    let tensors = || vec![tensor("a.bias", &[2]), tensor("w", &[2, 2])];
    for (numbers, is_columns) in [(vec![], true), (vec![(0, 0)], true), (vec![(0, 1)], false)] {
        let expected = ("a.weight".to_string(), vec![2, 2], is_columns);
        assert_eq!(restored(tensors(), &[gemm(numbers)])[1], expected);
    }
}

/// Attention whose output goes to the layer `output`.
fn attention(op: Op, inputs: &[&str], output: &str) -> [Node; 2] {
    let attention = Node {
        inputs: inputs.iter().map(|input| (*input).into()).collect(),
        ..node(op, "Attention_0", ["", ""], "states")
    };
    let path = format!("/{}/MatMul", output.replace('.', "/"));
    [attention, node(MUL, &path, ["states", "o"], "y")]
}

#[test]
fn query_key_and_value_are_parts_of_one_matrix() {
    for (output, layers) in [
        (
            "encoder.layer.1.attention.output.dense",
            ["self.query", "self.key", "self.value"],
        ),
        (
            "transformer.layer.0.attention.out_lin",
            ["q_lin", "k_lin", "v_lin"],
        ),
    ] {
        let block = output.split_once("attention.").unwrap().0;
        let tensors = || {
            vec![
                tensor("qkv", &[2, 6]),
                tensor("qkv_bias", &[6]),
                tensor("o", &[2, 2]),
            ]
        };
        let nodes = attention(Op::Attention, &["x", "qkv", "qkv_bias"], output);
        let mut found = tensors();
        restore(&mut found, &nodes);
        for (part, layer) in (0..).zip(layers) {
            let get = |ending: &str| {
                let name = format!("{block}attention.{layer}.{ending}");
                found.iter().find(|tensor| tensor.name == name).unwrap()
            };
            let (weight, bias) = (get("weight"), get("bias"));
            assert_eq!(
                (weight.columns, &weight.shape[..]),
                (Some((2 * part, 6)), &[2, 2][..])
            );
            assert_eq!(
                (bias.range.clone(), bias.shape[0]),
                (8 * part..8 * part + 8, 2)
            );
        }
        // If three products have the weights, only their biases are merged.
        let nodes = attention(Op::AttentionOfThree, &["q", "k", "v", "qkv_bias"], output);
        let names: Vec<_> = restored(tensors(), &nodes)
            .into_iter()
            .map(|t| t.0)
            .collect();
        assert!(names.contains(&format!("{block}attention.{}.bias", layers[2])));
        assert!(!names.contains(&format!("{block}attention.{}.weight", layers[2])));
    }
}

#[test]
fn what_cannot_be_divided_or_has_no_layer_behind_it_names_nothing() {
    let inputs = &["x", "qkv", "qkv_bias"];
    let bert = "layer.0.attention.output.dense";
    for (output, shape) in [(bert, [2, 7]), ("layer.0.mlp", [2, 6])] {
        let nodes = attention(Op::Attention, inputs, output);
        let found = restored(vec![tensor("qkv", &shape), tensor("o", &[2, 2])], &nodes);
        let is_merged = found.iter().any(|(name, ..)| name.contains("query"));
        assert!(!is_merged, "{found:?}");
    }
}

#[test]
fn scales_of_merged_columns_are_divided_with_them() {
    let tensors = vec![bytes("qkv", &[2, 6], 6), tensor("o", &[2, 2])];
    let nodes = attention(Op::Attention, &["x", "qkv"], "attention.output.dense");
    let mut found = tensors;
    restore(&mut found, &nodes);
    let key = found
        .iter()
        .find(|tensor| tensor.name == "attention.self.key.weight");
    let key = key.unwrap();
    assert_eq!(key.numbers.as_ref().unwrap().scales, 8..16);
    assert_eq!(key.columns, Some((2, 6)));
}

#[test]
fn what_an_optimizer_computed_has_the_name_of_what_it_is_equal_to() {
    let tensors = vec![
        tensor(
            "/vision_model/embeddings/position_embedding/Gather_output_0",
            &[1, 17, 48],
        ),
        tensor("/head/Expand_output_0", &[1, 1, 48]),
        // Positions of a text depend on its length, and this is no table.
        tensor("/embeddings/position_embedding/Gather_output_0", &[17, 48]),
    ];
    let expected = [
        (
            "/embeddings/position_embedding/Gather_output_0".to_string(),
            vec![17, 48],
            false,
        ),
        ("head.probe".into(), vec![1, 1, 48], false),
        (
            "vision_model.embeddings.position_embedding.weight".into(),
            vec![17, 48],
            false,
        ),
    ];
    assert_eq!(restored(tensors, &[]), expected);
    let name = "/head/Expand_output_0";
    let both = vec![tensor(name, &[1, 1, 48]), tensor("head.probe", &[1, 1, 48])];
    let names: Vec<_> = restored(both, &[])
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(names, [name, "head.probe"]);
}

#[test]
fn what_scales_the_products_of_both_towers_is_the_scale_of_scores() {
    let product = |input| node(MUL, "/MatMul", [input, "x"], "cosines");
    let scaled = |factor| node(Op::Conversion, "/Mul", ["cosines", factor], "scaled");
    let exponential = |scale| node(Op::Exponential, "/Exp", [scale, ""], "/Exp_output_0");
    let cast = node(
        Op::Conversion,
        "/Cast",
        ["/Exp_output_0", ""],
        "/Cast_output_0",
    );
    let added = node(Op::Add, "/Add", ["scaled", "onnx::Add_2"], "logits");
    let names = |numbers: &[&str], shape: &[u64], nodes: &[Node]| {
        let tensors = numbers.iter().map(|name| tensor(name, shape)).collect();
        let found = restored(tensors, nodes).into_iter();
        found.map(|(name, ..)| name).collect::<Vec<_>>()
    };
    for (numbers, nodes, expected) in [
        (
            &["onnx::Exp_1", "onnx::Add_2"][..],
            &[
                product("text_embeds"),
                exponential("onnx::Exp_1"),
                scaled("/Exp_output_0"),
                added.clone(),
            ][..],
            &["logit_bias", "logit_scale"][..],
        ),
        (
            &["onnx::Exp_1"],
            &[
                product("image_embeds"),
                exponential("onnx::Exp_1"),
                cast,
                scaled("/Cast_output_0"),
            ],
            &["logit_scale"],
        ),
        // An optimizer computed the exponential.
        (
            &["/Cast_1_output_0", "onnx::Add_2"],
            &[
                product("text_embeds"),
                scaled("/Cast_1_output_0"),
                added.clone(),
            ],
            &["logit_bias", "logit_scale.exp"],
        ),
        // Products of other values.
        (
            &["onnx::Exp_1", "onnx::Add_2"],
            &[
                product("query"),
                exponential("onnx::Exp_1"),
                scaled("/Exp_output_0"),
                added,
            ],
            &["onnx::Add_2", "onnx::Exp_1"],
        ),
    ] {
        assert_eq!(names(numbers, &[], nodes), expected);
        assert_eq!(names(numbers, &[1], nodes), expected);
        assert_eq!(names(numbers, &[2], nodes), names(numbers, &[2], &[]));
    }
}
