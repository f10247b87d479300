"""App push on the running platform: from ``airflow push apply``, REST and the command line to the sandbox's page."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any


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


def test_rest_begins_an_execution_for_those_whom_it_names(platform: Any) -> None:
    made = task("app-rest", schedule={"kind": "manual"}, execution={"type": "loop"})
    status, _ = platform.call("/push/v1/tasks", made)
    assert status == 201
    trigger = {"recipients": ["app-rest-1"], "variables": {"n": 7}}
    assert platform.call("/push/v1/tasks/app-rest/trigger", trigger)[0] in (200, 201, 202)
    assert platform.await_runs("app-rest", 1) == ["success"]
    (message,) = got(platform, "app-rest-1")
    assert message["title"] == "app-rest 7"
