"""Rows as CSV (RFC 4180): for programs, which get every value as it is, and for Excel, which changes what it can."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

TYPE = "text/csv"
BOM = "\ufeff"
"""What Excel knows UTF-8 by; without it Chinese text is read in the machine's own code page."""

_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_FORMULA = (*_SIGNS, "\t", "\r", "\n", "\0")
"""What a formula may begin with (OWASP, CSV injection; ASVS 5.0, 1.2.10); the full-width ones in East Asian Excel."""
_AFTER_BREAK = re.compile(f"(?<=[;\\t\\r\\n])(?=[{re.escape(''.join(_SIGNS))}])")
"""Where a formula would begin if ``;`` or a tabulator parts cells, as in Excel of much of Europe, or a line ends."""
_TELEPHONE = re.compile(r"\+[0-9]+", re.ASCII)
"""A number of E.164: as a formula it is that number and nothing else."""
_NUMBER = re.compile(r"\+?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_KEPT_NUMBER = re.compile(r"0|[1-9][0-9]{0,10}", re.ASCII)
"""What Excel shows as it is written; of a longer one it shows some digits and an exponent, and a sign it drops."""


def lines(rows: Iterable[Sequence[Any]], *, excel: bool = False) -> str:
    """Rows as lines of CSV; what a spreadsheet would take for the beginning of a formula has an apostrophe in front.

    :param excel: text that looks like a number, such as +85290001234, stays that text in Excel: as ="+85290001234",
        which is a text to Excel, and is none to other programs.
    """
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value, excel=excel) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any, *, excel: bool) -> Any:
    if not isinstance(value, str):
        return value
    if excel and _NUMBER.fullmatch(value) and not _KEPT_NUMBER.fullmatch(value):
        return f'="{value}"'
    if _TELEPHONE.fullmatch(value):
        return value
    harmless = _AFTER_BREAK.sub("'", value)
    return f"'{harmless}" if value.startswith(_FORMULA) else harmless
