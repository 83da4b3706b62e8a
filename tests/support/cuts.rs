//! Downloads that break off at every place.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use pilotlight::{Dtype, ErrorKind, MemoryHost, MemoryStore, Verified};

use super::store_keys::keys_of;
use super::{CHUNK, Files, Flaky, load, packed, vector};

/// Breaks the connection at every 64 KiB: the next load requests at most one chunk twice, and gives the same bits.
pub fn cut_everywhere(files: &Files, weights: &str, dtype: Dtype) {
    let host = MemoryHost::new(files.clone());
    let whole = MemoryStore::default();
    let sound = Flaky::new(&host, files, (weights, u64::MAX));
    let (embedder, _) = load(&sound, &whole, dtype, CHUNK, 1).unwrap();
    let expected = (vector(&embedder), packed(&whole, dtype));
    let size = files[weights].len() as u64;
    for cut in (0..size).step_by(64 << 10) {
        let store = MemoryStore::default();
        let flaky = Flaky::new(&host, files, (weights, cut));
        let error = load(&flaky, &store, dtype, CHUNK, 1)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed, "{cut}: {error}");
        assert!(keys_of(&store, "manifest").is_empty(), "{cut}");

        let next = Flaky::new(&host, files, (weights, u64::MAX));
        let (embedder, verified) = load(&next, &store, dtype, CHUNK, 2).unwrap();
        let start = next.first_of_weights().unwrap_or(size);
        assert!(
            start <= cut && cut - start <= CHUNK as u64,
            "cut at {cut}, went on at {start}"
        );
        let twice = flaky.sent.get() + next.sent.get() - sound.sent.get();
        assert!(
            twice <= CHUNK as u64,
            "cut at {cut}: {twice} bytes came twice"
        );
        let small = next
            .asked
            .borrow()
            .iter()
            .filter(|(file, _)| file != weights)
            .count();
        // A host that was gone before it sent anything is the exception.
        assert!(small == 0 || cut == 0, "{:?}", next.asked.borrow());
        assert_eq!(verified, Some(Verified::Sha256), "{cut}");
        assert_eq!(
            (vector(&embedder), packed(&store, dtype)),
            expected,
            "{cut}"
        );
    }
}
