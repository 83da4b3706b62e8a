"""Writes classifiers of scikit-learn as the JSON that Pilotlight's `TextClassifier.fromJSON` reads.

Works with scikit-learn 1.5 to 1.9. Values are exact: the JSON holds float64.
"""

import base64

import numpy as np


def export(estimator, model=None):
    """Returns the classifier as a dict for `json.dump`.

    estimator: a fitted LogisticRegression, LinearSVC, SVC (linear, rbf, poly, sigmoid), CalibratedClassifierCV (sigmoid, isotonic,
        temperature) of one of them, or a Pipeline of StandardScaler and Normalizer steps before one of them.
    model: the name of the embedding model whose vectors the classifier was fitted on, as on the hub.

    Raises TypeError with the name of a class that is not supported.
    """
    labels = [str(label) for label in estimator.classes_]
    embedder = {} if model is None else {"embedder": {"model": model}}
    return {"format": "pilotlight-classifier", "version": 1, "labels": labels, **embedder, "head": head(estimator)}


def head(estimator):
    """Returns one estimator, without its labels."""
    name = type(estimator).__name__
    if name == "Pipeline":
        steps = [step(one) for _, one in estimator.steps[:-1] if one not in (None, "passthrough")]
        return {"type": "pipeline", "steps": steps, "head": head(estimator.steps[-1][1])}
    if name in ("LogisticRegression", "LinearSVC"):
        return linear(estimator, name)
    if name == "SVC":
        return svc(estimator)
    if name == "CalibratedClassifierCV":
        return {"type": "calibrated", "members": [member(one) for one in estimator.calibrated_classifiers_]}
    raise TypeError(f"{name} is not supported")


def step(transformer):
    name = type(transformer).__name__
    if name == "StandardScaler":
        mean = {"mean": numbers(transformer.mean_)} if transformer.with_mean else {}
        scale = {"scale": numbers(transformer.scale_)} if transformer.with_std else {}
        return {"type": "scaler", **mean, **scale}
    if name == "Normalizer" and transformer.norm == "l2":
        return {"type": "normalizer"}
    raise TypeError(f"{name} is not supported as a step" + (f" with norm {transformer.norm}" if name == "Normalizer" else ""))


def linear(estimator, name):
    link = "none"
    if name == "LogisticRegression":
        check_multinomial(estimator)
        link = "logistic" if len(estimator.classes_) == 2 else "softmax"
    intercepts = np.broadcast_to(estimator.intercept_, len(estimator.coef_))
    return {"type": "linear", "coefficients": matrix(estimator.coef_), "intercepts": numbers(intercepts), "link": link}


def check_multinomial(estimator):
    """Raises TypeError where the probabilities are not the logistic function of two classes or the softmax of more.

    scikit-learn before 1.8 had others: of each class against the rest, and the softmax of two classes.
    """
    multi_class = getattr(estimator, "multi_class", "auto")
    if len(estimator.classes_) == 2:
        is_other = multi_class == "multinomial"
    else:
        is_other = multi_class == "ovr" or multi_class != "multinomial" and estimator.solver == "liblinear"
    if is_other:
        raise TypeError(
            f"LogisticRegression with multi_class={multi_class!r}, solver={estimator.solver!r} and {len(estimator.classes_)} classes"
            " is not supported"
        )


def svc(estimator):
    if getattr(estimator, "_sparse", False):
        raise TypeError("SVC that was fitted on a sparse matrix is not supported")
    if estimator.kernel not in ("linear", "rbf", "poly", "sigmoid"):
        raise TypeError(f"SVC with the kernel {estimator.kernel} is not supported")
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


def member(calibrated):
    return {"head": head(calibrated.estimator), "calibrators": [calibrator(one) for one in calibrated.calibrators]}


def calibrator(one):
    if hasattr(one, "a_"):
        return {"type": "sigmoid", "a": float(one.a_), "b": float(one.b_)}
    if hasattr(one, "X_thresholds_"):
        return {"type": "isotonic", "x": numbers(one.X_thresholds_), "y": numbers(one.y_thresholds_)}
    if hasattr(one, "beta_"):
        return {"type": "temperature", "beta": float(one.beta_)}
    raise TypeError(f"{type(one).__name__} is not supported as a calibrator")


def numbers(values):
    return np.asarray(values, np.float64).tolist()


def matrix(values):
    values = np.ascontiguousarray(values, "<f8")
    rows, columns = values.shape
    return {"rows": rows, "columns": columns, "f64": base64.b64encode(values.tobytes()).decode()}
