"""The link in a message by which whoever got it says so: no login, one deed, and no word about others."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from push_provider import settings
from push_provider.api import openapi
from push_provider.api.acknowledging import Allowance, Desk
from push_provider.api.guards import needs
from push_provider.api.problems import Problem
from push_provider.ledger.acknowledgements import Taken
from push_provider.marks import RECEIPT_PATTERN, read_receipt_mark

router = APIRouter(tags=["Receipts"])

_TRIES = 5
_WAIT = 0.2
"""Seconds between two tries, while the message's own process has its row in hand."""

_desk = Desk()
_allowance = Allowance()


async def _within_allowance(request: Request) -> None:
    # On the loop: of two threads each might find that its address has used nothing yet.
    rate = settings.receipt_rate_limit()
    address = request.client.host if request.client else ""
    if rate and (wait := _allowance.use(address, rate)):
        raise Problem(429, "too-many-requests", "Too many requests of one address. Wait.", retry_after=wait)


@router.post(
    "/receipts/{token}",
    status_code=204,
    responses=openapi.errors(404, 422, 429, 503),
    dependencies=[Depends(_within_allowance)],
)
@needs(login=False)
async def acknowledge_message(
    token: Annotated[str, Path(pattern=RECEIPT_PATTERN, description="Of the link in the message")],
) -> None:
    """Say that a message has arrived: its delivery is `delivered`. Pages of every site may, and nobody logs in.

    The link is in the message itself, signed, and good for that message alone. Used again it changes nothing.
    """
    mark = read_receipt_mark(token)
    taken = Taken.FORGED if mark is None else await _desk.take(mark)
    for _ in range(_TRIES):
        if mark is None or taken is not Taken.LATER:
            break
        await asyncio.sleep(_WAIT)
        taken = await _desk.take(mark)
    if taken is Taken.FORGED:
        raise Problem(404, "unknown-link", "There is no such link.")
    if taken is Taken.LATER:
        raise Problem(503, "unavailable", "Come back in a moment.", retry_after=1)
