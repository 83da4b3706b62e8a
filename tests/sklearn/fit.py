"""Fits classifiers with one version of scikit-learn, exports them by `python -m pilotlight_export`, and writes what they answer.

    python tests/sklearn/fit.py target/sklearn/1.9.1.json

Raises where an export differs between the command and the function, or where a class that is not supported is not refused by its name.
"""

import json
import pathlib
import sys
import tempfile
import warnings

import pilotlight_export
from pilotlight_export.__main__ import main as command

# The exporter imports nothing of scikit-learn, whose private modules move from version to version.
assert not [name for name in sys.modules if name.split(".")[0] == "sklearn"]

import joblib
import numpy as np
import scipy.sparse
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, LogisticRegressionCV, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "goldens/heads"))
from make_goldens import calibrated, case, data, estimators  # noqa: E402

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
warnings.filterwarnings("ignore")
OF_TEXTS = "LogisticRegression of labels that are texts"


class Mine(LogisticRegression):
    """Its probabilities may be anything."""


def more_estimators(classes):
    """Yields estimators that the goldens lack, and those that only some versions have."""
    train, labels, _ = data(classes, 20 + classes)

    def fitted(estimator):
        return estimator.fit(train.astype(np.float64), labels)

    yield OF_TEXTS, LogisticRegression()
    yield "LogisticRegression by newton-cholesky", LogisticRegression(solver="newton-cholesky")
    yield "LogisticRegression without intercepts", LogisticRegression(fit_intercept=False)
    yield "LinearSVC of Crammer and Singer", LinearSVC(multi_class="crammer_singer", fit_intercept=False)
    yield "SVC with weights", SVC(class_weight="balanced", gamma="auto")
    yield "scaler without mean and StandardScaler", make_pipeline(
        StandardScaler(with_mean=False), "passthrough", StandardScaler(with_std=False), LinearSVC()
    )
    yield "isotonic of LogisticRegression, one member", calibrated(LogisticRegression(), method="isotonic", ensemble=False)
    if VERSION < (1, 8):
        yield "LogisticRegression of each class against the rest", LogisticRegression(multi_class="ovr")
        yield "LogisticRegression by liblinear", LogisticRegression(solver="liblinear")
        yield "LogisticRegression, multinomial", LogisticRegression(multi_class="multinomial")
        yield "sigmoid of one against the rest", calibrated(LogisticRegression(multi_class="ovr"))
        yield "sigmoid of what was fitted", CalibratedClassifierCV(fitted(LinearSVC()), cv="prefit")
    if VERSION >= (1, 6):
        from sklearn.frozen import FrozenEstimator

        yield "FrozenEstimator", FrozenEstimator(fitted(LogisticRegression()))
        yield "sigmoid of a FrozenEstimator", CalibratedClassifierCV(FrozenEstimator(fitted(SVC())), ensemble=False)


def unsupported():
    """Estimators, and the name that the refusal has."""
    train, labels, _ = data(5, 5)
    x = train.astype(np.float64)
    for estimator in (
        RandomForestClassifier(n_estimators=2),
        KNeighborsClassifier(),
        GaussianNB(),
        NuSVC(nu=0.1),
        SGDClassifier(),
        RidgeClassifier(),
        LogisticRegressionCV(cv=2, Cs=2),
        GridSearchCV(LinearSVC(), {"C": [1, 2]}, cv=2),
        OneVsRestClassifier(LinearSVC()),
        LinearRegression(),
        StandardScaler(),
        Mine(),
        SVC(break_ties=True),
        SVC(kernel=lambda a, b: a @ b.T),
    ):
        yield estimator.fit(x, labels), type(estimator).__name__
    yield LogisticRegression(), "LogisticRegression is not fitted"
    yield SVC().fit(scipy.sparse.csr_matrix(x), labels), "SVC"
    yield make_pipeline(PCA(), LinearSVC()).fit(x, labels), "PCA"
    yield make_pipeline(Normalizer("max"), LinearSVC()).fit(x, labels), "Normalizer"
    yield make_pipeline(StandardScaler(), GaussianNB()).fit(x, labels), "GaussianNB"
    yield calibrated(GaussianNB()).fit(x, labels), "GaussianNB"
    yield calibrated(calibrated(LinearSVC())).fit(x, labels), "CalibratedClassifierCV inside"
    yield calibrated(SVC(decision_function_shape="ovo")).fit(x, labels), "'ovo' inside"
    # The examples are in the order of their labels, so that each fold leaves one label out.
    yield CalibratedClassifierCV(LinearSVC(), cv=KFold(5)).fit(x, labels), "lacks a class"


def by_command(estimator):
    """Returns the JSON that the command writes for an estimator that was saved by joblib."""
    with tempfile.TemporaryDirectory() as folder:
        saved, out = pathlib.Path(folder, "classifier.joblib"), pathlib.Path(folder, "classifier.json")
        joblib.dump(estimator, saved)
        command([str(saved), "--model", "a/b", "--out", str(out)])
        return json.loads(out.read_text())


def supported():
    """Yields what estimators answer, and their JSON."""
    for classes in (2, 5):
        for name, estimator in [*estimators(), *more_estimators(classes)]:
            if VERSION < (1, 8) and name.startswith("temperature"):
                continue
            if classes > 2 and VERSION >= (1, 8) and name.endswith("liblinear"):
                continue
            answers = case(name, estimator, classes, texts=name == OF_TEXTS)
            if by_command(estimator) != {**answers["classifier"], "embedder": {"model": "a/b"}}:
                raise AssertionError(f"{answers['name']}: the command writes something else than `export` returns")
            if answers["classifier"]["head"]["type"] == "calibrated":
                # Its decision values are probabilities.
                answers.pop("decisions", None)
            yield answers


def refused():
    """Yields the names by which estimators were refused."""
    for estimator, name in unsupported():
        try:
            pilotlight_export.export(estimator)
        except TypeError as error:
            if name not in str(error):
                raise AssertionError(f"{name}: refused as '{error}'") from error
            yield name
        else:
            raise AssertionError(f"{name} was exported")


out = pathlib.Path(sys.argv[1])
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps({"version": sklearn.__version__, "cases": list(supported()), "refused": list(refused())}))
