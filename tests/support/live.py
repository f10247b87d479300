"""The sandbox's Centrifugo for tests, connections to it, and real clients under Node.js that listen."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
import pytest

from sandbox.centrifugo_account import API_KEY, NAMESPACE, TOKEN_SECRET

if TYPE_CHECKING:
    from sandbox.centrifugo import Centrifugo

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".venv-clients"


class Live:
    """A Centrifugo and what a test asks of it.

    :param address: of its HTTP server.
    :param server: the sandbox's own; None for the real one.
    """

    def __init__(self, address: str, server: Centrifugo | None = None) -> None:
        self.address = address
        self.server = server
        self.url = f"ws{address.removeprefix('http')}/connection/websocket"

    def fields(self, **extra: Any) -> dict[str, Any]:
        """A connection to it, as ``AIRFLOW_CONN_…`` has it; ``password`` and ``conn_type`` may be given, too."""
        own = {"conn_type": "push_centrifugo", "password": API_KEY}
        own |= {name: extra.pop(name) for name in tuple(own) if name in extra}
        settings = {"address": self.address, "token_secret": TOKEN_SECRET, "namespace": NAMESPACE}
        return {**own, "extra": {**settings, **extra}}

    def connect(self, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
        """Make it the default configuration."""
        monkeypatch.setenv("AIRFLOW_CONN_PUSH_CENTRIFUGO_DEFAULT", json.dumps(self.fields(**extra)))

    @property
    def sent(self) -> list[tuple[str, dict[str, Any]]]:
        """What was published, oldest first: the user's id and the message."""
        assert self.server is not None
        mark = f"{NAMESPACE}:#"
        return [(one.channel.removeprefix(mark), msgspec.json.decode(one.data)) for one in self.server.streams.latest]


def token(user: str, secret: str = TOKEN_SECRET, **claims: Any) -> str:
    """A client's token."""
    return jwt.encode({"sub": user, **claims}, secret, algorithm="HS256")


def need_node() -> None:
    """Skip where the real client library cannot be installed."""
    installed = subprocess.run([ROOT / "scripts" / "install", "clients"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"The client library cannot be installed here: {installed.stderr.strip()[-300:]}")


def node(folder: Path, script: Path | str, *arguments: str) -> list[str]:
    """The command that runs a script where the client library is found; the script is copied into the folder.

    :param script: a file, or the text of one.
    """
    need_node()
    folder.mkdir(exist_ok=True)
    target = folder / "client.mjs"
    if isinstance(script, Path):
        shutil.copy(script, target)
    else:
        target.write_text(script)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(CLIENTS / "node_modules")
    return [str(CLIENTS / "bin" / "node"), str(target), *arguments]


class Listeners:
    """Real clients, in one process of Node.js."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._heard = threading.Condition()
        self.events: list[dict[str, Any]] = []
        """All that they said, in order."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._heard:
                self.events.append(json.loads(line))
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def tell(self, **command: Any) -> None:
        """Have them do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Events of one kind."""
        with self._heard:
            return [event for event in self.events if event["event"] == kind]

    def messages(self) -> dict[str, list[Any]]:
        """The titles of the messages that each user has got, in order."""
        found: dict[str, list[Any]] = {}
        for event in self.of("message"):
            found.setdefault(event["user"], []).append(event["data"].get("title"))
        return found

    def await_(self, done: Callable[[], Any], what: str, seconds: float = 60) -> None:
        """Wait until something is so."""
        until = time.monotonic() + seconds
        with self._heard:
            while not done():
                if self._process.poll() is not None or not self._heard.wait(max(0.0, until - time.monotonic())):
                    said = self.events[-3:]
                    raise AssertionError(f"{what}: not within {seconds:g} s, exit {self._process.poll()}, last {said}")

    def await_count(self, kind: str, count: int, seconds: float = 60) -> None:
        """Wait until there are so many events of a kind."""
        self.await_(lambda: len(self.of(kind)) >= count, f"{count} × {kind}", seconds)


@contextmanager
def listening(
    folder: Path, live: Live, users: Iterable[str], *, tokens: Mapping[str, str] = {}, **options: Any
) -> Iterator[Listeners]:
    """Real clients of these users, subscribed to their channels when the block begins.

    :param tokens: of users who have other than good ones; for them nothing is waited for.
    """
    people = {user: tokens.get(user) or token(user) for user in users}
    config = {"url": live.url, "namespace": NAMESPACE, "tokens": people, **options}
    command = node(folder, ROOT / "tests" / "support" / "listen.mjs")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = Listeners(process)
            found.tell(**config)
            found.await_count("subscribed", len(people.keys() - tokens.keys()), 120)
            yield found
        finally:
            process.kill()
