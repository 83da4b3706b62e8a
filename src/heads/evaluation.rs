//! Measures classifications against the right classes: accuracy, F1, calibration error, confusions and coverage.

/// The bins of the calibration error.
const BINS: usize = 15;

/// One classification, with the right class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The right class.
    pub class: u32,
    /// The predicted class.
    pub predicted: u32,
    /// The probability of the predicted class.
    pub probability: f64,
    /// The score by which vectors unlike all examples are refused: the probability times the nearest cosine.
    pub score: f64,
}

impl Outcome {
    /// Whether the right class was predicted.
    pub fn is_right(&self) -> bool {
        self.class == self.predicted
    }
}

/// The score of an example that was held out, and whether its class was predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut(pub f32, pub bool);

/// The fewest held-out examples from which a threshold is found.
pub const MIN_HELD_OUT: usize = 10;

/// The scores of outcomes, ascending.
pub fn held_out<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Vec<HeldOut> {
    let mut scores: Vec<HeldOut> = Vec::new();
    for one in outcomes {
        // Rounded down, so that the least of them as a threshold refuses none.
        let rounded = one.score as f32;
        let score = match f64::from(rounded) > one.score {
            true => rounded.next_down(),
            false => rounded,
        };
        let at = scores.partition_point(|other| other.0 <= score);
        scores.insert(at, HeldOut(score, one.is_right()));
    }
    scores
}

/// The threshold under which a share `rate` of the examples that were held out lies; `None` if there are too few.
pub fn threshold(held_out: &[HeldOut], rate: f64) -> Option<f64> {
    if held_out.len() < MIN_HELD_OUT {
        return None;
    }
    let at = ((rate * held_out.len() as f64) as usize).min(held_out.len() - 1);
    held_out.get(at).map(|one| f64::from(one.0))
}

/// The figures of a list of outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The number of outcomes.
    pub count: usize,
    /// The share of outcomes that are right.
    pub accuracy: f64,
    /// The mean over classes of the harmonic mean of precision and recall.
    pub macro_f1: f64,
    /// The mean distance between probability and accuracy, over 15 bins of the probability.
    pub calibration_error: f64,
    /// Pairs of classes that were confused, the most frequent first.
    pub confusions: Vec<Confusion>,
}

/// The outcomes of one class that were taken for another.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    /// The right class.
    pub class: u32,
    /// The predicted class.
    pub predicted: u32,
    /// The indices of the outcomes.
    pub items: Vec<usize>,
}

/// The share of outcomes that a threshold on the score lets through, and the accuracy among them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// The share of the held-out examples that the threshold was chosen to refuse.
    pub rate: f64,
    /// The least score that is not refused.
    pub threshold: f64,
    /// The share of outcomes that are not refused.
    pub coverage: f64,
    /// The share of those that are right; 1 where there are none.
    pub accuracy: f64,
}

/// Computes the figures of outcomes of `class_count` classes. Without outcomes all figures are 0.
pub fn evaluate(outcomes: &[Outcome], class_count: usize) -> Evaluation {
    let count = outcomes.len();
    let share = |part: usize| part as f64 / count.max(1) as f64;
    Evaluation {
        count,
        accuracy: share(outcomes.iter().filter(|one| one.is_right()).count()),
        macro_f1: macro_f1(outcomes, class_count),
        calibration_error: calibration_error(outcomes),
        confusions: confusions(outcomes),
    }
}

/// Computes the mean F1 over the classes that occur, as the right or the predicted class of an outcome.
fn macro_f1(outcomes: &[Outcome], class_count: usize) -> f64 {
    let mut counts = vec![[0usize; 3]; class_count];
    for one in outcomes {
        let [class, predicted] = [one.class, one.predicted].map(|class| class as usize);
        if let Some(counts) = counts.get_mut(class) {
            counts[0] += usize::from(one.is_right());
            counts[1] += 1;
        }
        if let Some(counts) = counts.get_mut(predicted) {
            counts[2] += 1;
        }
    }
    let present: Vec<f64> = counts
        .iter()
        .filter(|[_, actual, predicted]| actual + predicted > 0)
        .map(|[right, actual, predicted]| 2.0 * *right as f64 / (actual + predicted) as f64)
        .collect();
    present.iter().sum::<f64>() / present.len().max(1) as f64
}

/// Computes the expected calibration error.
///
/// *Source*: Guo et al., "On Calibration of Modern Neural Networks", 2017.
fn calibration_error(outcomes: &[Outcome]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for one in outcomes {
        // A bin has its upper bound and not its lower one.
        let bin = ((one.probability * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        bins[bin].0 += one.probability;
        bins[bin].1 += f64::from(u8::from(one.is_right()));
    }
    let difference: f64 = bins
        .iter()
        .map(|(probability, right)| (probability - right).abs())
        .sum();
    difference / outcomes.len().max(1) as f64
}

fn confusions(outcomes: &[Outcome]) -> Vec<Confusion> {
    let mut found: Vec<Confusion> = Vec::new();
    for (item, one) in outcomes
        .iter()
        .enumerate()
        .filter(|(_, one)| !one.is_right())
    {
        match found
            .iter_mut()
            .find(|pair| pair.class == one.class && pair.predicted == one.predicted)
        {
            Some(pair) => pair.items.push(item),
            None => found.push(Confusion {
                class: one.class,
                predicted: one.predicted,
                items: vec![item],
            }),
        }
    }
    found.sort_by_key(|pair| {
        (
            std::cmp::Reverse(pair.items.len()),
            pair.class,
            pair.predicted,
        )
    });
    found
}

/// Computes the share of outcomes whose score reaches a threshold, and the accuracy among them.
pub fn coverage(outcomes: &[Outcome], rate: f64, threshold: f64) -> Coverage {
    let kept: Vec<&Outcome> = outcomes
        .iter()
        .filter(|one| one.score >= threshold)
        .collect();
    let right = kept.iter().filter(|one| one.is_right()).count();
    Coverage {
        rate,
        threshold,
        coverage: kept.len() as f64 / outcomes.len().max(1) as f64,
        accuracy: if kept.is_empty() {
            1.0
        } else {
            right as f64 / kept.len() as f64
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(class: u32, predicted: u32, probability: f64) -> Outcome {
        Outcome {
            class,
            predicted,
            probability,
            score: probability / 2.0,
        }
    }

    #[test]
    fn figures_are_those_counted_by_hand() {
        let outcomes = [
            outcome(0, 0, 0.9),
            outcome(0, 1, 0.6),
            outcome(1, 1, 0.7),
            outcome(2, 1, 0.61),
            outcome(2, 1, 0.5),
        ];
        let evaluation = evaluate(&outcomes, 5);
        assert_eq!((evaluation.count, evaluation.accuracy), (5, 0.4));
        // Class 0: 2 · 1 / (2 + 1); class 1: 2 · 1 / (1 + 4); class 2: 0.
        assert!((evaluation.macro_f1 - (2.0 / 3.0 + 0.4) / 3.0).abs() < 1e-15);
        // Bins: 0.9 right; 0.6 wrong and 0.61 wrong lie in two of them; 0.7 right; 0.5 wrong.
        assert!(
            (evaluation.calibration_error - (0.1 + 0.6 + 0.61 + 0.3 + 0.5) / 5.0).abs() < 1e-12
        );
        let pairs: Vec<_> = evaluation
            .confusions
            .iter()
            .map(|pair| (pair.class, pair.predicted, &*pair.items))
            .collect();
        assert_eq!(pairs, [(2, 1, &[3, 4][..]), (0, 1, &[1][..])]);
    }

    #[test]
    fn coverage_keeps_scores_from_the_threshold_on() {
        let outcomes = [outcome(0, 0, 0.8), outcome(0, 1, 0.6), outcome(1, 1, 0.4)];
        let kept = coverage(&outcomes, 0.3, 0.3);
        assert_eq!((kept.coverage, kept.accuracy), (2.0 / 3.0, 0.5));
        let none = coverage(&outcomes, 1.0, 2.0);
        assert_eq!((none.coverage, none.accuracy), (0.0, 1.0));
    }

    #[test]
    fn a_threshold_of_no_refusals_refuses_none() {
        // Rounded to f32, half of these are larger than they are.
        let outcomes: Vec<Outcome> = (0..100)
            .map(|i| outcome(0, i % 2, 0.3 + f64::from(i * i) / 20_000.0))
            .collect();
        let scores = held_out(outcomes.iter());
        assert!(scores.is_sorted_by(|a, b| a.0 <= b.0));
        for (rate, kept) in [(0.0, 1.0), (0.05, 0.95), (0.5, 0.5)] {
            let threshold = threshold(&scores, rate).unwrap();
            assert_eq!(coverage(&outcomes, rate, threshold).coverage, kept);
        }
        assert_eq!(threshold(&scores[..MIN_HELD_OUT - 1], 0.05), None);
    }

    #[test]
    fn no_outcomes_are_no_division_by_zero() {
        let evaluation = evaluate(&[], 3);
        assert_eq!(
            (
                evaluation.accuracy,
                evaluation.macro_f1,
                evaluation.calibration_error
            ),
            (0.0, 0.0, 0.0)
        );
    }
}
