"""Sending that somebody wants to end: a person who cancels, Airflow that ends the process, the time a try may take."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout
from mail_port import mail_port

from push_provider.channels.email.sender import EmailChannel
from push_provider.channels.reading import parse
from push_provider.exceptions import SendingStopped
from push_provider.ledger import closing, definitions, deliveries, executions, tasks
from push_provider.ledger.sending import pending
from push_provider.operators import told
from push_provider.operators.push import BasePushOperator, EmailPushOperator, SmsPushOperator

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.channels.base import Sender

pytestmark = pytest.mark.slow

ALL = 1000
PATIENCE = 60.0


class SlowServer:
    """A mail server that takes its time for each mail.

    :param answers: how many mails it answers; the others wait until the test is over. None: all.
    """

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.seconds = 0.02
        self.answers: int | None = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        if self.answers is not None and len(self.accepted) >= self.answers:
            await asyncio.sleep(PATIENCE)
        await asyncio.sleep(self.seconds)
        self.accepted += envelope.rcpt_tos
        return "250 ok"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowServer]:
    handler = SlowServer()
    extra = {"ignore_tls": True, "max_connections": 2, "timeout": 30}
    with mail_port(handler) as port:
        connection = {"conn_type": "push_email", "host": "127.0.0.1", "port": port, "login": "push@example.com"}
        monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_DEFAULT", json.dumps({**connection, "extra": extra}))
        yield handler


def apply(ledger: Engine, count: int = ALL, **fields: Any) -> None:
    task = {
        "code": "t",
        "name": "T",
        "channel": "email",
        "subject": "Hello",
        "content": "<p>{{ to }}</p>",
        "recipients": [f"c{number}@example.com" for number in range(count)],
        "schedule": {"kind": "manual"},
        "execution": {"type": "loop"},
        **fields,
    }
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")


def run(tried: int = 1, tries: int = 4) -> Any:
    dag_run = SimpleNamespace(
        run_id="run", conf={}, run_type="manual", logical_date=None, start_date=None, triggering_user_name=None
    )
    return {"dag_run": dag_run, "ti": SimpleNamespace(try_number=tried, max_tries=tries - 1)}


def operator(kind: type[BasePushOperator] = EmailPushOperator) -> BasePushOperator:
    return kind(task_id="send", code="t")


def states(ledger: Engine) -> Counter[str]:
    return Counter(row.state.value for row in deliveries.find(ledger, task="t", limit=10_000))


def in_state(ledger: Engine, state: str) -> set[str]:
    return {row.recipient for row in deliveries.find(ledger, task="t", state=state, limit=10_000)}


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def meanwhile(server: SlowServer, then: Callable[[], object], mails: int = 20) -> threading.Thread:
    """Do something as soon as so many mails have been accepted."""

    def do() -> None:
        wait(lambda: len(server.accepted) >= mails)
        then()

    thread = threading.Thread(target=do)
    thread.start()
    return thread


class Lost(timeout):  # type: ignore[misc]
    """A timeout whose exception nobody sees, as if it had been raised while an object dies."""

    def handle_timeout(self, signum: int, frame: Any) -> None:
        with contextlib.suppress(AirflowTaskTimeout):
            super().handle_timeout(signum, frame)


@contextmanager
def too_late(server: SlowServer, kind: type[timeout] = timeout) -> Iterator[None]:
    """Airflow's execution timeout, which comes as soon as 20 more mails were accepted: a busy machine begins late."""
    with kind(2 * PATIENCE):
        soon = partial(signal.setitimer, signal.ITIMER_REAL, 0.001)
        thread = meanwhile(server, soon, mails=len(server.accepted) + 20)
        try:
            yield
        finally:
            thread.join()


def test_a_cancel_is_noticed_between_two_mails(ledger: Engine, server: SlowServer) -> None:
    apply(ledger)
    cancelling = meanwhile(server, lambda: tasks.cancel(ledger, "t"))
    with pytest.raises(AirflowSkipException, match="was cancelled"):
        operator().execute(run())
    cancelling.join()
    # Two connections and 20 ms a mail: about a hundred a second, and one second to notice.
    assert 20 <= len(server.accepted) < ALL / 2
    assert set(states(ledger)) == {"sent", "cancelled"}
    assert Counter(server.accepted) == Counter(in_state(ledger, "sent"))
    (execution,) = executions.find(ledger, task="t")
    assert execution.state == "cancelled"
    assert execution.sent + execution.cancelled == ALL


def test_a_cancel_while_the_sender_is_opened_is_noticed_before_the_first_mail(
    ledger: Engine, server: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled_meanwhile(*given: Any) -> Sender:
        tasks.cancel(ledger, "t")
        return opened(*given)

    apply(ledger)
    opened = EmailChannel.open
    monkeypatch.setattr(EmailChannel, "open", cancelled_meanwhile)
    with pytest.raises(AirflowSkipException, match="was cancelled"):
        operator().execute(run())
    assert (server.accepted, states(ledger)) == ([], {"cancelled": ALL})
    (execution,) = executions.find(ledger, task="t")
    assert execution.state == "cancelled"


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_a_process_that_is_to_end_leaves_nobody_in_doubt(ledger: Engine, server: SlowServer, on_unknown: str) -> None:
    apply(ledger, on_unknown=on_unknown)
    first = operator()
    ending = meanwhile(server, first.on_kill)
    with pytest.raises(SendingStopped, match="asked to end"):
        first.execute(run(tried=4))  # also if no retry is left: who ends a process may have cleared the task
    ending.join()
    assert 20 <= len(server.accepted) < ALL / 2
    assert set(states(ledger)) == {"sent", "pending"}
    assert {row.error_code for row in deliveries.find(ledger, task="t", limit=10_000)} == {None}
    (execution,) = executions.find(ledger, task="t")
    assert (execution.state, execution.sent) == ("running", len(server.accepted))
    server.seconds = 0
    assert operator().execute(run(tried=5, tries=8))["sent"] == ALL
    assert set(Counter(server.accepted).values()) == {1}


def test_a_process_that_is_to_end_before_it_sends(ledger: Engine, server: SlowServer) -> None:
    apply(ledger)
    ended = operator()
    ended.on_kill()
    with pytest.raises(SendingStopped):
        ended.execute(run())
    assert len(server.accepted) < ALL / 2
    assert set(states(ledger)) <= {"sent", "pending"}


def test_tries_that_take_too_long_send_to_nobody_twice(ledger: Engine, server: SlowServer) -> None:
    apply(ledger, count=150)
    for tries in range(1, 4):
        with pytest.raises(SendingStopped, match="execution timeout"), too_late(server):
            operator().execute(run(tried=tries, tries=5))
        assert set(states(ledger)) == {"sent", "pending"}
    operator().execute(run(tried=4, tries=5))
    assert states(ledger) == {"sent": 150}
    assert set(Counter(server.accepted).values()) == {1}


def test_a_timeout_that_got_lost_ends_the_try_all_the_same(ledger: Engine, server: SlowServer) -> None:
    apply(ledger, count=150)
    with pytest.raises(SendingStopped, match="execution timeout"), too_late(server, Lost):
        operator().execute(run(tried=1, tries=5))
    assert set(states(ledger)) == {"sent", "pending"}
    operator().execute(run(tried=2, tries=5))
    assert set(Counter(server.accepted).values()) == {1}


def test_a_timeout_before_the_first_mail_leaves_nobody_in_doubt(
    ledger: Engine, server: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(*given: Any) -> int:
        signal.raise_signal(signal.SIGALRM)
        return pending(*given)

    apply(ledger, on_unknown="hold")
    monkeypatch.setattr("push_provider.ledger.sending.pending", too_slow)
    with pytest.raises(SendingStopped, match="execution timeout"), timeout(2 * PATIENCE):
        operator().execute(run())
    assert (server.accepted, states(ledger)) == ([], {"pending": ALL})


def test_the_last_try_that_takes_too_long_says_so(ledger: Engine, server: SlowServer) -> None:
    apply(ledger)
    with pytest.raises(AirflowFailException, match="execution timeout"), too_late(server):
        operator().execute(run(tried=4))
    assert set(states(ledger)) == {"sent", "failed"}
    failed = deliveries.find(ledger, task="t", state="failed", limit=1)
    assert (failed[0].error_code, "execution timeout" in (failed[0].error_text or "")) == ("not-sent", True)
    assert len(in_state(ledger, "sent")) == len(server.accepted)


def test_what_the_server_does_not_answer_is_in_doubt_and_nothing_else(ledger: Engine, server: SlowServer) -> None:
    apply(ledger, on_unknown="hold")
    server.answers = 20
    first = operator()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(first.execute, run())
        # On record while the others wait for their answers.
        wait(lambda: states(ledger)["sent"] >= 20)
        first.on_kill()
        with pytest.raises(SendingStopped):
            sending.result(PATIENCE)
    counts = states(ledger)
    assert counts["sent"] == len(server.accepted)
    assert 1 <= counts["unknown"] <= 2  # one a connection
    assert counts.total() == counts["sent"] + counts["unknown"] + counts["pending"]


def test_an_execution_that_somebody_closes_is_sent_no_further(ledger: Engine, server: SlowServer) -> None:
    apply(ledger)

    def close() -> None:
        (one,) = executions.under_way(ledger, limit=10)
        closing.close(ledger, one.id, error="ann marked the run failed")

    closer = meanwhile(server, close)
    with pytest.raises(AirflowFailException, match="ann marked the run failed"):
        operator().execute(run())
    closer.join()
    assert 20 <= len(server.accepted) < ALL / 2
    (execution,) = executions.find(ledger, task="t")
    assert (execution.state, execution.error) == ("partial", "ann marked the run failed")
    assert execution.sent == len(server.accepted)


def test_calls_that_are_under_way_are_in_doubt_and_no_others(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [{"to": f"138{n:08d}", "variables": {"name": "N", "order": "A-1"}} for n in range(350)]
    content = json.dumps({"name": "{{ name }}", "order": "{{ order }}"})
    apply(ledger, channel="sms", subject=None, content=content, recipients=people)
    aliyun.connect(monkeypatch, max_connections=1)
    aliyun.fail("slow", action="SendBatchSms", seconds=20, times=1)
    first = operator(SmsPushOperator)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(first.execute, run())
        wait(lambda: aliyun.calls.get("SendBatchSms"))
        first.on_kill()
        with pytest.raises(SendingStopped):
            sending.result(PATIENCE)
    assert states(ledger) == {"sending": 100, "pending": 250}
    with pytest.raises(
        AirflowFailException, match=r"250 of 350 sent, 0 failed, 100 unknown.*clearing sends them nothing"
    ):
        operator(SmsPushOperator).execute(run())
    assert states(ledger) == {"sent": 250, "unknown": 100}
    assert max(Counter(sms.phone for sms in aliyun.sent).values()) == 1


def test_the_log_says_what_is_sent_and_who_did_not_get_it(
    ledger: Engine, server: SlowServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "_PROGRESS_SECONDS", 0.5)
    people: list[Any] = [{"to": f"c{n}@example.com", "variables": {"name": "N"}} for n in range(100)]
    people += [f"nameless{n}@example.com" for n in range(12)]
    apply(ledger, recipients=people, content="<p>{{ name }}</p>")
    capsys.readouterr()
    with pytest.raises(AirflowFailException):
        operator().execute(run(tried=4))
    said = [line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()]
    beginning = "by email through connection push_email_default to 112 recipients"
    assert any(beginning in line for line in said)
    assert any(" of 112 done (" in line and "a second" in line for line in said)
    failures = [line for line in said if "failed: content" in line]
    assert len(failures) == 10
    assert failures[0].startswith("nameless0@example.com failed: content ")
    assert any(line.startswith("… and 2 more: airflow push deliveries --execution") for line in said)
