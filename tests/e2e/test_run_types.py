"""Kinds of runs and what each means, on the running platform: tests of the command line, runs in the future or anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def apply(platform: Any, code: str, **fields: Any) -> None:
    task = {"code": code, "name": code, "subject": code, "content_type": "text", "schedule": {"kind": "manual"}}
    task |= {"content": "Due {{ push.scheduled_for or 'now' }}", "recipients": [f"{code}@example.com"]}
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
            said = result.stdout + result.stderr
            print(said)
            if "could be marked as running" in said:
                return True  # the scheduler was quicker, and took the command's run for one of its own: it shows it
            assert result.returncode == 0, said
            return "would be sent to 1 recipients" in said or None

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


def test_a_run_whose_conf_is_refused_is_a_failed_execution(platform: Any) -> None:
    apply(platform, "conf-refused", execution={"type": "once"})
    assert platform.trigger("conf-refused", {"recipients": ["nobody"]})[0] == 200
    assert platform.await_runs("conf-refused", 1) == ["failed"]
    (execution,) = platform.call("/push/v1/executions?task=conf-refused")[1]["items"]
    assert (execution["state"], execution["number"], execution["total"]) == ("failed", None, 0)
    assert "'nobody' is not a mail address" in execution["error"]
    assert platform.trigger("conf-refused")[0] == 200  # it did not count
    platform.await_mail("conf-refused@example.com")


def test_a_backfill_carries_its_dates_and_source(platform: Any) -> None:
    daily: dict[str, Any] = {"schedule": {"kind": "daily", "time": "04:00"}, "execution": {"type": "loop"}}
    apply(platform, "backfilled", **daily)
    # There is nothing to fill before the schedule came into force.
    platform.ledger(
        "UPDATE push_task SET schedule_since = now() - interval '9 days' WHERE code = 'backfilled' RETURNING 1"
    )
    apply(platform, "backfilled", **daily, owner="since long ago")
    platform.await_dag("backfilled", owners=["since long ago"])
    # The schedule's own run of the last time that passed, of today or of yesterday, lies beyond them.
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    first, last = (end - timedelta(days=3)).isoformat(), end.isoformat()
    body = {"dag_id": "push__backfilled", "from_date": first, "to_date": last}
    status, answer = platform.call("/api/v2/backfills", body)
    assert status == 200, answer
    days = [end - timedelta(days=back) + timedelta(hours=4) for back in (3, 2, 1)]
    wanted = [("backfill", "succeeded", day) for day in days]
    platform.eventually(lambda: set(wanted) <= set(rows(platform, "backfilled")) or None, "all to be filled")
    texts = {platform.source(mail).get_content().strip() for mail in platform.mails(to="backfilled@example.com")}
    assert texts >= {f"Due {day.isoformat()}" for day in days}


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
