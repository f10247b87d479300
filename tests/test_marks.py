"""Marks of messages: nobody makes one without the execution's token, and one is good for one message."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_provider.marks import RECEIPT_PATTERN, message_id, read_receipt_mark, receipt_mark

TOKEN, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2


@given(st.integers(1, 2**63 - 1), st.binary(min_size=16, max_size=16).map(bytes.hex))
def test_a_mark_is_read_as_it_was_made(delivery: int, token: str) -> None:
    text = receipt_mark(token, delivery)
    assert re.search(RECEIPT_PATTERN, text)
    mark = read_receipt_mark(text)
    assert mark is not None
    assert mark.delivery == delivery
    assert mark.is_of(token)


@given(st.integers(1, 2**63 - 1), st.integers(0, 191))
def test_a_mark_with_any_bit_changed_is_none(delivery: int, bit: int) -> None:
    octets = bytearray(base64.urlsafe_b64decode(receipt_mark(TOKEN, delivery)))
    octets[bit // 8] ^= 1 << bit % 8
    mark = read_receipt_mark(base64.urlsafe_b64encode(octets).decode())
    assert mark is None or not mark.is_of(TOKEN)


def test_marks_differ_by_execution_by_delivery_and_by_purpose() -> None:
    assert len({message_id(token, number) for token in (TOKEN, OTHER) for number in range(100)}) == 200
    mark = read_receipt_mark(receipt_mark(TOKEN, 7))
    assert mark is not None
    assert not mark.is_of(OTHER)
    assert not mark._replace(delivery=8).is_of(TOKEN)
    assert mark.signature.hex() != message_id(TOKEN, 7)
    assert not mark._replace(signature=bytes.fromhex(message_id(TOKEN, 7))).is_of(TOKEN)


@pytest.mark.parametrize("text", ["", "x", "!" * 32, "A" * 31, "A" * 33, "A" * 32 + "\n", "_" * 32, "é" * 32])
def test_what_is_no_mark(text: str) -> None:
    mark = read_receipt_mark(text)
    assert mark is None or not mark.is_of(TOKEN)
