"""A channel that an installed package brings along: no line of ours knows it, and all that we offer is there for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "api"))
from api_server import ApiServer, simple_auth  # noqa: E402

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

pytestmark = pytest.mark.slow

SAMPLE = ROOT / "tests" / "samples" / "webhook_channel"
TOKEN = "a-token-of-the-hook"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package is installed into, by pip."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(SAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


class Hook(BaseHTTPRequestHandler):
    """Takes documents; refuses those of ``/refuses``."""

    got: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, self.headers["Authorization"], body))
        self.send_response(410 if self.path == "/refuses" else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hook() -> Iterator[str]:
    Hook.got = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def server(installed: Path, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    home = tmp_path_factory.mktemp("webhook") / "home"
    settings = {
        **simple_auth(home),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH")))),
        "AIRFLOW__PUSH__TEST_SENDS": "True",
        "AIRFLOW_CONN_PUSH_WEBHOOK_DEFAULT": json.dumps({"conn_type": "push_webhook", "password": TOKEN}),
    }
    with ApiServer.running(postgres, home, "webhook", settings) as running:
        yield running


def webhook(hook: str, **fields: Any) -> dict[str, Any]:
    return {
        "code": "orders",
        "name": "Orders",
        "channel": "webhook",
        "schedule": {"kind": "manual"},
        "event": "order-paid",
        "data": {"order": "{{ order }}", "for": "{{ name | default('somebody') }}"},
        "variables": {"order": "A-1"},
        "recipients": [f"{hook}/a", {"to": f"{hook}/b", "variables": {"name": "Li"}}, f"{hook}/refuses"],
        **fields,
    }


def test_its_configuration_has_a_form(server: ApiServer) -> None:
    forms = {form["connection_type"]: form for form in server.call("GET", "/ui/connections/hook_meta").json}
    form = forms["push_webhook"]
    assert form["hook_name"] == "Push Webhook"
    assert {"note", "enabled", "is_default", "apps"} <= form["extra_fields"].keys()


def test_its_fields_are_described(server: ApiServer) -> None:
    task = server.call("GET", "/push/openapi.json").json["components"]["schemas"]["PushTask"]
    assert task["properties"]["channel"]["enum"] == ["email", "sms", "websocket", "app", "webhook"]
    assert task["properties"]["event"]["description"] == ("Webhook: what has happened; field `event` of the document")
    assert "event" not in task["required"]


def test_pages_show_its_form(server: ApiServer) -> None:
    (channel,) = [one for one in server.push("GET", "/channels").json["items"] if one["name"] == "webhook"]
    assert [(field["name"], field["required"]) for field in channel["fields"]] == [("event", True), ("data", False)]
    (kind,) = channel["connection_types"]
    assert kind["label"] == "Push Webhook"
    assert {"password", "note", "enabled", "is_default", "apps"} <= {field["name"] for field in kind["fields"]}


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"event": None}, "event", "must be text; put it in quotes"),
        ({"recipients": ["a@example.com"]}, "recipients[0].to", "is no URL that begins with https://"),
        ({"data": {"event": "x"}}, "data", "has a field 'event'"),
        ({"subject": "s"}, "subject", "belongs to channel email; leave it out"),
        ({"data": {"order": "{{ order"}}, "content", "data.order"),
        ({"channel": "pigeon"}, "channel", "must be 'email', 'sms', 'websocket', 'app' or 'webhook'"),
    ],
)
def test_its_errors(server: ApiServer, hook: str, fields: dict[str, Any], field: str, words: str) -> None:
    answer = server.push("POST", "/tasks", webhook(hook, **fields))
    assert (answer.status, answer.fields) == (422, [field])
    assert words in answer.json["errors"][0]["message"]


def test_another_channel_s_task_takes_none_of_its_fields(server: ApiServer) -> None:
    mail = {"name": "n", "channel": "email", "subject": "s", "content": "c", "recipients": ["a@example.com"]}
    answer = server.push("POST", "/tasks", {**mail, "event": "x"})
    assert answer.json["errors"] == [{"field": "event", "message": "belongs to channel webhook; leave it out"}]


def test_it_is_previewed_and_becomes_a_dag_that_sends(server: ApiServer, hook: str) -> None:
    shown = server.push("POST", "/preview", {"task": webhook(hook), "variables": {"order": "A-2"}})
    assert shown.status == 200, shown
    assert shown.json["message"] == {"event": "order-paid", "order": "A-2", "for": "somebody"}

    assert server.push("POST", "/tasks", webhook(hook)).status == 201
    server.await_dag("orders")
    dag = server.call("GET", "/api/v2/dags/push__orders").json
    assert "webhook" in [tag["name"] for tag in dag["tags"]]
    assert dag["description"] == "webhook: order-paid to 3 recipients"
    (task,) = server.call("GET", "/api/v2/dags/push__orders/tasks").json["tasks"]
    assert task["operator_name"] == "ChannelPushOperator"

    command = [sys.executable, "-m", "airflow", "dags", "test", "push__orders"]
    done = subprocess.run(command, env=server.env, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
    assert Hook.got == [
        ("/a", f"Bearer {TOKEN}", {"event": "order-paid", "order": "A-1", "for": "somebody"}),
        ("/b", f"Bearer {TOKEN}", {"event": "order-paid", "order": "A-1", "for": "Li"}),
        ("/refuses", f"Bearer {TOKEN}", {"event": "order-paid", "order": "A-1", "for": "somebody"}),
    ], done.stdout[-3000:] + done.stderr[-3000:]
    deliveries = server.push("GET", "/deliveries", task="orders").json["items"]
    assert sorted((one["recipient"].rpartition("/")[2], one["state"]) for one in deliveries) == [
        ("a", "sent"),
        ("b", "sent"),
        ("refuses", "failed"),
    ]


def test_a_channel_that_cannot_be_loaded_harms_no_other(installed: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[push_provider.channels]\nbroken = no_such_module:SPEC\n")
    program = """
from push_provider.channels import registry
from push_provider.channels.spec import ChannelSpec
from push_provider.channels.reading import parse
from push_provider.exceptions import InvalidTask
registry.specs()["gone"] = ChannelSpec("gone", "Gone", *["no_such_module:Part"] * 3)
mail = {"name": "n", "channel": "email", "subject": "s", "content": "c", "recipients": ["a@example.com"]}
assert parse(mail).subject == "s"
assert sorted(registry.channels()) == ["app", "email", "sms", "webhook", "websocket"]
try:
    parse({**mail, "channel": "gone"})
except InvalidTask as error:
    print(error)
print(tuple(registry.names())[:5])
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, installed)))}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "('email', 'sms', 'websocket', 'app', 'webhook')"
    assert "channel: gone cannot be used: no_such_module:Part cannot be loaded (ModuleNotFoundError" in done.stdout
    assert "The channel of entry point 'broken' is left out" in done.stderr
