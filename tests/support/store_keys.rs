//! The entries of a store by their kinds, which `src/store/key.rs` draws.

#![allow(clippy::unwrap_used, dead_code)]

use pilotlight::Store;
use pollster::block_on;

/// The kind of entry that a key stands for: `ref`, `manifest`, `partial`, `used`, `chunk`, `head` or `tokenizer`; empty for any other key.
pub fn kind_of(key: &str) -> &str {
    let entry = key.split_once('#').map_or("", |(_, entry)| entry);
    match entry.split('/').next() {
        Some("chunk") if key.ends_with("/head") => "head",
        Some("chunk") if key.ends_with("/tokenizer") => "tokenizer",
        Some(kind) => kind,
        None => "",
    }
}

/// The keys of all entries of one kind.
pub fn keys_of(store: &dyn Store, kind: &str) -> Vec<String> {
    let keys = block_on(store.keys("")).unwrap().into_iter();
    keys.filter(|key| kind_of(key) == kind).collect()
}

/// The bytes of the packed tokenizers, which a list counts and a plan leaves out.
pub fn packed_tokenizers(store: &dyn Store) -> u64 {
    let keys = keys_of(store, "tokenizer").into_iter();
    let rows = keys.filter_map(|key| block_on(store.get(&key)).unwrap());
    rows.map(|row| row.len() as u64).sum()
}
