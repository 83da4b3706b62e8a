//! ONNX files: whole loads of changed ones, and graphs that are built to take much memory.

use pilotlight::{MemoryHost, NoYield, Source};

use super::support::model_among;
use super::support::onnx::testing::{bytes, count, initializer, model, node};
use super::support::onnx::{ONNX, onnx_of};
use super::{Files, Loads, MEMORY, Random, WEIGHTS, fuzz, mutate, plan, tiny};

/// Changes a byte without moving the others.
fn change_in_place(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(3) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        _ => bytes[at] = [0, 1, 0x0a, 0x2a, 0x3a, 0x4a, 0x7f, 0x80, 0xff][random.below(9)],
    }
}

#[test]
fn an_onnx_model() {
    let files = onnx_of(&model_among(1, &[]));
    let file = &files[ONNX];
    // The nodes, and the descriptions of small tensors, are in the first bytes.
    let head = 4000.min(file.len());
    let loads = Loads::default();
    fuzz("ONNX", 17, |random| {
        let mut changed = file.clone();
        for _ in 0..random.below(4) {
            let part = match random.below(2) {
                0 => &mut changed[..],
                _ => &mut changed[..head],
            };
            change_in_place(part, random);
        }
        if random.below(8) == 0 {
            changed = mutate(&changed, random);
        }
        // The tokenizer takes memory of its own.
        let size = changed.len() + 4_000;
        let mut files = files.clone();
        changed.shrink_to_fit();
        files.insert(ONNX.into(), changed);
        let host = MemoryHost::new(files);
        // The copies above, of which a truncated file leaves little, are none of the loader's memory.
        MEMORY.reset_peak_usage();
        let source = Source::new(&host, &NoYield);
        loads.run(&source, random);
        size
    });
    loads.check();
}

/// Fused and quantized graphs, and one whose values are in a file beside it.
#[test]
fn an_onnx_model_of_another_kind() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/");
    let read = |name: &str| std::fs::read(format!("{folder}onnx/{name}")).unwrap();
    let kinds = [
        "model_O4.onnx",
        "model_O2_quint8.onnx",
        "model_quint8_avx2.onnx",
        "model_qint8.onnx",
        "model_q4.onnx",
        "split/model.onnx",
    ]
    .map(read);
    let mut configs = Files::new();
    for name in ["config.json", "tokenizer.json"] {
        let bytes = std::fs::read(format!("{folder}bert-tiny-mean/{name}")).unwrap();
        configs.insert(name.into(), bytes);
    }
    configs.insert(format!("{ONNX}_data"), read("split/model.onnx_data"));
    let loads = Loads::default();
    fuzz("kinds of ONNX", 20, |random| {
        let mut changed = kinds[random.below(kinds.len())].clone();
        for _ in 0..random.below(4) {
            change_in_place(&mut changed, random);
        }
        if random.below(8) == 0 {
            changed = mutate(&changed, random);
        }
        changed.shrink_to_fit();
        let mut files = configs.clone();
        files.insert(ONNX.into(), changed);
        let size: usize = files.values().map(Vec::len).sum();
        let host = MemoryHost::new(files);
        MEMORY.reset_peak_usage();
        let source = Source {
            lossy: true,
            ..Source::new(&host, &NoYield)
        };
        loads.run(&source, random);
        size
    });
    loads.check();
}

/// An attribute of a node with a number.
fn attribute(name: &str, number: u64) -> Vec<u8> {
    bytes(5, &[bytes(1, name.as_bytes()), count(3, number)].concat())
}

/// A node with attributes.
fn nibbles(inputs: &[&str], numbers: &[(&str, u64)]) -> Vec<u8> {
    let mut node: Vec<u8> = inputs
        .iter()
        .flat_map(|input| bytes(1, input.as_bytes()))
        .collect();
    node.extend([bytes(2, b"n"), bytes(4, b"MatMulNBits")].concat());
    node.extend(
        numbers
            .iter()
            .flat_map(|(name, number)| attribute(name, *number)),
    );
    bytes(1, &node)
}

/// An entry of the place of a tensor's values.
fn beside(key: &str, value: &str) -> Vec<u8> {
    bytes(
        13,
        &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat(),
    )
}

/// Pieces of graphs: those that take much memory for few bytes, and broken ones.
fn pieces() -> Vec<Vec<u8>> {
    vec![
        bytes(1, b""),
        bytes(5, b""),
        bytes(1, &bytes(4, b"Add")),
        bytes(1, &bytes(1, b"").repeat(9)),
        node("Identity", "", &["w"], "v"),
        node("MatMul", "/m/MatMul", &["x", "w"], "y"),
        node("Add", "", &["y", "m.bias"], "z"),
        initializer("w", 1, &[2, 2], &[0; 16]),
        initializer("m.bias", 1, &[2], &[0; 8]),
        bytes(
            5,
            &[count(1, u64::MAX), count(1, 2), bytes(8, b"b")].concat(),
        ),
        bytes(5, &[bytes(1, &[1; 9]), bytes(8, b"d")].concat()),
        vec![0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0x0a, 0x05, 0x0a, 0xff, 0xff, 0xff, 0x7f],
        bytes(1, &bytes(5, &bytes(6, &bytes(1, b"")))),
        count(3, u64::MAX),
        node("Attention", "", &["x", "w", "m.bias"], "y"),
        node(
            "MatMul",
            "/l/attention/output/dense/MatMul",
            &["y", "w"],
            "z",
        ),
        node(
            "MatMulInteger",
            "",
            &["x", "q_quantized", "z", "q_zero_point"],
            "y",
        ),
        node(
            "SkipLayerNormalization",
            "",
            &["y", "x", "g", "b", "m.bias"],
            "z",
        ),
        node("Identity", "", &["q"], "r"),
        nibbles(
            &["x", "n_Q4", "n_scales", "n_zp"],
            &[("K", 32), ("bits", 4), ("block_size", 32)],
        ),
        nibbles(
            &["x", "n_Q4", "n_scales"],
            &[("K", u64::MAX), ("transB", 1)],
        ),
        initializer("q_quantized", 2, &[2, 3], &[1; 6]),
        initializer("q_scale", 1, &[3], &[0; 12]),
        initializer("q_zero_point", 2, &[3], &[0; 3]),
        initializer("n_Q4", 2, &[2, 1, 16], &[7; 32]),
        initializer("n_scales", 10, &[2, 1], &[7; 4]),
        initializer("n_zp", 2, &[2, 1], &[7; 2]),
        initializer("long_scale", 1, &[4000], &[0; 16_000]),
        bytes(
            5,
            &[
                count(1, 2),
                count(2, 1),
                bytes(8, b"beside"),
                beside("location", "model.onnx_data"),
                beside("offset", "18446744073709551615"),
                count(14, 1),
            ]
            .concat(),
        ),
    ]
}

/// The files beside the weights.
fn configs() -> Files {
    let mut files = tiny();
    files.remove(WEIGHTS);
    files
}

/// Plans a load of a file, and returns the bytes of all files.
fn plan_of(configs: &Files, file: Vec<u8>) -> usize {
    let size = file.len();
    let mut files = configs.clone();
    files.insert(ONNX.into(), file);
    plan(files);
    size + 4_000
}

#[test]
fn a_graph_of_any_fields() {
    let (configs, pieces) = (configs(), pieces());
    fuzz("graph", 18, |random| {
        let mut graph = Vec::new();
        for _ in 0..random.below(12) {
            let piece = &pieces[random.below(pieces.len())];
            // A flood of one piece, now and then.
            let count = match random.below(4) {
                0 => random.below(20_000),
                _ => 1,
            };
            for _ in 0..count {
                graph.extend(piece);
            }
        }
        plan_of(&configs, model(&[graph]))
    });
}

/// Names many tensors and nodes in few bytes: most of the memory is that of their table.
#[test]
fn a_graph_of_many_names() {
    let configs = configs();
    fuzz("initializers", 19, |random| {
        let (mut nodes, mut tensors) = (Vec::new(), Vec::new());
        let kinds = random.below(3);
        for number in 0..random.below(20_000) {
            let name = format!("{number:x}");
            if kinds != 1 {
                tensors.push(bytes(5, &bytes(8, name.as_bytes())));
            }
            if kinds != 0 {
                nodes.push(node("Identity", "", &["w"], &format!("v{name}")));
            }
        }
        tensors.push(initializer("w", 1, &[2], &[0; 8]));
        plan_of(&configs, model(&[nodes.concat(), tensors.concat()]))
    });
}
