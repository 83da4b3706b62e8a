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
    future: Pin<Box<dyn Future<Output = OpenResult<'a>> + 'a>>,
    state: Poll<OpenResult<'a>>,
}

impl<'a> Opening<'a> {
    /// Takes a request, which `start` or `fetch` makes.
    pub(super) fn new(future: impl Future<Output = OpenResult<'a>> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            state: Poll::Pending,
        }
    }

    /// Sends the request without waiting for the answer.
    pub(super) async fn start(&mut self) {
        self.state = poll_fn(|context| Poll::Ready(self.future.as_mut().poll(context))).await;
    }

    /// Waits for the file.
    pub(super) async fn fetch(self) -> OpenResult<'a> {
        match self.state {
            Poll::Ready(result) => result,
            Poll::Pending => self.future.await,
        }
    }
}
