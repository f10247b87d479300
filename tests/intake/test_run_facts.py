"""What the ledger keeps of a run, by its kind."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from push_provider.contract import is_of_execution, is_test, run_id_of
from push_provider.intake.run_facts import facts_of, was_cleared

WHEN = datetime(2026, 7, 1, 9, tzinfo=UTC)


def run(kind: str, **fields: Any) -> Any:
    named = {"run_id": "r", "run_type": kind, "triggering_user_name": "ann", "logical_date": WHEN}
    return SimpleNamespace(**named, **fields)


@pytest.mark.parametrize(
    ("kind", "source", "scheduled"),
    [("scheduled", "schedule", WHEN), ("backfill", "backfill", WHEN), ("manual", "manual", None)],
)
def test_where_a_run_comes_from(kind: str, source: str, scheduled: datetime | None) -> None:
    facts = facts_of(run(kind, run_after=WHEN))
    assert facts == {
        "source": source,
        "run_id": "r",
        "run_after": WHEN,
        "triggered_by": "ann",
        "scheduled_for": scheduled,
    }
    assert facts_of(run(kind))["run_after"] is None


@pytest.mark.parametrize(
    ("fields", "cleared"), [({}, False), ({"clear_number": 0}, False), ({"clear_number": 2}, True)]
)
def test_whether_a_run_was_cleared(fields: dict[str, int], cleared: bool) -> None:
    assert was_cleared(run("backfill", **fields)) is cleared


@pytest.mark.parametrize(
    ("run_id", "user", "test"),
    [("__airflow_temporary_run_2026", None, True), ("manual__2026", "dag_test", True), ("manual__2026", "ann", False)],
)
def test_tests_of_the_command_line(run_id: str, user: str | None, test: bool) -> None:
    assert is_test(run_id, user) is test


@pytest.mark.parametrize(
    "run_id",
    [
        "manual__2026-07-01T09:00:00+00:00",
        "mine",
        "rest__12_x",
        "rest__",
        "push__12__3",
        "order__123",
        "scheduled__123",
    ],
)
def test_runs_that_no_execution_was_planned_for(run_id: str) -> None:
    assert not is_of_execution(run_id)


@pytest.mark.parametrize("source", ["rest", "kafka", "cli", "dag", "manual", "schedule"])
def test_runs_of_executions(source: str) -> None:
    assert is_of_execution(run_id_of(source, 12))
