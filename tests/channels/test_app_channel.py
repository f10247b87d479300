"""App push through Aliyun against the sandbox's stand-in, by Aliyun's SDK: each recipient's outcome, nobody twice."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection

from push_provider.channels.app.aliyun_account import aliyun_app_config
from push_provider.channels.app.aliyun_calls import BATCH_BYTES, AliyunCalls, Message, batches, idempotent_token
from push_provider.channels.app.aliyun_client import AliyunAppClient
from push_provider.channels.app.aliyun_codes import CODES, meaning
from push_provider.channels.app.aliyun_sender import AliyunSender
from push_provider.channels.app.content import AppContent
from push_provider.channels.app.sender import AppChannel
from push_provider.channels.base import STOPPED, Delivery, Fate, Job, Outcome, Question, Result
from push_provider.channels.codes import Fault
from push_provider.channels.reading import parse
from push_provider.exceptions import ConfigurationError, InvalidTask, ProviderUnavailable, PushError
from push_provider.hooks.aliyun_app import PushAliyunAppHook
from push_provider.marks import message_id, read_receipt_mark
from push_provider.rendering import compile_content

if TYPE_CHECKING:
    from phones import Phones

JOB = Job(7, "0123456789abcdef" * 2)
NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
SENT, FAILED, RETRY, UNKNOWN = Result.SENT, Result.FAILED, Result.RETRY, Result.UNKNOWN


def task(**fields: Any) -> Any:
    text = {"title": "Order {{ order }}", "content": "Dear {{ name }}", "schedule": {"kind": "manual"}}
    return parse({"name": "n", "channel": "app", **text, **fields})


def content(**fields: Any) -> AppContent:
    compiled = compile_content(task(**fields), {})
    assert isinstance(compiled, AppContent)
    return compiled


def connection(phones: Phones, **extra: Any) -> Connection:
    fields = phones.fields(**extra)
    return Connection(conn_id="phones", **{**fields, "extra": json.dumps(fields["extra"])})


def people(count: int, first: int = 1) -> list[Delivery]:
    return [own(f"d{number}", number) for number in range(first, first + count)]


def own(to: str, number: int = 1, **variables: Any) -> Delivery:
    return Delivery(number, to, {"name": "Ann", "order": f"A-{number}", **variables})


def sender(phones: Phones, slept: list[float] | None = None, extra: Any = None, **fields: Any) -> AliyunSender:
    """A sender that notes its waits instead of waiting."""
    client = AliyunAppClient(aliyun_app_config(connection(phones, **(extra or {}))))
    calls = AliyunCalls(client, JOB, (slept if slept is not None else []).append)
    return AliyunSender(calls, content(**fields), JOB, client.config, clock=lambda: NOW)


def send(phones: Phones, deliveries: Sequence[Delivery], chunk: int = 1000, **more: Any) -> list[Outcome]:
    """Send chunk after chunk, as the operator does; the outcomes in the order of their deliveries."""
    outcomes: list[Outcome] = []
    with sender(phones, **more) as open_:
        for at in range(0, len(deliveries), chunk):
            outcomes += open_.send(deliveries[at : at + chunk])
    return sorted(outcomes)


# --- what is sent ---------------------------------------------------------------------------------------


def test_each_gets_their_own_a_hundred_in_a_call(phones: Phones) -> None:
    outcomes = send(phones, people(1050))
    assert {outcome.result for outcome in outcomes} == {SENT}
    assert phones.calls == 12  # numbers 1 to 99 are of the first hundred, 1000 of the last of the chunk
    by_id = {message.id: message for message in phones.got}
    assert len(by_id) == 1050
    for outcome in outcomes:
        message = by_id[str(outcome.provider_id)]
        assert (message.to, message.title) == (f"d{outcome.id}", f"Order A-{outcome.id}")


def test_what_a_notification_says(phones: Phones) -> None:
    extra = {"activity": "com.example.Popup", "apns_env": "dev"}
    send(
        phones,
        [own("d1")],
        extra=extra,
        data={"order": "{{ order }}", "n": 12.5},
        link="https://example.com/{{ order }}",
        ttl=3600,
        sound="ding",
        badge=3,
        android_channel="orders",
        ios_interruption="time-sensitive",
    )
    (message,) = phones.got
    key = message_id(JOB.token, 1)
    link = "https://example.com/A-1"
    raw = json.loads(json.dumps(message.raw))
    notification = raw.pop("Notification")
    android, ios = notification.pop("Android"), notification.pop("Ios")
    data = {"order": "A-1", "n": "12.5", "push_id": key, "link": link}
    assert json.loads(android.pop("ExtParameters")) == json.loads(ios.pop("ExtParameters")) == data
    assert raw == {
        "Target": {"Type": "DEVICE", "Value": "d1"},
        "Options": {"JobKey": key, "ExpireTime": "2026-05-06T08:08:09Z"},
    }
    assert notification == {"Title": "Order A-1", "Body": "Dear Ann"}
    assert ios == {"ApnsEnv": "DEV", "Badge": 3, "Music": "ding", "InterruptionLevel": "time-sensitive"}
    assert android == {
        "BadgeSetNum": 3,
        "ChannelId": "orders",
        "Music": "ding",
        "Options": {
            "Accs": {"OpenType": "URL", "OpenUrl": link},
            "Honor": {"Importance": 1},
            "Huawei": {"Importance": 2},
            "Vivo": {"Importance": 1},
        },
        "VendorChannelActivity": "com.example.Popup",
    }


@pytest.mark.parametrize("kind", ["notification", "message"])
def test_a_message_has_a_link_by_which_the_app_acknowledges(
    phones: Phones, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__PUBLIC_URL", "https://push.example.com/")
    send(phones, people(2), kind=kind, data={"acknowledge": "ours wins"} if kind == "notification" else {})
    for number, message in enumerate(phones.got, 1):
        if kind == "notification":
            found = json.loads(message.raw["Notification"]["Ios"]["ExtParameters"])
        else:
            found = json.loads(message.raw["Message"]["Body"])
        start, _, mark = found["acknowledge"].rpartition("/")
        assert start == "https://push.example.com/push/v1/receipts"
        read = read_receipt_mark(mark)
        assert read is not None
        assert (read.delivery, read.is_of(JOB.token)) == (number, True)


def test_what_is_expected_decides_whether_one_without_an_answer_fails() -> None:
    channel = AppChannel()
    assert channel.receipt_seconds(task(ttl=60)) is None
    assert channel.receipt_seconds(task(ttl=60, expect="acknowledged")) == 60
    question = Question(1, "d1", JOB.token, None, NOW)
    (receipt,) = channel.receipt_reader("phones").read([question])
    assert (receipt.id, receipt.fate, receipt.code) == (1, Fate.FAILED, "unacknowledged")
    with pytest.raises(InvalidTask, match="ttl: say how long an acknowledgement may take"):
        task(expect="acknowledged")


@pytest.mark.parametrize("conn_type", ["push_aliyun_app", "push_fcm"])
def test_what_nobody_could_acknowledge_is_not_sent(
    phones: Phones, conn_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = connection(phones, conn_type=conn_type)
    expecting = content(ttl=60, expect="acknowledged")
    with pytest.raises(ConfigurationError, match=r"expect: acknowledged.*set \[push\] public_url, or \[api\] base_url"):
        AppChannel().open(there, expecting, JOB)
    assert phones.calls == 0
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    if conn_type == "push_aliyun_app":
        with AppChannel().open(there, expecting, JOB) as open_:
            assert [one.result for one in open_.send(people(1))] == [SENT]


def test_phone_vendors_are_told_of_marketing(phones: Phones) -> None:
    send(phones, [own("d1")], category="marketing")
    (message,) = phones.got
    options = message.raw["Notification"]["Android"]["Options"]
    assert {name: options[name]["Importance"] for name in ("Huawei", "Honor", "Vivo")} == {
        "Huawei": 1,
        "Honor": 0,
        "Vivo": 0,
    }


def test_a_message_is_for_the_app_itself(phones: Phones) -> None:
    send(phones, [own("d1")], kind="message", data={"n": 1})
    (message,) = phones.got
    assert (message.kind, message.title) == ("message", "Order A-1")
    assert json.loads(message.body) == {"id": message_id(JOB.token, 1), "content": "Dear Ann", "data": {"n": 1}}


@pytest.mark.parametrize("target", ["device", "account", "alias"])
def test_targets(phones: Phones, target: str) -> None:
    to = "客户1" if target == "alias" else "d1"
    send(phones, [own(to)], target=target)
    assert [(message.target, message.to) for message in phones.got] == [(target, to)]


@pytest.mark.parametrize(
    ("fields", "variables", "words"),
    [
        ({}, {"order": "x" * 50}, "title: has 56 characters, 56 bytes; Aliyun takes at most 50"),
        ({"title": "{{ order }}"}, {"order": "字" * 30}, ""),
        ({}, {"name": "x" * 200}, "content: has 205 characters"),
        ({"kind": "message"}, {"name": "x" * 4000}, "Aliyun takes at most 4000"),
        ({"content": "{{ gone }}"}, {}, "gone"),
    ],
)
def test_one_that_is_too_large_fails_alone(phones: Phones, fields: Any, variables: Any, words: str) -> None:
    one, two = send(phones, [own("d1", 1, **variables), own("d2", 2, name="n", order="o", gone="g")], **fields)
    assert two.result is SENT
    if words:
        assert (one.result, one.code) == (FAILED, "content")
        assert words in str(one.text)
    else:
        assert one.result is SENT


def test_a_recipient_that_nobody_thought_of_fails_alone(phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    render = AppContent.render

    def broken(self: AppContent, to: str, variables: Any) -> dict[str, Any]:
        return render(self, to, {**variables, "name": 1 / (int(to[1:]) - 2)})

    monkeypatch.setattr(AppContent, "render", broken)
    outcomes = send(phones, people(3))
    assert [(one.result, one.code) for one in outcomes] == [(SENT, None), (FAILED, "content"), (SENT, None)]
    assert outcomes[1].text == "ZeroDivisionError: division by zero"


def test_the_preview_is_what_is_sent(phones: Phones) -> None:
    assert content(data={"n": "{{ order }}"}).preview("d1", {"name": "Ann", "order": "A"}) == {
        "message": {"title": "Order A", "content": "Dear Ann", "data": {"n": "A"}}
    }


# --- the fields -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"title": None}, "title", "a notification has a title and content"),
        ({"content": None}, "content", "a notification has a title and content"),
        ({"kind": "message", "title": None, "content": None}, "content", "the message would be empty"),
        ({"ttl": 0}, "ttl", "more than 0 seconds"),
        ({"ttl": 259201}, "ttl", "must be a number of seconds from 0 to 259200"),
        ({"badge": 100}, "badge", "99"),
        ({"target": "tag"}, "target", "'device', 'account' or 'alias'"),
        ({"recipients": ["a,b"]}, "recipients", "without blanks and commas"),
        ({"recipients": ["a b"]}, "recipients", "without blanks and commas"),
        ({"data": {"a": "{{ b"}}, "data.a", "unexpected end of template"),
        ({"subject": "s"}, "subject", "belongs to channel email"),
    ],
)
def test_fields_that_are_wrong(fields: Any, field: str, words: str) -> None:
    with pytest.raises((InvalidTask, PushError)) as caught:
        compile_content(task(**fields), {})
    assert words in str(caught.value)
    assert field in str(caught.value)


def test_a_task_is_kept_as_it_was_written() -> None:
    made = task(data={"price": 12.50}, recipients=["\u200ed1 "], ttl=259200)
    assert parse(made.spec()) == made
    assert made.spec()["ttl"] == 259200
    assert made.recipients[0].to == "d1"


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*CODES, "Throttling.User", "Forbidden.RAM", "InvalidTitle.Format", "Quite.New"])
def test_every_code(phones: Phones, code: str) -> None:
    says = meaning(code)
    phones.fail("refuse", code=code, message="So it is.", status=400, times=None)
    slept: list[float] = []
    if says.fault is Fault.ACCOUNT:
        with pytest.raises(
            ConfigurationError, match=f"'phones': Aliyun refuses the call with {code} .So it is..; "
        ) as error:
            send(phones, people(3), slept=slept)
        assert str(error.value).endswith(f"; {says.remedy}.")
        assert phones.calls == 1
        return
    if says.fault is Fault.DOUBT:
        (one, *_) = send(phones, people(3), slept=slept)
        assert (one.result, one.code, one.text, phones.calls) == (UNKNOWN, code, "So it is.", 3)
        return
    outcomes = send(phones, people(3), slept=slept)
    assert {(one.code, one.text) for one in outcomes} == {(code, "So it is.")}
    if says.fault is Fault.BUSY:
        # Aliyun has not said when to come again: what it lists here is waited for between the tries of a call.
        assert {(one.result, one.retry_after) for one in outcomes} == {(RETRY, None)}
        assert slept == [wait for wait in (says.wait, (says.wait or 0) * 2) if wait is not None][: phones.calls - 1]
    else:
        assert {one.result for one in outcomes} == {FAILED}
        assert (phones.calls, slept) == (5, [])


def test_a_new_code_of_a_service_that_failed_is_in_doubt_and_asked_for_again(phones: Phones) -> None:
    phones.fail("refuse", code="Quite.New", message="So it is.", status=503, times=None)
    outcomes = send(phones, people(3), slept=[])
    assert {(one.result, one.code, one.text) for one in outcomes} == {(UNKNOWN, "Quite.New", "So it is.")}
    assert phones.calls == 3


def test_sources_are_pages() -> None:
    assert all(says.source.startswith("https://") for says in CODES.values())
    assert all(says.remedy for says in CODES.values() if says.fault is Fault.ACCOUNT)


def test_one_that_is_refused_fails_alone(phones: Phones) -> None:
    outcomes = send(phones, [*people(60), own("invalid-1", 61), *people(38, 62)])
    assert [one.id for one in outcomes if one.result is not SENT] == [61]
    assert outcomes[60][1:5] == (
        FAILED,
        None,
        "InvalidDeviceId.Format",
        "The specified DeviceId format is not valid.",
    )
    assert sorted(message.to for message in phones.got) == sorted(f"d{n}" for n in range(1, 100) if n != 61)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"password": "another"}, "SignatureDoesNotMatch"),
        ({"login": "LTAI5tNobody"}, "InvalidAccessKeyId.NotFound"),
        ({"app_key": "1"}, "InvalidAppKey.Format .*; correct the app key"),
    ],
)
def test_an_account_that_is_refused_is_one_message_after_one_call(phones: Phones, extra: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        send(phones, people(500), extra=extra)
    assert phones.calls <= 1
    assert "another" not in str(caught.value)


def test_a_clock_that_is_off_is_said_to_be(phones: Phones) -> None:
    phones.store.clock = lambda: datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(ConfigurationError, match=r"InvalidTimeStamp\.Expired .*; set the clock of this machine"):
        send(phones, people(3))


def test_an_account_that_ends_meanwhile_leaves_the_others_with_the_same_words(phones: Phones) -> None:
    with sender(phones) as open_:
        assert {one.result for one in open_.send(people(10))} == {SENT}
        phones.fail("refuse", code="AccountInDebt", message="Pay.", status=400, times=None)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"AccountInDebt .*; top up the Aliyun account"):
                open_.send(people(10, 101))
    assert len(phones.got) == 10


# --- answers that do not come ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop", "drop_after", "hang", "http"])
def test_an_answer_that_is_lost_once_costs_nobody_anything(phones: Phones, kind: str) -> None:
    phones.fail(kind)
    slept: list[float] = []
    outcomes = send(phones, people(30), slept=slept, extra={"timeout": 1 if kind == "hang" else 20})
    assert {one.result for one in outcomes} == {SENT}
    assert (len(phones.got), slept) == (30, [1.0])
    assert {message.id for message in phones.got} == {one.provider_id for one in outcomes}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "code"), [("drop", "connection"), ("drop_after", "connection"), ("hang", "timeout"), ("http", "protocol")]
)
def test_answers_that_never_come_are_unknown_and_the_rest_is_not_tried(phones: Phones, kind: str, code: str) -> None:
    phones.fail(kind, times=None)
    outcomes = send(phones, people(250), extra={"timeout": 0.5 if kind == "hang" else 20})
    assert {one.result for one in outcomes[:99]} == {UNKNOWN}
    assert {one.code for one in outcomes[:99]} == {code}
    assert {one.result for one in outcomes[99:]} == {RETRY}
    assert phones.calls == 3
    # The next try of the execution: the same call has the same token.
    phones.gateway.faults.clear()
    assert {one.result for one in send(phones, people(250))} == {SENT}
    assert len(phones.got) == 250


def test_what_may_be_pushed_stays_in_doubt_if_the_account_ends_then(phones: Phones) -> None:
    phones.fail("drop_after")
    phones.fail("refuse", code="AccountInDebt", message="Pay.", status=400, times=None)
    outcomes = send(phones, people(250), slept=[])
    assert {(one.result, one.code) for one in outcomes[:99]} == {(UNKNOWN, "connection")}
    assert {(one.result, one.code) for one in outcomes[99:]} == {(FAILED, "configuration")}
    assert (phones.calls, len(phones.got)) == (2, 99)


def test_who_is_not_there_is_not_sent_to(phones: Phones) -> None:
    with pytest.raises(ProviderUnavailable, match=r"'phones': 127\.0\.0\.1:1 cannot be reached"):
        send(phones, people(250), extra={"endpoint": "http://127.0.0.1:1"})


def test_a_slow_answer_is_waited_for(phones: Phones) -> None:
    phones.fail("slow", seconds=0.3)
    assert [one.result for one in send(phones, people(1))] == [SENT]


def test_throttling_that_names_its_time_is_honoured(phones: Phones) -> None:
    phones.fail("refuse", code="Throttling.User", status=400, retry_after=2500)
    slept: list[float] = []
    assert {one.result for one in send(phones, people(3), slept=slept)} == {SENT}
    assert slept == [2.5]
    phones.fail("refuse", code="Throttling.User", status=400, retry_after=60_000)
    assert {(one.result, one.retry_after) for one in send(phones, people(3, 200))} == {(RETRY, 60.0)}


# --- stopping -------------------------------------------------------------------------------------------


def test_stopped_no_more_calls_are_made(phones: Phones) -> None:
    phones.fail("slow", seconds=1)
    with sender(phones) as open_:

        def stop_while_it_waits() -> None:
            while not phones.calls:  # a busy machine is late to make the first
                time.sleep(0.01)
            open_.stop()

        stopper = threading.Thread(target=stop_while_it_waits)
        stopper.start()
        outcomes = sorted(open_.send(people(250)))
        stopper.join()
        assert {one.result for one in outcomes[:99]} == {SENT}
        assert {(one.result, one.code) for one in outcomes[99:]} == {(RETRY, STOPPED)}
        assert sorted(open_.known()) == outcomes
    assert phones.calls == 1


def stopped_by_its_first_wait(phones: Phones) -> AliyunSender:
    client = AliyunAppClient(aliyun_app_config(connection(phones)))
    calls = AliyunCalls(client, JOB, lambda _: calls.stop())
    return AliyunSender(calls, content(), JOB, client.config, clock=lambda: NOW)


@pytest.mark.parametrize("code", ["Throttling.User", "ServiceUnavailable"])
def test_stopped_while_it_waits_for_a_busy_service_it_makes_no_more_calls(phones: Phones, code: str) -> None:
    phones.fail("refuse", code=code, status=400)
    with stopped_by_its_first_wait(phones) as open_:
        outcomes = sorted(open_.send(people(250)))
        assert sorted(open_.known()) == outcomes
    assert [(one.result, one.code) for one in outcomes] == [(RETRY, STOPPED)] * 250
    assert (phones.calls, phones.got) == (1, [])


def test_stopped_while_a_call_is_in_doubt_it_asks_for_that_one_once_more(phones: Phones) -> None:
    phones.fail("drop_after")
    with stopped_by_its_first_wait(phones) as open_:
        outcomes = sorted(open_.send(people(250)))
    assert [one.result for one in outcomes] == [SENT] * 99 + [RETRY] * 151
    assert (phones.calls, len(phones.got)) == (2, 99)


# --- calls ----------------------------------------------------------------------------------------------


def messages(*numbers: int, size: int = 1) -> list[Message]:
    return [Message(number, {}, size) for number in numbers]


def test_a_call_has_the_same_token_whoever_else_is_pending() -> None:
    some = [[one.id for one in batch] for batch in batches(messages(*range(150, 420)))]
    rest = [[one.id for one in batch] for batch in batches(messages(7, *range(300, 400)))]
    assert [len(batch) for batch in some] == [50, 100, 100, 20]
    assert rest == [[7], some[2]]
    token = idempotent_token(JOB.token, rest[1])
    assert uuid.UUID(token) != uuid.UUID(idempotent_token(JOB.token, some[1]))
    assert token == idempotent_token(JOB.token, some[2])
    assert token != idempotent_token("f" * 32, some[2])


def test_calls_are_no_larger_than_a_query_may_be() -> None:
    assert [len(batch) for batch in batches(messages(*range(100), size=BATCH_BYTES // 4))] == [4] * 25
    assert [len(batch) for batch in batches(messages(1, 2, size=BATCH_BYTES * 2))] == [1, 1]


# --- the connection -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"conn_type": "push_aliyun_sms"}, "field 'type' is 'push_aliyun_sms'"),
        ({"enabled": False}, "is disabled"),
        ({"login": ""}, "field 'login' is empty"),
        ({"password": ""}, "field 'password' is empty"),
        ({"app_key": ""}, "field 'app_key' is empty"),
        ({"app_key": "12a"}, "field 'app_key' is '12a'; it takes a number"),
        ({"activity": "Popup"}, "field 'activity' is 'Popup'"),
        ({"apns_env": "test"}, "field 'apns_env' is 'test'; it takes 'product' or 'dev'"),
        ({"endpoint": "http://example.com"}, "http:// is for this machine only"),
        ({"endpoint": "a/b"}, "it takes a host such as cloudpush.aliyuncs.com"),
        ({"region": "X"}, "field 'region' is 'X'"),
    ],
)
def test_a_connection_that_is_wrong(phones: Phones, extra: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        AppChannel().open(connection(phones, **extra), content(), JOB)


def test_it_is_aliyuns_own_address_where_none_is_given(phones: Phones) -> None:
    config = aliyun_app_config(connection(phones, endpoint=""))
    assert AliyunAppClient(config)._client._endpoint == "cloudpush.aliyuncs.com"
    assert config.access_key_secret not in repr(config)


@pytest.mark.parametrize(
    ("extra", "fault", "expected"),
    [
        ({}, None, (True, "Access key: accepted. AppKey 333456789: app 'Sandbox'.")),
        ({"app_key": "1"}, None, (False, "AppKey 1: this account has no such app; it has: 333456789.")),
        ({"password": "x"}, None, (False, "SignatureDoesNotMatch")),
        ({}, {"kind": "refuse", "code": "Forbidden.RAM", "status": 403}, (True, "not checked, this key may not list")),
        ({}, {"kind": "drop"}, (False, "broke the connection off")),
        ({"app_key": ""}, None, (False, "The configuration cannot be used.")),
    ],
)
def test_airflows_test_of_a_connection(
    phones: Phones, monkeypatch: pytest.MonkeyPatch, extra: Any, fault: Any, expected: tuple[bool, str]
) -> None:
    phones.connect(monkeypatch, **extra)
    if fault:
        phones.fail(**fault)
    ok, words = PushAliyunAppHook().test_connection()
    assert ok is expected[0]
    assert expected[1] in words
