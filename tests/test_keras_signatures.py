"""The arguments and defaults of every public name against those of Keras."""

import json

import keras_signatures
import pytest

import fastconv

SIGNATURES = json.loads(keras_signatures.SIGNATURES.read_text())

#: Arguments that belong to what is left out: quantization, other back ends, several outputs.
ABSENT = {
    "layers.Dense": {"lora_rank", "lora_alpha", "quantization_config"},
    "models.clone_model": {"call_function", "recursive"},
}

#: Where a default differs on purpose.
OTHER_DEFAULTS = {
    "layers.AveragePooling2D": {"pool_size"},
}


def test_all_public_names_have_signatures() -> None:
    assert set(keras_signatures.signatures(fastconv)) == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_is_that_of_keras(name: str) -> None:
    ours, theirs = keras_signatures.signatures(fastconv)[name], SIGNATURES[name]
    wanted = [argument for argument in theirs if argument not in ABSENT.get(name, ())]
    assert [argument for argument in ours if argument in theirs] == wanted
    for argument in wanted:
        if argument not in OTHER_DEFAULTS.get(name, ()):
            assert ours[argument] == theirs[argument], argument
