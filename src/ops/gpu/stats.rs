//! Counters of the dispatches of this crate's kernels, of the values that were sent to the GPU and read back, and of the time that its start took.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::clock::now_ms;

static DISPATCHES: AtomicU64 = AtomicU64::new(0);
static READS: AtomicU64 = AtomicU64::new(0);
static BYTES_READ: AtomicU64 = AtomicU64::new(0);
static BYTES_SENT: AtomicU64 = AtomicU64::new(0);
/// Times, in microseconds.
static OPENING: AtomicU64 = AtomicU64::new(0);
static TESTING: AtomicU64 = AtomicU64::new(0);
static SENDING: AtomicU64 = AtomicU64::new(0);

/// The work of the GPU since the program began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuStats {
    /// Dispatches of the crate's kernels. Those of burn's own operations, which run where there is no kernel, are not among them.
    pub dispatches: u64,
    /// Results that were read back; each ends a submission.
    pub reads: u64,
    /// The bytes of these results.
    pub bytes_read: u64,
    /// The bytes of weights and inputs that were sent to the GPU.
    pub bytes_sent: u64,
    /// Milliseconds that opening the GPU took.
    pub open_ms: f64,
    /// Milliseconds from the start of each self-test to its end, in which kernels are compiled and models are loaded.
    pub self_test_ms: f64,
    /// Milliseconds that this thread took to hand over what was sent; the GPU may have got it later.
    pub send_ms: f64,
}

impl GpuStats {
    /// The counts so far.
    pub fn now() -> Self {
        Self {
            dispatches: DISPATCHES.load(Ordering::Relaxed),
            reads: READS.load(Ordering::Relaxed),
            bytes_read: BYTES_READ.load(Ordering::Relaxed),
            bytes_sent: BYTES_SENT.load(Ordering::Relaxed),
            open_ms: milliseconds(&OPENING),
            self_test_ms: milliseconds(&TESTING),
            send_ms: milliseconds(&SENDING),
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

/// Calls a function that sends `bytes` bytes to the GPU, and counts them and the time.
pub(in crate::ops) fn count_sent<T>(bytes: usize, send: impl FnOnce() -> T) -> T {
    let start = now_ms();
    let sent = send();
    add(&SENDING, now_ms() - start);
    BYTES_SENT.fetch_add(bytes as u64, Ordering::Relaxed);
    sent
}

/// Counts the milliseconds of opening a GPU.
pub(crate) fn count_opening(ms: f64) {
    add(&OPENING, ms);
}

/// Counts the milliseconds of a self-test.
pub(crate) fn count_self_test(ms: f64) {
    add(&TESTING, ms);
}

fn add(microseconds: &AtomicU64, ms: f64) {
    microseconds.fetch_add((ms * 1e3) as u64, Ordering::Relaxed);
}

fn milliseconds(microseconds: &AtomicU64) -> f64 {
    microseconds.load(Ordering::Relaxed) as f64 / 1e3
}
