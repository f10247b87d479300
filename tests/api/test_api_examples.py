"""The example push tasks, through each door by which a task comes in: nothing that ships is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from api_server import ROOT

from push_provider.kafka import admission, messages
from push_provider.ledger import tasks

if TYPE_CHECKING:
    from api_server import ApiServer

pytestmark = pytest.mark.slow

FILES = sorted((ROOT / "include" / "tasks").glob("*.yaml"))


def documents(suffix: str) -> list[dict[str, Any]]:
    """The tasks of all files, under codes of the caller's own."""
    read = [yaml.safe_load(file.read_text("utf-8")) for file in FILES]
    assert len(read) >= 4
    return [{**document, "code": f"{document['code']}-{suffix}"} for document in read]


def kept(server: ApiServer, codes: list[str]) -> list[str]:
    return [tasks.get(server.ledger, code).code for code in codes]


def test_on_the_command_line(server: ApiServer) -> None:
    command = [str(Path(sys.executable).with_name("airflow")), "push", "apply", "--output", "json", *map(str, FILES)]
    done = subprocess.run(command, env=server.env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["action"] for row in json.loads(done.stdout)} == {"created"}
    kept(server, [row["code"] for row in json.loads(done.stdout)])


def test_by_rest(server: ApiServer) -> None:
    for document in documents("rest"):
        answer = server.push("POST", "/tasks", document, dry_run="true")
        assert answer.status == 200, answer
        answer = server.push("POST", "/tasks", document)
        assert answer.status == 201, answer


def test_by_kafka(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__INCLUDE_DIR", str(ROOT / "include"))
    defines = documents("kafka")
    value = json.dumps([{"define": document} for document in defines]).encode()
    orders = messages.read(topic="examples", partition=0, offset=0, value=value)
    taken = admission.take(server.ledger, orders)
    assert (list(taken.rejected), taken.defined) == ([], len(defines))
    kept(server, [document["code"] for document in defines])
