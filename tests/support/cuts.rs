//! Downloads that break off at every place.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use pilotlight::{
    Dtype, Error, ErrorKind, MemoryHost, MemoryStore, Result, TextEmbedder, Verified,
};

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

/// The result of a load in q8, and what it asked for: files, and the first byte of each request.
pub type Run = (Result<(TextEmbedder, Option<Verified>)>, Vec<(String, u64)>);

/// Breaks off at eleven places of a file: the next load asks for that file alone, once, from at most `most` bytes before the place, and gives
/// the same bits. `run` loads with a nonce from a host whose connection breaks at a byte of the file.
pub fn goes_on_anywhere(
    file: &str,
    size: u64,
    most: u64,
    run: impl Fn(&MemoryStore, u64, u64) -> Run,
) {
    let whole = MemoryStore::default();
    let (loaded, _) = run(&whole, u64::MAX, 1);
    let (embedder, verified) = loaded.unwrap();
    assert_eq!(verified, Some(Verified::Sha256));
    let expected = (vector(&embedder), packed(&whole, Dtype::Q8));
    for part in 1..12 {
        let (store, cut) = (MemoryStore::default(), size * part / 12);
        let (broken, _) = run(&store, cut, 1);
        let error: Error = broken.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FetchFailed, "{cut}: {error}");
        assert!(keys_of(&store, "manifest").is_empty(), "{cut}");
        let (loaded, asked) = run(&store, u64::MAX, 2);
        let (embedder, verified) = loaded.unwrap();
        let [(asked, start)] = asked.as_slice() else {
            panic!("cut at {cut}: {asked:?}");
        };
        assert_eq!(asked, file);
        assert!(
            *start <= cut && cut - start <= most,
            "cut at {cut}, went on at {start}"
        );
        assert_eq!(verified, Some(Verified::Sha256), "{cut}");
        assert_eq!(
            (vector(&embedder), packed(&store, Dtype::Q8)),
            expected,
            "{cut}"
        );
    }
}
