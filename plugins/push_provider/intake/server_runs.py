"""DAG runs of executions, made in Airflow's metadata database; for the API server and the command line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import IntegrityError

from push_provider.exceptions import RunRefused
from push_provider.intake.starter import make_waiting
from push_provider.metadata import runs

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.models.dagbag import DBDagBag
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

SOURCES = ("rest", "cli", "dag")
"""The sources of executions whose runs are made here; those of tasks only where they could not be made there."""
_ABANDONED = timedelta(seconds=30)
"""After which nobody can be about to make a run any more."""
_AT_ONCE = 100


class ServerRuns(NamedTuple):
    """Makes the runs; see :class:`~push_provider.intake.starter.Runs`.

    :param sessions: opens a session on Airflow's database, which is committed at its end.
    :param dag_bag: Airflow's DAGs.
    :param triggered_by: what Airflow shows as the trigger.
    """

    sessions: Callable[[], AbstractContextManager[Session]]
    dag_bag: DBDagBag
    triggered_by: DagRunTriggeredByType

    def check(self, code: str) -> None:
        """Make sure that a run would begin."""
        with self.sessions() as session:
            runs.check_ready(session, code)

    def make(self, code: str, run_id: str, execution: int, user: str | None) -> None:
        """Make the run of an execution, unless it is there."""
        try:
            with self.sessions() as session:
                runs.create(
                    session,
                    self.dag_bag,
                    code,
                    run_id=run_id,
                    execution=execution,
                    triggered_by=self.triggered_by,
                    user=user,
                )
        except IntegrityError:
            pass  # it is there: the same request was faster, or died before it could note it
        except ValueError as error:
            raise RunRefused(str(error)) from error


def make_missing_runs(engine: Engine, runs: ServerRuns) -> int:
    """Make the runs of executions whose process died before it could; returns how many."""
    made = make_waiting(engine, runs, SOURCES, age=_ABANDONED, limit=_AT_ONCE).runs
    for one in made:
        log.warning("Made the DAG run of execution %s, whose process had died before", one.id)
    return len(made)
