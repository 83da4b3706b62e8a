//! The scheduler of calls from JavaScript: it yields to the event loop and cancels by `AbortSignal`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use async_trait::async_trait;
use gloo_timers::future::TimeoutFuture;
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, MessageChannel};

use super::caller::requests_own_timers;
use crate::error::{Error, Result};
use crate::ops::work;
use crate::scheduler::Scheduler;

/// Longest time between yields in milliseconds; input latency is this plus one layer.
const MAX_MILLISECONDS: f64 = 50.0;

/// Most multiply-adds between yields in Cloudflare Workers, whose clock stands still while a request computes. README's table of
/// speeds has 1.4e9 of them in 63 ms (f32) and 11e9 in 242 ms (q8), so this many take 22 to 46 ms. The number of steps would not be
/// a measure of time: a layer takes 0.6 ms for a short text and 40 ms for a batch.
const MAX_MULTIPLY_ADDS: u64 = 1_000_000_000;

/// Multiply-adds that each step counts in addition to its own, for the time that it spends on other work: tokenizing 200 texts takes
/// 10 to 70 ms.
const STEP_COST: u64 = 5_000_000;

thread_local! {
    /// The work of all calls on this thread since the last yield.
    static SINCE_YIELD: WorkSinceYield = const { WorkSinceYield { steps: Cell::new(0), start: Cell::new(0) } };
}

/// Counts the work since the last yield, in runtimes whose clock stands still while they compute.
struct WorkSinceYield {
    steps: Cell<u64>,
    /// The value of `work::multiply_adds` at the last yield.
    start: Cell<u64>,
}

impl WorkSinceYield {
    /// Counts a step and returns whether it is time to yield.
    fn count_step(&self) -> bool {
        self.steps.set(self.steps.get() + 1);
        self.steps.get() * STEP_COST + (work::multiply_adds() - self.start.get())
            >= MAX_MULTIPLY_ADDS
    }

    fn reset(&self) {
        self.steps.set(0);
        self.start.set(work::multiply_adds());
    }
}

/// The scheduler of one call.
pub(super) struct EventLoopScheduler {
    cancel: Option<Cancellation>,
    /// The time at which the call last yielded, in milliseconds since 1970.
    yielded: Cell<f64>,
}

/// A call's `AbortSignal`, with a listener that wakes the tasks which sleep.
struct Cancellation {
    signal: AbortSignal,
    sleepers: Rc<RefCell<Vec<Waker>>>,
    listener: Closure<dyn FnMut()>,
}

impl Cancellation {
    fn new(signal: AbortSignal) -> Self {
        let sleepers: Rc<RefCell<Vec<Waker>>> = Rc::default();
        let woken = sleepers.clone();
        let listener = Closure::new(move || woken.take().into_iter().for_each(Waker::wake));
        // Adding a listener to a signal cannot fail.
        let _ = signal.add_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
        Self {
            signal,
            sleepers,
            listener,
        }
    }
}

impl Drop for Cancellation {
    fn drop(&mut self) {
        let listener = self.listener.as_ref().unchecked_ref();
        let _ = self
            .signal
            .remove_event_listener_with_callback("abort", listener);
    }
}

impl EventLoopScheduler {
    pub fn new(signal: Option<AbortSignal>) -> Self {
        Self {
            cancel: signal.map(Cancellation::new),
            yielded: Cell::new(js_sys::Date::now()),
        }
    }

    fn check(&self) -> Result<()> {
        match &self.cancel {
            Some(cancel) if cancel.signal.aborted() => Err(Error::aborted()),
            _ => Ok(()),
        }
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(listener: &Function, milliseconds: i32) -> Result<JsValue, JsValue>;
}

/// Resumes after a timer of 0 ms. In Cloudflare Workers a message would be delivered before any other request is served.
async fn yield_to_requests() {
    let mut is_set = false;
    let fired = Promise::new(&mut |resolve, _| is_set = set_timeout(&resolve, 0).is_ok());
    // A Worker that is starting may set no timers; the work then continues without yielding.
    if is_set {
        let _ = JsFuture::from(fired).await;
    }
}

/// Resumes in a later iteration of the event loop, by a message instead of a timer: browsers delay timers by 4 ms in a visible page
/// and by a second in a hidden one.
async fn yield_to_events() {
    let Ok(channel) = MessageChannel::new() else {
        // Some runtimes have no MessageChannel.
        return TimeoutFuture::new(0).await;
    };
    let (here, there) = (channel.port1(), channel.port2());
    let delivered = Promise::new(&mut |resolve, _| here.set_onmessage(Some(&resolve)));
    let sent = there.post_message(&JsValue::NULL);
    // Close the port before the message is delivered: after a trap nothing would close it, and an open port keeps Node running.
    there.close();
    if sent.is_ok() {
        let _ = JsFuture::from(delivered).await;
    }
}

#[async_trait(?Send)]
impl Scheduler for EventLoopScheduler {
    async fn yield_now(&self) -> Result<()> {
        self.check()?;
        let in_worker = requests_own_timers();
        let is_late = js_sys::Date::now() - self.yielded.get() >= MAX_MILLISECONDS;
        if is_late || in_worker && SINCE_YIELD.with(WorkSinceYield::count_step) {
            if in_worker {
                SINCE_YIELD.with(WorkSinceYield::reset);
                yield_to_requests().await;
            } else {
                yield_to_events().await;
            }
            self.yielded.set(js_sys::Date::now());
            self.check()?;
        }
        Ok(())
    }

    async fn sleep(&self, duration: Duration) -> Result<()> {
        let mut timer = TimeoutFuture::new(duration.as_millis().min(i32::MAX as u128) as u32);
        poll_fn(|context| {
            self.check()?;
            if let Some(Cancellation { sleepers, .. }) = &self.cancel {
                let mut sleepers = sleepers.borrow_mut();
                if !sleepers
                    .iter()
                    .any(|waker| waker.will_wake(context.waker()))
                {
                    sleepers.push(context.waker().clone());
                }
            }
            Pin::new(&mut timer).poll(context).map(Ok)
        })
        .await
    }
}
