"""A command waits for the DAG of a push task that was applied a moment ago, and for no other thing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from push_provider.cli.dag_runs import PATIENCE, when_known
from push_provider.exceptions import DagNotReady, TaskPaused


class Desk:
    """Somebody who knows a DAG after some seconds."""

    def __init__(self, seconds: float, error: Callable[[str], Exception] = DagNotReady) -> None:
        self.now = 0.0
        self._seconds = seconds
        self._error = error

    def work(self) -> str:
        if self.now < self._seconds:
            raise self._error("not yet")
        return "done"

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("seconds", [0, 0.2, 9, PATIENCE])
def test_a_dag_is_waited_for(seconds: float, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(seconds)
    assert when_known(desk.work, sleep=desk.sleep) == "done"
    assert seconds <= desk.now < seconds + 0.5
    said = capsys.readouterr()
    assert said.out == ""  # which may be piped into a program
    assert said.err.count("Waiting for Airflow to know the DAG, for up to 30 s") == bool(seconds)


@pytest.mark.parametrize(("error", "waits"), [(DagNotReady, PATIENCE), (TaskPaused, 0)])
def test_what_does_not_come_is_said(error: type[Exception], waits: float) -> None:
    desk = Desk(PATIENCE + 1, error)
    with pytest.raises(error, match="not yet"):
        when_known(desk.work, sleep=desk.sleep)
    assert desk.now == waits
