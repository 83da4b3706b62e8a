//! Reading and making JavaScript values.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

/// A property of an object; `None` where it is absent, `undefined` or `null`, or where `object` is no object.
pub(crate) fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

/// A plain object with these properties.
pub(crate) fn object<'a>(entries: impl IntoIterator<Item = (&'a str, JsValue)>) -> JsValue {
    let object = Object::new().into();
    for (name, value) in entries {
        set(&object, name, &value);
    }
    object
}

/// Sets a property of an object that was made here. On a fresh, extensible object this cannot fail.
pub(crate) fn set(object: &JsValue, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

/// The message of a thrown value. It need not be an instance of this realm's `Error`, nor an `Error` at all.
pub(crate) fn message_of(thrown: &JsValue) -> String {
    let message = get(thrown, "message").and_then(|message| message.as_string());
    message.or_else(|| thrown.as_string()).unwrap_or_else(|| {
        let kind = thrown.js_typeof().as_string().unwrap_or_default();
        format!("{kind} was thrown")
    })
}
