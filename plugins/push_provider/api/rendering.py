"""Who asks for templates to be rendered over REST: their budget is the caller's, and they may hang up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import anyio.from_thread
from fastapi import Depends, Request

from push_provider.api.guards import CallerDep
from push_provider.api.hangups import until_gone
from push_provider.rendering.workers import Asker


class _Line:
    """The connection to a caller who waits for an answer."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._listening: asyncio.Task[None] | None = None
        self._gone = False

    def gone(self) -> bool:
        """Whether the caller has hung up; asked in the thread of the call, which has read the body."""
        if self._listening is None:  # most answers are there before anybody asks
            self._listening = anyio.from_thread.run_sync(self._listen)
        return self._gone

    def close(self) -> None:
        """The answer is there."""
        if self._listening is not None:
            self._listening.cancel()

    def _listen(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        await until_gone(self._request.receive)
        self._gone = True


async def _asker(request: Request, caller: CallerDep) -> AsyncIterator[Asker]:
    line = _Line(request)
    try:
        yield Asker(caller.id, gone=line.gone)
    finally:
        line.close()


AskerDep = Annotated[Asker, Depends(_asker)]
"""What the caller may still have rendered."""
