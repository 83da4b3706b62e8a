//! Retrying of transient failures, with growing and jittered waits, and the timeout of a connection that stalls.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::error::{Error, FetchReason, Result, Retry};
use crate::scheduler::Scheduler;

/// Attempts before the first byte; the host may be down.
const ATTEMPTS_BEFORE_DATA: u32 = 4;

/// Once bytes have arrived, give up only after this many stall timeouts without progress.
const STALLS_AFTER_DATA: u32 = 3;

/// Longest wait before the second attempt; it doubles from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_millis(400);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Longest wait that a host may ask for by `Retry-After`; a longer one is an error at once.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// The handling of transient failures and stalled connections.
#[derive(Clone, Copy)]
pub struct RetryPolicy<'a> {
    /// Waits between attempts, and cancels them.
    pub scheduler: &'a dyn Scheduler,
    /// A connection that sends no byte for this long is given up. `Duration::MAX` is for sources that are no network and always
    /// answer.
    pub stall: Duration,
    /// Seed of the jitter, which spreads the attempts of many clients over time.
    pub seed: u64,
}

/// The failed attempts since the last byte.
#[derive(Default)]
pub(super) struct RetryState {
    failures: u32,
    /// Time spent in stalled connections and between attempts.
    waited: Duration,
    /// Whether any byte has arrived, in this load or in the one that it resumes.
    received: bool,
}

impl RetryState {
    /// The state after progress: no failures, and bytes received if `received`.
    pub fn fresh(received: bool) -> Self {
        Self {
            received,
            ..Self::default()
        }
    }
}

impl RetryPolicy<'_> {
    /// The policy for reading from a store. Such a read must not time out: IndexedDB would call into a dropped future.
    pub fn for_store(self) -> Self {
        Self {
            stall: Duration::MAX,
            ..self
        }
    }

    /// Waits before the next attempt.
    ///
    /// *Errors*: the given error if it is permanent or the attempts are used up, and `Aborted`.
    pub(super) async fn wait(&self, error: Error, state: &mut RetryState) -> Result<()> {
        let Some(Retry { after, stalled }) = error.retry() else {
            return Err(error);
        };
        state.failures += 1;
        state.waited += stalled;
        let exhausted = match state.received {
            true => state.waited >= self.stall * STALLS_AFTER_DATA,
            false => state.failures >= ATTEMPTS_BEFORE_DATA,
        };
        if exhausted || after > LONGEST_RETRY_AFTER {
            return Err(error);
        }
        let longest = FIRST_WAIT
            .saturating_mul(1 << (state.failures - 1).min(8))
            .min(LONGEST_WAIT);
        // Half of the wait is fixed, and a random part of the other half differs from client to client.
        let random =
            (self.seed ^ u64::from(state.failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let jitter = longest.mul_f64(random as f64 / f64::from(u32::MAX) / 2.0);
        let wait = after.max(longest / 2 + jitter);
        state.waited += wait;
        self.scheduler.sleep(wait).await
    }

    /// Runs `work` with the stall timeout.
    ///
    /// *Errors*: those of `work`, and a transient `FetchFailed` if it does not finish in time.
    pub(super) async fn with_timeout<T>(
        &self,
        file: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if self.stall == Duration::MAX {
            return work.await;
        }
        let mut work = pin!(work);
        // Most reads are ready at once, and a timer costs more than such a read.
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await
        {
            return done;
        }
        let mut stall = pin!(self.scheduler.sleep(self.stall));
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            stall.as_mut().poll(context).map(|slept| {
                slept?;
                let seconds = self.stall.as_secs_f64();
                let message = format!("{file}: the host sent nothing for {seconds} s");
                Err(Error::fetch_failed(message)
                    .stalled(self.stall)
                    .with_reason(FetchReason::Stalled))
            })
        })
        .await
    }
}

/// Runs `work`, and runs it again after a transient failure or a stall, within the limits of the policy.
///
/// *Errors*: that of the last attempt.
pub async fn retrying<T>(
    retry: RetryPolicy<'_>,
    what: &str,
    work: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let mut state = RetryState::default();
    loop {
        match retry.with_timeout(what, work()).await {
            Err(error) => retry.wait(error, &mut state).await?,
            done => return done,
        }
    }
}
