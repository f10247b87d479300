"""The sandbox as a process of its own, as users start it, for the tests beside this file."""

from __future__ import annotations

import http.client
import json
import re
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_READY = re.compile(
    r"Sandbox is ready: smtp 127\.0\.0\.1:(\d+), mailbox http://127\.0\.0\.1:(\d+)/, kafka 127\.0\.0\.1:\d+\n"
)


@dataclass
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RunningSandbox:
    """A sandbox process and its two servers."""

    process: subprocess.Popen[str]
    smtp_port: int
    http_port: int
    folder: Path

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=20)

    def request(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def send(self, source: bytes, to: str = "ann@example.com", sender: str = "push@example.com") -> str:
        """Send one mail, its line ends made CRLF, and return its id in the mailbox."""
        with self.smtp() as client:
            client.sendmail(sender, [to], re.sub(rb"\r?\n", b"\r\n", source))
        return str(self.request("/api/mails?limit=1").json()["items"][0]["id"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


Starter = Callable[..., AbstractContextManager[RunningSandbox]]


@contextmanager
def _start(folder: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[RunningSandbox]:
    command = [*prefix, sys.executable, "-m", "push_provider.sandbox", "--folder", str(folder)]
    ports = ["--smtp-port", "0", "--http-port", "0", "--kafka-port", "0"]
    with subprocess.Popen([*command, *ports, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = _READY.fullmatch(line)
            assert ready, f"no ready line but {line!r}"
            yield RunningSandbox(process, int(ready[1]), int(ready[2]), folder)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)


@pytest.fixture(scope="session")
def start_sandbox() -> Starter:
    """Starts a sandbox: ``with start_sandbox(folder, *options) as running``."""
    return _start


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with _start(tmp_path_factory.mktemp("mails")) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    """A running sandbox with an empty mailbox."""
    assert shared_sandbox.request("/api/mails", "DELETE").status == 200
    return shared_sandbox
