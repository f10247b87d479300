"""Makes what others wrote visible: characters that would steer a terminal, or hide, stand there as escapes."""

from __future__ import annotations

import re

_LINES = "\t\n"
_STEERING = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Control characters (ECMA-48: C0, DEL and C1), which begin escape sequences; separators of lines and paragraphs; what
turns the direction of text, so that it reads as something else (Unicode, UAX 9); halves of characters."""

_ALL = re.compile(f"[{_STEERING}]")
_BUT_LINES = re.compile(f"(?![{_LINES}])[{_STEERING}]")


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with ``\x1b`` and the like in place of what steers.

    :param lines: leave line ends and tabulators as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return (_BUT_LINES if lines else _ALL).sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def visible_json(document: str) -> str:
    """JSON with the same characters as JSON's own escapes; line ends between its values stay."""
    return _BUT_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", document)
