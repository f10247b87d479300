"""What a rendering makes is bounded, whatever holds it: templates that filled memory, measured from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from peaks import PEAK

from push_provider.channels.email.content import Content
from push_provider.channels.reading import parse

SCRIPT = (
    PEAK
    + """
import json, sys
from push_provider.channels.email.content import Content
from push_provider.exceptions import ContentError
from push_provider.channels.reading import parse
task = json.load(sys.stdin)
print("ready", flush=True)
try:
    variables = {"v": 1, "big": "&" * 500_000, "many": ["x"] * 200_000}
    text = Content(parse(task), {}).render("a@example.com", variables).text
    print(json.dumps(["made", text[:200]]))
except ContentError as error:
    print(json.dumps([type(error).__name__, str(error)]))
print(peak())
"""
)

LOOP = "{% set n = namespace(x=0) %}{% for i in range(100000) %}{% for j in range(100000) %}"
ENDS = "{% endfor %}{% endfor %}{{ v }}"
CONSTANTS = "[" + "1," * 3000 + "]"

# What a turn of the loop keeps. Each held more than a gigabyte after some seconds, or would have.
KEPT = {
    "namespaces": "{% set n.x = namespace(x=n.x, y='abcdefgh' * 1000 ~ i) %}",
    "cyclers": "{% set n.x = cycler(n.x, 'abcdefgh' * 1000 ~ i) %}",
    "joiners": "{% set n.x = cycler(n.x, joiner('abcdefgh' * 1000 ~ i)) %}",
    "small joiners": "{% set n.x = cycler(n.x, joiner()) %}",
    "lists": "{% set n.x = cycler(n.x, [" + "i," * 2000 + "]) %}",
    "constant lists": "{% set n.x = cycler(n.x, " + CONSTANTS + ") %}",
    "dicts": "{% set n.x = cycler(n.x, {'a': i, 'b': i}) %}",
    "slices": "{% set n.x = cycler(n.x, big[i:]) %}",
    "slices of lists": "{% set n.x = cycler(n.x, many[i:]) %}",
    "numbers": "{% set n.x = cycler(n.x, 2 ** 2000 + i) %}",
    "texts of one character": "{% set n.x = cycler(n.x, ('\u6f22' * 10000)|list) %}",
    "parts": "{% set n.x = cycler(n.x, ('ab ' * 10000).split()) %}",
    "lines": "{% set n.x = cycler(n.x, ('ab\n' * 10000).splitlines()) %}",
    "pairs": "{% set n.x = cycler(n.x, dict(a=1, b=2)|dictsort) %}",
    "groups": "{% set n.x = cycler(n.x, range(1000)|groupby('real')) %}",
    "batches": "{% set n.x = cycler(n.x, range(1000)|batch(1)|list) %}",
    "generators": "{% set n.x = cycler(n.x, big|map('upper')) %}",
    "macros": "{% macro m() %}{{ i }}{% endmacro %}{% set n.x = cycler(n.x, m) %}",
    "callers": "{% macro m() %}{% set n.x = cycler(n.x, caller) %}{% endmacro %}{% call m() %}{% endcall %}",
    "loops": "{% for k in [i] %}{% set n.x = cycler(n.x, loop) %}{% endfor %}",
    "missing variables": "{% set n.x = cycler(n.x, [''.__class__, ''.__mro__, nobody]) %}",
    "many attributes": (
        "{% set m = namespace() %}"
        + "".join(f"{{% set m.a{k} = 1 %}}" for k in range(500))
        + "{% set n.x = cycler(n.x, m) %}"
    ),
    "blocks": "{% set b %}" + "{{ big }}" * 200 + "{% endset %}",
    "what a block puts out": "{% set b %}" + "{% for k in many %}{{ big }}{% endfor %}" + "{% endset %}",
    "what a block says itself": (
        "{% set b %}{% for k in many %}" + "x{% if 1 %}x{% endif %}" * 500 + "{% endfor %}{% endset %}"
    ),
    "lists put out": "{% set b %}{% for k in many %}{{ many }}{% endfor %}{% endset %}",
}  # fmt: skip


def rendered_apart(content: str, **fields: Any) -> tuple[list[str], float, int]:
    """The outcome of a rendering in a process of its own; its seconds, and the most MiB that the process held."""
    document = {"code": "t", "name": "T", "channel": "email", "subject": "s", "content": content, **fields}
    document |= {"schedule": {"kind": "manual"}, "recipients": ["a@example.com"]}
    child = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    json.dump(document, child.stdin)
    child.stdin.close()
    assert child.stdout.readline() == "ready\n"
    began = time.monotonic()
    said, most = child.stdout.read().splitlines()
    seconds = time.monotonic() - began
    child.stdout.close()
    assert child.wait() == 0
    return json.loads(said), seconds, int(most) // 1024


@pytest.mark.slow
@pytest.mark.parametrize("kept", KEPT)
def test_what_holds_what_cannot_fill_memory(kept: str) -> None:
    (outcome, message), seconds, most = rendered_apart(LOOP + KEPT[kept] + ENDS, content_type="html")
    assert outcome == "LimitExceeded", message
    assert seconds < 120  # its limits are 64 MiB, and five seconds of a processor that others use, too
    assert most < 250


@pytest.mark.parametrize("content_type", ["html", "markdown", "text"])
def test_a_long_letter_does_not_notice(content_type: str) -> None:
    source = (
        "{% macro price(cents) %}{{ '%.2f'|format(cents / 100) }}{% endmacro %}{% set all = namespace(sum=0) %}"
        "{% for row in rows|sort(attribute='name') %}{% set all.sum = all.sum + row.cents %}"
        "- {{ loop.index }}. {{ row.name|upper|truncate(40) }}: {{ price(row.cents) }} "
        "{{ [row.unit, 'each']|join(' ') }}\n"
        "{% endfor %}{{ price(all.sum) }}"
    )
    rows = [{"name": f"{n:04} a rather long name of an article", "cents": n * 7, "unit": "piece"} for n in range(1000)]
    document = {"code": "t", "name": "T", "channel": "email", "subject": "s", "content": source}
    document |= {"schedule": {"kind": "manual"}, "content_type": content_type, "recipients": ["a@example.com"]}
    message = Content(parse(document), {}).render("a@example.com", {"rows": rows})
    assert "1000. 0999 A RATHER LONG NAME OF AN ARTICLE: 69.93 piece each" in message.text
