"""WebSocket messages on the running platform: from every door to the real client on the sandbox's Centrifugo."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from live import Live, listening, node

# The module that takes the docs apart is beside the tests of the docs.
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import pages

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def there(platform: Any) -> Live:
    return Live(f"http://{platform.centrifugo}")


@pytest.fixture
def clients(there: Live, tmp_path: Path) -> Iterator[Any]:
    """Ann and Bob have a page open."""
    with listening(tmp_path / "node", there, ["ann", "bob"]) as found:
        yield found


def task(code: str, **fields: Any) -> dict[str, Any]:
    content = {"title": f"{code} {{{{ n }}}}", "content": "*{{ to }}*", "format": "markdown", "data": {"n": "{{ n }}"}}
    return {"code": code, "name": "Live", "channel": "websocket", **content, "variables": {"n": 1}, **fields}


def test_apply_reaches_who_is_there_and_later_who_was_not(
    platform: Any, there: Live, clients: Any, tmp_path: Path
) -> None:
    file = tmp_path / "live.json"
    file.write_text(json.dumps(task("live-apply", recipients=["ann", "bob", "cem"])))
    platform.push("apply", str(file))
    assert platform.await_runs("live-apply", 1) == ["success"]
    clients.await_count("message", 2)
    assert clients.messages() == {"ann": ["live-apply 1"], "bob": ["live-apply 1"]}
    (message,) = [event["data"] for event in clients.of("message") if event["user"] == "ann"]
    assert (message["content"], message["format"], message["data"]) == ("*ann*", "markdown", {"n": "1"})
    rows = platform.push("deliveries", "--task", "live-apply")
    assert {(row["recipient"], row["state"]) for row in rows} == {(user, "sent") for user in ("ann", "bob", "cem")}
    with listening(tmp_path / "cem", there, ["cem"]) as late:
        late.tell(do="history", users=["cem"])
        late.await_count("history", 1)
        assert late.of("history")[0]["titles"] == ["live-apply 1"]


def test_the_page_of_the_docs_acknowledges_what_it_gets(platform: Any, there: Live, tmp_path: Path) -> None:
    status, made = platform.call("/push/v1/websocket/tokens", {"user": "lilei"})
    assert status == 200
    (script,) = pages.Pages(("docs/en/websocket.md",)).blocks("javascript")
    command = node(tmp_path / "page", script, made["url"], made["channel"], made["token"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        file = tmp_path / "ack.json"
        file.write_text(json.dumps(task("live-ack", recipients=["lilei", "nobody"], ttl=600, expect="acknowledged")))
        platform.push("apply", str(file))
        assert process.stdout is not None
        assert process.stdout.readline() == "live-ack 1 *lilei*\n"

        def settled() -> bool | None:
            rows = platform.push("deliveries", "--task", "live-ack")
            states = {row["recipient"]: row["state"] for row in rows}
            return states == {"lilei": "delivered", "nobody": "sent"} or None

        platform.eventually(settled, "an acknowledgement on record")
        process.kill()


def test_rest_and_kafka_start_executions(platform: Any, clients: Any) -> None:
    document = task("live-rest", schedule={"kind": "manual"}, execution={"type": "loop"})
    status, _ = platform.call("/push/v1/tasks", document)
    assert status == 201
    platform.await_dag("live-rest")
    body = {"recipients": ["ann"], "variables": {"n": 2}}
    status, _ = platform.call("/push/v1/tasks/live-rest/trigger", body)
    assert status in (200, 201, 202)
    clients.await_count("message", 1)
    message = {"task": "live-rest", "recipients": ["bob"], "variables": {"n": 3}}
    assert platform.airflow("push", "produce", json.dumps(message)).returncode == 0
    clients.await_count("message", 2)
    assert clients.messages() == {"ann": ["live-rest 2"], "bob": ["live-rest 3"]}


def test_the_test_of_the_sandboxs_configuration(platform: Any) -> None:
    status, answer = platform.call("/api/v2/connections/push_centrifugo_default")
    assert status == 200
    assert answer["password"] == "***"
    assert json.loads(answer["extra"])["token_secret"] == "***"
    status, answer = platform.call("/push/v1/configs/push_centrifugo_default/test", {})
    assert status == 200, answer
    assert "API key accepted" in json.dumps(answer)
