"""DAGs of push tasks that are retired, or gone, leave Airflow; on a real ledger and a real metadata database."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from push_provider.channels.reading import parse
from push_provider.contract import dag_id
from push_provider.ledger import definitions, retiring, tasks
from push_provider.ledger.tables import shard_of
from push_provider.metadata import dag_rows
from push_provider.parses import shard_file
from push_provider.reconciling.reconciler import Reconciler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


class Desk:
    """Push tasks, and their DAGs as the DAG processor would store them."""

    def __init__(self, ledger: Engine, metadata: Engine) -> None:
        self.ledger = ledger
        self.metadata = metadata
        self.reconciler = Reconciler(lambda: ledger, self.sessions)

    @contextmanager
    def sessions(self) -> Iterator[Session]:
        with Session(self.metadata) as session, session.begin():
            yield session

    def apply(self, *codes: str) -> None:
        task = {"channel": "email", "subject": "s", "content": "c", "recipients": ["a@example.com"]}
        for code in codes:
            one = parse({**task, "code": code, "name": code})
            definitions.apply(self.ledger, one, now=datetime.now(UTC), default_timezone="UTC")
        self.store(*codes)

    def store(self, *codes: str) -> None:
        with self.sessions() as session:
            for code in codes:
                dag_rows.add_paused(session, dag_id(code), dag_rows.File("push", shard_file(shard_of(code))))
            session.flush()
            session.execute(text("UPDATE dag SET is_paused = false, is_stale = false, has_import_errors = false"))

    def retire(self, *codes: str) -> None:
        for code in codes:
            tasks.cancel(self.ledger, code)
        retiring.retire(self.ledger, 1000, before=datetime.now(UTC) + timedelta(hours=1))

    def take_away(self) -> set[str]:
        """The push tasks that have a DAG after a pass."""
        self.reconciler._compare_dags(self.ledger)
        with self.metadata.connect() as connection:
            return {dag.removeprefix("push__") for dag in connection.scalars(text("SELECT dag_id FROM dag"))}


@pytest.fixture
def desk(ledger: Engine, metadata: Engine) -> Iterator[Desk]:
    with metadata.begin() as connection:
        connection.execute(text("INSERT INTO dag_bundle (name, active) VALUES ('push', true)"))
    yield Desk(ledger, metadata)
    with metadata.begin() as connection:
        connection.execute(text("TRUNCATE dag_bundle, dag CASCADE"))


def test_those_of_retired_and_deleted_tasks_leave_and_no_others(desk: Desk) -> None:
    desk.apply("one", "two", "three", "four")
    assert desk.take_away() == {"one", "two", "three", "four"}
    desk.retire("one", "two")
    tasks.delete(desk.ledger, "three", purge=False)
    assert desk.take_away() == {"four"}


def test_one_that_a_late_parse_has_stored_leaves_again(desk: Desk) -> None:
    desk.apply("one")
    desk.retire("one")
    assert desk.take_away() == set()
    desk.store("one")
    assert desk.take_away() == set()


def test_one_that_came_back_stays(desk: Desk) -> None:
    desk.apply("one", "two")
    desk.retire("one", "two")
    retiring.revive(desk.ledger, "one")
    assert desk.take_away() == {"one"}


@pytest.mark.slow
def test_many_leave_pass_by_pass(desk: Desk) -> None:
    codes = [f"many-{n}" for n in range(600)]
    desk.apply("kept", *codes)
    desk.retire(*codes)
    counts = [len(desk.take_away())]
    while counts[-1] > 1:
        counts.append(len(desk.take_away()))
        assert counts[-1] < counts[-2]
    assert desk.take_away() == {"kept"}
