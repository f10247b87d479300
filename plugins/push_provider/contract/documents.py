"""What JSON or the ledger cannot hold, anywhere in a document, and documents that hold too much."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from push_provider import written
from push_provider.addresses import shown
from push_provider.contract.base import Broken
from push_provider.contract.wording import path_of, unknown_field
from push_provider.exceptions import MOST_ERRORS, FieldError, FieldErrors

if TYPE_CHECKING:
    from pydantic import BaseModel

DEPTH_LIMIT = 32
"""Levels of lists and mappings in a document."""
VALUES_LIMIT = 5_000_000
"""Values in a document, each mention of an alias of YAML counted."""
MOST_FIELDS = 100
"""Names in a mapping that has fields: more than any has, so that not each of a million is refused by itself."""
TOO_DEEP = f"is nested too deeply; at most {DEPTH_LIMIT} levels fit"
_Way = tuple[int | str, "_Way"] | None


def storable(data: Any) -> Any:
    """Refuse what JSON or the ledger cannot hold, anywhere in a document, before it is looked at closer.

    PostgreSQL's ``jsonb`` takes no NUL and no lone surrogate in a text, and no NaN or Infinity
    (postgresql.org/docs/current/datatype-json.html).
    """
    errors: list[FieldError] = []
    # Each with the way to it, innermost first: most are never asked for it.
    waiting: list[tuple[Any, _Way, int]] = [(data, None, 0)]
    values = broken = 0
    while waiting:
        value, way, depth = waiting.pop()
        values += 1
        if isinstance(value, str):
            message = unstorable_text(value)
        elif isinstance(value, dict | list) and depth >= DEPTH_LIMIT:
            message = TOO_DEEP
        elif values + len(waiting) > VALUES_LIMIT:
            raise Broken([FieldError("", f"holds too many values; at most {VALUES_LIMIT} fit")])
        elif isinstance(value, dict) and way and len(value) > MOST_FIELDS and "variables" not in _loc(way):
            message = f"has {len(value)} fields; only variables may have more than {MOST_FIELDS} names"
        elif isinstance(value, dict):
            message = None
            for key, item in reversed(value.items()):
                if isinstance(key, str) and not unstorable_text(key):
                    waiting.append((item, (key, way), depth + 1))
                else:
                    message = f"has the name {shown(key)}; names must be text, without NUL or lone surrogates"
        elif isinstance(value, list):
            message = None
            waiting.extend((item, (index, way), depth + 1) for index, item in reversed([*enumerate(value)]))
        else:
            message = _unstorable_number(value)
            if message is None and way and not isinstance(value, int | float | None) and "variables" in _loc(way):
                message = "must be text, a number, true, false, null, a list or a mapping; put a date in quotes"
        if message:
            broken += 1
            if broken <= MOST_ERRORS:
                errors.append(FieldError(path_of(_loc(way)), message))
    if errors:
        raise Broken(FieldErrors(errors, broken - len(errors)))
    return data


def with_few_unknown(model: type[BaseModel], data: Any) -> Any:
    """Refuse a document of a hundred fields and more, before each that is none is refused by itself."""
    if isinstance(data, dict) and len(data) > MOST_FIELDS:
        unknown = [name for name in data if name not in model.model_fields]
        listed: set[type[BaseModel]] = set()
        first = map(str, unknown[:MOST_ERRORS])
        errors = [FieldError(path_of((name,)), unknown_field(name, model, listed)) for name in first]
        raise Broken(FieldErrors(errors, len(unknown) - len(errors)))
    return data


def _loc(way: _Way) -> tuple[int | str, ...]:
    loc: list[int | str] = []
    while way:
        part, way = way
        loc.insert(0, part)
    return tuple(loc)


def unstorable_text(text: str) -> str | None:
    """What makes a text one that the ledger cannot hold; None if it can."""
    if "\0" in text:
        return "must not hold a NUL character; take it out"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "must not hold half a surrogate pair (\\ud800 to \\udfff alone); take it out"
    return None


def _unstorable_number(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value) and not isinstance(value, written.Written):
        return "must be a finite number, not NaN or Infinity"
    # Beyond the range of a double; readers of JSON differ in what they make of such a number.
    if (isinstance(value, int) and value.bit_length() > 1023) or (isinstance(value, float) and math.isinf(value)):
        return "must be a number of at most 300 digits; put a longer one in quotes"
    return None
