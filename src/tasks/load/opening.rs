//! A file that is being opened while something else is done.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use crate::error::Result;
use crate::hub::Fetch;

/// A file, or `None` where there is none.
pub(super) type Opened<'a> = Result<Option<Fetch<'a>>>;

/// A file that is being opened while something else is done.
pub struct Opening<'a> {
    /// Its name.
    pub(super) file: String,
    future: Pin<Box<dyn Future<Output = Opened<'a>> + 'a>>,
    done: Poll<Opened<'a>>,
}

impl<'a> Opening<'a> {
    /// `early`: it begins now, and else when the file is wanted.
    pub(super) async fn new(
        file: String,
        future: impl Future<Output = Opened<'a>> + 'a,
        early: bool,
    ) -> Self {
        let mut future: Pin<Box<dyn Future<Output = Opened<'a>> + 'a>> = Box::pin(future);
        let done = if early {
            poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
        } else {
            Poll::Pending
        };
        Self { file, future, done }
    }

    pub(super) async fn fetch(self) -> Opened<'a> {
        match self.done {
            Poll::Ready(opened) => opened,
            Poll::Pending => self.future.await,
        }
    }
}
