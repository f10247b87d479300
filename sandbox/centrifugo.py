"""The sandbox's Centrifugo: its server API over HTTP, and its clients' WebSockets, on one port.

As much of it as the platform and the client libraries use, so that a fresh clone shows live messages at work. The
protocol of clients is in ``centrifugo_session``, what is published in ``centrifugo_streams``.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.centrifugo_account import API_KEY, NAMESPACE
from sandbox.centrifugo_session import VERSION, Disconnect, Refused, Session, history
from sandbox.centrifugo_streams import Streams
from sandbox.serving import serving

if TYPE_CHECKING:
    from starlette.requests import Request

PING_SECONDS = 25.0
PONG_SECONDS = 8.0
"""How long a client may take to answer a ping."""
GRACE_SECONDS = 25.0
"""How long a client may take for a new token after its old one ended (``client.expired_close_delay``)."""
_QUEUED = 4096
"""Frames that wait for a client which does not read; then it is cut off, as Centrifugo does with slow ones."""
_ALL = 1 << 30


class _Publish(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()
    idempotency_key: str = ""


class _Command(msgspec.Struct):
    publish: _Publish | None = None


class _Batch(msgspec.Struct):
    commands: list[_Command]


_BATCH = msgspec.json.Decoder(_Batch)
_PUBLISH = msgspec.json.Decoder(_Publish)
_FIELDS = msgspec.json.Decoder(dict[str, Any])
_ENCODER = msgspec.json.Encoder()


class Centrifugo:
    """The server, without its socket. For one event loop.

    :param streams: what is published.
    :param ping: seconds between two pings of a client.
    :param pong: how long it may take to answer one.
    """

    def __init__(
        self, streams: Streams | None = None, *, ping: float = PING_SECONDS, pong: float = PONG_SECONDS
    ) -> None:
        self.streams = streams or Streams()
        self.api_calls = 0
        """Calls of the server API whose key was right."""
        self._ping = ping
        self._pong = pong
        self._clients: set[_Client] = set()
        self._methods: dict[str, Callable[[bytes], dict[str, Any]]] = {
            "batch": self._batch,
            "publish": lambda body: self._publish(_PUBLISH.decode(body)),
            "history": lambda body: self._history(_FIELDS.decode(body)),
            "info": self._info,
            "disconnect": lambda body: self._disconnect(_FIELDS.decode(body)),
        }

    def app(self) -> Starlette:
        """It, as an ASGI app."""
        return Starlette(
            routes=[
                Route("/api/{method}", self._api, methods=["POST"]),
                Route("/health", self._health),
                WebSocketRoute("/connection/websocket", self._client),
            ]
        )

    def cut(self, user: str | None = None) -> int:
        """Cut clients off without a word, as a network does: those of one user, or all; returns how many.

        Any thread may ask.
        """
        cut = [client for client in tuple(self._clients) if user in (None, client.session.user)]
        for client in cut:
            client.end(Disconnect(1012, "cut"))
        return len(cut)

    async def _health(self, _request: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    # --- the server API -------------------------------------------------------------------------------

    async def _api(self, request: Request) -> Response:
        scheme, _, word = request.headers.get("authorization", "").partition(" ")
        given = request.headers.get("x-api-key") or (word if scheme.lower() == "apikey" else "")
        if not hmac.compare_digest(given.encode(), API_KEY.encode()):
            return Response(status_code=401)
        method = self._methods.get(request.path_params["method"])
        if method is None:
            return Response(status_code=404)
        self.api_calls += 1
        try:
            answer = method(await request.body())
        except msgspec.MsgspecError:
            return Response(status_code=400)
        return Response(_ENCODER.encode(answer), media_type="application/json")

    def _batch(self, body: bytes) -> dict[str, Any]:
        replies = []
        for command in _BATCH.decode(body).commands:
            answer = self._publish(command.publish) if command.publish else _error(104, "not found")
            replies.append(answer if "error" in answer else {"publish": answer["result"]})
        return {"replies": replies}

    def _publish(self, publish: _Publish) -> dict[str, Any]:
        if not publish.channel or not bytes(publish.data):
            return _error(107, "bad request")
        if publish.channel.partition(":")[0] != NAMESPACE:
            return _error(102, "unknown channel")
        # The whole body lives as long as a part of it does.
        position = self.streams.publish(publish.channel, publish.data.copy(), publish.idempotency_key)
        return {"result": {"offset": position.offset, "epoch": position.epoch}}

    def _history(self, fields: dict[str, Any]) -> dict[str, Any]:
        channel = str(fields.get("channel") or "")
        if channel.partition(":")[0] != NAMESPACE:
            return _error(102, "unknown channel")
        if not self.streams.keeps:
            return _error(108, "not available")
        try:
            return {"result": history(self.streams, channel, fields, _ALL)}
        except Refused as refused:
            return _error(refused.code, str(refused))

    def _info(self, _body: bytes) -> dict[str, Any]:
        users = {client.session.user for client in self._clients}
        node = {
            "uid": "sandbox",
            "name": "sandbox",
            "version": VERSION,
            "num_clients": len(self._clients),
            "num_users": len(users),
            "num_channels": len(self.streams.listeners()),
        }
        return {"result": {"nodes": [node]}}

    def _disconnect(self, fields: dict[str, Any]) -> dict[str, Any]:
        for client in tuple(self._clients):
            if client.session.user == fields.get("user"):
                client.end(Disconnect(3503, "force disconnect"))
        return {"result": {}}

    # --- clients --------------------------------------------------------------------------------------

    async def _client(self, socket: WebSocket) -> None:
        await socket.accept()
        client = _Client(socket, self.streams, self._ping, self._pong)
        self._clients.add(client)
        try:
            await client.run()
        finally:
            self._clients.discard(client)
            client.session.close()


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


class _Client:
    """A WebSocket and its session: one task reads, one writes, one pings."""

    def __init__(self, socket: WebSocket, streams: Streams, ping: float, pong: float) -> None:
        self._socket = socket
        self._ping = ping
        self._pong = pong
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Disconnect] = self._loop.create_future()
        self._heard = time.monotonic()
        self.session = Session(streams, self._put, ping=ping)

    def end(self, disconnect: Disconnect) -> None:
        """Close the connection. Any thread may ask."""
        self._loop.call_soon_threadsafe(self._end, disconnect)

    def _end(self, disconnect: Disconnect) -> None:
        if not self._ended.done():
            self._ended.set_result(disconnect)

    async def run(self) -> None:
        """Serve the client until either side ends it."""
        works = [asyncio.create_task(work) for work in (self._read(), self._write(), self._keep())]
        try:
            disconnect = await self._ended
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
        with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
            await self._socket.close(disconnect.code, disconnect.reason)

    def _put(self, frame: bytes) -> None:
        if self._frames.qsize() >= _QUEUED:
            self.end(Disconnect(3008, "slow"))
        else:
            self._frames.put_nowait(frame)

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._socket.receive()
                if frame["type"] == "websocket.disconnect":
                    self.end(Disconnect(1000, ""))
                    return
                self._heard = time.monotonic()
                self.session.take(frame.get("text") or frame.get("bytes") or "")
        except Disconnect as disconnect:
            self.end(disconnect)

    async def _write(self) -> None:
        try:
            while True:
                await self._socket.send_text((await self._frames.get()).decode())
        except (RuntimeError, WebSocketDisconnect):
            self.end(Disconnect(1000, ""))

    async def _keep(self) -> None:
        """Ping, and end those who do not answer or whose token is over."""
        while True:
            await asyncio.sleep(self._ping)
            until = self.session.expires_at
            if until is not None and time.time() > until + GRACE_SECONDS:
                self.end(Disconnect(3005, "connection expired"))
            pinged = time.monotonic()
            self._put(b"{}")
            await asyncio.sleep(min(self._pong, self._ping))
            if self._heard < pinged:
                self.end(Disconnect(3012, "no pong"))


@asynccontextmanager
async def serve(listener: socket.socket, centrifugo: Centrifugo) -> AsyncIterator[None]:
    """Serve it on a bound socket for as long as the context lasts; clients are cut off at its end."""
    async with serving(centrifugo.app(), listener, ws="websockets-sansio", ws_per_message_deflate=False):
        try:
            yield
        finally:
            centrifugo.cut()


@contextmanager
def in_thread(centrifugo: Centrifugo, port: int = 0) -> Iterator[str]:
    """Serve it on a port of 127.0.0.1 from a thread, for tests and scripts.

    :param port: 0 for a free one.
    :returns: its address.
    """
    listener = socket.create_server(("127.0.0.1", port))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="centrifugo", daemon=True)
    thread.start()
    context = serve(listener, centrifugo)
    asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        listener.close()
