"""An SMTP server that accepts everything, as fast as Python can, and remembers when it did."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_REPLIES = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    b"MAIL": b"250 ok\r\n",
    b"RSET": b"250 ok\r\n",
    b"NOOP": b"250 ok\r\n",
}


class Sink:
    """What was accepted: for each recipient the moment (``time.time()``) and the Message-ID of each acceptance."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted: dict[str, list[float]] = {}
        self.message_ids: dict[str, list[bytes]] = {}
        self._arrived = threading.Condition()

    @property
    def total(self) -> int:
        """How many mails were accepted."""
        return sum(map(len, self.accepted.values()))

    def accept(self, recipient: str, content: bytes) -> None:
        """Note a mail."""
        with self._arrived:
            self.accepted.setdefault(recipient, []).append(time.time())
            self.message_ids.setdefault(recipient, []).append(_message_id(content))
            self._arrived.notify_all()

    def wait_for(self, recipient: str, timeout: float = 60.0) -> float:
        """The moment of the first acceptance for ``recipient``.

        :raises TimeoutError: none within ``timeout`` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: recipient in self.accepted, timeout):
                raise TimeoutError(f"No mail for {recipient} within {timeout:.0f} s")
            return self.accepted[recipient][0]


class _Session(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._in_data = False
        self._recipient = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answer = b""
        while True:
            if self._in_data:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                content = self._buffer[:end]
                self._buffer = self._buffer[end + 5 :]
                self._in_data = False
                self._sink.accept(self._recipient, content)
                answer += b"250 accepted\r\n"
                continue
            line, separator, rest = self._buffer.partition(b"\r\n")
            if not separator:
                break
            self._buffer = rest
            verb = line[:4].upper()
            if verb == b"RCPT":
                self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
                answer += b"250 ok\r\n"
            elif verb == b"DATA":
                self._in_data = True
                answer += b"354 go\r\n"
            elif verb == b"QUIT":
                self._transport.write(answer + b"221 bye\r\n")
                self._transport.close()
                return
            else:
                answer += _REPLIES.get(verb, b"500 what\r\n")
        if answer:
            self._transport.write(answer)


def _message_id(content: bytes) -> bytes:
    return content.partition(b"Message-ID: ")[2].partition(b"\r\n")[0]


@contextmanager
def sink() -> Iterator[Sink]:
    """Run a sink on a free port of 127.0.0.1, in a thread of its own."""
    accepted = Sink()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Session(accepted), "127.0.0.1", 0))
    accepted.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield accepted
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()
