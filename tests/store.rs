//! The models of a store: listing, deleting, refreshing, sweeping and evicting them, and the requests that are made for them.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "store/commits.rs"]
mod commits;
mod support;

use std::cell::Cell;

use async_trait::async_trait;
use pilotlight::{
    CacheConfig, Chunk, Digest, Dtype, Error, ErrorKind, Host, Library, LockGuard, Locks,
    MemoryHost, MemoryStore, ModelKey, NoLocks, NoYield, Result, Source, Store, TextEmbedder,
    Verified, WriterProgress,
};
use pollster::block_on;
use serde_json::json;
use sha2::Digest as _;
use support::store_keys::{keys_of, kind_of, packed_tokenizers};
use support::{Files, Flaky, Hurried, WEIGHTS, key, load, model, model_among, packed, vector};

const NOW: u64 = 1_795_000_000_000;
const DAY: u64 = 24 * 3600 * 1000;

fn keys(store: &dyn Store) -> Vec<String> {
    let mut keys = block_on(store.keys("")).unwrap();
    keys.sort();
    keys
}

fn load_as(host: &dyn Host, store: &dyn Store, key: ModelKey, now: u64) -> Result<TextEmbedder> {
    load_kept(host, CacheConfig::new(store, key, now, now))
}

fn load_kept(host: &dyn Host, cache: CacheConfig<'_>) -> Result<TextEmbedder> {
    let source = Source {
        cache: Some(cache),
        ..Source::new(host, &Hurried)
    };
    block_on(TextEmbedder::load(&source, Dtype::Q8, &pilotlight::cpu()))
}

fn named(name: &str) -> ModelKey {
    ModelKey::new("https://example.org", name, "main", Dtype::Q8)
}

#[test]
fn models_are_listed_with_what_they_take_and_deleted_without_a_trace() {
    let (files, store) = (model(), MemoryStore::default());
    let host = MemoryHost::new(files.clone());
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    load_as(&sound, &store, named("a/first"), NOW).unwrap();
    let before = keys(&store);
    load_as(&sound, &store, named("a/first#2%"), NOW + 1).unwrap();
    let cut = Flaky::new(&host, &files, (WEIGHTS, 1_000_000));
    load_kept(
        &cut,
        CacheConfig {
            chunk: 100_000,
            ..CacheConfig::new(&store, named("a/half"), 3, NOW + 2)
        },
    )
    .map(|_| ())
    .unwrap_err();

    let library = Library::new(&store);
    let models = block_on(library.list()).unwrap();
    let all: Vec<_> = models
        .iter()
        .map(|info| (info.model.as_str(), info.used, info.verified.as_deref()))
        .collect();
    assert_eq!(
        all,
        [
            ("a/first", Some(NOW), Some("sha256")),
            ("a/first#2%", Some(NOW + 1), Some("sha256")),
            ("a/half", Some(NOW + 2), None),
        ]
    );
    assert_eq!(
        (models[0].commit.as_str(), models[0].dtype.as_str()),
        ("c0ffee", "q8")
    );
    let chunks = before
        .iter()
        .filter(|key| ["chunk", "tokenizer"].contains(&kind_of(key)));
    let bytes: usize = chunks
        .map(|key| block_on(store.get(key)).unwrap().unwrap().len())
        .sum();
    assert_eq!(models[0].bytes, bytes as u64);

    for info in &models[1..] {
        assert!(block_on(library.delete(&info.key)).unwrap());
        assert!(!block_on(library.delete(&info.key)).unwrap());
    }
    assert_eq!(keys(&store), before);
    for key in [&before[0], "", "#manifest/", "pilotlight/3/x#manifest/q8/y"] {
        assert!(!block_on(library.delete(key)).unwrap() || key.contains("#manifest/q8"));
    }
}

#[test]
fn a_plan_says_what_a_load_then_takes() {
    let (files, store) = (model(), MemoryStore::default());
    let host = MemoryHost::new(files.clone());
    let plan = |host: &dyn Host| {
        let source = Source {
            cache: Some(CacheConfig::new(&store, key(Dtype::Q8), 1, NOW)),
            ..Source::new(host, &NoYield)
        };
        block_on(TextEmbedder::plan(&source, Dtype::Q8)).unwrap()
    };
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    let fresh = plan(&sound);
    let all: usize = files.values().map(Vec::len).sum();
    assert_eq!(
        (fresh.fetch, fresh.cached, fresh.whole),
        (all as u64, 0, false)
    );
    assert_eq!(fresh.commit.as_deref(), Some("c0ffee"));
    assert!(keys(&store).is_empty(), "a plan stores nothing");

    let cut = Flaky::new(&host, &files, (WEIGHTS, 2_000_000));
    assert!(load(&cut, &store, Dtype::Q8, 100_000, 1).is_err());
    let partial = plan(&sound);
    assert_eq!(partial.fetch + partial.cached, fresh.fetch);
    assert!(partial.cached > 1_900_000, "{partial:?}");

    load(&sound, &store, Dtype::Q8, 100_000, 2).unwrap();
    let asked = sound.asked.borrow().len();
    let stored = plan(&sound);
    assert_eq!((stored.fetch, stored.whole), (0, true));
    assert_eq!(stored.stored, fresh.stored);
    assert_eq!(
        sound.asked.borrow().len(),
        asked,
        "a stored model's plan asks nobody"
    );
    let listed = block_on(Library::new(&store).list()).unwrap();
    // A plan does not count the packed tokenizer, whose size is known only after the tokenizer was read.
    let packed = packed_tokenizers(&store);
    assert!(packed > 0);
    assert_eq!(listed[0].bytes, fresh.stored + packed);
}

/// Locks that another load holds.
struct Taken;

#[async_trait(?Send)]
impl Locks for Taken {
    async fn take(&self, _: &str) -> Result<Box<dyn LockGuard>> {
        Ok(Box::new(NoLocks))
    }

    async fn try_take(&self, _: &str) -> Result<Option<Box<dyn LockGuard>>> {
        Ok(None)
    }
}

#[test]
fn sweeping_takes_what_nobody_comes_back_for_and_nothing_else() {
    let (files, store) = (model(), MemoryStore::default());
    let host = MemoryHost::new(files.clone());
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    load_as(&sound, &store, named("a/whole"), NOW).unwrap();
    let cut = Flaky::new(&host, &files, (WEIGHTS, 1_000_000));
    let cache = CacheConfig {
        chunk: 100_000,
        ..CacheConfig::new(&store, named("a/half"), 3, NOW)
    };
    load_kept(&cut, cache).map(|_| ()).unwrap_err();
    let live = keys(&store);
    let rubbish = [
        "pilotlight/2/https://example.org/a/whole@main/q8#manifest".to_string(),
        live[0].replace("pilotlight/3", "pilotlight/1"),
        "pilotlight/3/https://example.org/a/whole#chunk/dead/config.json/0".into(),
        "pilotlight/3/https://example.org/a/gone#chunk/dead/config.json/0".into(),
        "pilotlight/3/https://example.org/a/whole#chunk/dead/tokenizer".into(),
        "pilotlight/3/https://example.org/a/gone#manifest/q8.1/altered".into(),
    ];
    for key in &rubbish {
        block_on(store.put(key, Chunk::from(&b"rubbish"[..]))).unwrap();
    }
    block_on(store.put("another program's", Chunk::from(&b"row"[..]))).unwrap();
    let library = Library::new(&store);
    block_on(library.sweep(&Taken, NOW)).unwrap();
    // All locks are taken, so entries of this version stay: their models may be being written. Those of older versions are deleted.
    assert_eq!(keys(&store).len(), live.len() + 1 + 4);
    block_on(library.sweep(&NoLocks, NOW + DAY)).unwrap();
    let mut expected = live.clone();
    expected.insert(0, "another program's".into());
    assert_eq!(keys(&store), expected);

    // A month later no load has resumed the partial download. A clock that jumps has the same effect, which only costs bytes.
    for now in [NOW + 31 * DAY, 0] {
        let copy = MemoryStore::default();
        for key in &live {
            block_on(copy.put(key, block_on(store.get(key)).unwrap().unwrap())).unwrap();
        }
        block_on(Library::new(&copy).sweep(&NoLocks, now)).unwrap();
        let left = keys(&copy);
        assert!(!left.iter().any(|key| key.contains("a/half")), "{left:?}");
        assert!(load_as(&MemoryHost::default(), &copy, named("a/whole"), NOW).is_ok());
    }
}

/// A store with a quota of bytes, which it counts as a browser does.
struct Small(MemoryStore, Cell<usize>);

#[async_trait(?Send)]
impl Store for Small {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        self.0.get(key).await
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        let before = self.0.get(key).await?.map_or(0, |before| before.len());
        let Some(rest) = (self.1.get() + before).checked_sub(bytes.len()) else {
            return Err(Error::new(ErrorKind::QuotaExceeded, "full"));
        };
        self.1.set(rest);
        self.0.put(key, bytes).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let before = self.0.get(key).await?.map_or(0, |before| before.len());
        self.1.set(self.1.get() + before);
        self.0.delete(key).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.0.keys(prefix).await
    }

    async fn available(&self) -> Option<u64> {
        Some(self.1.get() as u64)
    }
}

#[test]
fn a_full_store_says_what_it_lacks_and_makes_room_only_where_that_is_allowed() {
    let files = model();
    let host = MemoryHost::new(files.clone());
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    let one = MemoryStore::default();
    load_as(&sound, &one, named("a/new"), NOW).unwrap();
    let size: usize = keys(&one)
        .iter()
        .map(|key| block_on(one.get(key)).unwrap().unwrap().len())
        .sum();
    let store = Small(MemoryStore::default(), Cell::new(size * 7 / 2));
    for (now, name) in [(NOW, "a/new"), (NOW - 10, "a/oldest"), (NOW - 5, "a/old")] {
        load_as(&sound, &store, named(name), now).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let before = keys(&store);
    let error = load_as(&sound, &store, named("a/more"), NOW)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    let room = error.quota().unwrap();
    assert!(
        room.needed > 700_000 && room.available.unwrap() < room.needed,
        "{room:?}"
    );
    assert!(error.to_string().contains("a/more"), "{error}");
    assert_eq!(
        keys(&store),
        before,
        "other models are as they were, and of this one nothing is left"
    );

    let evict = |locks| CacheConfig {
        evict: true,
        locks,
        ..CacheConfig::new(&store, named("a/more"), 9, NOW)
    };
    let error = load_kept(&sound, evict(&Taken)).map(|_| ()).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::QuotaExceeded,
        "models that others write are left alone"
    );
    load_kept(&sound, evict(&NoLocks)).unwrap();
    let models = block_on(Library::new(&store).list()).unwrap();
    let mut names: Vec<_> = models.iter().map(|info| info.model.as_str()).collect();
    names.sort();
    assert_eq!(names, ["a/more", "a/new", "a/old"]);
}

/// Two towers in one file, of which the text tower is wanted.
fn two_towers() -> Files {
    let vision = 3_000_000 / 4;
    model_among(
        18,
        &[
            ("vision_model.first", vision),
            ("vision_model.last", vision),
            ("vision_model.zeroth", vision / 3),
            ("logit_scale", 1),
        ],
    )
}

fn needed(files: &Files) -> u64 {
    let vision = 3_000_000 * 2 + 3_000_000 / 3 + 4;
    files[WEIGHTS].len() as u64 - vision
}

#[test]
fn of_two_towers_only_the_one_that_is_wanted_is_fetched() {
    let files = two_towers();
    let host = MemoryHost::new(files.clone());
    let flaky = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    let (_, verified) = load(&flaky, &MemoryStore::default(), Dtype::Q8, 1 << 20, 1).unwrap();
    let (sent, needed) = (flaky.sent.get(), needed(&files));
    assert!(
        sent >= needed && sent <= needed + needed / 50,
        "{sent} bytes for {needed}"
    );
    // The digest of a whole file cannot verify a part of it.
    assert_eq!(verified, Some(Verified::Length));
}

/// The digests of all tensors, as a lock file has them.
fn tensor_digests(file: &[u8]) -> serde_json::Map<String, serde_json::Value> {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let digest = |(name, entry): (&String, &serde_json::Value)| {
        let at = |i: usize| 8 + length + entry["data_offsets"][i].as_u64().unwrap() as usize;
        let hash = sha2::Sha256::digest(&file[at(0)..at(1)]);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        (name.clone(), hex.into())
    };
    header
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(digest)
        .collect()
}

#[test]
fn a_part_is_checked_by_the_digests_of_the_lock_file_also_after_a_break() {
    let mut files = two_towers();
    let lock = json!({ "version": 1, "commit": "c0ffee", "files": { WEIGHTS: {
        "size": files[WEIGHTS].len(), "sha256": "0".repeat(64), "tensors": tensor_digests(&files[WEIGHTS]),
    } } });
    files.insert(
        "pilotlight-lock.json".into(),
        serde_json::to_vec(&lock).unwrap(),
    );
    let host = MemoryHost::new(files.clone());
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    let whole = MemoryStore::default();
    let (_, verified) = load(&sound, &whole, Dtype::Q8, 200_000, 1).unwrap();
    assert_eq!(verified, Some(Verified::Lock));
    let size = files[WEIGHTS].len() as u64;
    for cut in (500_000..size).step_by(700_000) {
        let store = MemoryStore::default();
        let flaky = Flaky::new(&host, &files, (WEIGHTS, cut));
        let loaded = load(&flaky, &store, Dtype::Q8, 200_000, 1).is_ok();
        let next = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
        let (_, verified) = load(&next, &store, Dtype::Q8, 200_000, 2).unwrap();
        assert!(
            loaded || verified == Some(Verified::Lock),
            "{cut}: {verified:?} {:?}",
            next.asked
        );
        assert!(
            packed(&store, Dtype::Q8) == packed(&whole, Dtype::Q8),
            "{cut}"
        );
    }

    // One bit of the needed part is altered, before a break and after it.
    for at in [size - 3_000_100, size / 2, 3_000_000 + 1_000_000 + 400_000] {
        let mut wrong = files.clone();
        wrong.get_mut(WEIGHTS).unwrap()[at as usize] ^= 1;
        let host = MemoryHost::new(wrong);
        let store = MemoryStore::default();
        let flaky = Flaky::new(&host, &files, (WEIGHTS, size / 2 + 300_000));
        let first = load(&flaky, &store, Dtype::Q8, 200_000, 1)
            .map(|_| ())
            .unwrap_err();
        if first.kind() != ErrorKind::Integrity {
            let next = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
            let second = load(&next, &store, Dtype::Q8, 200_000, 2)
                .map(|_| ())
                .unwrap_err();
            assert_eq!(second.kind(), ErrorKind::Integrity, "{at}: {second}");
        }
        assert!(keys(&store).is_empty(), "{at}: {:?}", keys(&store));
    }
}

#[test]
fn a_flipped_bit_of_a_whole_file_is_found_also_after_a_break() {
    let files = model();
    let size = files[WEIGHTS].len() as u64;
    for at in [9, 100_000, size / 2, size - 1] {
        let mut wrong = files.clone();
        wrong.get_mut(WEIGHTS).unwrap()[at as usize] ^= 1;
        let host = MemoryHost::new(wrong);
        let store = MemoryStore::default();
        // The digests are those of the right files.
        let flaky = Flaky::new(&host, &files, (WEIGHTS, size / 2 + 99));
        assert!(load(&flaky, &store, Dtype::Q8, 200_000, 1).is_err());
        let next = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
        let error = load(&next, &store, Dtype::Q8, 200_000, 2)
            .map(|_| ())
            .unwrap_err();
        let kinds = [ErrorKind::Integrity, ErrorKind::InvalidWeights];
        assert!(kinds.contains(&error.kind()), "{at}: {error}");
        assert!(keys(&store).is_empty(), "{at}: {:?}", keys(&store));
    }
}

#[test]
fn a_row_that_was_altered_is_no_row() {
    let files = model();
    let host = MemoryHost::new(files.clone());
    let size = files[WEIGHTS].len() as u64;
    for kind in ["partial", "head", "chunk"] {
        let store = MemoryStore::default();
        let flaky = Flaky::new(&host, &files, (WEIGHTS, size / 2));
        assert!(load(&flaky, &store, Dtype::Q8, 200_000, 1).is_err());
        let altered = keys_of(&store, kind);
        assert!(!altered.is_empty(), "{kind}");
        for key in &altered {
            let mut bytes = block_on(store.get(key)).unwrap().unwrap().to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            block_on(store.put(key, Chunk::from(bytes.as_slice()))).unwrap();
        }
        let next = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
        let (embedder, _) = load(&next, &store, Dtype::Q8, 200_000, 2).unwrap();
        let (expected, _) = load(&next, &MemoryStore::default(), Dtype::Q8, 200_000, 1).unwrap();
        assert_eq!(vector(&embedder), vector(&expected), "{kind}");
    }
}

#[test]
fn others_hear_of_the_download() {
    struct Heard(std::rc::Rc<std::cell::RefCell<Vec<WriterProgress>>>);
    impl LockGuard for Heard {
        fn announce(&self, announcement: &WriterProgress) {
            self.0.borrow_mut().push(announcement.clone());
        }
    }
    #[async_trait(?Send)]
    impl Locks for Heard {
        async fn take(&self, _: &str) -> Result<Box<dyn LockGuard>> {
            Ok(Box::new(Self(self.0.clone())))
        }
        async fn try_take(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>> {
            self.take(name).await.map(Some)
        }
    }
    let (files, store) = (model(), MemoryStore::default());
    let heard = Heard(std::rc::Rc::default());
    let cache = CacheConfig {
        locks: &heard,
        ..CacheConfig::new(&store, key(Dtype::Q8), 1, NOW)
    };
    load_kept(&MemoryHost::new(files), cache).unwrap();
    let heard = heard.0.borrow();
    assert!(heard.len() > 5);
    assert!(
        heard
            .windows(2)
            .all(|pair| pair[0].loaded <= pair[1].loaded)
    );
    let last = &heard[heard.len() - 1];
    assert_eq!(
        (last.loaded, last.file.as_deref()),
        (last.total, Some(WEIGHTS))
    );
}

#[test]
fn digests_have_words() {
    let digest = Digest::sha256(&"ab".repeat(32)).unwrap();
    assert_eq!(digest.to_string(), format!("sha256 {}", "ab".repeat(32)));
}
