//! Heads as JSON. Numbers in bulk are base64 of their little-endian bytes, in f32 where that loses nothing.
//!
//! Values are read and written by hand: derived code for these types takes three times the space.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::calibration::Calibrator;
use super::classifier::HeldOut;
use super::model::{Head, Linear, Link, Member, Step};
use super::nearest::Neighbours;
use super::svc::{Kernel, Svc};
use crate::error::{Error, Result};

/// The most heads inside each other that are read: more than any head has, and few enough for the stack.
const MAX_DEPTH: usize = 16;

/// A value, and its name for messages.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'a str,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// A whole document.
    pub fn new(name: &'a str, value: &'a Value) -> Self {
        Self { name, value }
    }

    fn wrong(&self, expected: &str) -> Error {
        let got = match self.value {
            Value::Null => "null or missing".into(),
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::String(text) => format!("'{}'", text.chars().take(40).collect::<String>()),
            Value::Array(_) => "an array".into(),
            Value::Object(_) => "an object".into(),
        };
        Error::invalid_input(format!("{}: expected {expected}, got {got}", self.name))
    }

    /// The member with a name; `Null` where it is missing.
    pub fn get(&self, name: &'a str) -> Self {
        let value = self.value.get(name).unwrap_or(&Value::Null);
        Self { name, value }
    }

    /// `None` where it is missing.
    pub fn optional(self) -> Option<Self> {
        (!self.value.is_null()).then_some(self)
    }

    fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    fn number(&self) -> Result<f64> {
        self.value.as_f64().ok_or_else(|| self.wrong("a number"))
    }

    fn flag(&self) -> Result<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.wrong("true or false"))
    }

    /// An integer from 0 on that fits 32 bits.
    pub fn whole(&self) -> Result<usize> {
        let whole = self
            .value
            .as_u64()
            .and_then(|value| u32::try_from(value).ok());
        whole
            .map(|value| value as usize)
            .ok_or_else(|| self.wrong("a whole number"))
    }

    /// The items of an array, read one by one.
    pub fn list<T>(&self, read: impl FnMut(Self) -> Result<T>) -> Result<Vec<T>> {
        let items = self
            .value
            .as_array()
            .ok_or_else(|| self.wrong("an array"))?;
        let name = self.name;
        items
            .iter()
            .map(|value| Self { name, value })
            .map(read)
            .collect()
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        self.list(|item| item.number())
    }

    fn pair(&self) -> Result<[f64; 2]> {
        self.numbers()?
            .try_into()
            .map_err(|_| self.wrong("two numbers"))
    }

    /// All values of a matrix and the number of its columns.
    fn matrix(&self) -> Result<(Vec<f64>, usize)> {
        if !self.value.is_object() {
            return Err(self.wrong("a matrix with rows, columns, and f32 or f64"));
        }
        let [rows, columns] = [self.get("rows").whole()?, self.get("columns").whole()?];
        let texts = ["f32", "f64"].map(|name| self.get(name).optional());
        let (text, wide) = match texts {
            [Some(text), None] => (text, false),
            [None, Some(text)] => (text, true),
            _ => return Err(self.wrong("a matrix with either f32 or f64")),
        };
        let bytes = STANDARD.decode(text.text()?).map_err(|error| {
            Error::invalid_input(format!("{}: is not base64: {error}", self.name))
        })?;
        let size = if wide { 8 } else { 4 };
        if rows
            .checked_mul(columns)
            .and_then(|count| count.checked_mul(size))
            != Some(bytes.len())
        {
            return Err(Error::invalid_input(format!(
                "{}: a matrix of {rows} rows and {columns} columns has {} bytes",
                self.name,
                bytes.len()
            )));
        }
        let values: Vec<f64> = match wide {
            true => bytes
                .as_chunks()
                .0
                .iter()
                .map(|eight| f64::from_le_bytes(*eight))
                .collect(),
            false => bytes
                .as_chunks()
                .0
                .iter()
                .map(|four| f64::from(f32::from_le_bytes(*four)))
                .collect(),
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(Error::invalid_input(format!(
                "{}: a matrix has the value {value}",
                self.name
            ))),
            None => Ok((values, columns)),
        }
    }

    fn rows(&self) -> Result<Vec<Vec<f64>>> {
        let (values, columns) = self.matrix()?;
        Ok(values.chunks(columns.max(1)).map(<[f64]>::to_vec).collect())
    }

    /// The values of a matrix in f32.
    pub fn floats(&self) -> Result<Vec<f32>> {
        let values: Vec<f32> = (self.matrix()?.0.into_iter())
            .map(|value| value as f32)
            .collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(Error::invalid_input(format!(
                "{}: a matrix has a value that is too large for f32",
                self.name
            ))),
        }
    }

    /// Reads `[score, is right]`.
    pub fn held_out(&self) -> Result<HeldOut> {
        match self.value.as_array().map(Vec::as_slice) {
            Some([score, right]) => {
                let [score, right] = [score, right].map(|value| Self::new(self.name, value));
                let score = score.number()? as f32;
                match score.is_finite() {
                    true => Ok(HeldOut(score, right.flag()?)),
                    false => Err(self.wrong("a finite score")),
                }
            }
            _ => Err(self.wrong("a score and whether it is right")),
        }
    }

    /// Reads a head, without checking that its parts fit each other.
    ///
    /// *Errors*: `InvalidInput` that names the part which is wrong.
    pub fn head(&self) -> Result<Head> {
        self.head_at(0)
    }

    fn head_at(&self, depth: usize) -> Result<Head> {
        if depth > MAX_DEPTH {
            return Err(Error::invalid_input(format!(
                "head: more than {MAX_DEPTH} heads inside each other"
            )));
        }
        let kind = self.get("type");
        Ok(match kind.text()? {
            "linear" => Head::Linear(Linear {
                coefficients: self.get("coefficients").rows()?,
                intercepts: self.get("intercepts").numbers()?,
                link: self.get("link").link()?,
            }),
            "svc" => Head::Svc(self.svc()?),
            "neighbours" => Head::Neighbours(Neighbours {
                k: self.get("k").whole()?,
                dimensions: self.get("dimensions").whole()?,
                vectors: self.get("vectors").floats()?,
                classes: self
                    .get("classes")
                    .list(|class| class.whole().map(|class| class as u32))?,
                class_count: self.get("classCount").whole()?,
            }),
            "pipeline" => Head::Pipeline {
                steps: self.get("steps").list(|step| step.step())?,
                head: Box::new(self.get("head").head_at(depth + 1)?),
            },
            "calibrated" => Head::Calibrated {
                members: self.get("members").list(|member| {
                    Ok(Member {
                        head: member.get("head").head_at(depth + 1)?,
                        calibrators: member.get("calibrators").list(|one| one.calibrator())?,
                    })
                })?,
            },
            _ => return Err(kind.wrong("linear, svc, neighbours, pipeline or calibrated")),
        })
    }

    fn link(&self) -> Result<Link> {
        Ok(match self.text()? {
            "none" => Link::None,
            "logistic" => Link::Logistic,
            "softmax" => Link::Softmax,
            _ => return Err(self.wrong("none, logistic or softmax")),
        })
    }

    fn svc(&self) -> Result<Svc> {
        let sigmoids = self.get("sigmoids").optional();
        let pairwise = self.get("pairwise").optional();
        Ok(Svc {
            kernel: self.get("kernel").kernel()?,
            vectors: self.get("vectors").rows()?,
            counts: self.get("counts").list(|count| count.whole())?,
            dual: self.get("dual").rows()?,
            rho: self.get("rho").numbers()?,
            sigmoids: sigmoids.map(|all| all.list(|one| one.pair())).transpose()?,
            pairwise: pairwise.map_or(Ok(false), |one| one.flag())?,
        })
    }

    fn kernel(&self) -> Result<Kernel> {
        let kind = self.get("type");
        let [gamma, constant] = [self.get("gamma"), self.get("constant")];
        Ok(match kind.text()? {
            "linear" => Kernel::Linear,
            "rbf" => Kernel::Rbf {
                gamma: gamma.number()?,
            },
            "poly" => Kernel::Poly {
                gamma: gamma.number()?,
                constant: constant.number()?,
                degree: self.get("degree").whole()? as u32,
            },
            "sigmoid" => Kernel::Sigmoid {
                gamma: gamma.number()?,
                constant: constant.number()?,
            },
            _ => return Err(kind.wrong("linear, rbf, poly or sigmoid")),
        })
    }

    fn step(&self) -> Result<Step> {
        let kind = self.get("type");
        let numbers = |name: &'a str| {
            self.get(name)
                .optional()
                .map(|values| values.numbers())
                .transpose()
        };
        Ok(match kind.text()? {
            "normalizer" => Step::Normalizer,
            "scaler" => Step::Scaler {
                mean: numbers("mean")?,
                scale: numbers("scale")?,
            },
            _ => return Err(kind.wrong("scaler or normalizer")),
        })
    }

    fn calibrator(&self) -> Result<Calibrator> {
        let kind = self.get("type");
        Ok(match kind.text()? {
            "sigmoid" => Calibrator::Sigmoid {
                a: self.get("a").number()?,
                b: self.get("b").number()?,
            },
            "isotonic" => Calibrator::Isotonic {
                x: self.get("x").numbers()?,
                y: self.get("y").numbers()?,
            },
            "temperature" => Calibrator::Temperature {
                beta: self.get("beta").number()?,
            },
            _ => return Err(kind.wrong("sigmoid, isotonic or temperature")),
        })
    }
}

/// Writes a head. All its numbers are finite: JSON has no others.
pub(super) fn head_to_value(head: &Head) -> Value {
    match head {
        Head::Linear(linear) => json!({
            "type": "linear",
            "coefficients": matrix(&linear.coefficients),
            "intercepts": linear.intercepts,
            "link": match linear.link {
                Link::None => "none",
                Link::Logistic => "logistic",
                Link::Softmax => "softmax",
            },
        }),
        Head::Svc(svc) => {
            let mut value = json!({
                "type": "svc",
                "kernel": kernel(&svc.kernel),
                "vectors": matrix(&svc.vectors),
                "counts": svc.counts,
                "dual": matrix(&svc.dual),
                "rho": svc.rho,
                "pairwise": svc.pairwise,
            });
            if let Some(sigmoids) = &svc.sigmoids {
                value["sigmoids"] = sigmoids
                    .iter()
                    .map(|pair| Value::from(pair.to_vec()))
                    .collect();
            }
            value
        }
        Head::Neighbours(neighbours) => json!({
            "type": "neighbours",
            "k": neighbours.k,
            "dimensions": neighbours.dimensions,
            "vectors": floats(&neighbours.vectors),
            "classes": neighbours.classes,
            "classCount": neighbours.class_count,
        }),
        Head::Pipeline { steps, head } => json!({
            "type": "pipeline",
            "steps": steps.iter().map(step).collect::<Value>(),
            "head": head_to_value(head),
        }),
        Head::Calibrated { members } => json!({
            "type": "calibrated",
            "members": members.iter().map(member).collect::<Value>(),
        }),
    }
}

fn member(member: &Member) -> Value {
    let calibrators = member
        .calibrators
        .iter()
        .map(|calibrator| match calibrator {
            Calibrator::Sigmoid { a, b } => json!({ "type": "sigmoid", "a": a, "b": b }),
            Calibrator::Isotonic { x, y } => json!({ "type": "isotonic", "x": x, "y": y }),
            Calibrator::Temperature { beta } => json!({ "type": "temperature", "beta": beta }),
        });
    json!({ "head": head_to_value(&member.head), "calibrators": calibrators.collect::<Value>() })
}

fn kernel(kernel: &Kernel) -> Value {
    match kernel {
        Kernel::Linear => json!({ "type": "linear" }),
        Kernel::Rbf { gamma } => json!({ "type": "rbf", "gamma": gamma }),
        Kernel::Poly {
            gamma,
            constant,
            degree,
        } => json!({ "type": "poly", "gamma": gamma, "constant": constant, "degree": degree }),
        Kernel::Sigmoid { gamma, constant } => {
            json!({ "type": "sigmoid", "gamma": gamma, "constant": constant })
        }
    }
}

fn step(step: &Step) -> Value {
    match step {
        Step::Normalizer => json!({ "type": "normalizer" }),
        Step::Scaler { mean, scale } => {
            let mut members = Map::new();
            members.insert("type".into(), "scaler".into());
            for (name, values) in [("mean", mean), ("scale", scale)] {
                if let Some(values) = values {
                    members.insert(name.into(), values.clone().into());
                }
            }
            Value::Object(members)
        }
    }
}

fn matrix(rows: &[Vec<f64>]) -> Value {
    let values: Vec<f64> = rows.iter().flatten().copied().collect();
    bulk(&values, rows.len(), rows.first().map_or(0, Vec::len))
}

/// Writes values in f32 as a matrix of one row.
pub(super) fn floats(values: &[f32]) -> Value {
    let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
    bulk(&values, 1, values.len())
}

fn bulk(values: &[f64], rows: usize, columns: usize) -> Value {
    let is_narrow = |value: &f64| f64::from(*value as f32).to_bits() == value.to_bits();
    let (name, bytes): (&str, Vec<u8>) = match values.iter().all(is_narrow) {
        true => (
            "f32",
            values
                .iter()
                .flat_map(|value| (*value as f32).to_le_bytes())
                .collect(),
        ),
        false => (
            "f64",
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
    };
    json!({ "rows": rows, "columns": columns, name: STANDARD.encode(bytes) })
}
