//! An index in a store: saves that are interrupted at any step, altered bytes, and models in the same store.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::cell::Cell;

use async_trait::async_trait;
use pilotlight::{
    Chunk, Dtype, Error, ErrorKind, Id, IndexOptions, Library, MemoryHost, MemoryStore, NamedKey,
    NoLocks, Result, SavedIndex, SearchOptions, Store, VectorIndex,
};
use pollster::block_on;
use support::store_keys::{keys_of, kind_of};
use support::{Flaky, WEIGHTS, load, model, vector};

const D: usize = 1024;

/// Rows that fill more than two chunks of 2 MiB.
const ROWS: i64 = 5_000;

fn values(first: i64, count: i64) -> Vec<f32> {
    let value = |i: i64| ((i.wrapping_mul(2_654_435_761) >> 7) & 0xffff) as f32 - 32_000.0;
    (first * D as i64..(first + count) * D as i64)
        .map(value)
        .collect()
}

fn add(index: &mut VectorIndex, first: i64, count: i64) {
    let ids: Vec<Id> = (first..first + count).map(Id::Integer).collect();
    index.add(&ids, &values(first, count)[..], None).unwrap();
}

fn index(rows: i64) -> VectorIndex {
    let mut index = VectorIndex::new(IndexOptions {
        dimensions: D,
        ..IndexOptions::default()
    })
    .unwrap();
    add(&mut index, 0, rows);
    index
}

fn save(store: &dyn Store, name: &str, index: &VectorIndex) -> Result<()> {
    let key = NamedKey::index(name)?;
    block_on(SavedIndex::new(store, &key).save(&index.snapshot(), &NoLocks))
}

fn read(store: &dyn Store, name: &str) -> Result<Option<VectorIndex>> {
    let key = NamedKey::index(name)?;
    block_on(SavedIndex::new(store, &key).load())
}

fn bytes(index: &VectorIndex) -> Vec<u8> {
    index.to_bytes().unwrap()
}

fn rows(store: &MemoryStore) -> Vec<(String, Vec<u8>)> {
    let keys = block_on(store.keys("")).unwrap();
    let row = |key: String| {
        let bytes = block_on(store.get(&key)).unwrap().unwrap().to_vec();
        (key, bytes)
    };
    keys.into_iter().map(row).collect()
}

fn copy(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::default();
    for (key, row) in rows(store) {
        block_on(copy.put(&key, Chunk::from(row.as_slice()))).unwrap();
    }
    copy
}

/// A store that makes a number of changes, and fails at all later ones.
struct Cut {
    store: MemoryStore,
    left: Cell<usize>,
}

impl Cut {
    fn take(&self) -> Result<()> {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        if left > 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::QuotaExceeded, "no room"))
    }
}

#[async_trait(?Send)]
impl Store for Cut {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        self.store.get(key).await
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        self.take()?;
        self.store.put(key, bytes).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.take()?;
        self.store.delete(key).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.store.keys(prefix).await
    }
}

#[test]
fn a_save_that_is_cut_off_anywhere_leaves_the_former_version_readable() {
    let store = MemoryStore::default();
    let mut index = index(ROWS);
    save(&store, "notes", &index).unwrap();
    let former = bytes(&index);
    // These ids lie in all chunks.
    let ids: Vec<Id> = (0..ROWS).step_by(700).map(Id::Integer).collect();
    index.remove(&ids).unwrap();
    add(&mut index, ROWS, 100);
    let later = bytes(&index);
    for changes in 0.. {
        let cut = Cut {
            store: copy(&store),
            left: Cell::new(changes),
        };
        let saved = save(&cut, "notes", &index);
        let found = bytes(&read(&cut.store, "notes").unwrap().unwrap());
        if let Err(error) = saved {
            assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
            assert!(error.quota().unwrap().needed > 0);
            assert!(found == former, "cut after {changes} changes");
        } else {
            assert!(found == later, "cut after {changes} changes");
        }
        // The next save reuses the chunks that are stored, and leaves no other ones.
        save(&cut.store, "notes", &index).unwrap();
        assert!(bytes(&read(&cut.store, "notes").unwrap().unwrap()) == later);
        assert_eq!(rows(&cut.store).len(), 4);
        if cut.left.get() > 0 {
            assert!(changes > 6, "the store was never cut");
            break;
        }
    }
}

#[test]
fn whatever_is_altered_or_missing_is_known_and_mended_by_the_next_save() {
    let store = MemoryStore::default();
    let index = index(ROWS);
    save(&store, "notes", &index).unwrap();
    for (key, row) in rows(&store) {
        for at in [0, row.len() / 2, row.len() - 1] {
            let altered = copy(&store);
            let mut changed = row.clone();
            changed[at] ^= 1;
            block_on(altered.put(&key, Chunk::from(changed.as_slice()))).unwrap();
            let error = read(&altered, "notes").map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{key}, byte {at}");
            save(&altered, "notes", &index).unwrap();
            assert!(bytes(&read(&altered, "notes").unwrap().unwrap()) == bytes(&index));
        }
        let less = copy(&store);
        block_on(less.delete(&key)).unwrap();
        if kind_of(&key) == "manifest" {
            assert!(read(&less, "notes").unwrap().is_none());
        } else {
            let error = read(&less, "notes").map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
        }
    }
}

/// A store in which another tab saves after a load has read the manifest and before it reads a chunk.
struct Raced {
    store: MemoryStore,
    later: MemoryStore,
    gets: Cell<usize>,
}

#[async_trait(?Send)]
impl Store for Raced {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        self.gets.set(self.gets.get() + 1);
        if self.gets.get() < 3 {
            return self.store.get(key).await;
        }
        self.later.get(key).await
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        self.store.put(key, bytes).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.store.delete(key).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.store.keys(prefix).await
    }
}

#[test]
fn a_load_during_a_save_by_another_tab_gets_one_of_both_versions() {
    let store = MemoryStore::default();
    let mut index = index(ROWS);
    save(&store, "notes", &index).unwrap();
    let later = copy(&store);
    index.remove(&[Id::Integer(0), Id::Integer(3_000)]).unwrap();
    save(&later, "notes", &index).unwrap();
    let raced = Raced {
        store,
        later,
        gets: Cell::new(0),
    };
    let loaded = read(&raced, "notes").unwrap().unwrap();
    assert!(bytes(&loaded) == bytes(&index));
}

/// A store in which another process saves between two calls.
struct Overtaken<'a> {
    store: MemoryStore,
    other: &'a VectorIndex,
    looks: Cell<usize>,
}

impl Overtaken<'_> {
    fn look(&self) {
        let looks = self.looks.get();
        self.looks.set(looks.saturating_sub(1));
        if looks == 1 {
            save(&self.store, "notes", self.other).unwrap();
        }
    }
}

/// Runs the work on copies of a store, while another process saves: each time before another one of the work's calls.
fn overtaken(
    store: &MemoryStore,
    other: &VectorIndex,
    work: impl Fn(&dyn Store),
    check: impl Fn(usize, &MemoryStore),
) {
    for looks in 1.. {
        let overtaken = Overtaken {
            store: copy(store),
            other,
            looks: Cell::new(looks),
        };
        work(&overtaken);
        if overtaken.looks.get() > 0 {
            assert!(looks > 2, "nobody came between");
            break;
        }
        check(looks, &overtaken.store);
    }
}

#[async_trait(?Send)]
impl Store for Overtaken<'_> {
    async fn get(&self, key: &str) -> Result<Option<Chunk>> {
        self.look();
        self.store.get(key).await
    }

    async fn put(&self, key: &str, bytes: Chunk) -> Result<()> {
        self.look();
        self.store.put(key, bytes).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.store.delete(key).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.look();
        self.store.keys(prefix).await
    }
}

#[test]
fn a_save_during_a_save_by_another_process_leaves_one_of_both_versions() {
    let store = MemoryStore::default();
    let former = index(ROWS);
    save(&store, "notes", &former).unwrap();
    // Each of the two saves changes one chunk, and keeps one that the other save changes.
    let (mut mine, mut other) = (former.clone(), former);
    mine.remove(&[Id::Integer(0)]).unwrap();
    other.remove(&[Id::Integer(3_000)]).unwrap();
    let work = |store: &dyn Store| save(store, "notes", &mine).unwrap();
    overtaken(&store, &other, work, |looks, store| {
        let found = bytes(&read(store, "notes").unwrap().unwrap());
        assert!(
            found == bytes(&mine) || found == bytes(&other),
            "overtaken at look {looks}"
        );
        save(store, "notes", &mine).unwrap();
        assert!(bytes(&read(store, "notes").unwrap().unwrap()) == bytes(&mine));
        assert_eq!(rows(store).len(), 4);
    });
}

#[test]
fn a_save_during_a_delete_or_a_sweep_by_another_process_stays_whole_or_goes() {
    let store = MemoryStore::default();
    let former = index(ROWS);
    save(&store, "notes", &former).unwrap();
    let mut other = former.clone();
    other.remove(&[Id::Integer(3_000)]).unwrap();
    let whole = |looks: usize, store: &MemoryStore| {
        if let Some(found) = read(store, "notes").unwrap() {
            assert!(bytes(&found) == bytes(&other), "overtaken at look {looks}");
        } else {
            assert_eq!(looks, 1, "only what came before is deleted");
        }
    };
    let key = NamedKey::index("notes").unwrap();
    let delete = |store: &dyn Store| {
        block_on(SavedIndex::new(store, &key).delete()).unwrap();
    };
    overtaken(&store, &other, delete, whole);

    // Without the manifest the store is as a first save leaves it that is still running.
    for key in keys_of(&store, "manifest") {
        block_on(store.delete(&key)).unwrap();
    }
    let sweep = |store: &dyn Store| block_on(Library::new(store).sweep(&NoLocks, 0)).unwrap();
    overtaken(&store, &other, sweep, |looks, store| {
        let found = read(store, "notes").unwrap().unwrap();
        assert!(bytes(&found) == bytes(&other), "overtaken at look {looks}");
    });
}

#[test]
fn a_change_after_a_load_writes_only_its_own_chunk() {
    let store = MemoryStore::default();
    let mut index = index(ROWS);
    index.remove(&[Id::Integer(0)]).unwrap();
    save(&store, "notes", &index).unwrap();
    let before = rows(&store);
    let mut loaded = read(&store, "notes").unwrap().unwrap();
    assert!(bytes(&loaded) == bytes(&index));
    add(&mut loaded, ROWS, 1);
    save(&store, "notes", &loaded).unwrap();
    let after = rows(&store);
    let kept = after.iter().filter(|row| before.contains(row)).count();
    assert_eq!((before.len(), after.len(), kept), (4, 4, 2));
}

#[test]
fn a_full_store_says_what_all_chunks_take() {
    let cut = Cut {
        store: MemoryStore::default(),
        left: Cell::new(1),
    };
    let index = index(ROWS);
    let error = save(&cut, "notes", &index).unwrap_err();
    let needed = error.quota().unwrap().needed;
    save(&cut.store, "notes", &index).unwrap();
    let chunks = rows(&cut.store).into_iter();
    let chunks = chunks.filter(|(key, _)| kind_of(key) == "chunk");
    assert_eq!(needed, chunks.map(|(_, row)| row.len() as u64).sum::<u64>());
}

#[test]
fn a_sweep_removes_what_a_first_save_left_that_was_cut_off() {
    let cut = Cut {
        store: MemoryStore::default(),
        left: Cell::new(2),
    };
    save(&cut, "notes", &index(ROWS)).unwrap_err();
    assert_eq!(rows(&cut.store).len(), 2);
    let index = index(10);
    save(&cut.store, "others", &index).unwrap();
    block_on(Library::new(&cut.store).sweep(&NoLocks, 0)).unwrap();
    assert_eq!(rows(&cut.store).len(), 2);
    assert!(bytes(&read(&cut.store, "others").unwrap().unwrap()) == bytes(&index));
}

#[test]
fn names_are_apart_whatever_is_in_them() {
    let store = MemoryStore::default();
    let names = ["a", "a#manifest", "a#", "a%23", "a/b", "é"];
    for (rows, name) in (1..).zip(names) {
        save(&store, name, &index(rows)).unwrap();
    }
    for (rows, name) in (1..).zip(names) {
        assert_eq!(read(&store, name).unwrap().unwrap().len(), rows);
        let key = NamedKey::index(name).unwrap();
        let saved = SavedIndex::new(&store, &key);
        assert!(block_on(saved.delete()).unwrap());
        assert!(!block_on(saved.delete()).unwrap());
    }
    assert!(rows(&store).is_empty());
    assert_eq!(
        NamedKey::index("").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn models_and_indexes_in_one_store_leave_each_other_alone() {
    let (files, store) = (model(), MemoryStore::default());
    let host = MemoryHost::new(files.clone());
    let sound = Flaky::new(&host, &files, (WEIGHTS, u64::MAX));
    let (embedder, _) = load(&sound, &store, Dtype::Q8, 100_000, 1).unwrap();
    let text = vector(&embedder);
    let mut index = VectorIndex::new(IndexOptions {
        dimensions: text.len(),
        ..IndexOptions::default()
    })
    .unwrap();
    index.add(&["text".into()], &text[..], None).unwrap();
    save(&store, "notes", &index).unwrap();
    let library = Library::new(&store);
    assert_eq!(block_on(library.list()).unwrap().len(), 1);
    block_on(library.sweep(&NoLocks, u64::MAX)).unwrap();
    for info in block_on(library.list()).unwrap() {
        block_on(library.delete(&info.key)).unwrap();
    }
    for (key, _) in rows(&store) {
        assert!(!block_on(library.delete(&key)).unwrap());
    }
    let index = read(&store, "notes").unwrap().unwrap();
    let hits = index.search(&text, 1, SearchOptions::default()).unwrap();
    assert_eq!(hits[0].id, "text".into());
    assert!(hits[0].score > 0.9999);
}
