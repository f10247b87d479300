"""A push task is a DAG a moment after it was created: calls that need the DAG wait that moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi.concurrency import run_in_threadpool

from push_provider.exceptions import DagNotReady

PATIENCE = 3.0
"""Seconds: some more than the second or two that a new DAG takes."""
_STEP = 0.1

Result = TypeVar("Result")


async def when_known(work: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Do the work, again and again while Airflow does not know the DAG; no thread is held meanwhile.

    :param work: its first argument says whether this is its first try.
    :raises DagNotReady: it was not known in time; nothing has begun.
    """
    deadline = time.monotonic() + PATIENCE
    first = True
    while True:
        try:
            return await run_in_threadpool(work, first, *arguments, **options)
        except DagNotReady:
            if time.monotonic() > deadline:
                raise
        first = False
        await asyncio.sleep(_STEP)
