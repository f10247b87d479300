"""The executor's events: what it makes of the end of a process whose task has gone on in another."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

from push_provider.channels import registry
from push_provider.channels.spec import ChannelSpec
from push_provider.executor import WarmLocalExecutor

# Airflow's keys of task instances, of which an executor only asks whether they are the same.
KEY: Any = ("push_kafka", "listen", "run", 1, -1)
OTHER: Any = ("push_kafka", "listen", "run", 2, -1)


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> WarmLocalExecutor:
    """Without worker processes: what they say is said by the tests."""
    monkeypatch.setattr(LocalExecutor, "start", lambda _: None)
    monkeypatch.setattr(LocalExecutor, "_process_workloads", lambda *_: None)
    executor = WarmLocalExecutor(parallelism=2)
    executor.start()
    return executor


def begin(executor: WarmLocalExecutor, key: Any) -> None:
    executor.running.add(key)
    executor._process_workloads([SimpleNamespace(key=key)])


def test_a_channel_that_cannot_be_loaded_keeps_no_executor_from_starting(
    executor: WarmLocalExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken_part.py").write_text("raise RuntimeError('made for another version of grpc')\n")
    (tmp_path / "sound_part.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    part, others = "broken_part:Part", ("no_such_module", "sound_part")
    specs: Any = registry.specs()
    monkeypatch.setitem(specs, "broken", ChannelSpec("broken", "Broken", part, part, part, warm=others))
    with caplog.at_level(logging.WARNING, "push_provider.warm"):
        executor.start()
    assert "broken_part" in caplog.text
    assert "made for another version of grpc" in caplog.text
    assert "no_such_module" not in caplog.text
    assert sys.modules.pop("sound_part", None)


def test_the_end_of_a_process_is_handed_on(executor: WarmLocalExecutor) -> None:
    begin(executor, KEY)
    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert executor.event_buffer == {KEY: (TaskInstanceState.SUCCESS, None)}
    assert executor.running == set()


def test_late_news_of_the_first_process_is_not_taken_for_the_end_of_the_second(executor: WarmLocalExecutor) -> None:
    begin(executor, KEY)  # it defers, its task is woken
    begin(executor, KEY)
    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert executor.event_buffer == {}
    assert executor.running == {KEY}
    executor.change_state(KEY, TaskInstanceState.FAILED, info="killed")
    assert executor.event_buffer == {KEY: (TaskInstanceState.FAILED, "killed")}
    assert executor.running == set()


def test_tries_are_told_apart(executor: WarmLocalExecutor) -> None:
    begin(executor, KEY)
    begin(executor, OTHER)
    executor.change_state(KEY, TaskInstanceState.SUCCESS)
    assert list(executor.event_buffer) == [KEY]
    assert executor.running == {OTHER}


def test_what_is_not_an_end_is_handed_on(executor: WarmLocalExecutor) -> None:
    begin(executor, KEY)
    executor.change_state(KEY, TaskInstanceState.QUEUED, remove_running=False)
    assert executor.event_buffer == {KEY: (TaskInstanceState.QUEUED, None)}
    assert executor.running == {KEY}


def test_an_end_that_nobody_waits_for_is_handed_on(executor: WarmLocalExecutor) -> None:
    for _ in range(2):  # a task that another scheduler began, and that this one adopted
        executor.change_state(KEY, TaskInstanceState.SUCCESS)
        assert executor.event_buffer.pop(KEY) == (TaskInstanceState.SUCCESS, None)
