"""Cron expressions, as Airflow's timetables have to be given them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=1024)
def expressions(cron: str) -> Sequence[str]:
    """A cron expression as Airflow is given it, so that it loses no hour of "every hour on some days".

    With ``*`` as hour it adds the time on the clock from one match to the next to the moment of the last run.
    If the clock changes in between, as over a weekend, ``* * * * mon-fri`` begins at 01:00 on Monday or at
    23:00 on Sunday. As two expressions, each with half of the hours, it does not.
    """
    from croniter import croniter

    every_day = all(field == ["*"] for field in croniter(cron).expanded[2:5])
    if not every_hour(cron) or every_day:
        return (cron,)
    minute, _, *rest = cron.split()
    return tuple(" ".join((minute, hours, *rest)) for hours in ("0-11", "12-23"))


@lru_cache(maxsize=1024)
def every_hour(cron: str) -> bool:
    """Whether the expression has ``*`` as hour: Airflow then counts in hours that pass, not by the clock."""
    from croniter import croniter

    return bool(croniter(cron).expanded[1] == ["*"])


def any_day(cron: str) -> str:
    """The expression with ``*`` where it leaves the day to the other field, however that is written: ``?``, ``*,1``.

    croniter, and so Airflow, takes these for the same; cron-descriptor, which describes it to people, does not.
    """
    from croniter import croniter

    fields = cron.split()
    for place in (2, 4):
        if "*" in croniter(cron).expanded[place]:
            fields[place] = "*"
    return " ".join(fields)
