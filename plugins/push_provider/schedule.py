"""When a push task is due: the first time, the times that follow, and which of them are sent late.

The rule, for tasks that run once and for loops alike: a schedule begins with its *next* period. Created at
5:25, minute 45 of every hour is first due at 6:45; created at 05:25 on 1 July, daily 09:00 is first due on
2 July. :mod:`push_provider.timetable` says it to Airflow, and leaves the times that follow to Airflow's own
cron timetables; what is reckoned here agrees with them.

When clocks change, in the schedule's time zone:

- hourly: every hour that passes, the one that the clock shows twice included;
- daily and cron: a time that the clock skips falls due as much later as the clock was moved (02:30 at 03:30),
  a time that it shows twice falls due the second time, so every day has its message, and one only;
- cron with ``*`` as hour: like hourly if it holds on every day, else like cron;
- hourly where clocks move by less than an hour (Australia/Lord_Howe): on the day of the change the first
  execution after it keeps the distance of an hour, and the next is at the minute again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from push_provider.contract import At, Cron, Daily, Hourly, Now, Outlook, PushTask, Schedule
from push_provider.cron import every_hour, expressions
from push_provider.exceptions import FieldError, InvalidTask

if TYPE_CHECKING:
    from push_provider.timetable import PushTimetable

_LARGEST_SHIFT = timedelta(hours=3)
"""No clock is moved by more (Antarctica/Troll: two hours)."""
_START_DATE = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any moment that somebody may trigger a run for; Airflow demands one where it is to catch up."""


class Scheduled(Protocol):
    """Whatever has a schedule."""

    @property
    def schedule(self) -> Schedule:
        """When it is due."""


class Standing(Protocol):
    """Where a push task stands, as the ledger's rows say."""

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""

    @property
    def executions(self) -> int:
        """How many have begun."""

    @property
    def schedule_since(self) -> datetime:
        """When the schedule came into force."""


class Upcoming(NamedTuple):
    """The next times at which a schedule is due.

    :param moments: on the schedule's clock.
    :param timezone: that clock.
    :param ends: whether none follows.
    """

    moments: Sequence[datetime]
    timezone: str
    ends: bool


class Plan(NamedTuple):
    """What a DAG needs to fall due when its push task does.

    :param schedule: the timetable; None for a task that only runs when triggered.
    :param start_date: long past, for a run that is triggered with an earlier logical date does nothing in
        Airflow; None for no timetable.
    :param catchup: whether Airflow makes a run for every time that passed, or for the latest only.
    """

    schedule: PushTimetable | None
    start_date: datetime | None
    catchup: bool


def plan(task: PushTask, since: datetime, default_timezone: str = "UTC") -> Plan:
    """The timetable and start date of a push task's DAG.

    :param since: when the schedule came into force: the task was created, or its schedule last changed.
    :param default_timezone: the clock of a schedule that names none.
    """
    first = first_due(task, since, default_timezone)
    if first is None:
        return Plan(None, None, catchup=False)
    # Imported here, as croniter below: the command line and the API build no DAGs.
    from push_provider.timetable import PushTimetable

    timetable = PushTimetable(first, _cron(task), clock_of(task, default_timezone).key)
    return Plan(timetable, _START_DATE, catchup=task.missed_policy == "all")


def first_due(task: Scheduled, since: datetime, default_timezone: str = "UTC") -> datetime | None:
    """When the first execution is due, in UTC.

    :returns: None for a task that only runs when triggered, and for a cron expression that never matches.
    """
    schedule, zone, since = task.schedule, clock_of(task, default_timezone), since.astimezone(UTC)
    if isinstance(schedule, Now):
        return since
    if isinstance(schedule, At):
        return _instant(schedule.at, zone) if schedule.at.tzinfo is None else schedule.at.astimezone(UTC)
    if isinstance(schedule, Hourly):
        local = since.astimezone(zone)
        passed = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        # A second less, because what follows looks for a time after the one given.
        since = since - passed + timedelta(hours=1) - timedelta(seconds=1)
    elif isinstance(schedule, Daily):
        hour, minute = map(int, schedule.time.split(":"))
        tomorrow = since.astimezone(zone).replace(tzinfo=None) + timedelta(days=1)
        return _instant(tomorrow.replace(hour=hour, minute=minute, second=0, microsecond=0), zone)
    return _following(_cron(task), zone, since)


def next_due(task: Scheduled, since: datetime, after: datetime, default_timezone: str = "UTC") -> datetime | None:
    """The first time strictly after ``after`` at which the schedule is due, in UTC; None if there is none.

    How many executions the task may have is not looked at.
    """
    first = first_due(task, since, default_timezone)
    if first is None or after < first:
        return first
    return _following(_cron(task), clock_of(task, default_timezone), after.astimezone(UTC))


def upcoming(outlook: Outlook, now: datetime, default_timezone: str = "UTC") -> Upcoming:
    """When a push task with this schedule would be due if it were created now.

    :raises InvalidTask: it never would, as for :func:`check_new`.
    """
    check_new(outlook, now, default_timezone)
    zone, limit = clock_of(outlook, default_timezone), outlook.execution.limit
    wanted = outlook.count + 1  # the one more tells whether any follows
    due = list(islice(_times(outlook, now, default_timezone), wanted if limit is None else min(wanted, limit)))
    moments = [moment.astimezone(zone) for moment in due[: outlook.count]]
    return Upcoming(moments, zone.key, ends=len(due) <= outlook.count)


def next_execution(
    task: Scheduled, standing: Standing, now: datetime, default_timezone: str = "UTC"
) -> datetime | None:
    """When the next execution of a push task begins by itself, in UTC.

    :returns: None if it only runs when triggered, or not any more.
    """
    if not standing.open:
        return None
    if isinstance(task.schedule, Now):
        return None if standing.executions else now
    return next_due(task, standing.schedule_since, now, default_timezone)


def check_new(task: Scheduled, now: datetime, default_timezone: str = "UTC") -> None:
    """Refuse a schedule that will never be due; asked when a task is created or its schedule changes.

    :raises InvalidTask: ``at`` has passed, or the cron expression never matches.
    """
    first = first_due(task, now, default_timezone)
    if isinstance(task.schedule, At) and first is not None and first <= now:
        moment = first.isoformat().replace("+00:00", "Z")
        message = f"{moment} has passed; give a later moment, or schedule kind 'now' to send at once"
        raise InvalidTask([FieldError("schedule.at", message)])
    if isinstance(task.schedule, Cron) and first is None:
        message = f"{task.schedule.cron!r} never matches (like 30 February); choose days that exist"
        raise InvalidTask([FieldError("schedule.cron", message)])


def is_before_first(task: PushTask, since: datetime, scheduled_for: datetime, default_timezone: str = "UTC") -> bool:
    """Whether a time that Airflow made a run for lies before the schedule's first, and must not be sent.

    It happens after a change of schedule: a run of the old one was made just before Airflow knew the new one.
    """
    first = first_due(task, since, default_timezone)
    return first is None or scheduled_for < first


def is_missed(
    task: PushTask, scheduled_for: datetime, began: datetime, grace: timedelta, *, busy: bool = False
) -> bool:
    """Whether a scheduled run begins so late that a task with ``missed: skip`` leaves it out.

    :param scheduled_for: when it was due.
    :param began: when it could begin.
    :param grace: how late a run may begin and still be in time.
    :param busy: an earlier execution of the task was under way when it was due: it waited, and is not missed.
    """
    return task.missed_policy == "skip" and not busy and began - scheduled_for > grace


def is_superseded(
    task: PushTask,
    since: datetime,
    scheduled_for: datetime,
    began: datetime,
    grace: timedelta,
    default_timezone: str = "UTC",
    *,
    busy: bool = False,
) -> bool:
    """Whether a late run of a task with ``missed: latest`` is not the latest any more.

    The scheduler notes the next time in advance. After an outage it first makes the run it had noted, the
    oldest one missed, and only then the latest.

    The parameters are those of :func:`is_missed` and :func:`plan`.
    """
    if task.missed_policy != "latest" or busy or began - scheduled_for <= grace:
        return False
    later = next_due(task, since, scheduled_for, default_timezone)
    return later is not None and later <= began


def _times(task: Scheduled, since: datetime, default_timezone: str) -> Iterator[datetime]:
    cron, zone = _cron(task), clock_of(task, default_timezone)
    due = first_due(task, since, default_timezone)
    while due is not None:
        yield due
        due = _following(cron, zone, due)


def clock_of(task: Scheduled, default_timezone: str = "UTC") -> ZoneInfo:
    """The clock that a push task's times are read by."""
    return ZoneInfo(getattr(task.schedule, "timezone", None) or default_timezone)


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which a clock shows ``wall``; where it never or twice does so, as Airflow has it."""
    # A clock put back shows it twice: fold 1 is the later moment. A clock put forward skips it: fold 0 counts
    # from before the change, which is later too.
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _cron(task: Scheduled) -> str | None:
    """The schedule as a cron expression; None for a task that is due only once, or never."""
    schedule = task.schedule
    if isinstance(schedule, Hourly):
        return f"{schedule.minute} * * * *"
    if isinstance(schedule, Daily):
        hour, minute = map(int, schedule.time.split(":"))
        return f"{minute} {hour} * * *"
    return schedule.cron if isinstance(schedule, Cron) else None


def _following(cron: str | None, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first time after ``after`` at which Airflow's cron timetables make a run."""
    crons = expressions(cron) if cron else ()
    found = [moment for half in crons if (moment := _match(half, zone, after)) is not None]
    return min(found, default=None)


def _match(cron: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    from croniter import CroniterBadDateError

    try:
        if every_hour(cron) or not _clock_changes_near(zone, after):
            return _step(cron, zone, after)
        # A time that the clock shows earlier may fall due later: begin well before, and go on run by run.
        moment = after - _LARGEST_SHIFT
        while moment <= after:
            moment = _step(cron, zone, moment)
    except CroniterBadDateError:
        return None
    return moment


def _step(cron: str, zone: ZoneInfo, moment: datetime) -> datetime:
    """The run after a run as Airflow reckons it: from what the clock shows at the run.

    :raises CroniterBadDateError: there is none within 50 years.
    """
    from croniter import croniter

    wall = moment.astimezone(zone).replace(tzinfo=None)
    found = croniter(cron, wall).get_next(datetime)
    return moment + (found - wall) if every_hour(cron) else _instant(found, zone)


def _clock_changes_near(zone: ZoneInfo, moment: datetime) -> bool:
    before, behind = moment - _LARGEST_SHIFT, moment + _LARGEST_SHIFT
    return before.astimezone(zone).utcoffset() != behind.astimezone(zone).utcoffset()
