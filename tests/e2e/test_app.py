"""App push on the running platform: from ``airflow push apply``, REST and the command line to the sandbox's page."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from live import node

# The module that takes the docs apart is beside the tests of the docs.
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import pages


def got(platform: Any, to: str) -> list[dict[str, Any]]:
    """What the mailbox page shows of one device."""
    with urllib.request.urlopen(f"{platform.mailbox}/api/app?to={to}", timeout=20) as answer:
        items: list[dict[str, Any]] = json.load(answer)["items"]
        return items


def task(code: str, **fields: Any) -> dict[str, Any]:
    text = {"title": f"{code} {{{{ n }}}}", "content": "For {{ to }}", "data": {"n": "{{ n }}"}}
    return {"code": code, "name": "Phones", "channel": "app", **text, "variables": {"n": 1}, **fields}


def test_apply_reaches_each_device_and_one_that_is_none_fails_alone(platform: Any, tmp_path: Path) -> None:
    file = tmp_path / "phones.json"
    devices = ["app-apply-1", "invalid-app-apply", "app-apply-2"]
    file.write_text(json.dumps(task("app-apply", recipients=devices, retries=0)))
    platform.push("apply", str(file))
    assert platform.await_runs("app-apply", 1) == ["failed"]
    rows = platform.push("deliveries", "--task", "app-apply")
    assert {(row["recipient"], row["state"], row["code"] or "") for row in rows} == {
        ("app-apply-1", "sent", ""),
        ("app-apply-2", "sent", ""),
        ("invalid-app-apply", "failed", "InvalidDeviceId.Format"),
    }
    (message,) = got(platform, "app-apply-1")
    assert (message["title"], message["body"], message["kind"]) == ("app-apply 1", "For app-apply-1", "notification")


def test_rest_and_kafka_begin_executions_for_those_whom_they_name(platform: Any) -> None:
    made = task("app-rest", schedule={"kind": "manual"}, execution={"type": "loop"})
    status, _ = platform.call("/push/v1/tasks", made)
    assert status == 201
    trigger = {"recipients": ["app-rest-1"], "variables": {"n": 7}}
    assert platform.call("/push/v1/tasks/app-rest/trigger", trigger)[0] in (200, 201, 202)
    assert platform.await_runs("app-rest", 1) == ["success"]
    (message,) = got(platform, "app-rest-1")
    assert message["title"] == "app-rest 7"
    by_kafka = {"task": "app-rest", "recipients": ["app-kafka-1"], "variables": {"n": 8}}
    assert platform.airflow("push", "produce", json.dumps(by_kafka)).returncode == 0
    (message,) = platform.eventually(lambda: got(platform, "app-kafka-1") or None, "a message by Kafka")
    assert message["title"] == "app-rest 8"


def test_an_app_acknowledges_as_the_docs_say(platform: Any, tmp_path: Path) -> None:
    """By both vendors: one app has the message's data, and one device never says a word."""
    (script,) = pages.Pages(("docs/en/app.md",)).blocks("javascript")
    for config, read in (("push_aliyun_app_default", _of_aliyun), ("push_fcm_sandbox", _of_fcm)):
        code = f"app-ack-{config.replace('_', '-')}"
        file = tmp_path / f"{code}.json"
        expecting = {"config": config, "ttl": 600, "expect": "acknowledged"}
        file.write_text(json.dumps(task(code, recipients=[f"{code}-1", f"{code}-2"], **expecting)))
        platform.push("apply", str(file))
        assert platform.await_runs(code, 1) == ["success"]
        (message,) = got(platform, f"{code}-1")
        done = subprocess.run(
            node(tmp_path / code, script, json.dumps(read(message["raw"]))), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

        def settled(code: str = code) -> bool | None:
            rows = platform.push("deliveries", "--task", code)
            states = {row["recipient"]: row["state"] for row in rows}
            return states == {f"{code}-1": "delivered", f"{code}-2": "sent"} or None

        platform.eventually(settled, "an acknowledgement on record")


def _of_aliyun(raw: Any) -> Any:
    return json.loads(raw["Notification"]["Android"]["ExtParameters"])


def _of_fcm(raw: Any) -> Any:
    return raw["data"]
