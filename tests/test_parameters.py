"""Content of an SMS: the parameters of the provider's template, for each recipient."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_provider.channels.email.content import Content
from push_provider.channels.reading import parse
from push_provider.channels.sms.content import Parameters
from push_provider.exceptions import ContentError
from push_provider.rendering import compile_content
from push_provider.rendering.workers import Asker, faults

SMS = {"name": "n", "channel": "sms", "schedule": {"kind": "manual"}}
PUSH = {"code": "c", "execution": 3}


def parameters(content: dict[str, str] | None = None, names: set[str] | None = None, **fields: Any) -> Parameters:
    text = {} if content is None else {"content": json.dumps(content)}
    compiled = compile_content(parse({**SMS, **text, **fields}), {}, variables=fields.pop("given", {}), push=PUSH)
    assert isinstance(compiled, Parameters)
    if names is not None:
        compiled.require(frozenset(names))
    return compiled


def test_values_are_templates() -> None:
    made = parameters({"a": "{{ name }}!", "b": "fixed", "c": "{{ push.execution }}", "d": "{{ to }}"})
    assert made.render("138", {"name": "Ann"}) == {"a": "Ann!", "b": "fixed", "c": "3", "d": "138"}


def test_a_value_cannot_break_out_of_its_parameter() -> None:
    hostile = '", "code": "9'
    assert parameters({"a": "{{ x }}"}).render("138", {"x": hostile}) == {"a": hostile}
    assert parameters({"a": "{{ x }}"}).render("138", {"x": "<b>&"}) == {"a": "<b>&"}


@pytest.mark.parametrize("name", ["namespace", "range", "dict", "cycler", "joiner", "lipsum", "upper"])
def test_a_variable_may_have_any_name(name: str) -> None:
    used = f"{{{{ {name} }}}}"
    assert parameters({"a": used}).render("138", {name: "prod"}) == {"a": "prod"}
    assert parameters({"a": used}, variables={name: "prod"}).render("138", {}) == {"a": "prod"}
    with pytest.raises(ContentError, match=f"the variable '{name}' is missing"):
        parameters({"a": used}).render("138", {})


def test_whose_variables_win() -> None:
    task = parse({**SMS, "variables": {"a": "task", "b": "task", "c": "task"}})
    made = compile_content(task, {}, variables={"b": "trigger", "c": "trigger"})
    assert isinstance(made, Parameters)
    assert made.render("138", {"c": "own"}) == {"a": "task", "b": "trigger", "c": "own"}


def test_without_content_the_variables_are_the_parameters() -> None:
    own = {"name": "Ann", "amount": 12.5, "count": 3, "other": [1]}
    assert parameters(names={"name", "amount", "count"}).render("138", own) == {
        "name": "Ann",
        "amount": "12.5",
        "count": "3",
    }
    assert parameters(names=set()).render("138", own) == {}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({}, "the template's parameter 'name' is missing; give it in the variables of the recipient"),
        ({"name": None}, "the variable 'name' must be a text or a number to be a parameter of an SMS"),
        ({"name": True}, "the variable 'name' must be a text or a number"),
        ({"name": ["x"]}, "the variable 'name' must be a text or a number"),
        ({"name": "x" * 1001}, "the parameter 'name' has 1001 characters; an SMS takes at most 1000"),
        ({"name": "\ud800"}, "the parameter 'name' holds half a character"),
    ],
)
def test_one_recipient_s_parameters_are_wrong(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ContentError, match=message):
        parameters(names={"name"}).render("138", own)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": "{{ missing }}"}, "the variable 'missing' is missing"),
        ({"a": "{{ 'x' * 2000 }}"}, "has 2000 characters"),
        ({"a": "{{ name.__class__ }}"}, "content.a, line 1: "),
        ({"a": "{% for i in range(10**9) %}{% endfor %}"}, "content.a"),
    ],
)
def test_a_template_that_cannot_be_rendered(content: dict[str, str], message: str) -> None:
    with pytest.raises(ContentError, match=message):
        parameters(content).render("138", {"name": "Ann"})


@pytest.mark.parametrize("value", ["{{ name", "{% include 'content.b' %}{% bad %}", "{{ name | nosuchfilter }}"])
def test_a_template_that_cannot_be_compiled_is_found_when_the_task_is_applied(value: str) -> None:
    (fault,) = faults(parse({**SMS, "content": json.dumps({"a": value})}), Asker())
    assert fault.field == "content"
    assert fault.message.startswith("content.a")


def test_a_parameter_cannot_include_itself() -> None:
    with pytest.raises(ContentError):
        parameters({"a": "{% include 'content.a' %}"}).render("138", {})


@given(
    st.dictionaries(
        st.text("abcXYZ_", min_size=1, max_size=5),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{\0"), max_size=20),
        max_size=4,
    )
)
def test_a_text_without_braces_stays_as_it_is(content: dict[str, str]) -> None:
    assert parameters(content, names=set(content)).render("138", {}) == content


def test_an_email_has_content() -> None:
    task = parse({"name": "n", "channel": "email", "schedule": {"kind": "manual"}, "subject": "s", "content": "c"})
    assert isinstance(compile_content(task, {}), Content)
