"""HTTP for the sandbox's Aliyun: requests from sockets to its gateways, and their replies back.

A server of its own, since no framework can leave a request without an answer or cut its connection; with
the parser that uvicorn uses, and without what a request of this API does not need.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from sandbox.sms_gateway import Reply
from sandbox.sms_signature import Request, parse_query

HEAD_LIMIT = 512 * 1024
"""Bytes of request line and header fields: SendSms has all its parameters in the query."""
BODY_LIMIT = 4 * 1024 * 1024
_PIPELINED = 16
"""Requests that wait on one connection before it is read no further."""


class Gateway(Protocol):
    """What requests are handed to."""

    def answer(self, request: Request) -> Reply:
        """Carry one out, and say what the client gets."""


class _Connection(asyncio.Protocol):
    """One client. Its requests are carried out one after the other, as HTTP/1.1 demands (RFC 9112, 9.3.2)."""

    def __init__(self, gateway: Gateway, connections: set[_Connection]) -> None:
        self.gateway = gateway
        self.connections = connections
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._is_busy = False
        self._is_full = False
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, list[str]] = {}
        self._body: list[bytes] = []
        self._head_size = 0
        self._body_size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.connections.discard(self)
        self.transport = None
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._go_on()
            status = 413 if isinstance(error.__context__, _TooLarge) else 400
            self._write(Reply("answer", status, b"", "text/plain"), keep=False)
        else:
            self._go_on()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._is_full = False
        self._go_on()

    def abort(self) -> None:
        """Cut the connection, whatever it waits for."""
        if self.transport is not None:
            self.transport.abort()

    # --- httptools calls these by their names ---

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._grow_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow_head(len(name) + len(value))
        field = name.decode("latin-1").lower()
        self._headers.setdefault(field, []).append(value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        if self._headers.get("expect") == ["100-continue"] and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > BODY_LIMIT:
            raise _TooLarge
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("utf-8", "replace").partition("?")
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=path,
            query=parse_query(query),
            headers=self._headers,
            body=b"".join(self._body),
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._begin()

    def _grow_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > HEAD_LIMIT:
            raise _TooLarge

    def _go_on(self) -> None:
        """Carry out what waits, up to the first request whose reply has to wait."""
        while self._waiting and not self._is_busy and not self._is_full and self.transport is not None:
            request, keep = self._waiting.popleft()
            reply = self.gateway.answer(request)
            if reply.then == "hang":
                self._is_busy = True
            elif reply.seconds:
                self._is_busy = True
                self._timer = asyncio.get_running_loop().call_later(reply.seconds, self._late, reply, keep)
            else:
                self._carry_out(reply, keep)
        if self.transport is None:
            return
        if len(self._waiting) > _PIPELINED:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _late(self, reply: Reply, keep: bool) -> None:
        self._is_busy = False
        self._carry_out(reply, keep)
        self._go_on()

    def _carry_out(self, reply: Reply, keep: bool) -> None:
        if reply.then == "cut":
            self.abort()
            self.transport = None
        else:
            self._write(reply, keep)

    def _write(self, reply: Reply, keep: bool) -> None:
        if self.transport is None:
            return
        fields = [
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(reply.body))),
            *reply.headers,
            *(() if keep else (("Connection", "close"),)),
        ]
        head = f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Unknown')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
        self.transport.write(head.encode("latin-1") + reply.body)
        if not keep:
            self.transport.close()
            self.transport = None


class _TooLarge(Exception):  # not an error of the sandbox: the client is told
    """A request has more than HEAD_LIMIT or BODY_LIMIT bytes."""


@asynccontextmanager
async def serve(listener: socket.socket, gateway: Gateway) -> AsyncIterator[None]:
    """Serve the gateway on a bound socket for as long as the context lasts; connections are cut at its end."""
    connections: set[_Connection] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(gateway, connections), sock=listener, backlog=512
    )
    try:
        yield
    finally:
        server.close()
        for connection in tuple(connections):
            connection.abort()


@contextmanager
def in_thread(gateway: Gateway) -> Iterator[str]:
    """Serve the gateway on a free port of 127.0.0.1 from a thread, for tests and scripts.

    :returns: host and port. What the gateway holds is safe to look at while no request is under way.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sms-gateway", daemon=True)
    thread.start()
    serving = serve(listener, gateway)
    asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result()
        # Transports that were cut close in the next turn of the loop.
        loop.call_soon_threadsafe(lambda: loop.call_soon(loop.stop))
        thread.join()
        loop.close()


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
