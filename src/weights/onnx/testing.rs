//! ONNX files for tests.

/// A number as protobuf writes it.
pub fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field with a number.
pub fn count(field: u64, value: u64) -> Vec<u8> {
    [number(field << 3), number(value)].concat()
}

/// A field with a string, a message or a list.
pub fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let length = number(value.len() as u64);
    [&number(field << 3 | 2)[..], &length, value].concat()
}

/// A node of a graph.
pub fn node(op: &str, name: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs {
        node.extend(bytes(1, input.as_bytes()));
    }
    node.extend(bytes(2, output.as_bytes()));
    node.extend(bytes(3, name.as_bytes()));
    node.extend(bytes(4, op.as_bytes()));
    bytes(1, &node)
}

/// An initializer whose values are in `raw_data`.
pub fn initializer(name: &str, kind: u64, shape: &[u64], values: &[u8]) -> Vec<u8> {
    let mut tensor: Vec<u8> = shape.iter().flat_map(|dim| count(1, *dim)).collect();
    tensor.extend(count(2, kind));
    tensor.extend(bytes(8, name.as_bytes()));
    tensor.extend(bytes(9, values));
    bytes(5, &tensor)
}

/// A model with the nodes and initializers of its graph.
pub fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    let graph = [graph.concat(), bytes(2, b"main_graph")].concat();
    [
        count(1, 7),
        bytes(2, b"pytorch"),
        bytes(7, &graph),
        bytes(8, &count(2, 14)),
    ]
    .concat()
}
