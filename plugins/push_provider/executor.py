"""A LocalExecutor whose workers have imported what a push needs before they fork.

A task process then begins to send a quarter of a second after its trigger, instead of a second. Set
``[core] executor = push_provider.executor.WarmLocalExecutor``. Changed operators need a scheduler restart, as
with every module that a long-lived process has imported; leave it out where people edit this package's code.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

from push_provider import ending, warm

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecutorWorkload
    from airflow.executors.workloads.types import WorkloadKey, WorkloadState

_NICE = 5
"""How far tasks let other processes go first: on a machine that has all parts, pages and the scheduler come before what
is sent, and where nobody else wants the processors nothing is slower."""
_ENDED = (TaskInstanceState.SUCCESS, TaskInstanceState.FAILED)


class WarmLocalExecutor(LocalExecutor):
    """Airflow's LocalExecutor, with the modules of a push imported before its workers are forked."""

    def start(self) -> None:
        """Import, then start as LocalExecutor does."""
        self._under_way: Counter[WorkloadKey] = Counter()
        ending.prepare()
        warm.up()
        super().start()

    def end(self) -> None:
        """Tell the tasks that only wait, then end as LocalExecutor does: when the last one is done.

        LocalExecutor has a word of farewell for each worker that is alive when its turn comes; an idle one may have
        taken that of another and be gone by then, and the last of them would wait for its own for ever, and the
        scheduler for it. So there is one for each beforehand; what nobody takes is lost with the queue.
        """
        ending.want()
        for _ in self.workers:
            self.activity_queue.put(None)
        super().end()

    def _spawn_worker(self) -> None:
        before = set(self.workers)
        super()._spawn_worker()  # type: ignore[no-untyped-call]
        for pid in self.workers.keys() - before:
            with suppress(OSError):  # it has ended
                os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)

    def _process_workloads(self, workload_list: Sequence[ExecutorWorkload]) -> None:
        self._under_way.update(workload.key for workload in workload_list)
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]

    def change_state(
        self, key: WorkloadKey, state: WorkloadState, info: Any = None, remove_running: bool = True
    ) -> None:
        """Hand an event on, unless it is the end of a process whose task has gone on in another one since.

        A task that defers may be woken before the executor has heard that its first process has ended: Airflow's
        supervisor, if it misses that moment, sleeps for ``[workers] min_heartbeat_interval`` (5 s). The scheduler would
        take the late news for the end of the second process, say that somebody has killed the task, and fail it.
        """
        if state in _ENDED:
            self._under_way[key] -= 1
            if self._under_way[key] > 0:
                return
            del self._under_way[key]
        super().change_state(key, state, info, remove_running)
