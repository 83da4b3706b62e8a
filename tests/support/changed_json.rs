//! Changes of a classifier's JSON after which it is still JSON, so that they reach the code behind the parser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Returns a random number below the one that is given.
pub type Below<'a> = &'a mut dyn FnMut(usize) -> usize;

/// Values that stand where another one is expected, or that are too large or too small to compute with.
fn odd_values() -> Vec<Value> {
    vec![
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(0.5),
        json!(-0.0),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(1e39),
        json!(65_537),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(null),
        json!(true),
        json!("NaN"),
        json!([]),
        json!({}),
    ]
}

const ODD_NUMBERS: [f64; 9] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e308,
    -1e308,
    1e39,
    5e-324,
    -0.0,
    0.0,
];

/// The paths of all values inside a document.
fn paths(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(members) => {
                open.extend(members.iter().map(|(key, v)| (format!("{path}/{key}"), v)));
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                open.extend(items.map(|(i, v)| (format!("{path}/{i}"), v)));
            }
            _ => {}
        }
        found.push(path);
    }
    found.swap_remove(0);
    found
}

fn any<'a, T>(list: &'a [T], below: Below) -> Option<&'a T> {
    (!list.is_empty()).then(|| &list[below(list.len())])
}

/// Changes a document once; `donors` are others, whose parts may come into it.
pub fn change(document: &mut Value, donors: &[Value], below: Below) {
    let all = paths(document);
    let among = |is: &dyn Fn(&str, &Value) -> bool| -> Vec<String> {
        let found = all.iter().filter(|path| {
            document
                .pointer(path)
                .is_some_and(|value| is(path.rsplit('/').next().unwrap(), value))
        });
        found.cloned().collect()
    };
    let chosen = match below(8) {
        0 => among(&|_, value| value.is_number()),
        1 => among(&|_, value| value.is_object()),
        2 => among(&|_, value| value.get("rows").is_some()),
        3 => among(&|key, _| key == "head"),
        4 => among(&|_, value| value.is_array()),
        5 => among(&|key, _| ["type", "link", "pairwise", "sigmoids"].contains(&key)),
        6 => among(&|key, _| {
            ["classCount", "k", "dimensions", "degree", "counts", "beta"].contains(&key)
        }),
        _ => all.clone(),
    };
    let Some(path) = any(&chosen, below) else {
        return;
    };
    let key = path.rsplit('/').next().unwrap();
    let value = document.pointer_mut(path).unwrap();
    let odd = odd_values();
    match value {
        Value::Object(matrix) if matrix.contains_key("rows") => change_matrix(value, below),
        Value::Object(_) if key == "head" && below(2) == 0 => {
            for _ in 0..=below(12) {
                *value = wrapped(value.take(), below);
            }
        }
        Value::Object(members) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            if let Some(key) = any(&keys, below) {
                match below(3) {
                    0 => members[key] = any(&odd, below).cloned().unwrap_or_default(),
                    _ => drop(members.remove(key)),
                }
            }
        }
        Value::Array(items) => match below(4) {
            0 => items.clear(),
            1 => drop(items.pop()),
            2 => items.extend(items.first().cloned()),
            _ => {
                let at = below(items.len());
                if let Some(item) = items.get_mut(at) {
                    *item = any(&odd, below).cloned().unwrap_or_default();
                }
            }
        },
        _ if below(3) == 0 => {
            // The value under the same name in another document.
            let donor = any(donors, below).cloned().unwrap_or_default();
            let same: Vec<String> = paths(&donor)
                .into_iter()
                .filter(|path| path.rsplit('/').next() == Some(key))
                .collect();
            if let Some(path) = any(&same, below) {
                *value = donor.pointer(path).cloned().unwrap_or_default();
            }
        }
        _ => *value = any(&odd, below).cloned().unwrap_or_default(),
    }
}

/// A head inside another one.
fn wrapped(head: Value, below: Below) -> Value {
    let calibrators = [
        json!({ "type": "temperature", "beta": 1.5 }),
        json!({ "type": "sigmoid", "a": -1.0, "b": 0.0 }),
        json!({ "type": "isotonic", "x": [-1.0, 0.0, 2.0], "y": [0.0, 0.25, 1.0] }),
        json!({ "type": "isotonic", "x": [0.0], "y": [-5.0] }),
    ];
    let one = &calibrators[below(calibrators.len())];
    let calibrators = match one["type"] == "temperature" {
        true => vec![one.clone()],
        false => vec![one.clone(); [1, 2, 5, 10][below(4)]],
    };
    match below(3) {
        0 => json!({ "type": "pipeline", "steps": [{ "type": "normalizer" }], "head": head }),
        1 => json!({ "type": "pipeline", "steps": [{ "type": "scaler" }], "head": head }),
        _ => {
            json!({ "type": "calibrated", "members": [{ "head": head, "calibrators": calibrators }] })
        }
    }
}

/// Changes the size of a matrix, or one of its values.
fn change_matrix(matrix: &mut Value, below: Below) {
    let name = ["f32", "f64"][usize::from(matrix.get("f64").is_some())];
    let size = if name == "f64" { 8 } else { 4 };
    let text = matrix[name].as_str().unwrap_or_default();
    let mut bytes = STANDARD.decode(text).unwrap_or_default();
    let number = ODD_NUMBERS[below(ODD_NUMBERS.len())];
    match below(6) {
        0 => matrix["rows"] = odd_values()[below(14)].clone(),
        1 => matrix["columns"] = odd_values()[below(14)].clone(),
        2 => {
            // The same values in another shape.
            let count = bytes.len() / size;
            let shapes = [
                [1, count],
                [count, 1],
                [0, count],
                [count, 0],
                [2, count / 2],
            ];
            let [rows, columns] = shapes[below(shapes.len())];
            matrix["rows"] = rows.into();
            matrix["columns"] = columns.into();
        }
        3 => bytes.truncate(below(bytes.len() + 1)),
        _ => {
            let start = below(bytes.len() / size) * size;
            if let Some(bytes) = bytes.get_mut(start..start + size) {
                match name {
                    "f64" => bytes.copy_from_slice(&number.to_le_bytes()),
                    _ => bytes.copy_from_slice(&(number as f32).to_le_bytes()),
                }
            }
        }
    }
    matrix[name] = STANDARD.encode(bytes).into();
}

/// The text of a document in which one of its values also stands, under its name, in another object.
pub fn with_a_key_twice(document: &Value, below: Below) -> String {
    let text = document.to_string();
    let starts: Vec<usize> = text.match_indices("{\"").map(|(at, _)| at + 1).collect();
    let objects = paths(document);
    let member = any(&objects, below).and_then(|path| {
        let key = path.rsplit('/').next()?;
        let value = document.pointer(path)?;
        Some(format!("{}:{value},", json!(key)))
    });
    match (any(&starts, below), member) {
        (Some(at), Some(member)) => {
            let (before, after) = text.split_at(*at);
            format!("{before}{member}{after}")
        }
        _ => text,
    }
}
