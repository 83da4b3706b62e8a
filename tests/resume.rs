//! Downloads that break off: the next one resumes at the right place, and gives the same model.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;

use pilotlight::{Dtype, MemoryHost, MemoryStore, Store, Verified};
use pollster::block_on;
use support::cuts::cut_everywhere;
use support::{CHUNK, Files, Flaky, WEIGHTS, load, model, packed, vector};

#[test]
fn a_cut_anywhere_costs_one_chunk_at_most_f32() {
    cut_everywhere(&model(), WEIGHTS, Dtype::F32);
}

#[test]
fn a_cut_anywhere_costs_one_chunk_at_most_q8() {
    cut_everywhere(&model(), WEIGHTS, Dtype::Q8);
}

#[test]
fn a_cut_anywhere_costs_one_chunk_at_most_q4() {
    cut_everywhere(&model(), WEIGHTS, Dtype::Q4);
}

#[test]
fn a_cut_anywhere_in_a_packed_file_costs_one_chunk_at_most() {
    for dtype in Dtype::ALL {
        let mut files = model();
        let store = MemoryStore::default();
        load(&MemoryHost::new(files.clone()), &store, dtype, 4 << 20, 1).unwrap();
        let name = format!("pilotlight-{}.safetensors", dtype.name());
        files.insert(name.clone(), packed(&store, dtype));
        files.remove(WEIGHTS);
        cut_everywhere(&files, &name, dtype);
    }
}

#[test]
fn a_download_that_breaks_every_64_kib_comes_through_in_the_end() {
    let files = model();
    let host = MemoryHost::new(files.clone());
    let store = MemoryStore::default();
    let size = files[WEIGHTS].len() as u64;
    for (nonce, cut) in (64 << 10..size).step_by(64 << 10).enumerate() {
        let flaky = Flaky::new(&host, &files, (WEIGHTS, cut));
        assert!(
            load(&flaky, &store, Dtype::Q8, CHUNK, nonce as u64).is_err(),
            "{cut}"
        );
    }
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    let (embedder, _) = load(&sound, &store, Dtype::Q8, CHUNK, 99).unwrap();
    let whole = MemoryStore::default();
    let (expected, _) = load(&sound, &whole, Dtype::Q8, CHUNK, 1).unwrap();
    assert_eq!(vector(&embedder), vector(&expected));
    assert_eq!(packed(&store, Dtype::Q8), packed(&whole, Dtype::Q8));
    // Nothing but the complete model is left in the store.
    assert_eq!(
        block_on(store.keys("")).unwrap().len(),
        block_on(whole.keys("")).unwrap().len()
    );
}

#[test]
fn minilm_cut_at_fifty_places() {
    let folder = std::env::var("PILOTLIGHT_MINILM").unwrap_or(".models/all-MiniLM-L6-v2".into());
    let folder = Path::new(&folder);
    assert!(
        folder.join(WEIGHTS).exists(),
        "MiniLM's weights are not in {folder:?}: `make minilm` fetches them"
    );
    let names = [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        WEIGHTS,
    ];
    let files: Files = names
        .iter()
        .map(|name| ((*name).into(), std::fs::read(folder.join(name)).unwrap()))
        .collect();
    let host = MemoryHost::new(files.clone());
    let chunk = 4 << 20;
    let whole = MemoryStore::default();
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    load(&sound, &whole, Dtype::Q8, chunk, 1).unwrap();
    let expected = packed(&whole, Dtype::Q8);
    let size = files[WEIGHTS].len() as u64;
    let mut random = 88_172_645_463_325_252u64;
    for _ in 0..50 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let cut = random % size;
        let store = MemoryStore::default();
        let flaky = Flaky::new(&host, &files, (WEIGHTS, cut));
        assert!(load(&flaky, &store, Dtype::Q8, chunk, 1).is_err(), "{cut}");
        let next = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
        let (_, verified) = load(&next, &store, Dtype::Q8, chunk, 2).unwrap();
        let twice = flaky.sent.get() + next.sent.get() - sound.sent.get();
        assert!(
            twice <= chunk as u64,
            "cut at {cut}: {twice} bytes came twice"
        );
        assert_eq!(verified, Some(Verified::Sha256));
        assert!(
            packed(&store, Dtype::Q8) == expected,
            "{cut}: another model"
        );
    }
}
