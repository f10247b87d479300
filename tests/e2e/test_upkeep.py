"""Push tasks that are done with leave Airflow, their log stays, and what somebody takes up again comes back."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.slow


def task(code: str, **fields: Any) -> dict[str, Any]:
    return {
        "code": code,
        "name": code,
        "channel": "email",
        "subject": code,
        "content_type": "text",
        "content": "Hello",
        "recipients": ["one@example.com", "bounce+two@example.com"],
        **fields,
    }


def retire(platform: Any, *codes: str) -> None:
    """As if a day had passed: upkeep is done, and what it retires leaves Airflow."""
    for code in codes:
        platform.ledger(
            "UPDATE push_task SET updated_at = now() - interval '25 hours' WHERE code = %s RETURNING 1", code
        )
    status, run = platform.call("/api/v2/dags/push_upkeep/dagRuns", {"logical_date": None, "conf": {}})
    assert status == 200, run
    for code in codes:
        platform.eventually(lambda code=code: not known(platform, code) or None, f"the DAG of {code} to leave")


def known(platform: Any, code: str) -> bool:
    """Whether Airflow has the DAG, or more of it than that it was paused."""
    query = "SELECT 1 FROM dag WHERE dag_id = %s AND NOT (is_stale AND is_paused)"
    return bool(platform.metadata(query, f"push__{code}"))


def deliveries(platform: Any, code: str) -> dict[str, str]:
    return {row["recipient"]: row["state"] for row in platform.push("deliveries", "--task", code)}


def test_what_is_done_with_leaves_and_comes_back_for_a_change(platform: Any) -> None:
    platform.apply(task("done-with"))
    platform.await_runs("done-with", 1)
    said = deliveries(platform, "done-with")
    assert said == {"one@example.com": "sent", "bounce+two@example.com": "failed"}
    retire(platform, "done-with")
    assert platform.metadata("SELECT 1 FROM dag_run WHERE dag_id = 'push__done-with'") == []
    assert deliveries(platform, "done-with") == said
    platform.apply(task("done-with", execution={"type": "loop"}, schedule={"kind": "manual"}))
    platform.await_dag("done-with")
    assert platform.trigger("done-with", {"recipients": ["done-three@example.com"]})[0] == 200
    platform.await_mail("done-three@example.com")
    now = {**said, "done-three@example.com": "sent"}
    platform.eventually(lambda: deliveries(platform, "done-with") == now or None, "the log to go on")


def test_an_execution_that_is_sent_again_brings_its_task_back(platform: Any) -> None:
    platform.apply(task("again", recipients=["bounce+once@example.com"]))
    platform.await_runs("again", 1)
    retire(platform, "again")
    ((execution,),) = platform.ledger("SELECT id FROM push_execution WHERE task_code = 'again'")
    status, answer = platform.call(f"/push/v1/executions/{execution}/redrive", {})
    assert status == 202, answer
    query = "SELECT attempts FROM push_delivery WHERE execution_id = %s AND attempts > 1"
    platform.eventually(lambda: platform.ledger(query, execution) or None, "a second try")


def test_a_pause_outlives_retirement(platform: Any) -> None:
    platform.apply(task("at-rest", schedule={"kind": "manual"}))
    platform.await_dag("at-rest")
    assert platform.call("/push/v1/tasks/at-rest/pause", {})[0] == 200
    assert platform.call("/push/v1/tasks/at-rest/cancel", {})[0] == 200
    retire(platform, "at-rest")
    assert platform.call("/push/v1/tasks/at-rest/pause", {})[0] == 200
    query = "SELECT is_paused FROM dag WHERE dag_id = 'push__at-rest' AND NOT is_stale"
    assert platform.metadata(query) == [(True,)]
