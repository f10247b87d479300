"""Begin executions: plan in the ledger, then make the DAG run; for the REST API and the command line.

A process may die between the two. The execution then waits in the ledger without a run; the same request with the
same idempotency key makes the run that is missing, and so does :func:`make_missing_runs`, which the API server calls
from time to time. The run's id follows from the execution's, so nobody can make a second one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.exc import IntegrityError

from push_provider.content import freeze
from push_provider.contract import run_id_of
from push_provider.exceptions import DagNotReady
from push_provider.ledger import answers, executions, messages
from push_provider.ledger.engine import transaction
from push_provider.metadata import runs
from push_provider.unforeseen import concerns_all, last_line, traceback_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.models.dagbag import DBDagBag
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from push_provider.contract import Trigger

log = logging.getLogger(__name__)

SOURCES = ("rest", "cli", "dag")
"""The sources of executions whose runs are made here; those of tasks only where they could not be made there."""
_ABANDONED = timedelta(seconds=30)
"""After which nobody can be about to make a run any more."""
_AT_ONCE = 100


class Started(NamedTuple):
    """An execution that has begun.

    :param new: False if the same request began it before.
    """

    execution: int
    number: int
    recipients: int
    run_id: str
    new: bool


class Starter(NamedTuple):
    """Who begins executions, and by what means.

    :param engine: the ledger's.
    :param sessions: opens a session on Airflow's database, which is committed at its end.
    :param dag_bag: Airflow's DAGs.
    :param source: ``rest`` or ``cli``.
    :param triggered_by: what Airflow shows as the trigger.
    :param user: the name of who triggers.
    """

    engine: Engine
    sessions: Callable[[], AbstractContextManager[Session]]
    dag_bag: DBDagBag
    source: str
    triggered_by: DagRunTriggeredByType
    user: str | None

    def begin(self, code: str, trigger: Trigger, *, key: str | None = None, ask: answers.Ask | None = None) -> Started:
        """Begin an execution of a push task: :meth:`plan` it, and make its run.

        Once it is planned it has begun: a run that cannot be made just now is made by :func:`make_missing_runs`.

        :raises ValueError: Airflow refuses the run; the execution has failed.
        :raises PushError: what :meth:`plan` raises; nothing has begun.
        """
        started = self.plan(code, trigger, key=key, ask=ask)
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
        :raises PushError: what :func:`executions.plan` and :func:`answers.reserve` raise.
        """
        started = self._again(ask) if ask else None
        if started is None:
            with self.sessions() as session:
                runs.check_ready(session, code)
            started = self._plan(code, trigger, key, ask)
        return started

    def ensure_run(self, code: str, started: Started) -> None:
        """Make the DAG run of an execution that has begun, unless it has been made.

        :raises DagNotReady: Airflow does not know the DAG just now.
        :raises ValueError: Airflow refuses the run; the execution has failed.
        """
        if started.new or executions.bound_run(self.engine, started.execution) is None:
            self.make_run(code, started.execution, started.run_id)

    def _again(self, ask: answers.Ask) -> Started | None:
        with transaction(self.engine) as connection:
            answer = answers.find(connection, ask)
        return _started(answer) if answer else None

    def _plan(self, code: str, trigger: Trigger, key: str | None, ask: answers.Ask | None) -> Started:
        with transaction(self.engine) as connection:
            answer = answers.reserve(connection, ask) if ask else None
            if answer:
                return _started(answer)
            plan = executions.plan_within(
                connection,
                code,
                source=self.source,
                freeze=freeze,
                trigger=trigger,
                key=key,
                triggered_by=self.user,
            )
            started = Started(plan.id, plan.number, plan.total, run_id_of(self.source, plan.id), plan.new)
            if ask:
                answers.keep(connection, ask, _answer(code, started))
            return started

    def make_run(self, code: str, execution: int, run_id: str) -> None:
        """Make the DAG run of an execution that was planned, unless it is there.

        :raises ValueError: Airflow refuses the run; the execution has failed.
        """
        try:
            with self.sessions() as session:
                runs.create(
                    session,
                    self.dag_bag,
                    code,
                    run_id=run_id,
                    execution=execution,
                    triggered_by=self.triggered_by,
                    user=self.user,
                )
        except IntegrityError:
            pass  # it is there: the same request was faster, or died before it could note it
        except ValueError as error:  # Airflow refuses the run, and would refuse it for ever
            executions.finish(self.engine, execution, final=True, error=f"No DAG run could be made: {error}")
            raise
        executions.note_run(self.engine, execution, run_id)


def note_waiting(code: str, started: Started, error: Exception) -> None:
    """Log that an execution has begun and its run could not be made yet."""
    log.warning("Execution %s of push task %s waits for its DAG run: %s", started.execution, code, last_line(error))


def _answer(code: str, started: Started) -> dict[str, Any]:
    answer = {"task": code, **started._asdict()}
    del answer["new"]
    return answer


def _started(answer: Mapping[str, Any]) -> Started:
    return Started(**{name: answer[name] for name in Started._fields if name != "new"}, new=False)


def make_missing_runs(starter: Starter) -> int:
    """Make the runs of executions whose process died before it could; returns how many.

    :param starter: its source and user are those of each execution.
    """
    made = 0
    for waiting in executions.waiting(starter.engine, sources=SOURCES, age=_ABANDONED, limit=_AT_ONCE):
        if _make(starter, waiting):
            made += 1
            log.warning("Made the DAG run of execution %s, whose process had died before", waiting.id)
    return made


def make_runs_of_messages(starter: Starter, codes: Collection[str]) -> None:
    """Make the runs of executions that messages of these push tasks have begun.

    Those that cannot be made now, the DAG ``push_kafka`` makes, as all others of messages.
    """
    for waiting in executions.waiting(starter.engine, sources=(messages.SOURCE,)):
        if waiting.task_code in codes:
            _make(starter, waiting)


def _make(starter: Starter, waiting: executions.Waiting) -> bool:
    theirs = starter._replace(source=waiting.source, user=waiting.triggered_by)
    try:
        theirs.make_run(waiting.task_code, waiting.id, run_id_of(waiting.source, waiting.id))
    except DagNotReady:
        return False  # it is asked for again
    except Exception as error:
        if concerns_all(error):
            raise
        words = "Execution %s of push task %s got no DAG run:\n%s"
        log.error(words, waiting.id, waiting.task_code, traceback_of(error))
        return False
    return True
