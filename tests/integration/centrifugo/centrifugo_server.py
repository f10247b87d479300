"""The real Centrifugo for tests: built from the Go module proxy where ``go`` is found, configured as the docs say."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ports import free_port

from sandbox.centrifugo_account import API_KEY, TOKEN_SECRET

ROOT = Path(__file__).parents[3]
MODULE = "github.com/centrifugal/centrifugo/v6@v6.9.1"


class RealCentrifugo:
    """One node.

    :param folder: where its configuration is.
    :param binary: of Centrifugo; see :func:`build`.
    :param redis: port of the Redis that joins it to others; None: it keeps all in memory.
    """

    def __init__(self, folder: Path, binary: Path, redis: int | None = None) -> None:
        self._redis = redis
        self._folder = folder
        self._binary = binary
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "config.json").write_text(json.dumps(configuration()))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "CENTRIFUGO_HTTP_SERVER_ADDRESS": "127.0.0.1",
            "CENTRIFUGO_HTTP_SERVER_PORT": str(self.port),
            "CENTRIFUGO_HEALTH_ENABLED": "true",
            "CENTRIFUGO_LOG_LEVEL": "error",
            "CENTRIFUGO_USAGE_STATS_DISABLED": "true",
        }
        if self._redis is not None:
            options |= {
                "CENTRIFUGO_ENGINE_TYPE": "redis",
                "CENTRIFUGO_ENGINE_REDIS_ADDRESS": f"redis://127.0.0.1:{self._redis}",
            }
        command = [str(self._binary), "--config", str(self._folder / "config.json")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **options}, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while not self._answers():
            said = (self._folder / "log").read_text()[-2000:]
            assert self._process.poll() is None, f"Centrifugo ended: {said}"
            assert time.monotonic() < until, f"Centrifugo does not answer: {said}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A Redis of the tests' own: its port."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while not _listens(port):
                assert process.poll() is None, "Redis ended"
                assert time.monotonic() < until, "Redis does not answer"
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def configuration() -> dict[str, object]:
    """What the docs say that Centrifugo needs, with the secrets of the sandbox."""
    sys.path.insert(0, str(ROOT / "tests" / "docs"))
    import pages

    blocks = pages.Pages(("docs/en/websocket.md",)).blocks("text")
    (text,) = [block for block in blocks if '"namespaces"' in block]
    filled = text.replace("<API key>", API_KEY).replace("<HMAC secret>", TOKEN_SECRET)
    found: dict[str, object] = json.loads(filled)
    return found


def why_not() -> str | None:
    """What is missing, if anything."""
    if not os.environ.get("PUSH_REAL_CENTRIFUGO"):
        return "PUSH_REAL_CENTRIFUGO is not set: building Centrifugo takes some minutes of two processors"
    return None if shutil.which("go") else "go is not installed"


def build(folder: Path) -> Path:
    """Centrifugo's program; it takes some minutes the first time.

    :param folder: where it stays.
    """
    binary = folder / "centrifugo"
    if not binary.exists():
        env = {**os.environ, "GOBIN": str(folder), "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        # It says its version to whoever asks, and is told it when it is built.
        path, _, version = MODULE.partition("@v")
        named = f"-X {path}/internal/build.Version={version}"
        command = ["go", "install", "-ldflags", named, MODULE]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return binary
