//! `ClassifierHandle`, on which the npm package builds its `TextClassifier`: a classifier of vectors.

use std::rc::Rc;

use js_sys::{Float32Array, Float64Array, Function, Promise, Uint32Array};
use serde_json::{Value, json};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::caller::{for_caller, promise};
use super::error::to_js;
use super::event_loop::EventLoopScheduler;
use super::json::{from_value, to_value};
use super::options::{FitRequest, floats, signal};
use crate::error::Result;
use crate::heads::classifier::{Classification, Classifier};
use crate::heads::evaluation::{Outcome, coverage, evaluate, held_out, threshold};
use crate::heads::examples::TrainingSet;
use crate::heads::fitting::{FitOptions, cross_validate};
use crate::memory::{out_of_memory, try_vec};
use crate::scheduler::Scheduler;

/// The rates of refusal for which `evaluate` returns the share of texts that is answered, and the accuracy among them.
const RATES: [f64; 8] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5];

/// The values before the probabilities in an answer of `classify`: class, score, nearest example and its cosine.
const FIELDS: usize = 4;

/// The vectors that are classified between two looks at the clock: about 20 ms with 10,000 examples.
const ROWS: usize = 8;

/// A fitted or imported classifier of vectors.
#[wasm_bindgen]
pub struct ClassifierHandle {
    /// Shared with running calls, so that `free` during one is harmless.
    classifier: Rc<Classifier>,
}

/// Makes a function that passes the progress of a fit to a listener, from 0 to 100 in steps of one percent.
fn reporter(listener: Option<Function>) -> impl FnMut(f64) {
    let mut last = -1.0;
    move |share: f64| {
        let percent = (share * 100.0).floor();
        if let Some(listener) = &listener
            && percent > last
        {
            last = percent;
            // An error in the listener does not fail the call.
            let _ = listener.call1(&JsValue::NULL, &percent.into());
        }
    }
}

/// Runs `work` on the examples in `options`, and drops it if the caller disappears.
fn with_training<Work>(options: JsValue, work: Work) -> Promise
where
    Work: AsyncFnOnce(
            TrainingSet,
            &FitOptions,
            &mut dyn FnMut(f64),
            &dyn Scheduler,
        ) -> Result<JsValue>
        + 'static,
{
    promise(async move {
        let work = async {
            let request = FitRequest::new(&options)?;
            let scheduler = EventLoopScheduler::new(request.signal);
            let mut on_progress = reporter(request.on_progress);
            work(
                request.training,
                &request.options,
                &mut on_progress,
                &scheduler,
            )
            .await
        };
        for_caller(&options, work).await.map_err(to_js)
    })
}

#[wasm_bindgen]
impl ClassifierHandle {
    /// Fits a classifier on this thread, yielding to the event loop. `options` have the `vectors` with their `classes`.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`, `RESOURCE_LIMIT`.
    pub fn fit(options: JsValue) -> Promise {
        with_training(
            options,
            async |training, options, on_progress, scheduler| {
                let classifier = Classifier::fit(training, options, on_progress, scheduler).await?;
                Ok(Self::wrap(classifier).into())
            },
        )
    }

    /// Predicts each example by a classifier that was fitted without it, and returns the figures.
    ///
    /// *Errors*: as `fit`.
    #[wasm_bindgen(js_name = crossValidate)]
    pub fn cross_validate(options: JsValue) -> Promise {
        with_training(
            options,
            async |training, options, on_progress, scheduler| {
                let outcomes = cross_validate(&training, options, on_progress, scheduler).await?;
                let (items, outcomes): (Vec<usize>, Vec<Outcome>) = outcomes.into_iter().unzip();
                let scores = held_out(outcomes.iter());
                Ok(report(&outcomes, training.class_count(), items, |rate| {
                    threshold(&scores, rate)
                }))
            },
        )
    }

    /// Reads a classifier from an object with its `classCount`, `head`, and, where they are known, `examples` and `heldOut`.
    ///
    /// *Errors*: `INVALID_INPUT`, naming the invalid part.
    #[wasm_bindgen(js_name = fromJSON)]
    pub fn from_json(json: &JsValue) -> Result<ClassifierHandle, JsValue> {
        let read = || Classifier::from_value(&to_value("json", json)?);
        let classifier = read().map_err(to_js)?;
        Ok(Self::wrap(classifier))
    }

    /// The object that `fromJSON` reads.
    #[wasm_bindgen(js_name = toJSON)]
    pub fn to_json(&self) -> JsValue {
        from_value(&self.classifier.to_value())
    }

    /// Classifies vectors, `[n, d]`, on this thread, yielding to the event loop. For each it returns the class, the score, the index of the
    /// nearest example and its cosine (-1 and 0 without examples), and the probability of each class. `options` has `signal`.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`, `RESOURCE_LIMIT`.
    pub fn classify(&self, vectors: Float32Array, dimensions: usize, options: JsValue) -> Promise {
        let classifier = self.classifier.clone();
        promise(async move {
            let classify = async {
                let vectors = floats(&vectors)?;
                let count = vectors.len() / dimensions.max(1);
                let size = count.saturating_mul(FIELDS + classifier.class_count);
                let mut all = try_vec(size).map_err(|error| {
                    out_of_memory(format!("out of memory for {count} answers"), error)
                })?;
                each_answer(&classifier, &vectors, dimensions, &options, |answer| {
                    let (nearest, cosine) = answer
                        .nearest
                        .map_or((-1.0, 0.0), |(i, cosine)| (i as f64, cosine));
                    all.extend([answer.class as f64, answer.score, nearest, cosine]);
                    all.extend(answer.probabilities);
                })
                .await?;
                Ok(Float64Array::from(all.as_slice()).into())
            };
            for_caller(&options, classify).await.map_err(to_js)
        })
    }

    /// Compares the classes of vectors with the right ones, and returns the figures. `options` has `signal`.
    ///
    /// *Errors*: `INVALID_INPUT`, `ABORTED`, `RESOURCE_LIMIT`.
    pub fn evaluate(
        &self,
        vectors: Float32Array,
        dimensions: usize,
        classes: Uint32Array,
        options: JsValue,
    ) -> Promise {
        let classifier = self.classifier.clone();
        promise(async move {
            let evaluate = async {
                let vectors = floats(&vectors)?;
                let mut right = classes.to_vec().into_iter();
                let mut outcomes = Vec::new();
                each_answer(&classifier, &vectors, dimensions, &options, |answer| {
                    let probability = answer.probabilities.get(answer.class).copied();
                    outcomes.extend(right.next().map(|class| Outcome {
                        class,
                        predicted: answer.class as u32,
                        probability: probability.unwrap_or_default(),
                        score: answer.score,
                    }));
                })
                .await?;
                let items = (0..outcomes.len()).collect();
                let threshold = |rate| classifier.threshold(rate);
                Ok(report(&outcomes, classifier.class_count, items, threshold))
            };
            for_caller(&options, evaluate).await.map_err(to_js)
        })
    }

    /// The score under which a share `rate` of the examples lay that were held out; `undefined` if too few were.
    pub fn threshold(&self, rate: f64) -> Option<f64> {
        self.classifier.threshold(rate)
    }

    /// The vectors of the examples, normalized; `undefined` where they were not kept.
    pub fn vectors(&self) -> Option<Float32Array> {
        let examples = self.classifier.examples.as_ref();
        examples.map(|examples| Float32Array::from(examples.vectors.as_slice()))
    }

    /// The number of values that a vector must have; `undefined` if any number will do.
    #[wasm_bindgen(getter)]
    pub fn dimensions(&self) -> Option<usize> {
        self.classifier.head.dimensions()
    }
}

impl ClassifierHandle {
    fn wrap(classifier: Classifier) -> Self {
        Self {
            classifier: Rc::new(classifier),
        }
    }
}

/// Classifies vectors and passes each answer on.
async fn each_answer(
    classifier: &Classifier,
    vectors: &[f32],
    dimensions: usize,
    options: &JsValue,
    mut take: impl FnMut(Classification),
) -> Result<()> {
    let scheduler = EventLoopScheduler::new(signal(options)?);
    for (i, vector) in vectors.chunks(dimensions.max(1)).enumerate() {
        if i % ROWS == 0 {
            scheduler.yield_now().await?;
        }
        take(classifier.classify(vector)?);
    }
    Ok(())
}

/// Computes the figures of outcomes as an object for JavaScript; `threshold` returns the score below which a rate is refused.
fn report(
    outcomes: &[Outcome],
    class_count: usize,
    items: Vec<usize>,
    threshold: impl Fn(f64) -> Option<f64>,
) -> JsValue {
    let figures = evaluate(outcomes, class_count);
    let confusions = figures.confusions.iter().map(
        |pair| json!({ "class": pair.class, "predicted": pair.predicted, "items": pair.items }),
    );
    let coverage = RATES.into_iter().filter_map(|rate| {
        let one = coverage(outcomes, rate, threshold(rate)?);
        Some(json!({
            "rate": rate,
            "threshold": one.threshold,
            "coverage": one.coverage,
            "accuracy": one.accuracy,
        }))
    });
    let report = json!({
        "count": figures.count,
        "accuracy": figures.accuracy,
        "macroF1": figures.macro_f1,
        "calibrationError": figures.calibration_error,
        "confusions": confusions.collect::<Value>(),
        "coverage": coverage.collect::<Value>(),
        "items": items,
    });
    from_value(&report)
}
