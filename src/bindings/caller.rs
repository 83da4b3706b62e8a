//! Callers that may be gone. In Cloudflare Workers a request that is cancelled takes its timers, fetches and promises with it, and
//! nothing says so: a call that waits for one of them would wait, and hold its memory, for ever.

use std::cell::{OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use js_sys::Set;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{Error, Result};
use crate::interop::get;

thread_local! {
    static IN_WORKERS: OnceCell<bool> = const { OnceCell::new() };
}

/// Whether this is Cloudflare Workers, where what a request starts ends with it.
pub(super) fn requests_own_timers() -> bool {
    let look = || {
        let navigator = get(&js_sys::global(), "navigator")?;
        let agent = get(&navigator, "userAgent")?;
        Some(agent.as_string()? == "Cloudflare-Workers")
    };
    IN_WORKERS.with(|known| *known.get_or_init(|| look().unwrap_or(false)))
}

#[wasm_bindgen]
extern "C" {
    /// `Caller` of `caller.ts`.
    type Caller;

    #[wasm_bindgen(method, getter)]
    fn gone(this: &Caller) -> bool;

    /// What it calls when others find that it is gone.
    #[wasm_bindgen(method, getter, js_name = whenGone)]
    fn when_gone(this: &Caller) -> Set;
}

/// Works for the `caller` that `options` name, and gives up, dropping all that the work holds, when others find that it is gone.
///
/// *Errors*: those of `work`; `Aborted`.
pub(super) async fn for_caller<T>(
    options: &JsValue,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    // Boxed, so that the code is there once for each `T`.
    while_there(options, Box::pin(work)).await
}

async fn while_there<T>(
    options: &JsValue,
    mut work: Pin<Box<dyn Future<Output = Result<T>> + '_>>,
) -> Result<T> {
    let caller = get(options, "caller");
    let Some(caller) = caller.filter(JsValue::is_object) else {
        return work.await;
    };
    let caller: Caller = caller.unchecked_into();
    let sleeper: Rc<RefCell<Option<Waker>>> = Rc::default();
    let woken = sleeper.clone();
    let listener = Closure::<dyn FnMut()>::new(move || {
        if let Some(waker) = woken.take() {
            waker.wake();
        }
    });
    let listeners = caller.when_gone();
    listeners.add(listener.as_ref());
    let result = poll_fn(|context| {
        // First, because what the work would touch is the caller's.
        if caller.gone() {
            return Poll::Ready(Err(Error::aborted()));
        }
        sleeper.replace(Some(context.waker().clone()));
        work.as_mut().poll(context)
    })
    .await;
    listeners.delete(listener.as_ref());
    result
}
