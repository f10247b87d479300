"""Runs of which nothing was planned: on record once, and only until they begin after all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from ledger_desk import LOOP, NOW

from push_provider.channels.reading import parse_trigger
from push_provider.exceptions import UnknownTask
from push_provider.ledger import executions, planning, run_ids

if TYPE_CHECKING:
    from datetime import datetime

    from ledger_desk import Desk

LATER = NOW + timedelta(hours=1)


def refuse(desk: Desk, run: str, error: str = "no", run_after: datetime | None = NOW) -> None:
    planning.refuse(desk.engine, desk.code, source="manual", run_id=run, error=error, run_after=run_after)


def on_record(desk: Desk) -> list[tuple[str | None, int | None, str, str | None]]:
    rows = executions.find(desk.engine, task=desk.code)[::-1]
    return [(row.run_id, row.number, row.state.value, row.error) for row in rows]


def test_a_refused_run_is_a_failed_execution_that_does_not_count(desk: Desk) -> None:
    desk.apply()
    refuse(desk, "r", "marked\0")
    assert on_record(desk) == [("r", None, "failed", "marked")]
    assert (desk.row.executions, desk.status) == (0, "pending")


def test_the_same_run_is_refused_once(desk: Desk) -> None:
    desk.apply()
    refuse(desk, "r", "first")
    refuse(desk, "r", "second")
    assert on_record(desk) == [("r", None, "failed", "second")]


def test_a_refused_run_that_begins_after_all_takes_the_place(desk: Desk) -> None:
    desk.apply()
    refuse(desk, "r")
    plan = desk.plan(run_id="r", run_after=NOW)
    assert on_record(desk) == [("r", 1, "planned", None)]
    refuse(desk, "r")  # whoever looked before
    assert on_record(desk) == [("r", 1, "planned", None)]
    assert planning.of_run(desk.engine, desk.code, "r", run_after=NOW) == plan._replace(new=False)


def test_a_run_made_anew_leaves_the_refusal_of_the_one_before(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    refuse(desk, "r", "deleted")
    desk.plan(run_id="r", run_after=LATER)
    assert on_record(desk) == [(None, None, "failed", "deleted"), ("r", 1, "planned", None)]


def test_a_run_made_anew_can_be_refused_after_an_execution(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    desk.plan(run_id="r", run_after=NOW, trigger=parse_trigger({}, channel="email"))
    refuse(desk, "r", "marked", run_after=LATER)
    closed = "Its run was deleted, and another one was made under the same id"
    assert on_record(desk) == [(None, 1, "failed", closed), ("r", None, "failed", "marked")]


def test_the_run_before_one_that_was_made_anew_leaves_that_its_execution(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    desk.plan(run_id="r", run_after=LATER)
    assert run_ids.without_execution(desk.engine, [(desk.code, "r", NOW)]) == set()
    refuse(desk, "r", "deleted")
    assert on_record(desk) == [("r", 1, "planned", None)]


def test_which_runs_were_refused(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    refuse(desk, "r")
    asked = {("r", NOW): True, ("r", None): True, ("r", LATER): False, ("other", NOW): False}
    assert {run: run_ids.was_refused(desk.engine, desk.code, *run) for run in asked} == asked
    desk.plan(run_id="r", run_after=NOW)
    assert not run_ids.was_refused(desk.engine, desk.code, "r", NOW)


def test_runs_without_execution(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    desk.plan(run_id="planned", run_after=NOW)
    refuse(desk, "refused")
    desk.plan(run_id="timeless")
    known = [(desk.code, run, NOW) for run in ("planned", "refused", "timeless")]
    unknown = [(desk.code, "planned", LATER), (desk.code, "other", NOW), ("other", "planned", NOW)]
    assert run_ids.without_execution(desk.engine, [*known, *unknown]) == set(unknown)
    assert run_ids.without_execution(desk.engine, [(desk.code, "planned", None)]) == set()
    assert run_ids.without_execution(desk.engine, []) == set()


def test_a_run_of_an_unknown_task_cannot_be_refused(desk: Desk) -> None:
    with pytest.raises(UnknownTask):
        refuse(desk, "r")
