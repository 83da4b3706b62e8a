//! Cancelling by `AbortSignal`, and yielding to the event loop.

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

/// Work goes on for at most so long without letting events in: a click then waits no longer than this and one layer.
const MILLISECONDS: f64 = 50.0;

/// The same in multiply-adds, for Cloudflare Workers, whose clock stands still while a request computes: README's table of speeds has
/// 1.4e9 of them in 63 ms (f32) and 11e9 in 242 ms (q8), so these take 22 to 46 ms there. Steps alone would tell nothing: a layer
/// takes 0.6 ms for a short text and 40 ms for a batch.
const MULTIPLY_ADDS: u64 = 1_000_000_000;

/// What a step counts beside its multiply-adds: 200 texts that are only tokenized take 10 to 70 ms.
const STEP: u64 = 5_000_000;

thread_local! {
    /// Multiply-adds since events were last let in, by any call.
    static UNBROKEN: Unbroken = const { Unbroken { steps: Cell::new(0), since: Cell::new(0) } };
}

/// Work without a pause.
struct Unbroken {
    steps: Cell<u64>,
    /// `work::multiply_adds` when it began.
    since: Cell<u64>,
}

impl Unbroken {
    /// Counts a step, and says whether there was enough of them.
    fn is_enough(&self) -> bool {
        self.steps.set(self.steps.get() + 1);
        self.steps.get() * STEP + (work::multiply_adds() - self.since.get()) >= MULTIPLY_ADDS
    }

    fn end(&self) {
        self.steps.set(0);
        self.since.set(work::multiply_adds());
    }
}

/// One call's signal and clock.
pub(super) struct EventLoopScheduler {
    cancel: Option<Cancel>,
    yielded: Cell<f64>,
}

struct Cancel {
    signal: AbortSignal,
    /// Those who sleep: the signal wakes them.
    sleepers: Rc<RefCell<Vec<Waker>>>,
    listener: Closure<dyn FnMut()>,
}

impl Cancel {
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

impl Drop for Cancel {
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
            cancel: signal.map(Cancel::new),
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

/// As `let_events_in`, by a timer: in Cloudflare Workers a message is heard before any other request is.
async fn let_requests_in() {
    let mut is_set = false;
    let rung = Promise::new(&mut |resolve, _| is_set = set_timeout(&resolve, 0).is_ok());
    // Where timers are refused, as while a Worker starts, the work goes on without a pause.
    if is_set {
        let _ = JsFuture::from(rung).await;
    }
}

/// Goes on in a later turn of the event loop. By a message and not by a timer: browsers make timers wait, by 4 ms in a page that
/// is seen and by a second in one that is not.
async fn let_events_in() {
    let Ok(channel) = MessageChannel::new() else {
        // Some Workers have none.
        return TimeoutFuture::new(0).await;
    };
    let (here, there) = (channel.port1(), channel.port2());
    let heard = Promise::new(&mut |resolve, _| here.set_onmessage(Some(&resolve)));
    let sent = there.post_message(&JsValue::NULL);
    // Now, and not when the message is heard: after a trap nobody would close it, and an open port keeps Node from ending.
    there.close();
    if sent.is_ok() {
        let _ = JsFuture::from(heard).await;
    }
}

#[async_trait(?Send)]
impl Scheduler for EventLoopScheduler {
    async fn yield_now(&self) -> Result<()> {
        self.check()?;
        let in_worker = requests_own_timers();
        let is_late = js_sys::Date::now() - self.yielded.get() >= MILLISECONDS;
        if is_late || in_worker && UNBROKEN.with(Unbroken::is_enough) {
            if in_worker {
                UNBROKEN.with(Unbroken::end);
                let_requests_in().await;
            } else {
                let_events_in().await;
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
            if let Some(Cancel { sleepers, .. }) = &self.cancel {
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
