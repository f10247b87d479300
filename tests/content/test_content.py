"""Content: what recipients get, and what strangers' templates do not get."""

from __future__ import annotations

import base64
import contextlib
import re
import sys
import threading
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from growth import LINEAR, growth
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from push_provider import written
from push_provider.channels.email.content import Content, File, Rendered
from push_provider.channels.reading import parse
from push_provider.content import mail_layout
from push_provider.content.jinja_scales import Limits
from push_provider.content.plain_text import plain_text
from push_provider.exceptions import ContentError
from push_provider.rendering import expected_facts, facts, freeze
from push_provider.rendering.workers import Asker, faults

if TYPE_CHECKING:
    from push_provider.contract import PushTask

SHIPPED = Path(__file__).parents[2] / "include"
SHORT = Limits(seconds=0.3, characters=100_000)
TO = "li@example.com"


def task(**fields: Any) -> PushTask:
    fields = {"name": "Notice", "channel": "email", "recipients": [TO], "subject": "Hello", **fields}
    if "template" not in fields:
        fields.setdefault("content", "Hello")
    return parse(fields)


def compiled(content: str, content_type: str = "text", **fields: Any) -> Content:
    return Content(task(content=content, content_type=content_type, **fields), {}, limits=SHORT)


def rendered(content: str, content_type: str = "text", /, **variables: Any) -> Rendered:
    return compiled(content, content_type).render(TO, variables)


def files(root: Path, **sources: str) -> Path:
    (root / "templates").mkdir(exist_ok=True)
    for name, source in sources.items():
        file = root / "templates" / name.replace("__", ".")
        file.write_text(source, encoding="utf-8")
    return root


# --- what is rendered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "variables", "text"),
    [
        ("你好，{{ name }}！", {"name": "张三 🎉"}, "你好，张三 🎉！"),
        ("{{ to }}", {}, TO),
        ("{{ a }} & <b>", {"a": "<i>"}, "<i> & <b>"),
        ("{{ a|e }}{{ a|safe }}{{ a|tojson }}", {"a": "<"}, '<<"\\u003c"'),
        ("{{ a|default('none') }}", {}, "none"),
        ("{% if a is defined %}a{% else %}b{% endif %}", {}, "b"),
        (
            "{{ order.items|length }} {{ order.items[0].name }}",
            {"order": {"items": [{"name": "tea"}]}},
            "1 tea",
        ),
        ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", {"d": {"a": 1, "b": 2}}, "a=1;b=2;"),
        ("{{ '%.2f'|format(price) }} {{ '{:>6}'.format(1) }}", {"price": 3}, "3.00      1"),
        ("{{ ['a', 'b', c]|join(', ')|upper }}", {"c": "c"}, "A, B, C"),
        ("{{ a ~ '-' ~ b }}", {"a": 1, "b": 2}, "1-2"),
        ("{{ 3 * 4 + 2 ** 5 % 7 }}", {}, "16"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(a) }}{{ m(1) }}", {"a": "<"}, "[<][1]"),
        ("{% for x in [1, a, 3] if x != 2 %}{{ loop.index }}{{ x }}{% endfor %}", {"a": 2}, "1123"),
        (
            "{% set n = namespace(s=0) %}{% for i in range(4) %}{% set n.s = n.s + i %}{% endfor %}{{ n.s }}",
            {},
            "6",
        ),
        ("{{ range(9)|select('odd')|map('string')|list|sort|reverse|first }}", {}, "7"),
        ("{% raw %}{{ a }}{% endraw %}", {}, "{{ a }}"),
    ],
)
def test_text(content: str, variables: dict[str, Any], text: str) -> None:
    assert rendered(content, **variables) == ("Hello", None, text)


@pytest.mark.parametrize("content_type", ["html", "text"])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{{ price|tojson }}", "12.50"),
        ("{{ n|tojson }} {{ (price * 2)|tojson }}", "12345678901234567890.12 25.0"),
        (
            "{{ {'b': [price, 1.5, 2, true, none, '<é&'], 'a': {price: n}}|tojson }}",
            '{"a": {"12.50": 12345678901234567890.12}, "b": [12.50, 1.5, 2, true, null, "\\u003c\\u00e9\\u0026"]}',
        ),
        ("{{ {'b': [price, []], 'a': 1}|tojson(1) }}", '{\n "a": 1,\n "b": [\n  12.50,\n  []\n ]\n}'),
        ("{{ [price]|tojson('\t') }}", "[\n\t12.50\n]"),
        ("{{ [price, 1e308 * 10]|tojson }}", "[12.50, Infinity]"),
    ],
)
def test_tojson_has_numbers_as_they_were_written(content: str, text: str, content_type: str) -> None:
    numbers = {"price": written.number("12.50"), "n": written.number("12345678901234567890.12")}
    assert rendered(content, content_type, **numbers)[1 if content_type == "html" else 2] == text


def test_the_recipients_variables_win_over_the_triggers_and_those_over_the_tasks() -> None:
    content = Content(
        task(content="{{ a }}{{ b }}{{ c }}{{ push.code }}{{ to }}", variables={"a": 1, "b": 1, "c": 1}),
        {},
        variables={"b": 2, "c": 2},
        push={"code": "x"},
    )
    assert content.render(TO, {"c": 3, "push": {"code": "y"}, "to": "nobody"}).html == f"123x{TO}"
    assert content.render(TO, {}).html == f"122x{TO}"


@pytest.mark.parametrize(
    ("content", "subject", "same"),
    [
        ("Hello", "Hello", (True, True)),
        ("{{ push.name }}{% for i in [1, 2] %}{{ i }}{% endfor %}", "{{ push.name }}", (True, True)),
        ("{{ name }}", "Hello", (True, False)),
        ("Hello", "{{ to }}", (False, True)),
        ("{{ name|default('x') }}", "{% if a is defined %}a{% else %}b{% endif %}", (False, False)),
    ],
)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_what_is_the_same_for_all_is_known(content: str, subject: str, same: Any, content_type: str) -> None:
    whole = Content(task(content=content, content_type=content_type, subject=subject), {}, push={"name": "推送"})
    assert (whole.subject is not None, whole.text is not None) == same
    assert whole.has_html == (content_type != "text")
    assert (whole.html is not None) == (same[1] and whole.has_html)
    one = whole.render(TO, {"name": "Li"})
    assert whole.subject in (None, one.subject)
    assert whole.html in (None, one.html)
    assert whole.text in (None, one.text)


@pytest.mark.parametrize(
    ("subject", "value", "expected"),
    [
        ("  {{ a }} ", "订单", "订单"),
        ("{{ a }}", "a <b> & c", "a <b> & c"),
        ("{{ a }}", "a\r\nBcc: b@example.com", None),
        ("{{ a }}", "a\nb", None),
        ("{{ a }}", "a\x00b", None),
        ("{{ a }}", "a\x85b", None),
        ("{{ a }}", "a\u2028b", None),
        ("{{ a }}", "\ud800", None),
        ("{{ a }}", "  ", None),
    ],
)
def test_subject(subject: str, value: str, expected: str | None) -> None:
    content = compiled("x", subject=subject)
    if expected is None:
        with pytest.raises(ContentError, match=r"^subject: "):
            content.render(TO, {"a": value})
    else:
        assert content.render(TO, {"a": value}).subject == expected


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Dear {{ name }},", "name"),
        ("{{ name|default('friend') }} {{ other }}", "name"),
        ("{{ other }}{{ order.price }}", "order.price"),
        ("{{ order['price']|title|trim }}", "order.price"),
        ("{{ name|e }}{{ other }}", "name"),
        ("{{ name|safe }}", "name"),
        ("{% set x = name %}{% if other %}{{ x }}{% endif %}", "x"),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(name) }}", "x"),
        ("{{ 'Dear ' ~ name }}", None),
        ("{{ [other, name]|join(', ') }}", None),
        ("{{ none }}", None),
        ("[x](https://x.y/{{ name }})", "name"),
        ("[x](https://x.y/{{ other }}){{ '%s'|format(name)|replace('None', '') }}{{ name }}", "name"),
    ],
)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_a_null_is_no_text(content: str, name: str | None, content_type: str) -> None:
    says = f"content, line 1: the variable '{name}' is null" if name else "content, line 1: puts out a null"
    with pytest.raises(ContentError, match=rf"{re.escape(says)}; give it a value .*, or write default\(…, true\)"):
        rendered(content, content_type, name=None, order={"price": None}, other="x")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Dear {{ name|default('friend', true) }}", "Dear friend"),
        ("Dear {{ name|title|default('friend', true) }}", "Dear friend"),
        ("{% if name is none %}none{% endif %} {{ name is none }} {{ name == none }}", "none True True"),
        ("{% if name|lower == 'ann' %}Ann{% else %}no{% endif %} {{ [name]|tojson }}", "no [null]"),
        ("{{ name and 'x' or 'y' }} {{ 'y' if not name }}", "y y"),
    ],
)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_a_template_may_ask_for_a_null(content: str, text: str, content_type: str) -> None:
    assert rendered(content, content_type, name=None).text == text


@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "\n{{ nobody }}",
            "content, line 2: the variable 'nobody' is missing; give it in the variables of the recip",
        ),
        ("{{ d.nobody }}", "content, line 1: the key 'nobody' is missing in a dict"),
        ("a\n{% if %}", "content, line 2: "),
        ("{{ a|nofilter }}", "nofilter"),
        ("{% include 'base.html' %}", "only a file of include/templates"),
        ("{{ d / 2 }}", "content, line 1: TypeError"),
        ("{{ half }}", "half a character"),
    ],
)
def test_errors_name_the_place_and_the_remedy(content: str, message: str, content_type: str) -> None:
    with pytest.raises(ContentError, match=re.escape(message)):
        rendered(content, content_type, d={"a": 1}, a=1, half="\ud800")


def test_a_reused_content_works_in_several_threads() -> None:
    content = compiled("{% for i in [a] %}- {{ i }}\n{% endfor %}", "markdown")
    results: dict[int, bool] = {}

    def work(number: int) -> None:
        results[number] = all(f"<li>{number}x{i}</li>" in str(content.render(TO, {"a": f"{number}x{i}"}).html)
                              for i in range(50))  # fmt: skip

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), True)


# --- what a name means ------------------------------------------------------------------------------------

FUNCTIONS = ("namespace", "range", "dict", "cycler", "joiner")
PLAIN_WORDS = ("lipsum", "upper", "default", "e", "defined", "loop", "super", "caller", "varargs", "kwargs")
"""Functions and filters that others have, filters and tests that we have, and words of Jinja outside their places."""


@pytest.mark.parametrize("name", FUNCTIONS + PLAIN_WORDS)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_a_variable_may_have_any_name(name: str, content_type: str) -> None:
    used = f"{{{{ {name} }}}}"
    for number, source in enumerate(
        [
            f"in {used}",  # and no other variable beside it
            f"in {used}{{{{ '' if pod else '' }}}}",
            f"in {{{{ {name}|upper|lower }}}}",
            f"in {{% if {name} == 'prod' %}}prod{{% endif %}}",
            f"in {{% set kept = {name} %}}{{{{ kept }}}}",
            f"in {{% filter lower %}}{used}{{% endfilter %}}",
            f"in {{{{ [{name}]|join }}}}",
        ]
    ):
        for whose in ["recipient", "trigger", "task"][: 1 if number else 3]:
            given: dict[str, Any] = {name: "prod", "pod": 1}
            content = Content(
                task(
                    subject=source,
                    content=source,
                    content_type=content_type,
                    variables=given if whose == "task" else {},
                ),
                {},
                variables=given if whose == "trigger" else {},
            )
            one = content.render(TO, given if whose == "recipient" else {})
            assert one.subject == "in prod", source
            assert one.text == "in prod", source
            assert one.html is None or "in prod" in one.html, source


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_a_function_is_none_where_it_is_not_called(name: str, content_type: str) -> None:
    for source in (f"{{{{ {name} }}}}", f"{{{{ {name} ~ 'x' }}}}", f"{{% set x = {name} %}}{{{{ x }}}}"):
        with pytest.raises(ContentError, match=f"the variable '{name}' is missing"):
            rendered(source, content_type)
    assert rendered(f"{{{{ {name}|default('none') }}}}", content_type).text == "none"
    assert rendered(f"{{{{ {name} is defined }}}}", content_type).text == "False"


def test_a_function_is_still_one_beside_a_variable_of_its_name() -> None:
    variables = {"range": "10-20", "dict": "Collins", "namespace": "prod"}
    source = (
        "{% for i in range(3) %}{{ i }}{% endfor %} {{ range }} {{ dict(a=1).a }} {{ dict }} "
        "{% set n = namespace(x=1) %}{% set n.x = n.x + 1 %}{{ n.x }} {{ namespace }}"
    )
    assert rendered(source, **variables).text == "012 10-20 1 Collins 2 prod"
    assert rendered("{% macro range(x) %}<{{ x }}>{% endmacro %}{{ range(2) }}", **variables).text == "<2>"


def test_variables_win_in_files_that_others_use(tmp_path: Path) -> None:
    include = files(
        tmp_path,
        base__html="{{ dict }} {% block b %}{% endblock %}{% for i in range(2) %}{{ i }}{% endfor %}",
        page__html=(
            "{% extends 'base.html' %}{% from 'm.html' import seen with context %}{% from 'm.html' import unseen %}"
            "{% block b %}{% for x in [1] %}{% include 'part.html' %}{% endfor %}"
            " {{ seen() }} {{ unseen() }} {% endblock %}"
        ),
        part__html="{{ namespace }}",
        m__html=(
            "{% macro seen() %}{{ joiner }}{% endmacro %}{% macro unseen() %}{{ joiner|default('none') }}{% endmacro %}"
        ),
    )
    whole = task(template="page.html")
    content = Content(whole, freeze(whole, include=include))
    variables = {"dict": "Collins", "namespace": "prod", "joiner": "Ann", "range": "x"}
    assert content.render(TO, variables).html == "Collins prod Ann none 01"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{{ self }}", "puts out a TemplateReference, which is no value"),
        ("{% for x in [1] %}{{ loop }}{% endfor %}", "puts out a LoopContext"),
        ("{% for x in [1] %}{{ 'a' ~ loop }}{% endfor %}", "puts out a LoopContext"),
        ("{% macro m() %}{% endmacro %}{{ m }}", "puts out a Macro"),
        ("{{ joiner() }}", "puts out a Joiner"),
        ("{{ cycler(1, 2) }}", "puts out a Cycler"),
        ("{{ namespace(a=1) }}", "puts out a _Namespace"),
        ("{{ word.upper }}", "puts out a builtin_function_or_method"),
        ("{{ order.items }}", "puts out a builtin_function_or_method"),
        ("{{ [1, 2]|map('string') }}", "add '|list' or '|join(…)'"),
    ],
)
@pytest.mark.parametrize("beside", ["", "{{ to }}", "{% if to %}{% endif %}"])
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_nobody_is_sent_what_is_no_value(source: str, says: str, beside: str, content_type: str) -> None:
    variables = {"self": "me", "loop": "round", "word": "a", "order": {"number": 1}}
    with pytest.raises(ContentError, match=re.escape(says)):
        compiled(source + beside, content_type, variables=variables).render(TO, {})


# --- looked at beforehand ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field", ["{{ push.execution }}", "{{ push.code }} {{ push.name }}", "{{ push.scheduled_for[:10] }}"]
)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_a_mail_may_speak_of_its_execution_alone(field: str, content_type: str) -> None:
    assert faults(task(subject=field, content=field, content_type=content_type), Asker()) == []


NINE = {"kind": "daily", "time": "09:00"}


@pytest.mark.parametrize(
    ("schedule", "due", "told"),
    [
        ({**NINE, "timezone": "Asia/Shanghai"}, "2026-06-30T23:00+00:00", "2026-07-01T07:00:00+08:00"),
        ({**NINE, "timezone": "Asia/Shanghai"}, "2026-06-30T19:00-04:00", "2026-07-01T07:00:00+08:00"),
        (NINE, "2026-06-30T23:00+00:00", "2026-07-01T01:00:00+02:00"),
        ({"kind": "now"}, "2026-06-30T23:00+00:00", "2026-07-01T01:00:00+02:00"),
        # Triggered
        ({**NINE, "timezone": "Asia/Shanghai"}, None, "2026-07-02T00:30:15+08:00"),
        (NINE, None, "2026-07-01T18:30:15+02:00"),
        ({"kind": "manual"}, None, None),
    ],
)
def test_a_moment_is_told_by_the_clock_of_the_schedule(schedule: Any, due: str | None, told: str | None) -> None:
    known = facts(
        task(schedule=schedule),
        planned_at=datetime(2026, 7, 1, 16, 30, 15, 250, tzinfo=UTC),
        scheduled_for=datetime.fromisoformat(due) if due else None,
        default_timezone="Europe/Berlin",
    )
    assert known["scheduled_for"] == told


def test_an_execution_that_somebody_triggers_was_due_at_no_time() -> None:
    assert expected_facts(task(schedule={"kind": "manual"}))["scheduled_for"] is None
    assert expected_facts(task(schedule={"kind": "daily", "time": "09:00"}))["scheduled_for"] is not None


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"subject": "{{ to"}, "subject", "subject, line 1: "),
        ({"subject": "{{ push.nothing }}"}, "subject", "subject, line 1: the key 'nothing' is missing"),
        ({"subject": "{{ '' }}"}, "subject", "is empty; an email needs one"),
        ({"content": "{{ push.nothing }}"}, "content", "content, line 1: the key 'nothing' is missing"),
        ({"template": "subject"}, "template", "subject, line 1: "),
        ({"template": "subject", "subject": "{% if %}"}, "template", "subject, line 1: "),
        ({"template": "none.html"}, "template", "there is no 'none.html' below include/templates"),
        ({"template": "const.html"}, "template", "const.html, line 1: the key 'nothing' is missing"),
        ({"attachments": ["attachments/shared/no.pdf"]}, "attachments", "there is no file 'attachments/shared/no.pdf'"),
    ],
)
def test_a_fault_names_the_field_that_it_is_in(include: Path, fields: dict[str, Any], field: str, message: str) -> None:
    files(include.parent / "include", subject="{{ to", const__html="{{ push.nothing }}")
    (fault,) = faults(task(**fields), Asker())
    assert fault.field == field
    assert fault.message.startswith(message)


# --- hostile templates ------------------------------------------------------------------------------------

BOMB = "{% set a = ['xxxxxxxxxx'] %}" + "{% set a = [a, a] %}" * 40
ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ [''|attr('__class__')] }}",
    "{{ ['']|map(attribute='__class__')|first }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(range) }}",
    "{{ '%s'.__class__ }}",
    "{{ ''.format_map({}) }}",
    "{{ range.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner().__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ (lipsum or 1).__globals__ }}",
    "{{ config }}",
    "{{ d.__setitem__('a', 2) }}",
    "{{ d.update({'a': 2}) }}",
    "{{ d.pop('a') }}",
    "{{ l.append(1) }}",
    "{% macro m() %}{% endmacro %}{{ m.__func__ }}",
    "{% for x in [1] %}{{ loop._iterable }}{% endfor %}",
    "{% include '/etc/passwd' %}",
    "{% include ['../../etc/passwd'] %}",
    "{% import 'os' as os %}",
    "{{ ''.encode() }}",
    "{{ (1).to_bytes(1000000000, 'big') }}",
    "{% set x = {'a': ''.join} %}{{ x.a(['a'] * 10 ** 6) }}",
]
BOMBS = [
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) if range(100000)|sum < 0 %}{% endfor %}",
    (
        "{% set l = range(9999)|list %}"
        "{% for i in l %}{% for j in l %}{% for k in l %}{% endfor %}{% endfor %}{% endfor %}"
    ),
    "{% for i in range(100000) %}aaaaaaaaaa{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ 2 ** (10 ** 9) }}",
    "{{ 9 ** (9 ** 9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%(a).999999999f'|format(a=1) }}",
    "{{ '{:>1000000000}'.format('a') }}",
    "{{ '{:{}}'.format(1, 10**9) }}",
    "{{ ('{0}' * 10000).format('a' * 90000) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'|center(10**9) }}",
    "{{ 'a'.ljust(10**9) }}{{ 'a'.zfill(10**9) }}",
    "{{ 'a'.expandtabs(10**9) }}",
    "{{ 'a\nb'|indent(10**9) }}",
    "{{ ('\n' * 50000)|indent('x' * 50000) }}",
    "{{ ('a' * 50000)|replace('a', 'b' * 50000) }}",
    "{{ ('a' * 50000).replace('', 'b' * 50000) }}",
    "{{ range(100000)|join('x' * 50000) }}",
    "{{ ('x' * 50000).join(['a'] * 1000) }}",
    "{{ [1]|batch(10**9, 'x')|list }}",
    "{{ [1]|slice(10**9)|list }}",
    "{{ ('a ' * 45000)|wordwrap(1) }}",
    "{{ ('<!-- -->' * 10000)|striptags }}",
    "{{ 1.5|round(10**9, 'ceil') }}",
    "{{ [1]|tojson(10**9) }}",
    "{{ ('a' * 90000)|trim('b' * 90000 ~ 'a') }}",
    "{{ ('a' * 90000).strip('b' * 90000 ~ 'a') }}",
    "{{ ('a' * 90000).rfind('b' ~ 'a' * 40000) }}",
    "{{ ([[1]] * 10000)|sum(start=[]) }}",
    "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    BOMB + "{{ a }}",
    BOMB + "{{ a|tojson }}",
    BOMB + "{% if a == a|list %}{% endif %}",
    "{% set n = namespace(a=1) %}" + "{% set n.a = {'a': n.a, 'b': n.a} %}" * 40 + "{{ n.a }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m() %}{% for i in range(100000) %}aaaaaaaaaaaaaaaa{% endfor %}{% endmacro %}{% if m() %}{% endif %}",
    "{% set b %}{% for i in range(100000) %}aaaaaaaaaaaaaaaa{% endfor %}{% endset %}",
    "{% for x in [[[]]] recursive %}{{ loop([x, x]) }}{{ loop([x, x]) }}{% endfor %}",
    "{{ range(100000)|map('center', 900)|list|length }}",
    "{{ push.at.strftime('%999999999Y') }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{{ 1 }}" * 5000,
    "{{ " + "1+" * 4900 + "1 }}",
    "{{ v" + "|upper" * 4900 + " }}",
    "{{ v" + ".v" * 4900 + " }}",
    "{{ " + "not " * 4900 + "1 }}",
    "{% if 1 %}" * 200 + "{% endif %}" * 200,
    "{% for i in [1] %}" * 60 + "{% endfor %}" * 60,
    "{{ 0x" + "f" * 50000 + " * 0x" + "f" * 50000 + " }}",
]


@pytest.mark.parametrize("content_type", ["html", "text"])
@pytest.mark.parametrize("hostile", ESCAPES + BOMBS, ids=lambda source: source[:60])
def test_a_hostile_template_is_refused_soon(hostile: str, content_type: str) -> None:
    import datetime

    began = time.monotonic()
    with pytest.raises(ContentError) as refused:
        Content(
            # A variable as well, so that the template is not the same for all and really renders each time.
            task(content=hostile + "{{ v }}", content_type=content_type),
            {},
            push={"at": datetime.datetime(2026, 7, 1)},
            limits=SHORT,
        ).render(TO, {"v": 1, "d": {"a": 1}, "l": []})
    assert time.monotonic() - began < 30  # without a limit it would be hours
    assert "variable 'v'" not in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "hostile", ["{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"]
)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_the_time_limit_holds_where_nothing_is_put_out(hostile: str, content_type: str) -> None:
    with pytest.raises(ContentError, match=r"longer than 0\.3 s"):
        compiled(hostile, content_type)


PATIENT = Limits(seconds=1000, characters=100_000, made=4 * 1024 * 1024)
"""No machine is so slow that the clock ends what memory should."""
HEAVY = [
    "{{ '%((a)b)30000000d' % {'(a)b': n} }}",
    "{{ '%((a)b)30000000d'|format(**{'(a)b': n}) }}",
    "{{ '%l%%30000000d' % n }}",
    "{{ '%.30000000f' % n }}",
    "{{ '{:٣٠٠٠٠٠٠٠}'.format(n) }}",
    "{{ '{0[}]:{1}}'.format({'}': n}, 30000000) }}",
    "{{ ('{:{}}'|safe).format(n, 30000000) }}",
    "{% set s = namespace(x='x' * 45000) %}{{ ('{0.x}' * 80 * n).format(s) }}",
    # Filters
    "{{ ('x' * 400)|wordwrap(1, true, 'y' * (49000 * n)) }}",
    "{{ ('x\n' * 400)|wordwrap(79, true, 'y' * (45000 * n)) }}",
    "{{ range(400)|list|tojson('x' * (45000 * n)) }}",
    "{{ [[[[[[[[[[range(1500)|list]]]]]]]]]]|tojson(1000 * n) }}",
    "{{ [[[[[[[[[[{'a': range(1500)|list}]]]]]]]]]]|tojson('x' * 1000 * n) }}",
    "{{ ('\r' * 1000)|indent('x' * (45000 * n), blank=true) }}",
    "{{ ('a\u2028' * 1000)|indent('x' * (45000 * n)) }}",
    "{{ ('<' * 1000)|replace('&'|forceescape|safe|first|safe, 'y' * (45000 * n)) }}{{ n / 0 }}",
    "{{ ('中' * (33000 * n)).join('中' * 33000) }}",
    "{{ ('中' * (33000 * n))|groupby(0)|length }}",
    "{{ ('中 ' * (33000 * n))|title }}{{ ('中 ' * (33000 * n))|wordcount }}{{ n / 0 }}",
    "{{ range(2000 * n)|sort(attribute=',' * 2000) }}",
    "{% set s = namespace(x='X' * 45000) %}{{ ([s] * (400 * n))|sort(attribute='x')|length }}",
    "{% set s = namespace(x='X' * 45000) %}{{ ([s] * (400 * n))|groupby('x')|length }}",
    "{% set s = namespace(x='X' * 45000) %}{{ ([s] * (400 * n))|join(attribute='x')|length }}",
    "{% macro m() %}{{ caller(*('中' * (33000 * n))) }}{% endmacro %}{% call m() %}{% endcall %}",
    # Values that show more than they seem to hold
    "{% set v = {'a': 'x' * 45000}.values() %}{% set l = [v] * (400 * n) %}{{ l }}",
    "{% set v = {'a': 'x' * 45000}.items() %}{{ ([v] * (400 * n))|string }}",
    "{% set v = {'x' * 45000: 1}.keys() %}{{ '%s' % [[v] * (400 * n)] }}",
    "{% set v = {'a': 'x' * 45000}.keys().mapping %}{{ [v] * (400 * n) }}{{ n / 0 }}",
    "{{ [2 ** 2000] * (13000 * n) }}",
    "{{ [long] * (13000 * n) }}",
    "{{ ([long] * (13000 * n))|tojson }}",
    "{{ ([2 ** 2000] * (13000 * n))|join(',') }}",
    "{{ ([range(2 ** 2000, 2 ** 2000 + 2)] * (13000 * n))|string }}",
    "{% macro " + "m" * 20000 + "() %}{% endmacro %}{{ [" + "m" * 20000 + "] * (900 * n) }}",
    "{% set f = ('x' * 45000)|forceescape|safe %}{{ ([f.upper] * (900 * n))|string|length }}{{ n / 0 }}",
    # What is kept
    *(
        "{% set s = namespace(a=1) %}{% set x = 2 ** 2000 %}{% set t = 'x' ~ 'y' * 45000 %}"
        "{% set d = dict(range(9000)|batch(2)) %}"
        f"{{% for i in range({turns} * n) %}}{{% set s.a = {kept} %}}{{% endfor %}}"
        for kept, turns in {
            "cycler(t.partition('x'), s.a)": 300,
            "namespace(d, p=s.a)": 90,
            "cycler(" + "t.format," * 30 + " s.a)": 1000,
            "cycler(range(x + i, x + 9000 + i)|list, s.a)": 40,
            "cycler(range(9000 + i, 18000 + i)|list, s.a)": 60,
            "cycler(range(9000 + i, 18000 + i)|sort, s.a)": 60,
            "cycler(range(9000 + i, 18000 + i)|batch(1000)|list, s.a)": 60,
            "cycler([" + "x * x // (i + 1)," * 30 + "], s.a)": 1000,
            "cycler(" + "x * x // (i + 1)," * 30 + " s.a)": 1000,
        }.items()
    ),
    "{% set x = 2 ** 2000 %}{% macro m() %}{% for i in range(16000 * n) %}{{ x }}{% endfor %}{% endmacro %}{{ m() }}",
    "{% set x = '<中' * 5000 %}{% macro m() %}{% for i in range(300 * n) %}{{ x }}{% endfor %}{% endmacro %}{{ m() }}",
]


@pytest.mark.parametrize("content_type", ["html", "text"])
@pytest.mark.parametrize("hostile", HEAVY, ids=lambda source: source[:60])
def test_what_is_large_is_refused_before_it_is_made(hostile: str, content_type: str) -> None:
    content = Content(task(content=hostile, content_type=content_type), {}, limits=PATIENT)
    tracemalloc.start()
    try:
        with pytest.raises(ContentError) as refused:
            content.render(TO, {"n": 1, "long": written.number("0." + "1" * 390)})
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2 * PATIENT.made, str(refused.value)


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ (range(100000, 200000)|select('in', l))|list }}",
        "{{ n in l }}" * 700,
        "{{ n is in l }}" * 700,
        "{{ l == k }}" * 700,
        "{{ l is eq k }}" * 700,
        "{{ ('a' * 90000)|max(attribute='0" + ".0" * 20000 + "') }}",
        "{{ ('a' * 90000)|map(attribute='0" + ".0" * 20000 + "')|first }}",
    ],
    ids=lambda source: source[:60],
)
@pytest.mark.parametrize("content_type", ["html", "text"])
def test_what_takes_long_looks_at_the_clock(hostile: str, content_type: str) -> None:
    """Each of these takes many times as long as it may."""
    limits = Limits(seconds=0.05)

    def render() -> None:
        content = Content(task(content=hostile, content_type=content_type), {}, limits=limits)
        content.render(TO, {"n": "x", "l": list(range(90_000)), "k": [*range(90_000)]})

    began = time.thread_time()
    with pytest.raises(ContentError, match=r"longer than 0\.05 s|at most 16 names"):
        render()
    assert time.thread_time() - began < 10


@pytest.mark.parametrize("text", ["%(", "%((", "%()", "%0", "% ", "{", "{{", "{0[", "{:{", "{}"])
@pytest.mark.parametrize("how", ["('{}' * n) % 1", "('{}' * n)|format(a=1)", "('{}' * n).format(1)"])
def test_a_format_is_read_in_time_that_grows_with_it(text: str, how: str) -> None:
    content = Content(task(content="{{ " + how.replace("{}", text) + " }}", content_type="text"), {})

    def work(size: int) -> None:
        with contextlib.suppress(ContentError):
            content.render(TO, {"n": size})

    assert growth(work, 10_000) < LINEAR


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{{ '%05.1f%% of %(a)s' % {'a': 1} }}", None),
        ("{{ '%(b)05.1f%% of %(a)-4sx' % {'a': 'é', 'b': 2.25} }}", "002.2% of é   x"),
        ("{{ '%ld %5000% %%99999' % 7 }}", None),
        ("{{ '%ld of %%99999' % 7 }}", "7 of %99999"),
        ("{{ '{0:>5}|{a:{w}}|{0!r:.3}|{{{b[k]}}}'.format(7, a='x', w=3, b={'k': 1}) }}", "    7|x  |7|{1}"),
        ("{{ 'Order 20261130: {}'.format(7) }}", "Order 20261130: 7"),
        ("{% set f = '{}'.format %}{% set x = 'x' * 45000 %}{{ f(x)|length + f(x)|length + f(x)|length }}", "135000"),
        ("{{ ('<b>{}</b>'|safe).format('<') }}", "<b><</b>"),
        ("{{ '{0.year}-{0:%m}'.format(push.at) }}", "2026-07"),
    ],
)
def test_formats_are_pythons(content: str, text: str | None) -> None:
    import datetime

    push = {"at": datetime.datetime(2026, 7, 1)}
    if text is None:
        with pytest.raises(ContentError):
            Content(task(content=content, content_type="text"), {}, push=push).render(TO, {})
    else:
        whole = Content(task(content=content, content_type="text"), {}, push=push, limits=PATIENT)
        assert whole.render(TO, {}).text == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{{ d.keys() }}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}", "['a', 'b']a1b2"),
        ("{{ 'a' in d.keys() }} {{ d.values()|sum }} {{ (d.keys()|list) == d.keys() }}", "True 3 True"),
        ("{{ dict([('x', 1), ['y', 2]], z=3) }} {{ dict(d) == d }}", "{'x': 1, 'y': 2, 'z': 3} True"),
        ("{% set s = namespace([('x', 1)], y=2) %}{{ s.x }}{{ s['y'] }}", "12"),
        ("{{ {'a': [1, {'b': 2}]}|tojson(2) }}", '{\n  "a": [\n    1,\n    {\n      "b": 2\n    }\n  ]\n}'),
        ("{{ [1]|tojson('\t') }}", "[\n\t1\n]"),
        ("{{ 'one two'|wordwrap(3, wrapstring='|') }} {{ 'a\nb'|indent('> ', first=true) }}", "one|two > a\n> b"),
        ("{{ 'a<b'|replace('<', '-') }} {{ ''.join('abc') }} {{ '-'.join(['a', 'b']) }}", "a-b abc a-b"),
        ("{{ [d, d]|map(attribute='a')|sum }} {{ [3, 4]|select('in', [4])|list }}", "2 [4]"),
        ("{{ [1, 1, 2]|unique|list }} {{ 'x' is in 'xyz' }} {{ d.a is lt d.b }}", "[1, 2] True True"),
        ("{{ none|select|list }}{{ none|map('upper')|list }}", "[][]"),
        ("{{ [{'x': {'y': 2}}, {'x': {'y': 1}}]|sort(attribute='x.y')|map(attribute='x.y')|join }}", "12"),
        ("{{ 'a b'.partition(' ') }} {{ 'über alles'|title }} {{ 'a b'|wordcount }}", "('a', ' ', 'b') Über Alles 2"),
        ("{% macro m() %}{{ varargs|join('+') }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(*'ab') }}", "1+2a+b"),
        ("{{ 2 in [1, 2] }} {{ 1 < 2 < 3 }} {{ d.a == d.b }}", "True True False"),
    ],
)  # fmt: skip
def test_what_is_looked_at_does_what_jinja_does(content: str, text: str) -> None:
    assert rendered(content, d={"a": 1, "b": 2}).text == text


def test_large_values_of_recipients_are_limited_too() -> None:
    content = compiled("{{ a }}" * 100, "html")
    with pytest.raises(ContentError, match="more than 100000 characters"):
        content.render(TO, {"a": "x" * 10_000})
    assert len(content.render(TO, {"a": "x"}).text) == 100


def test_a_bomb_of_includes_is_stopped(tmp_path: Path) -> None:
    bomb = "{% set n = n - 1 %}{% if n %}{% include 'a.html' %}{% include 'a.html' %}{% endif %}"
    include = files(tmp_path, a__html=bomb)
    whole = task(template="a.html")
    content = Content(whole, freeze(whole, include=include), limits=SHORT)
    with pytest.raises(ContentError):
        content.render(TO, {"n": 60})


# --- html and its plain alternative -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>One<p>Two", "One\n\nTwo"),
        ("<h1>Title</h1>text<h2>Next</h2>", "Title\n\ntext\n\nNext"),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("  a \n\t b  <b> c</b>d ", "a b cd"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>d", "- a\n- b\n  - c\n\nd"),
        ("<ol start=3><li>a</li><li><p>b</p><p>c</p></li></ol>", "3. a\n\n4. b\n\n   c"),
        ("<table><tr><th>No<th>名称<tr><td>1<td> 茶 </table>", "No | 名称\n1 | 茶"),
        ("<table><tr><td><table><tr><td>x</td></tr></table></td></tr></table>", "x"),
        ('<a href="https://a.b/?x=1&amp;y=2">here</a>.', "here. (https://a.b/?x=1&y=2)"),
        (
            '<a href="https://a.b">https://a.b</a> <a href="https://a.b/">a.b</a>',
            "https://a.b a.b (https://a.b/)",
        ),
        ('<a href="mailto:a@b.c">a@b.c</a> <a href="tel:123">call</a>', "a@b.c call (123)"),
        ('<a href="#top">top</a> <a href="javascript:alert(1)">x</a> <a>y</a>', "top x y"),
        ('<a href=https://a.b><img src=x alt="图 &amp; b"></a><img src=y>', "图 & b (https://a.b)"),
        ("&lt;b&gt; &copy; &#20013;&nbsp;x&hellip;", "<b> © 中 x…"),
        # References by number, however long (HTML, 13.2.5.80)
        ("&#" + "9" * 5000 + ";&#" + "9" * 5000 + " &#x" + "f" * 5000 + ";", "\ufffd\ufffd \ufffd"),
        ("&#1114109;&#1114112;&#99999999;", "\U0010fffd\ufffd\ufffd"),
        ("&#000000065;&#" + "0" * 5000 + "66;&#x" + "0" * 5000 + "43;&#" + "0" * 5000 + ";", "ABC\ufffd"),
        ("&amp;#" + "9" * 5000, "&#" + "9" * 5000),
        ('<img alt="&#' + "9" * 5000 + 'x">', "\ufffdx"),
        ("<head><title>T</title><style>p{}</style></head><script>if (a<b) x()</script>a<!-- > b -->c", "ac"),
        ('<div style="display: none">pre<div>x</div></div>a<p hidden>b</p>', "a"),
        ("<blockquote>a<br>b<p>c</blockquote>d", "> a\n> b\n>\n> c\n\nd"),
        ("x<blockquote>a<blockquote>b</blockquote>c</blockquote>d", "x\n\n> a\n>\n> > b\n>\n> c\n\nd"),
        ("<pre>\na  b\n  c</pre>d", "a  b\n  c\n\nd"),
        ("a<hr>b", "a\n\n" + "-" * 40 + "\n\nb"),
        ("1 < 2 and a<3 <", "1 < 2 and a<3 <"),
        ('<p title="a>b">x</p><p title=\'"\'>y', "x\n\ny"),
        ("a<b", "a"),
        ("", ""),
        # Numbers of items (HTML, 4.4.5 and 4.4.8)
        ('<ol><li value="5">five</li><li>six</li></ol>', "5. five\n6. six"),
        ("<ol start=-1><li>a<li>b<li value=x>c<li value=' +7th'>d</ol>", "-1. a\n0. b\n1. c\n7. d"),
        ("<ol reversed><li>c<li hidden>x<li>b<ol reversed><li>y<li>x</ol><li>a</ol>",
         "3. c\n2. b\n   2. y\n   1. x\n1. a"),
        ("<ol reversed start=10><li>j<li>i<li value=3>c<li>b</ol>", "10. j\n9. i\n3. c\n2. b"),
        ("<ul><li value=5>a</ul><li value=5>b", "- a\n\n- b"),
        # Cells
        (("<table><tr><th>品名</th><th>备注</th><th>价格</th></tr><tr><td>茶</td><td></td><td>12</td></tr>"
         "<tr><td></td><td>新</td><td>8</td></tr></table>"), "品名 | 备注 | 价格\n茶 |  | 12\n | 新 | 8"),
        ("<table><tr><td>a<td><td><tr><td><td><td>c<tr><td><td><td></table>z", "a\nc\n\nz"),
        ("<table><tr><td>a<td>b<td><td><tr><td><br><td> <td>c<td></table>z", "a | b |  |\n |  | c |\n\nz"),
        ("<table><tr><td width=20></td><td>only</td><td></td></tr></table>", "only"),
        ('<table role="presentation"><tr><td></td><td>a</td><td></td><td>b</td></tr></table>', "a | b"),
        ("<table><tr><td><table><tr><td>a<td>b</table><td></table>", "a | b"),
        ("<td>a<td><td>c", "a |  | c"),
        # Links
        ('<p><a href="https://a.b/x"><img src="y"></a></p>z', "https://a.b/x\n\nz"),
        ('<a href="https://a.b/x"><img src="y" alt=""></a> <a href="https://c.d"></a>e', "https://a.b/x e"),
        ('<a href="#x"><img src="y"></a><a href="javascript:x"><img src="y"></a>e', "e"),
        ("<p>请<a href=https://a.b>点击这里</a>查看。谢谢。<p>x", "请点击这里查看。谢谢。 (https://a.b)\n\nx"),
        ("请<a href=https://a.b>点击这里</a>。 谢谢。", "请点击这里。 (https://a.b) 谢谢。"),
        ("<ul><li><a href=https://a.b>注册</a>或<a href=https://c.d>登录</a>。<li>x</ul>",
         "- 注册或登录。 (注册: https://a.b) (登录: https://c.d)\n- x"),
        ("请<a href=https://a.b>点击</a>查看。 Or <a href=https://c.d>here</a> now",
         "请点击查看。 Or here (https://c.d) now (点击: https://a.b)"),
        ("<tr><td><a href=https://a.b>甲</a>的<td>乙", "甲的 (https://a.b) | 乙"),
        ("<a href=https://a.b>one</a>, <a href=https://c.d>two</a>!", "one, (https://a.b) two! (https://c.d)"),
        ("<a href=https://a.b>one</a><a href=https://c.d>two", "onetwo (one: https://a.b) (two: https://c.d)"),
        ("<a href=https://a.b>one<br>two</a>x", "one\ntwox (https://a.b)"),
        ("<a href=https://a.b>https://a.b</a>即可", "https://a.b即可"),
        # Raw and unseen
        ("<iframe><b>x</b></iframe><textarea hidden>y</textarea><textarea>a<b</textarea>", "a<b"),
        ("<dialog>x</dialog><dialog open>a</dialog><datalist><option>y</datalist>", "a"),
        ("<body><p>a</p></body></html>b<body style='display:none'>c", "a\n\nb"),
    ],
)  # fmt: skip
def test_plain_text(source: str, text: str) -> None:
    assert plain_text(source) == text


@pytest.mark.parametrize(
    ("source", "content_type"),
    [
        ("<p>{{ n }}，请<a href='{{ u }}'>点击这里</a>查看您的订单详情。</p>", "html"),
        ("<p>请<a href='{{ u }}'>注册</a>或<a href='{{ u }}'>登录</a>。</p>", "html"),
        ("<ul><li><a href='{{ u }}'>甲</a>、乙</ul>", "html"),
        ("<p>Go <a href='{{ u }}'>here</a>, or <a href='{{ u }}'>there</a>.</p>", "html"),
        ("# 标题\n\n{{ n }}，请[点击这里]({{ u }})查看您的**订单**详情。", "markdown"),
    ],
)
def test_no_word_of_the_html_is_cut_in_the_text(source: str, content_type: str) -> None:
    # SpamAssassin's MPART_ALT_DIFF: words, parted by blanks, of the HTML that the text does not have.
    one = rendered(source, content_type, n="李雷", u="https://x.y/1")
    page = re.sub("<style>.*</style>", "", str(one.html), flags=re.DOTALL)
    words = re.sub("<[^>]*>", "", re.sub("</?(?:p|li|h1)[^>]*>", " ", page)).split()
    assert set(words) <= set(one.text.split())


ENDED_BY = {
    "li": "li",
    "dt": "dt dd",
    "dd": "dt dd",
    "p": (
        "address article aside blockquote details div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
        "header hgroup hr main menu nav ol p pre search section table ul"
    ),
    "rt": "rt rp",
    "rp": "rt rp",
    "optgroup": "optgroup hr",
    "option": "option optgroup hr",
    "caption": "thead tbody tfoot tr colgroup",
    "thead": "tbody tfoot",
    "tbody": "tbody tfoot",
    "tr": "tr tbody",
    "td": "td th tr tbody",
    "th": "td th tr tbody",
}
"""WHATWG HTML, 13.1.2.4 "Optional tags": the elements whose end tag may be left out, and what then ends them."""
PARENTS = {
    "li": "ul",
    "dt": "dl",
    "dd": "dl",
    "rt": "ruby",
    "rp": "ruby",
    "optgroup": "select",
    "option": "select",
    **dict.fromkeys(("caption", "thead", "tbody"), "table"),
    "tr": "table><tbody",
    **dict.fromkeys(("td", "th"), "table><tbody><tr"),
}


@pytest.mark.parametrize("inner", ["internal", "<b>internal", "<span>inter<i>nal</i>", "<b hidden>internal</b>"])
@pytest.mark.parametrize("tag", ENDED_BY)
def test_what_is_hidden_ends_where_html_lets_it_end(tag: str, inner: str) -> None:
    parent = PARENTS.get(tag, "div")
    for ender in ENDED_BY[tag].split():
        assert plain_text(f"<{parent}><{tag} hidden>{inner}<{ender}>Tea").endswith("Tea"), ender
        assert "nal" not in plain_text(f"<{parent}><{tag} hidden>{inner}<{ender}>Tea"), ender
    end = f"</{parent.split('>')[0]}>"
    assert plain_text(f"<{parent}><{tag} hidden>{inner}{end}Tea") == "Tea"
    assert plain_text(f"<{parent}><{tag} hidden>{inner}</{tag}><{tag}>Tea").lstrip("- ") == "Tea"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<ul><li hidden>internal<li>Tea<li>Rice</ul><p>Total: 5</p>", "- Tea\n- Rice\n\nTotal: 5"),
        ("<ul><li hidden>x<ul><li>y<li>z</ul>x<li>a</ul>", "- a"),
        ("<div hidden>x<div>y</div>z</p></span></section>x</div>a", "a"),
        ("<section><div hidden>x</section>a", "a"),
        ("<b hidden>x<p>y</b>a", "a"),
        ("<i hidden><section hidden>x</i>y</section>a", "a"),
        ("<table><tr><td hidden>x</div></p><td>a</table>", "a"),
        ("<table><tr hidden><td>x<tr><td>a<td>b</table>", "a | b"),
        ("<p hidden>x<table><tr><td>a</table>", "a"),
        ("<a hidden>x<a>a</a>", "a"),
        ("<ul><li>a<div>b<ul><li>c</ul></div>d</ul>e", "- a\n  b\n  - c\n  d\n\ne"),
        ("<div><ul><li>a<p>b</div>c", "- a\n\n  b\n\nc"),
    ],
)
def test_what_is_hidden_and_what_is_not(source: str, text: str) -> None:
    assert plain_text(source) == text


@pytest.mark.slow
@pytest.mark.parametrize("bomb", [
        "<", "<a ", "<!--", "<blockquote>", "<ul><li>", "<a href='", "&#", "<td>", "</ul>", "<b><div>", "<b><p></b>",
        "<table><td>x", "<ol reversed><li>", "<a href=http://x>y", "<i hidden>", "<p><b>", "<div></b>",
    ])  # fmt: skip
def test_plain_text_takes_linear_time(bomb: str) -> None:
    assert growth(lambda length: plain_text(bomb * (length // len(bomb))), 40_000) < LINEAR


PAGE = (
    "<html><head><title>{{ a }}</title></head><body><h1>{{ a }} and {{ b }}</h1>"
    "<p>x {{ b|upper }}, {{ c.d }}!</p>"
    "<ul><li>{{ a }}<li><b>{{ b }}</b> </ul><table><tr><td>{{ a }}</td><td>k {{ b }}</td></tr></table>"
    '<a href="https://x.y/{{ a }}">go</a> <a href="{{ b }}">{{ a }}</a> <img alt="{{ a }}"><!-- {{ a }} -->'
    "<pre>{{ b }}</pre><blockquote>&amp;; {{ a|e }};</blockquote></body></html>"
)
WORDS = st.one_of(
    st.text(max_size=12), st.text("ab<>&\"'; \n/:#{}%", max_size=12), st.sampled_from(["https://a.b", "amp"])
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(WORDS, WORDS, WORDS)
@example("<script>", "' onclick='x", "&lt;")
@example("https://a.b/", "https://a.b/", "x")
def test_no_value_is_html_and_the_alternative_is_that_of_the_html(a: str, b: str, c: str) -> None:
    values = {"a": a, "b": b, "c": {"d": c}}
    try:
        one = PAGE_CONTENT.render(TO, values)
    except ContentError as error:
        assert "half a character" in str(error)  # noqa: PT017  (either outcome is right)
        return
    assert one.html is not None
    assert one.html.count("<") == PAGE.count("<")
    assert one.html.count('"') == PAGE.count('"')
    assert str(escape(c)) in one.html
    assert one.text == plain_text(one.html)


PAGE_CONTENT = compiled(PAGE, "html")


def test_the_alternative_of_a_simple_template_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str) -> str:
        raise AssertionError(source)

    monkeypatch.setattr("push_provider.channels.email.content.plain_text", fail)
    one = PAGE_CONTENT.render(TO, {"a": "Li", "b": "茶", "c": {"d": "5"}})
    assert one.text.startswith("Li and 茶\n\nx 茶, 5!\n\n- Li\n- 茶\n")
    with pytest.raises(AssertionError):
        PAGE_CONTENT.render(TO, {"a": "", "b": "茶", "c": {"d": "5"}})


@pytest.mark.parametrize(
    "source",
    [
        "<p>{{ a|safe }}",
        "<p {{ b }}=1>x",
        "<a href={{ b }}>x</a>",
        "&{{ c }};",
        "<{{ c }}>",
        "<div style='display:{{ n }}'>x</div>",
        "{% for x in l %}<p>{{ x }} {{ c }}{% endfor %}",
        "{% if c %}<p>{{ c }}</p>{% endif %}",
        "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{{ m(a) }}{{ c }}",
        "{% set x = c %}<p>{{ x }}{{ a }}",
        "{% set x %}<b>{{ c }}</b>{% endset %}{{ x }}{{ x|upper }}",
        "{% filter upper %}<p>{{ c }}{% endfilter %}",
        "{{ a|tojson }}{{ [a]|map('safe')|join }}{{ a|e|length }}",
        "{% for i in range(3) %}<p>{{ i }} {{ a }}{% endfor %}",
        "{% for a in [1, 2] %}{{ a }}{% endfor %}{{ a }}",
        "请<a href='https://x.y/{{ c }}'>{{ b }}</a>查看。<a href='{{ a }}'>q</a>的",
        "请<a href='https://x.y'>{{ b }}</a>{{ c }}看",
        "<a href='https://x.y'><img src=x></a>a <a href='{{ c }}'><img src=x></a>b",
        "<table><tr><td>{{ c }}<td><td>{{ a }}<tr><td><td>{{ b }}<td></table>",
        "<ol reversed><li value='{{ c }}'>a<li>{{ b }}</ol><ol reversed start='{{ c }}'><li>{{ b }}</ol>",
        "<li hidden>{{ a }}<li>{{ b }}",
        "\ue0000\ue001 {{ a }} \ue002",
        "{{ '\ue0000\ue001' }} {{ a }}",
    ],
)
def test_the_alternative_of_any_template_is_that_of_its_html(source: str) -> None:
    one = rendered(source, "html", a="<i>x</i>", b="q", c="lt", n="none", l=["1", "<"])
    assert one.text == plain_text(str(one.html))
    assert "\ue0000" not in one.text or "\ue000" in source


# --- markdown -------------------------------------------------------------------------------------------


def undressed(one: Rendered) -> str:
    """The body of a markdown mail, without its layout and styles."""
    assert one.html is not None
    assert one.html.startswith(mail_layout.BEFORE)
    assert one.html.endswith(mail_layout.AFTER)
    body = one.html.removeprefix(mail_layout.BEFORE).removesuffix(mail_layout.AFTER)
    return re.sub(' style="[^"]*"', "", body)


@pytest.mark.parametrize("loop", [False, True], ids=["flat", "shaped"])
@pytest.mark.parametrize(
    ("source", "variables", "html"),
    [
        ("# {{ a }}", {"a": "张 *三*"}, "<h1>张 *三*</h1>"),
        ("**{{ a_b }}** _{{ a_b }}_", {"a_b": "x"}, "<p><strong>x</strong> <em>x</em></p>"),
        ("{{ a * 2 * 3 }} {{ '_' ~ a ~ '_' }}", {"a": 1}, "<p>6 _1_</p>"),
        ("{{ a }}", {"a": "<script>x</script>"}, "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        ("<b>{{ a }}</b>", {"a": "x"}, "<p>&lt;b&gt;x&lt;/b&gt;</p>"),
        ("{{ a }}", {"a": "[x](javascript:alert(1))"}, "<p>[x](javascript:alert(1))</p>"),
        ("{{ a|safe }}{{ a|e }}", {"a": "<*a*>"}, "<p>&lt;*a*&gt;&lt;*a*&gt;</p>"),
        ("{{ a }}", {"a": "1\n\n# x\n- y"}, "<p>1\n\n# x\n- y</p>"),
        ("[go]({{ a }})", {"a": "https://x.y/?a=1&b=2"}, '<p><a href="https://x.y/?a=1&amp;b=2">go</a></p>'),
        ("[go]({{ a }})", {"a": 'https://x.y/" x="'}, '<p><a href="https://x.y/%22%20x=%22">go</a></p>'),
        ("[go](https://x.y/{{ a }}/b c)", {"a": "q"}, "<p>[go](https://x.y/q/b c)</p>"),
        ("[{{ a }}](https://x.y/{{ a }})", {"a": "茶]("}, '<p><a href="https://x.y/%E8%8C%B6](">茶](</a></p>'),
        ('![{{ a }}](https://x.y "{{ a }}")', {"a": '"<'},
         '<p><img src="https://x.y" alt="&#34;&lt;" title="&#34;&lt;" /></p>'),
        ("<https://x.y/{{ a }}>", {"a": "1"}, '<p><a href="https://x.y/1">https://x.y/1</a></p>'),
        ("| h |\n|--|\n| {{ a }} |", {"a": "x | y"},
         ("<table>\n<thead>\n<tr>\n<th>h</th>\n</tr>\n</thead>\n"
          "<tbody>\n<tr>\n<td>x | y</td>\n</tr>\n</tbody>\n</table>")),
        ("`{{ a }}`", {"a": "`<"}, "<p><code>`&lt;</code></p>"),
        ("[x](javascript:alert(1)) {{ a }}", {"a": "y"}, "<p>[x](javascript:alert(1)) y</p>"),
    ],
)  # fmt: skip
def test_markdown(source: str, variables: dict[str, Any], html: str, loop: bool) -> None:
    shape = "{% if shape is defined %}x{% endif %}" if loop else ""
    one = rendered(shape + source, "markdown", **variables)
    assert undressed(one) == html + "\n"
    assert one.text == plain_text(str(one.html))


@pytest.mark.parametrize(
    ("source", "html"),
    [
        # https://github.com/commonmark/commonmark-spec/issues/650
        ("**注意：**请看", "<strong>注意：</strong>请看"),
        ("**テスト。**テスト", "<strong>テスト。</strong>テスト"),
        ("これは**重要なこと。**だから。", "これは<strong>重要なこと。</strong>だから。"),
        ("**이 용어(This term)**를 강조해", "<strong>이 용어(This term)</strong>를 강조해"),
        ("他说**“好”**了", "他说<strong>“好”</strong>了"),
        ("这是**《红楼梦》**和*（上）*的", "这是<strong>《红楼梦》</strong>和<em>（上）</em>的"),
        ("a**〔**b", "a<strong>〔</strong>b"),
        ("请看**[这里](https://x.y)**吧", '请看<strong><a href="https://x.y">这里</a></strong>吧'),
        ("我**`code`**的", "我<strong><code>code</code></strong>的"),
        ("**葛\U000e0100**(x)", "<strong>葛\U000e0100</strong>(x)"),
        ("大**“\ufe01好”\ufe01**a", "大<strong>“\ufe01好”\ufe01</strong>a"),
        ("**〒**x**㈱**y", "<strong>〒</strong>x<strong>㈱</strong>y"),
        ("__注意__：x和__「甲」__", "<strong>注意</strong>：x和__「甲」__"),  # _ is not for inside words
        # As CommonMark has it
        ("**Note:**see", "**Note:**see"),
        ('a*"x"*b', "a*&quot;x&quot;*b"),
        ("snake_case_name 甲_乙_丙", "snake_case_name 甲_乙_丙"),
        ("2 ** 3 ** 4", "2 ** 3 ** 4"),
        ("😀**!**a", "😀**!**a"),
        # The value is not known, and must not matter.
        ("**注意!**{{ a }}", "<strong>注意!</strong>X"),
        ("**{{ a }}：**请", "<strong>X：</strong>请"),
        ("{{ a }}**“甲”**b", "X**“甲”**b"),
        ("{{ a }}_b_{{ a }}", "X_b_X"),
    ],
)
@pytest.mark.parametrize("loop", ["", "{% if x is defined %}{% endif %}"], ids=["flat", "shaped"])
def test_emphasis_without_blanks(source: str, html: str, loop: str) -> None:
    assert undressed(rendered(loop + source, "markdown", a="X")) == f"<p>{html}</p>\n"


@pytest.mark.parametrize("loop", ["", "{% if x is defined %}{% endif %}"], ids=["flat", "shaped"])
@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("# 标题\n\n**{{ a }}**和_甲_", "标题\n\nX和_甲_"),
        ("请[点击这里]({{ u }})查看{{ a }}。", "请点击这里查看X。 (https://x.y/?a=1&b=2)"),
        ("[go]({{ u }}/{{ a }}), {{ a }}", "go, (https://x.y/?a=1&b=2/X) X"),
        ("<https://x.y/{{ a }}>", "https://x.y/X"),
        ("[![]({{ u }})](https://x.y/{{ a }}) a", "https://x.y/X a"),
        ("| h | i |\n|---|--:|\n| | {{ a }} |", "h | i\n | X"),
        ("1. {{ a }}\n2. b\n\n> c", "1. X\n2. b\n\n> c"),
    ],
)
def test_markdown_has_the_text_of_its_html(source: str, text: str, loop: str) -> None:
    one = rendered(loop + source, "markdown", a="X", u="https://x.y/?a=1&b=2")
    assert one.text == text == plain_text(str(one.html))


def test_the_alternative_of_simple_markdown_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    content = compiled("# {{ a }}\n\n[{{ a }}]({{ u }})", "markdown")
    monkeypatch.delattr("push_provider.channels.email.content.plain_text")
    assert content.render(TO, {"a": "茶", "u": "https://x.y"}).text == "茶\n\n茶 (https://x.y)"


@pytest.mark.parametrize(
    ("source", "tag"),
    [
        ("**[Go](https://x.y/{{ a }})**", '<a href="https://x.y/1" class="button" style="display:inline-block; '),
        ("![]({{ u }})", '<img src="https://x.y" alt="" style="max-width:100%; '),
        ("|a|b|\n|--|-:|\n|c|d|", '<td style="border:1px solid #d9dee4; padding:6px 12px; text-align:right">'),
        ("> q", '<blockquote style="'),
    ],
)
def test_what_mail_programs_need_is_in_the_tags(source: str, tag: str) -> None:
    assert tag in str(rendered(source, "markdown", a=1, u="https://x.y").html)


@pytest.mark.parametrize(
    "source",
    ["**[a](https://x.y)** b", "[a](https://x.y)", "**a [b](https://x.y)**", "**[a](https://x.y) [b](https://x.y)**"],
)
def test_a_button_is_a_bold_link_by_itself(source: str) -> None:
    assert 'class="button"' not in str(rendered(source, "markdown").html)


def test_the_layouts_of_markdown_and_html_look_the_same() -> None:
    base = (SHIPPED / "templates" / "base.html").read_text("utf-8")
    assert f"<style>\n{mail_layout.STYLE}</style>" in base
    assert f'style="{mail_layout.BUTTON}"' in (SHIPPED / "templates" / "order_notice.html").read_text("utf-8")
    for tag in re.findall('<(?:body|div class="(?:page|sheet)")[^>]*>', mail_layout.BEFORE):
        assert tag in base


@pytest.mark.parametrize("loop", ["", "{% if x is defined %}{% endif %}"], ids=["flat", "shaped"])
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("[x]({{ a }})", "javascript:alert(1)"),
        ("[x]({{ a }})", " JaVaScRiPt:alert(1)"),
        ("[x]({{ a }})", "data:text/html,x"),
        ("[x]({{ a }})", "x.html"),
        ("[x](java{{ a }}:alert(1))", "script"),
        ("[x]({{ a }}:alert(1))", "javascript"),
        ("[x]({{ a }}{{ a }})", "vbscript:"),
        ("![x]({{ a }})", "javascript:alert(1)"),
        ("[x][1]\n\n[1]: {{ a }}", "javascript:alert(1)"),
    ],
)
def test_no_value_makes_an_active_link(source: str, value: str, loop: str) -> None:
    with pytest.raises(ContentError, match=r"content.*(begins with|begin it with)"):
        rendered(loop + source, "markdown", a=value)


CAPTURED = "{% set who %}{{ first }} {{ last }}{% endset %}{% macro m(x) %}({{ x }}){% endmacro %}"
"""Text that a template keeps, with values in it."""


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Dear {{ who|title }}!", "Dear Ann Lee!"),
        (
            "Dear {{ who|upper }}, {{ who|truncate(5, true, '...', 0) }} {{ who|replace('e', 'i') }}",
            "Dear ANN LEE, an... ann lii",
        ),
        ("{{ who[:3] }} {{ who.upper() }} {{ who|length }} {{ m(first)|length }}", "ann ANN LEE 7 5"),
        ("{{ '%s!'|format(who) }} {{ '{}!'.format(who) }} {{ ('%s' % who) }}", "ann lee! ann lee! ann lee"),
        (
            "{{ m(first)|e }} {{ m(first)|safe }} {{ m(who)|trim }} {{ who|default('x') }}",
            "(ann) (ann) (ann lee) ann lee",
        ),
        ("x?q={{ who|urlencode }}", "x?q=ann%20lee"),
        (
            "{{ who + last }} {{ last + who }} {{ who ~ last }} {{ who + who }}",
            "ann leelee leeann lee ann leelee ann leeann lee",
        ),
        (
            "{{ [who, last]|join('-') }} {{ who.split()|join('-') }} {{ '-'.join([who, last]) }}",
            "ann lee-lee ann-lee ann lee-lee",
        ),
        ("{% if who == 'ann lee' and who in ['ann lee'] and 'nn' in who %}yes{% endif %}", "yes"),
        ("{% set w %}{{ empty }}{% endset %}{% if w %}some{% else %}none{% endif %}", "none"),
        ("{% set w %} {{ empty }} {% endset %}[{{ w|trim }}]{{ w|trim is eq '' }}", "[]True"),
        ("{% set w|upper %}{{ first }}{% endset %}{{ w }} {{ w|lower }}", "ANN ann"),
        ("{% filter upper %}a {{ first }} {{ m(last) }}{% endfilter %}", "A ANN (LEE)"),
        ("{% filter title|truncate(9, true, '', 0) %}{{ who }} and more{% endfilter %}", "Ann Lee A"),
        ("{% macro box() %}{{ caller()|upper }}!{% endmacro %}{% call box() %}{{ first }}{% endcall %}", "ANN!"),
        ("{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}{{ who|title }}{% endcall %}", "[Ann Lee]"),
        (
            "{% for x in [[['a']]] recursive %}{{ first }}{{ x if x is string else loop(x)|upper }}{% endfor %}",
            "annANNANNA",
        ),
        (
            "{% set n = namespace(x=who) %}{% set n.x = n.x|title %}{{ n.x }} {{ {'a': who}.a|title }}",
            "Ann Lee Ann Lee",
        ),
        ("{% for c in m(first) %}{{ c }}.{% endfor %} {{ who|list|first }} {{ who|reverse }}", "(.a.n.n.). a eel nna"),
        ("{% block b %}{{ first }}{% endblock %} {{ self.b()|title }} {{ self.b() == 'ann' }}", "ann Ann True"),
    ],
)
@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_captured_text_is_text_with_its_values(source: str, text: str, content_type: str) -> None:
    one = rendered(CAPTURED + source, content_type, first="ann", last="lee", empty="")
    assert one.text == text


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("{% set w %}**{{ a }}**{% endset %}{{ w }} {{ w ~ a }}", "<strong>*x*</strong> <strong>*x*</strong>*x*"),
        (
            "{% set w %}**{{ a }}** {% endset %}{{ w + a }}{{ a + w }}",
            "<strong>*x*</strong> *x**x*<strong>*x*</strong>",
        ),
        (
            "{% macro m(x) %}\n **{{ x }}** {% endmacro %}{{ m(a)|trim }}, {{ m(a)|safe }}",
            "<strong>*x*</strong>,\n<strong>*x*</strong>",
        ),
        (
            "{% macro m(x) %}**{{ x }}**{% endmacro %}{{ [m(a), a, m(1)]|join(', ') }} {{ [m(1), m(2)]|join(a) }}",
            "<strong>*x*</strong>, *x*, <strong>1</strong> <strong>1</strong>*x*<strong>2</strong>",
        ),
        (
            "{% macro m(x) %}- {{ x }}{% endmacro %}{{ [m(a), m(1)]|join('\n') }}",
            "<ul>\n<li>*x*</li>\n<li>1</li>\n</ul>",
        ),
        (
            "{% macro m(x) %}- {{ x }}\n- 2{% endmacro %}- 1\n  {{ m(a)|indent(2) }}",
            "<ul>\n<li>1\n<ul>\n<li>*x*</li>\n<li>2</li>\n</ul>\n</li>\n</ul>",
        ),
        ("{% macro m(x) %}{{ x }}\n2{% endmacro %}{{ m(1)|indent(a) }}", "1\n*x*2"),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ [m(a), a]|join(' **and** ') }}", "*x* <strong>and</strong> *x*"),
        # What is made of it is a value.
        ("{% set w %}**{{ a }}**{% endset %}{{ w|upper }}", "***X***"),
        ("{% filter upper %}**{{ a }}**{% endfilter %}", "***X***"),
        ("{% macro m() %}{{ caller()|upper }}{% endmacro %}{% call m() %}**{{ a }}**{% endcall %}", "***X***"),
        (
            "{% macro m() %}**{{ caller() }}**{% endmacro %}{% call m() %}_{{ a }}_{% endcall %}",
            "<strong><em>*x*</em></strong>",
        ),
    ],
)
def test_what_a_template_has_written_stays_markdown_until_something_is_made_of_it(source: str, html: str) -> None:
    body = undressed(rendered(source, "markdown", a="*x*")).strip()
    assert body.removeprefix("<p>").removesuffix("</p>") == html


def test_what_is_imported_holds_the_values_of_no_other_recipient(tmp_path: Path) -> None:
    include = files(
        tmp_path,
        page__md="{% import 'm.md' as m %}{{ name }} {{ m.team }} {{ m.sign(name) }} {{ m|trim }}",
        m__md=(
            "{% set n = 'red ' + 'team' %}{% set team %}*{{ n }}*{% endset %}"
            "{% macro sign(x) %}{{ team|upper }}{{ x|upper }}{% endmacro %}{{ n }}"
        ),
    )
    whole = task(template="page.md")
    content = Content(whole, freeze(whole, include=include))
    for name in ("ann", "bob", "cem"):
        body = undressed(content.render(TO, {"name": name}))
        assert body == f"<p>{name} <em>red team</em> *RED TEAM*{name.upper()} red team</p>\n"


@pytest.mark.parametrize("kind", ["html", "md"])
def test_what_a_block_s_parent_puts_out_is_text_with_its_values(tmp_path: Path, kind: str) -> None:
    include = files(
        tmp_path,
        **{
            f"base__{kind}": "{% block b %}{{ name }} {% endblock %}",
            f"page__{kind}": (
                f"{{% extends 'base.{kind}' %}}"
                "{% block b %}{{ super() }}{{ super()|upper }}{{ super()|length }}"
                "{% if super() == 'ann ' %}!{% endif %}{% endblock %}"
            ),
        },
    )
    whole = task(template=f"page.{kind}")
    one = Content(whole, freeze(whole, include=include)).render(TO, {"name": "ann"})
    assert one.text == "ann ANN 4!"


@pytest.mark.parametrize(
    "source", ["{% filter striptags %}{{ a }}{% endfilter %}", "{% filter striptags|trim %}{{ a }}{% endfilter %}"]
)
def test_a_value_that_was_escaped_is_so_after_a_filter_of_the_whole(source: str) -> None:
    assert rendered(source, "html", a="<script>x</script>").html == "&lt;script&gt;x&lt;/script&gt;"


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.text(max_size=20), st.lists(st.text("*_[]()<>!`#-|\\\n &;:/ajx", max_size=12), max_size=3))
@pytest.mark.parametrize(
    "source",
    [
        "# {{ a }}\n\n{% for i in items %}\n- x {{ i }}{% endfor %}",
        (
            "{% macro m(x) %}{{ x }}{% endmacro %}{% macro n() %}{{ caller() }}{{ caller()|trim('x') }}{% endmacro %}"
            "{% set w %}{{ a }}{% endset %}"
            "# {{ m(w)|upper }}{{ w + a }}{{ a + w }}{{ [w, a]|join(a) }}{{ w ~ a }}{{ w|indent(a) }}{{ '%s' % w }}\n\n"
            "{% for i in items %}\n- x {{ m(i)|trim }}{{ i|e + m(i) }}{{ w|replace(a, i) }}{{ m(i)|safe }}"
            "{% filter title %}{{ i }}{% endfilter %}{% call n() %}{{ i }}{% endcall %}{% endfor %}"
        ),
    ],
    ids=["put out", "captured"],
)
def test_no_value_is_read_as_markdown(source: str, a: str, items: list[str]) -> None:
    content = MARKDOWN.setdefault(source, compiled(source, "markdown"))
    try:
        html = str(content.render(TO, {"a": a, "items": items}).html)
    except ContentError as error:
        assert "half a character" in str(error)  # noqa: PT017  (either outcome is right)
        return
    body = html.removeprefix(mail_layout.BEFORE).removesuffix(mail_layout.AFTER)
    assert set(re.findall("<[^>]*>", body)) <= {"<h1>", "</h1>", "<ul>", "</ul>", "<li>", "</li>"}
    assert html.count("<li>") == len(items)


MARKDOWN: dict[str, Content] = {}
"""Compiled once each."""


# --- files ----------------------------------------------------------------------------------------------


def test_freeze_reads_all_that_the_template_needs(tmp_path: Path) -> None:
    include = files(
        tmp_path,
        base__html="<p>{% block b %}{% endblock %}{% include 'foot.html' %}",
        order__html="{% extends 'base.html' %}{% from 'macros.html' import m %}{% block b %}{{ m(a) }}{% endblock %}",
        foot__html="{% include ['none.html', 'tail.html'] %}{% include 'nowhere.html' ignore missing %}",
        tail__html=" bye {{ a }}",
        macros__html="{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}",
        unused__html="",
    )
    whole = task(template="order.html")
    frozen = freeze(whole, include=include)
    assert set(frozen) == {"base.html", "order.html", "foot.html", "tail.html", "macros.html"}
    for file in (tmp_path / "templates").iterdir():
        file.unlink()
    one = Content(whole, frozen, include=include).render(TO, {"a": "<"})
    assert one.html == "<p><b>&lt;</b> bye &lt;"
    assert one.text == "< bye <"
    assert freeze(task(content="x"), include=include) == {}


@pytest.mark.parametrize("name", ["t.md", "t.html", "t.txt", "uses.md", "uses.html"])
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path, name: str) -> None:
    include = files(
        tmp_path,
        t__md="\ufeff# 标题 {{ x }}\n\n正文\n",
        t__html="\ufeff<h1>标题 {{ x }}</h1>",
        t__txt="\ufeff标题 {{ x }}",
        uses__md="\ufeff{% from 'm.md' import m %}{% include 't.md' %}{{ m() }}",
        m__md="\ufeff{% macro m() %}宏{% endmacro %}",
        uses__html="\ufeff{% extends 'base.html' %}{% block b %}{% include 't.html' %}{% endblock %}",
        base__html="\ufeff<body>{% block b %}{% endblock %}",
    )
    whole = task(template=name, subject="\ufeff标题 {{ x }}")
    one = Content(whole, freeze(whole, include=include)).render(TO, {"x": "乙"})
    assert one.subject == "标题 乙"
    assert "标题 乙" in one.text
    assert "\ufeff" not in one.text
    if one.html is not None:
        assert "<h1>标题 乙</h1>" in one.html
        assert "\ufeff" not in one.html


@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_nor_of_one_that_a_program_read_from_a_file(content_type: str) -> None:
    one = rendered("\ufeff# {{ x }}", content_type, x="乙")
    assert "\ufeff" not in one.text + (one.html or "")
    assert rendered("a\ufeffb", content_type).text == "a\ufeffb"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% include '../secret.txt' %}", "without '..'"),
        ("{% include '/etc/passwd' %}", "without '..'"),
        ("{% include 'a\\\\b' %}", "without '..'"),
        ("{% include 'link.html' %}", "leads out of include/templates"),
        ("{% include 'linked/secret.txt' %}", "leads out of include/templates"),
        ("\n{% include 'none.html' %}", "t.html, line 2: there is no 'none.html'"),
        ("{% include ['no.html', 'none.html'] %}", "'no.html' or 'none.html'"),
        ("{% extends name %}", "variables cannot choose it"),
        ("{% include 'a' ~ name %}", "variables cannot choose it"),
        ("{% include 'sub' %}", "there is no 'sub'"),
        ("{% include 'binary.html' %}", "UTF-8"),
        ("{% include '" + "x" * 300 + "' %}", "cannot be read: File name too long"),
        ("{% include 'round' %}", "circle" if sys.version_info < (3, 13) else "there is no 'round'"),
        ("{% block %}", "t.html, line 1"),
        ("{{ 1 }}" * 5000, "tokens"),
    ],
)
def test_freeze_stays_below_the_templates(tmp_path: Path, source: str, message: str) -> None:
    include = files(tmp_path / "include" if (tmp_path / "include").mkdir() is None else tmp_path, t__html=source)
    (tmp_path / "secret.txt").write_text("secret")
    templates = include / "templates"
    (templates / "link.html").symlink_to(tmp_path / "secret.txt")
    (templates / "linked").symlink_to(tmp_path)
    (templates / "round").symlink_to("round")
    (templates / "sub").mkdir()
    (templates / "binary.html").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContentError) as error:
        freeze(task(template="t.html"), include=include)
    assert message in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_includes_and_imports_that_do_not_see_the_variables(tmp_path: Path) -> None:
    include = files(
        tmp_path,
        a__html="<p>{% include 'b.html' without context %}{% import 'b.html' as b %}{{ b }}{{ a }}",
        b__html="<i>{{ a|default('-') }}</i>",
        bomb__html="{% for i in range(100000) %}aaaaaaaaaaaaaaaa{% endfor %}",
        c__html="{% import 'bomb.html' as b %}{{ a }}",
    )
    whole = task(template="a.html")
    one = Content(whole, freeze(whole, include=include)).render(TO, {"a": "x"})
    assert one.html == "<p><i>-</i><i>-</i>x"
    whole = task(template="c.html")
    with pytest.raises(ContentError, match="more than 100000 characters"):
        Content(whole, freeze(whole, include=include), limits=SHORT).render(TO, {"a": "x"})


def test_a_template_that_was_not_frozen_is_named() -> None:
    with pytest.raises(ContentError, match=r"order\.html: this template was not read"):
        Content(task(template="order.html"), {})


def test_attachments(tmp_path: Path) -> None:
    folder = tmp_path / "attachments" / "shared"
    folder.mkdir(parents=True)
    (folder / "价格.xlsx").write_bytes(b"x")
    inline = {"name": "a.tar.gz", "content_base64": base64.b64encode(b"gz").decode()}
    strange = {"name": "a.qqq", "content_base64": ""}
    pdf = {"name": "A.PDF", "content_base64": ""}
    like_urls = [{"name": name, "content_base64": ""} for name in ("//[x", "data:text/html,a.pdf")]
    attachments = ["attachments/shared/价格.xlsx", inline, strange, pdf, *like_urls]
    content = Content(task(attachments=attachments), {}, include=tmp_path)
    assert content.attachments == [
        File("价格.xlsx", b"x", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        File("a.tar.gz", b"gz", "application/gzip"),
        File("a.qqq", b"", "application/octet-stream"),
        File("A.PDF", b"", "application/pdf"),
        File("//[x", b"", "application/octet-stream"),
        File("data:text/html,a.pdf", b"", "application/pdf"),
    ]
    (folder / "价格.xlsx").unlink()
    assert content.attachments[0].content == b"x"  # read once


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.pdf", "there is no file 'none.pdf'"),
        ("link", "leads out of include/"),
        ("sub", "there is no file"),
        ("large", "more than 10485760 bytes"),
        ("x" * 300, "cannot be read: File name too long"),
        ("round", "circle" if sys.version_info < (3, 13) else "there is no file"),
    ],
)
def test_attachments_that_cannot_be_sent(tmp_path: Path, name: str, message: str) -> None:
    include = tmp_path / "include"
    (include / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (include / "link").symlink_to(tmp_path / "secret")
    (include / "round").symlink_to("round")
    with (include / "large").open("wb") as file:
        file.truncate(10 * 1024 * 1024 + 1)
    content = Content(task(attachments=[name]), {}, include=include, areas=False)
    with pytest.raises(ContentError, match=re.escape(message)):
        _ = content.attachments


APPS = ["shop", "crm", None, "../crm", "attachments", ".", "..", "crm/../shop", "/", "shop/."]
FILES = (
    "attachments/shop/price.pdf", "attachments/crm/customers.csv", "attachments/shared/terms.pdf", "tasks/daily.yaml",
    "templates/base.html", "attachments/shopping/list.txt", "attachments/tasks/one.pdf",
)  # fmt: skip
LINKS = {
    "attachments/shop/theirs": "../crm/customers.csv",
    "attachments/shop/task": "../../tasks/daily.yaml",
    "attachments/shop/all": "../..",
    "attachments/shop/own": "price.pdf",
    "attachments/shop/terms": "../shared/terms.pdf",
    "attachments/link": "crm",
    "daily": "tasks/daily.yaml",
}


@pytest.fixture
def areas(tmp_path: Path) -> Path:
    include = tmp_path / "include"
    for name in FILES:
        (include / name).parent.mkdir(parents=True, exist_ok=True)
        (include / name).write_text("x")
    for name, target in LINKS.items():
        (include / name).symlink_to(target)
    return include


def attached(include: Path, name: str, app: str | None, *, areas: bool) -> str | None:
    """What is said against a file; None if it is attached."""
    try:
        (file,) = Content(task(attachments=[name], app=app), {}, include=include, areas=areas).attachments
    except ContentError as error:
        return str(error)
    assert file.content == b"x"
    return None


@pytest.mark.parametrize(
    ("name", "apps"),
    [
        ("attachments/shop/price.pdf", ["shop"]),
        ("attachments/shop/own", ["shop"]),
        ("attachments/shop/terms", APPS),
        ("attachments/shared/terms.pdf", APPS),
        ("attachments/crm/customers.csv", ["crm"]),
        ("attachments/shop/theirs", ["crm"]),
        ("attachments/link/customers.csv", ["crm"]),
        ("attachments/shop/all/attachments/crm/customers.csv", ["crm"]),
        ("attachments/shopping/list.txt", []),
        ("attachments/tasks/one.pdf", []),
        ("templates/base.html", []),
        ("tasks/daily.yaml", []),
    ],
)
def test_attachments_lie_in_the_area_of_their_application(areas: Path, name: str, apps: list[str | None]) -> None:
    for app in APPS:
        said = attached(areas, name, app, areas=True)
        assert (said is None) == (app in apps), (app, said)
        if said and "task" not in said:
            assert "[push] attachment_areas" in said
    if "tasks/daily" not in name:
        assert attached(areas, name, None, areas=False) is None


def test_a_file_of_another_application_is_as_one_that_does_not_exist(areas: Path) -> None:
    there, not_there = "attachments/crm/customers.csv", "attachments/crm/nothing.csv"
    said = {str(attached(areas, name, "shop", areas=True)).replace(name, "…") for name in (there, not_there)}
    assert len(said) == 1


@pytest.mark.parametrize(
    "name",
    ["tasks/daily.yaml", "daily", "attachments/shop/task", "attachments/shop/all/tasks/daily.yaml"],
)
@pytest.mark.parametrize("by_area", [True, False])
def test_no_push_task_is_ever_attached(areas: Path, name: str, by_area: bool) -> None:
    for app in ("shop", "tasks", None):
        assert "a file of push tasks" in str(attached(areas, name, app, areas=by_area))


def test_the_settings_say_whether_there_are_areas(areas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Content(task(attachments=["templates/base.html"]), {}, include=areas)
    with pytest.raises(ContentError, match="attachment_areas"):
        _ = content.attachments
    monkeypatch.setenv("AIRFLOW__PUSH__ATTACHMENT_AREAS", "False")
    assert Content(task(attachments=["templates/base.html"]), {}, include=areas).attachments


def test_the_shipped_templates() -> None:
    whole = task(template="order_notice.html", subject="订单 {{ order }}")
    content = Content(whole, freeze(whole, include=SHIPPED))
    one = content.render(
        TO, {"name": "李雷", "order": "A<1", "amount": "9.90", "status": "已发货", "url": "https://x.y/1"}
    )
    assert one.subject == "订单 A<1"
    assert "A&lt;1" in str(one.html)
    assert "李雷，您好！" in one.text
    assert "订单号 Order | A<1\n状态 Status | 已发货\n金额 Amount | ¥ 9.90\n备注 Note | —\n" in one.text
    assert "View the order (https://x.y/1)" in one.text
    assert one.text == plain_text(str(one.html))

    whole = task(template="welcome.md", subject="欢迎")
    one = Content(whole, freeze(whole, include=SHIPPED)).render(TO, {"name": "*李*", "url": "https://x.y"})
    assert "<h1>欢迎，*李*！Welcome, *李*!</h1>" in str(one.html)
    assert '<a href="https://x.y" class="button"' in str(one.html)
    assert one.text == (
        "欢迎，*李*！Welcome, *李*!\n\n感谢您注册 我们的服务。请从这里开始：\n\n"
        "Thank you for joining us. Begin here:\n\n"
        "打开控制台 Open the console (https://x.y)\n\n"
        "下一步：完善资料，选择接收通知的方式。\n\nNext, complete your profile and choose how to be notified.\n\n"
        "如果这不是您本人的操作，请忽略本邮件。If this was not you, please ignore this message."
    )
