//! Opening a file concurrently with other work.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::error::Result;
use crate::hub::Fetch;

/// The result of opening a file: a download, or `None` where the host has no such file.
pub(super) type OpenResult<'a> = Result<Option<Fetch<'a>>>;

/// A file that is being opened, while the caller may do other work.
pub struct Opening<'a> {
    /// The name of the file.
    pub(super) file: String,
    future: Pin<Box<dyn Future<Output = OpenResult<'a>> + 'a>>,
    state: Poll<OpenResult<'a>>,
}

impl<'a> Opening<'a> {
    /// Makes an `Opening`. `early` starts the request now instead of when the file is read.
    pub(super) async fn new(
        file: String,
        future: impl Future<Output = OpenResult<'a>> + 'a,
        early: bool,
    ) -> Self {
        let mut future: Pin<Box<dyn Future<Output = OpenResult<'a>> + 'a>> = Box::pin(future);
        let state = if early {
            poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
        } else {
            Poll::Pending
        };
        Self {
            file,
            future,
            state,
        }
    }

    /// Waits for the file.
    pub(super) async fn fetch(self) -> OpenResult<'a> {
        match self.state {
            Poll::Ready(result) => result,
            Poll::Pending => self.future.await,
        }
    }
}
