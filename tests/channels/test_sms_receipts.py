"""Receipts of SMS from the sandbox's gateway: delivered, failed, not yet known, unknown to Aliyun."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import Connection

from push_provider.channels.base import Delivery, Fate, Job, Question, Receipt
from push_provider.channels.reading import parse
from push_provider.channels.sms.out_id import encode
from push_provider.channels.sms.receipts import SmsReceipts
from push_provider.channels.sms.sender import SmsChannel
from push_provider.exceptions import ConfigurationError
from push_provider.rendering import compile_content
from sandbox.sms_store import CHINA, Draft

JOB = Job(7, "0123456789abcdef" * 2)
GOOD, ABSENT_NUMBER, BLACK, SILENT = "13800000001", "19900010001", "19900020001", "19900030001"


def connection(aliyun: Any, **extra: Any) -> Connection:
    fields = aliyun.fields(**extra)
    return Connection(conn_id="sms", **{**fields, "extra": json.dumps(fields["extra"])})


def reader(aliyun: Any, **extra: Any) -> Any:
    return SmsChannel().receipts(connection(aliyun, **extra))


def send(aliyun: Any, *numbers: str, first: int = 1) -> list[Question]:
    """Send one SMS to each, and make the questions about them, as the ledger would."""
    content = compile_content(parse({"name": "n", "channel": "sms", "schedule": {"kind": "manual"}}), {})
    variables = {"name": "n", "order": "o"}
    deliveries = [Delivery(first + at, number, variables) for at, number in enumerate(numbers)]
    with SmsChannel().open(connection(aliyun), content, JOB) as sender:
        outcomes = {outcome.id: outcome for outcome in sender.send(deliveries)}
    now = datetime.now(UTC)
    return [Question(d.id, d.to, JOB.token, outcomes[d.id].provider_id, now) for d in deliveries]


def lost(question: Question) -> Question:
    """The same, where Aliyun's answer got lost."""
    return question._replace(provider_id=None)


def fates(receipts: list[Receipt]) -> dict[int, Fate]:
    return {receipt.id: receipt.fate for receipt in receipts}


@pytest.mark.parametrize("forget", [lambda question: question, lost], ids=["BizId known", "answer lost"])
def test_what_becomes_of_messages(aliyun: Any, forget: Any) -> None:
    questions = [forget(question) for question in send(aliyun, GOOD, ABSENT_NUMBER, BLACK, SILENT)]
    good, absent, black, silent = sorted(reader(aliyun).read(questions))
    assert (good.fate, good.code) == (Fate.DELIVERED, None)
    assert abs(good.received_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (absent.fate, absent.code) == (Fate.FAILED, "MOBILE_NOT_ON_SERVICE")
    assert "help.aliyun.com/document_detail/101347" in absent.text
    assert (black.fate, black.code) == (Fate.FAILED, "MOBILE_IN_BLACK")
    assert (silent.fate, silent.code) == (Fate.WAITING, None)


def test_a_message_that_was_never_accepted_is_absent(aliyun: Any) -> None:
    send(aliyun, GOOD)
    other = Question(99, GOOD, JOB.token, None, datetime.now(UTC))
    stranger = Question(1, GOOD, "f" * 32, None, datetime.now(UTC))
    assert [receipt.fate for receipt in reader(aliyun).read([other, stranger])] == [Fate.ABSENT, Fate.ABSENT]


def test_the_same_number_in_several_calls_is_told_apart(aliyun: Any) -> None:
    aliyun.gateway.service.receipt_seconds = None
    (first,) = send(aliyun, GOOD, first=1)
    aliyun.gateway.service.receipt_seconds = 0
    (second,) = send(aliyun, GOOD, first=2)
    assert fates(reader(aliyun).read([lost(first), lost(second)])) == {1: Fate.WAITING, 2: Fate.DELIVERED}


def test_one_that_was_sent_twice_has_arrived_if_either_has(aliyun: Any) -> None:
    aliyun.gateway.service.receipt_seconds = None
    (question,) = send(aliyun, GOOD)
    aliyun.gateway.service.receipt_seconds = 0
    send(aliyun, GOOD)
    assert fates(reader(aliyun).read([lost(question)])) == {1: Fate.DELIVERED}


def test_pages(aliyun: Any) -> None:
    out_ids = [encode("e" * 32, [n]) for n in range(120)] + [encode(JOB.token, [500])]
    for mark in reversed(out_ids):  # the gateway lists the newest first, or the oldest: both ends are covered
        aliyun.gateway.store.add([draft(mark)])
    for mark in out_ids:
        aliyun.gateway.store.add([draft(mark.replace("e" * 32, "d" * 32))])
    question = Question(500, GOOD, JOB.token, None, datetime.now(UTC))
    assert fates(reader(aliyun).read([question])) == {500: Fate.DELIVERED}
    assert 2 <= aliyun.gateway.counts["QuerySendDetails"] <= 6


def draft(out_id: str) -> Draft:
    return Draft(GOOD, "推送平台", "SMS_100000001", "text", out_id, "DELIVERED", 0.0)


def test_a_message_around_midnight_is_found_on_either_day(aliyun: Any) -> None:
    question = lost(send(aliyun, GOOD)[0])
    midnight = datetime.now(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    before = question._replace(tried_at=(midnight - timedelta(minutes=10)).astimezone(UTC))
    long_before = question._replace(tried_at=(midnight - timedelta(hours=2)).astimezone(UTC))
    assert [r.fate for r in reader(aliyun).read([before])] == [Fate.DELIVERED]
    assert [r.fate for r in reader(aliyun).read([long_before])] == [Fate.ABSENT]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "refuse", "code": "Throttling.User", "status": 400},
        {"kind": "refuse", "code": "isp.SYSTEM_ERROR"},
        {"kind": "refuse", "code": "Made.Up", "status": 503},
        {"kind": "hang"},
        {"kind": "drop"},
        {"kind": "http", "status": 503},
    ],
    ids=lambda fault: fault.get("code", fault["kind"]),
)
def test_once_aliyun_cannot_be_asked_the_rest_waits(aliyun: Any, fault: dict[str, Any]) -> None:
    questions = send(aliyun, *[f"138000001{n:02d}" for n in range(50)])
    aliyun.fail(**fault, action="QuerySendDetails", times=None)
    assert reader(aliyun, timeout=0.3).read(questions) == []
    assert aliyun.gateway.counts["QuerySendDetails"] <= 8  # those under way in four threads
    aliyun.gateway.faults.clear()
    assert len(reader(aliyun).read(questions)) == 50


@pytest.mark.parametrize("code", ["isv.MOBILE_NUMBER_ILLEGAL", "isv.INVALID_PARAMETERS", "isv.NEW_CODE"])
def test_a_message_of_which_aliyun_says_nothing_keeps_no_other_from_its_receipt(
    aliyun: Any, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    questions = send(aliyun, *[f"138000001{n:02d}" for n in range(50)])
    aliyun.fail("refuse", code=code, action="QuerySendDetails", times=1)
    receipts = reader(aliyun).read(questions)
    assert len(receipts) == 49
    assert {receipt.fate for receipt in receipts} == {Fate.DELIVERED}
    assert f"does not say what became of 1 of 50 messages, of the last with {code}" in caplog.text


def test_an_account_that_aliyun_refuses(aliyun: Any) -> None:
    questions = send(aliyun, GOOD)
    with pytest.raises(ConfigurationError, match="SignatureDoesNotMatch"):
        reader(aliyun, password="changed").read(questions)


def test_records_that_make_no_sense_are_not_taken_for_ours(aliyun: Any) -> None:
    for out_id in ("", "order-7", f"{JOB.token}", f"{JOB.token}.x.y"):
        aliyun.gateway.store.add([draft(out_id)])
    question = Question(7, GOOD, JOB.token, None, datetime.now(UTC))
    assert fates(reader(aliyun).read([question])) == {7: Fate.ABSENT}
    assert isinstance(reader(aliyun), SmsReceipts)
