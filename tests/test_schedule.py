"""When a push task is due, against Airflow's own timetables with its clock set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from push_provider import schedule
from push_provider.channels.reading import parse
from push_provider.contract import Outlook, PushTask, parse_outlook
from push_provider.contract.timing import Loop
from push_provider.exceptions import InvalidTask
from push_provider.schedule import Plan

SHANGHAI, NEW_YORK, BERLIN = "Asia/Shanghai", "America/New_York", "Europe/Berlin"
GRACE = timedelta(minutes=5)


def push_task(zone: str | None = None, /, **fields: Any) -> PushTask:
    """A push task; ``hourly=45``, ``daily="09:00"``, ``cron=…``, ``at=…`` or ``kind=…`` make its schedule."""
    options = {"hourly": "minute", "daily": "time", "cron": "cron", "at": "at"}
    kind = next((name for name in options if name in fields), None)
    plan = {"kind": kind, options[kind]: fields.pop(kind)} if kind else {"kind": fields.pop("kind", "now")}
    if zone:
        plan["timezone"] = zone
    return parse(
        {
            "code": "t",
            "name": "t",
            "channel": "email",
            "subject": "s",
            "content": "c",
            "recipients": ["a@example.com"],
            "execution": {"type": "loop"},
            "schedule": plan,
            **fields,
        }
    )


def moment(zone: str, text: str) -> datetime:
    """``2026-11-01 01:45`` on the zone's clock; a trailing ``*`` means the second time it shows that."""
    wall = datetime.fromisoformat(text.rstrip("*"))
    return wall.replace(tzinfo=ZoneInfo(zone), fold=int(text.endswith("*"))).astimezone(UTC)


def wall(zone: str, *moments: datetime) -> list[str]:
    """Moments as the zone's clock shows them, a ``*`` where it shows that for the second time."""
    local = [m.astimezone(ZoneInfo(zone)) for m in moments]
    return [f"{m:%Y-%m-%d %H:%M}{'*' if m.fold else ''}" for m in local]


@contextmanager
def airflows_clock(now: datetime) -> Iterator[None]:
    with (
        patch("airflow.timetables.trigger.utcnow", lambda: now),
        patch("airflow.timetables.trigger.time.time", now.timestamp),
    ):
        yield


def airflow_next(plan: Plan, last: datetime | None, now: datetime) -> datetime | None:
    """What Airflow's scheduler computes at ``now`` as the run after ``last``."""
    assert plan.schedule is not None
    assert plan.start_date is not None
    with airflows_clock(now):
        info = coerce_to_core_timetable(plan.schedule).next_dagrun_info(
            last_automated_data_interval=None if last is None else DataInterval.exact(pendulum.instance(last)),
            restriction=TimeRestriction(pendulum.instance(plan.start_date), None, plan.catchup),
        )
    return None if info is None else datetime.fromisoformat(info.run_after.isoformat()).astimezone(UTC)


def airflow_runs(plan: Plan, since: datetime, count: int) -> list[datetime]:
    """The first runs that a scheduler makes which never stops."""
    runs: list[datetime] = []
    now, last = since, None
    while len(runs) < count and (last := airflow_next(plan, last, now)) is not None:
        runs.append(last)
        now = max(now, last) + timedelta(seconds=1)
    return runs


def due_times(task: PushTask, since: datetime, count: int) -> list[datetime]:
    times: list[datetime] = []
    after = since - timedelta(days=400)
    while len(times) < count and (after := schedule.next_due(task, since, after)) is not None:
        times.append(after)
    return times


EXAMPLES = [
    # The seed's own examples.
    (SHANGHAI, {"hourly": 45}, "2026-07-01 05:25", ["2026-07-01 06:45", "2026-07-01 07:45"]),
    (SHANGHAI, {"daily": "09:00"}, "2026-07-01 05:25", ["2026-07-02 09:00", "2026-07-03 09:00"]),
    # The edges of a period.
    (SHANGHAI, {"hourly": 45}, "2026-07-01 05:50", ["2026-07-01 06:45"]),
    (SHANGHAI, {"hourly": 0}, "2026-07-01 05:00", ["2026-07-01 06:00"]),
    (SHANGHAI, {"hourly": 0}, "2026-07-01 05:00:00.000001", ["2026-07-01 06:00"]),
    (SHANGHAI, {"hourly": 0}, "2026-07-01 04:59:59.999999", ["2026-07-01 05:00", "2026-07-01 06:00"]),
    (SHANGHAI, {"hourly": 59}, "2026-07-01 05:59:59.5", ["2026-07-01 06:59"]),
    (SHANGHAI, {"hourly": 30}, "2026-12-31 23:10", ["2027-01-01 00:30"]),
    (SHANGHAI, {"daily": "09:00"}, "2026-07-01 09:00", ["2026-07-02 09:00"]),
    (SHANGHAI, {"daily": "09:00"}, "2026-07-01 23:59:59.9", ["2026-07-02 09:00"]),
    (SHANGHAI, {"daily": "00:00"}, "2026-07-01 00:00", ["2026-07-02 00:00", "2026-07-03 00:00"]),
    (SHANGHAI, {"daily": "23:59"}, "2026-07-01 23:59:30", ["2026-07-02 23:59"]),
    (SHANGHAI, {"daily": "09:00"}, "2028-02-28 10:00", ["2028-02-29 09:00", "2028-03-01 09:00"]),
    # Offsets of half an hour and of 45 minutes: the minute and the day are those of the zone's own clock.
    ("Asia/Kolkata", {"hourly": 45}, "2026-07-01 05:25", ["2026-07-01 06:45", "2026-07-01 07:45"]),
    ("Asia/Kathmandu", {"hourly": 10}, "2026-07-01 05:25", ["2026-07-01 06:10", "2026-07-01 07:10"]),
    ("Asia/Kathmandu", {"daily": "00:15"}, "2026-07-01 00:05", ["2026-07-02 00:15"]),
    ("Pacific/Chatham", {"hourly": 20}, "2026-07-01 05:25", ["2026-07-01 06:20", "2026-07-01 07:20"]),
    ("Pacific/Kiritimati", {"daily": "01:00"}, "2026-07-01 23:00", ["2026-07-02 01:00"]),
    # Hourly over a change of the clock: every hour that passes.
    (
        NEW_YORK,
        {"hourly": 45},
        "2026-11-01 00:25",
        ["2026-11-01 01:45", "2026-11-01 01:45*", "2026-11-01 02:45", "2026-11-01 03:45"],
    ),
    (NEW_YORK, {"hourly": 45}, "2026-11-01 01:25", ["2026-11-01 01:45*", "2026-11-01 02:45"]),
    (NEW_YORK, {"hourly": 45}, "2026-11-01 01:25*", ["2026-11-01 02:45", "2026-11-01 03:45"]),
    (
        NEW_YORK,
        {"hourly": 45},
        "2026-03-08 00:25",
        ["2026-03-08 01:45", "2026-03-08 03:45", "2026-03-08 04:45"],
    ),
    (NEW_YORK, {"hourly": 0}, "2026-03-08 01:25", ["2026-03-08 03:00", "2026-03-08 04:00"]),
    ("Pacific/Chatham", {"hourly": 0}, "2026-04-05 02:10", ["2026-04-05 03:00", "2026-04-05 03:00*"]),
    # Daily over a change: one a day, whether the time is skipped or shown twice.
    (
        NEW_YORK,
        {"daily": "02:30"},
        "2026-03-06 12:00",
        ["2026-03-07 02:30", "2026-03-08 03:30", "2026-03-09 02:30"],
    ),
    (NEW_YORK, {"daily": "02:30"}, "2026-03-07 12:00", ["2026-03-08 03:30", "2026-03-09 02:30"]),
    (
        NEW_YORK,
        {"daily": "01:30"},
        "2026-10-30 12:00",
        ["2026-10-31 01:30", "2026-11-01 01:30*", "2026-11-02 01:30"],
    ),
    (NEW_YORK, {"daily": "01:30"}, "2026-10-31 12:00", ["2026-11-01 01:30*", "2026-11-02 01:30"]),
    (NEW_YORK, {"daily": "01:30"}, "2026-11-01 01:10", ["2026-11-02 01:30", "2026-11-03 01:30"]),
    (BERLIN, {"daily": "09:00"}, "2026-03-28 08:00", ["2026-03-29 09:00", "2026-03-30 09:00"]),
    # Clocks that change at midnight, before it, and by half an hour.
    ("Africa/Cairo", {"daily": "00:30"}, "2026-04-23 12:00", ["2026-04-24 01:30", "2026-04-25 00:30"]),
    ("Africa/Cairo", {"daily": "23:30"}, "2026-10-28 12:00", ["2026-10-29 23:30*", "2026-10-30 23:30"]),
    ("America/Nuuk", {"daily": "23:30"}, "2026-03-27 12:00", ["2026-03-29 00:30", "2026-03-29 23:30"]),
    ("Australia/Lord_Howe", {"daily": "02:15"}, "2026-10-03 12:00", ["2026-10-04 02:45", "2026-10-05 02:15"]),
    (
        "Australia/Lord_Howe",
        {"daily": "01:45"},
        "2026-04-04 12:00",
        ["2026-04-05 01:45*", "2026-04-06 01:45"],
    ),
    ("Antarctica/Troll", {"daily": "02:30"}, "2026-03-28 12:00", ["2026-03-29 04:30", "2026-03-30 02:30"]),
    # Cron: the first match after the moment of creation, never that moment itself.
    (SHANGHAI, {"cron": "45 * * * *"}, "2026-07-01 05:25", ["2026-07-01 05:45", "2026-07-01 06:45"]),
    (SHANGHAI, {"cron": "45 5 * * *"}, "2026-07-01 05:45", ["2026-07-02 05:45"]),
    (SHANGHAI, {"cron": "45 5 * * *"}, "2026-07-01 05:44:59.999999", ["2026-07-01 05:45"]),
    (SHANGHAI, {"cron": "30 9 * * mon-fri"}, "2026-07-03 10:00", ["2026-07-06 09:30", "2026-07-07 09:30"]),
    (SHANGHAI, {"cron": "0 9 l * *"}, "2026-02-01 10:00", ["2026-02-28 09:00", "2026-03-31 09:00"]),
    (SHANGHAI, {"cron": "0 9 29 2 *"}, "2026-07-01 10:00", ["2028-02-29 09:00", "2032-02-29 09:00"]),
    (SHANGHAI, {"cron": "*/20 * * * *"}, "2026-07-01 05:25", ["2026-07-01 05:40", "2026-07-01 06:00"]),
    (NEW_YORK, {"cron": "30 1 * * *"}, "2026-11-01 01:45", ["2026-11-01 01:30*", "2026-11-02 01:30"]),
    (NEW_YORK, {"cron": "30 2 * * *"}, "2026-03-08 03:10", ["2026-03-08 03:30", "2026-03-09 02:30"]),
    (
        NEW_YORK,
        {"cron": "0,30 0-3 * * *"},
        "2026-03-08 01:10",
        ["2026-03-08 01:30", "2026-03-08 03:00", "2026-03-08 03:30", "2026-03-09 00:00"],
    ),
    (
        NEW_YORK,
        {"cron": "0,30 0-2 * * *"},
        "2026-11-01 00:10",
        ["2026-11-01 00:30", "2026-11-01 01:00*", "2026-11-01 01:30*", "2026-11-01 02:00"],
    ),
    (
        "America/Nuuk",
        {"cron": "*/20 23 * * *"},
        "2026-03-28 12:00",
        ["2026-03-29 00:00", "2026-03-29 23:00", "2026-03-29 23:20"],
    ),
    (NEW_YORK, {"cron": "30,45 2 * * *"}, "2026-03-08 01:10", ["2026-03-08 03:30", "2026-03-09 02:30"]),
    # Every hour of some days, a change of the clock between: Airflow alone begins at 01:00 or 23:00.
    (
        NEW_YORK,
        {"cron": "*/30 * * * mon-fri"},
        "2026-03-06 23:10",
        ["2026-03-06 23:30", "2026-03-09 00:00", "2026-03-09 00:30", "2026-03-09 01:00"],
    ),
    (
        NEW_YORK,
        {"cron": "*/30 * * * mon-fri"},
        "2026-10-30 23:10",
        ["2026-10-30 23:30", "2026-11-02 00:00", "2026-11-02 00:30"],
    ),
    (NEW_YORK, {"cron": "0 * 15 * *"}, "2026-03-01 12:00", ["2026-03-15 00:00", "2026-03-15 01:00"]),
    (NEW_YORK, {"cron": "0 11,12 * * mon"}, "2026-03-06 12:00", ["2026-03-09 11:00", "2026-03-09 12:00"]),
    (SHANGHAI, {"cron": "*/30 * * * mon-fri"}, "2026-03-06 23:10", ["2026-03-06 23:30", "2026-03-09 00:00"]),
]


@pytest.mark.parametrize("execution", [{"type": "once"}, {"type": "loop"}], ids=["once", "loop"])
@pytest.mark.parametrize("missed", ["skip", "latest", "all"])
@pytest.mark.parametrize(("zone", "when", "created", "expected"), EXAMPLES, ids=str)
def test_due_times(
    zone: str, when: dict[str, Any], created: str, expected: list[str], missed: str, execution: dict[str, Any]
) -> None:
    task = push_task(zone, **when, missed=missed, execution=execution)
    since = moment(zone, created)
    assert wall(zone, *due_times(task, since, len(expected))) == expected
    assert wall(zone, *airflow_runs(schedule.plan(task, since), since, len(expected))) == expected
    outlook = Outlook(schedule=task.schedule, execution=Loop(type="loop"), count=len(expected))
    assert wall(zone, *schedule.upcoming(outlook, since).moments) == expected


@pytest.mark.parametrize(
    ("when", "execution", "count", "found", "ends"),
    [
        ({"kind": "now"}, {"type": "once"}, 5, 1, True),
        ({"kind": "now"}, {"type": "loop"}, 5, 1, True),
        ({"kind": "manual"}, {"type": "loop"}, 5, 0, True),
        ({"kind": "at", "at": "2026-07-01T09:00:00"}, {"type": "once"}, 5, 1, True),
        ({"kind": "hourly", "minute": 45}, {"type": "once"}, 5, 1, True),
        ({"kind": "hourly", "minute": 45}, {"type": "loop"}, 5, 5, False),
        ({"kind": "hourly", "minute": 45}, {"type": "loop", "max_executions": 4}, 5, 4, True),
        ({"kind": "hourly", "minute": 45}, {"type": "loop", "max_executions": 5}, 5, 5, True),
        ({"kind": "hourly", "minute": 45}, {"type": "loop", "max_executions": 6}, 5, 5, False),
        ({"kind": "cron", "cron": "0 9 29 2 *"}, {"type": "loop"}, 20, 20, False),
    ],
)
def test_how_many_are_to_come(
    when: dict[str, Any], execution: dict[str, Any], count: int, found: int, *, ends: bool
) -> None:
    outlook = parse_outlook({"schedule": when, "execution": execution, "count": count})
    upcoming = schedule.upcoming(outlook, datetime(2026, 6, 1, tzinfo=UTC), SHANGHAI)
    assert (len(upcoming.moments), upcoming.ends, upcoming.timezone) == (found, ends, SHANGHAI)
    assert all(before < later for before, later in pairwise(upcoming.moments))
    assert {moment.utcoffset() for moment in upcoming.moments} <= {timedelta(hours=8)}


def test_the_day_and_the_hour_are_those_of_the_zone_whatever_zone_the_moment_is_in() -> None:
    task = push_task(SHANGHAI, daily="09:00")
    # 23:30 on 30 June in UTC is 07:30 on 1 July in Shanghai.
    since = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    for zone in ("UTC", SHANGHAI, NEW_YORK):
        first = schedule.first_due(task, since.astimezone(ZoneInfo(zone)))
        assert first == moment(SHANGHAI, "2026-07-02 09:00")
        assert first.tzinfo is UTC


def test_a_schedule_without_time_zone_follows_the_default_one() -> None:
    task = push_task(daily="09:00")
    since = datetime(2026, 7, 1, 5, tzinfo=UTC)
    assert schedule.first_due(task, since) == datetime(2026, 7, 2, 9, tzinfo=UTC)
    assert schedule.first_due(task, since, SHANGHAI) == moment(SHANGHAI, "2026-07-02 09:00")
    plan = schedule.plan(task, since, SHANGHAI)
    assert wall(SHANGHAI, *airflow_runs(plan, since, 2)) == ["2026-07-02 09:00", "2026-07-03 09:00"]


# --- once, and never ----------------------------------------------------------------------------------


def test_now_is_due_at_once_and_only_once() -> None:
    since = datetime(2026, 7, 1, 5, 25, 7, 123456, tzinfo=UTC)
    task = push_task(kind="now")
    assert airflow_runs(schedule.plan(task, since), since, 3) == due_times(task, since, 3) == [since]
    assert schedule.next_due(task, since, since) is None


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        (None, "2026-07-01T09:00:30+08:00", "2026-07-01T01:00:30"),
        (None, "2026-07-01T01:00:30Z", "2026-07-01T01:00:30"),
        (None, "2026-07-01T01:00:30", "2026-07-01T01:00:30"),
        (SHANGHAI, "2026-07-01T09:00:30", "2026-07-01T01:00:30"),
        (SHANGHAI, "2026-07-01T09:00:30-04:00", "2026-07-01T13:00:30"),
        ("Asia/Kathmandu", "2026-07-01 09:00:00.25", "2026-07-01T03:15:00.250000"),
        (NEW_YORK, "2026-11-01T01:30:00", "2026-11-01T06:30:00"),
        (NEW_YORK, "2026-11-01T01:30:00-04:00", "2026-11-01T05:30:00"),
        (NEW_YORK, "2026-03-08T02:30:00", "2026-03-08T07:30:00"),
    ],
)
def test_at_is_due_once_at_that_moment(zone: str | None, at: str, expected: str) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    task = push_task(zone, at=at)
    due = datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert airflow_runs(schedule.plan(task, since), since, 3) == due_times(task, since, 3) == [due]


def test_a_naive_at_is_on_the_default_clock() -> None:
    task = push_task(at="2026-07-01T09:00:00")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert schedule.first_due(task, since, SHANGHAI) == moment(SHANGHAI, "2026-07-01 09:00")


def test_manual_is_never_due() -> None:
    task, since = push_task(kind="manual"), datetime(2026, 7, 1, tzinfo=UTC)
    assert schedule.plan(task, since) == Plan(None, None, catchup=False)
    assert schedule.first_due(task, since) is None
    assert schedule.next_due(task, since, since) is None
    schedule.check_new(task, since)


@pytest.mark.parametrize("cron", ["0 9 30 2 *", "0 9 31 4,6,9,11 *", "*/5 * 31 2 *"])
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK])
def test_a_cron_that_never_matches_is_refused(cron: str, zone: str) -> None:
    task, now = push_task(zone, cron=cron), datetime(2026, 7, 1, tzinfo=UTC)
    with pytest.raises(InvalidTask) as refused:
        schedule.check_new(task, now)
    [error] = refused.value.errors
    assert error.field == "schedule.cron"
    assert error.message == f"'{cron}' never matches (like 30 February); choose days that exist"
    # One that got past the check, as the calendar's rules may change, harms nobody.
    assert schedule.plan(task, now) == Plan(None, None, catchup=False)
    assert schedule.next_due(task, now, now) is None


@pytest.mark.parametrize(
    ("zone", "at", "now", "passed"),
    [
        ("UTC", "2026-07-01T09:00:00Z", "2026-07-01 08:59:59.999999", None),
        ("UTC", "2026-07-01T09:00:00Z", "2026-07-01 09:00", "2026-07-01T09:00:00Z"),
        (SHANGHAI, "2026-07-01T09:00:00", "2026-07-01 08:59", None),
        (SHANGHAI, "2026-07-01T09:00:00", "2026-07-01 09:01", "2026-07-01T01:00:00Z"),
    ],
)
def test_at_in_the_past_is_refused(zone: str, at: str, now: str, passed: str | None) -> None:
    task = push_task(zone, at=at)
    if passed is None:
        schedule.check_new(task, moment(zone, now))
        return
    with pytest.raises(InvalidTask) as refused:
        schedule.check_new(task, moment(zone, now))
    [error] = refused.value.errors
    assert error.field == "schedule.at"
    assert error.message == f"{passed} has passed; give a later moment, or schedule kind 'now' to send at once"


@pytest.mark.parametrize("when", [{"kind": "now"}, {"hourly": 5}, {"daily": "09:00"}, {"cron": "0 9 29 2 *"}])
def test_what_can_fire_is_not_refused(when: dict[str, Any]) -> None:
    schedule.check_new(push_task(**when), datetime(2026, 7, 1, tzinfo=UTC))


# --- Airflow around it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "when", "summary", "missed"),
    [
        (SHANGHAI, {"hourly": 45}, "45 * * * *", "skip"),
        (NEW_YORK, {"daily": "09:05"}, "5 9 * * *", "latest"),
        (NEW_YORK, {"cron": "0 * * * mon"}, "0 * * * mon", "all"),
        (None, {"at": "2026-07-03T09:00:00.5Z"}, "@once", "all"),
        (None, {"kind": "now"}, "@once", "all"),
        (None, {"kind": "manual"}, "None", "all"),
    ],
)
def test_a_dag_keeps_the_plan_through_serialisation(
    zone: str | None, when: dict[str, Any], summary: str, missed: str
) -> None:
    task = push_task(zone, **when, missed=missed)
    since = datetime(2026, 7, 1, 5, 25, 7, 123456, tzinfo=UTC)
    plan = schedule.plan(task, since)
    with DAG("t", schedule=plan.schedule, start_date=plan.start_date, catchup=plan.catchup) as dag:
        BaseOperator(task_id="send")
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.timetable.summary == summary
    with airflows_clock(since):
        info = stored.next_dagrun_info(last_automated_run_info=None)
    assert (info and info.run_after) == schedule.first_due(task, since)


# --- what passed while nothing ran ----------------------------------------------------------------------


def runs_after_outage(task: PushTask, since: datetime, down: datetime, up: datetime) -> list[tuple[datetime, datetime]]:
    """The runs, each with the time it begins, of a scheduler that stands still between ``down`` and ``up``.

    Like Airflow's, it notes the next time when it has made a run, and when it is back makes that one first.
    """
    plan = schedule.plan(task, since)
    made: list[tuple[datetime, datetime]] = []
    now, noted = since, airflow_next(plan, None, since)
    while noted is not None and noted < moment(SHANGHAI, "2026-07-01 14:00"):
        now = max(now, noted) + timedelta(seconds=1)
        if down < now < up:
            now = up
        made.append((noted, now))
        noted = airflow_next(plan, noted, now)
    return made


@pytest.mark.parametrize(
    ("missed", "sent"),
    [
        ("skip", ["06:45", "07:45", "12:45", "13:45"]),
        ("latest", ["06:45", "07:45", "11:45", "12:45", "13:45"]),
        ("all", ["06:45", "07:45", "08:45", "09:45", "10:45", "11:45", "12:45", "13:45"]),
    ],
)
def test_what_is_sent_after_an_outage(missed: str, sent: list[str]) -> None:
    task = push_task(SHANGHAI, hourly=45, missed=missed)
    since, down, up = (moment(SHANGHAI, f"2026-07-01 {t}") for t in ("05:25", "08:00", "12:10"))
    made = runs_after_outage(task, since, down, up)
    begun = [
        due
        for due, began in made
        if not schedule.is_missed(task, due, began, GRACE)
        and not schedule.is_superseded(task, since, due, began, GRACE)
    ]
    assert [text[-5:] for text in wall(SHANGHAI, *begun)] == sent


@pytest.mark.parametrize("missed", ["skip", "latest", "all"])
def test_an_outage_shorter_than_the_grace_loses_nothing(missed: str) -> None:
    task = push_task(SHANGHAI, hourly=45, missed=missed)
    since, down, up = (moment(SHANGHAI, f"2026-07-01 {t}") for t in ("05:25", "08:44", "08:49"))
    made = runs_after_outage(task, since, down, up)
    assert [text[-5:] for text in wall(SHANGHAI, *(due for due, _ in made))] == [
        f"{hour:02d}:45" for hour in range(6, 14)
    ]
    for due, began in made:
        assert not schedule.is_missed(task, due, began, GRACE)
        assert not schedule.is_superseded(task, since, due, began, GRACE)


@pytest.mark.parametrize(
    ("when", "missed", "late", "busy", "expected"),
    [
        ({"hourly": 45}, None, GRACE, False, False),
        ({"hourly": 45}, None, GRACE + timedelta(microseconds=1), False, True),
        ({"hourly": 45}, None, timedelta(hours=3), True, False),
        ({"hourly": 45}, "latest", timedelta(hours=3), False, False),
        ({"hourly": 45}, "all", timedelta(hours=3), False, False),
        # Due at one moment: late rather than never, unless the task says otherwise.
        ({"kind": "now"}, None, timedelta(hours=3), False, False),
        ({"at": "2026-07-01T09:00:00Z"}, None, timedelta(days=3), False, False),
        ({"at": "2026-07-01T09:00:00Z"}, "skip", timedelta(days=3), False, True),
    ],
)
def test_missed(when: dict[str, Any], missed: str | None, late: timedelta, busy: bool, expected: bool) -> None:
    task = push_task(**when, missed=missed)
    due = datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert schedule.is_missed(task, due, due + late, GRACE, busy=busy) is expected


@pytest.mark.parametrize(
    ("when", "missed", "began", "busy", "expected"),
    [
        ({"hourly": 45}, "latest", "08:45", False, True),
        ({"hourly": 45}, "latest", "08:44:59", False, False),
        ({"hourly": 45}, "latest", "10:00", True, False),
        ({"hourly": 45}, "skip", "10:00", False, False),
        ({"hourly": 45}, "all", "10:00", False, False),
        ({"cron": "* * * * *"}, "latest", "07:49", False, False),
        ({"cron": "* * * * *"}, "latest", "07:51", False, True),
        ({"at": "2026-07-01T07:45:00"}, "latest", "10:00", False, False),
    ],
)
def test_superseded(when: dict[str, Any], missed: str, began: str, busy: bool, expected: bool) -> None:
    task = push_task(SHANGHAI, **when, missed=missed)
    since, due = moment(SHANGHAI, "2026-07-01 05:25"), moment(SHANGHAI, "2026-07-01 07:45")
    late = moment(SHANGHAI, f"2026-07-01 {began}")
    assert schedule.is_superseded(task, since, due, late, GRACE, busy=busy) is expected


@pytest.mark.parametrize("missed", ["skip", "all"])
@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"hourly": 45}, ["2026-07-01 21:45", "2026-07-01 22:45"]),
        ({"cron": "0 0 * * *"}, ["2026-07-02 00:00", "2026-07-03 00:00"]),
        ({"at": "2026-07-03T08:00:00"}, ["2026-07-03 08:00"]),
        ({"kind": "now"}, ["2026-07-01 20:10"]),
    ],
    ids=str,
)
def test_after_a_change_of_schedule_only_the_new_times_are_due(
    when: dict[str, Any], expected: list[str], missed: str
) -> None:
    """Daily 09:00 ran, and at 20:10 becomes another schedule."""
    task = push_task(None if when == {"kind": "now"} else SHANGHAI, **when, missed=missed)
    since, last = moment(SHANGHAI, "2026-07-01 20:10"), moment(SHANGHAI, "2026-07-01 09:00")
    plan = schedule.plan(task, since)
    made: list[datetime] = []
    while len(made) < 2 and (run := airflow_next(plan, made[-1] if made else last, since)) is not None:
        made.append(run)
    assert wall(SHANGHAI, *made) == expected


def test_a_run_of_the_former_schedule_is_before_first() -> None:
    """Airflow may make one until it has read the DAG anew."""
    since, first = moment(SHANGHAI, "2026-07-01 20:10"), moment(SHANGHAI, "2026-07-01 21:45")
    task = push_task(SHANGHAI, hourly=45)
    assert schedule.is_before_first(task, since, since)
    assert not schedule.is_before_first(task, since, first)


def test_every_scheduled_run_of_a_task_that_became_manual_is_before_first() -> None:
    since = datetime(2026, 7, 1, tzinfo=UTC)
    assert schedule.is_before_first(push_task(kind="manual"), since, since)


# --- any schedule, zone and moment ----------------------------------------------------------------------

ZONES = st.sampled_from(
    [
        "UTC",
        SHANGHAI,
        NEW_YORK,
        BERLIN,
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Pacific/Chatham",
        "Africa/Cairo",
        "America/Nuuk",
        "America/St_Johns",
        "America/Havana",
        "America/Santiago",
        "Africa/Casablanca",
        "Antarctica/Troll",
        "Pacific/Kiritimati",
        "Pacific/Apia",
        "Asia/Gaza",
        "Etc/GMT+12",
    ]
)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """Moments of 2026 to 2029, half of them within a day of a change of the zone's clock."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    chosen = start + timedelta(seconds=draw(st.integers(0, 4 * 365 * 86400)), microseconds=draw(st.integers(0, 999999)))
    if draw(st.booleans()):
        tz, step = ZoneInfo(zone), timedelta(days=1)
        for _ in range(400):
            if chosen.astimezone(tz).utcoffset() != (chosen + step).astimezone(tz).utcoffset():
                break
            chosen += step
    return chosen


MINUTES = st.integers(0, 59)
TIMES = st.times().map(lambda t: f"{t:%H:%M}")
CRONS = st.builds(
    lambda *fields: " ".join(fields),
    st.sampled_from(["0", "30", "*/20", "5,35,50", "59"]),
    st.sampled_from(["*", "0", "2", "1-3", "9", "23", "*/6", "0-23", "23,0"]),
    st.sampled_from(["*", "*", "*", "1", "15", "l", "25-31"]),
    st.sampled_from(["*", "*", "3", "10,11"]),
    st.sampled_from(["*", "*", "mon-fri", "sun"]),
)
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.slow
@FEW
@given(st.data())
def test_hourly_in_any_zone(data: st.DataObject) -> None:
    zone, minute = data.draw(ZONES), data.draw(MINUTES)
    since = data.draw(moments(zone))
    task = push_task(zone, hourly=minute, missed=data.draw(st.sampled_from(["skip", "all"])))
    times = due_times(task, since, 30)
    local = since.astimezone(ZoneInfo(zone))
    hour_end = (
        since
        + timedelta(hours=1)
        - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    )
    assert times[0] == hour_end + timedelta(minutes=minute)
    assert all(later - earlier == timedelta(hours=1) for earlier, later in pairwise(times))
    assert {m.astimezone(ZoneInfo(zone)).minute for m in times} == {minute}
    assert airflow_runs(schedule.plan(task, since), since, 30) == times


@FEW
@given(st.data())
def test_daily_in_any_zone(data: st.DataObject) -> None:
    zone, clock = data.draw(ZONES | st.just("Australia/Lord_Howe")), data.draw(TIMES)
    since = data.draw(moments(zone))
    task = push_task(zone, daily=clock, missed=data.draw(st.sampled_from(["skip", "all"])))
    times = due_times(task, since, 6)
    created: date = since.astimezone(ZoneInfo(zone)).date()
    for day, due in enumerate(times, 1):
        meant = datetime.combine(created + timedelta(days=day), time.fromisoformat(clock))
        shown = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        exists = (
            meant.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            == meant
        )
        assert shown == meant if exists else meant < shown <= meant + timedelta(hours=2)
    assert all(earlier < later for earlier, later in pairwise([since, *times]))
    assert airflow_runs(schedule.plan(task, since), since, 6) == times


@pytest.mark.slow
@FEW
@given(st.data())
def test_cron_in_any_zone(data: st.DataObject) -> None:
    zone, cron = data.draw(ZONES), data.draw(CRONS)
    since = data.draw(moments(zone))
    task = push_task(zone, cron=cron, missed=data.draw(st.sampled_from(["skip", "all"])))
    times = due_times(task, since, 8)
    assert all(earlier < later for earlier, later in pairwise([since, *times]))
    assert airflow_runs(schedule.plan(task, since), since, len(times)) == times


@FEW
@given(st.data())
def test_next_due_from_any_moment_is_the_next_of_the_sequence(data: st.DataObject) -> None:
    zone = data.draw(ZONES)
    when = data.draw(
        st.one_of(
            st.builds(lambda m: {"hourly": m}, MINUTES),
            st.builds(lambda t: {"daily": t}, TIMES),
            st.builds(lambda c: {"cron": c}, CRONS),
        )
    )
    since = data.draw(moments(zone))
    task = push_task(zone, **when)
    times = due_times(task, since, 8)
    assume(times)
    after = since + (times[-1] - since) * data.draw(st.floats(0, 0.999))
    assert schedule.next_due(task, since, after) == next(due for due in times if due > after)
