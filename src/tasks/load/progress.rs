//! Progress reports of a load.

use std::cell::Cell;

use super::Loading;
use crate::hub::Verified;
use crate::store::WriterProgress;

/// The fewest bytes between two reports: a Worker's stream comes in pieces of 4 KiB, too many to report each.
const REPORT_EVERY: u64 = 256 << 10;

/// The phase of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStatus {
    /// The loader is asking the host for its list of files.
    Plan,
    /// Bytes of a file are arriving.
    Download,
    /// The tokenizer or the model is being built.
    Prepare,
    /// The model is ready.
    Ready,
}

/// A progress report.
#[derive(Clone, Debug)]
pub struct LoadProgress<'a> {
    /// The phase of the load.
    pub status: LoadStatus,
    /// The file that the phase is about.
    pub file: Option<&'a str>,
    /// Bytes that have arrived so far, over all files.
    pub loaded: u64,
    /// Bytes that will arrive, over all files whose size is known.
    pub total: u64,
    /// Whether the bytes come from the store.
    pub cached: bool,
    /// The level at which the bytes were verified; set only once the model is ready.
    pub verified: Option<Verified>,
}

/// Byte counters of one load, over all its files.
#[derive(Clone, Copy, Default)]
pub(super) struct ByteCount {
    /// Bytes that have arrived.
    pub loaded: u64,
    /// Bytes that will arrive, as far as sizes are known.
    pub total: u64,
}

impl<'a> Loading<'a, '_> {
    /// Reports that something is being built from a file.
    pub fn prepare(&self, file: &str) {
        self.report(LoadStatus::Prepare, Some(file));
    }

    pub(super) fn report(&self, status: LoadStatus, file: Option<&str>) {
        self.report_as(status, file, None);
    }

    pub(super) fn report_as(
        &self,
        status: LoadStatus,
        file: Option<&str>,
        verified: Option<Verified>,
    ) {
        (self.source.progress)(&LoadProgress {
            status,
            file,
            loaded: self.bytes.loaded,
            total: self.bytes.total.max(self.bytes.loaded),
            cached: self.cached,
            verified,
        });
    }

    /// Makes a callback that reports bytes of the weights to the caller and to other tabs.
    pub(super) fn reporter(&self, file: &str) -> impl Fn(u64, u64) + 'a {
        let (progress, cached) = (self.source.progress, self.cached);
        let guard = self.writing.map(|(_, guard, _)| guard);
        let (before, total, file) = (self.bytes.loaded, self.bytes.total, file.to_string());
        let reported = Cell::new(u64::MAX);
        move |read, wanted| {
            let step = read / REPORT_EVERY;
            if reported.replace(step) == step && read != wanted {
                return;
            }
            let loaded = before + read;
            let total = (total + wanted).max(loaded);
            progress(&LoadProgress {
                status: LoadStatus::Download,
                file: Some(&file),
                loaded,
                total,
                cached,
                verified: None,
            });
            if let Some(guard) = guard {
                guard.announce(&WriterProgress {
                    file: Some(file.clone()),
                    loaded,
                    total,
                });
            }
        }
    }
}

/// Combines the progress reports of a model's parts: their bytes are added up, and `Ready` is reported once.
#[derive(Default)]
pub struct PartsProgress {
    /// Bytes of the parts that are complete.
    before: Cell<u64>,
    /// Bytes of the current part so far.
    loaded: Cell<u64>,
    /// The total of the first plan: it counts the whole checkpoint, though each part reads only its own tensors.
    planned: Cell<u64>,
    /// Whether any part came from the host.
    fetched: Cell<bool>,
    /// The weakest verification of any part.
    verified: Cell<Option<Verified>>,
}

impl PartsProgress {
    /// Adds a report of the current part.
    pub fn report(&self, event: &LoadProgress, to: &dyn Fn(&LoadProgress)) {
        self.loaded.set(event.loaded);
        if event.status == LoadStatus::Ready {
            self.fetched.set(self.fetched.get() || !event.cached);
            let weaker = |before: Verified| event.verified.map_or(before, |now| now.min(before));
            let verified = self.verified.get().map(weaker).or(event.verified);
            return self.verified.set(verified);
        }
        let before = self.before.get();
        if before == 0 && event.status == LoadStatus::Plan {
            self.planned.set(event.total);
        }
        to(&LoadProgress {
            loaded: before + event.loaded,
            total: (before + event.total).max(self.planned.get()),
            ..event.clone()
        });
    }

    /// Starts the next part.
    pub fn next(&self) {
        self.before.set(self.before.get() + self.loaded.get());
        self.loaded.set(0);
    }

    /// Reports that all parts are ready.
    pub fn ready(&self, to: &dyn Fn(&LoadProgress)) {
        let loaded = self.before.get() + self.loaded.get();
        to(&LoadProgress {
            status: LoadStatus::Ready,
            file: None,
            loaded,
            total: loaded,
            cached: !self.fetched.get(),
            verified: self.verified.get(),
        });
    }
}
