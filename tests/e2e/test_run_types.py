"""Kinds of runs and what each means, on the running platform: tests of the command line, runs in the future or anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def apply(platform: Any, code: str, **fields: Any) -> None:
    task = {"code": code, "name": code, "subject": code, "content_type": "text", "schedule": {"kind": "manual"}}
    task |= {"content": "Due {{ push.scheduled_for }}", "recipients": [f"{code}@example.com"]}
    platform.apply({**task, **fields})
    platform.await_dag(code)


def rows(platform: Any, code: str) -> Any:
    query = "SELECT source, state, scheduled_for FROM push_execution WHERE task_code = %s ORDER BY number"
    return platform.ledger(query, code)


def test_tests_of_the_command_line_send_nothing(platform: Any) -> None:
    apply(platform, "only-tested")
    for command in (["tasks", "test", "push__only-tested", "send"], ["dags", "test", "push__only-tested"]):

        def shown(command: list[str] = command) -> bool | None:
            result = platform.airflow(*command)
            assert result.returncode == 0, result.stdout + result.stderr
            print(result.stdout, result.stderr)
            return "would be sent to 1 recipients" in result.stdout + result.stderr or None

        # Airflow's command ends well also where it could not run the task just then.
        platform.eventually(shown, "what would be sent")
    assert platform.mails(to="only-tested@example.com") == []
    assert rows(platform, "only-tested") == []


def test_a_run_in_the_future_is_refused_and_holds_nobody_up(platform: Any) -> None:
    apply(platform, "future", max_active_runs=1, execution={"type": "loop"})
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    status, run = platform.trigger("future", logical_date=tomorrow)
    assert status == 200, run
    assert platform.await_runs("future", 1) == ["failed"]
    (told,) = platform.runs("future")
    assert "lies in the future" in told["note"]
    assert platform.trigger("future")[0] == 200
    platform.await_mail("future@example.com")


def test_a_run_made_anew_under_its_id_sends_to_its_own_recipients(platform: Any) -> None:
    apply(platform, "anew", execution={"type": "loop"})
    assert platform.trigger("anew", {"recipients": ["one@example.org"]}, dag_run_id="mine")[0] == 200
    platform.await_mail("one@example.org")
    assert platform.await_runs("anew", 1) == ["success"]
    assert platform.call("/api/v2/dags/push__anew/dagRuns/mine", method="DELETE")[0] in (200, 204)
    assert platform.trigger("anew", {"recipients": ["two@example.org"]}, dag_run_id="mine")[0] == 200
    platform.await_mail("two@example.org")


def test_finished_and_cancelled_push_tasks_have_tags(platform: Any) -> None:
    apply(platform, "tagged-done", execution={"type": "once"})
    assert platform.trigger("tagged-done")[0] == 200
    platform.await_mail("tagged-done@example.com")
    apply(platform, "tagged-off", execution={"type": "loop"})
    platform.push("cancel", "tagged-off")
    for code, tag in (("tagged-done", "push:finished"), ("tagged-off", "push:cancelled")):

        def tagged(code: str = code, tag: str = tag) -> bool | None:
            tags = platform.call(f"/api/v2/dags/push__{code}/details")[1].get("tags") or []
            return tag in [one["name"] for one in tags] or None

        platform.eventually(tagged, f"{code} to be tagged {tag}")
