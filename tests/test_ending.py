"""What tasks hear of a scheduler that wants to end: they are forks of its executor's workers."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

import pytest

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
    monkeypatch.setattr("push_provider.executor._MODULES", ())
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
