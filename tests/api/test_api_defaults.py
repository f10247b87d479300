"""Default configurations over HTTP: marked by Airflow's own API, by ours, and on the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from airflow_commands import AirflowCommands
from api_server import ROOT

if TYPE_CHECKING:
    import subprocess

    from api_server import Answer, ApiServer

pytestmark = pytest.mark.slow

KNOWN = "push_aliyun_sms_default"


class Desk:
    """Connections of the channel sms, and which of them is the default."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    def add(self, conn_id: str, conn_type: str = "push_aliyun_sms", **extra: Any) -> None:
        fields = {"connection_id": conn_id, "conn_type": conn_type, "login": f"LTAI{conn_id}", "password": "x"}
        answer = self.server.call("POST", "/api/v2/connections", {**fields, "extra": json.dumps(extra)})
        assert answer.status == 201, answer

    def change(self, conn_id: str, **extra: Any) -> None:
        body = {"connection_id": conn_id, "conn_type": "push_aliyun_sms", "extra": json.dumps(extra)}
        answer = self.server.call("PATCH", f"/api/v2/connections/{conn_id}", body, update_mask="extra")
        assert answer.status == 200, answer

    def remove(self, conn_id: str) -> None:
        self.server.call("DELETE", f"/api/v2/connections/{conn_id}")

    def make(self, conn_id: str, **options: Any) -> Answer:
        return self.server.push("PUT", f"/configs/{conn_id}/default", **options)

    def configs(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.server.push("GET", "/configs").json["items"]
        return [item for item in items if item["channel"] == "sms"]

    def default(self) -> str | None:
        """None for the moment in which the default one is gone, and nobody has noticed."""
        found = [str(item["id"]) for item in self.configs() if item["is_default"]]
        assert len(found) <= 1
        return found[0] if found else None

    def await_default(self, conn_id: str) -> None:
        deadline = time.monotonic() + 30
        while self.default() != conn_id:
            assert time.monotonic() < deadline, f"{conn_id} is not the default"
            time.sleep(0.1)

    def marks(self) -> dict[str, Any]:
        """What each connection's extra says."""
        answer = self.server.call("GET", "/api/v2/connections", limit=100)
        extras = {one["connection_id"]: json.loads(one["extra"] or "{}") for one in answer.json["connections"]}
        return {name: extra["is_default"] for name, extra in extras.items() if "is_default" in extra}


@pytest.fixture
def desk(server: ApiServer) -> Iterator[Desk]:
    desk = Desk(server)
    desk.add(KNOWN)
    desk.add("one")
    desk.add("two", sign_name="推送")
    yield desk
    for conn_id in (KNOWN, "one", "two", "off", "web"):
        desk.remove(conn_id)
    deadline = time.monotonic() + 30
    while server.rows("SELECT 1 FROM push_default WHERE channel = 'sms'"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_marks_of_airflow_s_own_api_are_noticed(desk: Desk) -> None:
    assert desk.default() == KNOWN
    desk.change("one", is_default=True)
    desk.await_default("one")
    desk.change("two", is_default=True, sign_name="推送")
    desk.await_default("two")
    assert {name: mark for name, mark in desk.marks().items() if name in ("one", "two")} == {"one": False, "two": True}
    (two,) = [item for item in desk.configs() if item["id"] == "two"]
    assert two["settings"] == {"sign_name": "推送"}
    desk.remove("two")
    desk.await_default(KNOWN)


def test_a_default_is_made(desk: Desk) -> None:
    code = desk.server.create(channel="sms", content="{}", subject=None, recipients=["13800138000"])
    for conn_id in ("one", "two", "two", KNOWN, "one"):
        assert desk.make(conn_id).status == 204
        assert desk.default() == conn_id
        found = {
            name: [item["code"] for item in desk.server.push("GET", "/tasks", sender=name, channel="sms").json["items"]]
            for name in (KNOWN, "one", "two")
        }
        assert found == {KNOWN: [], "one": [], "two": [], conn_id: [code]}
    marks = desk.marks()
    assert {name: marks[name] for name in (KNOWN, "one", "two")} == {KNOWN: False, "one": True, "two": False}
    assert json.loads(desk.server.log("push_default_config")[-1].extra) == {"config": "one"}


def test_a_connection_of_type_smtp_is_listed(server: ApiServer) -> None:
    body = {"connection_id": "relay", "conn_type": "smtp", "host": "mail.example", "login": "r@example.com"}
    server.call("POST", "/api/v2/connections", {**body, "extra": json.dumps({"enabled": "no", "client_secret": "x"})})
    try:
        (relay,) = [item for item in server.push("GET", "/configs").json["items"] if item["id"] == "relay"]
        assert (relay["channel"], relay["enabled"], relay["is_default"]) == ("email", False, False)
        assert (relay["sender"], relay["settings"]) == ("r@example.com", {})
    finally:
        server.call("DELETE", "/api/v2/connections/relay")


def test_two_at_once(desk: Desk) -> None:
    names = ["one", "two"] * 4
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status for answer in pool.map(desk.make, names)} == {204}
    winner = desk.default()
    assert [name for name, mark in desk.marks().items() if mark and name in (KNOWN, "one", "two")] == [winner]


def test_what_cannot_be_the_default(desk: Desk) -> None:
    desk.add("off", enabled=False)
    desk.add("web", "http")
    for conn_id, status, code, words in (
        ("nobody", 404, "unknown-config", "There is no connection 'nobody'"),
        ("web", 404, "unknown-config", "is of type 'http'"),
        ("off", 409, "configuration", "Connection 'off' is disabled; enable it"),
    ):
        answer = desk.make(conn_id)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert words in answer.json["detail"]
    assert desk.make("one", role="user").status == 403
    assert desk.default() == KNOWN


def test_on_the_command_line(desk: Desk) -> None:
    with AirflowCommands(desk.server.env, ROOT) as commands:

        def default(*arguments: str) -> subprocess.CompletedProcess[str]:
            return commands.run("push", "default", *arguments, "--output", "json")

        done = default("sms", "two")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [{"channel": "sms", "config": "two", "is_marked": "True"}]
        assert desk.default() == "two"
        refused = default("email", "one")
        assert refused.returncode == 1
        assert "'one' is of type 'push_aliyun_sms', so of channel 'sms' and not 'email'" in refused.stderr
        assert "There is no channel 'pigeon'" in default("pigeon").stderr
        desk.change("two")
        desk.await_default(KNOWN)
        shown = {row["channel"]: row for row in json.loads(default().stdout)}
        assert shown["sms"] == {"channel": "sms", "config": KNOWN, "is_marked": "False"}
