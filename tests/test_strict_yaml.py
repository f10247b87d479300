"""YAML read strictly: no scalar becomes another value than the one that stands there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from push_provider import strict_yaml, written

WORDS = [
    *("012345", "14:30", "0305", "08", "010", "00", "+5", "-0", "-00", "-0.0", "1_000", "0x1F", "0o17", "0b11"),
    *(".5", "5.", "1e3", "12e4567", "1.5e3", ".inf", "-.INF", ".nan", "190:20:30", "1.2.3", "--1"),
    *("NO", "no", "Yes", "on", "OFF", "y", "n", "nULL", "tRUE", "=", "<<", "Hello"),
    *("2026-07-01", "2026-07-01T09:00:00+08:00", "2026-13-45"),
]


@pytest.mark.parametrize("words", WORDS)
def test_words_stay_words(words: str) -> None:
    assert strict_yaml.loads(f"a: {words}\nb: [{words}]") == [{"a": words, "b": [words]}]
    assert strict_yaml.loads(f"{words}: 1") == [{words: 1}]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("0", 0),
        ("-3", -3),
        ("13800138000", 13800138000),
        ("9007199254740993", 9007199254740993),
        ("12.5", 12.5),
        ("12.50", 12.5),
        ("-0.10", -0.1),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'012'", "012"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ("!!float 12.50", 12.5),
        ("|\n  012", "012"),
    ],
)
def test_what_else_a_scalar_is(words: str, value: Any) -> None:
    [document] = strict_yaml.loads(f"a: {words}")
    assert document == {"a": value}
    assert type(value) is type(document["a"]) or isinstance(document["a"], float)
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert str(document["a"]) == words.split()[-1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: !!binary aGk=", "the tag !!binary is not known here, line 1; leave the tag out"),
        ("a: !!timestamp 2026-07-01", "the tag !!timestamp is not known here"),
        ("a: !!set {b}", "the tag !!set is not known here"),
        ("b: 1\na: !!int 08", "what stands behind the tag !!int is none, line 2; leave the tag out"),
        ("a: !!bool yes", "what stands behind the tag !!bool is none"),
        ("a: !!map x", "here a mapping is expected"),
        ("1: a\n'1': b", "the key '1' stands twice in one mapping, line 2"),
        ("on: a\n'on': b", "the key 'on' stands twice in one mapping, line 2"),
        ("? [a]\n: b", "a key must be text, line 1"),
        # What somebody meant as text, and YAML takes for something else.
        ("a: 1\ncron: */5 * * * *", "line 2; put a text that begins with '*' in quotes"),
        ("- cron: * * * * *", "line 1; put a text that begins with '*' in quotes"),
        ("cron: *mon", "the alias *mon is not followed; write the value out, line 1; put a text that begins with '*'"),
        ("subject: &50 off", "the anchor &50 is not kept, line 1; put a text that begins with '&' in quotes"),
        ("subject: !Sale now", "the tag !Sale is not known here, line 1; put a text that begins with '!' in quotes"),
        ("subject: {{ name }}", "line 1; put a text that begins with '{{' in quotes"),
        ("subject: {{ name }}, hello", "line 1; put a text that begins with '{{' in quotes"),
        ("subject: {% if a %}b{% endif %}", "line 1; put a text that begins with '{%' in quotes"),
        ("subject: %5 off", "line 1; put a text that begins with '%' in quotes"),
        ("name: @ops", "line 1; put a text that begins with '@' in quotes"),
        ("name: `ops`", "line 1; put a text that begins with '`' in quotes"),
        ("subject: Note: read this", "line 1; put a text that holds ': ' in quotes"),
    ],
)
def test_what_is_refused_and_how_it_is_written(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not YAML|cannot be read): ") as refused:
        strict_yaml.loads(text)
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ['a: "b": c', "a: [b", "a: b\n c: d"])
def test_no_hint_where_it_would_mislead(text: str) -> None:
    with pytest.raises(ValueError, match="is not YAML") as refused:
        strict_yaml.loads(text)
    assert "quotes" not in str(refused.value)


SCALARS = st.sampled_from(WORDS) | st.text() | st.integers() | st.booleans() | st.none()
NUMBERS = st.decimals(-1000, 1000, places=2).map(lambda decimal: written.number(f"{decimal:f}"))


@given(st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), SCALARS | NUMBERS | st.lists(SCALARS), max_size=5))
def test_what_is_written_reads_back_here_and_elsewhere(document: dict[str, Any]) -> None:
    text = strict_yaml.dumps(document)
    [again] = strict_yaml.loads(text)
    assert written.dumps(again) == written.dumps(document)
    assert yaml.safe_load(text) == document
