//! Heads against scikit-learn: every value of imported classifiers, and of heads that are fitted here.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use pilotlight::heads::check::check;
use pilotlight::heads::classifier::Classifier;
use pilotlight::heads::evaluation::{Outcome, evaluate};
use pilotlight::heads::examples::{Examples, TrainingSet};
use pilotlight::heads::fitting::{FitOptions, HeadKind, cross_validate};
use pilotlight::heads::{Fit, Head, Labelled, linear_svm, logistic, rbf_svm};
use pilotlight::{ErrorKind, NoYield};
use pollster::block_on;
use serde::Deserialize;
use serde_json::Value;

fn goldens<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/heads");
    serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Imported {
    name: String,
    classifier: Value,
    test: Vec<Vec<f64>>,
    predictions: Vec<usize>,
    decisions: Option<Vec<Vec<f64>>>,
    probabilities: Option<Vec<Vec<f64>>>,
}

impl Imported {
    fn class_count(&self) -> usize {
        self.classifier["labels"].as_array().unwrap().len()
    }

    fn head(&self) -> Head {
        read(&self.classifier["head"], self.class_count())
            .unwrap()
            .head
    }

    /// The largest difference from scikit-learn's decision values and probabilities; fails if it is too large or if a label differs.
    ///
    /// Sums of 12 products in f64 differ in the last bits by their order; pairwise coupling stops at a bound and not at convergence, so
    /// that a last bit may decide about one more step, but did not here.
    fn compare(&self) -> f64 {
        let head = self.head();
        let mut largest = 0.0;
        for (i, x) in self.test.iter().enumerate() {
            assert_eq!(head.predict(x), self.predictions[i], "{}: {i}", self.name);
            let decisions = self
                .decisions
                .as_ref()
                .map(|expected| largest_error(&head.decisions(x), &expected[i]));
            let probabilities = self
                .probabilities
                .as_ref()
                .map(|expected| largest_error(&head.probabilities(x).unwrap(), &expected[i]));
            for error in decisions.into_iter().chain(probabilities) {
                assert!(error < 1e-12, "{}: {error}", self.name);
                largest = f64::max(largest, error);
            }
        }
        largest
    }
}

fn read(head: &Value, class_count: usize) -> pilotlight::Result<Classifier> {
    Classifier::from_value(&serde_json::json!({ "classCount": class_count, "head": head }))
}

fn largest_error(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let errors = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    errors.fold(0.0, |largest, error| {
        if error > largest || error.is_nan() {
            error
        } else {
            largest
        }
    })
}

#[test]
fn imported_heads_equal_scikit_learn_in_every_value() {
    let cases: Vec<Imported> = goldens("imported.json");
    assert_eq!(cases.len(), 32);
    for case in cases {
        case.compare();
    }
}

#[derive(Deserialize)]
struct Answers {
    version: String,
    cases: Vec<Imported>,
}

#[test]
#[ignore = "`make test-sklearn` makes what it reads"]
fn heads_of_every_version_of_scikit_learn_equal_it_in_every_value() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sklearn");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let Answers { version, cases } =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let compared: Vec<f64> = cases.iter().map(Imported::compare).collect();
        assert!(compared.len() >= 50);
        let largest = compared.iter().copied().fold(0.0, f64::max);
        println!(
            "scikit-learn {version}, crate: {} classifiers in f64, largest difference of decision values and probabilities {largest:.1e}",
            compared.len()
        );
    }
}

#[test]
fn a_head_that_was_written_is_the_head_that_is_read() {
    for case in goldens::<Vec<Imported>>("imported.json") {
        let classifier = read(&case.classifier["head"], case.class_count()).unwrap();
        let again = Classifier::from_value(&classifier.to_value()).unwrap();
        assert_eq!(again, classifier, "{}", case.name);
    }
}

#[derive(Deserialize)]
struct Fitted {
    train: Vec<Vec<f32>>,
    classes: Vec<u32>,
    test: Vec<Vec<f64>>,
    logistic: Vec<Vec<f64>>,
    #[serde(rename = "linear-svm")]
    linear_svm: Vec<Vec<f64>>,
    #[serde(rename = "rbf-svm")]
    rbf_svm: Vec<Vec<f64>>,
    gamma: f64,
}

impl Fitted {
    fn vectors(&self) -> Vec<f32> {
        self.train.concat()
    }
}

fn labelled<'a>(case: &'a Fitted, vectors: &'a [f32]) -> Labelled<'a> {
    Labelled {
        vectors,
        dimensions: case.train[0].len(),
        classes: &case.classes,
        class_count: *case.classes.iter().max().unwrap() as usize + 1,
    }
}

/// The references are at their optimum within 1e-7; ours stop at a gradient or a violation of 1e-6.
const FITTED: f64 = 5e-4;

#[test]
fn fitted_heads_equal_scikit_learn_in_every_value() {
    for case in goldens::<Vec<Fitted>>("fitted.json") {
        let vectors = case.vectors();
        let examples = labelled(&case, &vectors);
        let mut progress = Vec::new();
        let mut listener = |share| progress.push(share);
        let mut fit = Fit::new(&mut listener);

        let options = logistic::LogisticOptions {
            tolerance: 1e-6,
            ..Default::default()
        };
        let head = block_on(logistic::fit(&examples, &options, None, &mut fit, &NoYield)).unwrap();
        let head = Head::Linear(head);
        for (x, expected) in case.test.iter().zip(&case.logistic) {
            let error = largest_error(&head.probabilities(x).unwrap(), expected);
            assert!(error < FITTED, "logistic: {error}");
        }

        let options = linear_svm::LinearSvmOptions {
            tolerance: 1e-6,
            ..Default::default()
        };
        let head = block_on(linear_svm::fit(&examples, &options, &mut fit, &NoYield)).unwrap();
        let head = Head::Linear(head);
        for (x, expected) in case.test.iter().zip(&case.linear_svm) {
            let error = largest_error(&head.decisions(x), expected);
            assert!(error < FITTED, "linear-svm: {error}");
        }

        let options = rbf_svm::RbfSvmOptions {
            tolerance: 1e-6,
            ..Default::default()
        };
        let mut head =
            block_on(rbf_svm::fit(&examples, &options, false, &mut fit, &NoYield)).unwrap();
        let pilotlight::heads::Kernel::Rbf { gamma } = head.kernel else {
            panic!("another kernel")
        };
        assert!(
            (gamma / case.gamma - 1.0).abs() < 1e-6,
            "{gamma} {}",
            case.gamma
        );
        head.pairwise = true;
        let head = Head::Svc(head);
        check(&head, examples.class_count).unwrap();
        for (x, expected) in case.test.iter().zip(&case.rbf_svm) {
            let error = largest_error(&head.decisions(x), expected);
            assert!(error < FITTED, "rbf-svm: {error}");
        }
        assert!(progress.len() > 10 && progress.iter().all(|share| (0.0..=1.0).contains(share)));
    }
}

#[test]
fn a_start_near_the_minimum_ends_at_the_same_minimum_sooner() {
    for case in goldens::<Vec<Fitted>>("fitted.json") {
        let vectors = case.vectors();
        let examples = labelled(&case, &vectors);
        let options = logistic::LogisticOptions::default();
        let run = |start| {
            let mut count = 0;
            let mut listener = |_| count += 1;
            let mut fit = Fit::new(&mut listener);
            let head = block_on(logistic::fit(
                &examples, &options, start, &mut fit, &NoYield,
            ));
            (head.unwrap(), count)
        };
        let (first, evaluations) = run(None);
        let (again, fewer) = run(Some(&first));
        assert!(fewer < evaluations / 2, "{fewer} {evaluations}");
        let (first, again) = (Head::Linear(first), Head::Linear(again));
        for x in &case.test {
            let error = largest_error(
                &again.probabilities(x).unwrap(),
                &first.probabilities(x).unwrap(),
            );
            assert!(error < 1e-2, "{error}");
        }
    }
}

/// Each change makes one case's JSON wrong; the message names what is wrong.
#[test]
fn a_head_that_does_not_fit_is_refused() {
    let cases: Vec<Imported> = goldens("imported.json");
    let find = |name: &str| {
        cases
            .iter()
            .find(|case| case.name.starts_with(name))
            .unwrap()
    };
    let refused = |name: &str, change: &dyn Fn(&mut Value), part: &str| {
        let mut head = find(name).classifier["head"].clone();
        change(&mut head);
        let error = read(&head, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(part), "{part}: {error}");
    };
    refused(
        "LinearSVC, 2",
        &|head| head["coefficients"]["rows"] = 2.into(),
        "matrix",
    );
    refused(
        "LinearSVC, 2",
        &|head| head["coefficients"]["f64"] = "AAAA".into(),
        "matrix",
    );
    refused(
        "LinearSVC, 2",
        &|head| head["coefficients"]["f64"] = "%".into(),
        "base64",
    );
    refused(
        "LinearSVC, 2",
        &|head| head["coefficients"] = 1.into(),
        "coefficients: expected a matrix",
    );
    refused(
        "LinearSVC, 2",
        &|head| head["intercepts"] = Value::Array(vec![]),
        "intercepts",
    );
    refused(
        "LinearSVC, 2",
        &|head| head["type"] = "forest".into(),
        "forest",
    );
    refused("LinearSVC, 5", &|_| {}, "coefficients");
    refused(
        "SVC rbf, 2",
        &|head| head["counts"][0] = 1.into(),
        "vectors",
    );
    refused(
        "SVC rbf, 2",
        &|head| head["rho"] = Value::Array(vec![]),
        "rho",
    );
    refused(
        "SVC rbf, 2",
        &|head| head["kernel"]["type"] = "laplace".into(),
        "laplace",
    );
    refused(
        "SVC poly, 2",
        &|head| head["kernel"]["degree"] = 4_000_000_000u32.into(),
        "degree",
    );
    refused(
        "isotonic of LinearSVC, 2",
        &|head| {
            head["members"][0]["calibrators"][0]["x"] = Value::Array(vec![]);
        },
        "isotonic",
    );
    refused(
        "sigmoid of LinearSVC, 2",
        &|head| head["members"] = Value::Array(vec![]),
        "members",
    );
    refused(
        "sigmoid of LinearSVC, 2",
        &|head| {
            head["members"][0]["calibrators"] = Value::Array(vec![]);
        },
        "calibrators",
    );
    refused(
        "isotonic of LinearSVC, 2",
        &|head| head["members"][0]["calibrators"][0]["y"][0] = 2.into(),
        "isotonic",
    );
    refused(
        "LogisticRegression, 2",
        &|head| head["link"] = "softmax".into(),
        "softmax",
    );
    refused(
        "StandardScaler",
        &|head| head["steps"][0]["scale"][0] = 0.into(),
        "scaler",
    );
    refused(
        "StandardScaler",
        &|head| head["steps"][0]["mean"] = Value::Array(vec![]),
        "scaler",
    );
    refused(
        "LogisticRegression, 2",
        &|head| head["link"] = "softmax".into(),
        "the link is softmax",
    );
    refused(
        "sigmoid of LinearSVC, 2",
        &|head| {
            head["members"][1]["head"]["coefficients"] =
                serde_json::json!({ "rows": 1, "columns": 2, "f32": "AAAAAAAAAAA=" });
        },
        "a vector has 2 entries, expected 12",
    );
    let mut deep = find("LinearSVC, 2").classifier["head"].clone();
    for _ in 0..20 {
        deep = serde_json::json!({ "type": "pipeline", "steps": [], "head": deep });
    }
    refused(
        "LinearSVC, 2",
        &|head| *head = deep.clone(),
        "inside each other",
    );
}

/// A calibrator for each pair would give a probability for each pair.
#[test]
fn calibrators_of_pairs_of_classes_are_refused() {
    let cases: Vec<Imported> = goldens("imported.json");
    let pairwise = cases
        .iter()
        .find(|case| case.name == "SVC one against one, 5 classes")
        .unwrap();
    let calibrators = [serde_json::json!({ "type": "temperature", "beta": 1 })];
    let member =
        serde_json::json!({ "head": pairwise.classifier["head"], "calibrators": calibrators });
    let head = serde_json::json!({ "type": "calibrated", "members": [member] });
    let error = read(&head, 5).unwrap_err();
    let expected = "a member has 10 decision values, expected one for each of 5 classes";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn numbers_that_are_too_large_are_refused_or_do_no_harm() {
    let neighbours = |values: Value, classes: usize| {
        let head = serde_json::json!({
            "type": "neighbours", "k": u32::MAX, "dimensions": 1, "vectors": values, "classes": [0, 1], "classCount": classes,
        });
        read(&head, classes)
    };
    // The vectors 1 and -1.
    let signs = serde_json::json!({ "rows": 2, "columns": 1, "f32": "AACAPwAAgL8=" });
    let classifier = neighbours(signs.clone(), 2).unwrap();
    assert_eq!(classifier.classify(&[1.0]).unwrap().class, 0);
    assert_eq!(classifier.classify(&[-1.0]).unwrap().class, 1);
    let error = neighbours(signs, 100_000).unwrap_err();
    assert!(
        error.to_string().contains("expected 2 to 65536 classes"),
        "{error}"
    );
    // The vectors 1e300 and 1.
    let large = serde_json::json!({ "rows": 2, "columns": 1, "f64": "nHUAiDzkN34AAAAAAADwPw==" });
    let error = neighbours(large, 2).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected a number that f32 can hold"),
        "{error}"
    );
}

const KINDS: [&str; 5] = ["logistic", "linear-svm", "rbf-svm", "prototype", "knn"];

fn training_set(case: &Fitted) -> TrainingSet {
    let examples = Examples {
        dimensions: case.train[0].len(),
        vectors: case.vectors(),
        classes: case.classes.clone(),
    };
    let class_count = *case.classes.iter().max().unwrap() as usize + 1;
    TrainingSet::new(examples, class_count, Vec::new()).unwrap()
}

fn options(kind: &str) -> FitOptions {
    FitOptions {
        head: HeadKind::from_name(kind).unwrap(),
        ..Default::default()
    }
}

/// The clouds of the classes overlap: heads of each kind are right about 85 % of the examples or more.
#[test]
fn cross_validation_tells_the_classes_apart_with_every_kind_of_head() {
    for case in goldens::<Vec<Fitted>>("fitted.json") {
        for kind in KINDS {
            let (training, options) = (training_set(&case), options(kind));
            let mut ignore = |_| {};
            let outcomes = cross_validate(&training, &options, &mut ignore, &NoYield);
            let (mut items, outcomes): (Vec<usize>, Vec<Outcome>) =
                block_on(outcomes).unwrap().into_iter().unzip();
            let (name, classes) = (format!("{kind}, {}", training.class_count()), &case.classes);
            for (item, one) in items.iter().zip(&outcomes) {
                assert_eq!(one.class, classes[*item], "{name}");
                let probability = one.probability;
                assert!(probability > 0.0 && probability <= 1.0, "{name}: {one:?}");
            }
            items.sort_unstable();
            assert!(items.iter().copied().eq(0..classes.len()), "{name}");
            let figures = evaluate(&outcomes, training.class_count());
            assert!(figures.accuracy > 0.7, "{name}: {}", figures.accuracy);
        }
    }
}

/// Statistics whose length has a meaning keep it: the head does not normalize them, and no example is kept to compare them with.
#[test]
fn raw_examples_are_fitted_as_they_are() {
    for case in goldens::<Vec<Fitted>>("fitted.json") {
        let class_count = *case.classes.iter().max().unwrap() as usize + 1;
        let vectors: Vec<f32> = case.vectors().iter().map(|value| value * 20.0).collect();
        let examples = Examples {
            dimensions: case.train[0].len(),
            vectors,
            classes: case.classes.clone(),
        };
        let training = TrainingSet::raw(examples, class_count).unwrap();
        let mut ignore = |_| {};
        let options = options("linear-svm");
        let outcomes = block_on(cross_validate(&training, &options, &mut ignore, &NoYield));
        assert!(
            outcomes
                .unwrap()
                .iter()
                .all(|(_, one)| one.score == one.probability)
        );
        let fit = Classifier::fit(training, &options, &mut ignore, &NoYield);
        let classifier = block_on(fit).unwrap();
        assert!(classifier.examples.is_none());
        let far: Vec<f32> = case.test[0]
            .iter()
            .map(|value| *value as f32 * 20.0)
            .collect();
        let near: Vec<f32> = far.iter().map(|value| value / 10.0).collect();
        let [far, near] = [far, near].map(|x| classifier.classify(&x).unwrap());
        assert_ne!(far.probabilities, near.probabilities);
        assert_eq!(far.score, far.probabilities[far.class]);
    }
}

/// The bits that the package computes in Node: `node tests/package/support/record-heads.mjs` writes them.
#[test]
fn a_fit_has_the_bits_of_the_package() {
    let record: serde_json::Map<String, Value> = goldens("bits.json");
    assert_eq!(record.len(), 10);
    for (i, case) in goldens::<Vec<Fitted>>("fitted.json")
        .into_iter()
        .enumerate()
    {
        for head in KINDS {
            let (training, options) = (training_set(&case), options(head));
            let mut ignore = |_| {};
            let fit = Classifier::fit(training, &options, &mut ignore, &NoYield);
            let classifier = block_on(fit).unwrap().to_value();
            let recorded = &record[&format!("{head} {i}")];
            for part in ["head", "heldOut"] {
                assert!(
                    same_bits(&classifier[part], &recorded[part]),
                    "{head} {i}: {part}"
                );
            }
        }
    }
}

/// JavaScript writes 1 for 1.0.
fn same_bits(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_bits(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same_bits(a, b)))
        }
        _ => a == b,
    }
}
