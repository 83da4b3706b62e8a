//! JSON documents as JavaScript values: JavaScript parses and writes the text, every digit of a number included.

use js_sys::{Array, Object};
use serde_json::{Map, Number, Value};
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{Error, Result};
use crate::interop::{message_of, object};

/// The most arrays and objects inside each other: enough for any document, and few enough for the stack.
const MAX_DEPTH: usize = 64;

/// Reads a value as `JSON.parse` returns it; `name` is that of the document.
///
/// *Errors*: `InvalidInput` for a value that JSON does not have, and for too many levels, such as those of an object that is in itself.
pub(super) fn to_value(name: &str, value: &JsValue) -> Result<Value> {
    read(name, value, MAX_DEPTH)
}

/// Reads a value that may have `depth` levels.
fn read(name: &str, value: &JsValue, depth: usize) -> Result<Value> {
    let wrong = |what: &str| Error::invalid_input(format!("{name}: {what}"));
    if value.is_null() || value.is_undefined() {
        return Ok(Value::Null);
    }
    if let Some(flag) = value.as_bool() {
        return Ok(flag.into());
    }
    if let Some(number) = value.as_f64() {
        return match number.trunc() == number && number.abs() < 9e15 {
            true => Ok((number as i64).into()),
            false => Number::from_f64(number)
                .map(Value::Number)
                .ok_or_else(|| wrong(&format!("a number is {number}, expected a finite one"))),
        };
    }
    if let Some(text) = value.as_string() {
        return Ok(text.into());
    }
    if !value.is_object() {
        let kind = value.js_typeof().as_string().unwrap_or_default();
        return Err(wrong(&format!(
            "a value is a {kind}, which JSON does not have"
        )));
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err(wrong(&format!("more than {MAX_DEPTH} levels")));
    };
    if let Some(items) = value.dyn_ref::<Array>() {
        return items.iter().map(|item| read(name, &item, depth)).collect();
    }
    let mut members = Map::new();
    for key in Object::keys(value.unchecked_ref::<Object>()) {
        let member =
            js_sys::Reflect::get(value, &key).map_err(|thrown| wrong(&message_of(&thrown)))?;
        let key = key.as_string().unwrap_or_default();
        members.insert(key, read(name, &member, depth)?);
    }
    Ok(Value::Object(members))
}

/// Makes the value that `JSON.parse` would return.
pub(super) fn from_value(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => number.as_f64().into(),
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(from_value).collect::<Array>().into(),
        Value::Object(members) => object(
            members
                .iter()
                .map(|(name, value)| (name.as_str(), from_value(value))),
        ),
    }
}
