"""Whether the scheduler or worker that this task's process descends from wants to end, and waits for its tasks.

Airflow's LocalExecutor, and a Celery worker, asked to end, wait until the tasks under way are done, and tell them
nothing. A task that only waits for more to do looks here. Elsewhere the answer is always no. Imports no Airflow.
"""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

_wanted: Event | None = None


def prepare() -> None:
    """Make what the processes to be forked from this one will look at; before any of them is."""
    global _wanted  # forks inherit it; there is no other way to them
    _wanted = multiprocessing.Event()


def want() -> None:
    """Tell all processes that were forked from this one."""
    if _wanted is not None:
        _wanted.set()


def wanted() -> bool:
    """Whether this process should come to its end as soon as nothing is lost by it."""
    return _wanted is not None and _wanted.is_set()
