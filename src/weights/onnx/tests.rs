//! ONNX files that PyTorch wrote, and hostile ones.

mod optimized;

use pollster::block_on;

use super::table::{Kind, Numbers, Tensor};
use super::testing::{bytes, count, initializer, model, node, number};
use super::*;
use crate::error::ErrorKind;
use crate::hub::{Host, MemoryHost, RetryPolicy};
use crate::scheduler::NoYield;
use crate::weights::header::Header;

const FILE: &str = "onnx/model.onnx";

const RETRY: RetryPolicy<'static> = RetryPolicy {
    scheduler: &NoYield,
    stall: std::time::Duration::from_secs(1),
    seed: 1,
};

fn header(bytes: Vec<u8>) -> Result<Header> {
    let host = MemoryHost::new([(FILE.to_string(), bytes)]);
    let snapshot = block_on(host.snapshot()).unwrap();
    let fetch = Fetch::open(&host, &snapshot, FILE, u64::MAX, RETRY);
    let mut fetch = block_on(fetch).unwrap().unwrap();
    let header = block_on(Header::read(FILE, &mut fetch))?;
    Header::check(FILE, &header, fetch.size())
}

/// Checks that a file is refused with an error that names it.
fn refused(bytes: Vec<u8>, kind: ErrorKind, what: &str) {
    let error = header(bytes).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().starts_with(FILE), "{error}");
    assert!(error.to_string().contains(what), "{error}, expected {what}");
    assert_eq!(error.file(), Some(FILE), "{error}");
}

fn golden(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

#[test]
fn each_tensor_of_an_exported_bert_has_its_name_and_its_bytes() {
    let (file, original) = (
        golden("onnx/model.onnx"),
        golden("bert-tiny-mean/model.safetensors"),
    );
    let length = u64::from_le_bytes(*original.first_chunk().unwrap()) as usize;
    let (head, data) = original.split_at(8 + length);
    let found = header(file.clone()).unwrap();
    let expected = Header::check("x", head, Some(original.len() as u64)).unwrap();
    let expected = expected.entries.iter();
    let expected: Vec<_> = expected
        .filter(|entry| entry.dtype == "F32" && !entry.name.starts_with("pooler"))
        .collect();
    assert_eq!(found.entries.len(), expected.len());
    let bytes = |file: &[u8], entry: &Entry| {
        file[entry.range.start as usize..entry.range.end as usize].to_vec()
    };
    for expected in expected {
        let entry = found.entries.iter().find(|own| own.name == expected.name);
        let entry = entry.unwrap_or_else(|| panic!("{} is missing", expected.name));
        assert_eq!(
            (&entry.dtype, &entry.shape),
            (&expected.dtype, &expected.shape)
        );
        let is_linear = entry.shape.len() == 2 && entry.name.contains("layer");
        let is_columns = entry.stored.is_some();
        assert_eq!(is_columns, is_linear, "{}", entry.name);
        let (stored, values) = (bytes(&file, entry), bytes(data, expected));
        if !is_columns {
            assert_eq!(stored, values, "{}", entry.name);
            continue;
        }
        let [n, k] = *entry.shape.first_chunk().unwrap();
        let value = |bytes: &[u8], index: usize| bytes[4 * index..4 * index + 4].to_vec();
        for (row, column) in (0..n).flat_map(|row| (0..k).map(move |column| (row, column))) {
            assert_eq!(
                value(&stored, column * n + row),
                value(&values, row * k + column),
                "{}, {row}, {column}",
                entry.name
            );
        }
    }
}

#[test]
fn dims_and_values_may_be_written_in_each_of_their_ways() {
    let packed = [
        bytes(1, &[number(300), number(2)].concat()),
        count(2, 1),
        bytes(4, &[7; 2400]),
        bytes(8, b"floats"),
    ];
    let pieces = [
        count(1, 2),
        count(2, 1),
        bytes(4, &[0; 4]),
        bytes(4, &[0; 4]),
        bytes(8, b"pieces"),
    ];
    let integers = [
        count(1, 1),
        count(2, 10),
        bytes(5, &[9]),
        bytes(8, b"int32_data"),
    ];
    let empty = [count(1, 0), count(2, 1), bytes(8, b"empty")];
    let tensors = [&packed[..], &pieces, &integers, &empty];
    let graph: Vec<_> = tensors
        .iter()
        .map(|tensor| bytes(5, &tensor.concat()))
        .collect();
    let file = model(&[graph.concat(), initializer("scalar", 10, &[], &[1, 2])]);
    let header = header(file.clone()).unwrap();
    let found = |name: &str| {
        header
            .entries
            .iter()
            .find(|entry| entry.name == name)
            .unwrap()
    };
    let floats = found("floats");
    assert_eq!(
        (floats.dtype.as_str(), &floats.shape[..]),
        ("F32", &[300, 2][..])
    );
    assert_eq!(
        file[floats.range.start as usize..floats.range.end as usize],
        [7; 2400]
    );
    let scalar = found("scalar");
    assert_eq!(
        file[scalar.range.start as usize..scalar.range.end as usize],
        [1, 2]
    );
    for (name, expected) in [
        ("pieces", Some("in a list of numbers")),
        ("int32_data", Some("in a list of numbers")),
        ("floats", None),
        ("empty", None),
    ] {
        let checked = check_values(FILE, found(name));
        assert_eq!(checked.is_err(), expected.is_some(), "{name}");
        if let (Err(error), Some(expected)) = (checked, expected) {
            assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

#[test]
fn files_of_other_formats_are_refused_by_what_they_are() {
    let zip = b"PK\x03\x04 and so on";
    let text = b"Entry not found";
    for (file, what) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\n"[..],
            "is a pointer of Git LFS",
        ),
        (zip, "is a zip archive, expected an ONNX file"),
        (b"GGUF\x03\0\0\0", "is a GGUF file"),
        (b"<!DOCTYPE html>", "is a web page"),
        (b"{\"error\": 1}", "is JSON"),
        (text, "the model"),
        (&[0; 64], "the model has a field of number 0"),
        (&count(1, 7).repeat(4), "has no graph"),
        (&model(&[]), "graph.initializer is empty"),
    ] {
        refused(file.to_vec(), ErrorKind::InvalidWeights, what);
    }
}

#[test]
fn lengths_that_lie_are_errors_that_name_the_place() {
    let tensor = |shape: &[u64], values: &[u8]| model(&[initializer("w", 1, shape, values)]);
    let endless = [&count(1, 7)[..], &[0x3a], &[0xff; 12]].concat();
    let outside = |inner: &[u8]| model(&[bytes(5, inner)]);
    let before = || initializer("v", 1, &[1], &[0; 4]);
    for (file, what) in [
        (
            tensor(&[2], &[0; 4]),
            "graph.initializer[0] tensor 'w' has 4 bytes, expected 2 values of F32",
        ),
        (tensor(&[u64::MAX, 3], &[0; 4]), "has the impossible shape"),
        (tensor(&[1; 9], &[0; 4]), "has more than 8 dimensions"),
        (endless, "the model has a number of more than 64 bits"),
        (
            outside(&[0x4a, 0x7f]),
            "graph.initializer[0] field 9 has 127 bytes, but its message has 0 more",
        ),
        (
            outside(&[0x4a, 0xff]),
            "graph.initializer[0] ends within a number",
        ),
        (
            outside(&[0x4b]),
            "graph.initializer[0] field 9 is of wire type 3, expected 0, 1, 2 or 5",
        ),
        (
            outside(&[0x49, 1, 2]),
            "graph.initializer[0] field 9 has 8 bytes",
        ),
        (outside(&count(2, 1)), "graph.initializer[0] has no name"),
        (
            outside(&bytes(8, &[0xff])),
            "graph.initializer[0] has a name that is no UTF-8",
        ),
        (
            outside(&bytes(8, &[b'x'; 5000])),
            "has a name of 5000 bytes, more than the limit of 4096",
        ),
        (
            model(&[before(), before()]),
            "graph.initializer[1] has the name 'v', which another one has",
        ),
        (
            model(&[node("Add", &"x".repeat(5000), &[], "")]),
            "graph.node[0] has a name of 5000 bytes",
        ),
        (
            bytes(7, &[0; 20])[..10].to_vec(),
            "the model field 7 has 20 bytes, but its message has 8 more",
        ),
    ] {
        let error = header(file).unwrap_err().to_string();
        assert!(
            error.starts_with(FILE) && error.contains(what),
            "{error}, expected {what}"
        );
    }
}

#[test]
fn every_prefix_and_every_changed_byte_is_a_header_or_an_error() {
    let tensors = [
        initializer("a.bias", 1, &[2], &[0; 8]),
        initializer("onnx::MatMul_1", 1, &[3, 2], &[0; 24]),
    ];
    let nodes = [
        node("MatMul", "/a/MatMul", &["x", "onnx::MatMul_1"], "y"),
        node("Add", "/a/Add", &["a.bias", "y"], "z"),
    ];
    let file = model(&[nodes.concat(), tensors.concat()]);
    assert!(
        header(file.clone())
            .unwrap()
            .entries
            .iter()
            .any(|entry| entry.name == "a.weight")
    );
    for length in 0..file.len() {
        let cut = file[..length].to_vec();
        // The bytes after the graph are not needed.
        let graph = file.len() - bytes(8, &count(2, 14)).len();
        assert_eq!(header(cut).is_err(), length != graph, "{length}");
    }
    let mut headers = 0;
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            match header(changed) {
                Ok(_) => headers += 1,
                Err(error) => assert!(error.to_string().starts_with(FILE), "{error}"),
            }
        }
    }
    assert!(headers > 0);
}

#[test]
fn a_damaged_table_is_an_error() {
    let tensor = Tensor {
        columns: Some((0, 2)),
        ..Tensor::new("w".into(), "F32".into(), vec![2, 3], 8..32)
    };
    let bytes = |tensor: Tensor, size: u64, front: u64, held: &[u8]| {
        let table = Table::new(size, front, vec![tensor], held.to_vec());
        table.to_bytes(FILE).unwrap()
    };
    let table = |tensor: Tensor, size, front| bytes(tensor, size, front, &[]);
    let whole = table(tensor.clone(), 32, 8);
    assert_eq!(parse(FILE, &whole).unwrap().entries.len(), 1);
    let numbers = |kind, scales, zeros| Tensor {
        numbers: Some(Numbers {
            kind,
            scales,
            zeros,
        }),
        range: 8..14,
        ..tensor.clone()
    };
    assert!(parse(FILE, &bytes(numbers(Kind::U8, 0..4, 4..5), 32, 8, &[0; 8])).is_ok());
    let of_shape = |shape: &[u64], columns| Tensor {
        shape: shape.to_vec(),
        columns,
        ..tensor.clone()
    };
    let mut long = whole.clone();
    long[8] = 0xff;
    let damaged = [
        table(tensor.clone(), 31, 8),
        table(tensor.clone(), 32, 33),
        table(of_shape(&[6], Some((0, 2))), 32, 8),
        table(of_shape(&[7, 1], None), 32, 8),
        table(of_shape(&[2, 3], Some((1, 2))), 32, 8),
        table(of_shape(&[2, 3], Some((u64::MAX, 2))), 32, 8),
        table(of_shape(&[2, 3], Some((0, u64::MAX))), 32, 8),
        table(
            Tensor {
                range: std::ops::Range { start: 32, end: 8 },
                ..tensor.clone()
            },
            32,
            8,
        ),
        table(
            Tensor {
                held: Some(0..24),
                ..tensor.clone()
            },
            32,
            8,
        ),
        bytes(numbers(Kind::U8, 0..3, 0..0), 32, 8, &[0; 8]),
        bytes(numbers(Kind::U8, 0..12, 0..0), 32, 8, &[0; 12]),
        bytes(numbers(Kind::U8, 0..4, 0..2), 32, 8, &[0; 8]),
        bytes(numbers(Kind::I8, 8..12, 0..0), 32, 8, &[0; 8]),
        bytes(numbers(Kind::U4(32), 0..4, 0..0), 32, 8, &[0; 8]),
        bytes(numbers(Kind::U4(0), 0..4, 0..0), 32, 8, &[0; 8]),
        TABLE.to_vec(),
        whole[..12].to_vec(),
        long,
    ];
    for (index, table) in damaged.into_iter().enumerate() {
        let error = match parse(FILE, &table) {
            Ok(_) => panic!("table {index} is valid"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::InvalidWeights);
        assert!(
            error
                .to_string()
                .contains("the table of its tensors is not valid"),
            "{error}"
        );
    }
}

#[test]
fn scales_in_another_file_are_refused_by_what_they_are() {
    let external = |name: &str, kind: u64, shape: &[u64]| {
        let entry = |key: &str, value: &str| {
            bytes(
                13,
                &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat(),
            )
        };
        let mut tensor: Vec<u8> = shape.iter().flat_map(|dim| count(1, *dim)).collect();
        tensor.extend(count(2, kind));
        tensor.extend(bytes(8, name.as_bytes()));
        tensor.extend(entry("location", "model.onnx_data"));
        tensor.extend(entry("length", &shape.iter().product::<u64>().to_string()));
        tensor.extend(count(14, 1));
        bytes(5, &tensor)
    };
    let numbers = || external("a.weight_quantized", 2, &[3, 2]);
    for (scale, what) in [
        // Four numbers of a byte each stand for the four bytes of a scale.
        (
            external("a.weight_scale", 2, &[4]),
            "scales or zero points in another file, or more of them than are kept, 32 MB",
        ),
        (Vec::new(), "quantized numbers of another kind"),
    ] {
        let header = header(model(&[numbers(), scale])).unwrap();
        let entry = header.entries.iter().find(|entry| entry.name == "a.weight");
        let checked = check_values(FILE, entry.unwrap());
        let error = checked.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        assert!(error.to_string().contains(what), "{error}, expected {what}");
    }
}
