"""App push from a push task to phones: the operator on a real ledger and the sandbox's stand-in of Aliyun."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from push_provider.channels.base import Job
from push_provider.channels.reading import parse
from push_provider.channels.registry import get_channel
from push_provider.exceptions import ProviderUnavailable
from push_provider.ledger import definitions, deliveries, planning, sending, suppressions
from push_provider.operators.push import AppPushOperator
from push_provider.rendering import compile_content
from sandbox.app_store import AppStore
from sandbox.fcm import FcmGateway
from sandbox.fcm_account import TOKEN_PATH, new_account
from sandbox.sms_faults import Fault
from sandbox.sms_http import in_thread

if TYPE_CHECKING:
    from phones import Phones
    from sqlalchemy import Engine

DEVICES = [f"d{number}" for number in range(1, 701)]


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[FcmGateway]:
    """The stand-in of FCM, as configuration ``fcm``."""
    gateway = FcmGateway(AppStore(), account := new_account())
    with in_thread(gateway) as address:
        key = json.dumps({**account, "token_uri": f"http://{address}{TOKEN_PATH}"})
        connection = {"conn_type": "push_fcm", "password": key, "extra": {"endpoint": f"http://{address}"}}
        monkeypatch.setenv("AIRFLOW_CONN_FCM", json.dumps(connection))
        yield gateway


def apply(ledger: Engine, **fields: Any) -> None:
    task = {
        "code": "a",
        "name": "A",
        "channel": "app",
        "title": "For {{ to }}",
        "content": "Hello",
        "schedule": {"kind": "manual"},
        "execution": {"type": "loop"},
        "recipients": DEVICES,
        **fields,
    }
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")


def execute(run_id: str = "run", *, conf: Any = None) -> dict[str, Any]:
    run = SimpleNamespace(
        run_id=run_id, conf=conf or {}, run_type="manual", logical_date=None, start_date=None, triggering_user_name=None
    )
    context: Any = {"dag_run": run, "ti": SimpleNamespace(try_number=1, max_tries=3)}
    return AppPushOperator(task_id="send", code="a").execute(context)


def states(ledger: Engine) -> dict[str, str]:
    return {row.recipient: row.state.value for row in deliveries.find(ledger, limit=2000)}


def test_each_gets_their_own_once(ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    phones.connect(monkeypatch)
    apply(ledger)
    assert execute()["sent"] == 700
    assert execute()["sent"] == 700  # cleared: nobody is sent to again
    assert sorted(message.to for message in phones.got) == sorted(DEVICES)
    rows = {row.recipient: row.provider_id for row in deliveries.find(ledger, limit=2000)}
    assert all(rows[message.to] == message.id for message in phones.got)


def test_what_a_process_that_died_had_pushed_is_not_pushed_again(
    ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones.connect(monkeypatch)
    apply(ledger)
    plan = planning.plan(ledger, "a", source="manual", freeze=lambda _: {}, run_id="run")
    channel = get_channel("app")
    with sending.held(ledger, "a", plan.id, on_unknown="resend") as lease:
        claimed = sending.claim(lease, 700)
        content = compile_content(plan.task, plan.templates)
        with channel.open(channel.connection(None), content, Job(plan.id, plan.token)) as sender:
            sender.send(claimed)  # killed before anything was on record
    assert execute()["sent"] == 700
    assert sorted(message.to for message in phones.got) == sorted(DEVICES)


@pytest.mark.slow
def test_nor_is_it_however_much_it_had_claimed_at_a_time(
    ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"d{number}" for number in range(1, 2501)]
    phones.connect(monkeypatch)
    apply(ledger, recipients=many)
    plan = planning.plan(ledger, "a", source="manual", freeze=lambda _: {}, run_id="run")
    channel = get_channel("app")
    with sending.held(ledger, "a", plan.id, on_unknown="resend") as lease:
        content = compile_content(plan.task, plan.templates)
        with channel.open(channel.connection(None), content, Job(plan.id, plan.token)) as sender:
            after = 0
            for limit in (730, 1000, 415):
                claimed = sending.claim(lease, limit, after=after, boundary=channel.boundary)
                after = claimed[-1].id
                sender.send(claimed)
    calls = phones.calls
    assert execute()["sent"] == 2500
    assert sorted(message.to for message in phones.got) == sorted(many)
    assert phones.calls <= calls + 26  # a hundred in each


def test_one_that_is_refused_is_failed_alone(ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    phones.connect(monkeypatch)
    apply(ledger, recipients=["d1", "invalid-2", "d3"])
    with pytest.raises(AirflowFailException, match="2 of 3 sent, 1 failed"):
        execute()
    assert states(ledger) == {"d1": "sent", "invalid-2": "failed", "d3": "sent"}
    (row,) = deliveries.find(ledger, state="failed", limit=10)
    assert row.error_code == "InvalidDeviceId.Format"


@pytest.mark.slow
def test_an_aliyun_that_is_away_is_tried_again(ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(ledger, recipients=DEVICES[:10])
    phones.connect(monkeypatch, endpoint="http://127.0.0.1:1")
    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
        execute()
    assert set(states(ledger).values()) == {"pending"}
    phones.connect(monkeypatch)
    assert execute()["sent"] == 10


def test_an_aliyun_that_has_no_time_and_does_not_say_until_when_is_left_to_airflow_s_delay(
    ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones.connect(monkeypatch)
    apply(ledger, recipients=DEVICES[:3])
    phones.fail("refuse", code="SignatureNonceUsed", status=400, times=None)
    with pytest.raises(ProviderUnavailable, match="3 to be tried again") as refused:
        execute()
    assert refused.value.retry_after is None


@pytest.mark.parametrize(
    ("code", "retry_after", "seconds"),
    [("UNAVAILABLE", None, None), ("UNAVAILABLE", 90_000, 90), ("QUOTA_EXCEEDED", None, 60)],
)
def test_how_long_fcm_is_left_alone(
    ledger: Engine,
    google: FcmGateway,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    retry_after: int | None,
    seconds: float | None,
) -> None:
    monkeypatch.setattr("push_provider.channels.app.fcm_calls._TRIES", 1)
    fault = {"kind": "refuse", "action": "send", "code": code, "status": 503, "times": None}
    google.faults.add(Fault.from_json({**fault, "retry_after": retry_after}))
    apply(ledger, config="fcm", recipients=["t1", "t2", "t3"])
    with pytest.raises(ProviderUnavailable, match="3 to be tried again") as refused:
        execute()
    assert refused.value.retry_after == (seconds and pytest.approx(seconds, abs=20))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "error"),
    [({"password": "another"}, "SignatureDoesNotMatch"), ({"app_key": "1"}, "correct the app key")],
)
def test_what_concerns_all_ends_with_one_message(
    ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], error: str
) -> None:
    phones.connect(monkeypatch, **extra)
    apply(ledger)
    with pytest.raises(AirflowFailException, match=error):
        execute()
    assert set(states(ledger).values()) == {"failed"}
    assert phones.calls <= 1
    phones.connect(monkeypatch)
    assert execute()["sent"] == 700


def test_a_trigger_names_devices_and_variables(ledger: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    phones.connect(monkeypatch)
    apply(ledger, title="{{ order }}")
    assert execute(conf={"recipients": ["d9"], "variables": {"order": "A-7"}})["sent"] == 1
    assert [(message.to, message.title) for message in phones.got] == [("d9", "A-7")]


def test_a_device_that_is_gone_is_called_no_more(ledger: Engine, google: FcmGateway) -> None:
    apply(ledger, config="fcm", recipients=["gone-1", "t2", "t3"])
    with pytest.raises(AirflowFailException) as failed:
        execute()
    assert "2 of 3 sent, 1 failed" in str(failed.value)
    assert "The address of 1 is gone, and gets nothing more: airflow push suppressions." in str(failed.value)
    assert "Clear this task" not in str(failed.value)
    assert google.counts["send"] == 3
    with pytest.raises(AirflowFailException, match="2 of 3 sent, 1 failed"):
        execute("another run")
    assert google.counts["send"] == 5
    (row,) = suppressions.find(ledger)
    assert (row.channel, row.address, row.code) == ("app", "gone-1", "UNREGISTERED")
