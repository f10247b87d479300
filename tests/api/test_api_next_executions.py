"""The times of a schedule before there is a push task: what is found, and that it is refused as a push task is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from api_server import task

if TYPE_CHECKING:
    from api_server import ApiServer

LOOP = {"type": "loop"}


def test_each_time_has_the_offset_that_the_clock_then_has(server: ApiServer) -> None:
    schedule = {"kind": "cron", "cron": "0 9 15 1,7 *", "timezone": "Europe/Berlin"}
    found = server.push("POST", "/next-executions", {"schedule": schedule, "execution": LOOP, "count": 4}).json
    assert (found["timezone"], found["ends"]) == ("Europe/Berlin", False)
    offsets = {1: timedelta(hours=1), 7: timedelta(hours=2)}
    moments = [datetime.fromisoformat(moment) for moment in found["items"]]
    assert len(moments) == 4
    assert all(moment.utcoffset() == offsets[moment.month] for moment in moments)
    assert {(moment.day, moment.hour) for moment in moments} == {(15, 9)}


def test_left_out_are_the_values_of_a_push_task_and_five_times(server: ApiServer) -> None:
    now = server.push("POST", "/next-executions", {}).json
    assert (len(now["items"]), now["timezone"], now["ends"]) == (1, "UTC", True)
    hourly = {"schedule": {"kind": "hourly", "minute": 45}, "execution": LOOP}
    assert len(server.push("POST", "/next-executions", hourly).json["items"]) == 5


def test_a_task_is_due_when_it_was_said_to_be(server: ApiServer) -> None:
    fields: dict[str, Any] = {
        "schedule": {"kind": "daily", "time": "09:00", "timezone": "Asia/Shanghai"},
        "execution": LOOP,
    }

    def said() -> datetime:
        return datetime.fromisoformat(server.push("POST", "/next-executions", fields).json["items"][0])

    before = said()
    code = server.create(**fields)
    due = datetime.fromisoformat(server.push("GET", f"/tasks/{code}").json["next_execution"])
    assert before <= due <= said()  # midnight in Shanghai may come between


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"schedule": {"kind": "cron", "cron": "0 0 30 2 *"}}, "schedule.cron"),
        ({"schedule": {"kind": "cron", "cron": "every day"}}, "schedule.cron"),
        ({"schedule": {"kind": "cron"}}, "schedule.cron"),
        ({"schedule": {"kind": "at", "at": "2020-01-01T00:00:00Z"}}, "schedule.at"),
        ({"schedule": {"kind": "at", "at": "2026-02-30T00:00:00Z"}}, "schedule.at"),
        ({"schedule": {"kind": "hourly", "minute": 60}}, "schedule.minute"),
        ({"schedule": {"kind": "daily", "time": "9:00"}}, "schedule.time"),
        ({"schedule": {"kind": "daily", "time": "09:00", "timezone": "Mars"}}, "schedule.timezone"),
        ({"schedule": {"kind": "weekly"}}, "schedule.kind"),
        ({"schedule": {"minute": 5}}, "schedule.kind"),
        ({"schedule": "daily"}, "schedule"),
        ({"execution": {"type": "loop", "max_executions": 0}}, "execution.max_executions"),
        ({"execution": {"type": "twice"}}, "execution.type"),
    ],
)
def test_what_no_push_task_may_have_is_refused_in_the_same_words(
    server: ApiServer, fields: dict[str, Any], field: str
) -> None:
    asked = server.push("POST", "/next-executions", fields)
    created = server.push("POST", "/tasks", task(**fields))
    assert (asked.status, asked.fields) == (422, [field])
    assert created.json["errors"] == asked.json["errors"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"count": 0}, ["count"]),
        ({"count": 21}, ["count"]),
        ({"count": "5"}, ["count"]),
        ({"count": 0, "schedule": {"kind": "hourly"}}, ["schedule.minute", "count"]),
        ({"timezone": "Asia/Shanghai"}, ["timezone"]),
        ({"\ud800": 1}, ["(document)"]),
        ([], ["(document)"]),
    ],
)
def test_what_makes_no_sense(server: ApiServer, body: Any, fields: list[str]) -> None:
    answer = server.push("POST", "/next-executions", body)
    assert (answer.status, answer.fields) == (422, fields)
