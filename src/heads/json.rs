//! Heads as JSON. Numbers in bulk are base64 of their little-endian bytes, in f32 where that loses nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::calibration::Calibrator;
use super::model::{Head, Link, Member, Step};
use super::svc::Svc;
use crate::error::{Error, Result};

/// The most heads inside each other: a pipeline in a calibrated member in a pipeline has three.
const MAX_DEPTH: usize = 8;

#[derive(Serialize, Deserialize)]
struct Bulk {
    rows: usize,
    columns: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    f32: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    f64: Option<String>,
}

/// A matrix of f64 for `#[serde(with)]`.
pub(super) mod matrix {
    use super::*;

    pub fn serialize<S: Serializer>(rows: &[Vec<f64>], serializer: S) -> Result<S::Ok, S::Error> {
        let values: Vec<f64> = rows.iter().flatten().copied().collect();
        let columns = rows.first().map_or(0, Vec::len);
        encode(&values, rows.len(), columns).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<f64>>, D::Error> {
        let bulk = Bulk::deserialize(deserializer)?;
        let values = decode(&bulk).map_err(D::Error::custom)?;
        Ok(match bulk.columns {
            0 => vec![Vec::new(); bulk.rows.min(1)],
            columns => values.chunks(columns).map(<[f64]>::to_vec).collect(),
        })
    }
}

/// A list of f32 for `#[serde(with)]`.
pub(super) mod list {
    use super::*;

    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
        encode(&values, 1, values.len()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let values = decode(&Bulk::deserialize(deserializer)?).map_err(D::Error::custom)?;
        Ok(values.into_iter().map(|value| value as f32).collect())
    }
}

fn encode(values: &[f64], rows: usize, columns: usize) -> Bulk {
    let narrow = values
        .iter()
        .all(|value| f64::from(*value as f32).to_bits() == value.to_bits());
    let bytes: Vec<u8> = match narrow {
        true => values
            .iter()
            .flat_map(|value| (*value as f32).to_le_bytes())
            .collect(),
        false => values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    };
    let text = STANDARD.encode(bytes);
    let (f32, f64) = if narrow {
        (Some(text), None)
    } else {
        (None, Some(text))
    };
    Bulk {
        rows,
        columns,
        f32,
        f64,
    }
}

/// The values, or what is wrong with them.
fn decode(bulk: &Bulk) -> std::result::Result<Vec<f64>, String> {
    let bytes = |text: &String| {
        STANDARD
            .decode(text)
            .map_err(|error| format!("is not base64: {error}"))
    };
    let (values, rest): (Vec<f64>, usize) = match (&bulk.f32, &bulk.f64) {
        (Some(text), None) => {
            let bytes = bytes(text)?;
            let (fours, rest) = bytes.as_chunks();
            (
                fours
                    .iter()
                    .map(|four| f64::from(f32::from_le_bytes(*four)))
                    .collect(),
                rest.len(),
            )
        }
        (None, Some(text)) => {
            let bytes = bytes(text)?;
            let (eights, rest) = bytes.as_chunks();
            (
                eights
                    .iter()
                    .map(|eight| f64::from_le_bytes(*eight))
                    .collect(),
                rest.len(),
            )
        }
        _ => return Err("a matrix needs either f32 or f64".into()),
    };
    if rest != 0 || bulk.rows.checked_mul(bulk.columns) != Some(values.len()) {
        return Err(format!(
            "a matrix of {} rows and {} columns has {} values",
            bulk.rows,
            bulk.columns,
            values.len()
        ));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("a matrix has the value {value}")),
        None => Ok(values),
    }
}

/// Reads a head for `classes` classes and checks it: a head that is returned can classify any vector of its dimensions.
///
/// *Errors*: `InvalidInput` that names the part which is wrong.
pub fn from_json(json: &str, classes: usize) -> Result<Head> {
    let head: Head = serde_json::from_str(json)
        .map_err(|error| Error::invalid_input(format!("head: {error}")).with_source(error))?;
    check(&head, classes)?;
    Ok(head)
}

/// Checks that the parts of a head fit each other and `classes` classes.
///
/// *Errors*: `InvalidInput` that names the part which is wrong.
pub fn check(head: &Head, classes: usize) -> Result<()> {
    if classes < 2 {
        return Err(wrong(format!(
            "expected two classes at least, got {classes}"
        )));
    }
    check_head(head, classes, None, 0)
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::invalid_input(format!("head: {what}"))
}

fn same(what: &str, got: usize, expected: usize) -> Result<()> {
    match got == expected {
        true => Ok(()),
        false => Err(wrong(format!(
            "{what} has {got} entries, expected {expected}"
        ))),
    }
}

fn finite(what: &str, values: impl IntoIterator<Item = f64>) -> Result<()> {
    match values.into_iter().find(|value| !value.is_finite()) {
        Some(value) => Err(wrong(format!("{what} has the value {value}"))),
        None => Ok(()),
    }
}

/// `dimensions` are those of the vectors that come out of the steps before, where they are known.
fn check_head(head: &Head, classes: usize, dimensions: Option<usize>, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(wrong(format!(
            "more than {MAX_DEPTH} heads inside each other"
        )));
    }
    if let (Some(expected), Some(got)) = (dimensions, head.dimensions()) {
        same("a vector", got, expected)?;
    }
    match head {
        Head::Linear(linear) => {
            let outputs = if classes == 2 { 1 } else { classes };
            // Cosines to two prototypes are two values.
            let both = classes == 2 && linear.coefficients.len() == 2;
            if !both {
                same("coefficients", linear.coefficients.len(), outputs)?;
            }
            if linear.coefficients.first().is_none_or(Vec::is_empty) {
                return Err(wrong("coefficients are empty"));
            }
            if linear.link == Link::Logistic && linear.coefficients.len() != 1 {
                return Err(wrong("the link is logistic, expected two classes"));
            }
            same(
                "intercepts",
                linear.intercepts.len(),
                linear.coefficients.len(),
            )?;
            finite("intercepts", linear.intercepts.iter().copied())
        }
        Head::Svc(svc) => check_svc(svc, classes),
        Head::Neighbours(neighbours) => {
            if neighbours.k == 0 || neighbours.dimensions == 0 {
                return Err(wrong("k or dimensions is 0"));
            }
            same("class_count", neighbours.class_count, classes)?;
            let rows = neighbours.classes.len();
            let values = rows.checked_mul(neighbours.dimensions);
            same(
                "vectors",
                neighbours.vectors.len(),
                values.unwrap_or(usize::MAX),
            )?;
            match neighbours
                .classes
                .iter()
                .find(|class| **class as usize >= classes)
            {
                Some(class) => Err(wrong(format!(
                    "classes has the value {class}, expected less than {classes}"
                ))),
                None => Ok(()),
            }
        }
        Head::Pipeline { steps, head: inner } => {
            let mut dimensions = dimensions;
            for step in steps {
                let Step::Scaler { mean, scale } = step else {
                    continue;
                };
                for values in [mean, scale].into_iter().flatten() {
                    same("a scaler", values.len(), dimensions.unwrap_or(values.len()))?;
                    dimensions = Some(values.len());
                    finite("a scaler", values.iter().copied())?;
                }
                if scale.iter().flatten().any(|value| *value == 0.0) {
                    return Err(wrong("a scaler divides by 0"));
                }
            }
            check_head(inner, classes, dimensions, depth + 1)
        }
        Head::Calibrated { members } => {
            if members.is_empty() {
                return Err(wrong("members are empty"));
            }
            members
                .iter()
                .try_for_each(|member| check_member(member, classes, dimensions, depth))
        }
    }
}

fn check_member(
    member: &Member,
    classes: usize,
    dimensions: Option<usize>,
    depth: usize,
) -> Result<()> {
    check_head(&member.head, classes, dimensions, depth + 1)?;
    if let [Calibrator::Temperature { beta }] = *member.calibrators {
        return finite("a temperature", [beta]);
    }
    same(
        "calibrators",
        member.calibrators.len(),
        member.head.outputs(classes),
    )?;
    for calibrator in &member.calibrators {
        match calibrator {
            Calibrator::Sigmoid { a, b } => finite("a sigmoid", [*a, *b])?,
            Calibrator::Isotonic { x, y } => {
                same("y of an isotonic calibrator", y.len(), x.len())?;
                finite("an isotonic calibrator", x.iter().chain(y).copied())?;
                if x.is_empty() || !x.is_sorted_by(|a, b| a < b) {
                    return Err(wrong(
                        "x of an isotonic calibrator is empty or does not ascend",
                    ));
                }
            }
            Calibrator::Temperature { .. } => return Err(wrong("a temperature is not alone")),
        }
    }
    Ok(())
}

fn check_svc(svc: &Svc, classes: usize) -> Result<()> {
    let rows = svc.vectors.len();
    let pairs = classes * (classes - 1) / 2;
    same("counts", svc.counts.len(), classes)?;
    let sum = svc
        .counts
        .iter()
        .try_fold(0usize, |sum, count| sum.checked_add(*count));
    same("vectors", rows, sum.unwrap_or(usize::MAX))?;
    same("dual", svc.dual.len(), classes - 1)?;
    for row in &svc.dual {
        same("a row of dual", row.len(), rows)?;
    }
    same("rho", svc.rho.len(), pairs)?;
    finite("rho", svc.rho.iter().copied())?;
    if let Some(sigmoids) = &svc.sigmoids {
        same("sigmoids", sigmoids.len(), pairs)?;
        finite("sigmoids", sigmoids.iter().flatten().copied())?;
    }
    match svc.vectors.first().is_none_or(Vec::is_empty) {
        true => Err(wrong("vectors are empty")),
        false => svc.kernel.check(),
    }
}
