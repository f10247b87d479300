"""The timetable of push DAGs: due at a first moment, then as Airflow's own cron timetables have it.

Airflow's timetables take the first moment from the DAG's start date, and two things come of that. A run that
somebody triggers with a logical date before the start date ends green without having run a task (DagRun
``verify_integrity``), and Airflow's UI gives every run a logical date, cut to the whole minute. And once the
DAG has had a scheduled run, a changed schedule goes on from that run: times before the change are caught up,
and ``@once`` is never due again. Here the first moment is the timetable's own, so that the start date can lie
far in the past, and a run before the first moment is a former schedule's and counts for nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.timetables.trigger import CronTriggerTimetable, MultipleCronTriggerTimetable

from push_provider.cron import any_day, expressions

_DESCRIPTION_LIMIT = 1000
"""Characters that Airflow's table keeps (``DagModel.timetable_description``); more would break the DAG."""


class PushTimetable(Timetable):
    """Due at ``first``, and after it whenever ``cron`` matches.

    :param first: the first moment; nothing is due before it.
    :param cron: a cron expression of five fields; None to be due only once.
    :param timezone: IANA name of the clock that the expression is read by, and that people are shown.
    """

    def __init__(self, first: datetime, cron: str | None, timezone: str) -> None:
        self.first = first.astimezone(UTC)
        self.cron = cron
        self.timezone = timezone
        self.periodic = cron is not None

    @property
    def summary(self) -> str:
        """The cron expression, or ``@once``, as Airflow calls it."""
        return self.cron or "@once"

    @cached_property
    def description(self) -> str:  # type: ignore[override]
        """The schedule in words, for the UI."""
        words, zone = _words(self.cron, self.first.astimezone(ZoneInfo(self.timezone))), f" ({self.timezone})"
        return words[: _DESCRIPTION_LIMIT - len(zone)] + zone

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The run after the last automated one; the parameters are Airflow's.

        The first one is due at the first moment, without ``catchup`` too and though it passed while nothing
        ran: whether it is sent so late is the operator's to say.
        """
        last, (earliest, latest, catchup) = last_automated_data_interval, restriction
        if last is not None and last.end < self.first:
            last = None
        if earliest is not None and earliest <= self.first:
            earliest = None
        if last is None and earliest is None:
            late = latest is not None and latest < self.first
            return None if late else DagRunInfo.exact(pendulum.instance(self.first))
        if self._following is None:
            return None
        return self._following.next_dagrun_info(
            last_automated_data_interval=last, restriction=TimeRestriction(earliest, latest, catchup)
        )

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """A run that somebody triggers stands for its own moment."""
        return DataInterval.exact(run_after)

    def serialize(self) -> dict[str, Any]:
        """What :meth:`deserialize` reads back, as JSON."""
        return {"first": self.first.isoformat(), "cron": self.cron, "timezone": self.timezone}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """The timetable that :meth:`serialize` wrote."""
        return cls(datetime.fromisoformat(data["first"]), data["cron"], data["timezone"])

    def __eq__(self, other: object) -> bool:
        """Whether the other is the same schedule, from the same first moment."""
        if not isinstance(other, PushTimetable):
            return NotImplemented
        return self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.first, self.cron, self.timezone))

    @cached_property
    def _following(self) -> Timetable | None:
        # Built when asked for: Airflow decodes a timetable several times to look at one attribute.
        if self.cron is None:
            return None
        crons = expressions(self.cron)
        if len(crons) == 1:
            return CronTriggerTimetable(crons[0], timezone=self.timezone)
        return MultipleCronTriggerTimetable(*crons, timezone=self.timezone)


class ClosedTimetable(Timetable):
    """Never due: the timetable of a push task that is finished or cancelled.

    Airflow refuses runs by type, and lets a DAG refuse those that people trigger only if it has a schedule. So
    this is one, and it never falls due.
    """

    description = "Closed: finished or cancelled"
    can_be_scheduled = True
    periodic = False

    @property
    def summary(self) -> str:
        """One word, for lists."""
        return "closed"

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,  # noqa: ARG002  (Airflow's signature)
        restriction: TimeRestriction,  # noqa: ARG002
    ) -> DagRunInfo | None:
        """None, whatever the parameters say."""
        return None

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """A run that somebody triggers stands for its own moment."""
        return DataInterval.exact(run_after)

    def __eq__(self, other: object) -> bool:
        """All are the same."""
        return isinstance(other, ClosedTimetable)

    def __hash__(self) -> int:
        return hash(type(self))


def _words(cron: str | None, first: datetime) -> str:
    if cron is None:
        return f"Once, at {first:%Y-%m-%d %H:%M:%S}"
    cron = any_day(cron)
    if found := re.fullmatch(r"(\d+) \* \* \* \*", cron):
        return f"Every hour at minute {found[1]}"
    if found := re.fullmatch(r"(\d+) (\d+) \* \* \*", cron):
        return f"Every day at {int(found[2]):02}:{int(found[1]):02}"
    return CronTriggerTimetable(cron, timezone="UTC").description or cron
