"""What a push task does is allowed or refused, whatever door it comes in by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from push_provider.exceptions import NotAllowed
from push_provider.policy import effects
from push_provider.task import parse

TASK: dict[str, Any] = {
    "code": "one",
    "name": "One",
    "channel": "email",
    "schedule": {"kind": "manual"},
    "subject": "S",
    "content": "C",
    "recipients": ["a@example.com"],
}


@dataclass
class Somebody:
    """Somebody who may do what is said.

    :param begin: begin executions.
    """

    begin: bool = False

    def may_begin(self, code: str) -> bool:
        assert code == TASK["code"]
        return self.begin


def refused(authority: Any, *, before: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    """The fields that are refused."""
    spec = None if before is None else parse({**TASK, **before}).spec()
    try:
        effects.require(parse({**TASK, **fields}), authority, before=spec)
    except NotAllowed as error:
        return [fault.field for fault in error.errors]
    return []


def loop(limit: int | None) -> dict[str, Any]:
    return {"type": "loop", "max_executions": limit}


SENDS = [
    ({}, {"schedule": {"kind": "now"}}, "schedule"),
    ({}, {"schedule": {"kind": "hourly", "minute": 5}}, "schedule"),
    ({"schedule": {"kind": "manual"}}, {"schedule": {"kind": "now"}}, "schedule"),
    # Of a task that sends by itself, any change decides what is sent.
    ({"schedule": {"kind": "now"}}, {"schedule": {"kind": "now"}, "recipients": ["b@example.com"]}, "schedule"),
    ({"execution": {"type": "once"}}, {"execution": loop(2)}, "execution"),
    ({"execution": loop(2)}, {"execution": loop(3)}, "execution"),
    ({"execution": loop(2)}, {"execution": loop(None)}, "execution"),
]
SENDS_NOT = [
    ({}, {}),
    ({"schedule": {"kind": "now"}}, {}),
    ({"subject": "Other"}, {}),
    ({"execution": loop(None)}, {"execution": loop(9)}),
    ({"execution": loop(9)}, {"execution": {"type": "once"}}),
]


@pytest.mark.parametrize(("before", "fields", "field"), SENDS)
def test_what_makes_a_task_send_takes_the_right_to_begin(
    before: dict[str, Any], fields: dict[str, Any], field: str
) -> None:
    assert refused(Somebody(), before=before, **fields) == [field]
    assert refused(Somebody(begin=True), before=before, **fields) == []


@pytest.mark.parametrize("fields", [{"schedule": {"kind": "now"}}, {"schedule": {"kind": "daily", "time": "09:00"}}])
def test_a_new_task_that_sends_by_itself_takes_it_too(fields: dict[str, Any]) -> None:
    assert refused(Somebody(), **fields) == ["schedule"]
    assert refused(Somebody(begin=True), **fields) == []


@pytest.mark.parametrize(("before", "fields"), SENDS_NOT)
def test_what_makes_no_task_send_does_not(before: dict[str, Any], fields: dict[str, Any]) -> None:
    assert refused(Somebody(), before=before, **fields) == []


def test_a_new_task_that_waits_for_a_trigger_does_not() -> None:
    assert refused(Somebody(), execution=loop(None)) == []
