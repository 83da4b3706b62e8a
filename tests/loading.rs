//! Loading: the entries that it writes to the store and reads from it, and cancelling it.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "loading/bad_files.rs"]
mod bad_files;
#[path = "support/store_keys.rs"]
mod store_keys;
#[path = "support/tiny_bert.rs"]
mod tiny_bert;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use pilotlight::{
    ByteStream, CacheConfig, Chunk, Dtype, EmbedOptions, Error, ErrorKind, Host, MemoryHost,
    MemoryStore, ModelKey, NoYield, Opened, Result, Scheduler, Snapshot, Source, Store,
    TextEmbedder, Values,
};
use pollster::block_on;
use store_keys::keys_of;
use tiny_bert::files;

const NOW: u64 = 1_795_000_000_000;

fn key(dtype: Dtype) -> ModelKey {
    ModelKey::new("https://example.org/", "test/bert", "main", dtype)
}

fn load(host: &dyn Host, store: &dyn Store, dtype: Dtype) -> Result<TextEmbedder> {
    load_paced(host, store, dtype, &NoYield)
}

fn load_paced(
    host: &dyn Host,
    store: &dyn Store,
    dtype: Dtype,
    scheduler: &dyn Scheduler,
) -> Result<TextEmbedder> {
    let source = Source {
        cache: Some(CacheConfig::new(store, key(dtype), 7, NOW)),
        ..Source::new(host, scheduler)
    };
    block_on(TextEmbedder::load(&source, dtype, &pilotlight::cpu()))
}

fn vector(embedder: &TextEmbedder, text: &str) -> Vec<f32> {
    let embeddings =
        block_on(embedder.embed(&[text.into()], &EmbedOptions::default(), &NoYield)).unwrap();
    let Values::Float32(values) = embeddings.values else {
        panic!("float32 is the default")
    };
    values
}

fn manifests(store: &MemoryStore) -> usize {
    keys_of(store, "manifest").len()
}

fn no_host() -> MemoryHost {
    MemoryHost::default()
}

/// A host that cannot list, whose streams have no length and return few bytes at a time: a plain bucket behind a proxy.
struct Bucket(MemoryHost);

struct Trickle(Box<dyn ByteStream>);

#[async_trait(?Send)]
impl Host for Bucket {
    async fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::default())
    }

    async fn open(&self, _: Option<&str>, file: &str, _: Range<u64>) -> Result<Option<Opened>> {
        let opened = self.0.open(None, file, 0..u64::MAX).await?;
        Ok(opened.map(|opened| Opened {
            stream: Box::new(Trickle(opened.stream)),
            size: None,
            ..opened
        }))
    }
}

#[async_trait(?Send)]
impl ByteStream for Trickle {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let count = to.len().min(1013);
        self.0.read(&mut to[..count]).await
    }
}

#[test]
fn a_second_load_needs_no_host_and_gives_the_same_bits() {
    for dtype in [Dtype::F32, Dtype::Q8] {
        let store = MemoryStore::default();
        let cold = load(&MemoryHost::new(files()), &store, dtype).unwrap();
        let warm = load(&no_host(), &store, dtype).unwrap();
        assert_eq!(vector(&cold, "the cat"), vector(&warm, "the cat"));
        assert_eq!(manifests(&store), 1);
    }
}

#[test]
fn a_host_that_cannot_list_or_tell_lengths_serves_as_well() {
    let store = MemoryStore::default();
    let plain = load(
        &MemoryHost::new(files()),
        &MemoryStore::default(),
        Dtype::Q8,
    )
    .unwrap();
    let bucket = load(&Bucket(MemoryHost::new(files())), &store, Dtype::Q8).unwrap();
    assert_eq!(vector(&plain, "the cat"), vector(&bucket, "the cat"));
    assert_eq!(manifests(&store), 1);
}

/// The packed file that a host would serve, put together from the store's chunks.
fn packed_file(dtype: Dtype) -> (String, Vec<u8>) {
    let store = MemoryStore::default();
    load(&MemoryHost::new(files()), &store, dtype).unwrap();
    let name = format!("pilotlight-{}.safetensors", dtype.name());
    let mut keys = block_on(store.keys("")).unwrap();
    keys.retain(|key| key.contains(&name));
    keys.sort();
    let bytes = keys
        .iter()
        .flat_map(|key| block_on(store.get(key)).unwrap().unwrap().to_vec())
        .collect();
    (name, bytes)
}

#[test]
fn a_packed_file_is_preferred_where_the_host_lists_one() {
    for dtype in [Dtype::F32, Dtype::Q8] {
        let upstream = load(&MemoryHost::new(files()), &MemoryStore::default(), dtype).unwrap();
        let (name, bytes) = packed_file(dtype);
        let mut files = files();
        files.insert(name, bytes);
        // The load would fail if it read the checkpoint.
        files.insert("model.safetensors".into(), b"damaged".to_vec());
        let packed = load(&MemoryHost::new(files), &MemoryStore::default(), dtype).unwrap();
        assert_eq!(vector(&upstream, "the cat"), vector(&packed, "the cat"));
    }
}

#[test]
fn a_stored_model_that_is_damaged_is_fetched_again() {
    let store = MemoryStore::default();
    let cold = load(&MemoryHost::new(files()), &store, Dtype::Q8).unwrap();
    for damage in ["missing", "short", "not finite"] {
        let keys = block_on(store.keys("")).unwrap();
        let chunk = keys.iter().find(|key| key.contains("safetensors")).unwrap();
        let mut bytes = block_on(store.get(chunk)).unwrap().unwrap().to_vec();
        match damage {
            "missing" => block_on(store.delete(chunk)).unwrap(),
            "short" => block_on(store.put(chunk, Chunk::from(&bytes[..bytes.len() - 1]))).unwrap(),
            _ => {
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                block_on(store.put(chunk, Chunk::from(bytes.as_slice()))).unwrap();
            }
        }
        assert!(load(&no_host(), &store, Dtype::Q8).is_err(), "{damage}");
        let again = load(&MemoryHost::new(files()), &store, Dtype::Q8).unwrap();
        assert_eq!(
            vector(&cold, "the cat"),
            vector(&again, "the cat"),
            "{damage}"
        );
        assert!(load(&no_host(), &store, Dtype::Q8).is_ok(), "{damage}");
    }
}

#[test]
fn one_bit_that_changes_in_the_store_is_found_wherever_it_is() {
    let store = MemoryStore::default();
    let cold = load(&MemoryHost::new(files()), &store, Dtype::Q8).unwrap();
    let names: Vec<String> = files().into_keys().collect();
    for name in ["config.json", "tokenizer.json", "pilotlight-q8.safetensors"] {
        for part in [0, 1, 2] {
            let keys = block_on(store.keys("")).unwrap();
            let key = keys.iter().find(|key| key.contains(&format!("{name}/")));
            let key = key.unwrap_or_else(|| panic!("{name} is not stored; {names:?} are there"));
            // The tokenizer is read from its packed form as long as there is one.
            block_on(store.delete(&tokenizer_row(&store))).unwrap();
            let mut bytes = block_on(store.get(key)).unwrap().unwrap().to_vec();
            let at = (bytes.len() - 1) * part / 2;
            bytes[at] ^= 4;
            block_on(store.put(key, Chunk::from(bytes.as_slice()))).unwrap();
            // The damaged model goes, and without a host there is no other.
            assert!(load(&no_host(), &store, Dtype::Q8).is_err(), "{name}, {at}");
            let again = load(&MemoryHost::new(files()), &store, Dtype::Q8).unwrap();
            assert_eq!(vector(&cold, "the cat"), vector(&again, "the cat"));
        }
    }
}

/// The key of the packed tokenizer.
fn tokenizer_row(store: &dyn Store) -> String {
    let mut keys = keys_of(store, "tokenizer");
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.remove(0)
}

/// Puts the digest before the content of a row, as the store requires.
fn sealed(content: &[u8]) -> Vec<u8> {
    [blake3::hash(content).to_hex().as_str().as_bytes(), content].concat()
}

#[test]
fn a_packed_tokenizer_that_is_missing_broken_or_of_another_file_is_made_again() {
    let store = MemoryStore::default();
    let cold = load(&MemoryHost::new(files()), &store, Dtype::Q8).unwrap();
    let texts = ["the cat", "The \u{e9}t\u{e9} [SEP] cat", ""];
    let expected = texts.map(|text| vector(&cold, text));
    let key = tokenizer_row(&store);
    let get = || block_on(store.get(&key)).unwrap().map(|row| row.to_vec());
    let whole = get().unwrap();
    let content = String::from_utf8_lossy(&whole[64..]).into_owned();
    let rows = content.replacen("\"version\":1", "\"version\":2", 1);
    let digest = content.split('"').nth(3).unwrap();
    let source = content.replacen(digest, &"0".repeat(64), 1);
    assert!(rows != content && source != content, "{content}");
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for (damage, row) in [
        ("missing", None),
        ("altered", Some(altered)),
        ("cut", Some(whole[..whole.len() - 1].to_vec())),
        ("empty", Some(Vec::new())),
        ("of another version", Some(sealed(rows.as_bytes()))),
        ("of another file", Some(sealed(source.as_bytes()))),
        ("without words", Some(sealed(&whole[64..whole.len() - 4]))),
    ] {
        match row {
            Some(row) => block_on(store.put(&key, Chunk::from(row.as_slice()))).unwrap(),
            None => block_on(store.delete(&key)).unwrap(),
        }
        // It is made of the stored tokenizer.json, and the next load reads it.
        for _ in 0..2 {
            let warm = load(&no_host(), &store, Dtype::Q8).unwrap();
            assert_eq!(texts.map(|text| vector(&warm, text)), expected, "{damage}");
            assert_eq!(get().as_ref(), Some(&whole), "{damage}");
        }
    }
}

#[test]
fn with_a_packed_tokenizer_its_file_is_not_read() {
    let store = MemoryStore::default();
    let cold = load(&MemoryHost::new(files()), &store, Dtype::Q8).unwrap();
    let keys = block_on(store.keys("")).unwrap();
    let file = keys.iter().find(|key| key.contains("tokenizer.json"));
    block_on(store.delete(file.unwrap())).unwrap();
    let warm = load(&no_host(), &store, Dtype::Q8).unwrap();
    // The second text has an added token, for which the whole tokenizer is made of the packed form.
    for text in ["the cat", "the [SEP] \u{4e2d} cat"] {
        assert_eq!(vector(&cold, text), vector(&warm, text));
    }
}

#[test]
fn a_model_is_complete_without_its_packed_tokenizer() {
    let store = Limited(MemoryStore::default(), |key: &str, _| {
        !key.ends_with("/tokenizer")
    });
    let cold = load(&MemoryHost::new(files()), &store, Dtype::Q8).unwrap();
    for _ in 0..2 {
        let warm = load(&no_host(), &store, Dtype::Q8).unwrap();
        assert_eq!(vector(&cold, "the cat"), vector(&warm, "the cat"));
    }
    assert!(keys_of(&store, "tokenizer").is_empty());
    assert!(keys_of(&store, "partial").is_empty());
    assert_eq!(keys_of(&store, "manifest").len(), 1);
}

/// A scheduler that cancels at the n-th yield.
struct CancelAt(std::cell::Cell<usize>);

#[async_trait(?Send)]
impl Scheduler for CancelAt {
    async fn yield_now(&self) -> Result<()> {
        self.0.set(self.0.get().saturating_sub(1));
        if self.0.get() > 0 {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Aborted, "cancelled"))
        }
    }

    async fn sleep(&self, _: Duration) -> Result<()> {
        self.yield_now().await
    }
}

#[test]
fn a_load_cancelled_anywhere_leaves_nothing_that_could_be_read_and_the_next_one_works() {
    let store = MemoryStore::default();
    let mut breaths = 1;
    loop {
        match load_paced(
            &MemoryHost::new(files()),
            &store,
            Dtype::Q8,
            &CancelAt(breaths.into()),
        ) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Aborted),
        }
        assert_eq!(manifests(&store), 0, "after {breaths} breaths");
        assert!(load(&no_host(), &store, Dtype::Q8).is_err());
        breaths += 1;
    }
    assert!(breaths > 10, "only {breaths} breaths in a whole load");
    assert_eq!(manifests(&store), 1);
}

/// A store that takes only the rows, by their keys and sizes, for which the function is true, as if it were full.
struct Limited<F>(MemoryStore, F);

#[async_trait(?Send)]
impl<F: Fn(&str, usize) -> bool> Store for Limited<F> {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        self.0.get(key).await
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        if (self.1)(key, bytes.len()) {
            return self.0.put(key, bytes).await;
        }
        Err(Error::new(ErrorKind::QuotaExceeded, "full"))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.0.delete(key).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.0.keys(prefix).await
    }
}

#[test]
fn a_full_store_is_an_error_that_leaves_nothing_half_written() {
    for room in [0_usize, 100, 4_000, 20_000, 40_000] {
        let rest = std::cell::Cell::new(room);
        let store = Limited(MemoryStore::default(), |_: &str, size: usize| {
            let left = rest.get().checked_sub(size);
            rest.set(left.unwrap_or(rest.get()));
            left.is_some()
        });
        let error = load(&MemoryHost::new(files()), &store, Dtype::Q8)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{room}");
        assert_eq!(block_on(store.keys("")).unwrap(), [""; 0], "{room}");
    }
}

#[test]
fn progress_only_grows_and_ends_at_its_total() {
    let (host, store) = (MemoryHost::new(files()), MemoryStore::default());
    for cached in [false, true] {
        let events = std::cell::RefCell::new(Vec::new());
        let note = |progress: &pilotlight::LoadProgress| {
            events.borrow_mut().push((
                progress.status,
                progress.loaded,
                progress.total,
                progress.cached,
            ));
        };
        let source = Source {
            cache: Some(CacheConfig::new(&store, key(Dtype::Q8), 1, NOW)),
            progress: &note,
            ..Source::new(&host, &NoYield)
        };
        block_on(TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu())).unwrap();
        let events = events.into_inner();
        assert!(
            events.windows(2).all(|pair| pair[0].1 <= pair[1].1),
            "{events:?}"
        );
        assert!(
            events
                .iter()
                .all(|event| event.1 <= event.2 && event.3 == cached),
            "{events:?}"
        );
        let (status, loaded, total, _) = events[events.len() - 1];
        assert_eq!((status, loaded), (pilotlight::LoadStatus::Ready, total));
        assert!(total > 10_000);
    }
}

#[test]
fn options_are_checked_and_precisions_agree() {
    let embedder = load(
        &MemoryHost::new(files()),
        &MemoryStore::default(),
        Dtype::F32,
    )
    .unwrap();
    let embed =
        |options: EmbedOptions| block_on(embedder.embed(&["the cat".into()], &options, &NoYield));
    for dimensions in [0, 33, usize::MAX] {
        let error = embed(EmbedOptions {
            dimensions: Some(dimensions),
            ..EmbedOptions::default()
        })
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("1 to 32"), "{error}");
    }
    let full = vector(&embedder, "the cat");
    let short = embed(EmbedOptions {
        dimensions: Some(9),
        ..EmbedOptions::default()
    })
    .unwrap();
    let Values::Float32(short_values) = short.values else {
        panic!("float32 is the default")
    };
    assert_eq!(short.dims, [1, 9]);
    let length = full[..9].iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(
        short_values
            .iter()
            .zip(&full)
            .all(|(a, b)| (a - b / length).abs() < 1e-6)
    );
    let values = |name| {
        let options = EmbedOptions {
            dimensions: Some(9),
            precision: pilotlight::Precision::from_name(name).unwrap(),
            ..EmbedOptions::default()
        };
        embed(options).unwrap()
    };
    let (Values::Int8(int8), Values::Uint8(uint8)) =
        (values("int8").values, values("uint8").values)
    else {
        panic!("int8 and uint8 were asked for")
    };
    let largest = short_values
        .iter()
        .fold(0.0f32, |most, x| most.max(x.abs()));
    for ((int8, uint8), x) in int8.iter().zip(uint8).zip(&short_values) {
        assert!((f32::from(*int8) - x / largest * 127.0).abs() <= 0.5 + 1e-3);
        assert_eq!(i16::from(uint8), i16::from(*int8) + 128);
    }
    let (binary, ubinary) = (values("binary"), values("ubinary"));
    assert_eq!(ubinary.dims, [1, 2]);
    let (Values::Int8(binary), Values::Uint8(ubinary)) = (binary.values, ubinary.values) else {
        panic!("binary and ubinary were asked for")
    };
    for (i, x) in short_values.iter().enumerate() {
        assert_eq!(ubinary[i / 8] >> (7 - i % 8) & 1 == 1, *x > 0.0);
        assert_eq!(i16::from(binary[i / 8]), i16::from(ubinary[i / 8]) - 128);
    }
}

#[test]
fn odd_texts_embed_to_finite_vectors() {
    let embedder = load(
        &MemoryHost::new(files()),
        &MemoryStore::default(),
        Dtype::Q8,
    )
    .unwrap();
    for text in [
        "",
        "\0",
        "\u{fffd}",
        "\u{1f600}",
        &"x".repeat(1 << 20),
        &"a b ".repeat(1 << 18),
    ] {
        assert!(
            vector(&embedder, text).iter().all(|x| x.is_finite()),
            "{:?}",
            text.chars().take(4)
        );
    }
    let none = block_on(embedder.embed(&[], &EmbedOptions::default(), &NoYield)).unwrap();
    assert_eq!((none.dims, none.values), ([0, 32], Values::Float32(vec![])));
}
