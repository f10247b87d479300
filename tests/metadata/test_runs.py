"""Runs for a time in the future: which are refused, and what is read to find them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session

from push_provider.metadata import runs

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture(scope="module")
def many(metadata: Engine) -> Engine:
    """Airflow's database with twenty thousand runs that have ended long ago."""
    from airflow.models.dagrun import DagRun

    old = datetime.now(UTC) - timedelta(days=1000)
    rows = [row(f"push__t{n % 500}", f"old-{n}", old + timedelta(hours=n), state="success") for n in range(20_000)]
    with metadata.begin() as connection:
        connection.execute(insert(DagRun.__table__), rows)
        connection.execute(text("ANALYZE dag_run"))
    return metadata


def row(
    dag: str,
    run: str,
    date: datetime | None,
    *,
    state: str = "queued",
    run_type: str = "manual",
    after: datetime | None = None,
) -> dict[str, Any]:
    return {
        "dag_id": dag,
        "run_id": run,
        "run_type": run_type,
        "state": state,
        "logical_date": date,
        "run_after": after or datetime.now(UTC),
        "clear_number": 0,
    }


TOMORROW = timedelta(days=1)


@pytest.mark.parametrize(
    ("dag", "state", "run_type", "ahead", "refused"),
    [
        ("push__a", "queued", "manual", TOMORROW, True),
        ("push__a", "running", "manual", TOMORROW, True),
        ("push__a", "queued", "manual", timedelta(seconds=30), False),  # clocks differ
        ("push__a", "queued", "manual", timedelta(0), False),
        ("push__a", "failed", "manual", TOMORROW, False),
        ("push__a", "success", "manual", TOMORROW, False),
        ("push__a", "queued", "operator_triggered", TOMORROW, True),
        ("push__a", "queued", "scheduled", TOMORROW, False),
        ("push__a", "running", "backfill", TOMORROW, False),
        ("other", "queued", "manual", TOMORROW, False),
        ("pushx_a", "queued", "manual", TOMORROW, False),  # _ stands for itself
    ],
)
def test_a_run_in_the_future_is_refused(
    many: Engine, dag: str, state: str, run_type: str, ahead: timedelta, refused: bool
) -> None:
    from airflow.models.dagrun import DagRun

    moment = datetime.now(UTC) + ahead
    for times in ({"date": moment}, {"date": None, "after": moment}):
        with Session(many) as session:
            run = row(dag, "one", state=state, run_type=run_type, **times)
            session.execute(insert(DagRun.__table__), [run])
            assert runs.refuse_future(session) == ([("a", "one")] if refused else [])
            after = session.execute(text("SELECT state FROM dag_run WHERE run_id = 'one'")).scalar()
            assert after == ("failed" if refused else state)
            session.rollback()


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ({"date": datetime(2100, 1, 1, 9, tzinfo=UTC)}, "Its logical date, 2100-01-01 09:00 UTC, lies in the future. "),
        (
            {"date": None, "after": datetime(2100, 1, 1, 9, tzinfo=UTC)},
            "Its run_after, 2100-01-01 09:00 UTC, lies in the future. A run_after is no time to send at: leave it out ",
        ),
    ],
)
def test_it_says_why(metadata: Engine, times: dict[str, Any], why: str) -> None:
    from airflow.models.dagrun import DagRun

    with Session(metadata) as session:
        session.execute(insert(DagRun.__table__), [row("push__a", "one", **times)])
        runs.refuse_future(session)
        (said,) = session.execute(text("SELECT content FROM dag_run_note")).scalars()
        assert said.startswith(why)
        session.rollback()


def test_it_leaves_its_date_to_the_scheduled_run_of_that_time(metadata: Engine) -> None:
    """Airflow makes no run where there is one of the same logical date, whatever became of it."""
    from airflow.models.dagrun import DagRun

    date = datetime(2100, 1, 1, 9, tzinfo=UTC)
    with Session(metadata) as session:
        session.execute(insert(DagRun.__table__), [row("push__a", "one", date=date)])
        assert runs.refuse_future(session) == [("a", "one")]
        session.flush()
        session.execute(insert(DagRun.__table__), [row("push__a", "due", run_type="scheduled", date=date)])
        session.rollback()


def test_looking_for_them_reads_no_run_that_has_ended(many: Engine) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(many, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: asked.append((sql, values)))
    with Session(many) as session:
        runs.refuse_future(session)
        ((sql, values),) = asked
        plan = "\n".join(session.connection().exec_driver_sql(f"EXPLAIN {sql}", values).scalars())
    read = set(re.findall(r"Scan (?:using )?(\w+)", plan))
    assert {"idx_dag_run_queued_dags", "idx_dag_run_running_dags"} <= read, plan
    assert read <= {"idx_dag_run_queued_dags", "idx_dag_run_running_dags", "dag_run_pkey", "on"}, plan
