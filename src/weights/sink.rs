//! The receiver of the packed file: the store implements it, and the loader writes to it.

use async_trait::async_trait;

use super::ResumePoint;
use crate::error::Result;

/// A receiver of the packed file, which the loader writes while it reads the source file.
#[async_trait(?Send)]
pub trait Sink {
    /// Keeps the source file's header, which a resumed load reads again.
    async fn keep_header(&mut self, bytes: &[u8]) -> Result<()>;

    /// Appends bytes to the packed file.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Announces the size of the packed file in bytes.
    fn expected_size(&mut self, bytes: u64);

    /// The most bytes of the source file between two resume points.
    fn interval(&self) -> usize;

    /// Makes everything written so far durable, together with the point from which the source file `source` can be resumed.
    async fn checkpoint(&mut self, source: &str, at: ResumePoint) -> Result<()>;
}
