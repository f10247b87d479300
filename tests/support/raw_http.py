"""HTTP servers that say whatever they like, byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

Server = Callable[[socket.socket], None]


@contextmanager
def serving(answer: Server) -> Iterator[tuple[str, list[bytes]]]:
    """A server whose every connection is answered by ``answer``; its address, and what it was asked."""
    asked: list[bytes] = []
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def one(sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as received:
            while not over.is_set():
                try:
                    request = _request(received)
                    if not request:
                        return
                    asked.append(request)
                    answer(sock)
                except OSError:
                    return

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=[sock], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        over.set()
        listener.close()


def whole(data: bytes) -> Server:
    """Say this at once."""
    return lambda sock: sock.sendall(data)


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Server:
    """Say this, and then the piece for as long as somebody listens."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(piece)
            time.sleep(pause)

    return answer


def _request(received: BinaryIO) -> bytes:
    """One request with its body; nothing if there is none any more."""
    head, length = b"", 0
    for line in received:
        head += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
        if line == b"\r\n":
            return head + received.read(length)
    return b""
