"""Numbers that are shown as they were written: 12.50 is reckoned with as 12.5, and stands in a message as 12.50.

JSON and YAML know one number by many spellings, and Python's float keeps none of them: 12.50 would be sent as
12.5, 0.00001 as 1e-05, 12345678901234567890.12 as 1.2345678901234567e+19. PostgreSQL's ``jsonb`` keeps every digit,
those after the last that counts too (postgresql.org/docs/current/datatype-json.html), so what was written outlives
the ledger.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from json import encoder
from typing import Any

import msgspec

_DIGITS = 400
"""Characters of a number without exponent: those of the smallest double there is are 326."""


class Written(float):
    """A number with the words that it is shown by; whatever is reckoned with it is an ordinary float.

    :param value: the number.
    :param words: a number of JSON.
    """

    __slots__ = ("words",)
    words: str

    def __new__(cls, value: float, words: str) -> Written:
        """The number."""
        made = super().__new__(cls, value)
        made.words = words
        return made

    def __repr__(self) -> str:
        return self.words

    __str__ = __repr__

    def __reduce__(self) -> Any:
        return Written, (float(self), self.words)


def number(words: str) -> float:
    """A number of JSON that has a fraction or an exponent.

    Without exponent it is shown as it was written, with one as ``jsonb`` writes it: 1.5e-3 as 0.0015, 1e3 as 1000.

    :param words: its literal.
    :returns: a float or an int that is shown by these words, or a :class:`Written`; an infinite one for a number
        that no double can stand for.
    """
    value = float(words)
    if repr(value) == words and "e" not in words and (value or words[0] != "-"):  # jsonb knows no negative zero
        return value
    try:
        exact = Decimal(words)
    except InvalidOperation:  # an exponent of more digits than Decimal has room for
        return Written(math.inf, words)
    if math.isinf(value) or len(words) > _DIGITS or abs(exact.adjusted()) > _DIGITS:
        return Written(math.inf, words)
    plain = format(exact, "f").removeprefix("-" if not exact else "")
    return Written(value, plain) if "." in plain else int(plain)


def _encoded(value: Any) -> Any:
    if isinstance(value, Written):
        return msgspec.Raw(value.words.encode())
    raise TypeError(f"{type(value).__name__} is no JSON")


_ENCODER = msgspec.json.Encoder(enc_hook=_encoded)
_DECODER = msgspec.json.Decoder(float_hook=number)
_PLAIN = msgspec.json.Encoder()
_SORTED = msgspec.json.Encoder(enc_hook=_encoded, order="deterministic")


def dumps(value: Any, *, sort_keys: bool = False, indent: int = 0) -> str:
    """A document as JSON, its numbers as they were written.

    :param sort_keys: so that two documents that say the same are the same text.
    :param indent: blanks of each level; 0 puts all on one line.
    """
    try:
        text = (_SORTED if sort_keys else _ENCODER).encode(value)
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8. Nothing that holds one is sent; a refused message that does is kept.
        return json.dumps(value, sort_keys=sort_keys)
    return (msgspec.json.format(text, indent=indent) if indent else text).decode()


def are_same(one: Any, other: Any) -> bool:
    """Whether two documents are written alike; for ``==`` 1, 1.00 and true are the same."""
    return dumps(one, sort_keys=True) == dumps(other, sort_keys=True)


def python_dumps(value: Any, **options: Any) -> str:
    """A document as :func:`json.dumps` spaces, sorts and escapes it, its numbers as they were written.

    :param options: those of :func:`json.dumps`.
    """
    return json.dumps(value, cls=None if _python_does(value) else _AsPython, **options)


class _AsPython(json.JSONEncoder):
    """Python's encoder, with words for numbers: the one in C asks no float what it is shown as."""

    def iterencode(self, o: Any, _one_shot: bool = False) -> Iterator[str]:
        escaped = encoder.encode_basestring_ascii if self.ensure_ascii else encoder.encode_basestring
        made: Iterator[str] = encoder._make_iterencode(  # type: ignore[attr-defined]  # noqa: SLF001
            {} if self.check_circular else None,
            self.default,
            escaped,
            " " * self.indent if isinstance(self.indent, int) else self.indent,
            lambda number: number.words if isinstance(number, Written) else json.dumps(number),
            self.key_separator,
            self.item_separator,
            self.sort_keys,
            self.skipkeys,
            _one_shot,
        )(o, 0)
        return made


def _python_does(value: Any) -> bool:
    """Whether Python's own encoder writes it right, as nearly all that there is; looked at in C."""
    try:
        _PLAIN.encode(value)
    except (TypeError, ValueError, OverflowError):  # a Written among others
        return False
    return True


def loads(text: str | bytes) -> Any:
    """What :func:`dumps` or the ledger wrote."""
    return _DECODER.decode(text)
