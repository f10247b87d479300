"""JSON read strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_provider import strict_json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_json_can_say_is_read(value: Any) -> None:
    assert strict_json.loads(json.dumps(value)) == value
    assert strict_json.loads(json.dumps(value).encode()) == value


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
