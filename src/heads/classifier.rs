//! A classifier of vectors that returns the probability of its label and the nearest example, and refuses vectors unlike its examples.

use super::evaluation::{HeldOut, Outcome, held_out, threshold};
use super::examples::{Examples, TrainingSet, check};
use super::fitting::{ENOUGH_HELD_OUT, FitOptions, calibrate, fit_head, hold_out, normalized};
use serde_json::{Value, json};

use super::check::check as check_head;
use super::json::{Field, floats, head_to_value};
use super::model::Head;
use crate::error::{Error, Result};
use crate::scheduler::Scheduler;

/// A fitted or imported classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    /// The number of classes.
    pub class_count: usize,
    /// The head, which takes vectors as they come from the embedder.
    pub head: Head,
    /// The examples, where they were kept.
    pub examples: Option<Examples>,
    /// The scores of the examples that were held out from a fit, ascending; thresholds are taken from them.
    pub held_out: Vec<HeldOut>,
}

/// The answer for one vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// The probability of each class.
    pub probabilities: Vec<f64>,
    /// The class that the head predicts.
    pub class: usize,
    /// The probability times the nearest cosine, or the probability where no examples were kept.
    pub score: f64,
    /// The index of the nearest example and its cosine, where examples were kept.
    pub nearest: Option<(usize, f64)>,
}

impl Classifier {
    /// Fits a classifier.
    ///
    /// *Errors*: `Aborted`, `ResourceLimit`.
    pub async fn fit(
        training: TrainingSet,
        options: &FitOptions,
        on_progress: &mut dyn FnMut(f64),
        scheduler: &dyn Scheduler,
    ) -> Result<Self> {
        // One fold at a coarse tolerance takes about half as long as the whole fit, and it saves a part of that.
        let (held, start) = hold_out(
            &training,
            options,
            ENOUGH_HELD_OUT,
            &mut |share| on_progress(share * 0.5),
            scheduler,
        )
        .await?;
        let head = fit_head(
            &training.labelled(),
            options,
            options.tolerance,
            start.as_ref(),
            &mut |share| on_progress(0.5 + share * 0.5),
            scheduler,
        )
        .await?;
        let head = calibrate(head, &held);
        let outcomes: Vec<Outcome> = held.iter().map(|one| one.outcome(&head)).collect();
        on_progress(1.0);
        Ok(Self {
            class_count: training.class_count,
            head: match training.is_normalized {
                true => normalized(head),
                false => head,
            },
            examples: training.is_normalized.then_some(training.examples),
            held_out: held_out(outcomes.iter()),
        })
    }

    /// Reads a classifier from JSON: an object with `classCount`, `head`, and, where they are known, `examples` and `heldOut`.
    ///
    /// *Errors*: `InvalidInput` that names the part which is wrong.
    pub fn from_value(value: &Value) -> Result<Self> {
        let document = Field::new("classifier", value);
        let examples = document.get("examples").optional().map(|examples| {
            Ok(Examples {
                dimensions: examples.get("dimensions").whole()?,
                vectors: examples.get("vectors").floats()?,
                classes: examples
                    .get("classes")
                    .list(|class| class.whole().map(|class| class as u32))?,
            })
        });
        let held_out = document.get("heldOut").optional();
        let classifier = Self {
            class_count: document.get("classCount").whole()?,
            head: document.get("head").head()?,
            examples: examples.transpose()?,
            held_out: held_out.map_or(Ok(Vec::new()), |list| list.list(|one| one.held_out()))?,
        };
        classifier.check()?;
        Ok(classifier)
    }

    /// Returns the JSON that [`from_value`](Self::from_value) reads.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "classCount": self.class_count,
            "head": head_to_value(&self.head),
            "heldOut": self.held_out.iter().map(|one| json!([one.0, one.1])).collect::<Value>(),
        });
        if let Some(examples) = &self.examples {
            value["examples"] = json!({
                "dimensions": examples.dimensions,
                "vectors": floats(&examples.vectors),
                "classes": examples.classes,
            });
        }
        value
    }

    /// Checks that the parts fit each other.
    ///
    /// *Errors*: `InvalidInput` that names the part which is wrong.
    fn check(&self) -> Result<()> {
        check_head(&self.head, self.class_count)?;
        if let Some(examples) = &self.examples {
            check(examples, self.class_count)?;
            if self
                .head
                .dimensions()
                .is_some_and(|dimensions| dimensions != examples.dimensions)
            {
                return Err(Error::invalid_input(
                    "examples have other dimensions than the head",
                ));
            }
        }
        if !self.held_out.is_sorted_by(|a, b| a.0 <= b.0) {
            return Err(Error::invalid_input("heldOut is not sorted by score"));
        }
        Ok(())
    }

    /// The threshold under which a share `rate` of the examples that were held out lies; `None` if too few were.
    pub fn threshold(&self, rate: f64) -> Option<f64> {
        threshold(&self.held_out, rate)
    }

    /// Classifies one vector.
    ///
    /// *Errors*: `InvalidInput` for a vector of another length, or with a value that is no number.
    pub fn classify(&self, vector: &[f32]) -> Result<Classification> {
        let examples = self.examples.as_ref();
        let expected = self.head.dimensions();
        let expected = expected
            .or(examples.map(|examples| examples.dimensions))
            .unwrap_or(vector.len());
        if vector.len() != expected {
            return Err(Error::invalid_input(format!(
                "a vector has {} values, expected {expected}",
                vector.len()
            )));
        }
        if let Some(value) = vector.iter().find(|value| !value.is_finite()) {
            return Err(Error::invalid_input(format!(
                "a vector has the value {value}"
            )));
        }
        let x: Vec<f64> = vector.iter().map(|value| f64::from(*value)).collect();
        let probabilities = self.head.probabilities(&x);
        let class = self.head.predict(&x);
        let probabilities = probabilities.unwrap_or_else(|| {
            (0..self.class_count)
                .map(|one| f64::from(u8::from(one == class)))
                .collect()
        });
        let nearest = examples.and_then(|examples| examples.nearest(&x));
        if !probabilities.iter().all(|p| p.is_finite()) {
            return Err(Error::invalid_input(
                "head: its numbers are too large for a vector: a probability is no number",
            ));
        }
        let probability = probabilities.get(class).copied().unwrap_or_default();
        Ok(Classification {
            score: probability * nearest.map_or(1.0, |(_, cosine)| cosine.max(0.0)),
            probabilities,
            class,
            nearest,
        })
    }
}
