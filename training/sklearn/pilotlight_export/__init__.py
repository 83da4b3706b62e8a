"""Writes classifiers of scikit-learn as the JSON that Pilotlight's `TextClassifier.fromJSON` reads.

Works with scikit-learn 1.5 to 1.9. Values are exact: the JSON holds float64.
"""

import base64

import numpy as np


def export(estimator, model=None):
    """Returns the classifier as a dict for `json.dump`.

    estimator: a fitted LogisticRegression, LinearSVC, SVC (linear, rbf, poly, sigmoid), CalibratedClassifierCV (sigmoid, isotonic,
        temperature) of one of the first three, or a Pipeline of StandardScaler and Normalizer steps before one of the four. Each may be
        in a FrozenEstimator.
    model: the name of the embedding model whose vectors the classifier was fitted on, as on the hub.

    Raises TypeError with the name of a class that is not supported.
    """
    document = head(estimator)
    labels = [str(label) for label in estimator.classes_]
    embedder = {} if model is None else {"embedder": {"model": model}}
    return {"format": "pilotlight-classifier", "version": 1, "labels": labels, **embedder, "head": document}


def head(estimator, in_member=False):
    """Returns one estimator, without its labels. `in_member`: a CalibratedClassifierCV asks only for its decision values."""
    name = kind(estimator)
    if name == "FrozenEstimator":
        return head(estimator.estimator, in_member)
    if name == "Pipeline":
        steps = [step(one) for _, one in estimator.steps[:-1] if one not in (None, "passthrough")]
        return {"type": "pipeline", "steps": steps, "head": head(estimator.steps[-1][1], in_member)}
    if name not in ("LogisticRegression", "LinearSVC", "SVC", "CalibratedClassifierCV"):
        raise TypeError(f"{name} is not supported")
    if not hasattr(estimator, "classes_"):
        raise TypeError(f"{name} is not fitted")
    if name == "SVC":
        if in_member and estimator.decision_function_shape == "ovo" and len(estimator.classes_) > 2:
            raise TypeError("SVC with decision_function_shape='ovo' inside a CalibratedClassifierCV is not supported")
        return svc(estimator)
    if name == "CalibratedClassifierCV":
        if in_member:
            raise TypeError("CalibratedClassifierCV inside a CalibratedClassifierCV is not supported")
        return {"type": "calibrated", "members": [member(one) for one in estimator.calibrated_classifiers_]}
    document = linear(estimator)
    return document if name == "LinearSVC" or in_member else with_probabilities(document, estimator)


def kind(estimator):
    """Returns the name of a class of scikit-learn; that of another package's class has the package before it."""
    of = type(estimator)
    return of.__name__ if of.__module__.split(".")[0] == "sklearn" else f"{of.__module__}.{of.__name__}"


def step(transformer):
    name = kind(transformer)
    if name == "StandardScaler":
        mean = {"mean": numbers(transformer.mean_)} if transformer.with_mean else {}
        scale = {"scale": numbers(transformer.scale_)} if transformer.with_std else {}
        return {"type": "scaler", **mean, **scale}
    if name == "Normalizer":
        if transformer.norm != "l2":
            raise TypeError(f"Normalizer with the norm {transformer.norm} is not supported")
        return {"type": "normalizer"}
    raise TypeError(f"{name} is not supported as a step")


def linear(estimator):
    coefficients = dense(estimator.coef_)
    intercepts = np.broadcast_to(estimator.intercept_, len(coefficients))
    return {"type": "linear", "coefficients": matrix(coefficients), "intercepts": numbers(intercepts), "link": "none"}


def with_probabilities(document, estimator):
    """Adds how a LogisticRegression makes probabilities of its decision values.

    Before scikit-learn 1.8 that depends on the solver, on `multi_class`, and on the version, so the estimator itself is asked about some
    vectors: the formula is the one that has its answers.
    """
    probes = dense(estimator.coef_)
    probes = np.concatenate([probes, -probes]) / max(np.abs(probes @ probes.T).max(), 1e-300)
    decisions = estimator.decision_function(probes)
    if decisions.ndim == 1:
        decisions = np.stack([-decisions, decisions], 1)
        of_softmax = calibrated(document, [{"type": "temperature", "beta": 1.0}])
        of_sigmoids = {**document, "link": "logistic"}
    else:
        of_softmax = {**document, "link": "softmax"}
        of_sigmoids = calibrated(document, [{"type": "sigmoid", "a": -1.0, "b": 0.0}] * decisions.shape[1])
    formulas = [(softmax(decisions), of_softmax), (sigmoids(decisions), of_sigmoids)]
    expected = estimator.predict_proba(probes)
    errors = [np.abs(probabilities - expected).max() for probabilities, _ in formulas]
    if not min(errors) < 1e-5:
        raise TypeError("LogisticRegression with probabilities that are neither softmax nor sigmoids is not supported")
    return formulas[int(np.argmin(errors))][1]


def calibrated(document, calibrators):
    return {"type": "calibrated", "members": [{"head": document, "calibrators": calibrators}]}


def sigmoids(x):
    """One sigmoid for each class, divided by their sum."""
    each = 0.5 * (1 + np.tanh(0.5 * x))
    return each / each.sum(1, keepdims=True)


def softmax(x):
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def svc(estimator):
    if getattr(estimator, "_sparse", False):
        raise TypeError("SVC that was fitted on a sparse matrix is not supported")
    if estimator.kernel not in ("linear", "rbf", "poly", "sigmoid"):
        raise TypeError(f"SVC with the kernel {estimator.kernel} is not supported")
    if estimator.break_ties and len(estimator.classes_) > 2 and estimator.decision_function_shape == "ovr":
        raise TypeError("SVC with break_ties is not supported")
    kernel = {"type": estimator.kernel}
    if estimator.kernel != "linear":
        kernel["gamma"] = float(estimator._gamma)
    if estimator.kernel in ("poly", "sigmoid"):
        kernel["constant"] = float(estimator.coef0)
    if estimator.kernel == "poly":
        kernel["degree"] = int(estimator.degree)
    slopes = getattr(estimator, "_probA", np.empty(0))
    offsets = getattr(estimator, "_probB", np.empty(0))
    sigmoids = {"sigmoids": [[float(a), float(b)] for a, b in zip(slopes, offsets)]} if len(slopes) else {}
    return {
        "type": "svc",
        "kernel": kernel,
        "vectors": matrix(estimator.support_vectors_),
        "counts": [int(count) for count in estimator._n_support],
        "dual": matrix(estimator._dual_coef_),
        "rho": numbers(-estimator._intercept_),
        **sigmoids,
        "pairwise": estimator.decision_function_shape == "ovo",
    }


def member(one):
    if not np.array_equal(one.estimator.classes_, one.classes):
        raise TypeError("CalibratedClassifierCV with a fold that lacks a class is not supported")
    return {
        "head": head(one.estimator, in_member=True),
        "calibrators": [calibrator(each) for each in one.calibrators],
    }


def calibrator(one):
    if hasattr(one, "a_"):
        return {"type": "sigmoid", "a": float(one.a_), "b": float(one.b_)}
    if hasattr(one, "X_thresholds_"):
        return {"type": "isotonic", "x": numbers(one.X_thresholds_), "y": numbers(one.y_thresholds_)}
    if hasattr(one, "beta_"):
        return {"type": "temperature", "beta": float(one.beta_)}
    raise TypeError(f"{type(one).__name__} is not supported as a calibrator")


def dense(values):
    """Returns coefficients as an array, also those of an estimator that was made sparse by `sparsify()`."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, np.float64)


def numbers(values):
    return np.asarray(values, np.float64).tolist()


def matrix(values):
    values = np.ascontiguousarray(values, "<f8")
    rows, columns = values.shape
    return {"rows": rows, "columns": columns, "f64": base64.b64encode(values.tobytes()).decode()}
