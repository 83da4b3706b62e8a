//! ONNX files of other kinds than PyTorch writes: fused graphs, quantized weights, values in a file beside them, and the choice among files.

use std::cell::RefCell;

use pilotlight::{
    CacheConfig, Dtype, ErrorKind, Host, MemoryHost, MemoryStore, NoYield, Result, Source,
    TextEmbedder, Weights,
};
use pollster::block_on;

use super::support::onnx::testing::{bytes, count, initializer, model as graph};
use super::support::{
    CHUNK, Files, Flaky, Hurried, WEIGHTS, key, load as load_stored, packed, vector,
};
use super::{MODEL, Recorded, configs, equals_pytorch, golden, load_from, safetensors};

const DATA: &str = "onnx/model.onnx_data";
const BYTES: &str = "onnx/model_quint8_avx2.onnx";
const FUSED: &str = "onnx/model_O4.onnx";

/// The repository with files of the folder of goldens, under other names.
fn with(files: &[(&str, &str)]) -> Files {
    let mut all = configs();
    for (name, source) in files {
        all.insert((*name).into(), golden(source));
    }
    all
}

fn split() -> Files {
    with(&[
        (MODEL, "onnx/split/model.onnx"),
        (DATA, "onnx/split/model.onnx_data"),
    ])
}

fn load(host: &dyn Host, weights: &str, dtype: Dtype, lossy: bool) -> Result<TextEmbedder> {
    let source = Source {
        weights: Weights::from_name(weights)?,
        lossy,
        ..Source::new(host, &NoYield)
    };
    block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))
}

/// The cosine of two vectors of length 1.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn fused_graphs_have_the_vectors_of_the_safetensors() {
    for dtype in Dtype::ALL {
        let own = load_from(&MemoryHost::new(safetensors()), "auto", dtype).unwrap();
        for level in ["O1", "O2", "O3"] {
            let name = format!("onnx/model_{level}.onnx");
            let host = MemoryHost::new(with(&[(&name, &name)]));
            let fused = load_from(&host, &name, dtype).unwrap();
            assert_eq!(vector(&own), vector(&fused), "{level} {dtype:?}");
        }
    }
    let host = MemoryHost::new(with(&[(FUSED, FUSED)]));
    equals_pytorch(&load_from(&host, FUSED, Dtype::F32).unwrap(), 2e-3);
}

#[test]
fn quantized_weights_are_read_where_they_are_asked_for() {
    let own = load_from(&MemoryHost::new(safetensors()), "auto", Dtype::F32).unwrap();
    for (name, least) in [
        ("onnx/model_quint8_avx2.onnx", 0.999),
        ("onnx/model_qint8.onnx", 0.999),
        ("onnx/model_O2_quint8.onnx", 0.999),
        ("onnx/model_q4.onnx", 0.94),
        ("onnx/model_q4_symmetric.onnx", 0.94),
    ] {
        let files = with(&[(name, name)]);
        for dtype in Dtype::ALL {
            let host = MemoryHost::new(files.clone());
            let quantized = load(&host, name, dtype, false).unwrap();
            let near = cosine(&vector(&own), &vector(&quantized));
            let least = if dtype == Dtype::Q4 { 0.94 } else { least };
            assert!(near > least, "{name} {dtype:?}: {near}");
        }
        // Under the name of a model in float32, it is none.
        let host = MemoryHost::new(with(&[(MODEL, name)]));
        let error = load(&host, "onnx", Dtype::Q8, false)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        assert_eq!(
            error.to_string(),
            "onnx/model.onnx: has weights in 8 bits or fewer, expected lossy: true or the name of the file in the option weights"
        );
        load(&host, "onnx", Dtype::Q8, true).unwrap();
    }
}

#[test]
fn four_bits_are_kept_as_they_are() {
    let name = "onnx/model_q4.onnx";
    let host = MemoryHost::new(with(&[(name, name)]));
    let [single, kept] =
        [Dtype::F32, Dtype::Q4].map(|dtype| load(&host, name, dtype, false).unwrap());
    let rounded = load_from(&MemoryHost::new(safetensors()), "auto", Dtype::Q4).unwrap();
    // The difference is the rounding of the scales, and of the embeddings to 8 bits.
    let (kept, other) = (
        cosine(&vector(&single), &vector(&kept)),
        cosine(&vector(&single), &vector(&rounded)),
    );
    assert!(kept > 0.9995 && kept > other, "{kept} {other}");
}

/// All files of a repository that has each kind.
fn all() -> Files {
    let mut files = safetensors();
    files.extend(with(&[
        (MODEL, MODEL),
        (FUSED, FUSED),
        (BYTES, "onnx/model_O2_quint8.onnx"),
        ("onnx/model_qint8_arm64.onnx", "onnx/model_O2_quint8.onnx"),
        ("onnx/model_quantized.onnx", "onnx/model_O2_quint8.onnx"),
    ]));
    files
}

#[test]
fn the_file_with_the_fewest_bytes_that_serves_the_dtype_is_read() {
    let without = |names: &[&str]| {
        let mut files = all();
        files.retain(|name, _| !names.contains(&name.as_str()));
        files
    };
    let [qint8, quantized] = ["onnx/model_qint8_arm64.onnx", "onnx/model_quantized.onnx"];
    let half = "onnx/model_fp16.onnx";
    let mut large_half = without(&[FUSED]);
    large_half.insert(half.into(), golden(half));
    for (files, weights, dtype, lossy, expected) in [
        (all(), "auto", Dtype::Q8, false, FUSED),
        (all(), "auto", Dtype::Q4, false, FUSED),
        (all(), "auto", Dtype::F32, false, WEIGHTS),
        (all(), "safetensors", Dtype::Q8, true, WEIGHTS),
        (all(), "auto", Dtype::Q8, true, BYTES),
        (all(), "auto", Dtype::F32, true, BYTES),
        (without(&[BYTES]), "auto", Dtype::Q8, true, qint8),
        (without(&[BYTES, qint8]), "auto", Dtype::Q8, true, quantized),
        (all(), "onnx", Dtype::Q8, false, FUSED),
        (all(), "onnx", Dtype::F32, false, MODEL),
        (all(), "onnx", Dtype::Q8, true, BYTES),
        // Nearly as many bytes are not worth the requests.
        (large_half.clone(), "auto", Dtype::Q8, false, WEIGHTS),
        (large_half, "onnx", Dtype::Q8, false, half),
        (without(&[WEIGHTS]), "auto", Dtype::F32, false, MODEL),
        (without(&[WEIGHTS, MODEL]), "auto", Dtype::F32, false, FUSED),
        (without(&[WEIGHTS]), "auto", Dtype::Q8, false, FUSED),
    ] {
        let host = Recorded::new(&files);
        let source = Source {
            weights: Weights::from_name(weights).unwrap(),
            lossy,
            ..Source::new(&host, &NoYield)
        };
        let plan = block_on(TextEmbedder::plan(&source, dtype)).unwrap();
        let case = format!("{weights} {dtype:?} {lossy} {:?}", files.keys());
        assert_eq!(plan.files.last().unwrap().path, expected, "{case}");
        let is_lossy = [BYTES, qint8, quantized].contains(&expected);
        assert_eq!(plan.lossy, is_lossy, "{case}");
        load(&host, weights, dtype, lossy).unwrap();
        assert_eq!(host.weights(), [expected], "{case}");
    }
}

#[test]
fn a_graph_without_names_makes_room_for_the_next_file() {
    let unnamed = graph(&[initializer("123", 1, &[4], &[0; 16])]);
    let broken = [&b"\x3a\xff\xff\x03"[..], &[0; 40]].concat();
    for wrong in [unnamed, broken] {
        let mut files = all();
        files.insert(BYTES.into(), wrong.clone());
        files.insert(FUSED.into(), wrong);
        let host = MemoryHost::new(files.clone());
        let (own, others) = (MemoryStore::default(), safetensors());
        let alone = MemoryHost::new(others.clone());
        let alone = Flaky::new(&alone, &others, (WEIGHTS, u64::MAX));
        load_stored(&alone, &own, Dtype::Q8, CHUNK / 64, 1).unwrap();
        let source = Source::new(&host, &NoYield);
        let plan = block_on(TextEmbedder::plan(&source, Dtype::Q8)).unwrap();
        assert_eq!(plan.files.last().unwrap().path, WEIGHTS);
        let store = MemoryStore::default();
        // An interrupted load resumes with the file that it had found, and does not request the others again.
        let flaky = Flaky::new(&host, &files, (WEIGHTS, 60_000));
        load_stored(&flaky, &store, Dtype::Q8, CHUNK / 64, 1)
            .map(|_| ())
            .unwrap_err();
        let flaky = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
        load_stored(&flaky, &store, Dtype::Q8, CHUNK / 64, 2).unwrap();
        assert_eq!(packed(&own, Dtype::Q8), packed(&store, Dtype::Q8));
        let asked = flaky.asked.into_inner();
        assert!(asked.iter().all(|(file, _)| file == WEIGHTS), "{asked:?}");
        // If no file is better, the error is that of the first.
        files.remove(WEIGHTS);
        files.remove(MODEL);
        let error = load(&MemoryHost::new(files), "auto", Dtype::Q8, false).map(|_| ());
        let error = error.unwrap_err();
        assert_eq!(error.file(), Some(FUSED), "{error}");
    }
}

#[test]
fn values_may_be_in_a_file_beside_the_graph() {
    for dtype in [Dtype::F32, Dtype::Q8] {
        let own = load_from(&MemoryHost::new(safetensors()), "auto", dtype).unwrap();
        let host = Recorded::new(&split());
        let (store, loaded) = (MemoryStore::default(), RefCell::new(0));
        let progress = |event: &pilotlight::LoadProgress<'_>| {
            loaded.replace(event.loaded);
        };
        let source = Source {
            cache: Some(CacheConfig::new(&store, key(dtype), 1, 1)),
            progress: &progress,
            ..Source::new(&host, &Hurried)
        };
        let plan = block_on(TextEmbedder::plan(&source, dtype)).unwrap();
        let paths: Vec<_> = plan.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths[paths.len() - 2..], [MODEL, DATA]);
        let other = block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu())).unwrap();
        assert_eq!(*loaded.borrow(), plan.fetch);
        assert_eq!(vector(&own), vector(&other), "{dtype:?}");
    }
}

#[test]
fn an_interrupted_load_of_a_file_beside_the_graph_goes_on() {
    let files = split();
    let host = MemoryHost::new(files.clone());
    let run = |store: &MemoryStore, cut: u64, nonce: u64| {
        let flaky = Flaky::new(&host, &files, (DATA, cut));
        load_stored(&flaky, store, Dtype::Q8, CHUNK / 64, nonce).map(|_| flaky.asked.into_inner())
    };
    let whole = MemoryStore::default();
    run(&whole, u64::MAX, 1).unwrap();
    let expected = packed(&whole, Dtype::Q8);
    for cut in [1, 20_000, 50_000, 90_000] {
        let store = MemoryStore::default();
        let error = run(&store, cut, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed, "{cut}: {error}");
        let asked = run(&store, u64::MAX, 2).unwrap();
        let starts: Vec<_> = asked.iter().filter(|(file, _)| file == DATA).collect();
        assert!(
            cut < 20_000 || starts.iter().all(|(_, start)| *start > 0),
            "{asked:?}"
        );
        assert_eq!(packed(&store, Dtype::Q8), expected, "{cut}");
    }
}

/// A graph with the word embeddings in a file beside it.
fn beside(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut tensor = [
        count(1, 195),
        count(1, 32),
        count(2, 1),
        bytes(8, b"embeddings.word_embeddings.weight"),
    ]
    .concat();
    for (key, value) in entries {
        let entry = [bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat();
        tensor.extend(bytes(13, &entry));
    }
    tensor.extend(count(14, 1));
    graph(&[bytes(5, &tensor)])
}

#[test]
fn a_file_beside_the_graph_that_is_no_such_file_is_refused() {
    let load_with = |entries: &[(&str, &str)], change: &dyn Fn(&mut Files)| {
        let mut files = split();
        if !entries.is_empty() {
            files.insert(MODEL.into(), beside(entries));
        }
        change(&mut files);
        let error = load(&MemoryHost::new(files), "onnx", Dtype::Q8, false).map(|_| ());
        error.unwrap_err()
    };
    for location in [
        "../../secret",
        "/etc/passwd",
        "https://a/b",
        "a//b",
        "C:\\a",
        ".",
        "a?b",
    ] {
        let error = load_with(&[("location", location)], &|_| {});
        assert_eq!(
            error.to_string(),
            format!(
                "onnx/model.onnx: graph.initializer[0] has external data in '{location}', expected the name of a file in its folder"
            )
        );
        assert_eq!(error.kind(), ErrorKind::InvalidWeights);
    }
    let inside = ("location", "model.onnx_data");
    for (offset, length, what) in [
        ("18446744073709551615", "24960", "which no file has"),
        ("-1", "24960", "has the offset '-1' of external data"),
        ("0", "x", "has the length 'x' of external data"),
        ("0", "24961", "has 24961 bytes, expected 6240 values of F32"),
        ("0", "1125899906842625", "which no file has"),
    ] {
        let entries = [inside, ("offset", offset), ("length", length)];
        let error = load_with(&entries, &|_| {}).to_string();
        assert!(error.contains(what), "{error}, expected {what}");
        assert!(error.starts_with(MODEL), "{error}");
    }
    let error = load_with(&[], &|files| drop(files.remove(DATA)));
    assert_eq!(
        error.to_string(),
        "onnx/model.onnx: has its weights in 'onnx/model.onnx_data', which the repository lacks"
    );
    let error = load_with(&[], &|files| {
        files.get_mut(DATA).unwrap().truncate(90_000);
    });
    assert_eq!(error.kind(), ErrorKind::InvalidWeights);
    assert_eq!(
        error.to_string(),
        "onnx/model.onnx_data: the file has 90000 bytes, but its header describes 95360"
    );
    assert_eq!(error.file(), Some(DATA));
}
