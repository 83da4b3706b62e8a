//! Cooperative scheduling of long work: yielding, sleeping and cancellation.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

/// Lets long work yield and be cancelled. It is called between layers, batches and blocks of rows, and to wait for a duration.
#[async_trait(?Send)]
pub trait Scheduler {
    /// Checks for cancellation, and may run other tasks of the thread before it returns.
    ///
    /// *Errors*: `Aborted` once the caller has cancelled.
    async fn yield_now(&self) -> Result<()>;

    /// Waits for a duration.
    ///
    /// *Errors*: `Aborted` as soon as the caller cancels.
    async fn sleep(&self, duration: Duration) -> Result<()>;
}

/// A scheduler for callers that neither cancel nor share their thread: it never yields, and blocks the thread to sleep.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoYield;

#[async_trait(?Send)]
impl Scheduler for NoYield {
    async fn yield_now(&self) -> Result<()> {
        Ok(())
    }

    async fn sleep(&self, duration: Duration) -> Result<()> {
        std::thread::sleep(duration);
        Ok(())
    }
}
