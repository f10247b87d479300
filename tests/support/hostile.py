"""The worst that has been handed in so far, for the doors beside REST: what each is, and what is said of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

_LOOP = "{% set n = namespace(x=0) %}{% for i in range(100000) %}{% for j in range(100000) %}"
_END = "{% endfor %}{% endfor %}"
ENDLESS = "{% set s = 'ab' * 200000 %}{% for i in range(100000) %}{% if s.count('ab') %}{% endif %}{% endfor %}"
"""Time, and hardly any memory."""
LARGE = _LOOP + "{% set n.x = cycler(n.x, joiner('abcdefgh' * 9000 ~ j)) %}" + _END
"""Memory, and hardly any time."""

TOO_BUSY = "too busy just now"
"""Said instead where a heavy template does not get its seconds of processor."""


class Hostile(NamedTuple):
    """What is handed in.

    :param name: of the case.
    :param data: a document, or what is to be one.
    :param says: what the refusal says; None if it is sound, however it looks.
    """

    name: str
    data: Any
    says: str | None


def expected(says: str | None, said: Sequence[str]) -> str | None:
    """What is to be said; that the machine is too busy for so heavy a template, if it is, and said so."""
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    return TOO_BUSY if busy and any(TOO_BUSY in one for one in said) else says


def task(code: Any = "hostile", **fields: Any) -> dict[str, Any]:
    """A push task that is started by hand."""
    manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}, "recipients": ["a@example.com"]}
    return {"code": code, "name": code, "channel": "email", "subject": "s", "content": "c", **manual, **fields}


def lines(line: bytes, count: int) -> bytes:
    """A text of so many lines, each with its number where it says ``#``."""
    return b"\n".join(line.replace(b"#", b"%d" % n) for n in range(count))


def twice(count: int) -> bytes:
    """A document whose keys stand there twice each."""
    return b"{" + b",".join(b'"k%d":1,"k%d":1' % (n, n) for n in range(count)) + b"}"


def nested(levels: int) -> Any:
    """A value in as many mappings."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


BYTES = (
    Hostile("nothing", b"", "not JSON"),
    Hostile("half", b'{"code": "a"', "not JSON"),
    Hostile("utf-16", b"\xff\xfe{}", "not UTF-8"),
    Hostile("broken text", b'{"name": "\xc3("}', "not UTF-8"),
    Hostile("no number", b'{"name": NaN}', "NaN"),
    Hostile("digits", b"1" * 500_000, "digits"),
    Hostile("digits of a field", b'{"retries": ' + b"9" * 500_000 + b"}", "digits"),
    Hostile("keys twice", twice(20_000), "'k0' stands twice"),
    Hostile("keys twice, within", b'{"variables": ' + twice(20_000) + b"}", "'k0' stands twice"),
    Hostile("lists in lists", b"[" * 500_000, "nested too deeply"),
    Hostile("mappings in mappings", b'{"a":' * 500_000, "nested too deeply"),
)
"""What is no document."""

TASKS = (
    Hostile("unknown fields", task(**{f"unknown{n}": n for n in range(30_000)}), "and 29980 more"),
    Hostile("deep variables", task(variables=nested(500)), "variables"),
    Hostile("zero bytes", task(name="\0"), "name"),
    Hostile("half a character", task(name="\ud800"), "name"),
    Hostile("long template name", task(template="t" * 300, content=None), "template"),
    Hostile("template elsewhere", task(template="../" * 20 + "etc/passwd", content=None), "template"),
    Hostile("attachment that is no path", task(attachments=["//[x"]), "attachments"),
    Hostile("attachment elsewhere", task(attachments=["/etc/passwd"]), "attachments"),
    Hostile("broken addresses", task(recipients=["x"] * 50_000), "1000 faults"),
    Hostile("long code", task("x" * 1_000_000), "code"),
    Hostile("code that is no text", task({"a": ["x" * 1000] * 1000}), "code"),
    Hostile("long channel", task(channel="x" * 1_000_000), "channel"),
    Hostile("long field name", task(**{"f" * 1_000_000: 1}), "is not a field"),
    Hostile("long variable name", task(variables={"v" * 1_000_000: "\0"}), "variables"),
    Hostile("long path", task(variables={"v" * 1_000: {"w" * 1_000_000: {"u" * 1_000_000: "\0"}}}), "variables"),
    Hostile("long address", task(recipients=["x" * 1_000_000]), "recipients[0]"),
    Hostile("long attachment", task(attachments=["x" * 1_000_000]), "attachments"),
    Hostile("long template name, as a whole", task(template="x" * 1_000_000, content=None), "template"),
    Hostile("long included name", task(content='{% include "' + "x" * 900_000 + '" %}'), "content"),
    Hostile("long tag of a template", task(content="{% " + "x" * 900_000 + " %}"), "content"),
    Hostile("long filter of a template", task(content="{{ 1|" + "x" * 900_000 + " }}"), "content"),
    Hostile("long function of a template", task(content="{{ " + "x" * 900_000 + "() }}"), None),
    Hostile("long attribute of a template", task(content="{{ 1._" + "x" * 900_000 + " }}"), "content"),
    Hostile("long text of a template", task(content="{{ '" + "x" * 900_000 + "' + 1 }}"), "content"),
    Hostile("long number of a template", task(content="{{ " + "9" * 900_000 + " }}"), "content"),
    Hostile("long link", task(content="[a](" + "x" * 900_000 + ":b)", content_type="markdown"), "at most 131072"),
    Hostile("long category", task(category="x" * 1_000_000), "category"),
    Hostile("long cron", task(schedule={"kind": "cron", "cron": "*" * 1_000_000}), "schedule.cron"),
    Hostile(
        "long time zone", task(schedule={"kind": "daily", "time": "09:00", "timezone": "x" * 1_000_000}), "timezone"
    ),
    Hostile("long kind", task(schedule={"kind": "x" * 1_000_000}), "schedule"),
    Hostile("long moment", task(schedule={"kind": "at", "at": "x" * 1_000_000}), "schedule.at"),
    Hostile("long configuration", task(config="x" * 1_000_000), "config"),
    Hostile("second subject", task(subject="s\r\nBcc: x@example.com"), "subject"),
    Hostile("endless template", task(content=ENDLESS), "longer than 5 s"),
    Hostile("large template", task(content=LARGE), "64 MiB"),
    Hostile("parentheses", task(content="{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}"), "nested too deeply"),
    Hostile("filters", task(content="{{ v" + "|upper" * 4900 + " }}", variables={"v": 1}), "nested too deeply"),
    Hostile("way out", task(content="{{ ''.__class__.__mro__[1].__subclasses__() }}"), "unsafe"),
    Hostile("long addresses", task(recipients=[f"{'a' * 60}@{'b.' * 90}{n}.example" for n in range(5_000)]), None),
    Hostile("alphabets", task(recipients=[f"a@ö{'é' * 9}{n}.de" for n in range(3_000)]), None),
)
"""What is a document, and no push task that is good for anybody."""


def as_json(value: Any) -> bytes:
    """A document, or bytes as they are."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()
