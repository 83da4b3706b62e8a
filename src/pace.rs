//! How long work stays polite: it stops where the caller cancelled and lets others run now and then.

use async_trait::async_trait;

use crate::error::Result;

/// Called between layers, batches and row blocks of long work.
#[async_trait(?Send)]
pub trait Pace {
    /// Returns `Aborted` once the caller has cancelled; may give the thread to others for a moment.
    async fn breathe(&self) -> Result<()>;
}

/// For callers that neither cancel nor share their thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unpaced;

#[async_trait(?Send)]
impl Pace for Unpaced {
    async fn breathe(&self) -> Result<()> {
        Ok(())
    }
}
