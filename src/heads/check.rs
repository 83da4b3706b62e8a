//! Checks of heads that were read: the parts fit each other, and any vector of the right dimensions can be classified.

use super::calibration::Calibrator;
use super::model::{Head, Link, Member, Step};
use super::svc::Svc;
use crate::error::{Error, Result};

/// The most heads inside each other: a pipeline in a calibrated member in a pipeline has three.
pub(super) const MAX_DEPTH: usize = 8;
/// The most classes: the number of their pairs fits 32 bits.
const MAX_CLASSES: usize = 1 << 16;

/// Checks that the parts of a head fit each other and `classes` classes.
///
/// *Errors*: `InvalidInput` that names the part which is wrong.
pub fn check(head: &Head, classes: usize) -> Result<()> {
    if !(2..=MAX_CLASSES).contains(&classes) {
        return Err(wrong(format!(
            "expected 2 to {MAX_CLASSES} classes, got {classes}"
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

/// Checks a head at a depth, for vectors of `dimensions` values where that is known from the steps before it.
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
            match (linear.link, linear.coefficients.len()) {
                (Link::Logistic, 2..) => {
                    return Err(wrong(
                        "the link is logistic, expected one row of coefficients",
                    ));
                }
                (Link::Softmax, 1) => {
                    return Err(wrong(
                        "the link is softmax, expected a row of coefficients for each class",
                    ));
                }
                _ => {}
            }
            if linear.link == Link::Softmax && linear.coefficients.len() != classes {
                return Err(wrong(
                    "the link is softmax, expected coefficients for each class",
                ));
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
            // A number of classes that no examples justify would reserve memory for each vector.
            if rows < classes {
                return Err(wrong(format!(
                    "classes has {rows} entries, expected one for each of {classes} classes at least"
                )));
            }
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
            let dimensions = dimensions.or(head.dimensions());
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
    let outputs = member.head.outputs(classes);
    if outputs != classes && (outputs, classes) != (1, 2) {
        return Err(wrong(format!(
            "a member has {outputs} decision values, expected one for each of {classes} classes"
        )));
    }
    if let [Calibrator::Temperature { beta }] = *member.calibrators {
        return finite("a temperature", [beta]);
    }
    same("calibrators", member.calibrators.len(), outputs)?;
    for calibrator in &member.calibrators {
        match calibrator {
            Calibrator::Sigmoid { a, b } => finite("a sigmoid", [*a, *b])?,
            Calibrator::Isotonic { x, y } => {
                same("y of an isotonic calibrator", y.len(), x.len())?;
                finite("an isotonic calibrator", x.iter().chain(y).copied())?;
                // A mean of noughts and ones may be above 1 in its last bit.
                if y.iter().any(|y| !(0.0..=1.0 + 1e-9).contains(y)) {
                    return Err(wrong("y of an isotonic calibrator is outside of 0 to 1"));
                }
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
    let pairs = classes.saturating_mul(classes - 1) / 2;
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
