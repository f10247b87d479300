"""Makes the DAG runs of executions that messages have begun."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from push_provider.contract import run_id_of
from push_provider.intake.task_runs import make
from push_provider.unforeseen import Unforeseen, concerns_all

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)
_unforeseen = Unforeseen(log)


def make_waiting(engine: Engine) -> int:
    """Make the runs of all executions that have none; only in a task.

    A process that dies between making a run and noting it makes it again, and Airflow says that it is there.

    :returns: how many still wait: their DAG is not there yet, or Airflow cannot be asked.
    """
    from push_provider.ledger import executions, messages

    left = 0
    refused: set[str] = set()
    for execution, code in messages.waiting(engine):
        if code not in refused:
            refusal = _made(code, execution)
            if refusal is None:
                executions.note_run(engine, execution, run_id_of(messages.SOURCE, execution))
                continue
            # And the others of this DAG would hear the same.
            refused.add(code)
            log.info("Execution %s of push task %s waits for its DAG run: %s", execution, code, refusal)
        left += 1
    return left


def _made(code: str, execution: int) -> str | None:
    from push_provider.ledger import messages

    try:
        return make(code, execution, messages.SOURCE)
    except Exception as error:
        if concerns_all(error):
            raise
        return _unforeseen.told(error, f"The DAG run of execution {execution}")
