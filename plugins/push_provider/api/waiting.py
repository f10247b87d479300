"""A push task is a DAG a moment after it was created: calls that need the DAG wait that moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool

from push_provider.api.guards import sessions
from push_provider.exceptions import DagNotReady
from push_provider.metadata import runs

PATIENCE = 20.0
"""Seconds: a new DAG takes one or two, and several times that while the machine is busy."""
_STEP = 0.1

Result = TypeVar("Result")


async def when_known(code: str, work: Callable[[], Result]) -> Result:
    """Do the work; if Airflow does not know the DAG of the push task yet, do it as soon as it does.

    No thread is held meanwhile.

    :param work: is done again from its beginning, so what it has done already it must know.
    :raises DagNotReady: it was not known in time.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await run_in_threadpool(work)
        except DagNotReady:
            if time.monotonic() > deadline:
                raise
        # Another process will know the DAG, which no event of ours tells.
        await asyncio.sleep(_STEP)
        while time.monotonic() < deadline and not await run_in_threadpool(_is_known, code):  # noqa: ASYNC110
            await asyncio.sleep(_STEP)


def _is_known(code: str) -> bool:
    with sessions() as session:
        return runs.is_known(session, code)
