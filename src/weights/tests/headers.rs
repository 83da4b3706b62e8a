//! Headers of GGUF files that lie.

use pollster::block_on;

use super::super::header::Header;
use super::super::testing::{Described, GgufFile, Item};
use super::{FILE, host, open, read};
use crate::error::ErrorKind;

/// A file with two tensors of 2 by 32 values.
fn small() -> GgufFile {
    let mut file = GgufFile::default();
    file.value("general.architecture", Item::Text("llama".into()));
    file.value("llama.attention.head_count", Item::Count(1));
    file.tensor("a", &[2, 32], "F32");
    file.tensor("blk.0.attn_q.weight", &[2, 32], "F16");
    file
}

fn changed(change: impl Fn(&mut GgufFile)) -> Vec<u8> {
    let mut file = small();
    change(&mut file);
    file.bytes()
}

fn second(change: impl Fn(&mut Described)) -> Vec<u8> {
    changed(|file| change(&mut file.tensors[1]))
}

fn raw(bytes: &[&[u8]]) -> Vec<u8> {
    changed(|file| file.value("x", Item::Raw(bytes.concat())))
}

#[test]
fn lying_headers_are_errors_that_name_the_file_and_the_tensor() {
    let header = read(small().bytes()).unwrap();
    assert_eq!(header.entries[1].interleaved_heads, Some(1));
    assert_eq!(header.entries[0].interleaved_heads, None);
    let huge = u64::MAX.to_le_bytes();
    let tebi = (1u64 << 40).to_le_bytes();
    let kind = |kind: u32| kind.to_le_bytes();
    let at = |at: usize, bytes: &[u8]| {
        let mut file = small().bytes();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let truncated = |length: usize| small().bytes()[..length].to_vec();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("magic", at(0, b"GGML"), "does not begin with 'GGUF'"),
        ("version 1", at(4, &kind(1)), "version is 1"),
        (
            "big endian",
            at(4, &3u32.to_be_bytes()),
            "version is 50331648",
        ),
        ("tensors", at(8, &huge), "claims at least"),
        ("values", at(16, &tebi), "claims at least"),
        ("a key's length", at(24, &huge), "claims at least"),
        ("an empty file", vec![], "truncated"),
        ("the magic alone", truncated(4), "truncated"),
        ("half the counts", truncated(20), "claims at least 24 bytes"),
        ("half a header", truncated(150), "claims at least"),
        (
            "half the tensors",
            truncated(small().header_bytes() + 100),
            "the file has",
        ),
        ("a string", raw(&[&kind(8), &tebi]), "claims at least"),
        (
            "a list of bytes",
            raw(&[&kind(9), &kind(0), &huge]),
            "claims at least",
        ),
        (
            "a list of strings",
            raw(&[&kind(9), &kind(8), &tebi]),
            "claims at least",
        ),
        (
            "a list of doubles",
            raw(&[&kind(9), &kind(12), &huge]),
            "claims at least",
        ),
        (
            "a list of lists",
            raw(&[&kind(9), &kind(9), &[0; 8]]),
            "the type 9",
        ),
        ("a type of value", raw(&[&kind(13)]), "the type 13"),
        (
            "not UTF-8",
            raw(&[&kind(8), &2u64.to_le_bytes(), &[0xff, 0xfe]]),
            "'x'",
        ),
        (
            "no alignment",
            changed(|file| file.value("general.alignment", Item::Count(0))),
            "general.alignment",
        ),
        (
            "odd alignment",
            changed(|file| {
                file.value("general.alignment", Item::Raw([kind(4), kind(24)].concat()))
            }),
            "power of two",
        ),
        (
            "no heads",
            changed(|file| file.value("llama.attention.head_count", Item::Count(0))),
            "attn_q.weight' has 2 rows",
        ),
        (
            "odd heads",
            changed(|file| file.value("llama.attention.head_count", Item::Count(2))),
            "attn_q.weight' has 2 rows",
        ),
        (
            "a shard",
            changed(|file| file.value("split.count", Item::Count(2))),
            "one of several",
        ),
        (
            "dims",
            second(|tensor| tensor.dims = vec![1 << 60]),
            "attn_q.weight' has an impossible shape",
        ),
        (
            "product of dims",
            second(|tensor| tensor.dims = vec![1 << 31, 1 << 31, 1 << 31]),
            "impossible shape",
        ),
        (
            "many dims",
            second(|tensor| tensor.dims = vec![1; 5]),
            "attn_q.weight' has 5 dimensions",
        ),
        (
            "endless dims",
            second(|tensor| tensor.dims = vec![1; 1000]),
            "1000 dimensions",
        ),
        (
            "offset",
            second(|tensor| tensor.offset = u64::MAX),
            "impossible shape",
        ),
        (
            "overlap",
            second(|tensor| tensor.offset = 32),
            "attn_q.weight' overlaps",
        ),
        (
            "hole",
            second(|tensor| tensor.offset += 32),
            "attn_q.weight' leaves a hole",
        ),
        (
            "type",
            second(|tensor| tensor.kind = 20),
            "attn_q.weight' has the type IQ4_NL, expected one of F32",
        ),
        (
            "unknown type",
            second(|tensor| tensor.kind = 4),
            "attn_q.weight' has the type 4, expected",
        ),
        (
            "blocks",
            second(|tensor| (tensor.kind, tensor.dims) = (14, vec![32, 2])),
            "blocks of 256 for Q6_K",
        ),
        (
            "twice",
            second(|tensor| tensor.name = "a".into()),
            "'a' is there twice",
        ),
        ("longer", changed(|file| file.end += 64), "the file has"),
    ];
    for (name, bytes, what) in cases {
        let error = read(bytes.clone()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(what), "{name}: {message}");
        assert!(message.starts_with("model.gguf: "), "{name}: {message}");
        let kind = match name {
            "version 1" | "big endian" | "a shard" | "type" | "unknown type" => {
                ErrorKind::UnsupportedModel
            }
            _ => ErrorKind::InvalidWeights,
        };
        assert_eq!(error.kind(), kind, "{name}: {message}");
        if message.contains("tensor '") {
            assert!(error.tensor().is_some(), "{name}");
        }
        // If the size of the file is unknown, it is an error as well.
        let host = host(bytes.clone());
        let mut fetch = open(&host, false);
        let header = block_on(Header::read(FILE, &mut fetch));
        let header =
            header.and_then(|header| Header::check(FILE, &header, Some(bytes.len() as u64)));
        assert!(header.is_err(), "{name}");
    }
}
