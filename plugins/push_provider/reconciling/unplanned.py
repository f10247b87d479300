"""Runs of push tasks that end before their execution was planned: each becomes a failed execution, with the reason.

A run plans its execution as its task begins. One that is marked or deleted while it waits, or whose process dies at
once, leaves nothing in the ledger. So the API server, which looks at both every few seconds, remembers the runs that
go on, and looks those up in the ledger that go on no more. What it remembers dies with it: when it begins anew, it
looks at what has ended within a day, and at the deletions of that day in Airflow's audit log. Only of a run that was
deleted before anybody had looked at it, with its whole DAG or of a time long past, nothing is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from push_provider.exceptions import UnknownTask
from push_provider.intake.run_facts import facts_of
from push_provider.ledger import planning, run_ids, tasks
from push_provider.metadata import run_ends

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

_AT_FIRST = timedelta(days=1)
"""How long ago a run may have ended that nobody has looked at."""
_OVERLAP = timedelta(minutes=1)
"""The audit log's times are those of several machines, and it knows of a deletion before that is done."""
_AT_ONCE = 500


class Unplanned:
    """One look at each call.

    A look with nothing new is four queries by index: 5 ms of computing, beside 100,000 push tasks with a million runs.
    What is asked of the ledger goes by the runs that have ended since the last one. The first one reads them all: with
    100,000 that have ended within a day it took 3 s.

    :param sessions: opens a session on Airflow's database, committed at its end.
    :param now: tells the time, which that of Airflow's audit log is compared with.
    """

    def __init__(
        self,
        sessions: Callable[[], AbstractContextManager[Session]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sessions = sessions
        self._now = now
        self._watched: dict[int, run_ends.Run] = {}
        self._alive: set[int] = set()
        self._newest: tuple[int, int] | None = None
        """The highest id of a run at the look before the last, and at the last. A run may come to be seen after others
        that were made after it: those of one look before are looked at again."""
        self._deletions_from: datetime | None = None

    def __call__(self, engine: Engine) -> None:
        """Put those runs on record that have ended, or are gone, and of which nothing was planned."""
        now = self._now()
        alive, deleted = self._look(now)
        ended = [run for key, run in self._watched.items() if key not in alive]
        for some in _parts(ended):
            self._record(engine, some)
            for run in some:  # and not before: what cannot be put on record now is so at the next look
                del self._watched[run.id]
        for some in _parts(deleted):
            self._record(engine, some)
        self._deletions_from = now - _OVERLAP

    def _look(self, now: datetime) -> tuple[set[int], list[run_ends.Run]]:
        """The runs that go on, and those that were deleted; all that are not known yet are watched from now on."""
        with self._sessions() as session:
            newest = run_ends.newest(session)
            alive = run_ends.alive(session)
            if self._newest is None:
                found = run_ends.since(session, now - _AT_FIRST)
            else:
                found = run_ends.beyond(session, self._newest[0], alive - self._alive)
            deleted = run_ends.deleted_undone(session, self._deletions_from or now - _AT_FIRST)
        self._newest, self._alive = (self._newest[1] if self._newest else newest, newest), alive
        self._watched |= {run.id: run for run in found}
        return alive, deleted

    def _record(self, engine: Engine, some: Sequence[run_ends.Run]) -> None:
        lacking = run_ids.without_execution(engine, [(run.code, run.run_id, run.run_after) for run in some])
        rest = [run for run in some if (run.code, run.run_id, run.run_after) in lacking]
        if not rest:
            return
        with self._sessions() as session:
            states = run_ends.states_of(session, rest)
            well = run_ends.did_their_part(session, states)
            why = {
                run: run_ends.why_unplanned(session, run, state)
                for run in rest
                # One that somebody has cleared meanwhile goes on, and one that is only to be deleted is watched.
                if (state := states.get(run)) is None
                or (run.id and state not in run_ends.ALIVE and (run.code, run.run_id) not in well)
            }
        for run, error in why.items():
            if _refuse(engine, run, error, gone=run not in states):
                log.warning("Run %s of push task %s is a failed execution: %s", run.run_id, run.code, error)


def _refuse(engine: Engine, run: run_ends.Run, error: str, *, gone: bool) -> bool:
    """Put a run on record; False if its push task is closed or gone, of which no execution would have begun.

    :param gone: it is not in Airflow any more, as those of a push task that was deleted are: another one of its code
        has nothing to do with what was before it.
    """
    try:
        task = tasks.get(engine, run.code)
        if not task.open or (gone and run.since < task.created_at):
            return False
        planning.refuse(engine, run.code, error=error, **facts_of(run))
    except UnknownTask:
        return False
    return True


def _parts(runs: Sequence[run_ends.Run]) -> list[Sequence[run_ends.Run]]:
    return [runs[at : at + _AT_ONCE] for at in range(0, len(runs), _AT_ONCE)]
