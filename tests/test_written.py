"""Numbers that are shown as they were written, and are numbers all the same."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_provider import written


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("12.5", "12.5"),
        ("12.50", "12.50"),
        ("1.0", "1.0"),
        ("-0.10", "-0.10"),
        ("0.00001", "0.00001"),
        ("12345678901234567890.12", "12345678901234567890.12"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        # With an exponent, and negative zero: as PostgreSQL's jsonb writes them.
        ("1e-05", "0.00001"),
        ("1E3", "1000"),
        ("1.5e3", "1500"),
        ("1.50e1", "15.0"),
        ("1e+22", "1" + "0" * 22),
        ("-0.0", "0.0"),
        ("-0e5", "0"),
        ("5e-324", "0." + "0" * 323 + "5"),
    ],
)
def test_what_a_number_is_shown_as(words: str, shown: str) -> None:
    number = written.number(words)
    assert (str(number), f"{number}", written.dumps([number])) == (shown, shown, f"[{shown}]")
    assert number == float(words)
    # What was read once does not change by being kept.
    assert written.dumps(written.loads(written.dumps([number]))) == f"[{shown}]"


def test_it_is_a_number() -> None:
    price = written.number("12.50")
    assert (price * 2, price + 1, f"{price:.3f}", round(price), int(price)) == (25.0, 13.5, "12.500", 12, 12)
    assert price > 12
    assert [str(copy.deepcopy(price)), str(pickle.loads(pickle.dumps(price)))] == ["12.50", "12.50"]


@pytest.mark.parametrize(
    "words",
    [
        "1E400",
        "-1e400",
        "1e-999999999",
        "9e999999999",
        # Exponents that Decimal does not take.
        "1e9999999999999999999",
        "1e-9999999999999999999",
        "0e9999999999999999999",
        "0." + "1" * 500,
    ],
)
def test_what_no_double_stands_for_is_infinite_and_repeated_as_it_was(words: str) -> None:
    number = written.number(words)
    assert number == float("inf")
    assert written.dumps([number]) == f"[{words}]"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_double_is_kept(value: float) -> None:
    number = written.number(repr(value))
    assert Decimal(str(number)) == Decimal(repr(value))
    assert float(number) == value


def test_what_has_no_utf_8_is_escaped() -> None:
    assert written.dumps({"b": 1, "a": "\ud800"}, sort_keys=True) == r'{"a": "\ud800", "b": 1}'


def test_keys_are_sorted_and_levels_indented_on_request() -> None:
    value = {"b": written.number("1.50"), "a": {"d": 1, "c": "é"}}
    assert written.dumps(value, sort_keys=True) == '{"a":{"c":"é","d":1},"b":1.50}'
    assert json.loads(written.dumps(value, indent=2)) == value
    assert '\n  "b": 1.50' in written.dumps(value, indent=2)


def test_the_same_is_what_is_written_alike() -> None:
    spellings: list[Any] = [1, 1.0, written.number("1.00"), True, "1"]
    for number, one in enumerate(spellings):
        found = [written.are_same({"a": one, "b": [0]}, {"b": [0], "a": other}) for other in spellings]
        assert found == [number == place for place in range(len(spellings))]


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(TypeError, match="object is no JSON"):
        written.dumps({"a": object()})
