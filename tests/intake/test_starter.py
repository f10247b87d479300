"""An execution that is planned has begun, whatever becomes of its DAG run; and a run is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from other_dags import apply

from push_provider.contract import Trigger
from push_provider.exceptions import DagNotReady, RunRefused, TaskClosed, TaskPaused
from push_provider.intake.starter import Starter, make_waiting
from push_provider.ledger import executions, tasks
from push_provider.ledger.tables import ExecutionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine


class Airflow:
    """Makes DAG runs, or says why it does not."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, str, int, str | None]] = []
        self.known, self.paused = True, False
        self.says: Callable[[str], Exception | None] = lambda _code: None
        self.asked = 0

    def check(self, code: str) -> None:
        if not self.known:
            raise DagNotReady("not yet")
        if self.paused:
            raise TaskPaused(f"{code} is paused")

    def make(self, code: str, run_id: str, execution: int, user: str | None) -> None:
        self.asked += 1
        if error := self.says(code):
            raise error
        self.runs.append((code, run_id, execution, user))


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def starter(ledger: Engine, airflow: Airflow) -> Starter:
    for code in ("a", "b"):
        apply(ledger, code, recipients=[{"to": "ann@example.com"}])
    return Starter(ledger, airflow, "rest", "ann")


def test_a_run_is_made_once(starter: Starter, airflow: Airflow) -> None:
    first, second = (starter.begin("a", Trigger(), key="k") for _ in range(2))
    assert (first.new, second) == (True, first._replace(new=False))
    assert airflow.runs == [("a", f"rest__{first.execution}", first.execution, "ann")]
    assert executions.bound_run(starter.engine, first.execution) == first.run_id


def test_a_paused_task_begins_nothing_and_goes_on_with_what_has_begun(starter: Starter, airflow: Airflow) -> None:
    begun = starter.begin("a", Trigger(), key="k")
    airflow.paused = True
    with pytest.raises(TaskPaused):
        starter.begin("a", Trigger(), key="another")
    assert starter.begin("a", Trigger(), key="k") == begun._replace(new=False)
    assert executions.count(starter.engine, cap=10, task="a") == 1


def test_without_its_dag_a_task_begins_nothing(starter: Starter, airflow: Airflow) -> None:
    airflow.known = False
    with pytest.raises(DagNotReady):
        starter.begin("a", Trigger())
    tasks.cancel(starter.engine, "a")
    with pytest.raises(TaskClosed, match="cancelled"):  # else one would wait for a DAG that never comes
        starter.begin("a", Trigger())
    assert executions.count(starter.engine, cap=10, task="a") == 0


def test_a_run_that_cannot_be_made_now_is_made_later(starter: Starter, airflow: Airflow) -> None:
    airflow.says = lambda _code: DagNotReady("not yet")
    begun = starter.begin("a", Trigger())
    assert executions.bound_run(starter.engine, begun.execution) is None
    assert make_waiting(starter.engine, airflow, ("cli",)) == ([], 0)  # those of others are not ours
    assert make_waiting(starter.engine, airflow, ("rest",)) == ([], 1)
    airflow.says = lambda _code: None
    ((made,), waiting) = make_waiting(starter.engine, airflow, ("rest",))
    assert (made.id, waiting) == (begun.execution, 0)
    assert airflow.runs == [("a", begun.run_id, begun.execution, "ann")]


def test_only_those_of_some_tasks(starter: Starter, airflow: Airflow) -> None:
    for code in ("a", "b"):
        starter._replace(runs=None).begin(code, Trigger())
    assert [one.task_code for one in make_waiting(starter.engine, airflow, ("rest",), codes=["b"]).runs] == ["b"]
    assert make_waiting(starter.engine, airflow, ("rest",), codes=[]) == ([], 0)


def test_several_who_make_runs_at_once_share_them(starter: Starter, airflow: Airflow) -> None:
    """Each begins with its own push tasks, in each the oldest first, and makes none that another has made."""
    planned = starter._replace(runs=None)
    a1, b1, a2, b2 = (planned.begin(code, Trigger()).execution for code in ("a", "b", "a", "b"))

    def another_makes_one(_code: str) -> None:
        executions.note_run(starter.engine, a1, "made by another")

    airflow.says = another_makes_one
    made = make_waiting(starter.engine, airflow, ("rest",), first=lambda code: code == "b")
    assert [one.id for one in made.runs] == [execution for _, _, execution, _ in airflow.runs] == [b1, b2, a2]
    assert made.waiting == 0


def test_where_airflow_cannot_be_asked_somebody_else_makes_the_run(starter: Starter, airflow: Airflow) -> None:
    begun = starter._replace(runs=None).begin("a", Trigger())
    assert airflow.asked == 0
    assert [one.id for one in make_waiting(starter.engine, airflow, ("rest",)).runs] == [begun.execution]


def test_a_run_that_airflow_refuses_is_a_failed_execution(starter: Starter, airflow: Airflow) -> None:
    airflow.says = lambda _code: RunRefused("no such date")
    with pytest.raises(RunRefused, match="no such date"):
        starter.begin("a", Trigger())
    (row,) = executions.find(starter.engine, task="a")
    assert (row.state, row.error) == (ExecutionState.FAILED, "No DAG run could be made: no such date")
    assert make_waiting(starter.engine, airflow, ("rest",)) == ([], 0)


@pytest.mark.parametrize(
    ("error", "asked", "made", "waiting"),
    [
        (DagNotReady("not yet"), 2, 1, 2),  # the second of a DAG would hear the same
        (ZeroDivisionError("unheard of"), 2, 1, 2),
        (RunRefused("never"), 3, 1, 0),  # each has failed
    ],
    ids=["not yet", "unforeseen", "refused"],
)
def test_others_get_their_runs_whatever_is_wrong_with_one(
    starter: Starter, airflow: Airflow, error: Exception, asked: int, made: int, waiting: int
) -> None:
    for code in ("a", "a", "b"):
        starter._replace(runs=None).begin(code, Trigger())
    airflow.says = lambda code: error if code == "a" else None
    outcome = make_waiting(starter.engine, airflow, ("rest",))
    assert (airflow.asked, len(outcome.runs), outcome.waiting) == (asked, made, waiting)
    assert [code for code, *_ in airflow.runs] == ["b"]
