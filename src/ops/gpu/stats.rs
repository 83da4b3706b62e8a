//! Counters of the dispatches of this crate's kernels, and of the results that were read back.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

static DISPATCHES: AtomicU64 = AtomicU64::new(0);
static READS: AtomicU64 = AtomicU64::new(0);
static BYTES_READ: AtomicU64 = AtomicU64::new(0);

/// The numbers of dispatches and of results read back since the program began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuStats {
    /// Dispatches of the crate's kernels. Those of burn's own operations, which run where there is no kernel, are not among them.
    pub dispatches: u64,
    /// Results that were read back; each ends a submission.
    pub reads: u64,
    /// The bytes of these results.
    pub bytes_read: u64,
}

impl GpuStats {
    /// The counts so far.
    pub fn now() -> Self {
        Self {
            dispatches: DISPATCHES.load(Ordering::Relaxed),
            reads: READS.load(Ordering::Relaxed),
            bytes_read: BYTES_READ.load(Ordering::Relaxed),
        }
    }
}

pub(super) fn count_dispatch() {
    DISPATCHES.fetch_add(1, Ordering::Relaxed);
}

/// Counts a result of `bytes` bytes that is read back.
pub(in crate::ops) fn count_read(bytes: usize) {
    READS.fetch_add(1, Ordering::Relaxed);
    BYTES_READ.fetch_add(bytes as u64, Ordering::Relaxed);
}
