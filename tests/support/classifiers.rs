//! Classifiers of all kinds as JSON, and what holds for each that can be read.

use pilotlight::heads::classifier::Classifier;
use pilotlight::heads::examples::{Examples, TrainingSet};
use pilotlight::heads::fitting::{FitOptions, HeadKind};
use pilotlight::{Error, ErrorKind, NoYield};
use pollster::block_on;
use serde_json::{Value, json};

/// Classifiers of all kinds: what the exporter wrote, and what was fitted here, with its examples.
pub fn classifiers() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/heads");
    let golden = |file: &str| -> Vec<Value> {
        serde_json::from_slice(&std::fs::read(format!("{folder}/{file}")).unwrap()).unwrap()
    };
    let mut all: Vec<Value> = golden("imported.json")
        .iter()
        .map(|case| {
            let classes = case["classifier"]["labels"].as_array().unwrap().len();
            json!({ "classCount": classes, "head": case["classifier"]["head"] })
        })
        .collect();
    for case in golden("fitted.json") {
        let rows = case["train"].as_array().unwrap();
        let vectors: Vec<f32> = rows
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|value| value.as_f64().unwrap() as f32)
            .collect();
        let classes: Vec<u32> = case["classes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|class| class.as_u64().unwrap() as u32)
            .collect();
        let class_count = *classes.iter().max().unwrap() as usize + 1;
        for head in ["logistic", "rbf-svm", "prototype", "knn"] {
            let examples = Examples {
                dimensions: vectors.len() / classes.len(),
                vectors: vectors.clone(),
                classes: classes.clone(),
            };
            let options = FitOptions {
                head: HeadKind::from_name(head).unwrap(),
                ..Default::default()
            };
            let mut ignore = |_| {};
            let training = TrainingSet::new(examples, class_count, Vec::new()).unwrap();
            let fit = Classifier::fit(training, &options, &mut ignore, &NoYield);
            all.push(block_on(fit).unwrap().to_value());
        }
    }
    all
}

/// The parts of a document that stand before the colon of a message.
const PARTS: &str = "a b beta calibrators classCount classes classifier coefficients columns constant counts degree dimensions dual \
    examples f32 f64 gamma head heldOut intercepts k kernel link mean members pairwise rho rows scale sigmoids steps type vectors x y";

/// Whether an error is of invalid input, and names the part of the document that is wrong.
pub fn names_a_part(error: &Error) -> bool {
    let message = error.to_string();
    let named = message.split_once(':').map_or("", |(name, _)| name);
    let is_named = PARTS.split(' ').any(|part| part == named)
        || message.contains("example")
        || message.contains("heldOut");
    error.kind() == ErrorKind::InvalidInput && is_named
}

/// Classifies vectors, ordinary and extreme ones, by a classifier that could be read.
pub fn use_classifier(classifier: &Classifier, size: usize) {
    let of_examples = classifier.examples.as_ref().map(|all| all.dimensions);
    let dimensions = classifier.head.dimensions().or(of_examples).unwrap_or(12);
    assert!(dimensions <= size && classifier.class_count <= size);
    for value in [0.0, 1.0, -0.25, f32::MAX, f32::MIN_POSITIVE / 8.0] {
        let vector: Vec<f32> = (0..dimensions)
            .map(|i| if i % 3 == 1 { -value } else { value })
            .collect();
        match classifier.classify(&vector) {
            Ok(answer) => {
                let sum: f64 = answer.probabilities.iter().sum();
                assert_eq!(answer.probabilities.len(), classifier.class_count);
                assert!(
                    answer
                        .probabilities
                        .iter()
                        .all(|p| (0.0..=1.0 + 1e-6).contains(p)),
                    "{answer:?}"
                );
                assert!((sum - 1.0).abs() < 1e-6, "{sum}: {answer:?}");
                assert!(
                    answer.class < classifier.class_count && answer.score.is_finite(),
                    "{answer:?}"
                );
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains("vector"), "{error}");
            }
        }
    }
    let wrong = vec![0.5; dimensions + 1];
    if classifier.head.dimensions().is_some() {
        assert!(classifier.classify(&wrong).is_err());
    }
    assert!(classifier.classify(&vec![f32::NAN; dimensions]).is_err());
    assert_eq!(
        &Classifier::from_value(&classifier.to_value()).unwrap(),
        classifier
    );
}
