"""The DAG runs that commands make, in their own process; and the wait for a DAG that is not there yet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from push_provider.exceptions import DagNotReady

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from push_provider.intake.server_runs import ServerRuns

PATIENCE = 30.0
"""Seconds: twice what a new DAG was seen to take among a hundred thousand others."""
_STEP = 0.5

Result = TypeVar("Result")


def server_runs() -> ServerRuns:
    """Makes DAG runs in this process."""
    from airflow.models.dagbag import DBDagBag
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType

    from push_provider.intake.server_runs import ServerRuns

    return ServerRuns(create_session, DBDagBag(), DagRunTriggeredByType.CLI)


def when_known(work: Callable[[], Result], *, sleep: Callable[[float], None] = time.sleep) -> Result:
    """Do the work; if Airflow does not know the DAG of the push task yet, say so and do it as soon as it does.

    A script applies a push task and triggers it in the next line, before the task has come to be a DAG.

    :param work: is done again from its beginning.
    :raises DagNotReady: it was not known in time.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

    again = Retrying(
        retry=retry_if_exception_type(DagNotReady),
        stop=stop_after_attempt(1 + round(PATIENCE / _STEP)),
        wait=wait_fixed(_STEP),
        before_sleep=_say,
        sleep=sleep,
        reraise=True,
    )
    return again(work)


def _say(state: RetryCallState) -> None:
    if state.attempt_number == 1:
        print(f"Waiting for Airflow to know the DAG, for up to {PATIENCE:.0f} s …", file=sys.stderr)
