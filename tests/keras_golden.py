"""All cases that Keras and fastconv share, and what Keras gave for them.

With Keras and TensorBoard installed, ``KERAS_BACKEND=jax python tests/keras_golden.py`` writes the
values and the signatures anew.
"""

import json
from pathlib import Path
from typing import Any

import keras_callback_cases
import keras_cases
import keras_parts
import keras_programs
import numpy as np

VALUES = Path(__file__).with_name("keras_values.json")


def cases() -> dict[str, keras_cases.Case]:
    """Return all cases by name."""
    return {
        name: case
        for module in (keras_cases, keras_parts, keras_programs, keras_callback_cases)
        for name, case in module.cases().items()
    }


def numbers(value: Any) -> Any:
    """Return all numbers in nested lists and arrays, flat; a text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return [number for item in value for number in numbers(item)]
    return [float(f"{number:.8g}") for number in np.asarray(value, np.float64).ravel()]


def run(name: str, package: Any) -> Any:
    """Return the numbers or the text of a case, whatever ran before it."""
    package.utils.clear_session()
    package.utils.set_random_seed(0)
    return numbers(cases()[name](package))


def main() -> None:
    """Write the values and the signatures that Keras has."""
    import keras
    import keras_signatures

    keras_signatures.write(keras)
    values = {name: run(name, keras) for name in cases()}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()]
    VALUES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
