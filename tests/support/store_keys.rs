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
