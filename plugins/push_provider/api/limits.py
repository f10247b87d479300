"""How much one caller may ask for: the size of a body, requests a second, recipients of a task."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from weakref import WeakValueDictionary

from fastapi.concurrency import run_in_threadpool

from push_provider import settings
from push_provider.api.guards import CallerDep
from push_provider.api.problems import Problem, invalid
from push_provider.ledger import allowances
from push_provider.ledger.engine import get_engine
from push_provider.policy import sizes

_LEASE_SECONDS = 1.0
"""How long a process may use what it has drawn from a caller's allowance."""


class BodyLimit:
    """ASGI middleware that reads no more of a body than ``[push] max_body_size``."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on, and count what is received."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = settings.max_body_size()
        seen = 0

        def refuse() -> Problem:
            return Problem(
                413,
                "body-too-large",
                f"The body has more than {limit} bytes ([push] max_body_size). Send fewer recipients at a time, or put "
                "attachments below include/.",
                headers={"Connection": "close"},
            )

        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if declared.isdigit() and int(declared[:20]) > limit:
            await refuse().response()(scope, receive, send)
            return

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise refuse()
            return message

        await self.app(scope, counted, send)


class RateLimit:
    """A dependency that lets each caller make ``[push] request_rate_limit`` requests a second, and as many at once.

    The allowance is kept in the ledger, so that it holds however many API servers and workers there are. A process
    draws a tenth of a second's worth at a time: most requests cost no statement.
    """

    def __init__(self) -> None:
        self._leases: dict[str, tuple[int, float]] = {}
        # One for each caller: nobody waits for another's draw.
        self._drawing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, caller: CallerDep) -> None:
        """Use up one request of the caller's allowance.

        :raises Problem: 429, there is none left.
        """
        rate = settings.request_rate_limit()
        if not rate or self._use(caller.id):
            return
        async with self._drawing.setdefault(caller.id, asyncio.Lock()):
            if self._use(caller.id):
                return
            wanted = max(1, int(rate / 10))
            draw = await run_in_threadpool(
                allowances.draw, get_engine(), caller.id, wanted=wanted, rate=rate, burst=max(rate, 1.0)
            )
            if not draw.granted:
                raise Problem(
                    429,
                    "too-many-requests",
                    f"You make more than {rate:g} requests a second ([push] request_rate_limit). Wait, and use the "
                    "bulk call for many tasks.",
                    retry_after=draw.wait,
                )
            self._keep(caller.id, draw.granted - 1)

    def _use(self, caller: str) -> bool:
        left, until = self._leases.get(caller, (0, 0.0))
        if left <= 0 or time.monotonic() > until:
            return False
        self._leases[caller] = (left - 1, until)
        return True

    def _keep(self, caller: str, left: int) -> None:
        now = time.monotonic()
        if len(self._leases) > 1000:
            self._leases = {name: lease for name, lease in self._leases.items() if lease[1] > now}
        self._leases[caller] = (left, now + _LEASE_SECONDS)


def check_recipients(document: Any) -> None:
    """Refuse a document with more recipients than ``[push] max_recipients``, before each of them is looked at.

    :param document: a push task, a change of one, or a trigger, as it came.
    :raises Problem: 422.
    """
    if isinstance(document, dict) and (fault := sizes.too_many_recipients(document.get("recipients"))):
        raise invalid(fault)
