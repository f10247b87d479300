"""A mail server for tests, on a real socket, that answers, closes or falls silent as its script says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO


class Do(Enum):
    """What a script may want in place of a reply."""

    CLOSE = auto()
    """Close the connection without a word."""
    HANG = auto()
    """Say nothing and read nothing until the test is over."""


@dataclass(frozen=True)
class At:
    """Where the conversation is.

    :param step: the command in lower case, or connect, body (the content begins), dot.
    :param connection: number of the connection, from 1.
    :param count: how often this step was reached on the server, from 1.
    :param here: how often on this connection.
    :param argument: the line, or the recipient at data, body and dot.
    """

    step: str
    connection: int
    count: int
    here: int
    argument: str


@dataclass(frozen=True)
class Received:
    """A content that arrived whole."""

    connection: int
    sender: str
    to: str
    data: bytes
    accepted: bool


Script = Callable[[At], str | bytes | Do | None]

_DEFAULT = {
    "connect": "220 test ESMTP",
    "helo": "250 test",
    "starttls": "220 go on",
    "auth": "235 2.7.0 welcome",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go on",
    "dot": "250 2.0.0 taken",
    "rset": "250 2.0.0 ok",
    "noop": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
}


class _End(Exception):
    """The connection is to be closed."""


class Server:
    """Listens on 127.0.0.1 while it is entered.

    :param script: gives the reply to a step, or None for the usual one. ``421`` closes afterwards.
    :param extensions: what EHLO offers.
    :param certificate: file for TLS; STARTTLS must be among the extensions unless ``implicit``.
    :param strict: a client that pipelines is refused, as by servers that do not know it.
    :param discards: how much of what follows a content has arrived when that is answered. It is thrown away, as
        Haraka does since 3.3, which offers PIPELINING all the same.
    :param discarded: the reply to each line that ends therein; ``554`` closes afterwards.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SIZE 50000000"),
        certificate: Path | None = None,
        implicit: bool = False,
        strict: bool = False,
        discards: int = 0,
        discarded: str = "503 Bad sequence of commands - pipelined after end of DATA",
    ) -> None:
        self._script = script or (lambda _: None)
        self._extensions = extensions
        self._implicit = implicit
        self._strict = strict
        self._discards = discards
        self._discarded = discarded
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.received: list[Received] = []
        self.connections = 0
        self.commands: list[tuple[int, str]] = []

    def __enter__(self) -> Server:
        self._listener = socket.create_server(("127.0.0.1", 0))
        # A large content must not vanish in buffers before anybody reads it.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    @property
    def accepted(self) -> list[str]:
        """Recipients of the mails that were accepted, in order."""
        return [mail.to for mail in self.received if mail.accepted]

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock, self.connections))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        conversation = _Conversation(self, sock, number)
        try:
            conversation.run()
        except (_End, OSError):
            pass
        finally:
            conversation.close()


class _Conversation:
    def __init__(self, server: Server, sock: socket.socket, number: int) -> None:
        self._server = server
        self._number = number
        self._here: Counter[str] = Counter()
        self._sock = sock
        self._file: BinaryIO | None = None
        self._sender = self._to = ""

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._sock.close()

    def _wrap(self) -> None:
        assert self._server._context is not None
        self._sock = self._server._context.wrap_socket(self._sock, server_side=True)
        self._server._sockets.append(self._sock)

    def _answer(self, step: str, argument: str = "", default: str | None = None) -> str:
        server = self._server
        with server._lock:
            server._counts[step] += 1
            self._here[step] += 1
            at = At(step, self._number, server._counts[step], self._here[step], argument)
        wanted = server._script(at)
        if wanted is Do.CLOSE:
            raise _End
        if wanted is Do.HANG:
            server._over.wait(20)
            raise _End
        reply = wanted if wanted is not None else default if default is not None else _DEFAULT[step]
        if isinstance(reply, str):
            raw = reply.encode() + b"\r\n"
        else:
            assert isinstance(reply, bytes)
            raw = reply
        if step == "dot":
            # On record before the client can know of it.
            server.received.append(Received(self._number, self._sender, self._to, self._data, raw[:1] == b"2"))
        self._sock.sendall(raw)
        if raw[:3] == b"421":
            raise _End
        return raw[:1].decode("latin-1")

    def run(self) -> None:
        server = self._server
        if server._implicit:
            self._wrap()
        self._answer("connect")
        self._file = self._sock.makefile("rb")
        while line := self._file.readline():
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            with server._lock:
                server.commands.append((self._number, text))
            if server._strict and self._ahead():
                self._sock.sendall(b"554 5.5.1 no pipelining here\r\n")
                raise _End
            verb = text.split(" ")[0].lower()
            if verb == "ehlo":
                lines = ["test", *server._extensions]
                ends = ["-"] * (len(lines) - 1) + [" "]
                self._answer(
                    "ehlo",
                    text,
                    "\r\n".join(f"250{end}{line}" for end, line in zip(ends, lines, strict=True)),
                )
            elif verb == "starttls":
                if self._answer("starttls") == "2":
                    self._file.close()
                    self._wrap()
                    self._file = self._sock.makefile("rb")
            elif verb == "mail":
                if self._sender:
                    self._sock.sendall(b"503 5.5.1 nested MAIL\r\n")
                elif self._answer("mail", text) == "2":
                    self._sender = text
            elif verb == "rcpt":
                if not self._sender:
                    self._sock.sendall(b"503 5.5.1 MAIL first\r\n")
                elif self._answer("rcpt", text) == "2":
                    self._to = text.partition("<")[2].rpartition(">")[0]
            elif verb == "data":
                if self._ahead():
                    # RFC 2920, 3.1: DATA ends a group, whatever the server offers.
                    self._sock.sendall(b"554 5.5.1 nothing may follow DATA\r\n")
                    raise _End
                self._data_command()
            elif verb == "rset":
                self._sender = self._to = ""
                self._answer("rset")
            elif verb in ("auth", "helo", "noop", "quit"):
                self._answer(verb, text)
                if verb == "quit":
                    return
            else:
                self._sock.sendall(b"500 5.5.2 what?\r\n")

    def _ahead(self) -> bool:
        """Whether the client has sent more than one line."""
        assert self._file is not None
        self._sock.setblocking(False)
        try:
            return bool(self._file.peek(1))  # type: ignore[attr-defined]
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self._sock.setblocking(True)

    def _data_command(self) -> None:
        assert self._file is not None
        # Some servers accept DATA without a recipient: the script may say so.
        reply = self._answer("data", self._to) if self._to else self._answer("data", "", "503 5.5.1 RCPT first")
        if reply != "3":
            return
        lines = []
        first = True
        while (line := self._file.readline()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                raise _End
            if first:
                first = False
                wanted = self._server._script(At("body", self._number, 0, 0, self._to))
                if wanted is Do.CLOSE:
                    raise _End
                if wanted is Do.HANG:
                    self._server._over.wait(20)
                    raise _End
            lines.append(line[1:] if line.startswith(b".") else line)
        self._data = b"".join(lines)
        thrown = self._throw_away()
        if self._to:
            self._answer("dot", self._to)
        else:
            self._sock.sendall(b"554 5.5.1 no valid recipients\r\n")
        self._sender = self._to = ""
        for _ in range(thrown):
            self._sock.sendall(self._server._discarded.encode() + b"\r\n")
            if self._server._discarded.startswith("554"):
                raise _End

    def _throw_away(self) -> int:
        """Forget what has arrived behind the content; how many lines ended in it."""
        if not self._server._discards or not self._ahead():
            return 0
        assert self._file is not None
        return self._file.read(min(self._server._discards, len(self._file.peek()))).count(b"\n")  # type: ignore[attr-defined]


def after_so_many(mails: int, answer: str | Do) -> Script:
    """Refuse every MAIL of a connection after so many, as OpenSMTPD does after 100."""
    return lambda here: answer if here.step == "mail" and here.here > mails else None
