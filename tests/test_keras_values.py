"""Every row of the API against the values that Keras gives."""

import json

import keras_cases
import numpy as np
import pytest

import fastconv
from fastconv import utils

EXPECTED = json.loads(keras_cases.VALUES.read_text())

#: Both compute in float32, in another order: 2e-6 is 16 roundings. Training repeats that for 6
#: steps, and optimizers that divide by the gradient's size pass rounding errors on enlarged; 1e-4
#: is what a loss curve must agree to.
TOLERANCE, TRAINING_TOLERANCE = 2e-6, 1e-4


def test_all_cases_have_values() -> None:
    assert set(keras_cases.cases()) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_value_is_that_of_keras(name: str) -> None:
    utils.set_random_seed(0)
    actual = np.array(keras_cases.numbers(keras_cases.cases()[name](fastconv)))
    expected = np.array(EXPECTED[name])
    tolerance = TRAINING_TOLERANCE if name.startswith("training") else TOLERANCE
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
