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


SIGNATURES = json.loads(keras_cases.SIGNATURES.read_text())

#: Arguments that belong to what is left out: quantization, other back ends, several outputs.
ABSENT = {
    "layers.Dense": {"lora_rank", "lora_alpha", "quantization_config"},
    "models.clone_model": {"input_tensors", "clone_function", "call_function", "recursive"},
}

#: Where a default differs on purpose.
OTHER_DEFAULTS = {
    "layers.AveragePooling2D": {"pool_size"},
}


def test_all_public_names_have_signatures() -> None:
    assert set(keras_cases.signatures(fastconv)) == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_is_that_of_keras(name: str) -> None:
    ours, theirs = keras_cases.signatures(fastconv)[name], SIGNATURES[name]
    wanted = [argument for argument in theirs if argument not in ABSENT.get(name, ())]
    assert [argument for argument in ours if argument in theirs] == wanted
    for argument in wanted:
        if argument not in OTHER_DEFAULTS.get(name, ()):
            assert ours[argument] == theirs[argument], argument


@pytest.mark.parametrize("name", EXPECTED)
def test_value_is_that_of_keras(name: str) -> None:
    utils.set_random_seed(0)
    actual = np.array(keras_cases.numbers(keras_cases.cases()[name](fastconv)))
    expected = np.array(EXPECTED[name])
    tolerance = TRAINING_TOLERANCE if name.startswith("training") else TOLERANCE
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
