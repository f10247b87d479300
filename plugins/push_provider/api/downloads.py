"""Answers that are made while they are read: each ends with its reader, or when that reads too slowly.

Starlette's own streams wait for ever for a reader who does not read, and leave what they read from open when one hangs
up; here that is a transaction of the ledger.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from push_provider.api.hangups import until_gone

GRACE = 20.0
"""Seconds that a reader may be late."""
SLOWEST = 32 * 1024
"""Bytes a second that a reader must take."""


class TooSlow(ConnectionError):
    """Nobody reads the answer."""


class Source(Protocol):
    """What a download is made from; used by one thread at a time but for :meth:`cancel`."""

    def read(self) -> bytes | None:
        """The next piece; None at the end."""

    def cancel(self) -> None:
        """Interrupt a read that is under way, from another thread."""

    def close(self) -> None:
        """Give everything back, however often it is called."""


class Download(Response):
    """The answer.

    :param source: read and closed in threads; what is wrong with its first piece is answered as an error.
    :param place: held from the beginning of the answer until the source is closed.
    """

    def __init__(
        self, source: Source, place: AbstractContextManager[None], *, media_type: str, headers: dict[str, str]
    ) -> None:
        self._source = source
        self._place = place
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002  (ASGI's)
        """Answer.

        :raises TooSlow: the reader does not take it; the connection is to be closed.
        """
        with self._place:
            gone = asyncio.ensure_future(until_gone(receive))
            try:
                await self._answer(send, gone)
            finally:
                gone.cancel()
                # Also if the server stops meanwhile: what is read from must not outlive its reader.
                await asyncio.shield(run_in_threadpool(self._source.close))

    async def _answer(self, send: Any, gone: asyncio.Future[None]) -> None:
        piece = await self._read(gone)
        if not gone.done():
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        late = GRACE
        while piece is not None and not gone.done():
            begun = time.monotonic()
            late += len(piece) / SLOWEST
            message = {"type": "http.response.body", "body": piece, "more_body": True}
            sending: asyncio.Future[None] = asyncio.ensure_future(send(message))
            await asyncio.wait({sending, gone}, timeout=late, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                sending.cancel()
                if gone.done():
                    return
                raise TooSlow(f"A download was broken off: its reader takes less than {SLOWEST} bytes a second")
            await sending
            if gone.done():
                return
            late = min(GRACE, late - (time.monotonic() - begun))
            piece = await self._read(gone)
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, gone: asyncio.Future[None]) -> bytes | None:
        reading = asyncio.ensure_future(run_in_threadpool(self._source.read))
        either: set[asyncio.Future[Any]] = {reading, gone}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return await reading
        await run_in_threadpool(self._source.cancel)
        await asyncio.gather(reading, return_exceptions=True)  # that it was interrupted is no news
        return None
