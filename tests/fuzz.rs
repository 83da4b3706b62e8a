//! Fuzzing of files and stored rows: no content causes a panic, an overflow, or more memory than the size of the file justifies.
//!
//! Each target takes valid bytes, changes them at random, and runs the code of a load on them. Every run is reproducible from its
//! number. `PILOTLIGHT_FUZZ_SECONDS=600 cargo nextest run --test fuzz` runs each target for ten minutes instead of one second.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "fuzz/configs.rs"]
mod configs;
#[path = "fuzz/onnx.rs"]
mod onnx;
#[path = "fuzz/pytorch.rs"]
mod pytorch;
mod support;

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use pilotlight::heads::classifier::Classifier;
use pilotlight::{
    CacheConfig, Chunk, Decoder, Dtype, Error, Id, ImageProcessor, IndexMetric, IndexOptions,
    IndexPrecision, Library, MemoryHost, MemoryStore, NamedKey, NoLocks, NoYield, Rgb, SavedIndex,
    SearchOptions, SequenceClassifier, Source, Store, Tags, TextEmbedder, VectorIndex, plan_model,
};
use pollster::block_on;
use support::changed_json::{change, with_a_key_twice};
use support::classifiers::{classifiers, names_a_part, use_classifier};
use support::gguf::gguf_of;
use support::store_keys::{keys_of, kind_of};
use support::{Files, Flaky, Hurried, WEIGHTS, key, load, model_among, vector};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most bytes of memory for each byte of a file. Parsing JSON takes much: two bytes of `[0,0,…]` become a value of 32 bytes, in a
/// list that doubles when it is full, and a tensor's entry exists as a JSON value and as the struct that it becomes.
const FACTOR: usize = 100;

/// The most bytes of buffers whose sizes do not depend on the file, such as those for pieces of small files and for the header.
const FIXED: usize = 1 << 20;

/// A random generator. *Source*: Marsaglia, "Xorshift RNGs", 2003.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Tokens that parsers often mishandle.
const TOKENS: [&str; 24] = [
    "0",
    "-1",
    "1e999",
    "18446744073709551615",
    "9223372036854775808",
    "4294967296",
    "1000000",
    "-0.0",
    "null",
    "true",
    "\"\"",
    "{}",
    "[]",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\u{feff}",
    "[[[[[[[[",
    "\"F32\"",
];

fn mutate(valid: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..=random.below(4) {
        let (at, length) = (random.below(bytes.len()), random.below(24));
        let end = (at + length).min(bytes.len());
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at.min(end)..end)),
            3 => {
                let copy = bytes[at.min(end)..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, token.bytes());
            }
            5 => {
                // A number becomes another one.
                let digit = |index: &usize| bytes[*index].is_ascii_digit();
                if let Some(first) = (at..bytes.len()).find(digit) {
                    let last = (first..bytes.len()).find(|index| !digit(index));
                    let token = TOKENS[random.below(8)];
                    bytes.splice(first..last.unwrap_or(bytes.len()), token.bytes());
                }
            }
            6 => bytes.truncate(at),
            _ => {
                let token = TOKENS[random.below(TOKENS.len())];
                let end = (at + token.len()).min(bytes.len());
                bytes.splice(at.min(end)..end, token.bytes());
            }
        }
    }
    bytes
}

/// Runs a target until its time is over, and measures the memory that each run allocates.
fn fuzz(name: &str, seed: u64, run: impl Fn(&mut Random) -> usize) {
    let seconds = std::env::var("PILOTLIGHT_FUZZ_SECONDS");
    let seconds = seconds.map_or(1.0, |seconds| seconds.parse().unwrap());
    let (start, mut runs, mut most) = (Instant::now(), 0u64, 0);
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        let mut random = Random((seed << 32 | runs) ^ 0x9e37_79b9_7f4a_7c15);
        for _ in 0..4 {
            random.next();
        }
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let size = run(&mut random);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(
            taken <= size * FACTOR + FIXED,
            "{name}, run {runs}: {taken} bytes for an input of {size}"
        );
        most = most.max(taken);
        runs += 1;
    }
    println!("{name}: {runs} runs, at most {most} bytes at a time");
}

fn tiny() -> Files {
    let mut files = model_among(1, &[]);
    // The callers read only headers and configs.
    files.remove("tokenizer.json");
    files
}

/// Runs a load up to the first tensor's bytes.
fn plan(files: Files) {
    let host = MemoryHost::new(files);
    let source = Source::new(&host, &NoYield);
    // The result does not matter, only that the call returns.
    let _ = block_on(TextEmbedder::plan(&source, Dtype::Q8));
}

#[test]
fn the_header_of_the_weights() {
    let files = tiny();
    let file = &files[WEIGHTS];
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    fuzz("header", 1, |random| {
        let mut head = file[..8].to_vec();
        head.extend(mutate(&file[8..8 + length], random));
        if random.below(4) > 0 {
            // The length of the header is set right: otherwise hardly any header could be read.
            let length = (head.len() - 8) as u64;
            head[..8].copy_from_slice(&length.to_le_bytes());
        } else {
            head = mutate(&head, random);
        }
        let size = head.len();
        let mut changed = files.clone();
        changed.insert(WEIGHTS.into(), head);
        plan(changed);
        size + 4_000
    });
}

/// Fuzzes the header of a GGUF file with the config and the tokenizer that are made of it, by whole loads.
/// The loads of a target, counted by how they ended.
#[derive(Default)]
struct Loads {
    loaded: Cell<usize>,
    refused: Cell<usize>,
}

impl Loads {
    /// Loads in one of the dtypes; a refusal must have a message.
    fn run(&self, source: &Source<'_>, random: &mut Random) {
        let dtype = Dtype::ALL[random.below(Dtype::ALL.len())];
        let count = match block_on(TextEmbedder::load(source, dtype, &pilotlight::cpu())) {
            Ok(_) => &self.loaded,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                &self.refused
            }
        };
        count.set(count.get() + 1);
    }

    /// Checks that some were loaded and some refused, without which a target tests little.
    fn check(self) {
        let [loaded, refused] = [self.loaded.get(), self.refused.get()];
        println!("{loaded} were loaded, {refused} were refused");
        assert!(loaded > 0 && refused > 0, "{loaded} {refused}");
    }
}

#[test]
fn the_header_of_a_gguf_file() {
    let files = gguf_of(&model_among(1, &[]));
    let (name, file) = files.first_key_value().unwrap();
    // The tensors follow the descriptions, of which the last ends with the offset of the last tensor.
    let last = b"blk.0.layer_output_norm.weight";
    let at = file.windows(last.len()).rposition(|bytes| bytes == last);
    let length = (at.unwrap() + last.len()).next_multiple_of(32);
    let (head, data) = file.split_at(length);
    let loads = Loads::default();
    fuzz("GGUF", 9, |random| {
        let mut changed = match random.below(4) {
            0 => head.to_vec(),
            _ => mutate(head, random),
        };
        for _ in 0..random.below(3) {
            // Numbers of eight and of four bytes: counts, lengths, types, dimensions and offsets.
            let numbers = [
                0,
                1,
                8,
                9,
                31,
                255,
                1 << 20,
                1 << 31,
                1 << 32,
                1 << 60,
                u64::MAX,
            ];
            let number = numbers[random.below(numbers.len())].to_le_bytes();
            let width = [4, 8][random.below(2)];
            let at = random.below(changed.len().saturating_sub(8));
            let end = (at + width).min(changed.len());
            changed[at..end].copy_from_slice(&number[..end - at]);
        }
        if random.below(4) > 0 {
            changed.resize(changed.len().next_multiple_of(32), 0);
            changed.extend(data);
        }
        let size = changed.len();
        let host = MemoryHost::new([(name.clone(), changed)]);
        let source = Source::new(&host, &NoYield);
        loads.run(&source, random);
        size
    });
    loads.check();
}

/// The most bytes that decoding any file may take: those of an image of 50 million pixels, and of rotating it.
const MAX_PIXEL_BYTES: usize = 50_000_000 * 8;

#[test]
fn images() {
    let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/decode");
    let images: Vec<Vec<u8>> = std::fs::read_dir(goldens)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| ["png", "jpg", "webp", "gif"].contains(&ending))
        })
        .map(|path| std::fs::read(path).unwrap())
        .filter(|file| file.len() < 20_000)
        .collect();
    assert!(images.len() > 10);
    fuzz("images", 5, |random| {
        let changed = mutate(&images[random.below(images.len())], random);
        let _ = Rgb::decode(&changed);
        MAX_PIXEL_BYTES / FACTOR
    });
}

/// A row with a valid digest, so that the reader accepts it and parses its content.
fn seal(content: &[u8]) -> Vec<u8> {
    let mut row = blake3::hash(content).to_hex().as_bytes().to_vec();
    row.extend(content);
    row
}

#[test]
fn the_rows_of_the_store() {
    let files = model_among(1, &[]);
    let host = MemoryHost::new(files.clone());
    let whole = MemoryStore::default();
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    load(&sound, &whole, Dtype::Q8, 50_000, 1).unwrap();
    let half = MemoryStore::default();
    let size = files[WEIGHTS].len() as u64;
    let flaky = Flaky::new(&host, &files, (WEIGHTS, size / 2));
    load(&flaky, &half, Dtype::Q8, 50_000, 1)
        .map(|_| ())
        .unwrap_err();
    let rows = |store: &MemoryStore| -> Vec<(String, Vec<u8>)> {
        let keys = block_on(store.keys("")).unwrap();
        let row = |key: String| {
            let bytes = block_on(store.get(&key)).unwrap().unwrap().to_vec();
            (key, bytes)
        };
        keys.into_iter().map(row).collect()
    };
    let stores = [rows(&whole), rows(&half)];
    let no_host = MemoryHost::default();
    let (embedder, _) = load(&sound, &MemoryStore::default(), Dtype::Q8, 50_000, 1).unwrap();
    let expected = vector(&embedder);
    fuzz("rows", 3, |random| {
        let rows = &stores[random.below(2)];
        let small: Vec<_> = rows
            .iter()
            .filter(|(key, _)| kind_of(key) != "chunk")
            .collect();
        let (changed, valid) = small[random.below(small.len())];
        let forged = random.below(4) > 0 && kind_of(changed) != "head";
        let bytes = match forged {
            false => mutate(valid, random),
            true => seal(&mutate(&valid[64..], random)),
        };
        let store = MemoryStore::default();
        let mut size = 0;
        for (key, row) in rows {
            let row = if key == changed {
                bytes.as_slice()
            } else {
                row.as_slice()
            };
            size += row.len();
            block_on(store.put(key, Chunk::from(row))).unwrap();
        }
        let source = Source {
            cache: Some(CacheConfig::new(
                &store,
                key(Dtype::Q8),
                9,
                1_795_000_000_000,
            )),
            ..Source::new(&no_host, &Hurried)
        };
        let library = Library::new(&store);
        for info in block_on(library.list()).unwrap() {
            let _ = block_on(library.export(&info.key, async |_, _| Ok(())));
        }
        let _ = block_on(TextEmbedder::plan(&source, Dtype::Q8));
        if random.below(4) == 0 {
            // The host has all files. A row that was altered does no harm; one with a forged digest may be believed.
            let loaded = load(&sound, &store, Dtype::Q8, 50_000, 2);
            if !forged {
                assert_eq!(vector(&loaded.unwrap().0), expected);
            }
            size += 3_000_000 / FACTOR * 20;
        }
        let _ = block_on(source.refresh(&[]));
        let _ = block_on(library.sweep(&NoLocks, 1_795_000_000_000));
        for info in block_on(library.list()).unwrap() {
            let _ = block_on(library.delete(&info.key));
        }
        size
    });
}

/// Small indexes of all kinds.
fn indexes() -> Vec<VectorIndex> {
    let mut all = Vec::new();
    for precision in [
        IndexPrecision::Float32,
        IndexPrecision::Int8,
        IndexPrecision::Binary,
    ] {
        let signs_alone = precision == IndexPrecision::Binary;
        for (metric, prefilter) in [
            (IndexMetric::Cosine, false),
            (IndexMetric::Cosine, true),
            (IndexMetric::Dot, false),
        ] {
            if signs_alone && (prefilter || metric == IndexMetric::Dot) {
                continue;
            }
            let options = IndexOptions {
                dimensions: 5,
                precision,
                metric,
                prefilter,
                source: Some("a model".into()),
            };
            let mut index = VectorIndex::new(options).unwrap();
            let ids: Vec<Id> = (0..20)
                .map(|i| {
                    if i % 2 == 0 {
                        Id::Integer(i)
                    } else {
                        format!("{i}").as_str().into()
                    }
                })
                .collect();
            let tags: Vec<Vec<String>> = (0..20)
                .map(|i| vec![format!("t{}", i % 3); i % 2])
                .collect();
            let values: Vec<f32> = (0..100).map(|i| ((i * 37) % 19) as f32 - 9.25).collect();
            index
                .add(&ids, &values[..], Some(Tags::Each(&tags)))
                .unwrap();
            all.push(index);
        }
    }
    all
}

/// Calls every method of an index that could be read: it must work like any other.
fn use_index(index: &mut VectorIndex) {
    let d = index.dimensions();
    let query: Vec<f32> = (0..d).map(|i| i as f32 + 1.0).collect();
    let hits = index.search(&query, 7, SearchOptions::default()).unwrap();
    assert!(hits.iter().all(|hit| hit.score.is_finite()));
    assert_eq!(hits.len(), index.len().min(7));
    let bytes = index.to_bytes().unwrap();
    let back = VectorIndex::from_bytes(&Chunk::from(bytes.as_slice())).unwrap();
    assert_eq!(back.to_bytes().unwrap(), bytes);
    let ids: Vec<Id> = index.ids().step_by(2).cloned().collect();
    assert_eq!(index.remove(&ids).unwrap(), ids.len());
}

#[test]
fn the_bytes_of_an_index() {
    let files: Vec<Vec<u8>> = indexes()
        .iter()
        .map(|index| index.to_bytes().unwrap())
        .collect();
    let read = |bytes: &[u8]| VectorIndex::from_bytes(&Chunk::from(bytes));
    let good = std::cell::Cell::new(0);
    fuzz("index", 4, |random| {
        let valid = &files[random.below(files.len())];
        let forged = random.below(8) > 0;
        let bytes = match forged {
            false => mutate(valid, random),
            true => {
                let mut bytes = mutate(&valid[..valid.len() - 32], random);
                if random.below(2) == 0 && bytes.len() > 20 {
                    // Numbers of four bytes are changed, among them lengths and counts.
                    let at = 8 + random.below(bytes.len() - 12);
                    let number = [0, 1, 5, 255, 65_536, u32::MAX][random.below(6)];
                    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
                }
                let digest = blake3::hash(&bytes);
                bytes.extend(digest.as_bytes());
                bytes
            }
        };
        let size = bytes.len();
        match read(&bytes) {
            Ok(mut index) => {
                good.set(good.get() + usize::from(bytes != *valid));
                use_index(&mut index);
            }
            Err(error) => assert!(
                ["INVALID_INPUT", "INTEGRITY"].contains(&error.kind().code()),
                "{error}"
            ),
        }
        size
    });
    assert!(
        good.get() > 0,
        "no changed file could be read: the digest hides what is behind it"
    );
}

#[test]
fn the_rows_of_a_stored_index() {
    let indexes = indexes();
    let key = NamedKey::index("notes").unwrap();
    let sealed = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    fuzz("stored index", 5, |random| {
        let index = &indexes[random.below(indexes.len())];
        let store = MemoryStore::default();
        let saved = SavedIndex::new(&store, &key);
        block_on(saved.save(&index.snapshot(), &NoLocks)).unwrap();
        let get = |key: &str| block_on(store.get(key)).unwrap().unwrap().to_vec();
        let put = |key: &str, bytes: &[u8]| block_on(store.put(key, Chunk::from(bytes))).unwrap();
        let [chunk, manifest] = ["chunk", "manifest"].map(|kind| keys_of(&store, kind).remove(0));
        let (chunk, manifest) = (chunk.as_str(), manifest.as_str());
        let mut size = 2 * index.to_bytes().unwrap().len();
        if random.below(2) == 0 {
            // The chunk is replaced, and the manifest lists the new one.
            let bytes = mutate(&get(chunk), random);
            let digest = sealed(&bytes);
            let (base, former) = chunk.rsplit_once('/').unwrap();
            put(&format!("{base}/{digest}"), &bytes);
            let row = String::from_utf8(get(manifest)).unwrap();
            put(
                manifest,
                &seal(row.split_at(64).1.replace(former, &digest).as_bytes()),
            );
            size += bytes.len();
        } else {
            let row = seal(&mutate(&get(manifest)[64..], random));
            size += row.len();
            put(manifest, &row);
        }
        match block_on(saved.load()) {
            Ok(Some(mut index)) => use_index(&mut index),
            Ok(None) => panic!("the manifest is there"),
            Err(error) => {
                let _: Error = error;
            }
        }
        block_on(saved.save(&index.snapshot(), &NoLocks)).unwrap();
        let back = block_on(saved.load()).unwrap().unwrap();
        assert_eq!(back.to_bytes().unwrap(), index.to_bytes().unwrap());
        size
    });
}

#[test]
fn the_json_of_a_classifier() {
    let documents = classifiers();
    let [good, refused] = [(); 2].map(|()| std::cell::Cell::new(0));
    fuzz("classifier", 6, |random| {
        let mut document = documents[random.below(documents.len())].clone();
        for _ in 0..=random.below(3) {
            change(&mut document, &documents, &mut |end| random.below(end));
        }
        let text = match random.below(5) {
            0 => with_a_key_twice(&document, &mut |end| random.below(end)),
            1 => {
                let bytes = mutate(document.to_string().as_bytes(), random);
                String::from_utf8_lossy(&bytes).into_owned()
            }
            _ => document.to_string(),
        };
        // JavaScript parses the text, so that this is what the core gets.
        let Ok(document) = serde_json::from_str(&text) else {
            return text.len();
        };
        match Classifier::from_value(&document) {
            Ok(classifier) => {
                good.set(good.get() + 1);
                use_classifier(&classifier, text.len());
            }
            Err(error) => {
                refused.set(refused.get() + 1);
                assert!(names_a_part(&error), "{error}");
            }
        }
        text.len()
    });
    let [good, refused] = [good.get(), refused.get()];
    println!("{good} were read and used, {refused} were refused");
    assert!(good > 0 && refused > 0, "{good} {refused}");
}
