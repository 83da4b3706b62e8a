"""Writes what scikit-learn computes for each head: `imported.json` of exported classifiers, `fitted.json` of our own fits.

    python3 -m venv .tools/sklearn && .tools/sklearn/bin/pip install -r tests/goldens/heads/requirements.txt
    .tools/sklearn/bin/python tests/goldens/heads/make_goldens.py
"""

import json
import pathlib
import sys
import warnings

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "training/sklearn"))
from pilotlight_export import export  # noqa: E402

# A warning says that SVC(probability=True) will go; it is still what people have.
warnings.filterwarnings("ignore", category=FutureWarning)

DIMENSIONS, EACH = 12, 30


def data(classes, seed):
    """Overlapping clouds on the unit sphere, in float32 as embeddings are: train, its classes, test."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(classes, DIMENSIONS))
    def draw(each):
        rows = np.repeat(centres, each, 0) + 1.2 * random.normal(size=(classes * each, DIMENSIONS))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return draw(EACH), np.repeat(np.arange(classes), EACH), draw(3)


def calibrated(estimator, **options):
    return CalibratedClassifierCV(estimator, cv=3, **options)


def estimators():
    yield "SVC rbf", SVC(C=3)
    yield "SVC rbf with probabilities", SVC(C=3, probability=True, random_state=0)
    yield "SVC linear", SVC(kernel="linear")
    yield "SVC poly", SVC(kernel="poly", coef0=0.5)
    yield "SVC sigmoid", SVC(kernel="sigmoid", gamma=0.5, coef0=-0.1)
    yield "SVC one against one", SVC(decision_function_shape="ovo")
    yield "LinearSVC", LinearSVC()
    yield "LogisticRegression", LogisticRegression(C=10)
    yield "StandardScaler and SVC with probabilities", make_pipeline(StandardScaler(), SVC(probability=True, random_state=0))
    yield "Normalizer and LogisticRegression", make_pipeline(Normalizer(), LogisticRegression())
    yield "sigmoid of LinearSVC", calibrated(LinearSVC(), method="sigmoid")
    yield "sigmoid of SVC, one member", calibrated(SVC(), method="sigmoid", ensemble=False)
    yield "isotonic of LinearSVC", calibrated(LinearSVC(), method="isotonic")
    yield "temperature of LogisticRegression", calibrated(LogisticRegression(), method="temperature")
    yield "temperature of SVC, one member", calibrated(SVC(), method="temperature", ensemble=False)
    yield "sigmoid of a pipeline", calibrated(make_pipeline(StandardScaler(), LinearSVC()))


def rows(values):
    return np.asarray(values, np.float64).tolist()


def case(name, estimator, classes, texts=False):
    """Fits an estimator, exports it, and notes what it answers. `texts`: its labels are texts instead of numbers."""
    train, labels, test = data(classes, classes)
    estimator.fit(train.astype(np.float64), labels.astype(str) if texts else labels)
    x = test.astype(np.float64)
    answers = {"name": f"{name}, {classes} classes", "classifier": export(estimator), "test": rows(test)}
    answers["predictions"] = np.searchsorted(estimator.classes_, estimator.predict(x)).tolist()
    if hasattr(estimator, "decision_function"):
        decisions = estimator.decision_function(x)
        answers["decisions"] = rows(decisions.reshape(len(x), -1))
    if hasattr(estimator, "predict_proba"):
        answers["probabilities"] = rows(estimator.predict_proba(x))
    return answers


def fitted(classes):
    """References at tolerances at which they are at the optimum."""
    train, labels, test = data(classes, 10 + classes)
    x, t = train.astype(np.float64), test.astype(np.float64)
    logistic = LogisticRegression(C=10, tol=1e-10, max_iter=10_000).fit(x, labels)
    linear = LinearSVC(C=1, dual=True, tol=1e-10, max_iter=1_000_000).fit(x, labels)
    rbf = SVC(C=10, tol=1e-9, decision_function_shape="ovo").fit(x, labels)
    return {
        "train": rows(train),
        "classes": [int(label) for label in labels],
        "test": rows(test),
        "logistic": rows(logistic.predict_proba(t)),
        "linear-svm": rows(linear.decision_function(t).reshape(len(t), -1)),
        "rbf-svm": rows(rbf.decision_function(t).reshape(len(t), -1)),
        "gamma": float(rbf._gamma),
    }


def write(name, value):
    (HERE / name).write_text(json.dumps(value) + "\n")


if __name__ == "__main__":
    write("imported.json", [case(name, estimator, classes) for classes in (2, 5) for name, estimator in estimators()])
    write("fitted.json", [fitted(classes) for classes in (2, 5)])
