//! Fitting a head of any kind, and finding out by held-out examples how sure it may be.

use super::calibration::{Calibrator, platt, temperature};
use super::evaluation::{MIN_HELD_OUT, Outcome};
use super::examples::{TrainingSet, nearest_cosines};
use super::folds::stratified;
use super::model::{Head, Linear, Member, Step, first_largest};
use super::nearest::{Neighbours, prototypes};
use super::{Fit, Labelled, linear_svm, logistic, rbf_svm};
use crate::error::{Error, Result};
use crate::scheduler::Scheduler;

/// The number of folds by which a fit and an evaluation hold out examples.
pub const FOLDS: usize = 5;
/// The held-out examples that suffice for the temperature and for thresholds: the standard error of a rate of 5 % is then 0.5 %.
pub(super) const ENOUGH_HELD_OUT: usize = 2000;
/// The inverse temperature of a head whose examples are too few to find it: that of a logistic head for ten examples of each of the 77
/// classes of banking77.
const USUAL_BETA: f64 = 3.0;
/// The least tolerance of logistic fits whose only use is a score of the examples that were held out. Ten times less moves no rate of refusal
/// by 0.2 points.
const COARSE: f64 = 3e-4;

/// The kinds of heads that can be fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// Multinomial logistic regression.
    Logistic,
    /// Linear support vector machines.
    LinearSvm,
    /// Support vector machines with a Gaussian kernel.
    RbfSvm,
    /// The mean of each class.
    Prototype,
    /// The nearest examples.
    Knn,
}

impl HeadKind {
    const ALL: [(&'static str, Self); 5] = [
        ("logistic", Self::Logistic),
        ("linear-svm", Self::LinearSvm),
        ("rbf-svm", Self::RbfSvm),
        ("prototype", Self::Prototype),
        ("knn", Self::Knn),
    ];

    /// Finds a kind by its name.
    ///
    /// *Errors*: `InvalidInput` listing the names.
    pub fn from_name(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(one, _)| *one == name);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| format!("'{name}'")).join(", ");
            Error::invalid_input(format!("head is '{name}', expected one of {names}"))
        })
    }

    /// The stable name.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}

/// The options of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// The kind of head.
    pub head: HeadKind,
    /// The weight of errors against the penalty; `None` for the default of the head: 10, or 1 for `LinearSvm`.
    pub c: Option<f64>,
    /// γ of the Gaussian kernel; `None` for scikit-learn's `scale`.
    pub gamma: Option<f64>,
    /// The number of neighbours of `Knn`.
    pub k: usize,
    /// The tolerance at which a fit ends; `None` for the default of the head.
    pub tolerance: Option<f64>,
    /// Determines the folds, and the order in which examples are visited.
    pub seed: u64,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            head: HeadKind::Logistic,
            c: None,
            gamma: None,
            k: 5,
            tolerance: None,
            seed: 0,
        }
    }
}

/// A head that was fitted to normalized vectors, for vectors of any length.
pub(super) fn normalized(head: Head) -> Head {
    Head::Pipeline {
        steps: vec![Step::Normalizer],
        head: Box::new(head),
    }
}

/// Fits the head itself, to normalized vectors and without calibration.
///
/// `start` is where a logistic head begins instead of zero.
pub(super) async fn fit_head(
    examples: &Labelled<'_>,
    options: &FitOptions,
    tolerance: Option<f64>,
    start: Option<&Linear>,
    on_progress: &mut dyn FnMut(f64),
    scheduler: &dyn Scheduler,
) -> Result<Head> {
    let mut fit = Fit::new(on_progress);
    Ok(match options.head {
        HeadKind::Logistic => {
            let mut own = logistic::LogisticOptions::default();
            own.c = options.c.unwrap_or(own.c);
            own.tolerance = tolerance.unwrap_or(own.tolerance);
            Head::Linear(logistic::fit(examples, &own, start, &mut fit, scheduler).await?)
        }
        HeadKind::LinearSvm => {
            let mut own = linear_svm::LinearSvmOptions::default();
            own.c = options.c.unwrap_or(own.c);
            own.tolerance = tolerance.unwrap_or(own.tolerance);
            own.seed = options.seed;
            Head::Linear(linear_svm::fit(examples, &own, &mut fit, scheduler).await?)
        }
        HeadKind::RbfSvm => {
            let mut own = rbf_svm::RbfSvmOptions::default();
            own.c = options.c.unwrap_or(own.c);
            own.gamma = options.gamma;
            own.tolerance = tolerance.unwrap_or(own.tolerance);
            own.seed = options.seed;
            let probabilities = examples.class_count > 2;
            Head::Svc(rbf_svm::fit(examples, &own, probabilities, &mut fit, scheduler).await?)
        }
        HeadKind::Prototype => {
            let Labelled {
                vectors,
                dimensions,
                classes,
                class_count,
            } = *examples;
            Head::Linear(prototypes(vectors, dimensions, classes, class_count))
        }
        HeadKind::Knn => Head::Neighbours(Neighbours {
            k: options.k.clamp(1, examples.classes.len()),
            dimensions: examples.dimensions,
            vectors: examples.vectors.to_vec(),
            classes: examples.classes.to_vec(),
            class_count: examples.class_count,
        }),
    })
}

/// A held-out example, with the results of a head that was fitted without it.
pub(super) struct Held {
    /// The index of the example.
    item: usize,
    /// The right class of the example.
    class: u32,
    /// The decision values of the head.
    decisions: Vec<f64>,
    /// The probabilities that a head has without a calibrator, and the class that it predicts.
    own: Option<(Vec<f64>, usize)>,
    /// The largest cosine with an example that the head was fitted to.
    cosine: f64,
}

impl Held {
    /// Calibrates the decisions as `head` does, and returns the prediction that results. A head without a calibrator keeps the
    /// probabilities of its own.
    pub(super) fn outcome(&self, head: &Head) -> Outcome {
        let member = match head {
            Head::Calibrated { members } => members.first(),
            _ => None,
        };
        let (probabilities, predicted) = match (member, &self.own) {
            (Some(member), _) => {
                let probabilities = member.calibrate(self.decisions.clone());
                let predicted = first_largest(&probabilities);
                (probabilities, predicted)
            }
            (None, Some(own)) => own.clone(),
            (None, None) => (Vec::new(), 0),
        };
        let probability = probabilities.get(predicted).copied().unwrap_or_default();
        Outcome {
            class: self.class,
            predicted: predicted as u32,
            probability,
            score: probability * self.cosine.max(0.0),
        }
    }
}

/// Fits heads on all folds but one, and lets them decide about that one, until `enough` examples were held out. Returns the mean of
/// these heads too where they are linear.
pub(super) async fn hold_out(
    training: &TrainingSet,
    options: &FitOptions,
    enough: usize,
    on_progress: &mut dyn FnMut(f64),
    scheduler: &dyn Scheduler,
) -> Result<(Vec<Held>, Option<Linear>)> {
    let examples = &training.labelled();
    let folds = stratified(
        examples.classes,
        examples.class_count,
        FOLDS,
        &training.is_label_text,
        options.seed,
    );
    let total = folds.iter().flatten().count();
    let mut all = Vec::new();
    let mut heads = Vec::new();
    if total < MIN_HELD_OUT {
        return Ok((all, None));
    }
    for fold in 0..FOLDS {
        if all.len() >= enough {
            break;
        }
        let (held, taken): (Vec<usize>, Vec<usize>) =
            (0..folds.len()).partition(|i| folds[*i] == Some(fold));
        if held.is_empty() {
            continue;
        }
        let vectors = examples.rows(&taken)?;
        let classes: Vec<u32> = taken.iter().map(|i| examples.classes[*i]).collect();
        let part = Labelled {
            vectors: &vectors,
            classes: &classes,
            ..*examples
        };
        let before = all.len() as f64 / total.min(enough) as f64;
        let size = held.len() as f64 / total.min(enough) as f64;
        let mut report = |share: f64| on_progress((before + share * size).min(1.0));
        let tolerance = match options.head {
            HeadKind::Logistic => Some(options.tolerance.unwrap_or(COARSE).max(COARSE)),
            _ => options.tolerance,
        };
        let head = fit_head(&part, options, tolerance, None, &mut report, scheduler).await?;
        let rows = examples.rows(&held)?;
        let cosines = match training.is_normalized {
            true => nearest_cosines(&rows, &vectors, examples.dimensions, scheduler).await?,
            false => vec![1.0; held.len()],
        };
        for (i, cosine) in held.into_iter().zip(cosines) {
            if all.len() % 64 == 0 {
                scheduler.yield_now().await?;
            }
            let x: Vec<f64> = examples
                .row(i)
                .iter()
                .map(|value| f64::from(*value))
                .collect();
            all.push(Held {
                item: i,
                class: examples.classes[i],
                decisions: head.decisions(&x),
                own: head
                    .probabilities(&x)
                    .map(|probabilities| (probabilities, head.predict(&x))),
                cosine,
            });
        }
        if let Head::Linear(head) = head {
            heads.push(head);
        }
    }
    Ok((all, mean(&heads)))
}

/// The mean of linear heads; `None` of none.
fn mean(heads: &[Linear]) -> Option<Linear> {
    let (first, others) = heads.split_first()?;
    let mut mean = first.clone();
    let add = |sums: &mut [f64], values: &[f64]| {
        sums.iter_mut()
            .zip(values)
            .for_each(|(sum, value)| *sum += value);
    };
    for head in others {
        add(&mut mean.intercepts, &head.intercepts);
        let rows = mean.coefficients.iter_mut().zip(&head.coefficients);
        rows.for_each(|(sums, values)| add(sums, values));
    }
    let count = heads.len() as f64;
    let values = mean
        .coefficients
        .iter_mut()
        .flatten()
        .chain(&mut mean.intercepts);
    values.for_each(|value| *value /= count);
    Some(mean)
}

/// Gives a head the calibrator that suits it, found from the decisions of examples that were held out.
pub(super) fn calibrate(head: Head, held: &[Held]) -> Head {
    if let Head::Svc(svc) = &head
        && svc.sigmoids.is_some()
    {
        return head;
    }
    let decisions: Vec<Vec<f64>> = held.iter().map(|one| one.decisions.clone()).collect();
    let classes: Vec<u32> = held.iter().map(|one| one.class).collect();
    let calibrator = match decisions.first() {
        None => Calibrator::Temperature { beta: USUAL_BETA },
        Some(first) if first.len() == 1 => {
            let decisions: Vec<f64> = decisions.iter().flatten().copied().collect();
            let is_second: Vec<bool> = classes.iter().map(|class| *class == 1).collect();
            platt(&decisions, &is_second)
        }
        Some(_) => temperature(&decisions, &classes),
    };
    Head::Calibrated {
        members: vec![Member {
            head,
            calibrators: vec![calibrator],
        }],
    }
}

/// Predicts each example by a classifier that was fitted without it, and returns the outcomes with the index of each example.
///
/// *Errors*: as [`Classifier::fit`](super::classifier::Classifier::fit); `InvalidInput` where there are too few examples.
pub async fn cross_validate(
    training: &TrainingSet,
    options: &FitOptions,
    on_progress: &mut dyn FnMut(f64),
    scheduler: &dyn Scheduler,
) -> Result<Vec<(usize, Outcome)>> {
    let (held, _) = hold_out(training, options, usize::MAX, on_progress, scheduler).await?;
    if held.is_empty() {
        return Err(Error::invalid_input(format!(
            "the examples are too few to hold some out, expected {MIN_HELD_OUT} at least in labels of more than one"
        )));
    }
    // Only the calibrator of this head is used, so that its own parameters may be missing.
    let uncalibrated = Head::Calibrated {
        members: Vec::new(),
    };
    let head = match held.first().and_then(|one| one.own.as_ref()) {
        // The sigmoids of its pairs were fitted to examples that it did not see.
        Some(_) if options.head == HeadKind::RbfSvm => uncalibrated,
        // One calibrator serves all folds: it has one or two numbers, which hardly depend on any one example.
        _ => calibrate(uncalibrated, &held),
    };
    Ok(held
        .iter()
        .map(|one| (one.item, one.outcome(&head)))
        .collect())
}
