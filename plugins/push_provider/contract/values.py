"""Single values: what is taken for a name, a moment, a path, a number of seconds; and what is said of others."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from push_provider import written
from push_provider.addresses import shown
from push_provider.contract.base import is_stored

ATTACHMENTS_LIMIT = 10 * 1024 * 1024
"""Bytes of all attachments of a task together, before they are encoded."""
CONTENT_LIMIT = 1024 * 1024
"""Characters of inline content."""
VARIABLES_LIMIT = 1024 * 1024
"""Characters of one set of variables as JSON."""


def _timezone(name: str) -> str:
    try:
        # What these name differs from machine to machine, or is not the time of day.
        if name.split("/")[0] in ("posix", "right", "posixrules", "localtime", "Factory"):
            raise ValueError(name)
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{shown(name)} is not a time zone; write one like 'Asia/Shanghai' or 'UTC'") from error
    return name


def one_line(text: str) -> str:
    """A text without line breaks, for pydantic's validators."""
    if "\r" in text or "\n" in text:
        raise ValueError("must be one line: a line break would start a new header field")
    return text


def _visible(text: str, info: ValidationInfo) -> str:
    """Refuse characters that steer a terminal or turn what is read around: names stand in lists, logs and mails."""
    if not is_stored(info) and (found := _UNSEEN.search(text)):
        raise ValueError(f"must not hold control characters; take out {found[0]!a}")
    return text


def name(text: str, info: ValidationInfo) -> str:
    """A name: one line, and all of it to be seen. What was stored before that was asked for stays as it is."""
    return text if is_stored(info) else _visible(one_line(text), info)


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""C0, DEL and C1 (ECMA-48), and what separates lines or turns directions (Unicode, UAX 9)."""


def _include_path(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text or not path.parts:
        raise ValueError(f"{shown(text)} must be a path below include/, without '..'")
    return str(path)


def moment(value: Any) -> datetime:
    """Read a moment of RFC 3339.

    :returns: as RFC 3339 can write it: with an offset of whole minutes, or none.
    :raises ValueError: it is none; the text says what would be right.
    """
    # Numbers, which pydantic takes for seconds since 1970, and dates without a time are mistakes here.
    if isinstance(value, str) and RFC_3339.fullmatch(value):
        try:
            value = datetime.fromisoformat(value.upper())
        except ValueError as error:
            raise ValueError(f"{shown(value)} does not exist; write a moment like {MOMENT}") from error
    if not isinstance(value, datetime):
        raise ValueError(f"must be a moment (RFC 3339) like {MOMENT}")
    if not 1970 <= value.year < 9000:
        raise ValueError(f"lies in the year {value.year}; write a moment from 1970 on, before 9000")
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):  # Liberia's was 44 minutes and 30 seconds, until 1972
        return value.astimezone(UTC)
    # A zone does not get into JSON. And while a clock is changed, a moment with a zone equals none with an offset
    # (docs.python.org/3/library/datetime.html, "inter-zone comparison"; PEP 495).
    return value.replace(tzinfo=None if offset is None else timezone(offset), fold=0)


RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.]\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
MOMENT = "'2026-07-01T09:00:00+08:00'"


def _seconds(most: int) -> Callable[[Any], timedelta]:
    """What reads a number of seconds. :param most: the largest that is taken."""

    def read(value: Any) -> timedelta:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
            return timedelta(seconds=value)
        if isinstance(value, timedelta) and timedelta(0) <= value <= timedelta(seconds=most):
            return value
        raise ValueError(f"must be a number of seconds from 0 to {most}, like 60")

    return read


_DELAY = 24 * 3600
_LIFETIME = 72 * 3600
"""As long as Aliyun keeps a message for a phone that is off (ExpireTime,
https://help.aliyun.com/document_detail/2979224.html)."""


def _as_seconds(value: timedelta) -> int | float:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _cron(text: str) -> str:
    from croniter import croniter  # Airflow's own cron library, so that both agree

    fields = text.split()
    # It also knows R and H for a time of its own choice, another one each time it is asked.
    chance = any(part[:1] in "RrHh" for field in fields for part in field.split(","))
    if len(fields) != 5 or len(text) > 250 or chance or not croniter.is_valid(" ".join(fields)):
        raise ValueError(
            f"{shown(text)} is not a cron expression; write five fields: minute hour day month weekday, "
            "like '30 9 * * mon-fri'"
        )
    return " ".join(fields)


def _variables(value: Any) -> Any:
    if isinstance(value, dict) and len(written.dumps(value)) > VARIABLES_LIMIT:
        raise ValueError(f"must have at most {VARIABLES_LIMIT} characters as JSON; send less, or an attachment")
    return value


Moment = Annotated[
    datetime,
    BeforeValidator(moment),
    # Not of format date-time, which has an offset in any case.
    WithJsonSchema({"type": "string", "pattern": f"^{RFC_3339.pattern}$", "examples": [MOMENT.strip("'")]}),
]
_InSeconds = PlainSerializer(_as_seconds, when_used="json")
Seconds = Annotated[
    timedelta,
    BeforeValidator(_seconds(_DELAY)),
    _InSeconds,
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": _DELAY}),
]
"""In JSON and YAML a number of seconds."""
Lifetime = Annotated[
    timedelta,
    BeforeValidator(_seconds(_LIFETIME)),
    _InSeconds,
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": _LIFETIME}),
]
"""How long a message is worth something; in JSON and YAML a number of seconds."""
CronExpression = Annotated[str, AfterValidator(_cron)]
# Any: pydantic's JsonValue would make plain floats of numbers that are shown as they were written. What they hold is
# looked at by :func:`documents.storable`.
Variables = Annotated[dict[str, Any], AfterValidator(_variables)]
Number = Annotated[int, Strict()]
Line = Annotated[str, AfterValidator(one_line)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(name)]
ProviderName = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(name)]
"""What a provider calls something of the sender's there."""
Timezone = Annotated[str, AfterValidator(_timezone)]
IncludePath = Annotated[str, AfterValidator(_include_path), AfterValidator(_visible)]
