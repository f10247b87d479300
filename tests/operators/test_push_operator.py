"""The operator on a real ledger and a real SMTP server: what is sent, what is skipped, what is tried again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import requests
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from mail_port import mail_port

from push_provider.channels.reading import parse
from push_provider.exceptions import NothingToRedrive, ProviderUnavailable
from push_provider.ledger import closing, definitions, deliveries, dropping, executions, planning, sending, tasks
from push_provider.operators.push import EmailPushOperator
from push_provider.rendering import freeze

if TYPE_CHECKING:
    from sqlalchemy import Engine

CREATED = datetime(2026, 7, 1, 5, 25, tzinfo=UTC)


class Mails:
    """What the server accepted, by recipient."""

    def __init__(self) -> None:
        self.to: list[str] = []
        self.subjects: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        self.to += envelope.rcpt_tos
        self.subjects.append(message_from_bytes(envelope.content)["Subject"])
        return "250 ok"


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mails]:
    handler = Mails()
    with mail_port(handler) as port:
        account(monkeypatch, port)
        yield handler


def account(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    connection = {
        "conn_type": "push_email",
        "host": "127.0.0.1",
        "port": port,
        "login": "push@example.com",
        "extra": {"ignore_tls": True},
    }
    monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_DEFAULT", json.dumps(connection))


def test_a_default_that_serves_other_applications_sends_nothing(
    ledger: Engine, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_PUSH_EMAIL_DEFAULT"])
    connection["extra"]["apps"] = "crm"
    monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_DEFAULT", json.dumps(connection))
    apply(ledger, app="shop")
    with pytest.raises(AirflowFailException, match="the default one serves certain applications"):
        execute(run())
    assert states(ledger) == {"ann@example.com": ("failed", 1, "configuration")}
    apply(ledger, app="crm", code="other")
    EmailPushOperator(task_id="send", code="other").execute(run())
    apply(ledger, app="shop", config="push_email_default", code="named")
    EmailPushOperator(task_id="send", code="named").execute(run())
    assert mails.to == ["ann@example.com"] * 2


def apply(ledger: Engine, **fields: Any) -> None:
    task = {
        "code": "t",
        "name": "T",
        "channel": "email",
        "subject": "Hello",
        "content": "<p>{{ to }}</p>",
        "recipients": ["ann@example.com"],
        "schedule": {"kind": "cron", "cron": "*/10 * * * *"},
        "execution": {"type": "loop"},
        **fields,
    }
    definitions.apply(ledger, parse(task), now=CREATED, default_timezone="UTC")


def run(
    run_id: str = "run",
    *,
    conf: Any = None,
    due: datetime | None = None,
    late: int = 0,
    tried: int = 1,
    tries: int = 4,
    cleared: int = 0,
) -> Any:
    dag_run = SimpleNamespace(
        run_id=run_id,
        conf=conf or {},
        run_type="scheduled" if due else "manual",
        logical_date=due,
        start_date=(due or CREATED) + timedelta(seconds=late),
        triggering_user_name=None,
        clear_number=cleared,
    )
    return {"dag_run": dag_run, "ti": SimpleNamespace(try_number=tried, max_tries=tries - 1)}


def execute(context: Any) -> dict[str, Any]:
    result: dict[str, Any] = EmailPushOperator(task_id="send", code="t").execute(context)
    return result


def states(ledger: Engine) -> dict[str, tuple[str, int, str | None]]:
    rows = deliveries.find(ledger, task="t")
    return {row.recipient: (row.state.value, row.attempts, row.error_code) for row in rows}


DUE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("missed", "late", "sent"),
    [
        (None, 299, True),
        (None, 301, False),
        ("skip", 301, False),
        ("latest", 301, True),
        ("latest", 601, False),  # 09:10 has passed, too, and has a run of its own
        ("all", 86400, True),
    ],
)
def test_missed_times(ledger: Engine, mails: Mails, missed: str | None, late: int, sent: bool) -> None:
    apply(ledger, missed=missed)
    if sent:
        assert execute(run(due=DUE, late=late))["sent"] == 1
    else:
        with pytest.raises(AirflowSkipException, match="passed while nothing ran"):
            execute(run(due=DUE, late=late))
    assert len(mails.to) == sent
    assert tasks.get(ledger, "t").executions == sent


def test_what_waited_for_an_earlier_execution_was_not_missed(ledger: Engine, mails: Mails) -> None:
    apply(ledger)
    planning.plan(ledger, "t", source="manual", freeze=freeze, run_id="slow")
    due = datetime.now(UTC)
    assert execute(run("waited", due=due, late=3600))["sent"] == 1
    assert mails.to == ["ann@example.com"]


def test_what_waited_for_a_run_that_waited_itself_was_not_missed(ledger: Engine, mails: Mails) -> None:
    """Airflow had made the run before, and its execution began when its task got a slot."""
    apply(ledger)
    due = datetime.now(UTC) - timedelta(minutes=10)
    before = {"run_id": "slow", "run_after": due - timedelta(minutes=10)}
    planning.plan(ledger, "t", source="schedule", freeze=freeze, **before)
    assert execute(run("waited", due=due, late=900))["sent"] == 1
    assert mails.to == ["ann@example.com"]


@pytest.mark.parametrize("cleared", [0, 1])
def test_a_run_of_a_former_schedule_is_skipped(ledger: Engine, mails: Mails, cleared: int) -> None:
    apply(ledger)
    with pytest.raises(AirflowSkipException, match="before the schedule"):
        execute(run(due=CREATED - timedelta(minutes=5), cleared=cleared))
    assert mails.to == []


@pytest.mark.parametrize(("missed", "late"), [("skip", 3600), ("latest", 3600)])
def test_a_missed_run_that_somebody_clears_is_sent(ledger: Engine, mails: Mails, missed: str, late: int) -> None:
    apply(ledger, missed=missed)
    with pytest.raises(AirflowSkipException, match="passed while nothing ran"):
        execute(run(due=DUE, late=late))
    assert execute(run(due=DUE, late=late, cleared=1))["sent"] == 1
    assert mails.to == ["ann@example.com"]
    assert tasks.get(ledger, "t").executions == 1


@pytest.mark.parametrize("again", [{"cleared": 1}, {"tried": 2}], ids=str)
def test_a_run_that_failed_to_begin_takes_the_place_of_its_refusal_however_late(
    ledger: Engine, mails: Mails, again: dict[str, int]
) -> None:
    """As one that was marked in the queue, and is cleared: whether Airflow counts that or only the task's tries."""
    apply(ledger)
    planning.refuse(ledger, "t", source="schedule", run_id="run", error="ann marked it", scheduled_for=DUE)
    with pytest.raises(AirflowSkipException, match="passed while nothing ran"):
        execute(run("another", due=DUE, late=3600))
    assert execute(run(due=DUE, late=3600, **again))["sent"] == 1
    (row,) = executions.find(ledger, task="t")
    assert (row.number, row.run_id, row.state) == (1, "run", "succeeded")
    assert mails.to == ["ann@example.com"]


def test_a_scheduled_run_that_is_deleted_and_made_anew_sends_nothing_again(
    ledger: Engine, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow gives it the same id: the last one again that somebody deletes, and others of a DAG that was deleted."""
    apply(ledger, missed="all")
    with monkeypatch.context() as away:
        account(away, 1)  # nobody listens there
        with pytest.raises(AirflowFailException, match="1 failed"):
            execute(run(due=DUE, tried=4))
    with pytest.raises(AirflowSkipException, match="has ended before, and was deleted since"):
        execute(run(due=DUE))
    assert mails.to == []
    assert states(ledger)["ann@example.com"][0] == "failed"
    assert execute(run(due=DUE, cleared=1))["sent"] == 1  # which somebody has asked for


def test_a_scheduled_run_that_is_deleted_before_it_began_stays_deleted(ledger: Engine, mails: Mails) -> None:
    apply(ledger)
    planning.refuse(ledger, "t", source="schedule", run_id="run", error="ann deleted it", scheduled_for=DUE)
    with pytest.raises(AirflowSkipException, match="has ended before, and was deleted since"):
        execute(run(due=DUE))
    (row,) = executions.find(ledger, task="t")
    assert (row.number, row.error) == (None, "ann deleted it")
    assert mails.to == []


def test_a_server_that_is_away_is_tried_again_and_then_not(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(ledger, recipients=["ann@example.com", "bob@example.com"])
    account(monkeypatch, 1)  # nobody listens there
    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1"):
        execute(run(tried=1))
    assert {state for state, _, _ in states(ledger).values()} == {"pending"}
    assert executions.find(ledger, task="t")[0].state == "running"
    with pytest.raises(AirflowFailException, match="2 failed"):
        execute(run(tried=4))
    assert {(state, attempts) for state, attempts, _ in states(ledger).values()} == {("failed", 2)}
    (execution,) = executions.find(ledger, task="t")
    assert execution.state == "failed"
    assert "cannot be reached" in (execution.error or "")


def test_a_sender_that_cannot_open_just_now_leaves_nothing_in_doubt(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def __init__(self, *_: Any, **__: Any) -> None:
            raise requests.ConnectionError("no route to the OAuth 2 server")

    monkeypatch.setitem(sys.modules, "msal", SimpleNamespace(ConfidentialClientApplication=Away))
    extra = {"auth_type": "oauth2", "client_id": "c", "client_secret": "s", "tenant_id": "t"}
    connection = {"conn_type": "smtp", "host": "mail.example.com", "login": "push@example.com", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_DEFAULT", json.dumps(connection))
    apply(ledger, on_unknown="hold")
    with pytest.raises(ProviderUnavailable, match="OAuth 2 server"):
        execute(run(tried=1))
    # Held deliveries that nobody was sent must not count as sent for all that is known.
    assert states(ledger) == {"ann@example.com": ("pending", 1, None)}


def test_a_cleared_run_sends_what_failed_and_nothing_else(
    ledger: Engine, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(ledger)
    good = EmailPushOperator(task_id="send", code="t")
    with monkeypatch.context() as away:
        account(away, 1)
        with pytest.raises(AirflowFailException):
            good.execute(run(tried=4))
    assert good.execute(run(tried=5, tries=8))["sent"] == 1
    assert good.execute(run(tried=6, tries=8))["sent"] == 1
    assert mails.to == ["ann@example.com"]
    assert tasks.get(ledger, "t").executions == 1


@pytest.mark.slow
@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_many_chunks(ledger: Engine, mails: Mails, on_unknown: str) -> None:
    recipients = [f"c{number}@example.com" for number in range(1201)]
    apply(ledger, recipients=recipients, on_unknown=on_unknown)
    assert execute(run())["sent"] == 1201
    assert sorted(mails.to) == sorted(recipients)
    assert set(states(ledger).values()) == {("sent", 1, None)}


def test_a_fault_of_the_content_is_on_record(ledger: Engine, mails: Mails, include: Path) -> None:
    apply(ledger, content=None, template="gone.html")
    with pytest.raises(AirflowFailException, match=r"'gone\.html'"):
        execute(run())
    assert states(ledger) == {"ann@example.com": ("failed", 1, "content")}
    assert mails.to == []


def test_a_missing_variable_fails_one_recipient_alone(ledger: Engine, mails: Mails) -> None:
    named = {"to": "bob@example.com", "variables": {"name": "Bob"}}
    apply(ledger, content="<p>{{ name }}</p>", recipients=["ann@example.com", named])
    with pytest.raises(AirflowFailException, match="1 of 2 sent, 1 failed"):
        execute(run())
    assert states(ledger) == {"ann@example.com": ("failed", 1, "content"), "bob@example.com": ("sent", 1, None)}


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"recipient": "a@example.com"}, "did you mean 'recipients'"),
        ({"recipients": ["nobody"]}, r"recipients\[0\]"),
        ({"execution": 7}, "conf.execution"),
    ],
)
def test_wrong_conf_fails_and_counts_nothing(ledger: Engine, mails: Mails, conf: Any, message: str) -> None:
    apply(ledger)
    with pytest.raises(AirflowFailException, match=message):
        execute(run(conf=conf))
    assert tasks.get(ledger, "t").executions == 0
    assert mails.to == []


def test_a_planned_execution_is_taken_by_the_run_that_names_it(ledger: Engine, mails: Mails) -> None:
    apply(ledger)
    plan = planning.plan(ledger, "t", source="cli", freeze=freeze)
    assert execute(run(conf={"execution": plan.id}))["execution"] == plan.id
    assert tasks.get(ledger, "t").executions == 1


def test_a_cancelled_task_skips_what_is_left(ledger: Engine, mails: Mails) -> None:
    apply(ledger)
    planning.plan(ledger, "t", source="manual", freeze=freeze, run_id="run")
    tasks.cancel(ledger, "t")
    with pytest.raises(AirflowSkipException, match="cancelled"):
        execute(run())
    assert mails.to == []


def test_a_dead_execution_is_closed_once(ledger: Engine) -> None:
    apply(ledger, recipients=["ann@example.com", "bob@example.com"])
    plan = planning.plan(ledger, "t", source="manual", freeze=freeze, run_id="run")
    with sending.held(ledger, "t", plan.id, on_unknown="resend") as lease:
        sending.claim(lease, 1)  # and the process is killed
    assert [one.id for one in executions.under_way(ledger, limit=10)] == [plan.id]
    assert closing.close(ledger, plan.id, error="killed")
    assert {name: state for name, (state, _, _) in states(ledger).items()} == {
        "ann@example.com": "unknown",
        "bob@example.com": "failed",
    }
    assert not closing.close(ledger, plan.id, error="again")
    (execution,) = executions.find(ledger, task="t")
    assert (execution.state, execution.error) == ("partial", "killed")
    assert executions.under_way(ledger, limit=10) == []


def test_a_run_made_anew_under_the_same_id_is_another_execution(ledger: Engine, mails: Mails) -> None:
    apply(ledger)

    def made(minute: int, *recipients: str) -> Any:
        context = run(conf={"recipients": list(recipients)})
        context["dag_run"].run_after = datetime(2026, 7, 1, 6, minute, tzinfo=UTC)
        return context

    first = execute(made(0, "bob@example.com"))
    assert execute(made(0, "bob@example.com"))["execution"] == first["execution"]  # cleared
    assert execute(made(5, "eve@example.com"))["execution"] != first["execution"]
    assert mails.to == ["bob@example.com", "eve@example.com"]
    assert {row.run_id for row in executions.find(ledger, task="t")} == {None, "run"}


def test_an_open_execution_whose_run_is_made_anew_ends(ledger: Engine, mails: Mails) -> None:
    apply(ledger)
    before = datetime(2026, 7, 1, 6, tzinfo=UTC)
    planning.plan(ledger, "t", source="manual", freeze=freeze, run_id="run", run_after=before)
    context = run()
    context["dag_run"].run_after = before + timedelta(minutes=1)
    assert execute(context)["sent"] == 1
    new, old = executions.find(ledger, task="t")
    assert (new.state, old.state) == ("succeeded", "failed")
    assert "another one was made" in (old.error or "")


def test_a_backfill_has_its_date(ledger: Engine, mails: Mails) -> None:
    apply(ledger)
    context = run(due=DUE, late=86400)  # long ago, which only a schedule's times may miss
    context["dag_run"].run_type = "backfill"
    assert execute(context)["sent"] == 1
    (execution,) = executions.find(ledger, task="t")
    assert (execution.source, execution.scheduled_for) == ("backfill", DUE)


def test_a_backfill_that_is_cleared_after_its_execution_has_left_sends_nothing(ledger: Engine, mails: Mails) -> None:
    apply(ledger)

    def filled(day: datetime, cleared: int) -> Any:
        context = run(f"backfill__{day:%Y-%m-%d}", due=day, cleared=cleared)
        context["dag_run"].run_type, context["dag_run"].run_after = "backfill", day
        return context

    execute(filled(DUE, 0))
    assert dropping.drop_old(ledger, 10, before=datetime.now(UTC)) == 1
    with pytest.raises(AirflowFailException, match="has left the ledger"):
        execute(filled(DUE, 1))
    assert mails.to == ["ann@example.com"]
    assert execute(filled(DUE + timedelta(days=1), 0))["sent"] == 1


def test_a_report_is_of_the_day_that_the_schedule_s_clock_shows(ledger: Engine, mails: Mails) -> None:
    """On a database that keeps another time, seven in Shanghai is the day before; who triggers it gets that day's."""
    schedule = {"kind": "daily", "time": "07:00", "timezone": "Asia/Shanghai"}
    subject = "{{ push.scheduled_for[:10] }} {{ push.scheduled_for[11:16] }}{{ push.scheduled_for[-6:] }}"
    apply(ledger, subject=subject, schedule=schedule)
    assert execute(run(due=datetime(2026, 7, 1, 23, 0, tzinfo=UTC)))["sent"] == 1
    assert execute(run("triggered"))["sent"] == 1
    (triggered,) = executions.find(ledger, source="manual", task="t")
    began = triggered.created_at.astimezone(ZoneInfo("Asia/Shanghai"))
    assert mails.subjects == ["2026-07-02 07:00+08:00", f"{began:%Y-%m-%d %H:%M}+08:00"]


def test_a_test_shows_and_sends_nothing(
    ledger: Engine, mails: Mails, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", InProcessSupervisorComms(supervisor=None), raising=False)  # type: ignore[arg-type]
    apply(ledger, recipients=["ann@example.com", "bob@example.com"])
    assert execute(run()) == {"test": True, "recipients": 2}
    assert "<p>ann@example.com</p>" in capsys.readouterr().out
    assert mails.to == []
    assert tasks.get(ledger, "t").executions == 0
    monkeypatch.setenv("AIRFLOW__PUSH__TEST_SENDS", "True")
    assert execute(run())["sent"] == 2


@pytest.mark.parametrize(
    ("run_id", "user"), [("__airflow_temporary_run_2026-07-01T09:00:00+00:00__", None), ("manual__1", "dag_test")]
)
def test_a_test_that_the_scheduler_takes_for_its_own_sends_nothing(
    ledger: Engine, mails: Mails, run_id: str, user: str | None
) -> None:
    apply(ledger)
    context = run(run_id)
    context["dag_run"].triggering_user_name = user
    assert execute(context) == {"test": True, "recipients": 1}
    assert mails.to == []
    assert tasks.get(ledger, "t").executions == 0


def test_empty_lines_of_the_form_are_nobody(ledger: Engine, mails: Mails) -> None:
    apply(ledger)
    assert execute(run(conf={"recipients": ["", "bob@example.com", "  "], "variables": {}}))["sent"] == 1
    assert execute(run("own", conf={"recipients": [""]}))["sent"] == 1
    assert mails.to == ["bob@example.com", "ann@example.com"]


# --- runs of which nothing can be planned -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({"recipients": ["ann@example.com", "nobody"]}, "conf: recipients[1]"),
        ({"recipients": ["ann@example.com"], "colour": "red"}, "conf: colour: "),
        ({"execution": 4711}, "conf.execution: "),
        ({"execution": 10**30}, "conf: execution: must be less than "),
        ({"recipients": [f"p{n}@example.com" for n in range(11)]}, "conf: recipients: are 11; at most 10 "),
        ({"variables": {"text": "x" * 2000}}, "at most 1024 ([push] max_body_size)"),
    ],
)
def test_a_run_whose_conf_is_refused_is_a_failed_execution_that_does_not_count(
    ledger: Engine, mails: Mails, monkeypatch: pytest.MonkeyPatch, conf: Any, reason: str
) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__MAX_RECIPIENTS", "10")
    monkeypatch.setenv("AIRFLOW__PUSH__MAX_BODY_SIZE", "1024")
    apply(ledger, schedule={"kind": "manual"}, execution={"type": "once"})
    for _ in range(2):  # cleared, it is refused again, and is still one
        with pytest.raises(AirflowFailException):
            execute(run("bad", conf=conf))
    (row,) = executions.find(ledger, task="t")
    assert reason in (row.error or "")
    assert (row.state, row.number, row.total, row.source, row.run_id) == ("failed", None, 0, "manual", "bad")
    assert row.finished_at is not None
    task = tasks.get(ledger, "t")
    assert (task.executions, task.status) == (0, "pending")
    with pytest.raises(NothingToRedrive, match="was refused before it began"):
        sending.prepare_redrive(ledger, row.id, unknown=None)
    assert execute(run("good"))["sent"] == 1
    assert tasks.get(ledger, "t").status == "finished"
    assert mails.to == ["ann@example.com"]


def test_a_refused_run_that_begins_when_it_is_cleared_is_an_execution_like_any_other(
    ledger: Engine, mails: Mails
) -> None:
    apply(ledger, schedule={"kind": "manual"}, recipients=[])
    with pytest.raises(AirflowFailException, match="has none of its own"):
        execute(run())
    assert [row.number for row in executions.find(ledger, task="t")] == [None]
    apply(ledger, schedule={"kind": "manual"})
    assert execute(run())["sent"] == 1
    (row,) = executions.find(ledger, task="t")
    assert (row.state, row.number, row.run_id) == ("succeeded", 1, "run")
    assert mails.to == ["ann@example.com"]
