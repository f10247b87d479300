"""DAGs that were deleted in Airflow come back paused if they were; on a real ledger and a real metadata database."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from push_provider.channels.reading import parse
from push_provider.contract import dag_id
from push_provider.ledger import definitions, shards
from push_provider.ledger.tables import shard_of
from push_provider.metadata import dag_rows
from push_provider.parses import shard_file
from push_provider.reconciling.reconciler import Reconciler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

CODE = "back"
OTHER = next(f"other-{n}" for n in range(10_000) if shard_of(f"other-{n}") == shard_of(CODE))
_SAID = text("INSERT INTO log (dag_id, event, extra, dttm) VALUES ('push__back', :event, :extra, now())")


class Desk:
    """A push task, its DAG as Airflow has it, and its audit log."""

    def __init__(self, ledger: Engine, metadata: Engine) -> None:
        self.ledger = ledger
        self.metadata = metadata
        self.now = 0.0
        self.start()

    @contextmanager
    def sessions(self) -> Iterator[Session]:
        with Session(self.metadata) as session, session.begin():
            yield session

    def start(self) -> None:
        """Begin as a new process does, which has seen nothing."""
        self.reconciler = Reconciler(lambda: self.ledger, self.sessions, lambda: self.now)

    def apply(self, code: str = CODE) -> None:
        """A push task whose DAG Airflow has."""
        task = {"channel": "email", "subject": "s", "content": "c", "recipients": ["a@example.com"]}
        one = parse({**task, "code": code, "name": code})
        definitions.apply(self.ledger, one, now=datetime.now(UTC), default_timezone="UTC")
        shard = shard_of(code)
        shards.mark_built(self.ledger, {shard: shards.revisions(self.ledger)[shard][0]})
        self.store(code, shard=shard)

    def store(self, code: str, *, shard: int) -> None:
        with self.sessions() as session:
            dag_rows.add_paused(session, dag_id(code), dag_rows.File("push", shard_file(shard)))
            session.flush()
            self._set(session, code, is_paused=False, is_stale=False, has_import_errors=False)

    def say(self, event: str, extra: str = "{}") -> None:
        """Write to Airflow's audit log."""
        with self.sessions() as session:
            session.execute(_SAID, {"event": event, "extra": extra})

    def pause(self, *, paused: bool) -> None:
        """In whatever way, and with no word of it."""
        with self.sessions() as session:
            self._set(session, CODE, is_paused=paused)

    def delete(self, code: str = CODE) -> None:
        self.say("delete_dag")
        with self.sessions() as session:
            session.execute(text("DELETE FROM dag WHERE dag_id = :dag"), {"dag": dag_id(code)})

    def look(self) -> None:
        self.now += 100
        self.reconciler._compare_dags(self.ledger)

    def comes_back_paused(self) -> bool:
        """After a look, which leaves a row of those that were paused."""
        self.look()
        with self.metadata.connect() as connection:
            found = connection.execute(text("SELECT is_paused, is_stale FROM dag WHERE dag_id = 'push__back'")).all()
        assert found in ([], [(True, True)])
        return bool(found)

    @staticmethod
    def _set(session: Session, code: str, **values: Any) -> None:
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        session.execute(text(f"UPDATE dag SET {assignments} WHERE dag_id = :dag"), {**values, "dag": dag_id(code)})


@pytest.fixture
def desk(ledger: Engine, metadata: Engine) -> Iterator[Desk]:
    with metadata.begin() as connection:
        connection.execute(text("INSERT INTO dag_bundle (name, active) VALUES ('push', true)"))
    desk = Desk(ledger, metadata)
    desk.apply()
    yield desk
    with metadata.begin() as connection:
        connection.execute(text("TRUNCATE dag_bundle, dag, dag_priority_parsing_request, log CASCADE"))


PAUSED, RESUMED = ("patch_dag", '{"is_paused": true}'), ("patch_dag", '{"is_paused": false}')


@pytest.mark.parametrize(
    ("said", "paused"),
    [
        ([], False),
        ([PAUSED], True),
        ([PAUSED, RESUMED], False),
        ([PAUSED, ("cli_dag_unpause", "{}")], False),
        ([RESUMED, ("cli_dag_pause", "{}")], True),
        ([PAUSED, ("push_resume_task", "{}")], False),
        ([("cli_dag_unpause", "{}"), ("push_pause_task", "{}")], True),
        ([PAUSED, ("patch_dag", "what?")], True),
        ([("push_pause_task", '{"refused": "forbidden"}')], False),
        ([PAUSED, ("push_resume_task", '{"refused": "forbidden"}')], True),
    ],
)
def test_of_one_that_nobody_has_seen_the_audit_log_tells(desk: Desk, said: list[tuple[str, str]], paused: bool) -> None:
    for one in said:
        desk.say(*one)
    desk.delete()
    assert desk.comes_back_paused() is paused


@pytest.mark.parametrize("paused", [False, True])
def test_what_was_seen_counts_for_more_than_an_old_entry(desk: Desk, paused: bool) -> None:
    """Several DAGs are paused and resumed by a pattern, of which the audit log has no ids."""
    desk.say(*(RESUMED if paused else PAUSED))
    desk.pause(paused=paused)
    desk.look()
    desk.look()
    desk.delete()
    assert desk.comes_back_paused() is paused


@pytest.mark.parametrize("said", [PAUSED, ("cli_dag_pause", "{}"), ("push_pause_task", "{}")])
def test_what_was_done_since_counts_for_more_than_what_was_seen(desk: Desk, said: tuple[str, str]) -> None:
    desk.look()
    desk.look()
    desk.say(*said)
    desk.delete()
    assert desk.comes_back_paused()


def test_an_entry_may_be_read_before_what_it_tells_of_is_done(desk: Desk) -> None:
    desk.look()
    desk.say(*PAUSED)
    desk.look()
    desk.pause(paused=True)
    desk.delete()
    assert desk.comes_back_paused()


def test_a_pause_is_remembered_while_another_dag_stands_for_the_one_that_is_gone(desk: Desk) -> None:
    """DAGs are counted by file; one of a retired push task, which is about to leave, makes up for one that is gone."""
    desk.apply(OTHER)
    desk.pause(paused=True)
    desk.look()
    desk.look()
    desk.store("retired", shard=shard_of(CODE))
    desk.delete()
    desk.look()
    desk.delete("retired")
    assert desk.comes_back_paused()
