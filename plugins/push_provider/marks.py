"""What identifies a message to those who get it: names that nobody else can make, and that say nothing of others.

An execution has a token that no recipient ever sees (:class:`~push_provider.channels.base.Job`). Keyed with it, a
delivery's number gives the name of its message.
"""

from __future__ import annotations

import hashlib


def message_id(token: str, delivery: int) -> str:
    """The name of a message: 32 hex digits, the same in each try.

    :param token: of the execution.
    :param delivery: its number.
    """
    return _keyed(token, "message", delivery).hex()


def _keyed(token: str, purpose: str, delivery: int) -> bytes:
    # BLAKE2 is a keyed hash by itself (RFC 7693, 2.9); the purpose keeps a mark of one kind from being one of another.
    key, person = bytes.fromhex(token), purpose.encode()
    return hashlib.blake2b(delivery.to_bytes(8, "big"), digest_size=16, key=key, person=person).digest()
