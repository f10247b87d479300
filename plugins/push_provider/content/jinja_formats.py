"""Formats in templates of strangers: ``text % values`` and ``text.format(…)``, neither of which makes what is large."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jinja2.sandbox import SandboxedEscapeFormatter, SandboxedFormatter
from markupsafe import Markup

from push_provider.content.jinja_scales import WIDTH, Refused, Scales

_SPECIFICATION = 200
"""Characters of a field's specification; a date's may be a text of its own, which C lays out."""
_DIGITS = re.compile(r"[0-9]+")
# Digits of any script: str.format reads widths as int() does.
_DECIMALS = re.compile(r"\d+")
# Whatever comes, it matches: it never goes back, however long the text is.
_CONVERSION = re.compile(r"[-+ #0]*(\*|[0-9]*)(?:\.(\*|[0-9]*))?[hlL]?")


def _check_widths(numbers: list[str]) -> None:
    for digits in numbers:
        if len(digits) > 4 or int(digits) > WIDTH:
            raise Refused(f"formats with numbers of at most {WIDTH}")


def check_percent(scales: Scales, text: Any, values: Any) -> None:
    """Check ``text % values``. It reads the text as Python does, once from its beginning to its end.

    :raises Refused: a width comes from a value or is large, a key has a parenthesis, or the result is large.
    """
    text = str(text)
    count = 0
    at = text.find("%")
    while at >= 0:
        count += 1
        at += 1
        if text.startswith("(", at):
            end = text.find(")", at)
            # Python counts parentheses; what it takes for the key of a format would be much to look for.
            if end < 0 or text.find("(", at + 1, end) >= 0:
                raise Refused("takes no parenthesis in a key of a format, and each key ends with ')'")
            at = end + 1
        conversion = cast("re.Match[str]", _CONVERSION.match(text, at))
        if "*" in conversion[0]:
            raise Refused("takes no '*' in a format; write the width")
        _check_widths(_DIGITS.findall(conversion[0]))
        at = text.find("%", conversion.end() + 1)
    scales.room_for(len(text) + count * (scales.weight(values) + WIDTH))


class _Formatter(SandboxedFormatter):
    """Formats as Jinja's does, and weighs each field before it is made.

    :param scales: of the rendering.
    """

    def __init__(self, scales: Any, **kwargs: Any) -> None:
        super().__init__(scales, **kwargs)
        self._scales: Scales = scales
        self._size = 0

    def vformat(self, format_string: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        self._size = 0
        self._grow(len(format_string))
        return super().vformat(format_string, args, kwargs)

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        self._scales.tick()
        value, first = super().get_field(field_name, args, kwargs)
        self._grow(self._scales.weight(value))
        return value, first

    def format_field(self, value: Any, format_spec: str) -> str:
        # What a field inside the field gave is in it: '{:{}}'.
        if format_spec:
            if len(format_spec) > _SPECIFICATION:
                raise Refused(f"formats with a specification of at most {_SPECIFICATION} characters")
            _check_widths(_DECIMALS.findall(format_spec))
            self._grow(WIDTH)
        return cast("str", super().format_field(value, format_spec))

    def _grow(self, size: int) -> None:
        self._size += size
        self._scales.room_for(self._size)


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    """The same for HTML."""


def formatter(scales: Scales, text: str) -> SandboxedFormatter:
    """What formats a text in a rendering. :param scales: of the rendering, which is its environment, too."""
    return _EscapeFormatter(scales, escape=text.escape) if isinstance(text, Markup) else _Formatter(scales)
