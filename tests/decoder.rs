//! Decoders against PyTorch, every value of every hidden state and prediction: tiny ones of each family.
//!
//! `tests/goldens/decoder/make_goldens.py` made the expected values.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/goldens.rs"]
mod goldens;
#[path = "support/tensors.rs"]
mod tensors;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use pilotlight::{
    CacheConfig, Decoder, Dtype, Error, ErrorKind, HiddenStatesOptions, LikelihoodOptions,
    Likelihoods, MemoryHost, MemoryStore, ModelKey, NoYield, Pooling, Result, Scheduler, Source,
    Store, Values,
};
use pollster::block_on;
use serde::Deserialize;

use tensors::Tensors;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    starts: Vec<u32>,
    ranks: Vec<u32>,
}

const TINY: [&str; 3] = ["llama-tiny", "qwen2-tiny", "qwen3-tiny"];

fn load(name: &str, dtype: Dtype, layers: Option<usize>) -> pilotlight::Result<Decoder> {
    let host = MemoryHost::from_folder(&goldens::folder(name)).unwrap();
    let source = Source {
        layers,
        ..Source::new(&host, &NoYield)
    };
    block_on(Decoder::load(&source, dtype, &goldens::device()))
}

fn golden(name: &str) -> (Golden, Tensors) {
    let folder = goldens::folder(name);
    let json = std::fs::read(folder.join("expected.json")).unwrap();
    let tensors = Tensors::read(&folder.join("expected.safetensors"));
    (serde_json::from_slice(&json).unwrap(), tensors)
}

fn states(decoder: &Decoder, texts: &[String], layer: usize, pooling: Option<Pooling>) -> Vec<f32> {
    let options = HiddenStatesOptions {
        layer: Some(layer),
        pooling,
    };
    let states = block_on(decoder.hidden_states(texts, &options, &NoYield)).unwrap();
    let Values::Float32(values) = states.values else {
        panic!("hidden states are float32")
    };
    values
}

fn likelihoods(decoder: &Decoder, texts: &[String]) -> Vec<Likelihoods> {
    block_on(decoder.likelihoods(texts, &LikelihoodOptions::default(), &NoYield)).unwrap()
}

/// The largest difference, relative to the magnitude of the expected values where these are above one.
fn largest_difference(got: impl IntoIterator<Item = f32>, expected: &[f32]) -> f32 {
    let got: Vec<f32> = got.into_iter().collect();
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1.0f32, |most, x| most.max(x.abs()));
    let pairs = got.iter().zip(expected);
    pairs.fold(0.0, |most, (a, b)| {
        assert!(a.is_finite());
        most.max((a - b).abs() / scale)
    })
}

#[test]
fn all_hidden_states_of_tiny_decoders_equal_pytorch() {
    for name in TINY {
        let decoder = load(name, Dtype::F32, None).unwrap();
        let (golden, expected) = golden(name);
        for layer in 0..=decoder.layers() {
            for (i, case) in golden.cases.iter().enumerate() {
                let all = expected.values(&format!("hidden_states.{i}"));
                let size = all.len() / (decoder.layers() + 1);
                let expected = &all[layer * size..][..size];
                let texts = [case.text.clone()];
                let error = largest_difference(states(&decoder, &texts, layer, None), expected);
                assert!(error < 2e-5, "{name}, layer {layer}, text {i}: {error:e}");
                let d = decoder.dimensions();
                assert_eq!(size, case.ids.len() * d);
                let last = states(&decoder, &texts, layer, Some(Pooling::LastToken));
                let error = largest_difference(last, &expected[size - d..]);
                assert!(error < 2e-5, "{name}, layer {layer}, last token: {error:e}");
            }
        }
    }
}

#[test]
fn all_predictions_of_tiny_decoders_equal_pytorch() {
    for name in TINY {
        let decoder = load(name, Dtype::F32, None).unwrap();
        let (golden, expected) = golden(name);
        // All texts in one batch, in which none changes another.
        let texts: Vec<String> = golden.cases.iter().map(|case| case.text.clone()).collect();
        let all = likelihoods(&decoder, &texts);
        assert_eq!(all.len(), texts.len());
        for (i, (case, got)) in golden.cases.iter().zip(&all).enumerate() {
            assert_eq!(got.starts, case.starts, "{name}, text {i}");
            let ranks: Vec<u32> = got.tokens.iter().map(|token| token.rank).collect();
            assert_eq!(ranks, case.ranks, "{name}, text {i}");
            let of = |field: &str| expected.values(&format!("{field}.{i}"));
            for (field, values) in [
                (
                    "log_probabilities",
                    got.tokens
                        .iter()
                        .map(|t| t.log_probability)
                        .collect::<Vec<_>>(),
                ),
                ("entropies", got.tokens.iter().map(|t| t.entropy).collect()),
                ("variances", got.tokens.iter().map(|t| t.variance).collect()),
            ] {
                let error = largest_difference(values, &of(field));
                assert!(error < 2e-5, "{name}, text {i}, {field}: {error:e}");
            }
            assert_eq!(
                likelihoods(&decoder, std::slice::from_ref(&case.text))[0],
                *got
            );
        }
    }
}

/// Cancels at a call.
struct CancelAt(Cell<usize>);

#[async_trait(?Send)]
impl Scheduler for CancelAt {
    async fn yield_now(&self) -> Result<()> {
        self.0.set(self.0.get().saturating_sub(1));
        match self.0.get() {
            0 => Err(Error::new(ErrorKind::Aborted, "cancelled")),
            _ => Ok(()),
        }
    }

    async fn sleep(&self, _: Duration) -> Result<()> {
        self.yield_now().await
    }
}

#[test]
fn rows_of_a_table_in_the_store_are_those_of_one_in_memory_however_it_is_cut() {
    for name in TINY {
        let host = MemoryHost::from_folder(&goldens::folder(name)).unwrap();
        let (golden, _) = golden(name);
        let texts: Vec<String> = golden.cases.iter().map(|case| case.text.clone()).collect();
        for dtype in Dtype::ALL {
            // Shorter than a panel of rows, and longer than some.
            for chunk in [997, 20_000] {
                let load = |store: &Rc<MemoryStore>, in_store: bool, scheduler: &dyn Scheduler| {
                    let key = ModelKey::new("h", name, "main", dtype);
                    let source = Source {
                        cache: Some(CacheConfig {
                            chunk,
                            ..CacheConfig::new(store.as_ref(), key, 1, 1)
                        }),
                        embeddings: in_store.then(|| store.clone() as Rc<dyn Store>),
                        layers: Some(1),
                        ..Source::new(&host, scheduler)
                    };
                    block_on(Decoder::load(&source, dtype, &pilotlight::cpu()))
                };
                // The length of a chunk decides how many rows the factors of a quantized layer are computed from.
                let usual = load(&Rc::default(), false, &NoYield).unwrap();
                let expected = states(&usual, &texts, 1, None);
                let store = Rc::default();
                // Each load resumes the one before, in the table and behind it.
                let aborted = (1..).step_by(9).take_while(|calls| {
                    let error = load(&store, true, &CancelAt(Cell::new(*calls))).err();
                    error.is_some_and(|error| error.kind() == ErrorKind::Aborted)
                });
                assert!(aborted.count() > 3, "{name}");
                for _ in 0..2 {
                    let decoder = load(&store, true, &NoYield).unwrap();
                    let got = states(&decoder, &texts, 1, None);
                    assert!(got == expected, "{name} {dtype:?}, chunks of {chunk}");
                }
            }
        }
    }
}
