"""Losses and metrics: gradients, labels, errors, names."""

import numpy as np
import pytest

from fastconv import losses, metrics
from fastconv._autodiff import Tensor

rng = np.random.default_rng(0)
P = rng.random((6, 4)) + 0.1
LABELS = np.array([0, 1, 2, 3, 1, 2])
ONE_HOT = np.eye(4)[LABELS]
TARGETS = rng.standard_normal((6, 4))
WEIGHTS = np.array([1, 2, 0, 0.5, 1, 3])

CASES = {
    "mse": (losses.MeanSquaredError, TARGETS),
    "mae": (losses.MeanAbsoluteError, TARGETS),
    "mape": (losses.MeanAbsolutePercentageError, TARGETS),
    "msle": (losses.MeanSquaredLogarithmicError, np.abs(TARGETS)),
    "huber": (lambda **k: losses.Huber(0.3, **k), TARGETS),
    "cce": (losses.CategoricalCrossentropy, ONE_HOT),
    "cce logits": (lambda **k: losses.CategoricalCrossentropy(True, 0.1, **k), ONE_HOT),
    "scce": (losses.SparseCategoricalCrossentropy, LABELS),
    "scce ignored": (lambda **k: losses.SparseCategoricalCrossentropy(False, 1, **k), LABELS),
    "bce": (lambda **k: losses.BinaryCrossentropy(label_smoothing=0.1, **k), (TARGETS > 0) * 1.0),
    "bce logits": (lambda **k: losses.BinaryCrossentropy(True, **k), (TARGETS > 0) * 1.0),
    "kld": (losses.KLDivergence, ONE_HOT * 0.9 + 0.025),
}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"]
)
@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_central_differences(name: str, reduction: str, weights) -> None:
    make, true = CASES[name]
    loss = make(reduction=reduction, dtype="float64")
    dy = np.empty_like(P)
    value = loss.value_and_gradient(true, P, weights, dy)
    assert value == pytest.approx(float(loss(true, P, weights)), rel=1e-12)
    step = 1e-6  # truncation 1e-12, rounding 1e-10 of values up to 1e3
    for index in [(0, 0), (1, 2), (4, 1), (5, 3)]:
        moved = P.copy()
        moved[index] += step
        above = loss.value_and_gradient(true, moved, weights, None)
        moved[index] -= 2 * step
        below = loss.value_and_gradient(true, moved, weights, None)
        assert dy[index] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-7)


def test_the_written_gradient_is_the_automatic_one() -> None:
    loss = losses.MeanSquaredError(dtype="float64")
    tensor = Tensor(P)
    loss.per_sample(TARGETS, tensor).backward(WEIGHTS)
    np.testing.assert_allclose(loss.gradient(TARGETS, P, WEIGHTS), tensor.grad, rtol=1e-12)


def test_targets_with_one_axis_less_or_more() -> None:
    mse = losses.MeanSquaredError()
    # keras.losses.MeanSquaredError()([1, 2], [[1], [4]]) and the other way round
    assert float(mse([1.0, 2.0], [[1.0], [4.0]])) == 2.0
    assert float(mse([[1.0], [2.0]], [1.0, 4.0])) == 2.0
    scce = losses.SparseCategoricalCrossentropy()
    assert scce(LABELS, P) == scce(LABELS[:, None], P) == scce(LABELS.astype("float32"), P)


def test_probabilities_are_bounded() -> None:
    # -log(1e-7): keras.losses.CategoricalCrossentropy()([[1, 0]], [[0, 1]])
    assert float(losses.CategoricalCrossentropy()([[1.0, 0]], [[0, 1.0]])) == pytest.approx(
        16.118, abs=1e-3
    )
    # The clipped 1 - 1e-7 is 1 - 1.19e-7 in float32, which is where the 15.942 comes from.
    value = float(losses.BinaryCrossentropy()([0.0], [1.0]))
    assert value == pytest.approx(-np.log(1 - np.float32(1 - 1e-7)), rel=1e-6)


ERRORS = {
    "reduction": (lambda: losses.Huber(reduction="median"), "reduction='median'"),
    "smoothing": (lambda: losses.CategoricalCrossentropy(label_smoothing=2), "smoothing=2"),
    "label": (lambda: losses.sparse_categorical_crossentropy([4], P[:1]), "labels from 4 to 4"),
    "negative": (lambda: losses.sparse_categorical_crossentropy([-1], P[:1]), "from -1"),
    "shape": (lambda: losses.categorical_crossentropy(ONE_HOT[:2], P), "same shape"),
    "sparse shape": (lambda: losses.sparse_categorical_crossentropy(ONE_HOT, P), "target.shape"),
    "weight": (lambda: losses.Huber()(TARGETS, P, np.ones(5)), "sample_weight"),
    "name": (lambda: losses.get("nothing"), "Unknown loss: 'nothing'"),
    "kind": (lambda: losses.get(3), "loss=3"),
    "metric name": (lambda: metrics.get("nothing"), "Unknown metric: 'nothing'"),
    "threshold": (lambda: metrics.BinaryAccuracy(threshold=2.0), "threshold=2.0"),
    "thresholds": (lambda: metrics.Precision([0.1, 2.0]), "thresholds="),
    "curve": (lambda: metrics.AUC(curve="X"), "curve='X'"),
    "summation": (lambda: metrics.AUC(summation_method="x"), "summation_method='x'"),
    "few thresholds": (lambda: metrics.AUC(num_thresholds=1), "num_thresholds=1"),
    "auc thresholds": (lambda: metrics.AUC(thresholds=[2.0]), "thresholds="),
    "auc shape": (lambda: metrics.AUC()([1, 0], [0.5, 0.5, 0.5]), "Shapes must match"),
    "precision shape": (lambda: metrics.Precision()([1], [0.5, 0.5]), "Shapes must match"),
    "f1 average": (lambda: metrics.F1Score(average="x"), "average='x'"),
    "f1 threshold": (lambda: metrics.F1Score(threshold=2), "threshold=2"),
    "f1 shape": (lambda: metrics.F1Score()([1.0], [0.5]), "2D inputs"),
    "r2 aggregation": (lambda: metrics.R2Score("x"), "class_aggregation='x'"),
    "r2 regressors": (lambda: metrics.R2Score(num_regressors=-1), "num_regressors=-1"),
    "r2 shape": (lambda: metrics.R2Score()(np.ones((3, 2)), np.ones((3, 3))), "same shape"),
    "mean weight": (lambda: metrics.Mean()([1.0, 2.0], sample_weight=[1.0] * 3), "sample_weight"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_arguments_are_named(name: str) -> None:
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()


@pytest.mark.parametrize("module", [losses, metrics])
def test_everything_is_found_by_its_serialized_form(module) -> None:
    for name in module.__all__:
        thing = getattr(module, name)
        if not isinstance(thing, type) or name in (
            "Loss",
            "LossFunctionWrapper",
            "Metric",
            "MeanMetricWrapper",
        ):
            continue
        made = thing()
        again = module.deserialize(module.serialize(made))
        assert type(again) is thing
        assert again.get_config() == made.get_config()
        assert module.get(name) is not None
    for short in ("mse", "mae", "mape", "msle", "MSE", "MAE"):
        assert module.get(short) is not None


def test_adjusted_r2_with_too_few_samples() -> None:
    metric = metrics.R2Score(num_regressors=5)
    metric.update_state([[1.0], [2.0], [4.0]], [[1.0], [2.5], [4.0]])
    with pytest.warns(UserWarning, match="Fewer samples"):
        metric.result()


def test_sums_and_means() -> None:
    assert float(metrics.Sum()([1.0, 2.0], sample_weight=[1.0, 3.0])) == 7
    mean = metrics.Mean()
    assert float(mean.result()) == 0
    mean.update_state([1.0, 2.0])
    mean.update_state(6.0)
    assert float(mean.result()) == 3
    mean.reset_state()
    assert float(mean.result()) == 0
