"""The contract: what it takes, what it makes of it, and what it says when it refuses."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from growth import LINEAR, growth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peaks import PEAK

from push_provider import strict_yaml, written
from push_provider.channels.reading import parse, parse_stored, parse_trigger
from push_provider.channels.registry import all_fields
from push_provider.contract import PushTask, dag_id
from push_provider.contract.documents import DEPTH_LIMIT
from push_provider.contract.values import ATTACHMENTS_LIMIT, CONTENT_LIMIT, VARIABLES_LIMIT
from push_provider.exceptions import InvalidTask

SMALLEST = {"name": "n", "channel": "email", "recipients": ["a@example.com"], "subject": "s", "content": "c"}
KINDS = "now, at, hourly, daily, cron, manual"
A_MOMENT = "must be a moment (RFC 3339) like '2026-07-01T09:00:00+08:00'"
A_TIME = 'must be a time of day from "00:00" to "23:59", like "09:00", in quotes'
A_DELAY = "must be a number of seconds from 0 to 86400, like 60"
A_NUMBER = "must be a whole number, without quotes or leading zeros"
AN_ADDRESS = "must be an address, in quotes if it is a number, or {to, variables}"
A_CRON = "is not a cron expression; write five fields: minute hour day month weekday, like '30 9 * * mon-fri'"
NO_NUL = "must not hold a NUL character; take it out"
NO_SURROGATE = "must not hold half a surrogate pair (\\ud800 to \\udfff alone); take it out"
FINITE = "must be a finite number, not NaN or Infinity"
DIGITS = "must be a number of at most 300 digits; put a longer one in quotes"
NO_JSON = "must be text, a number, true, false, null, a list or a mapping; put a date in quotes"
ONE_LINE = "must be one line: a line break would start a new header field"


def task(**fields: Any) -> PushTask:
    return parse({**SMALLEST, **fields})


def refusal(data: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidTask) as refused:
        parse(data)
    return [tuple(error) for error in refused.value.errors]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


# --- what it takes ------------------------------------------------------------------------------------


def test_defaults() -> None:
    plain = task()
    assert plain.spec() == {
        "code": plain.code,
        "name": "n",
        "channel": "email",
        "config": None,
        "execution": {"type": "once"},
        "schedule": {"kind": "now"},
        "missed": None,
        "max_active_runs": 1,
        "recipients": [{"to": "a@example.com", "variables": {}}],
        "subject": "s",
        "content": "c",
        "content_type": "html",
        "template": None,
        "variables": {},
        "category": "service",
        "attachments": [],
        "on_unknown": None,
        "app": None,
        "owner": None,
        "retries": 3,
        "retry_delay": 60,
    }
    assert plain.dag_id == dag_id(plain.code) == f"push__{plain.code}"
    assert task().code != plain.code


@pytest.mark.parametrize(
    ("schedule", "missed", "policy"),
    [
        ({"kind": "now"}, None, "latest"),
        ({"kind": "at", "at": "2026-07-01T09:00:00Z"}, None, "latest"),
        ({"kind": "hourly", "minute": 0}, None, "skip"),
        ({"kind": "daily", "time": "09:00"}, None, "skip"),
        ({"kind": "cron", "cron": "0 9 * * *"}, None, "skip"),
        ({"kind": "at", "at": "2026-07-01T09:00:00Z"}, "skip", "skip"),
        ({"kind": "hourly", "minute": 0}, "all", "all"),
    ],
)
def test_missed_policy(schedule: dict[str, Any], missed: str | None, policy: str) -> None:
    assert task(schedule=schedule, missed=missed).missed_policy == policy


@pytest.mark.parametrize(
    ("execution", "limit"),
    [({"type": "once"}, 1), ({"type": "loop"}, None), ({"type": "loop", "max_executions": 5}, 5)],
)
def test_limit(execution: dict[str, Any], limit: int | None) -> None:
    assert task(execution=execution).execution.limit == limit


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("'09:30'", "09:30"),
        ("'9:30'", "refused"),
        # YAML 1.1 reads most of these as numbers, some to the base of 60.
        ("9:30", "refused"),
        ("10:30", "10:30"),
        ("09:30", "09:30"),
        ("23:59", "23:59"),
        ("24:00", "refused"),
        ("900", "refused"),
        ("0700", "refused"),
        ("1200", "refused"),
        ("9", "refused"),
        ("9.5", "refused"),
    ],
)
def test_a_time_of_day_in_yaml(said: str, meant: str) -> None:
    (document,) = strict_yaml.loads(f"kind: daily\ntime: {said}\n")
    if meant == "refused":
        assert refusal({**SMALLEST, "schedule": document}) == [("schedule.time", A_TIME)]
    else:
        assert task(schedule=document).spec()["schedule"]["time"] == meant


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2026-07-01T09:00:00+08:00", datetime(2026, 7, 1, 1, tzinfo=UTC)),
        ("2026-07-01t01:00:00.5z", datetime(2026, 7, 1, 1, 0, 0, 500000, tzinfo=UTC)),
        ("2026-07-01 09:00", datetime(2026, 7, 1, 9)),
        (datetime(2026, 7, 1, 9), datetime(2026, 7, 1, 9)),
    ],
)
def test_at(said: Any, expected: datetime) -> None:
    assert task(schedule={"kind": "at", "at": said}).schedule.at == expected


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (90, 90), (1.5, 1.5), (86400, 86400), (timedelta(minutes=2), 120)])
def test_retry_delay_is_a_number_of_seconds_in_and_out(given: Any, kept: float) -> None:
    read = task(retry_delay=given)
    assert read.retry_delay == timedelta(seconds=kept)
    assert read.spec()["retry_delay"] == kept
    assert isinstance(read.spec()["retry_delay"], type(kept))


def test_a_number_among_variables_is_kept_as_it_was_written() -> None:
    said = {"price": written.number("12.50"), "in": [{"a": written.number("0.10")}]}
    read = task(variables=said, recipients=[{"to": "a@x.com", "variables": said}])
    again = parse(written.loads(written.dumps(read.spec())))
    for variables in (read.variables, again.variables, again.recipients[0].variables):
        assert written.dumps(variables) == '{"price":12.50,"in":[{"a":0.10}]}'
    # It is another message than one with another spelling, as it is shown otherwise.
    twice = [{"to": "a@x.com", "variables": {"n": written.number(words)}} for words in ("1.50", "1.5", "1.50")]
    assert [str(one.variables["n"]) for one in task(recipients=twice).recipients] == ["1.50", "1.5"]


def test_cron_is_kept_with_single_spaces() -> None:
    assert (
        task(schedule={"kind": "cron", "cron": "  30  9 * *\tmon-fri "}).spec()["schedule"]["cron"]
        == "30 9 * * mon-fri"
    )


def test_a_manual_task_may_have_no_recipients() -> None:
    assert task(recipients=[], schedule={"kind": "manual"}).recipients == []


def test_nothing_changes_after_it_was_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        task().name = "other"


# --- recipients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["a@x.com", "a@X.com", {"to": "a@x.com"}], [("a@x.com", {})]),
        (["a@x.com", "A@x.com"], [("a@x.com", {}), ("A@x.com", {})]),
        (["b@x.com", "a@x.com", "b@x.com"], [("b@x.com", {}), ("a@x.com", {})]),
        (["ann@exämple.de", "ann@xn--exmple-cua.de"], [("ann@xn--exmple-cua.de", {})]),
        (
            [
                {"to": "a@x.com", "variables": {"n": 1, "m": 2}},
                {"to": "a@x.com", "variables": {"m": 2, "n": 1}},
            ],
            [("a@x.com", {"n": 1, "m": 2})],
        ),
        (
            ["a@x.com", {"to": "a@x.com", "variables": {"n": 1}}, {"to": "a@x.com", "variables": {"n": "1"}}],
            [("a@x.com", {}), ("a@x.com", {"n": 1}), ("a@x.com", {"n": "1"})],
        ),
        (
            [{"to": "a@x.com", "variables": {"n": 1}}, {"to": "a@x.com", "variables": {"n": True}}],
            [("a@x.com", {"n": 1}), ("a@x.com", {"n": True})],
        ),
    ],
)
def test_recipients_that_say_the_same_are_one(given: list[Any], kept: list[tuple[str, Any]]) -> None:
    assert [(r.to, r.variables) for r in task(recipients=given).recipients] == kept
    assert [(r.to, r.variables) for r in parse_trigger({"recipients": given}, channel="email").recipients or []] == kept


def test_every_wrong_recipient_is_named() -> None:
    errors = refusal({**SMALLEST, "recipients": ["a@x.com", "b", {"to": "c@"}, "d@x.com"]})
    assert [field for field, _ in errors] == ["recipients[1].to", "recipients[2].to"]


@pytest.mark.slow
@pytest.mark.parametrize("domains", [1, 20_000])
def test_twenty_thousand_recipients(domains: int) -> None:
    def read(count: int) -> PushTask:
        given = [
            {"to": f"user{i}@d{i % domains}.example.com", "variables": {"n": i, "name": "x"}} for i in range(count)
        ]
        return task(recipients=given)

    assert len(read(20_000).recipients) == 20_000
    assert growth(read, 5000) < LINEAR


# --- what it refuses, and how it says so ----------------------------------------------------------------

REFUSED = [
    # Not a document at all.
    (None, "(document)", "must be a mapping of fields"),
    ([], "(document)", "must be a mapping of fields"),
    ("text", "(document)", "must be a mapping of fields"),
    # Fields of the task.
    ({"code": ""}, "code", None),
    ({"code": "Order"}, "code", None),
    ({"code": "-a"}, "code", None),
    ({"code": "a" * 65}, "code", None),
    (
        {"code": "a\n"},
        "code",
        "takes lower-case letters, digits, '-' and '_', begins with a letter or digit, at most 64",
    ),
    ({"code": 5}, "code", "must be text; put it in quotes"),
    ({"name": ""}, "name", "must not be empty"),
    ({"name": "  "}, "name", "must not be empty"),
    ({"name": "x" * 201}, "name", "must have at most 200 characters"),
    ({"name": "a\nb"}, "name", ONE_LINE),
    ({"name": 5}, "name", "must be text; put it in quotes"),
    ({"name": None}, "name", "must be text; put it in quotes"),
    ({"channel": "pigeon"}, "channel", "must be 'email', 'sms', 'websocket' or 'app'"),
    ({"config": ""}, "config", "must not be empty"),
    ({"config": "x" * 251}, "config", "must have at most 250 characters"),
    ({"execution": "loop"}, "execution", "must be a mapping of fields"),
    ({"execution": {}}, "execution.type", "is required: one of once, loop"),
    ({"execution": {"type": "twice"}}, "execution.type", "'twice' is none of once, loop"),
    ({"execution": {"type": "loop", "max_executions": 0}}, "execution.max_executions", "must be at least 1"),
    ({"execution": {"type": "loop", "max_executions": 2_000_000_001}}, "execution.max_executions", None),
    ({"execution": {"type": "loop", "max_executions": 1.5}}, "execution.max_executions", A_NUMBER),
    (
        {"execution": {"type": "once", "max_executions": 2}},
        "execution.max_executions",
        "is not a field here; known are: type",
    ),
    ({"schedule": None}, "schedule", "must be a mapping of fields"),
    ({"schedule": "daily"}, "schedule", "must be a mapping of fields"),
    ({"schedule": {}}, "schedule.kind", f"is required: one of {KINDS}"),
    ({"schedule": {"kind": "x"}}, "schedule.kind", f"'x' is none of {KINDS}"),
    ({"schedule": {"kind": 5}}, "schedule.kind", f"'5' is none of {KINDS}"),
    ({"schedule": {"kind": "hourly"}}, "schedule.minute", "is required"),
    ({"schedule": {"kind": "hourly", "minute": 60}}, "schedule.minute", "must be at most 59"),
    ({"schedule": {"kind": "hourly", "minute": -1}}, "schedule.minute", "must be at least 0"),
    ({"schedule": {"kind": "hourly", "minute": "5"}}, "schedule.minute", A_NUMBER),
    ({"schedule": {"kind": "hourly", "minute": True}}, "schedule.minute", A_NUMBER),
    (
        {"schedule": {"kind": "hourly", "minut": 5, "minute": 5}},
        "schedule.minut",
        "is not a field here; did you mean 'minute'?",
    ),
    ({"schedule": {"kind": "daily", "time": "09:00", "hour": 9}}, "schedule.hour", None),
    ({"schedule": {"kind": "daily", "time": "9:00"}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "daily", "time": "24:00"}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "daily", "time": "09:00:30"}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "daily", "time": 900}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "daily", "time": 9}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "daily", "time": 9.3}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "daily", "time": "0900"}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "hourly", "minute": "08"}}, "schedule.minute", A_NUMBER),
    ({"schedule": {"kind": "hourly", "minute": written.number("8.0")}}, "schedule.minute", A_NUMBER),
    ({"schedule": {"kind": "hourly", "minute": written.number("8.00")}}, "schedule.minute", A_NUMBER),
    ({"subject": written.number("12.50")}, "subject", "must be text; put it in quotes"),
    ({"template": 5}, "template", "must be text; put it in quotes"),
    ({"owner": 5}, "owner", "must be text; put it in quotes"),
    ({"config": 5}, "config", "must be text; put it in quotes"),
    ({"schedule": {"kind": "daily", "time": True}}, "schedule.time", A_TIME),
    ({"schedule": {"kind": "cron", "cron": "0 9 * *"}}, "schedule.cron", f"'0 9 * *' {A_CRON}"),
    ({"schedule": {"kind": "cron", "cron": "0 9 * * * 2027"}}, "schedule.cron", None),
    ({"schedule": {"kind": "cron", "cron": "60 9 * * *"}}, "schedule.cron", f"'60 9 * * *' {A_CRON}"),
    ({"schedule": {"kind": "cron", "cron": "@daily"}}, "schedule.cron", f"'@daily' {A_CRON}"),
    ({"schedule": {"kind": "cron", "cron": "R 9 * * *"}}, "schedule.cron", f"'R 9 * * *' {A_CRON}"),
    ({"schedule": {"kind": "cron", "cron": "0,r(1-5) h * * *"}}, "schedule.cron", None),
    ({"schedule": {"kind": "cron", "cron": ",".join(["1"] * 500) + " 9 * * *"}}, "schedule.cron", None),
    ({"schedule": {"kind": "at", "at": "tomorrow"}}, "schedule.at", A_MOMENT),
    ({"schedule": {"kind": "at", "at": "2026-07-01"}}, "schedule.at", A_MOMENT),
    ({"schedule": {"kind": "at", "at": 1782900000}}, "schedule.at", A_MOMENT),
    ({"schedule": {"kind": "at", "at": "1782900000"}}, "schedule.at", A_MOMENT),
    ({"schedule": {"kind": "at", "at": "2026-02-30T09:00:00Z"}}, "schedule.at", None),
    ({"schedule": {"kind": "at", "at": "9999-12-31T23:59:59-05:00"}}, "schedule.at", None),
    ({"schedule": {"kind": "at", "at": "0001-01-01T00:00:00+05:00"}}, "schedule.at", None),
    ({"schedule": {"kind": "daily", "time": "09:00", "timezone": "Mars/Base"}}, "schedule.timezone", None),
    ({"schedule": {"kind": "daily", "time": "09:00", "timezone": "+08:00"}}, "schedule.timezone", None),
    ({"schedule": {"kind": "daily", "time": "09:00", "timezone": ""}}, "schedule.timezone", None),
    ({"schedule": {"kind": "daily", "time": "09:00", "timezone": "../UTC"}}, "schedule.timezone", None),
    ({"schedule": {"kind": "daily", "time": "09:00", "timezone": "America"}}, "schedule.timezone", None),
    ({"schedule": {"kind": "daily", "time": "09:00", "timezone": "right/UTC"}}, "schedule.timezone", None),
    ({"missed": "never"}, "missed", "must be 'skip', 'latest' or 'all'"),
    ({"max_active_runs": 0}, "max_active_runs", "must be at least 1"),
    ({"max_active_runs": 1001}, "max_active_runs", "must be at most 1000"),
    ({"max_active_runs": "2"}, "max_active_runs", A_NUMBER),
    (
        {"recipients": []},
        "recipients",
        "name at least one; only a task with schedule kind 'manual' may have none",
    ),
    ({"recipients": "a@x.com"}, "recipients", "must be a list of addresses"),
    ({"recipients": {"to": "a@x.com"}}, "recipients", "must be a list of addresses"),
    ({"recipients": ["a@x.com", 5]}, "recipients[1]", AN_ADDRESS),
    ({"recipients": [["a@x.com"]]}, "recipients[0]", AN_ADDRESS),
    ({"recipients": [{"variables": {}}]}, "recipients[0].to", "is required"),
    ({"recipients": [{"to": 5}]}, "recipients[0].to", "must be text; put it in quotes"),
    ({"recipients": [""]}, "recipients[0].to", "must not be empty"),
    ({"recipients": ["x" * 321]}, "recipients[0].to", "must have at most 320 characters"),
    (
        {"recipients": ["ann"]},
        "recipients[0].to",
        "'ann' is not a mail address: An email address must have an @-sign.",
    ),
    ({"recipients": [{"to": "a@x.com", "variable": {}}]}, "recipients[0].variable", None),
    (
        {"recipients": [{"to": "a@x.com", "variables": []}]},
        "recipients[0].variables",
        "must be a mapping of fields",
    ),
    ({"subject": None}, "subject", "an email needs one"),
    ({"subject": " "}, "subject", "an email needs one"),
    ({"subject": "a\r\nBcc: b@x.com"}, "subject", ONE_LINE),
    ({"subject": "x" * 1001}, "subject", "must have at most 1000 characters"),
    ({"content": None}, "content", "give either content or template (a file of include/templates)"),
    ({"template": "a.html"}, "content", "give either content or template (a file of include/templates)"),
    ({"content": "x" * (CONTENT_LIMIT + 1)}, "content", f"must have at most {CONTENT_LIMIT} characters"),
    ({"content_type": "pdf"}, "content_type", "must be 'html', 'markdown' or 'text'"),
    ({"template": "../a", "content": None}, "template", "'../a' must be a path below include/, without '..'"),
    ({"template": "/etc/passwd", "content": None}, "template", None),
    ({"template": "a\\b", "content": None}, "template", None),
    ({"template": "", "content": None}, "template", None),
    ({"variables": []}, "variables", "must be a mapping of names to values"),
    ({"variables": {"a": "x" * VARIABLES_LIMIT}}, "variables", None),
    ({"attachments": "a.pdf"}, "attachments", "must be a list"),
    ({"attachments": [5]}, "attachments[0]", "must be a path below include/, or {name, content_base64}"),
    (
        {"attachments": ["ok.pdf", "../a"]},
        "attachments[1]",
        "'../a' must be a path below include/, without '..'",
    ),
    ({"attachments": [{"name": "a"}]}, "attachments[0].content_base64", "is required"),
    ({"attachments": [{"name": "a", "content_base64": "%"}]}, "attachments[0].content_base64", None),
    ({"attachments": [{"name": "a", "content_base64": "YQ==\n"}]}, "attachments[0].content_base64", None),
    ({"attachments": [{"name": "a\n", "content_base64": "YQ=="}]}, "attachments[0].name", ONE_LINE),
    ({"attachments": [{"nam": "a", "name": "a", "content_base64": "YQ=="}]}, "attachments[0].nam", None),
    ({"category": "advertising"}, "category", "must be 'service' or 'marketing'"),
    ({"category": None}, "category", "must be 'service' or 'marketing'"),
    ({"category": "Marketing"}, "category", "must be 'service' or 'marketing'"),
    ({"on_unknown": "ask"}, "on_unknown", "must be 'resend' or 'hold'"),
    ({"app": ""}, "app", "must not be empty"),
    ({"owner": "a\rb"}, "owner", ONE_LINE),
    ({"retries": -1}, "retries", "must be at least 0"),
    ({"retries": 101}, "retries", "must be at most 100"),
    ({"retries": False}, "retries", A_NUMBER),
    ({"retry_delay": -1}, "retry_delay", A_DELAY),
    ({"retry_delay": 86401}, "retry_delay", A_DELAY),
    ({"retry_delay": "PT1M"}, "retry_delay", A_DELAY),
    ({"retry_delay": True}, "retry_delay", A_DELAY),
    (
        {"retry_delay": 10**400},
        "retry_delay",
        DIGITS,
    ),
    ({"retry_delay": timedelta(days=2)}, "retry_delay", A_DELAY),
    ({"retry_delay": float("inf")}, "retry_delay", FINITE),
    ({"recipient": []}, "recipient", "is not a field here; did you mean 'recipients'?"),
    ({"zzz": 1}, "zzz", None),
    # What JSON or the ledger cannot hold.
    ({"name": "a\0"}, "name", NO_NUL),
    ({"subject": "a\0"}, "subject", NO_NUL),
    ({"content": "a\ud800"}, "content", NO_SURROGATE),
    ({"recipients": ["a@x.com", "a\0@x.com"]}, "recipients[1]", NO_NUL),
    (
        {"recipients": [{"to": "a@x.com", "variables": {"a": ["\udfff"]}}]},
        "recipients[0].variables.a[0]",
        NO_SURROGATE,
    ),
    ({"attachments": ["a\0"]}, "attachments[0]", NO_NUL),
    ({"schedule": {"kind": "daily", "time": "09:00", "timezone": "UTC\0"}}, "schedule.timezone", NO_NUL),
    ({"variables": {"a": {"b\0": 1}}}, "variables.a", None),
    ({"variables": {"a": {5: 1}}}, "variables.a", None),
    ({"variables": {"a": float("nan")}}, "variables.a", FINITE),
    ({"variables": {"a": [1, -float("inf")]}}, "variables.a[1]", FINITE),
    ({"variables": {"a": 10**400}}, "variables.a", DIGITS),
    ({"variables": {"a": written.number("1E400")}}, "variables.a", DIGITS),
    ({"variables": {"a": written.number("1e-999999999")}}, "variables.a", DIGITS),
    ({"variables": {"a": written.number("0." + "1" * 500)}}, "variables.a", DIGITS),
    ({"variables": {"a": datetime(2026, 7, 1)}}, "variables.a", NO_JSON),
    ({"variables": {"a": b"x"}}, "variables.a", NO_JSON),
]
JARGON = (
    "Input",
    "input",
    "dictionary",
    "valid",
    "instance",
    "discriminator",
    "tag",
    "pydantic",
    "Recipient",
    "NoneType",
)


@pytest.mark.parametrize(("fields", "where", "message"), REFUSED, ids=lambda v: repr(v)[:60])
def test_a_refusal_names_the_field_and_the_remedy(fields: Any, where: str, message: str | None) -> None:
    [(field, said)] = refusal({**SMALLEST, **fields} if isinstance(fields, dict) else fields)
    assert field == where
    if message is not None:
        assert said == message
    assert not [word for word in JARGON if word in said]
    assert len(said) > 10
    assert len(said) < 300


@pytest.mark.parametrize("field", ["name", "channel"])
def test_required_fields(field: str) -> None:
    without = {key: value for key, value in SMALLEST.items() if key != field}
    assert refusal(without) == [(field, "is required")]


def test_all_broken_fields_are_named_at_once() -> None:
    errors = refusal(
        {**SMALLEST, "name": "", "retries": -1, "schedule": {"kind": "hourly", "minute": 99}, "colour": "red"}
    )
    assert [field for field, _ in errors] == ["name", "schedule.minute", "retries", "colour"]


SMS = {"name": "n", "channel": "sms", "recipients": ["+86 138-0013-8000", "85290001234"]}


def test_an_sms() -> None:
    sms = parse({**SMS, "content": '{"name": "{{ name }}"}', "template_code": "SMS_1", "sign_name": "某公司"})
    assert [recipient.to for recipient in sms.recipients] == ["13800138000", "+85290001234"]
    assert (sms.template_code, sms.sign_name, sms.on_unknown) == ("SMS_1", "某公司", None)
    assert parse(sms.spec()) == sms
    assert parse(SMS).content is None


A_PARAMETER_SET = """an SMS has the parameters of its template, a JSON object of texts like {"name": "{{ name }}"}"""


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"content": "Hello"}, "content", f"is not JSON: Expecting value, line 1 column 1; {A_PARAMETER_SET}"),
        ({"content": "[]"}, "content", f"is no JSON object; {A_PARAMETER_SET}"),
        ({"content": '"code"'}, "content", f"is no JSON object; {A_PARAMETER_SET}"),
        ({"content": '{"code": 123}'}, "content", f"'code' must be a text, in quotes; {A_PARAMETER_SET}"),
        ({"content": '{"code": null}'}, "content", f"'code' must be a text, in quotes; {A_PARAMETER_SET}"),
        (
            {"content": '{"a": "1", "a": "2"}'},
            "content",
            f"cannot be read: the key 'a' stands twice in one object; {A_PARAMETER_SET}",
        ),
        ({"content": '{"a": "\\ud800"}'}, "content", f"'a' {NO_SURROGATE}"),
        ({"content": "[" * 100_000}, "content", f"is nested too deeply; {A_PARAMETER_SET}"),
        ({"content_type": "text"}, "content_type", "belongs to channel email; leave it out"),
        ({"subject": "s"}, "subject", "belongs to channel email; leave it out"),
        (
            {"template": "a.html"},
            "template",
            "belongs to channel email; leave it out; name the provider's template in template_code",
        ),
        ({"attachments": ["a.pdf"]}, "attachments", "belongs to channel email; leave it out"),
        ({"sign_name": "a\nb"}, "sign_name", ONE_LINE),
        ({"template_code": ""}, "template_code", "must not be empty"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_sms(fields: dict[str, Any], field: str, message: str) -> None:
    assert refusal({**SMS, **fields}) == [(field, message)]


@pytest.mark.parametrize("field", ["template_code", "sign_name"])
def test_what_an_email_has_not(field: str) -> None:
    assert refusal({**SMALLEST, field: "x"}) == [(field, "belongs to channel sms; leave it out")]


def test_numbers_of_a_trigger_are_checked_as_the_channel_wants_it() -> None:
    trigger = parse_trigger({"recipients": ["+8613800138000"]}, channel="sms")
    assert trigger.recipients is not None
    assert trigger.recipients[0].to == "13800138000"
    with pytest.raises(InvalidTask, match=r"recipients\[0\]\.to: 'a@example\.com' is not a mobile number"):
        parse_trigger({"recipients": ["a@example.com"]}, channel="sms")


def test_what_was_read_is_named_first() -> None:
    with pytest.raises(InvalidTask, match=r"^tasks/order\.yaml: channel: must be 'email', 'sms', 'websocket' or"):
        parse({**SMALLEST, "channel": "fax"}, where="tasks/order.yaml")


@pytest.mark.parametrize("levels", [DEPTH_LIMIT, 100_000])
def test_deep_nesting_is_refused(levels: int) -> None:
    deepest = "variables" + ".a" * (DEPTH_LIMIT - 1)
    expected = [(deepest, f"is nested too deeply; at most {DEPTH_LIMIT} levels fit")]
    assert refusal({**SMALLEST, "variables": nested(levels)}) == expected
    with pytest.raises(InvalidTask, match="is nested too deeply"):
        parse_trigger({"variables": nested(levels)}, channel="email")
    assert task(variables=nested(DEPTH_LIMIT - 1)).variables


def test_a_document_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    assert "nested too deeply" in refusal({**SMALLEST, "variables": loop})[0][1]


@pytest.mark.slow
def test_aliases_that_unfold_to_millions_are_refused() -> None:
    value: list[Any] = ["x"] * 10
    for _ in range(8):
        value = [value] * 10
    [(field, message)] = refusal({**SMALLEST, "variables": {"a": value}})
    assert field == "(document)"
    assert message.startswith("holds too many values")


def test_attachments_have_a_limit_together() -> None:
    half = {"content_base64": base64.b64encode(b"x" * (ATTACHMENTS_LIMIT // 2)).decode()}
    read = task(attachments=[{"name": "a", **half}, {"name": "b", **half}, "c.pdf"])
    assert sum(len(a.content) for a in read.attachments if not isinstance(a, str)) == ATTACHMENTS_LIMIT
    [(field, message)] = refusal({**SMALLEST, "attachments": [{"name": n, **half} for n in "abc"]})
    assert field == "attachments"
    assert message.endswith(f"at most {ATTACHMENTS_LIMIT} fit")


@pytest.mark.parametrize(
    "fields",
    [
        {"variables": {"password": "hunter2", "n": float("nan")}},
        {"variables": ["hunter2"]},
        {"content": {"x": "hunter2"}},
        {"subject": "hunter2\n"},
        {"recipients": [{"to": "ann", "variables": {"token": "hunter2"}}]},
        {"recipients": [{"token": "hunter2"}]},
        {"attachments": [{"name": "a", "content_base64": "hunter2%"}]},
        {"password": "hunter2"},
        {"config": {"password": "hunter2"}},
        {"schedule": {"kind": "daily", "time": "hunter2"}},
        {"execution": {"type": "loop", "max_executions": "hunter2"}},
    ],
)
def test_a_refusal_does_not_repeat_what_may_be_secret(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidTask) as refused:
        task(**fields)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


# --- triggers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, {}])
def test_an_empty_trigger(data: Any) -> None:
    trigger = parse_trigger(data, channel="email")
    assert (trigger.recipients, trigger.variables, trigger.execution) == (None, {}, None)


def test_a_trigger() -> None:
    trigger = parse_trigger({"recipients": ["a@X.com"], "variables": {"n": [1]}, "execution": 7}, channel="email")
    assert [r.to for r in trigger.recipients or []] == ["a@x.com"]
    assert (trigger.variables, trigger.execution) == ({"n": [1]}, 7)


@pytest.mark.parametrize(
    ("data", "where", "message"),
    [
        ([], "(document)", "must be a mapping of fields"),
        ("", "(document)", "must be a mapping of fields"),
        ({"recipients": ["ann"]}, "recipients[0].to", None),
        ({"recipients": "a@x.com"}, "recipients", "must be a list of addresses"),
        ({"execution": 0}, "execution", "must be at least 1"),
        ({"execution": "7"}, "execution", A_NUMBER),
        ({"execution": 2**63}, "execution", "must be less than 9223372036854775808"),
        ({"variable": {}}, "variable", "is not a field here; did you mean 'variables'?"),
        ({"subject": "s"}, "subject", "is not a field here; known are: recipients, variables, execution"),
        ({"variables": {"a": "\0"}}, "variables.a", NO_NUL),
    ],
)
def test_a_wrong_trigger(data: Any, where: str, message: str | None) -> None:
    with pytest.raises(InvalidTask) as refused:
        parse_trigger(data, channel="email", where="trigger")
    [error] = refused.value.errors
    assert error.field == where
    assert message is None or error.message == message
    assert str(refused.value).startswith(f"trigger: {where}: ")


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x07", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028"])
def test_a_name_has_no_control_characters(bad: str) -> None:
    text = f"n{bad}m"
    file = {"name": f"{text}.pdf", "content_base64": "YQ=="}
    for field, value, where in (
        ("name", text, "name"),
        ("app", text, "app"),
        ("owner", text, "owner"),
        ("config", text, "config"),
        ("template", f"{text}.html", "template"),
        ("attachments", [file], "attachments[0].name"),
        ("attachments", [text], "attachments[0]"),
    ):
        [(path, message)] = refusal({**SMALLEST, **({"content": None} if field == "template" else {}), field: value})
        assert path == where
        assert message == f"must not hold control characters; take out {bad[0]!a}"
    # What an older version took is still read.
    assert parse_stored({**task(code="a").spec(), "name": text}).name == text


def test_a_name_has_marks_that_its_language_needs() -> None:
    for name in ("نام\u200cها", "👩\u200d💻 team", "שלום\u200f!", "Zoë"):
        assert task(name=name).name == name


UNKNOWN = {f"f{number}": 1 for number in range(5000)}
MANY = "have 1000 faults among the first {}; what follows has not been looked at"


@pytest.mark.parametrize(
    ("data", "first", "more"),
    [
        ({**SMALLEST, **UNKNOWN}, ("f0", "is not a field here; known are: code, name"), 4980),
        ({**SMALLEST, "schedule": UNKNOWN}, ("schedule", "has 5000 fields; only variables"), 0),
        ({**SMALLEST, "recipients": [{"to": "a@x.com", **UNKNOWN}]}, ("recipients[0]", "has 5001 fields; only"), 0),
        ({**SMALLEST, "recipients": ["no"] * 30}, ("recipients[0].to", "'no' is not a mail address"), 10),
        ({**SMALLEST, "recipients": ["no"] * 20_000}, ("recipients", MANY.format(1000)), 981),
        ({**SMALLEST, "recipients": [*["a@x.com"] * 250, {}]}, ("recipients[250].to", "is required"), 0),
        ({**SMALLEST, "recipients": [{"x": 1}] * 20_000}, ("recipients", MANY.format(500)), 981),
        ({**SMALLEST, "attachments": [{}] * 20_000}, ("attachments", MANY.format(500)), 981),
        ({**SMALLEST, "attachments": [*["a.pdf"] * 250, 7]}, ("attachments[250]", "must be a path below include/"), 0),
        ({**SMALLEST, "variables": {"a": ["\0"] * 20_000}}, ("variables.a[0]", NO_NUL), 19_980),
    ],
)  # fmt: skip
def test_many_faults_are_told_in_short(data: Any, first: tuple[str, str], more: int) -> None:
    with pytest.raises(InvalidTask) as refused:
        parse(data)
    errors = refused.value.errors
    assert (errors[0].field, errors[0].message[: len(first[1])]) == first
    assert errors.more == more
    assert len(errors) == (20 if more else 1)
    assert len(str(refused.value)) < 4000


@pytest.mark.slow
def test_many_faults_take_little_time_and_memory() -> None:
    # Measured from outside: this process reads the documents, and the kernel says what that took.
    documents = "{**SMALLEST, 'recipients': [{'x': 1}] * 300_000}", "{f'f{n}': 1 for n in range(300_000)}"
    program = f"""{PEAK}
from push_provider.exceptions import InvalidTask
from push_provider.channels.reading import parse
SMALLEST = {SMALLEST!r}
for document in ({", ".join(documents)}):
    try:
        parse(document)
    except InvalidTask as error:
        assert len(str(error)) < 4000
    else:
        raise SystemExit("taken")
print(peak())
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        most = int(child.stdout.read())
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    assert used.ru_utime + used.ru_stime < 20  # 3 on an idle machine; without a bound it was 40, and 1.9 GB
    assert most < 500 * 1024


BERLIN = ZoneInfo("Europe/Berlin")

# --- any task -------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
LINE = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=20)
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
NAME = LINE.filter(lambda text: text.strip() and not UNSEEN.search(text))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
VARIABLES = st.dictionaries(TEXT, JSON, max_size=3)
ZONE = st.sampled_from([None, "UTC", "Asia/Shanghai", "America/New_York"])
SCHEDULE = st.one_of(
    st.just({"kind": "now"}),
    st.just({"kind": "manual"}),
    st.fixed_dictionaries(
        {
            "kind": st.just("at"),
            "at": st.datetimes(datetime(1970, 1, 2), datetime(8999, 12, 30)),
            "timezone": ZONE,
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("at"),
            "at": st.datetimes(datetime(1970, 1, 2), datetime(2099, 1, 1), timezones=st.timezones()),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("hourly"), "minute": st.integers(0, 59), "timezone": ZONE}),
    st.fixed_dictionaries({"kind": st.just("daily"), "time": st.times().map(lambda t: f"{t:%H:%M}"), "timezone": ZONE}),
    st.fixed_dictionaries({"kind": st.just("cron"), "cron": st.sampled_from(["0 9 * * *", "*/5 * l 2 mon#1"])}),
)
ADDRESS = st.builds(
    "{}@{}".format,
    st.sampled_from(["ann", "Bob", "安"]),
    st.sampled_from(["x.com", "X.com", "例子.公司", "y.test"]),
)
RECIPIENT = ADDRESS | st.fixed_dictionaries({"to": ADDRESS, "variables": VARIABLES})
ATTACHMENT = st.sampled_from(["a.pdf", "templates/./b.html"]) | st.fixed_dictionaries(
    {
        "name": NAME,
        "content_base64": st.binary(max_size=20).map(lambda b: base64.b64encode(b).decode()),
    }
)
TASK = st.fixed_dictionaries(
    {
        "name": NAME,
        "channel": st.just("email"),
        "recipients": st.lists(RECIPIENT, min_size=1, max_size=4),
        "subject": NAME,
        "content": TEXT,
    },
    optional={
        "code": st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True),
        "config": NAME,
        "execution": st.sampled_from([{"type": "once"}, {"type": "loop"}, {"type": "loop", "max_executions": 3}]),
        "schedule": SCHEDULE,
        "missed": st.sampled_from([None, "skip", "latest", "all"]),
        "max_active_runs": st.integers(1, 1000),
        "content_type": st.sampled_from(["html", "markdown", "text"]),
        "variables": VARIABLES,
        "attachments": st.lists(ATTACHMENT, max_size=2),
        "category": st.sampled_from(["service", "marketing"]),
        "on_unknown": st.sampled_from([None, "resend", "hold"]),
        "app": NAME,
        "owner": NAME,
        "retries": st.integers(0, 100),
        "retry_delay": st.integers(0, 86400) | st.floats(0, 86400),
    },
)


@pytest.mark.parametrize(
    ("at", "stored"),
    [
        # Twice, never, and with half a minute: what only a datetime of Python can say.
        (datetime(2030, 10, 27, 2, 30, tzinfo=BERLIN), "2030-10-27T02:30:00+02:00"),
        (datetime(2030, 10, 27, 2, 30, tzinfo=BERLIN, fold=1), "2030-10-27T02:30:00+01:00"),
        (datetime(2030, 3, 31, 2, 30, tzinfo=BERLIN), "2030-03-31T02:30:00+01:00"),
        (datetime(2030, 3, 31, 2, 30, tzinfo=BERLIN, fold=1), "2030-03-31T02:30:00+02:00"),
        (datetime(1971, 1, 1, tzinfo=ZoneInfo("Africa/Monrovia")), "1971-01-01T00:44:30Z"),
        (datetime(2030, 10, 27, 2, 30, fold=1), "2030-10-27T02:30:00"),
        ("2030-10-27T02:30:00+01:00", "2030-10-27T02:30:00+01:00"),
    ],
)
def test_a_moment_is_what_its_text_says(at: Any, stored: str) -> None:
    read = task(schedule={"kind": "at", "at": at})
    assert read.spec()["schedule"]["at"] == stored
    assert parse(read.spec()) == read
    if isinstance(at, datetime) and at.tzinfo:
        assert read.schedule.at.astimezone(UTC) == at.astimezone(UTC)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TASK)
def test_a_spec_reads_back_to_an_equal_task(given_: dict[str, Any]) -> None:
    read = parse(given_)
    stored = json.loads(json.dumps(read.spec(), allow_nan=False))
    assert stored == read.spec()
    again = parse(stored)
    assert again == read
    assert again.spec() == read.spec()


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from([*all_fields(), "zzz"]) | st.text(max_size=3),
        JSON | st.lists(JSON),
        max_size=4,
    ),
    st.sampled_from(sorted(all_fields())),
    JSON,
)
def test_nothing_but_invalid_task_is_raised(extra: dict[str, Any], field: str, value: Any) -> None:
    try:
        parse({**SMALLEST, **extra, field: value})
    except InvalidTask as refused:
        assert refused.errors  # noqa: PT017  (either outcome is right)
        assert all(error.field and error.message for error in refused.errors)  # noqa: PT017
