"""One client of the sandbox's Centrifugo: the bidirectional protocol in JSON, as the client libraries speak it.

A frame holds commands, a line each; each gets a reply of its number. What is published comes as a push, and an empty
object is a ping, which the client answers with another (https://centrifugal.dev/docs/transports/client_protocol).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import msgspec

from sandbox.centrifugo_account import NAMESPACE, TOKEN_SECRET
from sandbox.centrifugo_streams import Position, Published, Streams

LIMIT = 300
"""Publications of one answer (``client.history_max_publication_limit``, ``client.recovery_max_publication_limit``)."""
VERSION = "6.9.1 sandbox"

_DECODER = msgspec.json.Decoder(dict[str, Any])
_ENCODER = msgspec.json.Encoder()


class Refused(Exception):  # not an error of the sandbox: the client is told
    """A command is answered with an error (https://centrifugal.dev/docs/server/codes#client-error-codes)."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class Disconnect(Exception):  # not an error of the sandbox: the client is told
    """The connection ends, with this close code (https://centrifugal.dev/docs/server/codes#client-disconnect-codes)."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


BAD_REQUEST = Refused(107, "bad request")
PERMISSION_DENIED = Refused(103, "permission denied")


_Command = Callable[[dict[str, Any]], dict[str, Any]]


class Session:
    """A client, from its first frame to its last.

    :param streams: what it may listen to.
    :param send: takes a frame for the client; must not wait.
    :param ping: seconds between two pings, as the client is told.
    """

    def __init__(self, streams: Streams, send: Callable[[bytes], None], *, ping: float) -> None:
        self._streams = streams
        self._send = send
        self._ping = ping
        self.id = str(uuid.uuid4())
        self.user: str | None = None
        """Who it is; None before it has connected."""
        self.expires_at: float | None = None
        """When its token ends, in seconds since 1970."""
        self._channels: set[str] = set()
        self._commands: dict[str, _Command] = {
            "connect": self._connect,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "history": self._history,
            "refresh": self._refresh,
            "publish": self._not_allowed,
            "presence": self._not_available,
            "presence_stats": self._not_available,
            "rpc": self._not_available,
        }

    def take(self, frame: str | bytes) -> None:
        """Carry out the commands of a frame.

        :raises Disconnect: the connection is to be closed.
        """
        replies: list[bytes] = []
        try:
            for line in frame.splitlines():
                try:
                    command = _DECODER.decode(line)
                except msgspec.MsgspecError:
                    raise Disconnect(3501, "bad request") from None
                if command:  # an empty one is a pong
                    reply = self._carry_out(command)
                    replies += [_ENCODER.encode({"id": command["id"], **reply})] if command.get("id") else []
        finally:  # what was answered before the one that ends it is told
            if replies:
                self._send(b"\n".join(replies))

    def push(self, publication: Published) -> None:
        """Hand a publication to the client."""
        self._send(_ENCODER.encode({"push": {"channel": publication.channel, "pub": publication.as_json()}}))

    def close(self) -> None:
        """The client is gone."""
        self._streams.leave(self._channels, self)
        self._channels.clear()

    def _carry_out(self, command: dict[str, Any]) -> dict[str, Any]:
        if ("connect" in command) == (self.user is not None):
            raise Disconnect(3501, "bad request")
        name = next((name for name in self._commands if name in command), "")
        do = self._commands.get(name, self._unknown)
        fields = command.get(name)
        try:
            if "send" in command:
                return {}
            return {name: do(fields if isinstance(fields, dict) else {})}
        except Refused as refused:
            return {"error": {"code": refused.code, "message": str(refused)}}

    def _connect(self, fields: dict[str, Any]) -> dict[str, Any]:
        self._know(str(fields.get("token") or ""))
        told: dict[str, Any] = {"client": self.id, "version": VERSION, "ping": self._ping, "pong": True}
        return {**told, **self._lasts()}

    def _refresh(self, fields: dict[str, Any]) -> dict[str, Any]:
        before = self.user
        self._know(str(fields.get("token") or ""))
        if self.user != before:
            raise Disconnect(3500, "invalid token")
        return {"client": self.id, "version": VERSION, **self._lasts()}

    def _know(self, token: str) -> None:
        """Learn from a token who the client is (https://centrifugal.dev/docs/server/authentication)."""
        if not token:
            raise Disconnect(3501, "bad request")
        try:
            claims = jwt.decode(token, TOKEN_SECRET, algorithms=["HS256"], options={"verify_aud": False})
            user, until = str(claims["sub"]), claims.get("exp")
        except jwt.ExpiredSignatureError:
            raise Refused(109, "token expired") from None
        except (jwt.InvalidTokenError, KeyError):
            raise Disconnect(3500, "invalid token") from None
        self.user = user
        self.expires_at = None if until is None else float(until)

    def _lasts(self) -> dict[str, Any]:
        if self.expires_at is None:
            return {}
        return {"expires": True, "ttl": max(1, int(self.expires_at - time.time()))}

    def _channel(self, fields: dict[str, Any]) -> str:
        channel = fields.get("channel")
        if not isinstance(channel, str) or not channel or not channel.isascii() or len(channel) > 255:
            raise BAD_REQUEST
        namespace, _, rest = channel.partition(":")
        if namespace != NAMESPACE or not rest:
            raise Refused(102, "unknown channel")
        return channel

    def _subscribe(self, fields: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(fields)
        _, boundary, users = channel.rpartition("#")
        if not boundary or self.user not in users.split(","):
            raise PERMISSION_DENIED
        if channel in self._channels:
            raise Refused(105, "already subscribed")
        top = self._streams.top(channel)
        told: dict[str, Any] = {}
        if self._streams.keeps:
            told = {"recoverable": True, "positioned": True, "epoch": top.epoch, "offset": top.offset}
            if fields.get("recover"):
                since = Position(int(fields.get("offset") or 0), str(fields.get("epoch") or ""))
                missed = self._streams.missed(channel, since, LIMIT)
                told |= {"was_recovering": True, "recovered": missed is not None}
                told["publications"] = [one.as_json() for one in missed or ()]
        self._channels.add(channel)
        self._streams.listen(channel, self)
        return told

    def _unsubscribe(self, fields: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(fields)
        self._channels.discard(channel)
        self._streams.leave([channel], self)
        return {}

    def _history(self, fields: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(fields)
        if channel not in self._channels:
            raise PERMISSION_DENIED
        if not self._streams.keeps:
            raise Refused(108, "not available")
        return history(self._streams, channel, fields)

    def _not_allowed(self, _fields: dict[str, Any]) -> dict[str, Any]:
        raise PERMISSION_DENIED

    def _not_available(self, _fields: dict[str, Any]) -> dict[str, Any]:
        raise Refused(108, "not available")

    def _unknown(self, _fields: dict[str, Any]) -> dict[str, Any]:
        raise Refused(104, "method not found")


def history(streams: Streams, channel: str, fields: dict[str, Any], most: int = LIMIT) -> dict[str, Any]:
    """The answer to a question for history.

    :param fields: ``limit`` (0: only the position; below: as many as there may be), ``since``, ``reverse``.
    :raises Refused: it cannot be told from that position on.
    """
    top = streams.top(channel)
    limit = int(fields.get("limit") or 0)
    since = fields.get("since")
    after = None
    if isinstance(since, dict):
        after = Position(int(since.get("offset") or 0), str(since.get("epoch") or ""))
        if after.epoch not in ("", top.epoch):
            raise Refused(112, "unrecoverable position")
    found = streams.history(channel, after)
    if fields.get("reverse"):
        found.reverse()
    count = most if limit < 0 else min(limit, most)
    return {"publications": [one.as_json() for one in found[:count]], "epoch": top.epoch, "offset": top.offset}
