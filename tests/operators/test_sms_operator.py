"""SMS from a push task to the gateway, and their receipts: the operators on a real ledger and the sandbox's gateway."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import text

from push_provider.channels.reading import parse
from push_provider.exceptions import ProviderUnavailable
from push_provider.ledger import defaults, definitions, deliveries, executions, planning, sending
from push_provider.ledger.defaults import Default
from push_provider.operators.push import SmsPushOperator
from push_provider.operators.receipts import ReceiptsOperator

if TYPE_CHECKING:
    from sqlalchemy import Engine

NUMBERS = [f"138{number:08d}" for number in range(1, 201)]


def apply(ledger: Engine, **fields: Any) -> None:
    task = {
        "code": "s",
        "name": "S",
        "channel": "sms",
        "content": json.dumps({"name": "{{ name }}", "order": "{{ order }}"}),
        "schedule": {"kind": "manual"},
        "execution": {"type": "loop"},
        "recipients": people(NUMBERS),
        **fields,
    }
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")


def people(numbers: list[str]) -> list[dict[str, Any]]:
    return [{"to": n, "variables": {"name": f"N{n[-3:]}", "order": f"A-{n[-3:]}"}} for n in numbers]


def execute(run_id: str = "run", *, conf: Any = None, last: bool = False) -> dict[str, Any]:
    run = SimpleNamespace(
        run_id=run_id, conf=conf or {}, run_type="manual", logical_date=None, start_date=None, triggering_user_name=None
    )
    context: Any = {"dag_run": run, "ti": SimpleNamespace(try_number=4 if last else 1, max_tries=3)}
    return SmsPushOperator(task_id="send", code="s").execute(context)


def ask() -> dict[str, int]:
    return ReceiptsOperator(task_id="ask").execute({})  # type: ignore[arg-type,typeddict-item]


def receipts_are_due(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET receipt_due = now() WHERE receipt_due IS NOT NULL"))


def states(ledger: Engine) -> dict[str, tuple[str, str | None]]:
    return {row.recipient: (row.state.value, row.error_code) for row in deliveries.find(ledger, limit=1000)}


def test_two_hundred_with_their_own_parameters(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger)
    assert execute()["sent"] == 200
    assert aliyun.calls == {"SendBatchSms": 2}
    assert {sms.phone: sms.content for sms in aliyun.sent} == {
        n: f"【推送平台】尊敬的N{n[-3:]}，您的订单A-{n[-3:]}已发货。" for n in NUMBERS
    }
    rows = deliveries.find(ledger, limit=1000)
    assert {row.provider_id for row in rows} == {sms.biz_id for sms in aliyun.sent}
    assert execute()["sent"] == 200  # its Airflow task is cleared: nobody is sent to again
    assert len(aliyun.sent) == 200


@pytest.mark.parametrize(
    ("fields", "sent", "failed"),
    [
        (
            {
                "template_code": "SMS_100000001",
                "content": '{"name": "{{ name }}", "order": "A-1"}',
                "variables": {"name": "Ann"},
                "recipients": ["+1 (415) 555-2671", "13800138000"],
            },
            "13800138000",
            "+14155552671",
        ),
        (
            {
                "template_code": "SMS_100000003",
                "content": '{"code": "12"}',
                "recipients": ["13800138000", "+85290001234"],
            },
            "85290001234",
            "13800138000",
        ),
    ],
    ids=["a number abroad, a template for the mainland", "a number of the mainland, an international template"],
)
def test_a_number_of_the_other_kind_fails_alone_before_any_call(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], sent: str, failed: str
) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger, sign_name="推送平台", **fields)
    with pytest.raises(AirflowFailException, match="1 of 2 sent, 1 failed"):
        execute()
    assert [sms.phone for sms in aliyun.sent] == [sent]
    assert aliyun.calls == {"SendSms": 1}
    (row,) = deliveries.find(ledger, state="failed", limit=10)
    assert (row.recipient, row.error_code) == (failed, "number")
    assert fields["template_code"] in (row.error_text or "")


def test_a_changed_secret_is_a_configuration_error(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliyun.connect(monkeypatch, password="another")
    apply(ledger)
    with pytest.raises(AirflowFailException, match=r"refuses the call with SignatureDoesNotMatch .*; correct the"):
        execute()
    assert set(states(ledger).values()) == {("failed", "configuration")}
    assert aliyun.sent == []
    aliyun.connect(monkeypatch)
    assert execute()["sent"] == 200


def test_a_wrong_signature_stops_the_execution_with_one_message(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger, sign_name="没有的签名", recipients=people([f"138{n:08d}" for n in range(2500)]))
    with pytest.raises(AirflowFailException, match=r"isv\.SMS_SIGNATURE_ILLEGAL .*; use a signature of this account"):
        execute()
    assert aliyun.calls == {"SendBatchSms": 1}


def test_parameters_that_are_refused_once_cost_nobody_their_sms(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger, recipients=people(NUMBERS[:4]))
    words = "请检查模板内容与模板参数是否匹配"
    aliyun.fail("refuse", action="SendBatchSms", times=1, code="isv.SMS_TEMPLATE_ILLEGAL", message=words)
    assert execute()["sent"] == 4
    assert sorted(sms.phone for sms in aliyun.sent) == NUMBERS[:4]


BAD = [f"1990004{number:04d}" for number in range(900)]
"""Numbers that the gateway refuses."""


def test_twenty_bad_numbers_fail_nobody_after_them_nor_when_sent_again(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [f"137{number:08d}" for number in range(300)]
    aliyun.connect(monkeypatch)
    apply(ledger, recipients=people([*BAD[:20], *good]))
    with pytest.raises(AirflowFailException, match="300 of 320 sent, 20 failed"):
        execute(last=True)
    found = states(ledger)
    assert {found[number] for number in good} == {("sent", None)}
    assert {found[number] for number in BAD[:20]} == {("failed", "isv.MOBILE_NUMBER_ILLEGAL")}
    assert sum(aliyun.calls.values()) <= 60
    with pytest.raises(AirflowFailException, match="300 of 320 sent, 20 failed"):
        execute(last=True)
    assert sorted(sms.phone for sms in aliyun.sent) == good


@pytest.mark.slow
@pytest.mark.parametrize("bad", [450, 900], ids=["in one chunk", "in two"])
@pytest.mark.parametrize("retries", [True, False])
def test_more_bad_numbers_than_are_tried_at_a_time_fail_nobody_after_them(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch, retries: bool, bad: int
) -> None:
    monkeypatch.setattr("push_provider.channels.sms.calls._PACE", 0.0)
    monkeypatch.setattr("push_provider.channels.sms.calls._ENOUGH", 200)
    aliyun.connect(monkeypatch)
    apply(ledger, recipients=people([*BAD[:bad], "13700000001"]))
    if retries:
        with pytest.raises(ProviderUnavailable, match=r"refused 2\d\d recipients in a row, the last with isv\.MOBILE_"):
            execute()
        assert states(ledger)["13700000001"][0] == "pending"
        (row,) = executions.find(ledger, task="s")
        assert row.state.value == "running"
        assert "Look at the template" in (row.error or "")
    with pytest.raises(AirflowFailException, match=f"1 of {bad + 1} sent, {bad} failed"):
        execute(last=True)
    assert [sms.phone for sms in aliyun.sent] == ["13700000001"]
    assert sum(aliyun.calls.values()) < 1.5 * bad


def test_held_by_default_and_settled_by_receipts(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger)
    aliyun.fail("drop_after", action="SendBatchSms")
    aliyun.fail("drop", action="SendBatchSms")
    with pytest.raises(AirflowFailException, match="0 of 200 sent, 0 failed, 200 unknown"):
        execute()
    with pytest.raises(AirflowFailException, match="200 unknown"):
        execute()  # cleared: held, nobody is sent to again
    assert len(aliyun.sent) == 100
    assert ask() == {"asked": 0, "delivered": 0, "failed": 0, "sent": 0, "given_up": 0}
    receipts_are_due(ledger)
    assert ask()["delivered"] == 100
    accepted = {sms.phone for sms in aliyun.sent}
    assert {n for n, (state, _) in states(ledger).items() if state == "delivered"} == accepted

    # Three days later Aliyun still knows nothing of the others: they were not sent, and can be sent again.
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET tried_at = now() - interval '3 days 1 minute'"))
    receipts_are_due(ledger)
    assert ask()["failed"] == 100
    assert {code for state, code in states(ledger).values() if state == "failed"} == {"no-record"}
    assert execute()["sent"] == 200
    assert len(aliyun.sent) == 200
    assert len({sms.phone for sms in aliyun.sent}) == 200


def test_receipts_of_every_kind(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger, recipients=people(["13800000001", "19900010001", "19900030001"]))
    assert execute()["sent"] == 3
    receipts_are_due(ledger)
    assert ask() == {"asked": 3, "delivered": 1, "failed": 1, "sent": 0, "given_up": 0}
    assert states(ledger) == {
        "13800000001": ("delivered", None),
        "19900010001": ("failed", "MOBILE_NOT_ON_SERVICE"),
        "19900030001": ("sent", None),
    }
    (row,) = executions.find(ledger, task="s")
    assert (row.state.value, row.sent, row.delivered, row.failed) == ("partial", 2, 1, 1)
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET tried_at = now() - interval '4 days'"))
    receipts_are_due(ledger)
    assert ask() == {"asked": 1, "delivered": 0, "failed": 0, "sent": 0, "given_up": 1}
    assert states(ledger)["19900030001"] == ("sent", "no-receipt")


def test_a_process_that_died_leaves_nobody_sent_to_twice(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger)
    plan = planning.plan(ledger, "s", source="manual", freeze=lambda _: {}, run_id="run")
    with sending.held(ledger, "s", plan.id, on_unknown="hold") as lease:
        sending.claim(lease, 150, receipt_after=20)  # killed before its calls
    with pytest.raises(AirflowFailException, match="50 of 200 sent, 0 failed, 150 unknown"):
        execute()
    assert len(aliyun.sent) == 50
    receipts_are_due(ledger)
    with ledger.begin() as connection:
        late = "UPDATE push_delivery SET tried_at = now() - interval '4 days' WHERE state = 'unknown'"
        connection.execute(text(late))
    assert ask()["failed"] == 150
    assert execute()["sent"] == 200
    assert len({sms.phone for sms in aliyun.sent}) == len(aliyun.sent) == 200


def test_a_gateway_that_is_away_is_tried_again(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(ledger)
    aliyun.connect(monkeypatch, endpoint="http://127.0.0.1:1")
    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
        execute()
    assert set(states(ledger).values()) == {("pending", None)}
    with pytest.raises(AirflowFailException, match="200 failed"):
        execute(last=True)
    aliyun.connect(monkeypatch)
    assert execute()["sent"] == 200


def test_a_throttled_call_is_for_the_next_try(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger)
    aliyun.fail("refuse", action="SendBatchSms", code="Throttling.User", status=400, retry_after=60_000)
    words = "100 of 200 sent, 0 failed, 0 unknown, 0 cancelled, 100 to be tried"
    with pytest.raises(ProviderUnavailable, match=words) as refused:
        execute()
    assert refused.value.retry_after == pytest.approx(60, abs=5)
    assert execute()["sent"] == 200
    assert len({sms.phone for sms in aliyun.sent}) == len(aliyun.sent) == 200


def test_a_gateway_that_has_no_time_and_does_not_say_until_when_is_left_to_airflow_s_delay(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger, recipients=people(NUMBERS[:3]))
    aliyun.fail("refuse", action="SendBatchSms", times=None, code="SignatureNonceUsed", status=400)
    with pytest.raises(ProviderUnavailable, match="3 to be tried again") as refused:
        execute()
    assert refused.value.retry_after is None


def mark(ledger: Engine, config: str | None) -> None:
    """Make a configuration the default, as the API server notes it."""
    with defaults.changing(ledger) as connection:
        defaults.put(connection, "sms", Default(config, stored=True) if config else None)


def test_the_marked_configuration_is_the_default(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.connect(monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_MARKED", json.dumps(aliyun.fields(sign_name="阿里云短信测试")))
    mark(ledger, "marked")
    apply(ledger, recipients=people(["13800000001"]))
    execute()
    apply(ledger, recipients=people(["13800000002"]), config="push_aliyun_sms_default")
    execute("run 2")
    mark(ledger, None)
    apply(ledger, recipients=people(["13800000003"]))
    execute("run 3")
    assert [(sms.phone[-1], sms.sign_name) for sms in aliyun.sent] == [
        ("1", "阿里云短信测试"),
        ("2", "推送平台"),
        ("3", "推送平台"),
    ]


def test_receipts_are_asked_for_where_the_message_was_sent(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_FIRST", json.dumps(aliyun.fields()))
    # An account that knows nothing of the other's messages, and refuses whoever asks with its key.
    monkeypatch.setenv("AIRFLOW_CONN_SECOND", json.dumps(aliyun.fields(login="LTAI5tSomebodyElse")))
    mark(ledger, "first")
    apply(ledger, recipients=people(["13800000001"]))
    execute()
    mark(ledger, "second")
    receipts_are_due(ledger)
    assert ask()["delivered"] == 1


def test_each_try_takes_the_default_of_its_moment(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OFF", json.dumps(aliyun.fields(enabled=False)))
    monkeypatch.setenv("AIRFLOW_CONN_ON", json.dumps(aliyun.fields()))
    apply(ledger, recipients=people(["13800000001"]))
    mark(ledger, "off")
    with pytest.raises(AirflowFailException, match="Connection 'off' is disabled; enable it"):
        execute()
    mark(ledger, "gone")
    with pytest.raises(AirflowFailException, match=r"default one is missing: .* 'gone'.*airflow push default"):
        execute()
    mark(ledger, "on")
    assert execute()["sent"] == 1


def test_a_configuration_that_is_gone_keeps_no_other_from_its_receipts(
    ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliyun.connect(monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(aliyun.fields()))
    apply(ledger, recipients=people(["13800000001"]))
    execute()
    apply(ledger, recipients=people(["13800000002"]), config="other")
    execute("run 2")
    receipts_are_due(ledger)
    monkeypatch.delenv("AIRFLOW_CONN_OTHER")
    with pytest.raises(AirflowFailException, match="there is no connection 'other'"):
        ask()
    assert states(ledger) == {"13800000001": ("delivered", None), "13800000002": ("sent", None)}
    assert ask()["asked"] == 0  # asked again later, not every minute

    # It is gone for good: when the time is over nobody is asked any more.
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET tried_at = now() - interval '3 days 1 minute'"))
    receipts_are_due(ledger)
    with pytest.raises(AirflowFailException, match="there is no connection 'other'"):
        ask()
    assert states(ledger)["13800000002"] == ("sent", "no-receipt")
    receipts_are_due(ledger)
    assert ask()["asked"] == 0


def test_content_that_does_not_fit_is_on_record(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger, content='{"name": "x"}')
    with pytest.raises(AirflowFailException, match="content: lacks 'order'"):
        execute()
    assert set(states(ledger).values()) == {("failed", "content")}
    assert aliyun.calls == {}


def test_a_trigger_names_numbers_and_variables(ledger: Engine, aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.connect(monkeypatch)
    apply(ledger)
    conf = {"recipients": ["+86 139 0000 0001"], "variables": {"name": "Ann", "order": "B-7"}}
    assert execute(conf=conf)["sent"] == 1
    assert [(sms.phone, sms.content) for sms in aliyun.sent] == [
        ("13900000001", "【推送平台】尊敬的Ann，您的订单B-7已发货。")
    ]
    assert aliyun.sent[0].sent_at > datetime.now(UTC) - timedelta(minutes=1)
