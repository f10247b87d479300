"""JSON as RFC 8259 has it, read strictly: what Python's reader would let pass or lose without a word is an error."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from push_provider.addresses import shown
from push_provider.written import number


def loads(text: str | bytes) -> Any:
    """Read a document.

    :raises ValueError: it is not UTF-8, not JSON, nested too deeply, or has a key twice; the text says which and where.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=distinct, parse_float=number, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8, at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg}, line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except ValueError as error:  # a key twice, no number, or one of thousands of digits
        raise ValueError(f"cannot be read: {str(error)[:200]}") from error


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that takes no key twice: one of two ``recipients`` would be lost without a word.

    :raises ValueError: a key stands twice.
    """
    document = dict(pairs)
    if len(document) < len(pairs):
        # All counted in one go: each by itself would take minutes for 500 kB of keys.
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return document


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number in JSON")
