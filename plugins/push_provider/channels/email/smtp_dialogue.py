"""The conversation on one open SMTP connection: which commands go out together, what each reply means.

With PIPELINING one write carries the content of a mail and the next mail's MAIL, RCPT and DATA, so that a
mail costs one round trip. More is not allowed: content may only begin a group and DATA only end it (RFC
2920, 3.1). Without it each command waits for its reply. Every mail is a transaction of its own, with one
recipient.

Servers say no for reasons that lie in the session and not in the mail: too many mails on this connection, or
commands that came too early for them. Such a mail is given back, to be sent on another connection or in
another order, and what that taught is in the server's :class:`~push_provider.channels.email.smtp_manners.Manners`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol

from push_provider.channels.base import Result
from push_provider.channels.email.smtp_client import REPLY_LINE, REPLY_LINES

if TYPE_CHECKING:
    import smtplib

    from push_provider.channels.email.mime import Mail
    from push_provider.channels.email.smtp_manners import Manners

_RECEIVE = 65536
_TOGETHER = 1 << 20
"""Bytes up to which what is to be written is copied into one piece."""
_TLS_RECORD = 16384
"""At most this is one TLS record, which the other side reads whole or not at all (RFC 8446, 5.1)."""

_REFUSED_LOGIN = frozenset((b"530", b"534", b"535", b"538"))
"""RFC 4954, 6: authentication or encryption is missing."""
_OUT_OF_ORDER = frozenset((b"500", b"502", b"503"))
"""A command that does not belong here, or of which the server has thrown the beginning away (RFC 5321, 4.2.2)."""
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
"""Asks for an acknowledgement at once, where the system has that. Servers that write each reply of a group by itself
hold the second back for it (RFC 896), and Linux takes its time: Haraka took 22 mails a second on one connection without
this, and 1,500 with it."""


class Reply(NamedTuple):
    """A server's reply: three digits, and its words on one line."""

    code: bytes
    words: bytes

    @property
    def text(self) -> str:
        """At most 500 printable characters."""
        text = self.words.decode("utf-8", "replace").strip()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text)
        return text[:500]


class Step(Enum):
    """What a reply that is waited for will answer."""

    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    CONTENT = auto()
    DISCARD = auto()
    """The empty content after a refused recipient and an accepted DATA."""
    RSET = auto()


_REST_OF_GROUP = (Step.RCPT, Step.DATA)


class Desk(Protocol):
    """Where a dialogue gets its mails, and where it says what became of them."""

    def take(self, dialogue: Dialogue) -> Mail | None:
        """Give the next mail that this connection can carry, or None."""

    def settle(self, mail: Mail, result: Result, code: str, text: str) -> None:
        """Take the final word about a mail."""

    def put_off(self, mail: Mail, code: str, text: str) -> None:
        """Take a mail that a connection failed with and that was surely not accepted; it is for a later try."""

    def give_back(self, mail: Mail, *, last: bool = False) -> None:
        """Take back a mail that was surely not accepted, through no fault of its own.

        :param last: the others go first.
        """


class Dropped(Exception):
    """The connection can no longer be used.

    :param code: reply code, ``timeout``, ``protocol`` or ``connection``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class LoginRequired(Exception):
    """The server takes no mail from this session at all."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Dialogue:
    """Sends mails on one connection, without blocking.

    The owner calls :meth:`advance` when there may be work, :meth:`readable` and :meth:`writable` when the
    socket is, and :meth:`drop` when one of them raised an error or the deadline has passed.

    :param client: as :func:`push_provider.channels.email.smtp_session.connect` gives it; owned from now on.
    :param sender: envelope sender.
    :param desk: see :class:`Desk`.
    :param manners: what is known of the server.
    """

    def __init__(self, client: smtplib.SMTP, sender: str, desk: Desk, manners: Manners) -> None:
        sock = client.sock
        assert sock is not None
        self._client = client
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._desk = desk
        self._manners = manners
        self.eightbit = client.has_extn("8bitmime")
        self.smtputf8 = client.has_extn("smtputf8") and self.eightbit
        self._pipelining = client.has_extn("pipelining")
        self._size = client.has_extn("size")
        self._mail_from = b"MAIL FROM:<" + sender.encode() + b">"

        self._awaited: deque[Step] = deque()
        self._rest = b""
        """The beginning of a reply line that is not there whole yet."""
        self._words: list[bytes] = []
        """The earlier lines of a reply of several lines."""

        self._out: deque[bytes | memoryview] = deque()
        self._queued = self._written = 0

        self._opened: Mail | None = None
        """Its envelope is under way; its content is not."""
        self._refusal: Reply | None = None
        """What the server said against the envelope of it."""
        self._refused_at: Step | None = None
        self._early = False
        """Whether it went out before the content ahead of it was answered."""
        self._handed: Mail | None = None
        """Its content is under way, and not answered."""
        self._handed_end = 0
        """How much must have been written for the server to have the whole content."""
        self._first = True
        self._expected = manners.ended_after
        self._carried = 0
        """Contents that were handed over."""
        self.answered = 0
        """Mails that the server gave its final word about on this connection."""
        self.turned_away: Reply | None = None
        """The server's words when it took no more mails on this connection."""

        sock.setblocking(False)
        self._start_with_what_smtplib_read()

    def _start_with_what_smtplib_read(self) -> None:
        file = self._client.file
        if file is not None:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._rest = bytes(file.peek())

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    @property
    def busy(self) -> bool:
        """Whether a reply is waited for."""
        return bool(self._awaited)

    @property
    def judged(self) -> bool:
        """Whether the server has a whole content, and its word on it is waited for."""
        return self._handed is not None and self._written >= self._handed_end

    @property
    def blocked(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._out)

    @property
    def full(self) -> bool:
        """Whether the connection has carried as many mails as it may."""
        limit = self._manners.limit
        return self.turned_away is not None or (limit is not None and self._carried >= limit)

    # --- writing --------------------------------------------------------------------------------------

    def _write(self, *data: bytes) -> None:
        for piece in data:
            self._out.append(piece)
            self._queued += len(piece)

    def writable(self) -> int:
        """Write as much as the socket takes.

        :return: how many bytes.
        :raises Dropped: the connection is gone.
        """
        out, before = self._out, self._written
        try:
            while out:
                if len(out) > 1 and self._queued - self._written <= _TOGETHER:
                    joined = b"".join(out)
                    out.clear()
                    out.append(joined)
                piece = out[0]
                sent = self._sock.send(memoryview(piece)[:_TLS_RECORD] if self._tls else piece)
                self._written += sent
                if sent == len(piece):
                    out.popleft()
                else:
                    out[0] = memoryview(piece)[sent:]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            self._last_words()
            raise Dropped("connection", f"the connection broke: {error}") from None
        return self._written - before

    def _last_words(self) -> None:
        """Read what the server said before it closed: a 421 with the reason, or the reply to a content."""
        with contextlib.suppress(OSError):
            while data := self._sock.recv(_RECEIVE):
                self._feed(data)

    def advance(self) -> None:
        """Begin the next mail if the connection is free.

        :raises Dropped: the connection is gone.
        """
        if not self._awaited:
            if self._rest:
                # Nobody asked: the next reply would be taken for the answer to something else.
                self._feed(b"\n")
            self._open_next()
            self.writable()

    def _open_next(self, *, reset: bool = False, early: bool = False) -> None:
        """Queue the envelope of the next mail, or as much of it as the server takes at once.

        :param reset: the last one was refused after its MAIL.
        :param early: a content is not answered yet.
        """
        if self.full:
            return
        if reset:
            self._write(b"RSET\r\n")
            self._awaited.append(Step.RSET)
            if not self._pipelining:
                return
        mail = self._desk.take(self)
        if mail is None:
            return
        self._opened, self._refusal, self._refused_at = mail, None, None
        self._early = early
        line = self._mail_from
        if self._size:
            line += b" SIZE=%d" % (len(mail.head) + len(mail.tail))
        if mail.eightbit:
            line += b" BODY=8BITMIME"
        if mail.utf8:
            line += b" SMTPUTF8"
        if self._pipelining:
            self._write(line + b"\r\nRCPT TO:<" + mail.to + b">\r\nDATA\r\n")
            self._awaited.extend((Step.MAIL, Step.RCPT, Step.DATA))
        else:
            self._write(line + b"\r\n")
            self._awaited.append(Step.MAIL)

    # --- reading --------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Read what is there, act on the replies, write what follows from them.

        :return: whether a whole reply was among it.
        :raises Dropped: the connection is gone, or the server does not speak SMTP.
        :raises LoginRequired: the very first MAIL was refused for want of a login.
        """
        answered = False
        while True:
            try:
                data = self._sock.recv(_RECEIVE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                raise Dropped("connection", f"the connection broke: {error}") from None
            if not data:
                raise Dropped("connection", "the server closed the connection")
            answered = self._feed(data) or answered
            if not self._tls:
                break
        if self._out:
            self.writable()
        elif self._awaited and self._awaited[0] in _REST_OF_GROUP and _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return answered

    def _feed(self, data: bytes) -> bool:
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        answered = False
        for line in lines:
            code, separator = line[:3], line[3:4]
            if not (code.isdigit() and len(code) == 3 and b"2" <= code < b"6") or len(line) > REPLY_LINE:
                raise Dropped("protocol", f"the server's reply is no SMTP: {Reply(code, line).text[:100]}")
            if separator == b"-":
                self._words.append(line[4:])
                if len(self._words) > REPLY_LINES:
                    raise Dropped("protocol", "the server's reply has no end")
            elif separator in (b" ", b"\r", b""):
                words = line[4:]
                if self._words:
                    words = b" ".join((*(word.strip() for word in self._words), words))
                    self._words.clear()
                self._reply(Reply(code, words))
                answered = True
            else:
                raise Dropped("protocol", f"the server's reply is no SMTP: {Reply(code, line).text[:100]}")
        # Last, so that the whole replies before it count.
        if len(self._rest) > REPLY_LINE:
            raise Dropped("protocol", "the server's reply has no end")
        return answered

    def _reply(self, reply: Reply) -> None:
        code = reply.code
        if not self._awaited:
            raise Dropped(code.decode(), reply.text)
        step = self._awaited.popleft()
        kind = code[0] - 48
        if step is Step.CONTENT:
            self._content_answered(reply, kind)
        elif code == b"421":
            raise Dropped("421", reply.text)
        elif step is Step.DATA:
            self._data_answered(reply, kind)
        elif step is Step.MAIL or step is Step.RCPT:
            self._envelope_answered(step, reply, kind)
        elif step is Step.RSET:
            if kind != 2:
                raise Dropped("protocol", f"the server refuses RSET: {reply.text}")
            if not self._awaited:
                self._open_next()
        elif not self._awaited:
            self._open_next()

    def _envelope_answered(self, step: Step, reply: Reply, kind: int) -> None:
        if kind == 2:
            if not self._pipelining and self._opened is not None:
                if step is Step.MAIL:
                    self._write(b"RCPT TO:<", self._opened.to, b">\r\n")
                    self._awaited.append(Step.RCPT)
                else:
                    self._write(b"DATA\r\n")
                    self._awaited.append(Step.DATA)
            self._first = False
            return
        if kind == 3:
            raise Dropped("protocol", f"the server answers {reply.code.decode()} to {step.name}")
        if step is Step.MAIL and self._first and reply.code in _REFUSED_LOGIN:
            raise LoginRequired(reply)
        self._first = False
        if self._refusal is None:
            self._refusal, self._refused_at = reply, step
        if not self._pipelining:
            self._settle_opened(self._refusal)
            self._open_next(reset=step is Step.RCPT)

    def _data_answered(self, reply: Reply, kind: int) -> None:
        mail, refusal = self._opened, self._refusal
        if mail is None or kind == 2 or (kind == 3 and self._refused_at is Step.MAIL):
            # In the last case the server may hold a recipient without a sender: nothing safe can be sent.
            raise Dropped("protocol", f"the server answers {reply.code.decode()} to DATA")
        if refusal is None and kind == 3:
            self._opened, self._handed = None, mail
            self._carried += 1
            if mail.tail:
                self._write(mail.head, mail.tail, b".\r\n")
            else:
                self._write(mail.head, b".\r\n")
            self._handed_end = self._queued
            self._awaited.append(Step.CONTENT)
            self._open_behind_content()
            return
        self._settle_opened(refusal or reply)
        if kind == 3:
            # RFC 2920, 3.1: no recipient was taken and DATA was, so an empty content ends it.
            self._write(b".\r\n")
            self._awaited.append(Step.DISCARD)
            self._open_behind_content()
        else:
            self._open_next(reset=True)

    def _open_behind_content(self) -> None:
        if self._pipelining and self._manners.behind_content:
            self._open_next(early=True)

    def _content_answered(self, reply: Reply, kind: int) -> None:
        mail, self._handed = self._handed, None
        assert mail is not None
        if kind == 3:
            self._handed = mail
            raise Dropped("protocol", f"the server answers {reply.code.decode()} to the content")
        if self._written < self._handed_end:
            # It refused before it had all of it; what was not written can neither be sent nor left out.
            self._out.clear()
            self._finish(mail, reply, {2: Result.UNKNOWN, 4: Result.RETRY, 5: Result.FAILED}[kind])
            raise Dropped(reply.code.decode(), reply.text)
        self._finish(mail, reply, {2: Result.SENT, 4: Result.RETRY, 5: Result.FAILED}[kind])
        if reply.code == b"421":
            raise Dropped("421", reply.text)
        if not self._awaited:
            self._open_next()

    def _settle_opened(self, reply: Reply, *, hung_up: bool = False) -> None:
        """Say what a refusal of the envelope means for its mail.

        :param hung_up: the connection ended with it.
        """
        mail, self._opened = self._opened, None
        if mail is None:
            return
        at_mail, passing = self._refused_at is Step.MAIL, reply.code[0] == 52
        if self._early and (reply.code in _OUT_OF_ORDER or (at_mail and hung_up and not passing)):
            self._manners.behind_content = False
            self._desk.give_back(mail)
        elif (at_mail and (passing or reply.code == b"503")) or (self.answered and _too_many(reply)):
            # At MAIL the server knows nothing of the recipient. On a fresh connection another mail goes first, as
            # there is a little of this one in it: the size.
            self.turned_away = reply
            self._learn_limit()
            self._desk.give_back(mail, last=not self.answered)
        else:
            self._finish(mail, reply, Result.RETRY if passing else Result.FAILED)

    def _learn_limit(self) -> None:
        if self._carried:
            self._manners.learn_limit(self._carried, self._expected)

    def _finish(self, mail: Mail, reply: Reply, result: Result) -> None:
        self.answered += 1
        self._desk.settle(mail, result, reply.code.decode(), reply.text)

    # --- the end --------------------------------------------------------------------------------------

    def drop(self, code: str, text: str) -> None:
        """Close the connection at once and say what became of the mails that were under way.

        :param code: as in :class:`Dropped`.
        :param text: for the outcome.
        """
        handed, opened = self._handed, self._opened
        self._handed = self._opened = None
        self._client.close()
        if handed is not None and self._written >= self._handed_end:
            self._desk.settle(handed, Result.UNKNOWN, code, text)
        elif handed is not None and (code == "timeout" or not self.answered):
            # A large content may be what the server cannot take; it must not hold up the others again.
            self._desk.put_off(handed, code, text)
        elif handed is not None:
            self._desk.give_back(handed)
        if opened is not None and self._refusal is not None:
            self._opened = opened
            self._settle_opened(self._refusal, hung_up=True)
        elif opened is not None and handed is not None:
            self._desk.give_back(opened)
        elif opened is not None and code == "timeout":
            self._desk.put_off(opened, code, text)
        elif opened is not None:
            # Servers close after so many mails, or when idle. On a fresh connection it may be for the recipient.
            self._learn_limit()
            self._desk.give_back(opened, last=not self.answered)

    def stale(self) -> bool:
        """Whether an idle connection has something to read: a farewell or its end."""
        try:
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Say QUIT if that is possible, and close."""
        if not self._awaited:
            with contextlib.suppress(OSError):
                self._sock.send(b"QUIT\r\n")
        self._client.close()


def _too_many(reply: Reply) -> bool:
    """Whether a recipient is one too many; as every mail has but one, the connection's are counted (RFC 3463, 3.6)."""
    return reply.code == b"452" and reply.words.lstrip().startswith(b"4.5.3")
