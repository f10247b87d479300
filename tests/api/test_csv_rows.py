"""Rows as CSV: no cell is a formula of somebody's, and numbers stay what they are."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_provider.api import csv_rows


def cell(value: Any, **options: Any) -> str:
    """One cell, as a reader of CSV gets it."""
    [[read]] = csv.reader(io.StringIO(csv_rows.lines([[value]], **options), newline=""))
    return read


@pytest.mark.parametrize(
    ("value", "program", "excel"),
    [
        ("a@example.com", None, None),
        ("13800138000", None, None),
        ("", None, None),
        (7, "7", "7"),
        ("0", None, None),
        # Excel would drop the +, or show 4.47912E+11.
        ("+85290001234", "+85290001234", '="+85290001234"'),
        ("+447911123456", "+447911123456", '="+447911123456"'),
        ("447911123456", "447911123456", '="447911123456"'),
        ("0012", "0012", '="0012"'),
        ("1E5", "1E5", '="1E5"'),
        ("12.50", "12.50", '="12.50"'),
        ("900619746936498440^0", None, None),
        ("<1@example.com>", None, None),
        # No formula of anybody's.
        ("=1+1", "'=1+1", "'=1+1"),
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("+1+1", "'+1+1", "'+1+1"),
        ("+cmd|'/C calc'!A0", "'+cmd|'/C calc'!A0", "'+cmd|'/C calc'!A0"),
        ("+1\n=2", "'+1\n'=2", "'+1\n'=2"),
        # Where ; parts cells, as in Excel of much of Europe.
        ("550 no;=1+1", "550 no;'=1+1", "550 no;'=1+1"),
        ("a;+1;@b;-c;＝d", "a;'+1;'@b;'-c;'＝d", "a;'+1;'@b;'-c;'＝d"),
        (";;=1", ";;'=1", ";;'=1"),
        ("a\t=1", "a\t'=1", "a\t'=1"),
        ("a\r\nb; c", None, None),
        ("+85290001234\n", "'+85290001234\n", "'+85290001234\n"),
        ("+８５２", "'+８５２", "'+８５２"),
        ("+", "'+", "'+"),
        ("-ann@example.com", "'-ann@example.com", "'-ann@example.com"),
        ("@SUM(A1)", "'@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1", "'\t'=1"),
        ("＝1+1", "'＝1+1", "'＝1+1"),
        ("＋1", "'＋1", "'＋1"),
    ],
)
def test_a_cell_for_programs_and_for_excel(value: Any, program: str | None, excel: str | None) -> None:
    assert cell(value) == (value if program is None else program)
    assert cell(value, excel=True) == (value if excel is None else excel)


@given(st.text(st.sampled_from("=+-@\t\r\n\"',;|!0129eE.A ＝\0"), max_size=8), st.booleans())
def test_whatever_a_cell_holds_is_no_formula_and_is_there(value: str, excel: bool) -> None:
    read = cell(value, excel=excel)
    assert read.replace("'", "") in (value.replace("'", ""), f'="{value}"')
    assert not re.search("[;\t\r\n][=+@＝-]", read)
    if read[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝"):
        assert re.fullmatch(r'\+[0-9]+|="\+?[0-9.eE+-]+"', read)
