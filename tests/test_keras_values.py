"""Every row of the API against the values that Keras gives."""

import json
import os

import keras_golden
import numpy as np
import pytest

import fastconv

EXPECTED = json.loads(keras_golden.VALUES.read_text())

#: Both compute in float32, in another order: 2e-6 is 16 roundings. Training repeats that for 6 to
#: 15 steps, and optimizers that divide by the gradient's size pass rounding errors on enlarged;
#: 1e-4 is what a loss curve must agree to. Random weights are those of another generator: a
#: quantile of a million of them, in units of their spread, is known to 0.004 (its standard error at
#: 1%), and 0.03 is seven of these.
TOLERANCES = {"training": 1e-4, "callback": 1e-4, "file": 1e-5, "fit": 1e-5, "random weights": 0.03}
TOLERANCE = 2e-6


def test_all_cases_have_values() -> None:
    assert set(keras_golden.cases()) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_value_is_that_of_keras(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "80")
    actual, expected = keras_golden.run(name, fastconv), EXPECTED[name]
    if isinstance(expected, str):
        assert actual == expected
        return
    kind = name.partition(":")[0]
    tolerance = next((t for start, t in TOLERANCES.items() if kind.startswith(start)), TOLERANCE)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
