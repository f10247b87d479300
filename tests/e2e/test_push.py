"""From a push task to a mail, on the running platform."""

from __future__ import annotations

import collections
import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from push_provider.ledger.tables import shard_of

MANUAL = {"schedule": {"kind": "manual"}}


def loop(limit: int | None = None) -> dict[str, Any]:
    return {"execution": {"type": "loop", **({"max_executions": limit} if limit else {})}}


def text_task(code: str, **fields: Any) -> dict[str, Any]:
    return {"code": code, "name": code, "subject": code, "content_type": "text", "content": "Hello {{ to }}", **fields}


def test_three_kinds_of_content_in_one_file_arrive(platform: Any, tmp_path: Path) -> None:
    file = tmp_path / "three.yaml"
    file.write_text(
        """
code: kind-html
name: 订单通知
channel: email
subject: 订单 {{ order }} 已发货，感谢您的惠顾
content: "<h1>您好 {{ name }}</h1><p>Order <b>{{ order }}</b> &amp; more</p>"
recipients: [{to: html@example.com, variables: {name: "李 <雷>", order: A-1}}]
---
code: kind-markdown
name: Markdown
channel: email
subject: Report
content_type: markdown
content: |
  # Report for {{ name }}

  - one
  - **two**
variables: {name: Ann}
recipients: [markdown@example.com]
---
code: kind-text
name: Text
channel: email
subject: Plain
content_type: text
content: "Dear {{ to }},\\n.\\nthe end <ok>\\n"
recipients: [text@example.com]
"""
    )
    applied = platform.push("apply", str(file))
    assert [(row["code"], row["action"]) for row in applied] == [
        ("kind-html", "created"),
        ("kind-markdown", "created"),
        ("kind-text", "created"),
    ]

    html = platform.await_mail("html@example.com")
    assert html["Subject"] == "订单 A-1 已发货，感谢您的惠顾"
    assert html["To"] == "html@example.com"
    assert "push@sandbox.example" in html["From"]
    assert html.get_content_type() == "multipart/alternative"
    body = html.get_body(("html",)).get_content()
    assert "<h1>您好 李 &lt;雷&gt;</h1>" in body
    plain = html.get_body(("plain",)).get_content()
    assert "您好 李 <雷>" in plain
    assert "Order A-1 & more" in plain
    assert abs(parsedate_to_datetime(html["Date"]) - datetime.now(UTC)) < timedelta(minutes=5)
    platform.await_runs("kind-html", 1)
    delivery = platform.push("deliveries", "--task", "kind-html")[0]
    assert delivery["state"] == "sent"
    assert html["Message-ID"] == delivery["message_id"]
    assert re.fullmatch(r"<[0-9a-f]{32}@sandbox\.example>", html["Message-ID"])

    markdown = platform.await_mail("markdown@example.com")
    assert "<h1>Report for Ann</h1>" in markdown.get_body(("html",)).get_content()
    assert "<strong>two</strong>" in markdown.get_body(("html",)).get_content()
    assert "Report for Ann" in markdown.get_body(("plain",)).get_content()

    text = platform.await_mail("text@example.com")
    assert text.get_content_type() == "text/plain"
    assert text.get_content().splitlines() == ["Dear text@example.com,", ".", "the end <ok>"]

    assert platform.await_runs("kind-text", 1) == ["success"]


def test_once_is_finished_after_one_execution(platform: Any) -> None:
    platform.apply(text_task("once", recipients=["once@example.com"]))
    platform.await_mail("once@example.com")
    assert platform.await_runs("once", 1) == ["success"]
    row = platform.eventually(
        lambda: next((t for t in platform.push("tasks", "--status", "finished") if t["code"] == "once"), None),
        "once to be finished",
    )
    assert row["executions"] == "1/1"
    # Its DAG takes no run any more, and Airflow says so.
    platform.await_dag("once", allowed_run_types=["operator_triggered", "scheduled"], timetable_summary="closed")
    status, answer = platform.trigger("once")
    assert status == 400, answer
    assert len(platform.mails(to="once@example.com")) == 1


def test_a_loop_of_three_stops_after_exactly_three(platform: Any) -> None:
    platform.apply(text_task("three", recipients=["three@example.com"], **MANUAL, **loop(3)))
    platform.await_dag("three")
    statuses = [platform.trigger("three")[0] for _ in range(5)]
    refused = statuses.count(400)
    states = platform.await_runs("three", 5 - refused)
    assert states.count("success") == 3
    assert len(platform.mails(to="three@example.com")) == 3
    assert platform.ledger("SELECT executions, status FROM push_task WHERE code = 'three'") == [(3, "finished")]


def test_fifty_triggers_at_once_with_ten_left_give_ten(platform: Any) -> None:
    platform.apply(text_task("ten", recipients=["ten@example.com"], max_active_runs=16, **MANUAL, **loop(10)))
    platform.await_dag("ten")
    with ThreadPoolExecutor(50) as clients:
        statuses = list(clients.map(lambda _: platform.trigger("ten")[0], range(50)))
    assert set(statuses) <= {200, 400}
    states = platform.await_runs("ten", statuses.count(200))
    assert states.count("success") == 10
    assert platform.ledger("SELECT count(*) FROM push_execution WHERE task_code = 'ten'") == [(10,)]
    assert len(platform.mails(to="ten@example.com")) == 10
    failed = next(run for run in platform.runs("ten") if run["state"] == "failed")
    assert "all 10 of its executions have begun" in platform.task_log("ten", failed["dag_run_id"])


def _sent(platform: Any, code: str, least: int) -> int | None:
    """How many deliveries of a task are sent, once there are so many."""
    ((sent,),) = platform.ledger(
        "SELECT count(*) FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id "
        "WHERE e.task_code = %s AND d.state = 'sent'",
        code,
    )
    return sent if sent >= least else None


def _kill_in_the_middle(platform: Any, code: str, **fields: Any) -> tuple[list[int], collections.Counter[str]]:
    """Kill the task process of 5,000 mails in the middle; ids in doubt then, and mails by Message-ID at the end."""
    count = 5000
    recipients = [f"{code}-{number}@example.com" for number in range(count)]
    platform.apply(text_task(code, recipients=recipients, retry_delay=1, **fields))

    platform.eventually(lambda: _sent(platform, code, 1000), "1,000 mails to be sent")
    ((pid,),) = platform.metadata(
        "SELECT pid FROM task_instance WHERE dag_id = %s AND state = 'running'", f"push__{code}"
    )
    os.kill(pid, signal.SIGKILL)
    in_doubt = platform.eventually(
        lambda: [
            row[0]
            for row in platform.ledger(
                "SELECT d.id FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id "
                "WHERE e.task_code = %s AND d.state = 'sending'",
                code,
            )
        ],
        "the chunk in flight",
    )
    platform.await_runs(code, 1)
    return in_doubt, collections.Counter(mail["message_id"] for mail in platform.mails(subject=code))


def test_everybody_has_the_mail_though_the_task_was_killed(platform: Any) -> None:
    in_doubt, mails = _kill_in_the_middle(platform, "killed")
    assert platform.await_runs("killed", 1) == ["success"]
    assert len(mails) == 5000
    twice = {message_id for message_id, times in mails.items() if times > 1}
    assert max(mails.values()) <= 2
    names = platform.ledger("SELECT provider_id FROM push_delivery WHERE id = ANY (%s)", in_doubt)
    assert twice <= {name for (name,) in names}
    assert 0 < len(in_doubt) <= 1000
    ((attempts,),) = platform.ledger(
        "SELECT count(*) FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id "
        "WHERE e.task_code = 'killed' AND d.attempts = 2"
    )
    assert attempts == len(in_doubt)


def test_with_hold_nobody_has_the_mail_twice(platform: Any) -> None:
    in_doubt, mails = _kill_in_the_middle(platform, "held", on_unknown="hold")
    assert platform.await_runs("held", 1) == ["failed"]
    assert max(mails.values()) == 1
    states = dict(
        platform.ledger(
            "SELECT d.state, count(*) FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id "
            "WHERE e.task_code = 'held' GROUP BY 1"
        )
    )
    assert states == {"sent": 5000 - len(in_doubt), "unknown": len(in_doubt)}
    assert len(in_doubt) <= 500


def test_a_cleared_run_sends_to_those_who_did_not_get_it_and_no_one_else(platform: Any) -> None:
    platform.apply(
        text_task("mixed", recipients=["mixed-good@example.com", "bounce+mixed@example.com"], retries=0, **loop(1))
    )
    assert platform.await_runs("mixed", 1) == ["failed"]
    log = platform.task_log("mixed", platform.runs("mixed")[0]["dag_run_id"])
    assert "1 of 2 sent, 1 failed" in log
    rows = {row["recipient"]: row for row in platform.push("deliveries", "--task", "mixed")}
    assert rows["mixed-good@example.com"]["state"] == "sent"
    assert rows["bounce+mixed@example.com"]["state"] == "failed"
    assert rows["bounce+mixed@example.com"]["code"] == "550"
    status, _ = platform.call(
        "/api/v2/dags/push__mixed/clearTaskInstances", {"dry_run": False, "only_failed": True, "reset_dag_runs": True}
    )
    assert status == 200

    def tried_again() -> bool | None:
        ((attempts,),) = platform.ledger(
            "SELECT max(attempts) FROM push_delivery WHERE recipient = 'bounce+mixed@example.com'"
        )
        return True if attempts == 2 else None

    platform.eventually(tried_again, "the failed one to be tried again")
    assert len(platform.mails(to="mixed-good@example.com")) == 1
    assert platform.ledger("SELECT count(*) FROM push_execution WHERE task_code = 'mixed'") == [(1,)]


def test_what_the_server_asks_to_try_later_is_retried(platform: Any) -> None:
    platform.apply(text_task("busy", recipients=["busy@example.com", "fine@example.com"], retries=1, retry_delay=1))
    assert platform.await_runs("busy", 1) == ["failed"]
    rows = {row["recipient"]: row for row in platform.push("deliveries", "--task", "busy")}
    assert (rows["fine@example.com"]["state"], rows["fine@example.com"]["attempts"]) == ("sent", "1")
    assert (rows["busy@example.com"]["state"], rows["busy@example.com"]["attempts"]) == ("failed", "2")
    assert rows["busy@example.com"]["code"] == "451"


@pytest.mark.parametrize(
    ("conf", "field"),
    [
        ({"recipients": "a@example.com"}, "recipients"),
        ({"recipients": [{"address": "a@example.com"}]}, "recipients"),
        ({"variables": ["x"]}, "variables"),
    ],
)
def test_wrong_conf_is_refused_at_once(platform: Any, conf: dict[str, Any], field: str) -> None:
    platform.await_dag("order-notice")
    status, answer = platform.trigger("order-notice", conf)
    assert status == 400, answer
    assert field in json.dumps(answer)


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"recipient": ["a@example.com"]}, "recipient: is not a field here; did you mean 'recipients'?"),
        ({"recipients": ["nobody"]}, "recipients[0]: 'nobody' is not a mail address"),
        ({}, "recipients: push task 'order-notice' has none of its own; name at least one"),
        ({"execution": 999999}, "conf.execution: push task 'order-notice' has no execution 999999"),
    ],
)
def test_wrong_conf_that_airflow_lets_through_fails_the_run(platform: Any, conf: dict[str, Any], message: str) -> None:
    platform.await_dag("order-notice")
    status, run = platform.trigger("order-notice", conf)
    assert status == 200, run

    def failed() -> bool | None:
        state = platform.call(f"/api/v2/dags/push__order-notice/dagRuns/{run['dag_run_id']}")[1]["state"]
        assert state != "success"
        return True if state == "failed" else None

    platform.eventually(failed, "the run to fail")
    log = platform.task_log("order-notice", run["dag_run_id"])
    assert message.replace('"', '\\"') in log.replace("[0].to", "[0]")


def test_one_bad_task_shows_its_error_and_harms_no_other(platform: Any) -> None:
    from push_provider.ledger.tables import shard_of

    # Two codes of one shard, so that both DAGs come from one file.
    shard = shard_of("bad-0")
    good = next(f"good-{n}" for n in range(100_000) if shard_of(f"good-{n}") == shard)
    platform.apply(text_task("bad-0", recipients=["bad@example.com"], **MANUAL, **loop()))
    platform.ledger(
        "UPDATE push_task SET spec = jsonb_set(spec, '{schedule}', '{\"kind\": \"never\"}') "
        "WHERE code = 'bad-0' RETURNING 1"
    )
    platform.apply(text_task(good, recipients=["good@example.com"]))
    platform.await_mail("good@example.com")
    dag = platform.eventually(
        lambda: next(
            (
                d
                for d in [platform.call("/api/v2/dags/push__bad-0/details")[1]]
                if "Cannot be built" in (d.get("description") or "")
            ),
            None,
        ),
        "the bad task's DAG to show its error",
    )
    assert "schedule" in dag["description"]
    assert platform.call("/api/v2/importErrors")[1]["total_entries"] == 0
    status, run = platform.trigger("bad-0")
    assert status == 200, run
    assert platform.await_runs("bad-0", 1) == ["failed"]
    assert "cannot be built" in platform.task_log("bad-0", run["dag_run_id"])


def test_cancel_stops_what_is_not_sent(platform: Any) -> None:
    recipients = [f"cancel-{number}@example.com" for number in range(20_000)]
    platform.apply(text_task("cancelled", recipients=recipients))
    platform.eventually(lambda: platform.mails(subject="cancelled") or None, "the first mails")
    (row,) = platform.push("cancel", "cancelled")
    assert int(row["deliveries_cancelled"]) > 0
    platform.await_runs("cancelled", 1)
    (execution,) = platform.push("executions", "--task", "cancelled")
    assert execution["state"] == "cancelled"
    assert int(execution["sent"]) + int(execution["cancelled"]) == 20_000
    assert len(platform.mails(subject="cancelled")) <= 10_000  # the mailbox keeps the newest 10,000
    assert platform.push("tasks", "--status", "cancelled")[0]["code"] == "cancelled"
    result = platform.airflow("push", "trigger", "cancelled")
    assert result.returncode != 0
    assert "is cancelled" in result.stderr


def test_trigger_on_the_command_line(platform: Any) -> None:
    platform.await_dag("order-notice")
    (row,) = platform.push(
        "trigger", "order-notice", "--recipient", "cli@example.com", "--variables", '{"order": "B-7"}', "--key", "k1"
    )
    mail = platform.await_mail("cli@example.com")
    assert "B-7" in mail["Subject"]
    (again,) = platform.push("trigger", "order-notice", "--recipient", "cli@example.com", "--key", "k1")
    assert (again["execution"], again["new"]) == (row["execution"], "False")
    listed = platform.push("executions", "--task", "order-notice")
    assert next(e for e in listed if e["execution"] == row["execution"])["source"] == "cli"


def test_files_with_faults_change_nothing(platform: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "code: fine\nname: F\nchannel: email\nsubject: s\ncontent: c\nrecipients: [a@example.com]\n---\nname: x\n"
    )
    result = platform.airflow("push", "apply", str(file))
    assert result.returncode == 1
    assert "task 2: channel: is required" in result.stderr
    assert "Traceback" not in result.stderr
    assert platform.ledger("SELECT 1 FROM push_task WHERE code = 'fine'") == []
    for output, mark in (("yaml", "code: welcome"), ("plain", "welcome"), ("table", "welcome")):
        listed = platform.airflow("push", "tasks", "--output", output)
        assert mark in listed.stdout, listed.stdout + listed.stderr


@pytest.mark.timeout(1800)
def test_a_burst_of_triggers(platform: Any) -> None:
    platform.apply(text_task("burst", max_active_runs=16, **MANUAL, **loop()))
    platform.await_dag("burst")
    recipients = [f"burst-{number}@example.com" for number in range(200)]
    with ThreadPoolExecutor(20) as clients:
        statuses = set(clients.map(lambda to: platform.trigger("burst", {"recipients": [to]})[0], recipients))
    assert statuses == {200}
    assert platform.await_runs("burst", 200, timeout=900) == ["success"] * 200
    assert collections.Counter(mail["rcpt_to"][0] for mail in platform.mails(subject="burst")) == dict.fromkeys(
        recipients, 1
    )
    platform.eventually(platform.is_healthy, "all parts to be well")


def test_a_cron_task_runs_by_schedule(platform: Any) -> None:
    platform.apply(
        text_task(
            "minutely", recipients=["cron@example.com"], schedule={"kind": "cron", "cron": "* * * * *"}, **loop(1)
        )
    )
    platform.await_mail("cron@example.com")
    (execution,) = platform.push("executions", "--task", "minutely")
    assert execution["source"] == "schedule"


def test_secrets_stay_out_of_logs(platform: Any) -> None:
    added = platform.airflow(
        "connections", "add", "secretive", "--conn-type", "push_email", "--conn-host", "127.0.0.1",
        "--conn-port", "1", "--conn-login", "push@sandbox.example", "--conn-password", "hunter2-secret",
    )  # fmt: skip
    assert added.returncode == 0
    platform.apply(text_task("secret", recipients=["s@example.com"], config="secretive", retries=0))
    assert platform.await_runs("secret", 1) == ["failed"]
    log = platform.task_log("secret", platform.runs("secret")[0]["dag_run_id"])
    assert "cannot be reached" in log
    assert "hunter2-secret" not in log
    logs = b"".join(path.read_bytes() for path in (platform.home / "logs" / "platform").glob("*.log"))
    assert b"hunter2-secret" not in logs


def test_a_kill_on_the_last_try_closes_the_execution(platform: Any) -> None:
    recipients = [f"last-{number}@example.com" for number in range(5000)]
    # A loop: of a task that ends with this execution the DAG changes, and Airflow keeps a callback that comes while
    # its file is parsed until the next parse.
    platform.apply(text_task("last", recipients=recipients, retries=0, **loop()))
    pid = platform.eventually(
        lambda: next(
            (
                row[0]
                for row in platform.metadata("SELECT pid FROM task_instance WHERE dag_id = 'push__last' AND pid > 0")
            ),
            None,
        ),
        "the task process",
    )
    platform.eventually(lambda: _sent(platform, "last", 1000), "1,000 mails to be sent")
    os.kill(pid, signal.SIGKILL)
    assert platform.await_runs("last", 1) == ["failed"]

    def closed() -> tuple[Any, ...] | None:
        ((state, sent, failed, unknown),) = platform.ledger(
            "SELECT state, sent, failed, unknown FROM push_execution WHERE task_code = 'last'"
        )
        return (sent, failed, unknown) if state == "partial" else None

    sent, failed, unknown = platform.eventually(closed, "the execution to be closed")
    assert sent > 0
    assert failed > 0
    assert sent + failed + unknown == 5000
    assert platform.ledger("SELECT status FROM push_task WHERE code = 'last'") == [("active",)]


@pytest.mark.parametrize(
    ("port", "status", "message"), [("right", True, "sandbox"), ("wrong", False, "cannot be reached")]
)
def test_airflow_tests_the_connection(platform: Any, port: str, status: bool, message: str) -> None:
    ((smtp,),) = platform.metadata("SELECT port FROM connection WHERE conn_id = 'push_email_default'")
    connection = {
        "connection_id": "tried",
        "conn_type": "push_email",
        "host": "127.0.0.1",
        "port": smtp if port == "right" else 1,
        "login": "push@sandbox.example",
        "extra": json.dumps({"ignore_tls": True}),
    }
    code, answer = platform.call("/api/v2/connections/test", connection)
    assert code == 200, answer
    assert answer["status"] is status
    assert message in answer["message"] or status


def test_a_dag_that_airflow_could_not_store_appears_shortly_after(platform: Any) -> None:
    # Airflow tries three times to store what a parse found, and then forgets it.
    with psycopg.connect(platform.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg", "")) as airflow:
        airflow.execute("CREATE SEQUENCE push_refused")
        airflow.execute(
            """
            CREATE FUNCTION push_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.dag_id = 'push__refused' AND nextval('push_refused') <= 3 THEN
                    RAISE 'not now' USING ERRCODE = 'disk_full';
                END IF;
                RETURN NEW;
            END $$
            """
        )
        airflow.execute("CREATE TRIGGER push_refuse BEFORE INSERT ON dag FOR EACH ROW EXECUTE FUNCTION push_refuse()")
        airflow.commit()
        try:
            platform.apply({**text_task("refused"), **MANUAL, "recipients": ["refused@example.com"]})
            platform.await_dag("refused")
            assert airflow.execute("SELECT last_value > 3 FROM push_refused").fetchone() == (True,)
        finally:
            airflow.rollback()
            airflow.execute("DROP FUNCTION push_refuse CASCADE")
            airflow.execute("DROP SEQUENCE push_refused")
    built = "SELECT built_revision = revision FROM push_shard WHERE shard = %s"
    shard = shard_of("refused")
    platform.eventually(lambda: platform.ledger(built, shard) == [(True,)] or None, "the shard to be built")
