"""OutId: of which deliveries a call was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_provider.channels.sms.out_id import SPAN, encode, holds

TOKEN = "0123456789abcdef" * 2


@st.composite
def calls(draw: st.DrawFn) -> list[int]:
    first = draw(st.integers(1, 2**62))
    offsets = draw(st.sets(st.integers(0, SPAN - 1), min_size=1, max_size=100))
    return sorted(first + offset for offset in offsets)


@given(calls())
def test_an_out_id_holds_its_deliveries_and_no_other(ids: list[int]) -> None:
    text = encode(TOKEN, ids)
    assert len(text) < 256
    assert text.isascii()
    around = range(ids[0] - 20, ids[-1] + 20)
    assert [number for number in around if holds(text, TOKEN, number)] == ids
    assert not any(holds(text, TOKEN[::-1], number) for number in ids)


@given(st.integers(1, 2**62), st.integers(1, 100))
def test_deliveries_in_a_row_make_a_short_one(first: int, count: int) -> None:
    assert encode(TOKEN, range(first, first + count)) == f"{TOKEN}.{first}.{count - 1}"


@pytest.mark.parametrize(
    "text",
    ["", "order-7", TOKEN, f"{TOKEN}.", f"{TOKEN}.7", f"{TOKEN}.x.1", f"{TOKEN}.7.x", f"{TOKEN}.7.b!", f"{TOKEN}.7.b="],
)
def test_what_others_wrote_holds_nothing(text: str) -> None:
    assert not holds(text, TOKEN, 7)
