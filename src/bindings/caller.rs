//! Calls whose caller has disappeared. When Cloudflare Workers cancel a request, its timers, fetches and promises never settle, and no
//! event reports it: a call that waits for one of them would wait, and keep its memory, for ever.

use std::cell::{OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use js_sys::{Promise, Set};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::future_to_promise;

use crate::error::{Error, Result};
use crate::interop::get;

thread_local! {
    static IN_CLOUDFLARE: OnceCell<bool> = const { OnceCell::new() };
}

/// Whether this runtime is Cloudflare Workers, where timers and fetches end with the request that started them.
pub(super) fn requests_own_timers() -> bool {
    let detect = || {
        let navigator = get(&js_sys::global(), "navigator")?;
        let agent = get(&navigator, "userAgent")?;
        Some(agent.as_string()? == "Cloudflare-Workers")
    };
    IN_CLOUDFLARE.with(|known| *known.get_or_init(|| detect().unwrap_or(false)))
}

#[wasm_bindgen]
extern "C" {
    /// The `Caller` of `caller.ts`.
    type Caller;

    #[wasm_bindgen(method, getter)]
    fn gone(this: &Caller) -> bool;

    /// The functions to call when another call notices that this caller has disappeared.
    #[wasm_bindgen(method, getter, js_name = whenGone)]
    fn when_gone(this: &Caller) -> Set;
}

/// Runs `work` for the `caller` in `options`. If the caller disappears, the work is dropped with everything that it holds.
///
/// *Errors*: those of `work`; `Aborted` once the caller has disappeared.
pub(super) async fn for_caller<T>(
    options: &JsValue,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    // Boxed, so that the code is compiled once for each `T` and not once for each future.
    while_caller_exists(options, Box::pin(work)).await
}

/// Makes a promise of a call's result. The work is boxed, so that the code around it is compiled once and not for each call.
pub(super) fn promise(work: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let work: Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>> = Box::pin(work);
    future_to_promise(work)
}

async fn while_caller_exists<T>(
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
        // Checked before polling, because the work would use objects of the caller.
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
