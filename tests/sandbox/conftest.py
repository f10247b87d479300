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
from alibabacloud_dysmsapi20170525 import models
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from browser import CHROMIUM, launched

from sandbox.sms_account import SIGN_NAME, TEMPLATE_CODE
from sandbox.sms_signature import access_key

_READY = re.compile(
    r"Sandbox is ready: smtp 127\.0\.0\.1:(\d+), sms http://127\.0\.0\.1:(\d+)/, "
    r"mailbox http://127\.0\.0\.1:(\d+)/, kafka 127\.0\.0\.1:\d+, centrifugo http://127\.0\.0\.1:(\d+)/\n"
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
    """A sandbox process and its servers."""

    process: subprocess.Popen[str]
    smtp_port: int
    sms_port: int
    http_port: int
    centrifugo_port: int
    folder: Path

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=20)

    def request(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None
    ) -> Answer:
        """One request to the page's server; a body goes as JSON."""
        sent = {"Content-Type": "application/json", **(headers or {})} if body is not None else headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def send(self, source: bytes, to: str = "ann@example.com", sender: str = "push@example.com") -> str:
        """Send one mail, its line ends made CRLF, and return its id in the mailbox."""
        with self.smtp() as client:
            client.sendmail(sender, [to], re.sub(rb"\r?\n", b"\r\n", source))
        return str(self.request("/api/mails?limit=1").json()["items"][0]["id"])

    def sms(self) -> Client:
        """Aliyun's SDK, calling this sandbox with its key."""
        key, secret = access_key()
        return Client(
            Config(
                access_key_id=key,
                access_key_secret=secret,
                endpoint=f"127.0.0.1:{self.sms_port}",
                protocol="http",
            )
        )

    def send_sms(self, phone: str = "13800000001", code: str = "1234", **fields: str) -> str:
        """Send one SMS by the sandbox's test template, and return its id in the sandbox."""
        request = models.SendSmsRequest(
            phone_numbers=phone,
            sign_name=SIGN_NAME,
            template_code=TEMPLATE_CODE,
            template_param=json.dumps({"code": code}),
            **fields,
        )
        assert self.sms().send_sms(request).body.code == "OK"
        return str(self.request("/api/sms?limit=1").json()["items"][0]["id"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


Starter = Callable[..., AbstractContextManager[RunningSandbox]]


@contextmanager
def _start(folder: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[RunningSandbox]:
    command = [*prefix, sys.executable, "-m", "sandbox", "--folder", str(folder)]
    ports = ["--smtp-port", "0", "--sms-port", "0", "--http-port", "0", "--kafka-port", "0", "--centrifugo-port", "0"]
    with subprocess.Popen([*command, *ports, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = _READY.fullmatch(line)
            assert ready, f"no ready line but {line!r}"
            yield RunningSandbox(process, *map(int, ready.groups()), folder)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(120)


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
    """A running sandbox without mails, SMS and faults."""
    for path in ("/api/mails", "/api/sms", "/control/sms/calls", "/control/sms/faults"):
        assert shared_sandbox.request(path, "DELETE").status == 200
    assert shared_sandbox.request("/control/sms/receipts", "PUT", body={"seconds": 0}).status == 200
    return shared_sandbox


@pytest.fixture
def visit():
    """Opens pages of the sandbox in a browser that a test drives; every script error fails the test."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    errors = []
    with launched() as browser:

        def open_page(url, **options):
            page = browser.new_context(**options).new_page()
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(url)
            return page

        yield open_page
    assert errors == []
