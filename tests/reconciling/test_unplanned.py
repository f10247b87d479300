"""Runs that ended before anything of them was planned: which become executions; on a real ledger and metadata."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from push_provider.channels.reading import parse
from push_provider.ledger import definitions, executions, tasks
from push_provider.reconciling.unplanned import Unplanned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

CODE = "unplanned"
_ASKED = text("""
    INSERT INTO log (dag_id, run_id, event, owner, extra, dttm)
    VALUES ('push__unplanned', :run, :event, 'Ann', '{}', :at)
""")
_RUN = text("""
    INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, created_at, clear_number)
    VALUES ('push__unplanned', :run, 'manual', :state, :at, :at, 0)
""")


class Desk:
    """One push task, and what Airflow has of its runs."""

    def __init__(self, ledger: Engine, metadata: Engine) -> None:
        self.ledger = ledger
        self.metadata = metadata
        self.look = Unplanned(self.sessions)
        self.apply()

    @contextmanager
    def sessions(self) -> Iterator[Session]:
        with Session(self.metadata) as session, session.begin():
            yield session

    def apply(self) -> None:
        task = {"code": CODE, "name": CODE, "channel": "email", "subject": "s", "content": "c"}
        manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
        wanted = parse({**task, **manual, "recipients": ["a@example.com"]})
        definitions.apply(self.ledger, wanted, now=datetime.now(UTC), default_timezone="UTC")

    def ask(self, event: str, run: str, at: datetime | None = None) -> None:
        with self.metadata.begin() as connection:
            connection.execute(_ASKED, {"event": event, "run": run, "at": at or datetime.now(UTC)})

    def make(self, run: str) -> None:
        with self.making(run):
            pass

    @contextmanager
    def making(self, run: str, state: str = "queued") -> Iterator[None]:
        """It has its id, and nobody sees it yet."""
        with self.metadata.begin() as connection:
            connection.execute(_RUN, {"run": run, "state": state, "at": datetime.now(UTC)})
            yield

    def delete(self, run: str) -> None:
        self.ask("delete_dag_run", run)
        with self.metadata.begin() as connection:
            connection.execute(text("DELETE FROM dag_run WHERE run_id = :run"), {"run": run})

    def recorded(self) -> list[tuple[str | None, str | None]]:
        """Run and reason of each execution, after a look."""
        self.look(self.ledger)
        return [(row.run_id, row.error) for row in executions.find(self.ledger, task=CODE)]


@pytest.fixture
def desk(ledger: Engine, metadata: Engine) -> Iterator[Desk]:
    yield Desk(ledger, metadata)
    with metadata.begin() as connection:
        connection.execute(text("TRUNCATE dag_run, log CASCADE"))


def test_a_run_that_never_was_is_not_deleted(desk: Desk) -> None:
    """Airflow has answered 404, and what was asked is in its audit log all the same."""
    desk.ask("delete_dag_run", "typo")
    assert desk.recorded() == []


def test_one_that_was_made_and_deleted_before_anybody_looked(desk: Desk) -> None:
    desk.ask("trigger_dag_run", "order-1")
    desk.ask("delete_dag_run", "order-1")
    assert desk.recorded() == [("order-1", "Ann deleted the run before it began")]


def test_one_that_was_seen_to_wait(desk: Desk) -> None:
    desk.make("order-1")
    assert desk.recorded() == []
    desk.delete("order-1")
    assert desk.recorded() == [("order-1", "Ann deleted the run before it began")]


def test_one_that_comes_to_be_seen_after_one_that_was_made_later(desk: Desk) -> None:
    assert desk.recorded() == []
    with desk.making("slow", "failed"):  # as one that was marked at once
        desk.make("quick")
        assert desk.recorded() == []
    assert [run for run, _ in desk.recorded()] == ["slow"]
    assert len(desk.recorded()) == 1


def test_those_of_a_task_that_was_deleted_are_none_of_the_next_one_of_its_code(desk: Desk) -> None:
    desk.make("watched")
    assert desk.recorded() == []
    desk.delete("watched")
    desk.ask("trigger_dag_run", "not-watched")
    desk.ask("delete_dag_run", "not-watched")
    tasks.delete(desk.ledger, CODE, purge=True)
    desk.apply()
    assert desk.recorded() == []


def test_a_late_look_finds_those_of_a_day(desk: Desk) -> None:
    """And not of the time before the push task."""
    for run, ago in (("yesterday", timedelta(hours=30)), ("before", timedelta(hours=2))):
        desk.ask("trigger_dag_run", run, datetime.now(UTC) - ago)
        desk.ask("delete_dag_run", run, datetime.now(UTC) - ago)
    assert desk.recorded() == []
    with desk.ledger.begin() as connection:
        connection.execute(text("UPDATE push_task SET created_at = now() - interval '9 days'"))
    desk.look = Unplanned(desk.sessions)
    assert desk.recorded() == [("before", "Ann deleted the run before it began")]
