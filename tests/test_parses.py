"""What parses saw, and when Airflow has stored it: the bundle on a ledger and on Airflow's own table of DAGs."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow import settings as airflow_settings
from airflow.models.dag import DagModel  # noqa: TID251
from airflow.models.dagbundle import DagBundleModel  # noqa: TID251
from sqlalchemy import Engine, create_engine, delete, insert, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from push_provider import bundle as bundle_module
from push_provider import parses
from push_provider.bundle import PushTaskBundle
from push_provider.channels.reading import parse
from push_provider.ledger import definitions, shards, tasks
from push_provider.ledger.tables import shard_of
from push_provider.parses import Parse, shard_file

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

INTERVAL = 30
SHARD = 7
BEGAN = datetime(2026, 7, 1, 9, tzinfo=UTC)
LATER, BEFORE = BEGAN + timedelta(milliseconds=1), BEGAN - timedelta(milliseconds=1)


@pytest.fixture
def airflow(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Airflow's database, with its tables of DAGs and bundles."""
    postgres.create_database(name := f"airflow_{uuid.uuid4().hex[:12]}")
    engine = create_engine(postgres.url(name))
    tables = [DagModel.metadata.tables[table] for table in ("team", "dag_bundle", "dag_bundle_team", "dag")]
    DagModel.metadata.create_all(engine, tables=tables)
    with engine.begin() as connection:
        for bundle in ("push", "other"):
            connection.execute(insert(DagBundleModel.__table__).values(name=bundle))
    monkeypatch.setattr(airflow_settings, "NonScopedSession", sessionmaker(engine))
    yield engine
    engine.dispose()


def store(
    airflow: Engine, dag: str, moment: datetime, shard: int = SHARD, *, bundle: str = "push", errors: bool = False
) -> None:
    """What Airflow does at the end of a parse, to one DAG of it."""
    with Session(airflow) as session, session.begin():
        row = session.get(DagModel, dag) or DagModel(dag_id=dag)
        row.bundle_name, row.relative_fileloc = bundle, shard_file(shard)
        row.last_parsed_time, row.has_import_errors, row.is_stale = moment, errors, False
        session.add(row)


# --- the note -----------------------------------------------------------------------------------------------


def test_a_note_is_read_back_and_the_next_replaces_it(tmp_path: Path) -> None:
    assert parses.latest(tmp_path, SHARD) is None
    for seen in (Parse(3, 2, BEGAN), Parse(4, 0, LATER)):
        parses.note(tmp_path, SHARD, seen)
        assert parses.latest(tmp_path, SHARD) == seen
    assert parses.latest(tmp_path, SHARD + 1) is None
    assert len(list(tmp_path.iterdir())) == 1


def test_what_takes_no_note_keeps_nothing_of_it(tmp_path: Path) -> None:
    parses.note(tmp_path, SHARD, Parse(3, 2, BEGAN))
    (file,) = tmp_path.iterdir()
    file.unlink()
    (file / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=file.name):
        parses.note(tmp_path, SHARD, Parse(4, 0, LATER))
    assert list(tmp_path.iterdir()) == [file]
    assert parses.latest(tmp_path, SHARD) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"revision": 1, "dags": 1, "began": "soon"}'])
def test_half_a_note_is_none(tmp_path: Path, text: str) -> None:
    parses.note(tmp_path, SHARD, Parse(3, 2, BEGAN))
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert parses.latest(tmp_path, SHARD) is None


# --- what Airflow has ---------------------------------------------------------------------------------------


def test_all_dags_of_the_parse_must_be_there(airflow: Engine) -> None:
    seen = {SHARD: Parse(3, 2, BEGAN)}
    assert parses.stored("push", seen) == set()
    store(airflow, "push__one", LATER)
    assert parses.stored("push", seen) == set()
    store(airflow, "push__two", BEFORE)  # by the parse before this one
    assert parses.stored("push", seen) == set()
    store(airflow, "push__two", LATER)
    assert parses.stored("push", seen) == {SHARD}
    store(airflow, "push__two", LATER, errors=True)  # could not be serialised
    assert parses.stored("push", seen) == set()


def test_each_shard_is_judged_by_its_own_rows(airflow: Engine) -> None:
    store(airflow, "push__one", LATER, 1)
    store(airflow, "push__two", BEFORE, 2)
    store(airflow, "push__three", LATER, 3, bundle="other")
    assert parses.stored("push", {shard: Parse(1, 1, BEGAN) for shard in (1, 2, 3, 4)}) == {1}


def test_a_shard_without_tasks_has_nothing_to_store(airflow: Engine) -> None:
    store(airflow, "push__deleted", BEFORE)
    assert parses.stored("push", {SHARD: Parse(3, 0, BEGAN)}) == {SHARD}


def test_without_airflow_s_database_nobody_knows(airflow: Engine) -> None:
    DagModel.__table__.drop(airflow)
    with pytest.raises(SQLAlchemyError):
        parses.stored("push", {SHARD: Parse(3, 0, BEGAN)})


# --- the bundle ---------------------------------------------------------------------------------------------


class Desk:
    """A bundle with one task, and a clock that the test sets."""

    def __init__(self, ledger: Engine, airflow: Engine, folder: Path) -> None:
        self.ledger = ledger
        self.airflow = airflow
        self.folder = folder
        self.monotonic = 1000.0
        self.bundle = PushTaskBundle(name="push", refresh_interval=INTERVAL)
        self.bundle.initialize()

    def apply(self, subject: str = "Hello") -> None:
        task = {"code": "one", "name": "One", "channel": "email", "subject": subject, "content": "c"}
        definitions.apply(
            self.ledger,
            parse({"recipients": ["a@example.com"], **task}),
            now=datetime(2026, 7, 1, tzinfo=UTC),
            default_timezone="UTC",
        )

    def parse(self, ago: float = 0.0, *, stored: bool = True) -> None:
        """What the DAG processor does, so many seconds ago."""
        began = datetime.now(UTC) - timedelta(seconds=ago)
        revision, rows = shards.shard_tasks(self.ledger, shard_of("one"))
        parses.note(self.folder, shard_of("one"), Parse(revision, len(rows), began))
        if stored:
            store(self.airflow, "push__one", began + timedelta(milliseconds=1), shard_of("one"))

    def files(self) -> list[str]:
        """The shard files."""
        return sorted(file.name for file in self.folder.glob("*.py"))

    def is_built(self) -> bool:
        return shards.revisions(self.ledger)[shard_of("one")][1]

    def wants(self) -> bool:
        """Whether the bundle wants a parse, or a file to go; then that is brought about."""
        before = self._times()
        if not self.bundle.refresh_interval:
            self.bundle.refresh()
        return self._times() != before

    def _times(self) -> dict[str, int]:
        return {file.name: file.stat().st_mtime_ns for file in self.folder.glob("*.py")}


@pytest.fixture
def desk(ledger: Engine, airflow: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    folder = tmp_path / "push_dags"
    monkeypatch.setenv("AIRFLOW__PUSH__BUNDLE_DIR", str(folder))
    desk = Desk(ledger, airflow, folder)
    monkeypatch.setattr("push_provider.bundle.time.monotonic", lambda: desk.monotonic)
    desk.apply()
    assert desk.wants()
    return desk


def let_go(airflow: Engine, *, paused: bool) -> None:
    """What the reconciler does to a DAG that no push task is for."""
    one = DagModel.dag_id == "push__one"
    with airflow.begin() as connection:
        connection.execute(update(DagModel).where(one).values(is_stale=True) if paused else delete(DagModel).where(one))


@pytest.mark.parametrize("paused", [False, True])
def test_a_shard_that_all_tasks_have_left_has_a_file_until_its_dags_are_gone(desk: Desk, paused: bool) -> None:
    desk.parse()
    assert not desk.wants()
    tasks.delete(desk.ledger, "one", purge=False)
    # Else the DAG processor marks the DAG as stale, and dies if the DAG is deleted meanwhile.
    assert not desk.wants()
    assert desk.files() == [shard_file(shard_of("one"))]
    let_go(desk.airflow, paused=paused)
    assert desk.wants()
    assert desk.files() == []
    assert not desk.wants()
    desk.apply()
    assert desk.wants()
    assert desk.files() == [shard_file(shard_of("one"))]


def test_a_dag_of_another_bundle_holds_no_file(desk: Desk) -> None:
    desk.parse(stored=False)
    store(desk.airflow, "push__one", LATER, shard_of("one"), bundle="other")
    tasks.delete(desk.ledger, "one", purge=False)
    assert desk.wants()
    assert desk.files() == []


def test_files_stay_while_nobody_can_tell_what_airflow_has(desk: Desk) -> None:
    desk.parse(stored=False)
    tasks.delete(desk.ledger, "one", purge=False)
    DagModel.__table__.drop(desk.airflow)
    assert not desk.wants()
    desk.bundle.refresh()
    assert desk.files() == [shard_file(shard_of("one"))]


def test_what_airflow_has_stored_is_built(desk: Desk) -> None:
    desk.parse()
    assert not desk.is_built()
    assert not desk.wants()
    assert desk.is_built()


def test_what_airflow_could_not_store_is_parsed_again(desk: Desk) -> None:
    desk.parse(stored=False)
    desk.monotonic += 3
    assert not desk.wants()  # it may be about to
    desk.parse(ago=6, stored=False)
    assert desk.wants()
    assert not desk.is_built()
    desk.parse()
    assert not desk.wants()
    assert desk.is_built()


@pytest.mark.slow
def test_what_never_works_is_parsed_less_and_less(desk: Desk) -> None:
    waits = []
    for _ in range(7):
        desk.parse(ago=6, stored=False)
        begun = desk.monotonic
        while not desk.wants():
            desk.monotonic += 0.5
        waits.append(desk.monotonic - begun)
    assert waits == [2.5, 4.5, 8.5, 16.5, 32.5, 60.5, 60.5]
    desk.apply("Another")  # a change is taken up at once, and has patience of its own
    assert desk.wants()
    desk.monotonic += 2.5
    assert desk.wants()


def test_a_change_since_the_parse_is_not_built(desk: Desk) -> None:
    desk.parse()
    desk.apply("Another")
    assert desk.wants()
    assert not desk.is_built()


def test_a_clock_that_was_set_back_delays_nothing(desk: Desk) -> None:
    desk.parse(ago=-3600, stored=False)
    desk.monotonic += 2.5
    assert desk.wants()


def test_without_airflow_s_database_nothing_is_built_yet(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.parse()
    store(desk.airflow, "push__one", datetime.now(UTC), shard_of("one"))
    with desk.airflow.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE dag RENAME TO away")
    with caplog.at_level(logging.WARNING, logger=bundle_module.__name__):
        assert not desk.wants()
    assert not desk.is_built()
    assert "cannot be told yet" in caplog.text
    with desk.airflow.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO dag")
    assert not desk.wants()
    assert desk.is_built()


def test_while_all_is_built_airflow_is_not_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.parse()
    desk.wants()
    assert desk.is_built()
    monkeypatch.setattr(airflow_settings, "NonScopedSession", None)  # whoever asks for a session gets an error
    for _ in range(3):
        desk.monotonic += 100
        assert not desk.wants()
