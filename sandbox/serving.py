"""An ASGI app on a bound socket, beside the other servers of the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket


class _Server(uvicorn.Server):
    """Leaves signals to the program that holds several servers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Any, listener: socket.socket, **settings: Any) -> AsyncIterator[None]:
    """Serve an app for as long as the context lasts.

    :param settings: more of uvicorn's.
    """
    fixed: dict[str, Any] = {"lifespan": "off", "access_log": False, "log_config": None, "server_header": False}
    server = _Server(uvicorn.Config(app, timeout_graceful_shutdown=1, **fixed, **settings))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running
