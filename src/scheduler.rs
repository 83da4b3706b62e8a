//! How long work stays polite: it stops where the caller cancelled, lets others run now and then, and waits.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

/// Called between layers, batches and row blocks of long work, and where something must be waited for.
#[async_trait(?Send)]
pub trait Scheduler {
    /// Returns `Aborted` once the caller has cancelled; may give the thread to others for a moment.
    async fn yield_now(&self) -> Result<()>;

    /// Waits, and returns `Aborted` as soon as the caller cancels.
    async fn sleep(&self, duration: Duration) -> Result<()>;
}

/// For callers that neither cancel nor share their thread.
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
