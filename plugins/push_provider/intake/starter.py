"""Begins executions: plans them in the ledger, then makes their DAG runs.

A process may die between the two. The execution then waits in the ledger without a run; the same request with the
same idempotency key makes the run that is missing, and so does :func:`make_waiting`, which is called from time
to time. The run's id follows from the execution's, so nobody can make a second one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from push_provider.contract import run_id_of
from push_provider.exceptions import DagNotReady, RunRefused, TaskClosed
from push_provider.ledger import answers, closing, executions, planning, plans, tasks
from push_provider.ledger.engine import transaction
from push_provider.rendering import freeze
from push_provider.unforeseen import Unforeseen, concerns_all, last_line

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.contract import Trigger
    from push_provider.ledger.executions import Waiting

log = logging.getLogger(__name__)
_unforeseen = Unforeseen(log)


class Runs(Protocol):
    """How DAG runs of push tasks are made, where this process is."""

    def check(self, code: str) -> None:
        """Make sure that a run of a push task would begin.

        :raises DagNotReady: Airflow does not know its DAG yet.
        :raises TaskPaused: its DAG is paused.
        """

    def make(self, code: str, run_id: str, execution: int, user: str | None) -> None:
        """Make the run of an execution that was planned, unless it is there.

        :param user: the name of who began it.
        :raises DagNotReady: Airflow makes none just now.
        :raises RunRefused: Airflow refuses it, and would refuse it for ever.
        """


class Started(NamedTuple):
    """An execution that has begun.

    :param new: False if the same request began it before.
    """

    execution: int
    number: int
    recipients: int
    run_id: str
    new: bool


class Made(NamedTuple):
    """What became of executions that waited for their DAG run.

    :param runs: the executions whose run was made.
    :param waiting: how many still wait.
    """

    runs: list[Waiting]
    waiting: int


class Starter(NamedTuple):
    """Who begins executions, and by what means.

    :param engine: the ledger's.
    :param runs: makes the DAG runs; None where Airflow cannot be asked for one, and the API server makes them.
    :param source: of the executions: ``rest``, ``cli``, ``kafka`` or ``dag``.
    :param user: the name of who begins them.
    """

    engine: Engine
    runs: Runs | None
    source: str
    user: str | None = None

    def begin(self, code: str, trigger: Trigger, *, key: str | None = None) -> Started:
        """Begin an execution of a push task: :meth:`plan` it, and make its run.

        Once it is planned it has begun: a run that cannot be made just now is made by :func:`make_waiting`.

        :raises RunRefused: Airflow refuses the run; the execution has failed.
        :raises PushError: what :meth:`plan` raises; nothing has begun.
        """
        started = self.plan(code, trigger, key=key)
        try:
            self.ensure_run(code, started)
        except Exception as error:
            if not concerns_all(error):
                raise
            note_waiting(code, started, error)
        return started

    def plan(self, code: str, trigger: Trigger, *, key: str | None = None, ask: answers.Ask | None = None) -> Started:
        """Plan an execution of a push task, whose run is still to be made.

        :param key: the same key again begins no second execution of this task.
        :param ask: the request, if it may be repeated: it then gets the first answer again.
        :raises DagNotReady: Airflow does not know the task's DAG yet; nothing has begun.
        :raises TaskPaused: the DAG is paused; nothing has begun.
        :raises TaskClosed: the task takes no execution any more.
        :raises PushError: what :func:`planning.plan` and :func:`answers.reserve` raise.
        """
        started = self._again(ask) if ask else None
        if started is None:
            if self.runs and not (key and plans.has_key(self.engine, code, key)):
                self._check(self.runs, code)
            started = self._plan(code, trigger, key, ask)
        return started

    def ensure_run(self, code: str, started: Started) -> None:
        """Make the DAG run of an execution that has begun, unless it has been made.

        :raises DagNotReady: Airflow makes none just now.
        :raises RunRefused: Airflow refuses the run; the execution has failed.
        """
        if self.runs and (started.new or executions.bound_run(self.engine, started.execution) is None):
            _make_run(self.engine, self.runs, code, started.execution, started.run_id, self.user)

    def _check(self, runs: Runs, code: str) -> None:
        try:
            runs.check(code)
        except DagNotReady:
            row = tasks.get(self.engine, code)
            if not row.open:  # it may have been cancelled before it was a DAG, and its DAG has left Airflow since
                raise TaskClosed(row.why_closed()) from None
            raise

    def _again(self, ask: answers.Ask) -> Started | None:
        with transaction(self.engine) as connection:
            answer = answers.find(connection, ask)
        return _started(answer) if answer else None

    def _plan(self, code: str, trigger: Trigger, key: str | None, ask: answers.Ask | None) -> Started:
        with transaction(self.engine) as connection:
            answer = answers.reserve(connection, ask) if ask else None
            if answer:
                return _started(answer)
            begun = planning.begin_within(
                connection,
                code,
                source=self.source,
                freeze=freeze,
                trigger=trigger,
                key=key,
                triggered_by=self.user,
            )
            started = Started(begun.id, begun.number, begun.total, run_id_of(self.source, begun.id), begun.new)
            if ask:
                answers.keep(connection, ask, _answer(code, started))
            return started


def make_waiting(
    engine: Engine,
    runs: Runs,
    sources: Collection[str],
    *,
    codes: Collection[str] | None = None,
    age: timedelta | None = None,
    limit: int | None = None,
    first: Callable[[str], bool] | None = None,
) -> Made:
    """Make the runs of executions of these sources that have none, oldest first.

    A process that dies between making a run and noting it makes it again, and Airflow says that it is there.

    :param codes: only of executions of these push tasks.
    :param age: only of executions that have waited for so long.
    :param limit: of at most so many.
    :param first: where several processes do this at once: with which push tasks this one begins. What another has made
        meanwhile it leaves out, rather than have Airflow say so.
    """
    made: list[Waiting] = []
    waiting = 0
    not_now: set[str] = set()
    found = executions.waiting(engine, sources=sources, codes=codes, age=age, limit=limit)
    if first is not None:  # in the order of their ids, still, within each push task
        found.sort(key=lambda one: not first(one.task_code))
    for one in found:
        if first is not None and executions.bound_run(engine, one.id) is not None:
            continue
        if one.task_code in not_now:  # it would hear the same as the other of its DAG
            waiting += 1
            continue
        try:
            _make_run(engine, runs, one.task_code, one.id, run_id_of(one.source, one.id), one.triggered_by)
        except RunRefused as error:
            log.error("Execution %s of push task %s gets no DAG run: %s", one.id, one.task_code, error)
        except Exception as error:  # noqa: BLE001  (what is not this run's alone is raised again)
            log.info(_WAITS, one.id, one.task_code, _why_waiting(error, one.id))
            not_now.add(one.task_code)
            waiting += 1
        else:
            made.append(one)
    return Made(made, waiting)


def note_waiting(code: str, started: Started, error: Exception) -> None:
    """Log that an execution has begun and its run could not be made yet."""
    log.warning(_WAITS, started.execution, code, error if isinstance(error, DagNotReady) else last_line(error))


_WAITS = "Execution %s of push task %s waits for its DAG run: %s"


def _why_waiting(error: Exception, execution: int) -> str:
    if isinstance(error, DagNotReady):
        return str(error)
    if concerns_all(error):
        raise error
    return _unforeseen.told(error, f"The DAG run of execution {execution}")


def _make_run(engine: Engine, runs: Runs, code: str, execution: int, run_id: str, user: str | None) -> None:
    try:
        runs.make(code, run_id, execution, user)
    except RunRefused as error:
        closing.finish(engine, execution, final=True, error=f"No DAG run could be made: {error}")
        raise
    executions.note_run(engine, execution, run_id)


def _answer(code: str, started: Started) -> dict[str, Any]:
    answer = {"task": code, **started._asdict()}
    del answer["new"]
    return answer


def _started(answer: Mapping[str, Any]) -> Started:
    return Started(**{name: answer[name] for name in Started._fields if name != "new"}, new=False)
