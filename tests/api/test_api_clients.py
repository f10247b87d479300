"""Clients that are generated from the API's description: they compile, and make the calls of the docs."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from api_server import ROOT, ApiServer

# The module that takes the docs apart is beside the tests of the docs.
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import pages

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

CALLS = Path(__file__).parent / "clients"
PLACE = ROOT / ".venv-clients"
SEEN = {
    "created": 201,
    "code": "price-alarm",
    "number": 1,
    "executions": [[True, "rest", 1]],
    "deliveries": [["hanmeimei@example.com", "pending"]],
    "patched": ["Cheaper", 45, 24],
    "previews": ["Cheaper", "New", "Tea costs 9 now."],
    "dry": {"name": "Wei"},
    "bulk": [[422, ["recipients[0].to", "subject"]]],
    "csv": "hanmeimei@example.com",
    "refused": [422, ["recipients[0].to"]],
    "may": True,
    "channels": [
        ["email", "subject", False],
        ["sms", "content", False],
        ["websocket", "title", False],
        ["app", "title", False],
    ],
    "next": [2, False],
    "rejected": 0,
    "help": "发送短信",
    "deleted": 204,
}


@pytest.fixture(scope="module", autouse=True)
def generators() -> None:
    """What generates and compiles the clients, in a venv of its own."""
    installed = subprocess.run([ROOT / "scripts" / "install", "clients"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"The generators of clients cannot be installed here: {installed.stderr.strip()[-300:]}")


@pytest.fixture
def description(server: ApiServer, tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_bytes(server.call("GET", "/push/openapi.json").data)
    return path


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_typescript(server: ApiServer, description: Path, tmp_path: Path) -> None:
    modules = PLACE / "node_modules"
    node = PLACE / "bin" / "node"
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_bytes((CALLS / "package.json").read_bytes())
    (tmp_path / "calls.ts").write_bytes((CALLS / "calls.ts").read_bytes())
    run(node, modules / "openapi-typescript" / "bin" / "cli.js", description, "--output", "schema.ts", cwd=tmp_path)
    options = ["--noEmit", "--strict", "--target", "esnext", "--module", "nodenext", "--allowImportingTsExtensions"]
    run(node, modules / "typescript" / "bin" / "tsc", *options, "calls.ts", cwd=tmp_path)
    check(run(node, "calls.ts", f"{server.url}/push", server.token("user"), cwd=tmp_path))


def test_python(server: ApiServer, description: Path, tmp_path: Path) -> None:
    python = PLACE / "bin" / "python"
    (tmp_path / "calls.py").write_bytes((CALLS / "calls.py").read_bytes())
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")  # it would format what it has made
    options = ["--meta", "none", "--config", "config.yaml", "--fail-on-warning", "--output-path", "push_client"]
    run(python, "-m", "openapi_python_client", "generate", *options, "--path", description, cwd=tmp_path)
    # Its client.py passes the arguments of __exit__ on untyped.
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-push_client.client]\nignore_errors = true\n")
    run(python, "-m", "mypy", "calls.py", "push_client", cwd=tmp_path)
    check(run(python, "calls.py", f"{server.url}/push", server.token("op"), cwd=tmp_path))


def check(printed: str) -> None:
    """What a client's calls printed: that they are those of the docs, and what came back."""
    said = json.loads(printed)
    # A trigger that came before the DAG was asked for again.
    assert [call for call, _ in itertools.groupby(said["requests"])] == calls_of(pages.ENGLISH.commands())
    assert said["seen"] == SEEN


def calls_of(commands: Sequence[str]) -> list[list[Any]]:
    """Method, path, Idempotency-Key and body of each ``curl`` that asks the push API."""
    found = []
    for command in commands:
        words = shlex.split(command)
        url = next((word for word in words if "/push/v1/" in word), None)
        if words[0] == "curl" and url:
            following = list(itertools.pairwise(words))
            headers = dict(value.split(": ", 1) for option, value in following if option == "-H")
            options = dict(following)
            body = json.loads(options["-d"]) if "-d" in options else None
            parts = urlsplit(url)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            found.append([options.get("-X", "GET"), path, headers.get("Idempotency-Key"), body])
    return found
