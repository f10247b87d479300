"""JSON read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from growth import LINEAR, growth
from hypothesis import given
from hypothesis import strategies as st

from push_provider import strict_json
from push_provider.channels.sms.task import template_parameters
from push_provider.contract.base import Broken
from push_provider.contract.documents import storable

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def exact(value: Any) -> Any:
    """The value with its numbers as the decimals that their words say."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return Decimal(str(value))
    if isinstance(value, list):
        return [exact(item) for item in value]
    return {key: exact(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(values)
def test_what_json_can_say_is_read(value: Any) -> None:
    assert exact(strict_json.loads(json.dumps(value))) == exact(value)
    assert exact(strict_json.loads(json.dumps(value).encode())) == exact(value)


@pytest.mark.parametrize("number", ["12.50", "1.0", "0.00001", "12345678901234567890.12", "9007199254740993", "-1.10"])
def test_a_number_is_shown_as_it_was_written(number: str) -> None:
    assert str(strict_json.loads(f'{{"n": {number}}}')["n"]) == number


@pytest.mark.parametrize("number", ["1e400", "-1e9999999999999999999"])
def test_a_number_that_no_double_stands_for_is_read_and_not_storable(number: str) -> None:
    document = strict_json.loads(f'{{"n": {number}}}')
    assert str(document["n"]) == number
    with pytest.raises(Broken, match="n: must be a number of at most 300 digits"):
        storable(document)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xc3", "is not UTF-8, at byte 0"),
        ("[1,]", "is not JSON: "),
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice in one object"),
        ("[NaN]", "holds NaN"),
        ("[-Infinity]", "holds -Infinity"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_python_would_let_pass_is_an_error(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", "[(]")):
        strict_json.loads(text)


@pytest.mark.slow
@pytest.mark.parametrize("read", [strict_json.loads, template_parameters])
def test_a_key_that_stands_twice_among_many_is_found_at_once(read: Callable[[str], Any]) -> None:
    def refuse(count: int) -> None:
        keys = [f"k{number}" for number in range(count)]
        text = "{" + ", ".join(f'"{key}": "x"' for key in [*keys, keys[-1]]) + "}"
        with pytest.raises(ValueError, match=f"the key 'k{count - 1}' stands twice"):
            read(text)

    assert growth(refuse, 15_000) < LINEAR
