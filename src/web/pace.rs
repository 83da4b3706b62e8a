//! Cancelling by `AbortSignal`, and yielding to the event loop.

use std::cell::Cell;

use async_trait::async_trait;
use gloo_timers::future::TimeoutFuture;
use web_sys::AbortSignal;

use crate::error::{Error, Result};
use crate::pace::Pace;

/// Work goes on for at most so long without letting events in: a click then waits no longer than this and one layer.
/// Browsers make every timer wait 4 ms, so a shorter time would cost more than it gives.
const MILLISECONDS: f64 = 50.0;

/// One call's signal and clock.
pub(super) struct EventLoopPace {
    signal: Option<AbortSignal>,
    yielded: Cell<f64>,
}

impl EventLoopPace {
    pub fn new(signal: Option<AbortSignal>) -> Self {
        Self {
            signal,
            yielded: Cell::new(js_sys::Date::now()),
        }
    }

    fn check(&self) -> Result<()> {
        if self.signal.as_ref().is_some_and(AbortSignal::aborted) {
            Err(Error::aborted())
        } else {
            Ok(())
        }
    }
}

#[async_trait(?Send)]
impl Pace for EventLoopPace {
    async fn breathe(&self) -> Result<()> {
        self.check()?;
        if js_sys::Date::now() - self.yielded.get() >= MILLISECONDS {
            TimeoutFuture::new(0).await;
            self.yielded.set(js_sys::Date::now());
            self.check()?;
        }
        Ok(())
    }
}
