"""Every name that fastconv promises is there and has values that Keras gave.

``pytest -s tests/test_keras_contract.py`` prints the list.
"""

import json

import keras_contract
import keras_golden
import pytest

import fastconv

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def rows() -> list[keras_contract.Row]:
    return keras_contract.rows(fastconv)


def test_every_name_is_present_and_has_values_of_keras(rows: list[keras_contract.Row]) -> None:
    print("\n" + keras_contract.table(rows))
    assert [row.name for row in rows if not row.present] == []
    assert [row.name for row in rows if not row.cases] == []


def test_every_argument_is_passed_in_a_case(rows: list[keras_contract.Row]) -> None:
    promised = keras_contract.promised()
    missing = {row.name: sorted(promised[row.name] - row.arguments) for row in rows}
    assert {name: arguments for name, arguments in missing.items() if arguments} == {}


def test_every_behaviour_has_values_of_keras() -> None:
    values = json.loads(keras_golden.VALUES.read_text())
    assert [case for case in keras_contract.BEHAVIOURS.values() if case not in values] == []
