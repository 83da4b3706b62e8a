//! The real all-MiniLM-L6-v2 from ONNX files: how near its vectors are to those of the safetensors, and what a first visit fetches.
//!
//! `tests/goldens/minilm/onnx_files.py` writes the files, and PILOTLIGHT_MINILM_ONNX is their folder; PILOTLIGHT_MINILM is the repository's.

use std::path::Path;

use pilotlight::{Dtype, EmbedOptions, Error, NoYield, Source, TextEmbedder, Values};
use pollster::block_on;

use super::Recorded;
use super::support::{Files, WEIGHTS};

const HALF: &str = "onnx/model_O4.onnx";

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn embed(embedder: &TextEmbedder, sentences: &[String]) -> Vec<Vec<f32>> {
    let embedded = block_on(embedder.embed(sentences, &EmbedOptions::default(), &NoYield)).unwrap();
    let Values::Float32(values) = embedded.values else {
        panic!("float32 is the default")
    };
    values.chunks(384).map(<[f32]>::to_vec).collect()
}

/// The mean and the least cosine of pairs of vectors of length 1.
fn cosines(a: &[Vec<f32>], b: &[Vec<f32>]) -> (f64, f64) {
    let product = |(a, b): (&Vec<f32>, &Vec<f32>)| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let all: Vec<_> = a.iter().zip(b).map(product).collect();
    let least = all.iter().copied().fold(1.0, f64::min);
    (all.iter().sum::<f64>() / all.len() as f64, least)
}

#[test]
fn the_real_minilm_from_smaller_files_is_near_its_safetensors() -> Result<(), Error> {
    let [Some(minilm), Some(onnx)] =
        ["PILOTLIGHT_MINILM", "PILOTLIGHT_MINILM_ONNX"].map(std::env::var_os)
    else {
        println!("skipped: PILOTLIGHT_MINILM and PILOTLIGHT_MINILM_ONNX are not set");
        return Ok(());
    };
    let (minilm, onnx) = (Path::new(&minilm), Path::new(&onnx));
    let expected: serde_json::Value = serde_json::from_slice(&read(onnx, "expected.json")).unwrap();
    let sentences: Vec<String> = serde_json::from_value(expected["sentences"].clone()).unwrap();
    let mut files: Files = [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        WEIGHTS,
    ]
    .map(|name| (name.to_string(), read(minilm, name)))
    .into();
    let load = |files: &Files, dtype, lossy| {
        let host = Recorded::new(files);
        let source = Source {
            lossy,
            ..Source::new(&host, &NoYield)
        };
        let plan = block_on(TextEmbedder::plan(&source, dtype))?;
        host.asked.borrow_mut().clear();
        let embedder = block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))?;
        let [name] = host.weights().try_into().unwrap();
        let requests = host
            .asked
            .borrow()
            .iter()
            .filter(|(file, _)| *file == name)
            .count();
        println!(
            "{name} in {dtype:?}: {} bytes, {requests} requests for weights",
            plan.fetch
        );
        Ok::<_, Error>((embed(&embedder, &sentences), plan.fetch, name))
    };
    let (single, _, _) = load(&files, Dtype::F32, false)?;
    let (own, all, _) = load(&files, Dtype::Q8, false)?;
    println!("q8 of safetensors: {:?}", cosines(&single, &own));

    files.insert(HALF.into(), read(onnx, "model_O4.onnx"));
    let (half, bytes, name) = load(&files, Dtype::Q8, false)?;
    println!("q8 of float16: {:?}", cosines(&single, &half));
    assert_eq!(name, HALF);
    assert!(bytes * 100 < all * 51, "{bytes} of {all}");
    assert!(cosines(&single, &half).1 > cosines(&single, &own).1 - 1e-3);
    let mut only = files.clone();
    only.remove(WEIGHTS);
    let (half, _, _) = load(&only, Dtype::F32, false)?;
    let (mean, least) = cosines(&single, &half);
    println!("f32 of float16: {mean} {least}");
    assert!(least > 0.9999, "{least}");

    for name in ["model_quint8_avx2.onnx", "model_qint8_arm64.onnx"] {
        let theirs: Vec<Vec<f32>> =
            serde_json::from_value(expected["embeddings"][name].clone()).unwrap();
        let theirs = cosines(&single, &theirs);
        let mut files = files.clone();
        files.insert(format!("onnx/{name}"), read(onnx, name));
        for dtype in [Dtype::F32, Dtype::Q8] {
            let (ours, bytes, _) = load(&files, dtype, true)?;
            let ours = cosines(&single, &ours);
            println!("{name} in {dtype:?}: {ours:?}, onnxruntime {theirs:?}");
            assert!(bytes * 100 < all * 27, "{bytes} of {all}");
            assert!(
                ours.0 > theirs.0 && ours.1 > theirs.1,
                "{ours:?} {theirs:?}"
            );
        }
    }
    Ok(())
}
