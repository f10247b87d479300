"""What tasks hear of a scheduler that wants to end: they are forks of its executor's workers."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from airflow.executors.base_executor import BaseExecutor

from push_provider import ending
from push_provider.executor import WarmLocalExecutor

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@pytest.fixture(autouse=True)
def no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_wanted", None)


def _task(answers: Connection) -> None:
    answers.send(ending.wanted())
    deadline = time.monotonic() + 30
    while not ending.wanted() and time.monotonic() < deadline:
        time.sleep(0.01)
    answers.send(ending.wanted())


def test_nobody_wants_to_end_where_nothing_was_prepared() -> None:
    ending.want()
    assert not ending.wanted()


def test_a_process_that_was_forked_hears_that_the_executor_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("push_provider.warm._MODULES", ())
    executor = WarmLocalExecutor(parallelism=1)
    executor.start()
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    task = multiprocessing.get_context("fork").Process(target=_task, args=(theirs,))
    task.start()
    assert ours.recv() is False
    executor.end()
    assert ours.recv() is True
    task.join(10)
    assert task.exitcode == 0


@dataclass
class Workload:
    """What a worker asks of one."""

    key: str = "busy"
    display_name: str = "busy"
    running_state: str | None = None
    success_state: str = "success"
    failure_state: str = "failed"


def test_an_end_leaves_no_worker_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle workers take their leave while Airflow still goes through all of them, and one that is busy comes last."""
    monkeypatch.setattr("push_provider.warm._MODULES", ())
    at_work = multiprocessing.Value("i")
    done = multiprocessing.Event()

    def work(*_: Any, **__: Any) -> None:
        at_work.value = os.getpid()
        done.wait()

    monkeypatch.setattr(BaseExecutor, "run_workload", staticmethod(work))
    executor = WarmLocalExecutor(parallelism=3)
    executor.start()
    workers = set(executor.workers)
    executor.activity_queue.put(Workload())  # type: ignore[arg-type]
    while not at_work.value:
        time.sleep(0.01)
    executor.workers = dict(sorted(executor.workers.items(), key=lambda one: one[0] != at_work.value))
    put = executor.activity_queue.put

    def put_and_let_one_leave(message: Any) -> None:
        before = idle()
        put(message)
        while before and idle() == before:
            time.sleep(0.01)

    def idle() -> int:
        return sum(one.pid in workers for one in multiprocessing.active_children()) - 1

    monkeypatch.setattr(executor.activity_queue, "put", put_and_let_one_leave)
    end = threading.Thread(target=executor.end, daemon=True)
    end.start()
    while idle():
        time.sleep(0.01)
    done.set()
    end.join(20)
    if end.is_alive():
        os.kill(at_work.value, 9)
    assert not end.is_alive()
