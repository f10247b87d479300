"""The page that listens, as the docs have it: run by Node.js, against what ``./scripts/run`` starts."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pages
import pytest
from live import node, token

from sandbox.centrifugo_account import API_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from live import Live

pytestmark = pytest.mark.slow


@contextmanager
def client(live: Live, folder: Path, user: str) -> Iterator[Iterator[str]]:
    """The worked client of a user: the lines that it prints."""
    (script,) = pages.Pages(("docs/en/websocket.md",)).blocks("javascript")
    assert len(script.splitlines()) <= 24
    command = node(folder, script, live.url, f"push:#{user}", token(user))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield (line.rstrip() for line in process.stdout)
        process.kill()


def publish(live: Live, *numbers: int) -> None:
    """Publish by the server API, as the platform does."""
    for number in numbers:
        message = {"id": f"m{number}", "title": f"No. {number}", "content": "text"}
        body = json.dumps({"channel": "push:#lilei", "data": message}).encode()
        request = urllib.request.Request(f"{live.address}/api/publish", body, {"X-API-Key": API_KEY})
        urllib.request.urlopen(request, timeout=20).close()


def test_it_shows_what_was_there_and_what_comes_once_and_in_order(live: Live, tmp_path: Path) -> None:
    publish(live, 1, 2, 2)
    with client(live, tmp_path / "node", "lilei") as lines:
        assert [next(lines), next(lines)] == ["No. 1 text", "No. 2 text"]
        publish(live, 2, 3)
        assert next(lines) == "No. 3 text"
        assert live.server is not None
        live.server.cut("lilei")
        publish(live, 4, 5)
        assert [next(lines), next(lines)] == ["No. 4 text", "No. 5 text"]
