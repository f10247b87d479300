"""The mail server of the sandbox: takes every mail, and fails on request.

aiosmtpd speaks the protocol. Added here: PIPELINING (RFC 2920), which aiosmtpd can do and does not
offer, and a DATA that reads blocks instead of lines, which is several times as fast.

Some local parts, alone or before a ``+``, make a recipient fail, whatever the domain::

    bounce@…   550, the mailbox does not exist
    busy@…     451, try again later
    slow@…     the mail is kept, and the answer comes SLOW_SECONDS later
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    import socket

    from sandbox.mailbox import Mailbox

SIZE_LIMIT = 32 * 1024 * 1024
"""Bytes of a mail, as SIZE (RFC 1870) announces it."""
LINE_LIMIT = 998
"""Octets of a line without its CRLF (RFC 5322, 2.1.1; RFC 5321, 4.5.3.1.6)."""
SLOW_SECONDS = 3.0

_PLAIN_PATH = re.compile(r"<([A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>((?: .*)?)")
"""Path and parameters of MAIL and RCPT (RFC 5321, 4.1.2), without quotes, comments or other scripts."""
_END = b"\r\n.\r\n"
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Handler:
    """What aiosmtpd asks: its hooks have these names and parameters."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", *responses[-1:]]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        match _wish(address):
            case "bounce":
                return f"550 5.1.1 <{address}>: no such mailbox (the sandbox refuses bounce@ on purpose)"
            case "busy":
                return f"451 4.2.1 <{address}>: mailbox busy, try again later (the sandbox's busy@)"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        sender = envelope.mail_from or ""
        try:
            mail = self.mailbox.add(content, mail_from="" if sender == "<>" else sender, rcpt_to=envelope.rcpt_tos)
        except OSError as error:
            if error.errno in _NO_SPACE:
                return "452 4.3.1 The sandbox's disk is full"
            return f"451 4.3.0 The sandbox cannot write the mail: {error.strerror}"
        if any(_wish(address) == "slow" for address in envelope.rcpt_tos):
            await asyncio.sleep(SLOW_SECONDS)
        return f"250 2.0.0 OK {mail.id}"


class _Connection(SMTP):
    """One client."""

    line_length_limit = 64 * 1024
    """In aiosmtpd this is also how much its reader buffers: enough for many pipelined mails."""

    def __init__(self, handler: _Handler, connections: set[asyncio.BaseTransport]) -> None:
        super().__init__(
            handler,
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="push sandbox",
            auth_require_tls=False,
            authenticator=_accept,
            loop=asyncio.get_running_loop(),
        )
        self.handler = handler
        self.connections = connections
        self.opened: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.opened = transport
        self.connections.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.opened is not None:
            self.connections.discard(self.opened)
        super().connection_lost(error)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        # aiosmtpd's own parser knows every form of an address, and takes half the time of a mail; it is
        # asked for what this does not cover.
        plain = _PLAIN_PATH.fullmatch(arg)
        if plain:
            return plain[1], plain[2]
        address, parameters = super()._getaddr(arg)
        return address, parameters

    async def smtp_DATA(self, arg: str | None) -> None:
        """Take a mail (RFC 5321, 4.1.1.4), reading blocks where aiosmtpd reads line by line."""
        assert self.session is not None
        assert self.envelope is not None
        if await self.check_helo_needed():
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Need RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes nothing")
            return
        await self.push("354 End with <CR><LF>.<CR><LF>")
        content = await self._content()
        if content is None:
            status = f"552 5.3.4 More than {SIZE_LIMIT} bytes"
        elif _has_long_line(content):
            status = f"500 5.6.0 A line is longer than {LINE_LIMIT} octets (RFC 5322, 2.1.1)"
        else:
            self.envelope.original_content = content
            status = await self.handler.handle_DATA(self, self.session, self.envelope)
        self.envelope = Envelope()
        await self.push(status)

    async def _content(self) -> bytes | None:
        """The mail without its final dot, unstuffed; None if it is too large."""
        blocks: list[bytes] = []
        size = 0
        tail = b"\r\n"  # the command's own, before which a mail without any line ends
        while tail != _END:
            try:
                block = await self._reader.readuntil(b".\r\n")
            except asyncio.LimitOverrunError as error:
                block = await self._reader.readexactly(error.consumed)
            tail = (tail + block)[-len(_END) :]
            size += len(block)
            if size <= SIZE_LIMIT + 3:
                blocks.append(block)
            else:
                blocks.clear()
        if size > SIZE_LIMIT + 3:
            return None
        stuffed = b"".join(blocks)[:-3]
        # RFC 5321, 4.5.2: the first of a line's dots was added by the client.
        return stuffed.removeprefix(b".").replace(b"\r\n.", b"\r\n")


@asynccontextmanager
async def serve(listener: socket.socket, mailbox: Mailbox) -> AsyncIterator[None]:
    """Serve mail on a bound socket for as long as the context lasts; connections are cut at its end."""
    handler = _Handler(mailbox)
    connections: set[asyncio.BaseTransport] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(handler, connections), sock=listener, backlog=512
    )
    try:
        yield
    finally:
        server.close()
        for connection in tuple(connections):
            connection.close()


def _accept(server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: LoginPassword) -> AuthResult:
    return AuthResult(success=True)


def _wish(address: str) -> str:
    """What a recipient asks the sandbox to do, in lower case."""
    return address.rpartition("@")[0].partition("+")[0].lower()


def _has_long_line(content: bytes) -> bool:
    return len(content) > LINE_LIMIT and max(map(len, content.split(b"\r\n"))) > LINE_LIMIT
