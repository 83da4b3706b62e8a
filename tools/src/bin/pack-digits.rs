//! Packs the networks that `train.py` has written, as the npm package ships them: int8 rows, each with its scale.
//!
//!     cargo run --release -p pilotlight-tools --features pack --bin pack-digits -- FOLDER_OF_CHECKPOINTS FOLDER_OF_WEIGHTS
//!
//! Reads `generator.safetensors` and `judge.safetensors`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use pilotlight::{
    CacheConfig, DigitClassifier, DigitGenerator, Dtype, Library, MemoryHost, MemoryStore,
    ModelKey, NoLocks, NoYield, Source, cpu,
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        panic!("expected two folders");
    };
    for name in ["generator", "judge"] {
        let file = format!("{name}.safetensors");
        let checkpoint = std::fs::read(Path::new(&from).join(&file)).unwrap();
        let packed = pollster::block_on(pack(name, checkpoint));
        std::fs::write(Path::new(&to).join(&file), &packed).unwrap();
        println!("{file}: {} bytes", packed.len());
    }
}

/// Packs a checkpoint. The packed file is the one that a store keeps of a model.
async fn pack(name: &str, checkpoint: Vec<u8>) -> Vec<u8> {
    let host = MemoryHost::new([("model.safetensors".to_owned(), checkpoint)]);
    let store = MemoryStore::default();
    let key = ModelKey::new("memory", name, "main", Dtype::Q8);
    let locks = NoLocks;
    let source = Source {
        cache: Some(CacheConfig {
            locks: &locks,
            ..CacheConfig::new(&store, key, 0, 0)
        }),
        ..Source::new(&host, &NoYield)
    };
    let device = cpu();
    match name {
        "generator" => drop(DigitGenerator::load(&source, &device).await.unwrap()),
        _ => drop(DigitClassifier::load(&source, &device).await.unwrap()),
    }
    let library = Library::new(&store);
    let key = library.list().await.unwrap().remove(0).key;
    let packed = std::cell::RefCell::new(Vec::new());
    let take = async |_: &str, piece: &[u8]| {
        packed.borrow_mut().extend_from_slice(piece);
        Ok(())
    };
    library.export(&key, take).await.unwrap();
    packed.into_inner()
}
