"""What identifies a message to those who get it: marks that nobody else can make, and that say nothing of others.

An execution has a token that no recipient ever sees (:class:`~push_provider.channels.base.Job`). Keyed with it, a
delivery's number gives the name of its message, and a link by which whoever got it says so without a login: the number
and a signature. Such a link is good for its own message and for nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import NamedTuple

RECEIPT_PATTERN = r"^[A-Za-z0-9_-]{32}$"
"""What the end of a link looks like."""
_NUMBER = 8
"""Octets of a delivery's number."""


def message_id(token: str, delivery: int) -> str:
    """The name of a message: 32 hex digits, the same in each try.

    :param token: of the execution.
    :param delivery: its number.
    """
    return _keyed(token, "message", delivery).hex()


class ReceiptMark(NamedTuple):
    """What the end of a link says.

    :param delivery: the message's number.
    :param signature: that whoever got the message knows.
    """

    delivery: int
    signature: bytes

    def is_of(self, token: str) -> bool:
        """Whether it was made for this message. :param token: of its execution."""
        return hmac.compare_digest(self.signature, _keyed(token, "receipt", self.delivery))


def receipt_mark(token: str, delivery: int) -> str:
    """The end of the link by which whoever got a message acknowledges it: 32 characters of base64url (RFC 4648, 5)."""
    mark = delivery.to_bytes(_NUMBER, "big") + _keyed(token, "receipt", delivery)
    return base64.urlsafe_b64encode(mark).decode()


def read_receipt_mark(text: str) -> ReceiptMark | None:
    """What the end of a link says; None if it is none."""
    try:
        mark = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    number = int.from_bytes(mark[:_NUMBER], "big")
    return ReceiptMark(number, mark[_NUMBER:]) if len(mark) == _NUMBER + 16 and number < 2**63 else None


def _keyed(token: str, purpose: str, delivery: int) -> bytes:
    # BLAKE2 is a keyed hash by itself (RFC 7693, 2.9); the purpose keeps a mark of one kind from being one of another.
    key, person = bytes.fromhex(token), purpose.encode()
    return hashlib.blake2b(delivery.to_bytes(_NUMBER, "big"), digest_size=16, key=key, person=person).digest()
