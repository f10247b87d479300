"""OutId: what an SMS carries to the provider and back, by which a receipt is matched to its delivery.

A call of SendBatchSms has one OutId for up to a hundred messages, and receipts are asked for by number; a number may
occur more than once in an execution. So the OutId says of which deliveries the call was: exactly, and in fewer than
256 characters (https://help.aliyun.com/document_detail/102364.html).

    <token of the execution>.<first delivery>.<how many more, in a row>
    <token of the execution>.<first delivery>.b<one bit for each further id, base64url>
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

SPAN = 1024
"""Ids from first to last that one OutId can speak of."""


def encode(token: str, ids: Sequence[int]) -> str:
    """The OutId of a call.

    :param token: of the execution, 32 hex digits.
    :param ids: of its deliveries, in ascending order, at most :data:`SPAN` apart.
    """
    first, last = ids[0], ids[-1]
    if last - first == len(ids) - 1:
        return f"{token}.{first}.{last - first}"
    bits = sum(1 << (number - first) for number in ids)
    text = base64.urlsafe_b64encode(bits.to_bytes((last - first) // 8 + 1, "little")).decode().rstrip("=")
    return f"{token}.{first}.b{text}"


def holds(out_id: str, token: str, delivery: int) -> bool:
    """Whether an OutId is of a call that held this delivery; false for one that is not ours."""
    mark, _, rest = out_id.partition(".")
    start, _, others = rest.partition(".")
    if mark != token or not (start.isascii() and start.isdecimal()):
        return False
    offset = delivery - int(start)
    if others[:1] != "b":
        return others.isascii() and others.isdecimal() and 0 <= offset <= int(others)
    try:
        bits = base64.urlsafe_b64decode(others[1:] + "=" * (-len(others[1:]) % 4))
    except (binascii.Error, ValueError):
        return False
    return 0 <= offset < len(bits) * 8 and bool(bits[offset // 8] >> offset % 8 & 1)
