"""WebSocket messages from a push task to Centrifugo: the operator on a real ledger and the sandbox's stand-in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import text

from push_provider.channels.base import Outcome, Result
from push_provider.channels.reading import parse
from push_provider.exceptions import ProviderUnavailable
from push_provider.ledger import acknowledgements, closing, definitions, deliveries, planning, sending
from push_provider.ledger.acknowledgements import Taken
from push_provider.marks import read_receipt_mark
from push_provider.operators.push import WebsocketPushOperator
from push_provider.operators.receipts import ReceiptsOperator

if TYPE_CHECKING:
    from live import Live
    from sqlalchemy import Engine

USERS = [f"u{number}" for number in range(1, 1201)]


def apply(ledger: Engine, **fields: Any) -> None:
    task = {
        "code": "w",
        "name": "W",
        "channel": "websocket",
        "title": "For {{ to }}",
        "schedule": {"kind": "manual"},
        "execution": {"type": "loop"},
        "recipients": USERS,
        **fields,
    }
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")


def execute(run_id: str = "run", *, conf: Any = None, last: bool = False) -> dict[str, Any]:
    run = SimpleNamespace(
        run_id=run_id, conf=conf or {}, run_type="manual", logical_date=None, start_date=None, triggering_user_name=None
    )
    context: Any = {"dag_run": run, "ti": SimpleNamespace(try_number=4 if last else 1, max_tries=3)}
    return WebsocketPushOperator(task_id="send", code="w").execute(context)


def ask() -> dict[str, int]:
    return ReceiptsOperator(task_id="ask").execute({})  # type: ignore[arg-type,typeddict-item]


def receipts_are_due(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET receipt_due = now() WHERE receipt_due IS NOT NULL"))


def states(ledger: Engine) -> dict[str, str]:
    return {row.recipient: row.state.value for row in deliveries.find(ledger, limit=2000)}


def test_each_gets_their_own_once(ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.connect(monkeypatch)
    apply(ledger)
    assert execute()["sent"] == 1200
    assert execute()["sent"] == 1200  # cleared: nobody is sent to again
    assert live.server is not None
    tops = {user: live.server.streams.top(f"push:#{user}").offset for user in USERS}
    assert set(tops.values()) == {1}
    rows = {row.recipient: row.provider_id for row in deliveries.find(ledger, limit=2000)}
    assert all(rows[user] == message["id"] for user, message in live.sent)


def test_what_a_process_that_died_had_published_is_not_published_again(
    ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.connect(monkeypatch)
    apply(ledger, recipients=USERS[:100])
    plan = planning.plan(ledger, "w", source="manual", freeze=lambda _: {}, run_id="run")
    from push_provider.channels.base import Job
    from push_provider.channels.registry import get_channel
    from push_provider.rendering import compile_content

    channel = get_channel("websocket")
    with sending.held(ledger, "w", plan.id, on_unknown="resend") as lease:
        claimed = sending.claim(lease, 60)
        content = compile_content(plan.task, plan.templates)
        with channel.open(channel.connection(None), content, Job(plan.id, plan.token)) as sender:
            sender.send(claimed[:40])  # killed before anything was on record
    assert execute()["sent"] == 100
    assert sorted(user for user, _ in live.sent) == sorted(USERS[:100])


@pytest.mark.slow
def test_a_centrifugo_that_is_away_is_tried_again(ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(ledger, recipients=USERS[:10])
    live.connect(monkeypatch, address="http://127.0.0.1:1")
    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
        execute()
    assert set(states(ledger).values()) == {"pending"}
    live.connect(monkeypatch)
    assert execute()["sent"] == 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "fields", "error"),
    [
        ({"password": "another"}, {}, "HTTP status 401; correct the API key"),
        ({"namespace": "other"}, {}, "with 102 .unknown channel.; give the connection a namespace"),
        ({"history_ttl": 60}, {"ttl": 90}, "ttl: is 90 seconds"),
    ],
)
def test_what_concerns_all_ends_with_one_message(
    ledger: Engine,
    live: Live,
    monkeypatch: pytest.MonkeyPatch,
    extra: dict[str, Any],
    fields: dict[str, Any],
    error: str,
) -> None:
    live.connect(monkeypatch, **extra)
    apply(ledger, **fields)
    with pytest.raises(AirflowFailException, match=error):
        execute()
    assert set(states(ledger).values()) == {"failed"}
    live.connect(monkeypatch)
    assert execute()["sent"] == 1200


def test_who_has_not_acknowledged_in_time_has_not_got_it(
    ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.connect(monkeypatch)
    monkeypatch.setenv("AIRFLOW__PUSH__PUBLIC_URL", "https://push.example.com")
    apply(ledger, recipients=["ann", "bob"], ttl=60, expect="acknowledged")
    assert execute()["sent"] == 2
    links = {user: message["acknowledge"] for user, message in live.sent}
    mark = read_receipt_mark(links["ann"].rsplit("/", 1)[1])
    assert mark is not None
    assert acknowledgements.take(ledger, [mark], channels={"websocket"}, now=datetime.now(UTC)) == [Taken.YES]
    ask = ReceiptsOperator(task_id="ask").execute
    assert ask({})["asked"] == 0  # type: ignore[typeddict-item]
    with ledger.begin() as connection:
        late = "UPDATE push_delivery SET receipt_due = receipt_due - interval '60 seconds'"
        assert connection.execute(text(f"{late} WHERE receipt_due IS NOT NULL")).rowcount == 1
    assert ask({})["failed"] == 1  # type: ignore[typeddict-item]
    assert states(ledger) == {"ann": "delivered", "bob": "failed"}
    (row,) = deliveries.find(ledger, state="failed", limit=10)
    assert (row.error_code, row.error_text) == ("unacknowledged", "Nobody acknowledged it within its ttl")
    # What comes too late changes nothing.
    mark = read_receipt_mark(links["bob"].rsplit("/", 1)[1])
    assert mark is not None
    assert acknowledgements.take(ledger, [mark], channels={"websocket"}, now=datetime.now(UTC)) == [Taken.YES]
    assert states(ledger)["bob"] == "failed"


def test_a_configuration_that_is_gone_is_not_needed_to_say_that_nobody_has(
    ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(live.fields()))
    monkeypatch.setenv("AIRFLOW__PUSH__PUBLIC_URL", "https://push.example.com")
    apply(ledger, recipients=["ann"], ttl=60, expect="acknowledged", config="other")
    assert execute()["sent"] == 1
    monkeypatch.delenv("AIRFLOW_CONN_OTHER")
    receipts_are_due(ledger)
    assert ask()["failed"] == 1
    assert states(ledger) == {"ann": "failed"}


def test_what_is_in_doubt_is_sent_again_though_its_time_is_over(
    ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.connect(monkeypatch)
    monkeypatch.setenv("AIRFLOW__PUSH__PUBLIC_URL", "https://push.example.com")
    apply(ledger, recipients=["ann"], ttl=60, expect="acknowledged")
    plan = planning.plan(ledger, "w", source="manual", freeze=lambda _: {}, run_id="run")
    with sending.held(ledger, "w", plan.id, on_unknown="resend") as lease:
        (ann,) = sending.claim(lease, 10, receipt_after=60)
        sending.record(lease, [Outcome(ann.id, Result.UNKNOWN, None, "timeout")])
        closing.finish(ledger, plan.id, final=False, resend_unknown=True, lease=lease)
    receipts_are_due(ledger)
    assert ask()["failed"] == 0  # Airflow's next try is still to come
    assert execute()["sent"] == 1
    assert [user for user, _ in live.sent] == ["ann"]
    receipts_are_due(ledger)
    assert ask()["failed"] == 1


def test_without_that_nobody_is_asked(ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.connect(monkeypatch)
    apply(ledger, recipients=["ann"], ttl=60)
    execute()
    with ledger.begin() as connection:
        assert connection.execute(text("SELECT receipt_due FROM push_delivery")).scalars().all() == [None]


def test_a_trigger_names_users_and_variables(ledger: Engine, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.connect(monkeypatch)
    apply(ledger, title="{{ order }}")
    assert execute(conf={"recipients": ["zoe"], "variables": {"order": "A-7"}})["sent"] == 1
    assert [(user, message["title"]) for user, message in live.sent] == [("zoe", "A-7")]
