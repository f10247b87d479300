"""The bundle on a real ledger: which files it writes and touches, and when it asks Airflow to look."""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager

from push_provider import bundle as bundle_module
from push_provider.bundle import PushTaskBundle, shard_file
from push_provider.channels.reading import parse
from push_provider.exceptions import LedgerUnavailable
from push_provider.ledger import definitions, shards, tasks
from push_provider.ledger.tables import SHARDS, shard_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from sandbox.postgres import PostgresServer

INTERVAL = 30
LONG_AGO = 1_000_000_000
OTHER = next(f"other-{n}" for n in range(SHARDS) if shard_of(f"other-{n}") != shard_of("one"))


class Clock:
    """``time.monotonic`` as the bundle sees it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("push_provider.bundle.time.monotonic", clock)
    return clock


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the bundle keeps its files; it is not there yet."""
    folder = tmp_path / "home" / "push_dags"
    monkeypatch.setenv("AIRFLOW__PUSH__BUNDLE_DIR", str(folder))
    return folder


@pytest.fixture
def bundle(ledger: Engine, folder: Path, clock: Clock) -> PushTaskBundle:
    return PushTaskBundle(name="push", refresh_interval=INTERVAL)


@pytest.fixture
def apply(ledger: Engine) -> Callable[..., None]:
    def apply(*codes: str, **fields: Any) -> None:
        for code in codes:
            task = {"code": code, "name": "Bundle", "channel": "email", "subject": "s", "content": "c", **fields}
            definitions.apply(
                ledger,
                parse({"recipients": ["a@example.com"], **task}),
                now=datetime(2026, 7, 1, tzinfo=UTC),
                default_timezone="UTC",
            )

    return apply


def build(engine: Engine, *codes: str) -> None:
    """What the DAG processor does to the shards of these tasks."""
    for shard in {shard_of(code) for code in codes}:
        revision, _ = shards.shard_tasks(engine, shard)
        shards.mark_built(engine, {shard: revision})


def files(folder: Path) -> list[str]:
    """Everything in the folder: nothing but shard files may be left there."""
    return sorted(path.name for path in folder.iterdir())


def age(folder: Path) -> None:
    """Make every file look as if it was not touched for long."""
    for path in folder.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))


def touched(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.stat().st_mtime != LONG_AGO)


def names(*codes: str) -> list[str]:
    return sorted({shard_file(shard_of(code)) for code in codes})


# --- files ----------------------------------------------------------------------------------------------


def test_airflow_makes_the_bundle_from_its_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"name": "push", "classpath": "push_provider.bundle.PushTaskBundle", "kwargs": {"refresh_interval": 7}}
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([entry]))
    monkeypatch.delenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", raising=False)
    bundle = DagBundlesManager().get_bundle("push")
    assert isinstance(bundle, PushTaskBundle)
    assert bundle.path == folder
    assert bundle.get_current_version() is None
    assert not bundle.supports_versioning
    assert bundle.refresh_interval == 7
    assert not folder.exists()  # Airflow also makes bundles only to ask for their links


def test_an_empty_ledger_makes_an_empty_folder(bundle: PushTaskBundle, folder: Path) -> None:
    bundle.initialize()
    assert bundle.is_initialized
    assert files(folder) == []
    assert bundle.refresh_interval == INTERVAL


def test_only_shards_with_tasks_have_a_file(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine
) -> None:
    apply("one", OTHER)
    build(ledger, "one")  # built or not: a worker needs every file
    bundle.initialize()
    assert files(folder) == names("one", OTHER)
    assert len(files(folder)) == 2
    for code in ("one", OTHER):
        text = (folder / shard_file(shard_of(code))).read_text()
        assert f"push_dags({shard_of(code)})" in text.splitlines()
        # Without these words Airflow's safe mode takes no file for a DAG file.
        assert "airflow" in text.lower()
        assert "dag" in text.lower()


def test_initialize_leaves_files_that_are_right(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None]
) -> None:
    apply("one", OTHER)
    bundle.initialize()
    age(folder)
    (folder / shard_file(shard_of("one"))).unlink()
    (folder / shard_file(shard_of(OTHER))).write_text("of another version")
    age(folder)
    bundle.initialize()
    assert touched(folder) == names("one", OTHER)
    age(folder)
    PushTaskBundle(name="push").initialize()
    assert touched(folder) == []


def test_a_file_is_replaced_in_one_step(bundle: PushTaskBundle, folder: Path, apply: Callable[..., None]) -> None:
    apply("one")
    bundle.initialize()
    target = folder / shard_file(shard_of("one"))
    whole, old = target.read_text(), "# of another version\n" * 1000
    target.write_text(old)
    with target.open() as reader:  # a parser that has it open reads the old one to its end
        bundle.initialize()
        assert reader.read() == old
    assert target.read_text() == whole
    assert files(folder) == names("one")


def test_nobody_reads_half_a_file(bundle: PushTaskBundle, folder: Path, apply: Callable[..., None]) -> None:
    apply("one")
    bundle.initialize()
    target = folder / shard_file(shard_of("one"))
    whole = target.read_text()
    seen: set[str] = set()
    reading, done = threading.Event(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(target.read_text())
            reading.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert reading.wait(10)
        for number in range(200):
            old = target.with_name("old")
            old.write_text(f"# {number}")
            old.replace(target)
            bundle.initialize()
    finally:
        done.set()
        reader.join()
    assert {text for text in seen if not text.startswith("# ")} <= {whole}
    assert target.read_text() == whole


# --- what is touched, and when ----------------------------------------------------------------------------


def test_refresh_touches_changed_shards_and_no_other(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine
) -> None:
    apply("one", OTHER)
    bundle.initialize()
    bundle.refresh()
    build(ledger, "one", OTHER)
    age(folder)
    bundle.refresh()
    assert touched(folder) == []
    apply("one", subject="another")
    bundle.refresh()
    assert touched(folder) == names("one")


def test_refresh_writes_the_file_of_a_new_shard(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine
) -> None:
    apply("one")
    bundle.initialize()
    bundle.refresh()
    build(ledger, "one")
    age(folder)
    apply(OTHER)
    bundle.refresh()
    assert files(folder) == names("one", OTHER)
    assert touched(folder) == names(OTHER)


def test_a_cancelled_task_is_a_change(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine
) -> None:
    apply("one")
    bundle.initialize()
    bundle.refresh()
    build(ledger, "one")
    assert bundle.refresh_interval == INTERVAL
    age(folder)
    tasks.cancel(ledger, "one")
    assert bundle.refresh_interval == INTERVAL
    assert touched(folder) == names("one")


def test_an_unchanged_task_applied_again_is_no_change(
    bundle: PushTaskBundle, apply: Callable[..., None], ledger: Engine
) -> None:
    apply("one")
    bundle.initialize()
    bundle.refresh()
    build(ledger, "one")
    apply("one")
    assert bundle.refresh_interval == INTERVAL


def test_a_refresh_is_asked_for_only_if_a_file_is_to_be_written(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine
) -> None:
    bundle.initialize()
    assert bundle.refresh_interval == INTERVAL
    apply("one")
    assert bundle.refresh_interval == 0
    assert bundle.refresh_interval == 0  # asking writes nothing
    assert files(folder) == []
    bundle.refresh()
    assert bundle.refresh_interval == INTERVAL
    build(ledger, "one")
    age(folder)
    assert bundle.refresh_interval == INTERVAL
    assert touched(folder) == []
    apply("one", subject="another")
    assert bundle.refresh_interval == INTERVAL  # Airflow parses what is touched without one
    assert touched(folder) == names("one")
    age(folder)
    apply("one", subject="a third")
    build(ledger, "one")  # somebody else parsed it meanwhile
    assert bundle.refresh_interval == INTERVAL
    assert touched(folder) == []


def test_a_file_that_another_process_wrote_asks_for_a_refresh(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None]
) -> None:
    bundle.initialize()
    bundle.refresh()
    apply("one")
    PushTaskBundle(name="push").initialize()  # a task's process, whenever it begins
    assert files(folder) == names("one")
    assert bundle.refresh_interval == 0  # the DAG processor has listed the folder before
    bundle.refresh()
    assert bundle.refresh_interval == INTERVAL


def test_a_file_that_somebody_deleted_is_written_again(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None]
) -> None:
    apply("one")
    bundle.initialize()
    bundle.refresh()
    (file,) = folder.glob("shard_*.py")
    file.unlink()
    apply("one", subject="another")
    assert bundle.refresh_interval == 0
    bundle.refresh()
    assert files(folder) == names("one")


def test_a_folder_that_takes_no_touch_asks_for_a_refresh_which_says_why(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    apply("one")
    bundle.initialize()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("push_provider.bundle.os.utime", refuse)
    assert bundle.refresh_interval == 0
    with pytest.raises(PermissionError, match="shard_"):
        bundle.refresh()


def test_a_file_that_cannot_be_written_keeps_no_other_from_its_parse(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk, which takes no new file."""
    apply(OTHER)
    bundle.initialize()
    bundle.refresh()
    scratch = folder / f".{shard_file(shard_of('one'))}.{os.getpid()}"
    scratch.mkdir()
    apply("one")
    apply(OTHER, subject="another")
    age(folder)
    with pytest.raises(OSError, match=scratch.name):
        bundle.refresh()
    assert files(folder) == [scratch.name, *names(OTHER)]
    assert touched(folder) == names(OTHER)
    PushTaskBundle(name="push").initialize()  # as after a restart: those that are there are parsed
    assert f"The file of shard {shard_of('one')} cannot be written" in caplog.text
    scratch.rmdir()
    bundle.refresh()
    assert files(folder) == names("one", OTHER)


def test_airflow_may_set_the_interval(bundle: PushTaskBundle) -> None:
    bundle.refresh_interval = 5
    assert bundle.refresh_interval == 5


def test_a_shard_that_is_not_noted_as_built_is_touched_again(
    bundle: PushTaskBundle, folder: Path, clock: Clock, apply: Callable[..., None], ledger: Engine
) -> None:
    def asked() -> list[str]:
        age(folder)
        assert bundle.refresh_interval == INTERVAL
        return touched(folder)

    apply("one")
    bundle.initialize()
    bundle.refresh()
    clock.now += 2.0
    assert asked() == []
    clock.now += 0.1
    assert asked() == names("one")
    assert asked() == []
    clock.now += 1.0
    age(folder)
    bundle.refresh()
    assert touched(folder) == []
    clock.now += 1.5
    build(ledger, "one")
    assert asked() == []


def test_a_change_during_a_parse_is_not_lost(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine
) -> None:
    apply("one")
    bundle.initialize()
    bundle.refresh()
    revision, _ = shards.shard_tasks(ledger, shard_of("one"))  # the parse begins
    apply("one", subject="another")
    shards.mark_built(ledger, {shard_of("one"): revision})  # and ends
    age(folder)
    assert bundle.refresh_interval == INTERVAL
    assert touched(folder) == names("one")


# --- without a ledger -------------------------------------------------------------------------------------


@pytest.fixture(params=["unset", "no server", "not migrated"])
def broken(request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path: Path) -> str:
    """A ``[push] sql_alchemy_conn`` that is of no use."""
    if request.param == "not migrated":
        return postgres.url("postgres")
    return "" if request.param == "unset" else f"postgresql://u@/d?host={tmp_path}"


def test_without_the_ledger_files_stay_and_nothing_is_raised(
    broken: str,
    bundle: PushTaskBundle,
    folder: Path,
    clock: Clock,
    apply: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    apply("one")
    bundle.initialize()
    bundle.refresh()
    age(folder)
    with monkeypatch.context() as down, caplog.at_level(logging.WARNING, logger=bundle_module.__name__):
        down.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", broken)
        for _ in range(3):
            assert bundle.refresh_interval == INTERVAL
            bundle.refresh()
            bundle.initialize()
            clock.now += 10
        assert files(folder) == names("one")
        assert touched(folder) == []
        (record,) = caplog.records  # Airflow asks every second: it is said once
        assert record.getMessage().startswith("Push tasks cannot be read: ")
    assert bundle.refresh_interval == INTERVAL
    assert touched(folder) == names("one")


def test_a_worker_without_the_ledger_begins_with_an_empty_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", "")
    bundle = PushTaskBundle(name="push")
    bundle.initialize()
    assert files(folder) == []


# --- other files ----------------------------------------------------------------------------------------


def test_a_dag_processor_that_begins_with_an_empty_folder_writes_all_files_once_the_ledger_is_there(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a new container. Airflow takes the DAGs of files that are missing for deleted, but after an error."""
    apply("one", OTHER)
    build(ledger, "one", OTHER)
    with monkeypatch.context() as down:
        down.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", f"postgresql://u@/d?host={folder}")
        bundle.initialize()
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match="until they can"):
                bundle.refresh()
    assert files(folder) == []
    assert bundle.refresh_interval == 0
    bundle.refresh()
    assert files(folder) == names("one", OTHER)
    assert bundle.refresh_interval == INTERVAL


def test_the_file_of_a_shard_that_another_dag_processor_has_built_is_written(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None], ledger: Engine
) -> None:
    bundle.initialize()
    bundle.refresh()
    apply("one")
    build(ledger, "one")
    assert bundle.refresh_interval == 0
    bundle.refresh()
    assert files(folder) == names("one")
    assert bundle.refresh_interval == INTERVAL


def test_files_that_are_no_shards_are_left_alone(
    bundle: PushTaskBundle, folder: Path, apply: Callable[..., None]
) -> None:
    apply("one")
    bundle.initialize()
    (folder / "notes.txt").write_text("mine")
    bundle.refresh()
    assert files(folder) == sorted([*names("one"), "notes.txt"])
