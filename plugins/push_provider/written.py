"""Numbers that are shown as they were written: 12.50 is reckoned with as 12.5, and stands in a message as 12.50.

JSON and YAML know one number by many spellings, and Python's float keeps none of them: 12.50 would be sent as
12.5, 0.00001 as 1e-05, 12345678901234567890.12 as 1.2345678901234567e+19. PostgreSQL's ``jsonb`` keeps every digit,
those after the last that counts too (postgresql.org/docs/current/datatype-json.html), so what was written outlives
the ledger.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal, InvalidOperation
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


def loads(text: str | bytes) -> Any:
    """What :func:`dumps` or the ledger wrote."""
    return _DECODER.decode(text)
