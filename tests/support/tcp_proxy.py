"""A TCP connection with somebody in between, who can cut it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class TcpProxy:
    """Hands bytes on between clients and a server.

    :param host, port: of the server; it may change while the proxy runs.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    def serve(self) -> None:
        """Take clients until it is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection((self.host, self.server_port))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._pairs.append((client, server))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_hand_on, args=(one, other), daemon=True).start()

    def cut(self, every: int = 1) -> int:
        """Cut each ``every``-th of the connections that there are; returns how many."""
        with self._lock:
            cut = self._pairs[::every]
            self._pairs = [pair for pair in self._pairs if pair not in cut]
        for pair in cut:
            _end(*pair)
        return len(cut)

    def close(self) -> None:
        """Take no more, and cut all."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


def _hand_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    _end(one, other)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def proxy(port: int, host: str = "127.0.0.1") -> Iterator[TcpProxy]:
    """Stand in front of a server for as long as the block lasts."""
    found = TcpProxy(host, port)
    threading.Thread(target=found.serve, daemon=True).start()
    try:
        yield found
    finally:
        found.close()
