//! Graphs that onnxruntime fused, and weights that it quantized.

use pilotlight_kernels::blocks::{Format, cast};

use super::*;
use crate::weights::stored_rows::StoredRows;

/// The values of a tensor of an ONNX file, row by row.
fn values(file: &[u8], entry: &Entry) -> Vec<f32> {
    let format = Format::from_safetensors(&entry.dtype).unwrap();
    let length = entry.shape.last().copied().unwrap();
    let count = entry.shape.iter().product::<usize>() / length;
    let row_bytes = format.row_bytes(length).unwrap();
    let stored = entry.stored.as_deref();
    let mut rows = StoredRows::new(stored, [count, length], row_bytes);
    let block = &file[entry.range.start as usize..entry.range.end as usize];
    let mut row = vec![0.0; length];
    let mut values = Vec::new();
    for index in 0..count {
        assert!(cast(rows.row(block, 0, index), format, &mut row));
        values.extend_from_slice(&row);
    }
    values
}

#[test]
fn each_tensor_of_an_optimized_or_quantized_bert_is_near_the_original() {
    let original = golden("bert-tiny-mean/model.safetensors");
    let length = u64::from_le_bytes(*original.first_chunk().unwrap()) as usize;
    let (head, data) = original.split_at(8 + length);
    let expected = Header::check("x", head, Some(original.len() as u64)).unwrap();
    // The error of rounding is half a step: of 255 for bytes, of 15 for 4 bits, of 2^-11 for float16. Signed bytes have 254 steps around 0.
    for (name, step, quantized) in [
        ("model_O1.onnx", 0.0, 0),
        ("model_O2.onnx", 0.0, 0),
        ("model_O3.onnx", 0.0, 0),
        ("model_O4.onnx", 1.0 / 2048.0, 0),
        ("model_quint8_avx2.onnx", 1.0 / 255.0, 15),
        ("model_qint8.onnx", 1.0 / 127.0, 15),
        // Query, key and value have one scale.
        ("model_O2_quint8.onnx", 2.0 / 255.0, 17),
        ("model_q4.onnx", 1.0 / 15.0, 12),
        ("model_q4_symmetric.onnx", 1.0 / 8.0, 12),
    ] {
        let file = golden(&format!("onnx/{name}"));
        let found = header(file.clone()).unwrap();
        let mut lossy = 0;
        for entry in &expected.entries {
            if entry.dtype != "F32" || entry.name.starts_with("pooler") {
                continue;
            }
            let own = found.entries.iter().find(|own| own.name == entry.name);
            let own = own.unwrap_or_else(|| panic!("{name}: {} is missing", entry.name));
            assert_eq!(own.shape, entry.shape, "{name}: {}", entry.name);
            lossy += usize::from(own.is_lossy());
            let (got, original) = (values(&file, own), values(data, entry));
            let most = original
                .iter()
                .fold(0f32, |most, value| most.max(value.abs()));
            // A range of values on both sides of 0 is up to twice as long as the greatest of them.
            let half = if own.is_lossy() || step < 1e-3 {
                step * most * 1.05
            } else {
                0.0
            };
            for (index, (got, original)) in got.iter().zip(&original).enumerate() {
                assert!(
                    (got - original).abs() <= half,
                    "{name}: {}, value {index}: {got}, expected {original} within {half}",
                    entry.name
                );
            }
        }
        assert!(lossy >= quantized, "{name}: {lossy}");
        assert_eq!(lossy > 0, quantized > 0, "{name}");
    }
}

#[test]
fn a_fused_bert_without_names_is_read_by_the_order_of_its_nodes() {
    let named = golden("onnx/model_O2.onnx");
    // Letters of the same number, so that no length changes.
    let mut unnamed = named.clone();
    for word in [
        "encoder",
        "embeddings",
        "attention",
        "intermediate",
        "dense",
    ] {
        let mut at = 0;
        while let Some(found) = unnamed[at..]
            .windows(word.len())
            .position(|w| w == word.as_bytes())
        {
            unnamed[at + found..at + found + word.len()].fill(b'x');
            at += found + word.len();
        }
    }
    let mut other = unnamed.clone();
    let ops = |file: &[u8]| file.windows(8).position(|word| word == b"BiasGelu");
    while let Some(at) = ops(&other) {
        other[at] = b'x';
    }
    let [named, unnamed, other] = [named, unnamed, other].map(|file| header(file).unwrap());
    for entry in &named.entries {
        let mut same = unnamed.entries.iter().filter(|own| own.name == entry.name);
        let own = same
            .next()
            .unwrap_or_else(|| panic!("{} is missing", entry.name));
        assert_eq!(
            (&own.range, &own.shape),
            (&entry.range, &entry.shape),
            "{}",
            entry.name
        );
        // The names are not found by the order if the graph has another form.
        let is_bert = entry.name.contains("layer");
        assert!(!is_bert || other.entries.iter().all(|own| own.name != entry.name));
    }
}

/// A tensor of float32 whose values are in a file beside the graph.
fn beside(name: &str, location: &str) -> Vec<u8> {
    let entry = [bytes(1, b"location"), bytes(2, location.as_bytes())].concat();
    let fields = [
        count(1, 1),
        count(2, 1),
        bytes(8, name.as_bytes()),
        bytes(13, &entry),
        count(14, 1),
    ];
    bytes(5, &fields.concat())
}

#[test]
fn values_that_are_not_read_are_refused_where_they_are_needed() {
    let nibbles = |bits: u64| {
        let attribute =
            |name: &str, number| bytes(5, &[bytes(1, name.as_bytes()), count(3, number)].concat());
        let names = ["x", "q", "q_scales"].map(|name| bytes(1, name.as_bytes()));
        let attributes = [("K", 32), ("bits", bits), ("block_size", 32)];
        let attributes = attributes.map(|(name, number)| attribute(name, number));
        let op = bytes(4, b"MatMulNBits");
        let numbers = initializer("q", 2, &[1, 1, 16], &[0; 16]);
        let scales = initializer("q_scales", 1, &[1, 1], &[0; 4]);
        let node = bytes(1, &[names.concat(), op, attributes.concat()].concat());
        model(&[node, numbers, scales])
    };
    let byte = |scales: &[u64]| {
        let bytes = 4 * scales.iter().product::<u64>() as usize;
        let scales = initializer("q_scale", 1, scales, &vec![0; bytes]);
        let zero = initializer("q_zero_point", 3, &[], &[0]);
        model(&[
            initializer("q_quantized", 2, &[3, 2], &[0; 6]),
            scales,
            zero,
        ])
    };
    let external = "its values in another file than other tensors";
    let quantized = "quantized numbers of another kind";
    for (file, name, expected) in [
        (nibbles(4), "q", None),
        (nibbles(8), "q", Some(quantized)),
        // The zero point is signed, the numbers are not.
        (byte(&[]), "q", Some(quantized)),
        (byte(&[3]), "q", Some(quantized)),
        (
            model(&[initializer("q_quantized", 3, &[2], &[0; 2])]),
            "q",
            Some(quantized),
        ),
        (model(&[beside("a", "one"), beside("b", "one")]), "b", None),
        (
            model(&[beside("a", "one"), beside("b", "two")]),
            "b",
            Some(external),
        ),
        // Values that are too long to be kept with the table.
        (
            model(&[
                beside("a", "one"),
                initializer("b", 2, &[70_000], &[0; 70_000]),
            ]),
            "b",
            Some(external),
        ),
    ] {
        let host = MemoryHost::new([(FILE.to_string(), file)]);
        let snapshot = block_on(host.snapshot()).unwrap();
        let fetch = Fetch::open(&host, &snapshot, FILE, u64::MAX, RETRY);
        let mut fetch = block_on(fetch).unwrap().unwrap();
        let bytes = block_on(Header::read(FILE, &mut fetch)).unwrap();
        let header = Header::check(FILE, &bytes, None).unwrap();
        let entry = header
            .entries
            .iter()
            .find(|entry| entry.name == name)
            .unwrap();
        let checked = check_values(FILE, entry);
        match (checked, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
                assert!(error.to_string().contains(expected), "{error}");
            }
            (checked, _) => panic!("{name}: {checked:?}, expected {expected:?}"),
        }
    }
}
