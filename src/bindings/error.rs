//! The one conversion of errors to JavaScript.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

use crate::error::{Error, StorageQuota};

/// An `Error` with the `code` and the message, and if known the `cause` and the other properties that programs can read.
pub(crate) fn to_js(error: Error) -> JsValue {
    let object = js_sys::Error::new(&error.to_string());
    object.set_name("PilotlightError");
    // Setting a property of a fresh, extensible object cannot fail.
    let _ = Reflect::set(&object, &"code".into(), &error.kind().code().into());
    if let Some(StorageQuota { needed, available }) = error.quota() {
        let number = |bytes: u64| JsValue::from(bytes as f64);
        let _ = Reflect::set(&object, &"needed".into(), &number(needed));
        let available = available.map_or(JsValue::UNDEFINED, number);
        let _ = Reflect::set(&object, &"available".into(), &available);
    }
    let details = [
        ("status", error.status().map(JsValue::from)),
        ("reason", error.reason().map(|reason| reason.name().into())),
        ("file", error.file().map(JsValue::from)),
        ("tensor", error.tensor().map(JsValue::from)),
    ];
    for (name, value) in details {
        if let Some(value) = value {
            let _ = Reflect::set(&object, &name.into(), &value);
        }
    }
    #[cfg(feature = "webgpu")]
    if error.is_gpu_failure() {
        let _ = Reflect::set(&object, &"gpuFailed".into(), &JsValue::TRUE);
    }
    if let Some(source) = std::error::Error::source(&error) {
        let _ = Reflect::set(
            &object,
            &"cause".into(),
            &js_sys::Error::new(&source.to_string()).into(),
        );
    }
    object.into()
}
