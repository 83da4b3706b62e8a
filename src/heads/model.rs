//! A fitted head: its parameters, and how it classifies a vector.
//!
//! *Source*: scikit-learn 1.9, of which each kind of head has the decision values, labels and probabilities, within rounding.

use pilotlight_kernels::exact::dot;

use super::calibration::Calibrator;
use super::math::{sigmoid, softmax};
use super::nearest::Neighbours;
use super::svc::Svc;

/// A classifier of vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// A linear function for each class, or one in all for two classes.
    Linear(Linear),
    /// A support vector machine with a kernel.
    Svc(Svc),
    /// The classes of the nearest examples.
    Neighbours(Neighbours),
    /// A head behind transformations of the vector.
    Pipeline {
        /// The transformations, in their order.
        steps: Vec<Step>,
        /// The head.
        head: Box<Head>,
    },
    /// The mean over members of calibrated probabilities.
    Calibrated {
        /// The members, one at least.
        members: Vec<Member>,
    },
}

/// A linear head. *Shapes*: `coefficients: [k, d]`, `intercepts: [k]`, where `k` is 1 for two classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The weights of each class.
    pub coefficients: Vec<Vec<f64>>,
    /// The constant of each class.
    pub intercepts: Vec<f64>,
    /// The function that turns decision values into probabilities.
    pub link: Link,
}

/// The function that turns the decision values of a linear head into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Decision values do not become probabilities: the head has none of its own.
    None,
    /// The logistic function, for two classes.
    Logistic,
    /// The softmax.
    Softmax,
}

/// A transformation of a vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `(x - mean) / scale`, either of which may be absent.
    Scaler {
        /// Subtracted from each value.
        mean: Option<Vec<f64>>,
        /// Divides each value.
        scale: Option<Vec<f64>>,
    },
    /// Division by the Euclidean norm; a vector of zeros stays as it is.
    Normalizer,
}

/// A head whose decision values are calibrated: one calibrator for each, or one temperature for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The head.
    pub head: Head,
    /// The calibrators of the head.
    pub calibrators: Vec<Calibrator>,
}

impl Head {
    /// The decision values of a vector: one for two classes, where a positive one means the second; else one for each class, or for
    /// each pair of classes.
    pub fn decisions(&self, x: &[f64]) -> Vec<f64> {
        match self {
            Self::Linear(linear) => linear.decisions(x),
            Self::Svc(svc) => svc.decisions(x),
            Self::Neighbours(neighbours) => neighbours.decisions(x),
            Self::Pipeline { steps, head } => head.decisions(&transform(steps, x)),
            Self::Calibrated { .. } => self.probabilities(x).unwrap_or_default(),
        }
    }

    /// The index of the class of a vector. For an [`Svc`] it may differ from the class with the largest probability.
    pub fn predict(&self, x: &[f64]) -> usize {
        match self {
            Self::Svc(svc) => svc.predict(x),
            Self::Pipeline { steps, head } => head.predict(&transform(steps, x)),
            _ => match *self.decisions(x) {
                [decision] => usize::from(decision > 0.0),
                ref decisions => first_largest(decisions),
            },
        }
    }

    /// The probability of each class; `None` if the head has none.
    pub fn probabilities(&self, x: &[f64]) -> Option<Vec<f64>> {
        match self {
            Self::Linear(linear) => linear.probabilities(x),
            Self::Svc(svc) => svc.probabilities(x),
            Self::Neighbours(_) => None,
            Self::Pipeline { steps, head } => head.probabilities(&transform(steps, x)),
            Self::Calibrated { members } => {
                let mut members_probabilities =
                    members.iter().map(|member| member.probabilities(x));
                let mut sum = members_probabilities.next()?;
                for probabilities in members_probabilities {
                    for (sum, p) in sum.iter_mut().zip(probabilities) {
                        *sum += p;
                    }
                }
                let count = members.len() as f64;
                sum.iter_mut().for_each(|p| *p /= count);
                Some(sum)
            }
        }
    }

    /// The number of decision values for `classes` classes.
    pub fn outputs(&self, classes: usize) -> usize {
        match self {
            Self::Linear(linear) => linear.coefficients.len(),
            Self::Svc(_) if classes == 2 => 1,
            Self::Svc(svc) if svc.pairwise => classes * (classes - 1) / 2,
            Self::Svc(_) | Self::Neighbours(_) | Self::Calibrated { .. } => classes,
            Self::Pipeline { head, .. } => head.outputs(classes),
        }
    }

    /// The number of values that a vector must have; `None` if any number will do.
    pub fn dimensions(&self) -> Option<usize> {
        match self {
            Self::Linear(linear) => linear.coefficients.first().map(Vec::len),
            Self::Svc(svc) => svc.vectors.first().map(Vec::len),
            Self::Neighbours(neighbours) => Some(neighbours.dimensions),
            Self::Pipeline { steps, head } => {
                let of_steps = steps.iter().find_map(|step| match step {
                    Step::Scaler { mean, scale } => mean.as_ref().or(scale.as_ref()).map(Vec::len),
                    Step::Normalizer => None,
                });
                of_steps.or(head.dimensions())
            }
            Self::Calibrated { members } => {
                members.iter().find_map(|member| member.head.dimensions())
            }
        }
    }
}

impl Linear {
    fn decisions(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.coefficients.iter().zip(&self.intercepts);
        rows.map(|(row, intercept)| dot(row, x) + intercept)
            .collect()
    }

    fn probabilities(&self, x: &[f64]) -> Option<Vec<f64>> {
        let mut decisions = self.decisions(x);
        match (self.link, &*decisions) {
            (Link::None, _) => return None,
            (Link::Logistic, [decision]) => {
                let second = sigmoid(*decision);
                return Some(vec![1.0 - second, second]);
            }
            _ => softmax(&mut decisions, 1.0),
        }
        Some(decisions)
    }
}

impl Member {
    fn probabilities(&self, x: &[f64]) -> Vec<f64> {
        self.calibrate(self.head.decisions(x))
    }

    /// The probabilities that belong to decision values of the head.
    pub(super) fn calibrate(&self, mut decisions: Vec<f64>) -> Vec<f64> {
        if let [Calibrator::Temperature { beta }] = *self.calibrators {
            if let [decision] = *decisions {
                decisions = vec![-decision, decision];
            }
            softmax(&mut decisions, beta);
            return decisions;
        }
        let calibrated = decisions.iter().zip(&self.calibrators);
        let mut probabilities: Vec<f64> = calibrated
            .map(|(decision, calibrator)| calibrator.probability(*decision))
            .collect();
        if let [second] = *probabilities {
            return vec![1.0 - second, second];
        }
        let sum: f64 = probabilities.iter().sum();
        let count = probabilities.len() as f64;
        for p in &mut probabilities {
            *p = if sum == 0.0 { 1.0 / count } else { *p / sum };
        }
        probabilities
    }
}

fn transform(steps: &[Step], x: &[f64]) -> Vec<f64> {
    let mut x = x.to_vec();
    for step in steps {
        match step {
            Step::Scaler { mean, scale } => {
                for (x, mean) in x.iter_mut().zip(mean.iter().flatten()) {
                    *x -= mean;
                }
                for (x, scale) in x.iter_mut().zip(scale.iter().flatten()) {
                    *x /= scale;
                }
            }
            Step::Normalizer => {
                let norm = dot(&x, &x).sqrt();
                if norm != 0.0 {
                    x.iter_mut().for_each(|x| *x /= norm);
                }
            }
        }
    }
    x
}

/// The index of the first of the largest values.
pub(super) fn first_largest(values: &[f64]) -> usize {
    let largest = values
        .iter()
        .enumerate()
        .fold((0, f64::NEG_INFINITY), |best, (i, value)| {
            if *value > best.1 { (i, *value) } else { best }
        });
    largest.0
}
