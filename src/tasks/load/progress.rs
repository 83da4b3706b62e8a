//! What loading tells of itself.

use std::cell::Cell;

use super::Loading;
use crate::hub::Verified;
use crate::store::WriterProgress;

/// Progress is reported at most once in so many bytes: a Worker's stream comes in pieces of 4 KiB.
const REPORT_EVERY: u64 = 256 << 10;

/// What loading is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStatus {
    /// Asking the host what there is.
    Plan,
    /// Bytes arrive.
    Download,
    /// Tokenizer and model are set up.
    Prepare,
    /// Done.
    Ready,
}

/// One step of loading.
#[derive(Clone, Debug)]
pub struct LoadProgress<'a> {
    /// What is being done.
    pub status: LoadStatus,
    /// The file under way.
    pub file: Option<&'a str>,
    /// Bytes so far, over all files.
    pub loaded: u64,
    /// Bytes in all as far as known.
    pub total: u64,
    /// Whether the bytes come from the store.
    pub cached: bool,
    /// By what they were checked, once all is ready.
    pub verified: Option<Verified>,
}

impl<'a> Loading<'a, '_> {
    /// Says that something is made of a file now.
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
            loaded: self.loaded,
            total: self.total.max(self.loaded),
            cached: self.cached,
            verified,
        });
    }

    /// Reports bytes of the weights, to the caller and to the other tabs.
    pub(super) fn reporter(&self, file: &str) -> impl Fn(u64, u64) + 'a {
        let (progress, cached) = (self.source.progress, self.cached);
        let guard = self.writing.map(|(_, guard, _)| guard);
        let (before, total, file) = (self.loaded, self.total, file.to_string());
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

/// Makes one progress of those of a model's parts: bytes go on where those of the part before ended, and all are ready once.
#[derive(Default)]
pub struct PartsProgress {
    /// Bytes of the parts before.
    before: Cell<u64>,
    /// Of this part so far.
    loaded: Cell<u64>,
    /// What the first plan counted: all of a file of which each part takes some.
    planned: Cell<u64>,
    fetched: Cell<bool>,
    verified: Cell<Option<Verified>>,
}

impl PartsProgress {
    /// Takes what a part tells.
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

    /// Another part begins.
    pub fn next(&self) {
        self.before.set(self.before.get() + self.loaded.get());
        self.loaded.set(0);
    }

    /// All parts are there.
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
