"""Servers that would keep a connection for ever: everything that is said with one has an end, in time and in memory."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from mail_content import File, Templates
from peaks import PEAK

from push_provider.channels.base import Delivery, Job
from push_provider.channels.email.sender import EmailSender
from push_provider.channels.email.smtp_config import SmtpConfig, Tls
from push_provider.channels.email.smtp_session import connect
from push_provider.exceptions import ProviderUnavailable
from push_provider.hooks import email
from push_provider.hooks.email import PushEmailHook

Account = Callable[..., SmtpConfig]
Serve = Callable[[socket.socket], None]
TIMEOUT = 0.4
LONGEST = 20.0
"""Seconds within which everything here ends, on a busy machine; without an end it would be 100 and more."""


@contextmanager
def serving(serve: Serve, *, buffer: int = 8192) -> Iterator[int]:
    """The port of a server that treats each connection so, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sockets: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    sockets.append(sock)
                    threading.Thread(target=treat, args=(sock,), daemon=True).start()

        def treat(sock: socket.socket) -> None:
            with contextlib.suppress(OSError), sock:
                serve(sock)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for sock in sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def drip(sock: socket.socket, said: bytes, pause: float = TIMEOUT / 4) -> None:
    for byte in said:
        sock.sendall(bytes([byte]))
        time.sleep(pause)


def drip_the_banner(sock: socket.socket) -> None:
    drip(sock, b"220 " + b"x" * 5000)


def drip_the_handshake(sock: socket.socket) -> None:
    drip(sock, b"\x16\x03\x03\x40\x00" + b"\0" * 5000)


def drip_lines_of_ehlo(sock: socket.socket) -> None:
    sock.sendall(b"220 hello\r\n")
    sock.recv(100)
    for number in count():
        sock.sendall(b"250-X%d\r\n" % number)
        time.sleep(TIMEOUT / 4)


def flood_with_ehlo(sock: socket.socket) -> None:
    sock.sendall(b"220 hello\r\n")
    sock.recv(100)
    while True:
        sock.sendall(b"250-SIZE\r\n" * 10_000)


def flood_with_a_line(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"220 " + b"x" * 100_000)


def each_answer_late(sock: socket.socket) -> None:
    """Each just in time, and all of them not."""
    time.sleep(TIMEOUT * 0.7)
    sock.sendall(b"220 hello\r\n")
    for number in count():
        sock.recv(1000)
        time.sleep(TIMEOUT * 0.7)
        sock.sendall(b"250-hello\r\n250 AUTH LOGIN\r\n" if number == 0 else b"334 VXNlcm5hbWU6\r\n")


def challenge_for_ever(sock: socket.socket) -> None:
    sock.sendall(b"220 hello\r\n")
    sock.recv(100)
    sock.sendall(b"250-hello\r\n250 AUTH LOGIN\r\n")
    sock.recv(100)
    drip(sock, b"334-" + b"x" * 5000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("serve", "tls"),
    [
        (drip_the_banner, Tls.NONE),
        (drip_the_handshake, Tls.IMPLICIT),
        (drip_lines_of_ehlo, Tls.NONE),
        (flood_with_ehlo, Tls.NONE),
        (flood_with_a_line, Tls.NONE),
        (each_answer_late, Tls.NONE),
        (challenge_for_ever, Tls.NONE),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_connecting_has_an_end(serve: Serve, tls: Tls, account: Account) -> None:
    with serving(serve) as port:
        begin = time.monotonic()
        config = account(port, timeout=TIMEOUT, tls=tls, user="ann", password="s3cret", verify=False)
        with pytest.raises(ProviderUnavailable, match="push_email_test"):
            connect(config)
        assert time.monotonic() - begin < LONGEST


def test_an_endless_reply_takes_no_memory() -> None:
    # Measured from outside: the kernel says what the process has taken. It was 400 MiB, and went on.
    program = (
        PEAK
        + """
import sys
from push_provider.exceptions import ProviderUnavailable
from push_provider.channels.email.smtp_config import SmtpConfig, Tls
from push_provider.channels.email.smtp_session import connect
before = peak()
try:
    connect(SmtpConfig(connection="c", host="127.0.0.1", port=int(sys.argv[1]), tls=Tls.NONE, from_email="a@b.cn"))
except ProviderUnavailable as error:
    assert "its reply has no end" in str(error), error
    print(before, peak())
"""
    )
    with serving(flood_with_ehlo) as port:
        begin = time.monotonic()
        child = subprocess.Popen([sys.executable, "-c", program, str(port)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child.stdout:
            before, most = map(int, child.stdout.read().split())
        assert child.wait() == 0
    assert most - before < 20 * 1024
    assert time.monotonic() - begin < 90


@pytest.mark.parametrize("serve", [drip_the_banner, drip_lines_of_ehlo])
def test_a_test_of_a_connection_has_an_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "_TEST_SECONDS", 0.5)
    with serving(serve) as port:
        uri = f"push-email://shop%40example.com@127.0.0.1:{port}/?timeout=30&ignore_tls=true"
        monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_SLOW", uri)
        begin = time.monotonic()
        ok, said = PushEmailHook("push_email_slow").test_connection()
        assert (ok, time.monotonic() - begin < LONGEST) == (False, True), said
        assert "push_email_slow" in said


def test_a_test_that_has_logged_in_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip_behind_mail(sock: socket.socket) -> None:
        sock.sendall(b"220 hello\r\n")
        sock.recv(1000)
        sock.sendall(b"250 hello\r\n")
        sock.recv(1000)
        drip(sock, b"250 " + b"x" * 5000, 0.1)

    monkeypatch.setattr(email, "_TEST_SECONDS", 1.0)
    with serving(drip_behind_mail) as port:
        uri = f"push-email://shop%40example.com@127.0.0.1:{port}/?timeout=30&ignore_tls=true"
        monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_SLOW", uri)
        begin = time.monotonic()
        ok, said = PushEmailHook("push_email_slow").test_connection()
        assert (ok, time.monotonic() - begin < LONGEST) == (False, True), said


# --- sending ----------------------------------------------------------------------------------------------

LARGE = Templates("Hello", "Dear you", attachments=(File("a.bin", b"x" * 6_000_000, "application/octet-stream"),))
EXTENSIONS = b"250-PIPELINING\r\n250 8BITMIME\r\n"


def taking(pause: float, amount: int, answer: Callable[[socket.socket, int], Any] | None = None) -> Serve:
    """Takes a content by this amount, and waits before each."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"220 hello\r\n")
        sock.recv(1000)
        sock.sendall(EXTENSIONS)
        for number, said in enumerate((b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n")):
            if number == 0:
                sock.recv(1000)
            sock.sendall(said)
        seen = b""
        while not seen.endswith(b"\r\n.\r\n"):
            time.sleep(pause)
            seen = (seen + sock.recv(amount))[-5:]
        (answer or (lambda sock, _: sock.sendall(b"250 taken\r\n")))(sock, 0)
        sock.recv(1000)

    return serve


def send(config: SmtpConfig, content: Any) -> Any:
    with EmailSender(config, content, Job(1, "cd" * 16)) as sender:
        (outcome,) = sender.send([Delivery(1, "r1@example.org", {})])
    return outcome


@pytest.mark.parametrize(
    ("serve", "content", "result"),
    [
        (taking(TIMEOUT / 4, 1000), LARGE, "retry"),  # 2,500 bytes every tenth of a second, for a content of 8 MB
        (taking(0, 100_000, lambda sock, _: drip(sock, b"250 " + b"x" * 5000)), Templates("a", "b"), "unknown"),
        (taking(0, 100_000, lambda sock, _: [drip(sock, b"250-x\r\n", 0.02) for _ in range(500)]), LARGE, "unknown"),
    ],
    ids=["content taken by the byte", "answer by the byte", "answer without an end"],
)
def test_sending_has_an_end(serve: Serve, content: Any, result: str, account: Account) -> None:
    with serving(serve) as port:
        begin = time.monotonic()
        outcome = send(account(port, timeout=TIMEOUT), content)
        assert (outcome.result, outcome.code) == (result, "timeout")
        assert time.monotonic() - begin < 3 * LONGEST


@pytest.mark.slow
def test_a_slow_server_that_goes_on_has_all_the_time_it_needs(account: Account) -> None:
    files = (File("a.bin", b"x" * 12_000_000, "application/octet-stream"),)
    with serving(taking(0.015, 100_000), buffer=1 << 18) as port:
        begin = time.monotonic()
        assert send(account(port, timeout=2.0), Templates("Hello", "Dear you", attachments=files)).result == "sent"
        assert time.monotonic() - begin > 2.0


def test_a_connection_of_the_hook_outlives_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(sock: socket.socket) -> None:
        sock.sendall(b"220 hello\r\n")
        while sock.recv(1000):
            sock.sendall(b"250 ok\r\n")

    with serving(answer) as port:
        uri = f"push-email://shop%40example.com@127.0.0.1:{port}/?timeout=1&ignore_tls=true"
        monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_SLOW", uri)
        with PushEmailHook("push_email_slow") as hook:
            client = hook._smtp_client
            assert client is not None
            client._end = None if client._end is None else 0.0  # its time is over, if it still has one
            assert client.noop() == (250, b"ok")
