"""Servers that want to keep whoever calls them: without an end in time, in octets, in where they lead."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import requests
from raw_http import Server, endless, serving, whole
from urllib3.exceptions import ConnectTimeoutError

from push_provider.connections.bounded_http import (
    ANSWER_BYTES,
    AnswerLeadsElsewhere,
    AnswerTooLong,
    TlsFailed,
    bounded_session,
)

OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(b"\0" * (ANSWER_BYTES * 8))


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (whole(OK + b"Content-Length: 5\r\n\r\nhello"), b"hello"),
        (whole(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), b"hello"),
        (
            whole(
                OK
                + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(b"hello"))
                + gzip.compress(b"hello")
            ),
            b"hello",
        ),
        (whole(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"), b"no"),
        (whole(b"HTTP/1.1 204 Empty\r\n\r\n"), b""),
    ],
    ids=["plain", "chunked", "packed", "an error", "nothing"],
)
def test_an_answer_as_it_should_be(answer: Server, body: bytes) -> None:
    with serving(answer) as (url, asked), bounded_session(timeout=10, connections=1) as session:
        answers = [session.get(url) for _ in range(3)]
    assert [one.content for one in answers] == [body] * 3
    assert len(asked) == 3


def test_a_connection_is_kept() -> None:
    ports = []

    def answer(sock: socket.socket) -> None:
        ports.append(sock.getpeername()[1])
        sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")

    with serving(answer) as (url, _), bounded_session(timeout=10, connections=1) as session:
        for _ in range(3):
            assert session.get(url).text == "ok"
    assert len(set(ports)) == 1


def test_an_answer_that_closes_its_connection_is_read_whole() -> None:
    def answer(sock: socket.socket) -> None:
        sock.sendall(OK + b"Connection: close\r\n\r\n" + b"x" * 100_000)
        sock.shutdown(socket.SHUT_WR)

    with serving(answer) as (url, _), bounded_session(timeout=10, connections=1) as session:
        assert len(session.get(url).content) == 100_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (endless(b"", b"H", 0.05), requests.Timeout),
        (endless(OK, b"X", 0.05), requests.Timeout),
        (endless(OK + b"Content-Length: 1000000\r\n\r\n", b"x", 0.05), requests.Timeout),
        (endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.05), requests.Timeout),
        (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05), requests.Timeout),
        (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), AnswerTooLong),
        (endless(OK + b"Connection: close\r\n\r\n", b"x" * 65536), AnswerTooLong),
        (endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000), AnswerTooLong),
        (whole(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB), AnswerTooLong),
        (
            whole(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            AnswerLeadsElsewhere,
        ),
        (whole(b"HTTP/1.1 308 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), AnswerLeadsElsewhere),
        (whole(OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"), requests.ConnectionError),
        (whole(OK + b"".join(b"X%d: y\r\n" % n for n in range(1000)) + b"\r\n"), requests.ConnectionError),
    ],
    ids=[
        "a slow status",
        "a slow head",
        "a slow body",
        "slow chunks",
        "slow promises",
        "promises without an end",
        "a body without an end",
        "chunks without an end",
        "a bomb",
        "elsewhere",
        "elsewhere for good",
        "packed in no way",
        "a thousand headers",
    ],
)
def test_an_answer_has_an_end(answer: Server, error: type[Exception]) -> None:
    timeout = 0.5 if error is requests.Timeout else 60  # a mebibyte takes a busy machine its time
    with serving(answer) as (url, asked), bounded_session(timeout=timeout, connections=1) as session:
        with pytest.raises(requests.RequestException) as raised:
            session.post(url, data=b"signed")
        chain, link = [], raised.value
        while link is not None and link not in chain:
            chain.append(link)
            link = next((arg for arg in (*link.args, link.__cause__) if isinstance(arg, BaseException)), None)
    assert any(isinstance(link, error) for link in chain), chain
    assert len(asked) == 1  # and nobody was asked twice


@contextmanager
def no_tls(treat: Callable[[socket.socket], object] | None) -> Iterator[str]:
    """The address of a server that takes connections and makes no TLS of them.

    :param treat: what it does with each; None has the system alone take them, and nobody answers.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    with sock:
                        if treat is not None:
                            treat(sock)

        thread = threading.Thread(target=serve)
        if treat is not None:
            thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            if treat is not None:
                thread.join()


def cut(sock: socket.socket) -> None:
    sock.recv(1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # which resets it


@pytest.mark.parametrize(
    ("treat", "error"),
    [
        (None, ConnectTimeoutError),
        (cut, TlsFailed),
        (lambda sock: sock.recv(1000), TlsFailed),
        (lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), TlsFailed),
    ],
    ids=["silent", "reset", "closed", "speaks HTTP"],
)
def test_a_connection_without_tls_was_never_made(
    treat: Callable[[socket.socket], object] | None, error: type[Exception]
) -> None:
    timeout = 0.3 if treat is None else 60
    with no_tls(treat) as url, bounded_session(timeout=timeout, connections=1) as session:
        with pytest.raises(requests.ConnectionError) as raised:
            session.post(url, data=b"signed")
        assert isinstance(raised.value, requests.ConnectTimeout) == (treat is None)
        assert type(raised.value.args[0].reason) is error


def test_a_call_may_give_its_own_time() -> None:
    with (
        serving(endless(b"", b"H", 0.05)) as (url, _),
        bounded_session(timeout=1000, connections=1) as session,
        pytest.raises(requests.Timeout),
    ):
        session.get(url, timeout=(5, 0.3))
