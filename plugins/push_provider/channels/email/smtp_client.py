"""An smtplib client whose server cannot keep it: each reply has an end in time, lines and bytes, and so has the whole.

smtplib's own limit is for each byte, and for none of the lines: a server that says a byte now and then, or goes on with
``250-``, holds its thread for ever, or fills the memory.
"""

from __future__ import annotations

import io
import smtplib
import time
from typing import TYPE_CHECKING, Any

from push_provider.connections.dial import dial

if TYPE_CHECKING:
    import ssl

    from _typeshed import ReadableBuffer, WriteableBuffer

REPLY_LINE = 8192
"""Octets of a reply line; RFC 5321 says 512, servers say more."""
REPLY_LINES = 200
REPLY_BYTES = 64 * 1024
"""Of all lines of a reply together."""


class Client(smtplib.SMTP):
    """A connection that is open, before the server has said anything.

    :param host: name or address of the server.
    :param port: TCP port.
    :param timeout: seconds for connecting to one of its addresses, and for each reply as a whole.
    :param whole: seconds for all that is said; None for no other limit.
    :param tls: TLS from the first byte.
    :raises OSError: there is no connection within that time.
    """

    def __init__(
        self, host: str, port: int, *, timeout: float, whole: float | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(local_hostname="localhost", timeout=timeout)  # given, so that the DNS is not asked for one
        self._limit = timeout
        self._end = None if whole is None else time.monotonic() + whole
        self._reply_end = 0.0
        self._begin_reply()
        self._host = host  # what smtplib holds certificates against after STARTTLS
        self.sock = dial(host, port, self._begin_address)
        if tls is not None:
            try:
                self.sock.settimeout(self.left())
                self.sock = tls.wrap_socket(self.sock, server_hostname=host)
            except BaseException:
                self.close()
                raise

    def lift(self) -> None:
        """Take the limit of the whole away; each reply keeps its own."""
        self._end = None

    def left(self) -> float:
        """Seconds that are left for the reply, or for the whole.

        :raises TimeoutError: none.
        """
        end = self._reply_end if self._end is None else min(self._end, self._reply_end)
        left = end - time.monotonic()
        if left <= 0:
            slow = "was not done with all of it in time" if end == self._end else f"did not answer in {self._limit:g} s"
            raise TimeoutError(f"it {slow}")
        return left

    def _begin_address(self) -> float:
        self._begin_reply()
        return self.left()

    def _begin_reply(self) -> None:
        self._reply_end = time.monotonic() + self._limit

    def send(self, s: ReadableBuffer | str) -> None:
        """Send, within the time of one reply."""
        self._begin_reply()
        if self.sock is not None:
            self.sock.settimeout(self.left())
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """The server's next reply: its code, or -1 for what is none, and its lines.

        :raises TimeoutError: it was not there whole in time; the connection is closed.
        :raises smtplib.SMTPServerDisconnected: the connection is closed.
        :raises smtplib.SMTPResponseException: the reply has no end; the connection is closed.
        """
        self._begin_reply()
        if self.file is None:
            self.file = io.BufferedReader(_Limited(self))
        words: list[bytes] = []
        size = 0
        while True:
            try:
                line = self.file.readline(REPLY_LINE + 1)
            except TimeoutError:
                self.close()
                raise
            except OSError as error:
                self.close()
                raise smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {error}") from None
            if not line:
                self.close()
                raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
            size += len(line)
            words.append(line[4:].strip(b" \t\r\n"))
            if len(line) > REPLY_LINE or len(words) > REPLY_LINES or size > REPLY_BYTES:
                self.close()
                raise smtplib.SMTPResponseException(500, "its reply has no end")
            if not line[:3].isdigit():
                return -1, b"\n".join(words)
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(words)


class _Limited(io.RawIOBase):
    """What the server says, as long as its time lasts."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        sock: Any = self._client.sock
        if sock.gettimeout() != 0:  # else somebody else waits for it
            sock.settimeout(self._client.left())
        try:
            return int(sock.recv_into(buffer))
        except BlockingIOError:
            return None
        except TimeoutError:
            self._client.left()  # says it in words, for its time is up
            raise
