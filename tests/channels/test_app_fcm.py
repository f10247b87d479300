"""App push through FCM against the sandbox's stand-in: each recipient's outcome, one message for the account."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from http2 import http2

from push_provider.channels.app.content import AppContent
from push_provider.channels.app.fcm_account import fcm_config
from push_provider.channels.app.fcm_calls import FcmCalls
from push_provider.channels.app.fcm_check import check
from push_provider.channels.app.fcm_client import FcmClient
from push_provider.channels.app.fcm_codes import CODES, meaning
from push_provider.channels.app.fcm_sender import FcmSender
from push_provider.channels.app.sender import AppChannel
from push_provider.channels.base import STOPPED, Delivery, Job, Outcome, Result
from push_provider.channels.codes import Fault
from push_provider.channels.reading import parse
from push_provider.exceptions import ConfigurationError, ContentError, ProviderUnavailable
from push_provider.hooks.fcm import PushFcmHook
from push_provider.marks import message_id, receipt_mark
from push_provider.rendering import compile_content
from sandbox.app_store import AppMessage, AppStore
from sandbox.fcm import ERRORS, FcmGateway
from sandbox.fcm_account import PROJECT, TOKEN_PATH, new_account
from sandbox.sms_faults import Fault as Planned
from sandbox.sms_http import in_thread

JOB = Job(7, "0123456789abcdef" * 2)
NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
SENT, FAILED, RETRY, UNKNOWN = Result.SENT, Result.FAILED, Result.RETRY, Result.UNKNOWN
ACCOUNT, OTHER = new_account(), new_account()


class Google:
    """The stand-in, and what a test asks of it."""

    def __init__(self, gateway: FcmGateway, address: str) -> None:
        self.gateway = gateway
        self.address = address

    def connection(self, account: Any = ACCOUNT, **extra: Any) -> Connection:
        whole = {**account, "token_uri": f"http://{self.address}{TOKEN_PATH}"}
        settings = {"endpoint": f"http://{self.address}", "timeout": 20, **extra}
        fields = {name: settings.pop(name) for name in ("conn_type", "password") if name in settings}
        own = {"conn_type": "push_fcm", "password": json.dumps(whole), **fields}
        return Connection(conn_id="fcm", **own, extra=json.dumps(settings))

    def fail(self, kind: str, **fields: Any) -> None:
        self.gateway.faults.add(Planned.from_json({"kind": kind, "action": "send", **fields}))

    @property
    def got(self) -> list[AppMessage]:
        return self.gateway.store.find(limit=100_000)[0][::-1]


@pytest.fixture
def google() -> Iterator[Google]:
    gateway = FcmGateway(AppStore(keep=100_000), ACCOUNT)
    with in_thread(gateway) as address:
        yield Google(gateway, address)


def content(**fields: Any) -> AppContent:
    text = {"title": "Order {{ order }}", "content": "Dear {{ name }}", "schedule": {"kind": "manual"}}
    compiled = compile_content(parse({"name": "n", "channel": "app", **text, **fields}), {})
    assert isinstance(compiled, AppContent)
    return compiled


def own(to: str, number: int = 1, **variables: Any) -> Delivery:
    return Delivery(number, to, {"name": "Ann", "order": f"A-{number}", **variables})


def people(count: int, first: int = 1) -> list[Delivery]:
    return [own(f"t{number}", number) for number in range(first, first + count)]


def sender(google: Google, slept: list[float] | None = None, extra: Any = None, **fields: Any) -> FcmSender:
    waits = slept if slept is not None else []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    client = FcmClient(fcm_config(google.connection(**(extra or {}))))
    return FcmSender(FcmCalls(client, sleep), content(**fields), JOB, clock=lambda: NOW)


def send(google: Google, deliveries: Sequence[Delivery], **more: Any) -> list[Outcome]:
    with sender(google, **more) as open_:
        return sorted(open_.send(deliveries))


@pytest.mark.slow
def test_each_gets_their_own(google: Google) -> None:
    outcomes = send(google, people(500))
    assert {(one.result, one.text) for one in outcomes} == {(SENT, None)}
    by_id = {message.id: message for message in google.got}
    assert all(by_id[str(one.provider_id)].to == f"t{one.id}" for one in outcomes)
    assert google.gateway.counts == {"token": 1, "send": 500}


def test_what_a_notification_says(google: Google) -> None:
    fields = {"data": {"n": 12.5}, "link": "https://example.com/{{ order }}", "ttl": 3600, "sound": "ding", "badge": 3}
    send(google, [own("t1")], **fields, android_channel="orders", ios_interruption="passive")
    (message,) = google.got
    key = message_id(JOB.token, 1)
    assert message.raw == {
        "token": "t1",
        "notification": {"title": "Order A-1", "body": "Dear Ann"},
        "data": {"n": "12.5", "push_id": key, "link": "https://example.com/A-1"},
        "android": {
            "priority": "HIGH",
            "ttl": "3600s",
            "notification": {"tag": key, "channel_id": "orders", "sound": "ding", "notification_count": 3},
        },
        "apns": {
            "headers": {
                "apns-collapse-id": key,
                "apns-priority": "10",
                "apns-expiration": str(int(NOW.timestamp()) + 3600),
            },
            "payload": {"aps": {"sound": "ding", "badge": 3, "interruption-level": "passive"}},
        },
    }


@pytest.mark.parametrize(
    ("fields", "sound"),
    [
        ({}, "default"),
        ({"category": "marketing"}, "default"),
        ({"ios_interruption": "time-sensitive"}, "default"),
        ({"sound": "ding"}, "ding"),
        ({"ios_interruption": "passive"}, None),
        ({"kind": "message"}, None),
    ],
)
def test_which_sound_a_phone_makes(google: Google, fields: Any, sound: str | None) -> None:
    send(google, [own("t1")], **fields)
    (message,) = google.got
    assert message.raw["apns"]["payload"]["aps"].get("sound") == sound
    assert message.raw["android"].get("notification", {}).get("sound") == fields.get("sound")


def test_a_message_is_kept_for_three_days_at_most(google: Google) -> None:
    send(google, [own("t1")], ttl=259200)
    (message,) = google.got
    assert message.raw["android"]["ttl"] == "259200s"
    assert message.raw["apns"]["headers"]["apns-expiration"] == str(int(NOW.timestamp()) + 259200)


def test_a_message_has_a_link_by_which_the_app_acknowledges(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__PUBLIC_URL", "https://push.example.com")
    send(google, [own("t1")])
    (message,) = google.got
    link = f"https://push.example.com/push/v1/receipts/{receipt_mark(JOB.token, 1)}"
    assert message.raw["data"] == {"push_id": message_id(JOB.token, 1), "acknowledge": link}


def test_marketing_and_messages_are_less_urgent(google: Google) -> None:
    send(google, [own("t1")], category="marketing")
    send(google, [own("t2", 2)], kind="message")
    one, two = (message.raw for message in google.got)
    assert (one["android"]["priority"], one["apns"]["headers"]["apns-priority"]) == ("NORMAL", "5")
    assert two["data"]["content"] == "Dear Ann"
    assert two["apns"]["headers"]["apns-push-type"] == "background"
    assert "notification" not in two
    # Of messages with keys of their own a phone that is off keeps four.
    assert two["android"] == {"priority": "HIGH"}
    assert two["data"]["push_id"] == two["apns"]["headers"]["apns-collapse-id"] == message_id(JOB.token, 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"target": "alias"}, "FCM knows devices alone"),
        ({"data": {"from": "x"}}, "has 'from', a name of FCM's own"),
        ({"data": {"google.x": "x"}}, "has 'google.x'"),
    ],
)
def test_what_fcm_has_for_nobody(google: Google, fields: Any, words: str) -> None:
    with pytest.raises(ContentError, match=words):
        AppChannel().open(google.connection(), content(**fields), JOB)


def test_one_that_is_too_large_fails_alone(google: Google) -> None:
    one, two = send(google, [own("t1", 1, name="x" * 4096), own("t2", 2)])
    assert (one.result, one.code, two.result) == (FAILED, "content", SENT)


@pytest.mark.parametrize("code", [*ERRORS, "BRAND_NEW"])
def test_every_code(google: Google, code: str) -> None:
    google.fail("refuse", code=code, message="So it is.", status=400, times=None)
    slept: list[float] = []
    outcomes = send(google, people(3), slept=slept)
    says = meaning(code)
    expected = {Fault.RECIPIENT: FAILED, Fault.BUSY: RETRY, Fault.DOUBT: UNKNOWN}[says.fault]
    assert {(one.result, one.code, one.text) for one in outcomes} == {(expected, code, "So it is.")}
    assert sorted(slept) == ([1.0] * 3 + [2.0] * 3 if code == "UNAVAILABLE" else [])
    # A quota's time is listed; of an outage nobody has said how long it takes.
    assert {one.retry_after for one in outcomes} == {60.0 if code == "QUOTA_EXCEEDED" else None}


@pytest.mark.parametrize(("status", "code"), [(403, "PERMISSION_DENIED"), (404, "NOT_FOUND")])
def test_a_project_that_is_refused_is_one_message_after_one_call(google: Google, status: int, code: str) -> None:
    google.fail("refuse", code="", status=status, message="No.", times=None)
    with pytest.raises(ConfigurationError, match=rf"'fcm': FCM refuses project 'push-sandbox' with {code} \(No\.\); "):
        send(google, people(300))
    assert google.gateway.counts["send"] == 1


def test_sources_are_pages() -> None:
    assert all(says.source.startswith("https://") for says in CODES.values())
    assert all(says.remedy for says in CODES.values() if says.fault is Fault.ACCOUNT)


def test_those_who_are_gone_or_of_another_project_fail_alone(google: Google) -> None:
    outcomes = send(google, [own("gone-1", 1), own("other-2", 2), own("t3", 3)])
    assert [(one.result, one.code, one.gone) for one in outcomes] == [
        (FAILED, "UNREGISTERED", True),
        (FAILED, "SENDER_ID_MISMATCH", False),  # another project reaches it
        (SENT, None, False),
    ]


def test_a_token_that_has_ended_is_made_anew(google: Google) -> None:
    with sender(google) as open_:
        assert {one.result for one in open_.send(people(3))} == {SENT}
        google.gateway.forget_tokens()
        assert {one.result for one in open_.send(people(1, 4))} == {SENT}
    assert google.gateway.counts["token"] == 2


def test_another_key_is_refused(google: Google) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Google refuses the service account .*Invalid JWT Signature"
    ) as caught:
        send(google, people(3), extra={"account": {**ACCOUNT, "private_key": OTHER["private_key"]}})
    assert "PRIVATE KEY" not in str(caught.value)
    assert google.gateway.counts["send"] == 0


def test_an_account_that_is_gone_is_refused(google: Google) -> None:
    with pytest.raises(ConfigurationError, match="account not found"):
        send(google, people(3), extra={"account": {**ACCOUNT, "client_email": "x@y.iam.gserviceaccount.com"}})


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_off_is_said_to_be(google: Google, hours: int) -> None:
    google.gateway.store.clock = lambda: datetime.now(UTC) + timedelta(hours=hours)
    with pytest.raises(ConfigurationError, match=r"reasonable timeframe.*set the clock of this machine"):
        send(google, people(3))


def test_the_account_of_another_project_is_refused(google: Google) -> None:
    with pytest.raises(ConfigurationError, match=r"PERMISSION_DENIED .*use the service account of the project"):
        send(google, people(3), extra={"project": "another-project"})


def test_a_key_that_is_none(google: Google) -> None:
    with pytest.raises(ConfigurationError, match="holds no usable private key"):
        send(google, people(3), extra={"account": {**ACCOUNT, "private_key": "rubbish"}})


@pytest.mark.parametrize(("kind", "code"), [("drop_after", "connection"), ("hang", "timeout"), ("http", "protocol")])
def test_an_answer_that_is_lost_is_unknown(google: Google, kind: str, code: str) -> None:
    google.fail(kind)
    one, two = send(google, people(2), extra={"timeout": 0.5 if kind == "hang" else 20})
    assert (one.result, one.code, two.result) == (UNKNOWN, code, SENT)


def test_a_vendor_that_is_silent_is_left_to_a_later_try(google: Google) -> None:
    google.fail("drop", times=None)
    outcomes = send(google, people(1000), extra={"max_connections": 1})
    results = [one.result for one in outcomes]
    assert 100 <= results.count(UNKNOWN) <= 220
    assert results.count(UNKNOWN) + results.count(RETRY) == 1000


def test_a_vendor_that_fails_at_every_call_is_left_to_a_later_try(google: Google) -> None:
    google.fail("refuse", code="INTERNAL", status=500, times=None)
    outcomes = send(google, people(1000), extra={"max_connections": 1})
    results = [one.result for one in outcomes]
    assert 100 <= results.count(UNKNOWN) <= 220
    assert results.count(UNKNOWN) + results.count(RETRY) == 1000


def test_who_is_not_there_is_not_sent_to(google: Google) -> None:
    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
        send(google, people(3), extra={"endpoint": "http://127.0.0.1:1"})


@contextmanager
def unconnected(scheme: str) -> Iterator[str]:
    """An endpoint to which no connection is ever ready: its TLS is not answered, or its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4 if scheme == "http" else 0):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(("scheme", "proven"), [("http", False), ("http", True), ("https", False)])
def test_what_was_never_connected_was_not_sent(google: Google, scheme: str, proven: bool) -> None:
    slept: list[float] = []
    with unconnected(scheme) as endpoint, sender(google, slept, {"endpoint": endpoint}) as open_:
        calls = open_._calls
        calls.client.authorize()
        calls.client.config = replace(calls.client.config, timeout=0.2)
        calls.proven = proven
        with pytest.raises(ProviderUnavailable, match=rf"{endpoint} cannot be reached"):
            open_.send(people(150))
    assert {one.result for one in open_.known()} == {RETRY}
    assert set(slept) == {1.0, 2.0}


def test_a_retry_after_is_honoured(google: Google) -> None:
    google.fail("refuse", code="UNAVAILABLE", retry_after=3000)
    slept: list[float] = []
    assert [one.result for one in send(google, people(1), slept=slept)] == [SENT]
    assert slept == [3.0]
    google.fail("refuse", code="QUOTA_EXCEEDED", retry_after=90_000)
    assert [(one.result, one.retry_after) for one in send(google, people(1))] == [(RETRY, 90.0)]


@pytest.mark.slow
def test_stopped_no_more_calls_are_made(google: Google) -> None:
    with sender(google) as open_:
        assert [one.result for one in open_.send(people(1, 100))] == [SENT]
        google.fail("slow", seconds=1, times=None)
        made = google.gateway.counts["send"]

        def stop_while_they_wait() -> None:
            while google.gateway.counts["send"] == made:
                time.sleep(0.01)
            open_.stop()

        stopper = threading.Thread(target=stop_while_they_wait)
        stopper.start()
        outcomes = sorted(open_.send(people(500)))
        stopper.join()
        results = [one.result for one in outcomes]
        assert 0 < results.count(SENT) <= 200
        assert results.count(SENT) + results.count(RETRY) == 500
        assert {one.code for one in outcomes if one.result is RETRY} == {STOPPED}
        assert sorted(open_.known()) == outcomes


def test_stopped_while_it_waits_for_fcm_it_makes_no_more_calls(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("push_provider.channels.app.fcm_calls.PATIENCE", 7200.0)
    google.fail("refuse", code="UNAVAILABLE", retry_after=3_600_000)
    client = FcmClient(fcm_config(google.connection()))
    found: list[Outcome] = []
    with FcmSender(FcmCalls(client), content(), JOB) as open_:
        sending = threading.Thread(target=lambda: found.extend(open_.send(people(250))), daemon=True)
        sending.start()
        while not google.gateway.counts["send"]:
            time.sleep(0.01)
        open_.stop()
        sending.join(60)  # which is less than the hour that FCM asks for
        assert not sending.is_alive()
        assert sorted(open_.known()) == sorted(found)
    open_.stop()  # also of one that is closed
    assert {(one.result, one.code) for one in found} == {(RETRY, STOPPED)}
    assert len(found) == 250
    assert google.gateway.counts["send"] == 1


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"conn_type": "http"}, "field 'type' is 'http'"),
        ({"enabled": False}, "is disabled"),
        ({"password": ""}, "field 'password' is empty; enter the JSON file"),
        ({"password": "{"}, "field 'password' is no service account"),
        ({"password": '{"type": "service_account"}'}, "lacks client_email, private_key, token_uri"),
        ({"project": "X"}, "field 'project' is 'X'"),
        ({"endpoint": "http://example.com"}, "http:// is for this machine only"),
    ],
)
def test_a_connection_that_is_wrong(google: Google, extra: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        fcm_config(google.connection(**extra))


def test_the_key_is_not_shown(google: Google) -> None:
    config = fcm_config(google.connection())
    assert config.project == PROJECT
    assert "PRIVATE KEY" not in repr(config)


# --- HTTP/2 ---------------------------------------------------------------------------------------------


def test_a_hundred_calls_share_a_connection(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with http2(tmp_path, b'{"name": "projects/push-sandbox/messages/7"}') as fcm:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        with sender(google, extra={"endpoint": f"https://{fcm.address}", "max_connections": 1}) as open_:
            assert [one.result for one in open_.send(people(1))] == [SENT]
            fcm.all_at_once = 100
            outcomes = open_.send(people(200, 2))
    assert {(one.result, one.provider_id) for one in outcomes} == {(SENT, "7")}
    assert (fcm.connections, fcm.most) == (1, 100)


def test_who_cannot_be_trusted_is_not_sent_to(google: Google, tmp_path: Path) -> None:
    with http2(tmp_path, b"{}") as fcm, pytest.raises(ProviderUnavailable, match="cannot be reached"):
        send(google, people(3), extra={"endpoint": f"https://{fcm.address}"})
    assert fcm.most == 0


# --- its test -------------------------------------------------------------------------------------------


def test_a_project_is_checked_without_a_message(google: Google) -> None:
    assert check(FcmClient(fcm_config(google.connection()))) == (
        True,
        "Service account: accepted. Project 'push-sandbox': messages can be sent.",
    )
    assert google.got == []


def test_airflow_s_own_test(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_FCM", google.connection().as_json())
    assert PushFcmHook("fcm").test_connection()[0] is True
    monkeypatch.setenv("AIRFLOW_CONN_FCM", google.connection(project="another-project").as_json())
    right, words = PushFcmHook("fcm").test_connection()
    assert (right, "PERMISSION_DENIED" in words, "PRIVATE KEY" in words) == (False, True, False)


def test_what_is_wrong_is_told_by_the_check(google: Google) -> None:
    with pytest.raises(ConfigurationError, match="PERMISSION_DENIED"):
        check(FcmClient(fcm_config(google.connection(project="another-project"))))
    google.fail("refuse", code="UNAVAILABLE")
    with pytest.raises(ProviderUnavailable, match="FCM answers UNAVAILABLE; try again later"):
        check(FcmClient(fcm_config(google.connection())))
    google.fail("drop")
    with pytest.raises(ProviderUnavailable, match="try again later"):
        check(FcmClient(fcm_config(google.connection())))
