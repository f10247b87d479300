"""Which variables the trigger form names."""

from __future__ import annotations

from typing import Any

import pytest

from push_provider.variable_names import variable_names


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"content": "Hello"}, []),
        ({"content": "{{ name }}, {{- order.number | upper }} of {{shop}}"}, ["name", "order", "shop"]),
        ({"subject": "No. {{ push.execution }} for {{ to }}: {{ what }}", "content": "x"}, ["what"]),
        (
            {"content": "{% if paid %}{% elif not late %}{% endif %}{% for i, a in lines %}{{ a }}{{ i }}{% endfor %}"},
            ["late", "lines", "paid"],
        ),
        ({"content": "{{ 姓名 }}，您好"}, ["姓名"]),
        ({"content": "{% set total = 1 %}{{ total }}{% for one in items -%}{{ loop.index }}{% endfor %}"}, ["items"]),
        ({"content": "{{ b }}", "variables": {"a": 1, "c": 2}}, ["a", "b", "c"]),
        ({"content": "{{ }} {% %} {{ 1 + 2 }} {{ 'text' }} }} {{"}, []),
        ({"content": "".join(f"{{{{ v{n:02} }}}}" for n in range(50))}, [f"v{n:02}" for n in range(30)]),
        (
            {"channel": "sms", "subject": None, "content": '{"name": "{{ buyer }}", "code": "{{ order }}"}'},
            ["buyer", "order"],
        ),
    ],
)
def test_names(fields: dict[str, Any], names: list[str]) -> None:
    given = fields.pop("variables", {})
    assert variable_names(*fields.values(), given=given) == names
