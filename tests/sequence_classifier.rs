//! Classifiers of whole texts against PyTorch, every logit and probability, and as what the store keeps them.
//!
//! `tests/goldens/make_goldens.py` made the expected values.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/goldens.rs"]
mod goldens;

use pilotlight::{
    CacheConfig, Classification, Dtype, ErrorKind, Library, MemoryHost, MemoryStore, ModelClass,
    ModelKey, NoYield, SequenceClassifier, Source, TextEmbedder, plan_model,
};
use pollster::block_on;
use serde::Deserialize;

use goldens::Listed;

#[derive(Deserialize)]
struct Golden {
    labels: Vec<String>,
    max_tokens: usize,
    cases: Vec<Case>,
    /// The pairs of texts, only for rerankers.
    #[serde(default)]
    pairs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    text: String,
    text_pair: String,
    ids: Vec<u32>,
    truncated: bool,
    logits: Vec<f64>,
    score: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    truncated: bool,
    logits: Vec<f32>,
    probabilities: Vec<f64>,
}

impl Golden {
    fn read(listed: &Listed) -> Self {
        let json = std::fs::read(listed.folder().join("expected.json")).unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    fn texts(&self) -> Vec<String> {
        self.cases.iter().map(|case| case.text.clone()).collect()
    }
}

fn load(listed: &Listed, dtype: Dtype) -> SequenceClassifier {
    let host = MemoryHost::from_folder(&listed.folder()).unwrap();
    let source = Source::new(&host, &NoYield);
    block_on(SequenceClassifier::load(&source, dtype, &goldens::device())).unwrap()
}

fn classify(classifier: &SequenceClassifier, texts: &[String]) -> Vec<Classification> {
    block_on(classifier.classify(texts, &NoYield)).unwrap()
}

fn largest_difference(got: impl IntoIterator<Item = f64>, expected: &[f64]) -> f64 {
    let got: Vec<f64> = got.into_iter().collect();
    assert_eq!(got.len(), expected.len());
    let pairs = got.iter().zip(expected);
    pairs.fold(0.0, |most, (a, b)| {
        assert!(a.is_finite());
        most.max((a - b).abs())
    })
}

#[test]
fn all_logits_and_probabilities_equal_pytorch_in_f32() {
    for listed in Listed::committed("SequenceClassifier") {
        let (golden, classifier) = (Golden::read(&listed), load(&listed, Dtype::F32));
        assert_eq!(classifier.labels(), golden.labels);
        assert_eq!(classifier.max_tokens(), golden.max_tokens);
        let texts = golden.texts();
        let all = classify(&classifier, &texts);
        for (case, got) in golden.cases.iter().zip(&all) {
            assert_eq!(
                (got.tokens, got.truncated),
                (case.ids.len(), case.truncated)
            );
            let expected: Vec<f64> = case.logits.iter().copied().map(f64::from).collect();
            let logits = got.logits.iter().copied().map(f64::from);
            let error = largest_difference(logits, &expected);
            let tolerance = f64::from(listed.tolerance);
            assert!(
                error < tolerance,
                "{}: {:?}: {error:e}",
                listed.name,
                case.text
            );
            let error = largest_difference(got.probabilities.clone(), &case.probabilities);
            assert!(
                error < tolerance,
                "{}: {:?}: {error:e}",
                listed.name,
                case.text
            );
            // The same bits alone as among the others.
            assert_eq!(
                classify(&classifier, std::slice::from_ref(&case.text))[0],
                *got
            );
        }
        assert_eq!(all.len(), texts.len());
        assert!(classify(&classifier, &[]).is_empty());
    }
}

#[test]
fn scores_of_pairs_equal_pytorch_in_f32() {
    let mut count = 0;
    for listed in Listed::committed("SequenceClassifier") {
        let (golden, classifier) = (Golden::read(&listed), load(&listed, Dtype::F32));
        let score = |first: &str, seconds: &[String]| {
            block_on(classifier.score_pairs(first, seconds, &NoYield))
        };
        if golden.pairs.is_empty() {
            if golden.labels.len() > 1 {
                let error = score("a", &["b".into()]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
            }
            continue;
        }
        count += 1;
        for pair in &golden.pairs {
            let all = [pair.text_pair.clone(), "another".into()];
            let got = score(&pair.text, &all).unwrap();
            let name = format!("{}: {:?}, {:?}", listed.name, pair.text, pair.text_pair);
            assert_eq!(
                (got[0].tokens, got[0].truncated),
                (pair.ids.len(), pair.truncated),
                "{name}"
            );
            let error = largest_difference(
                [f64::from(got[0].logit), got[0].score],
                &[pair.logits[0], pair.score[0]],
            );
            assert!(error < f64::from(listed.tolerance), "{name}: {error:e}");
            // The same bits alone as among others.
            assert_eq!(score(&pair.text, &all[..1]).unwrap()[0], got[0]);
        }
    }
    assert_eq!(
        count, 2,
        "BERT, whose second texts have a type, and RoBERTa"
    );
}

#[test]
fn probabilities_stay_near_pytorch_in_q8() {
    for listed in Listed::committed("SequenceClassifier") {
        let (golden, classifier) = (Golden::read(&listed), load(&listed, Dtype::Q8));
        let all = classify(&classifier, &golden.texts());
        let errors =
            golden.cases.iter().zip(&all).map(|(case, got)| {
                largest_difference(got.probabilities.clone(), &case.probabilities)
            });
        let errors: Vec<f64> = errors.collect();
        let (sum, most) = (
            errors.iter().sum::<f64>(),
            errors.iter().copied().fold(0.0, f64::max),
        );
        let mean = sum / errors.len() as f64;
        println!("{}: mean {mean:.4}, most {most:.4}", listed.name);
        // Random weights of 36 dimensions average the rounding out less than trained ones of 768 do.
        assert!(
            mean < 0.03 && most < 0.1,
            "{}: mean {mean}, most {most}",
            listed.name
        );
    }
}

#[test]
fn the_store_keeps_a_classifier_beside_the_encoder_of_the_same_repository() {
    let host = MemoryHost::from_folder(&goldens::folder("bert-tiny-classifier")).unwrap();
    let store = MemoryStore::default();
    let key = ModelKey::new("host", "owner/model", "main", Dtype::F32);
    let source = Source {
        cache: Some(CacheConfig::new(&store, key, 1, 1)),
        ..Source::new(&host, &NoYield)
    };
    let cpu = pilotlight::cpu();
    let class = || block_on(plan_model(&source, &[], Dtype::F32)).unwrap();
    let parts = || {
        let mut models = block_on(Library::new(&store).list()).unwrap();
        models.sort_by(|a, b| a.part.cmp(&b.part));
        models
            .into_iter()
            .map(|model| model.part)
            .collect::<Vec<_>>()
    };
    let (found, plan) = class();
    assert_eq!((found, plan.whole), (ModelClass::SequenceClassifier, false));
    block_on(TextEmbedder::load(&source, Dtype::F32, &cpu)).unwrap();
    // A stored encoder does not make the checkpoint a sentence encoder.
    assert_eq!(class().0, ModelClass::SequenceClassifier);
    let texts = ["The pilot light is warm.".to_owned()];
    let fetched = block_on(SequenceClassifier::load(&source, Dtype::F32, &cpu)).unwrap();
    let (found, plan) = class();
    assert_eq!((found, plan.whole), (ModelClass::SequenceClassifier, true));
    assert_eq!(parts(), [None, Some("classifier".into())]);
    let stored = block_on(SequenceClassifier::load(&source, Dtype::F32, &cpu)).unwrap();
    assert_eq!(classify(&stored, &texts), classify(&fetched, &texts));
    assert_eq!(stored.commit(), fetched.commit());
}

#[test]
fn a_checkpoint_without_such_a_head_or_a_part_of_one_is_refused() {
    let folder = goldens::folder("bert-tiny-mean");
    let host = MemoryHost::from_folder(&folder).unwrap();
    let source = Source::new(&host, &NoYield);
    let load = |source: &Source<'_>| {
        let loaded = block_on(SequenceClassifier::load(
            source,
            Dtype::F32,
            &pilotlight::cpu(),
        ));
        loaded.err().unwrap()
    };
    let error = load(&source);
    assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
    let message =
        "config.json: architectures is [BertModel], expected BertForSequenceClassification";
    assert!(error.to_string().starts_with(message), "{error}");
    let error = load(&Source {
        layers: Some(1),
        ..source
    });
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("layers is 1"), "{error}");
}
