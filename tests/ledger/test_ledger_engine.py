"""The ledger's database is reached, or an error says what to do about it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from ledger_desk import NOW, push
from sqlalchemy import Connection, Engine, create_engine, text

from push_provider.contract import Recipient, Trigger
from push_provider.exceptions import ConfigurationError, LedgerUnavailable, TransientError
from push_provider.ledger import definitions, planning, schema, sending, shards, task_lists, tasks, walks
from push_provider.ledger.engine import _engine, get_engine, transaction
from push_provider.unforeseen import traceback_of

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

OPTION = "AIRFLOW__PUSH__SQL_ALCHEMY_CONN"


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port on loopback that is taken and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_an_unreachable_database(monkeypatch: pytest.MonkeyPatch, dead_port: int) -> None:
    monkeypatch.setenv(OPTION, f"postgresql://push:open-sesame@127.0.0.1:{dead_port}/push")
    for call in (task_lists.find, shards.revisions, schema.migrate):
        with pytest.raises(LedgerUnavailable) as caught:
            call(get_engine())  # type: ignore[operator]
        assert isinstance(caught.value, TransientError)
        assert str(dead_port) in str(caught.value)
        assert "open-sesame" not in "".join(traceback.format_exception(caught.value))


def test_an_error_of_the_database_shows_no_row_and_no_parameter(ledger: Engine) -> None:
    to = "ann@" + "secret.example"  # whole in no line of this file, which the traceback shows, too

    def insert(connection: Connection) -> None:
        query = "INSERT INTO push_delivery (execution_id, recipient, state) VALUES (1, :to, NULL)"
        connection.execute(text(query), {"to": to})

    def copy(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        query = "COPY push_delivery (execution_id, recipient, state) FROM STDIN"
        with driver.cursor() as cursor, cursor.copy(query) as rows:
            rows.write_row((1, to, None))

    for fail in (insert, copy):
        with pytest.raises(Exception, match="null value in column") as caught, transaction(ledger) as connection:
            fail(connection)
        assert to not in "".join(traceback.format_exception(caught.value))
        assert to not in traceback_of(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://push:open-sesame@db.example:port/push",
        "postgresql://push:open@sesame@db.example/push",
        "postgresql://push:open-sesame@[::1/push",
        "push:open-sesame@db.example/push",
        "mysql://push:open-sesame@db.example/push",
    ],
)
def test_what_is_no_url_of_postgresql_is_refused_and_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPTION, url)
    with pytest.raises(ConfigurationError, match=r"\[push\] sql_alchemy_conn") as caught:
        get_engine()
    assert "sesame" not in str(caught.value)


def test_one_engine_a_database(ledger: Engine) -> None:
    assert get_engine() is ledger


def test_a_database_that_is_not_there(postgres: PostgresServer) -> None:
    engine = create_engine(postgres.url("nowhere"))
    with pytest.raises(LedgerUnavailable, match='database "nowhere" does not exist'):
        task_lists.find(engine)
    engine.dispose()


def test_a_database_that_is_not_migrated(postgres: PostgresServer) -> None:
    postgres.create_database("bare")
    engine = create_engine(postgres.url("bare"))
    for call in (
        lambda: task_lists.find(engine),
        lambda: definitions.apply(engine, push("a"), now=NOW, default_timezone="UTC"),
        lambda: shards.shard_tasks(engine, 1),
        lambda: planning.plan(engine, "a", source="cli", freeze=lambda _: {}),
        lambda: sending.held(engine, "a", 1, on_unknown="hold").__enter__(),
    ):
        with pytest.raises(LedgerUnavailable, match="airflow push migrate"):
            call()
    engine.dispose()


def test_a_server_that_has_become_a_standby_is_left_for_the_one_in_its_place(ledger: Engine) -> None:
    def change() -> None:
        definitions.apply(ledger, push("a"), now=NOW, default_timezone="UTC")

    mode = f'ALTER DATABASE "{ledger.url.database}" SET default_transaction_read_only = %s'
    with ledger.begin() as connection:
        connection.exec_driver_sql(mode % "on")
    ledger.dispose()  # its connections were of the time before
    with pytest.raises(LedgerUnavailable, match="read-only transaction"):
        change()
    with ledger.begin() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ WRITE")
        connection.exec_driver_sql(mode % "off")
    ledger.dispose()
    with ledger.begin() as connection:
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    with pytest.raises(LedgerUnavailable, match="read-only transaction"):
        change()
    with ledger.begin() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != backend
    change()


@pytest.mark.parametrize(("query", "prepares"), [("", True), ("&prepare_threshold=none", False)])
def test_statements_are_prepared_unless_the_url_says_otherwise(ledger: Engine, query: str, prepares: bool) -> None:
    engine = _engine(ledger.url.render_as_string(hide_password=False) + query)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert (driver.prepare_threshold is not None) is prepares
    engine.dispose()


def test_too_many_at_once(postgres: PostgresServer) -> None:
    engine = create_engine(postgres.url("postgres"), pool_size=1, max_overflow=0, pool_timeout=0.05)
    with transaction(engine), pytest.raises(LedgerUnavailable, match="in use"), transaction(engine):
        pytest.fail("a second connection")
    engine.dispose()


def test_other_faults_stay_what_they_are(ledger: Engine) -> None:
    with pytest.raises(ZeroDivisionError), transaction(ledger):
        raise ZeroDivisionError
    with pytest.raises(Exception, match="division by zero"), transaction(ledger) as connection:
        connection.execute(text("SELECT 1 / 0"))
    assert task_lists.find(ledger) == []


class TimeIsOver(BaseException):
    """As Airflow's execution timeout, which a signal's handler raises wherever the process happens to be."""


def test_a_signal_in_the_middle_of_a_call_stays_what_it_is(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is asked, and its answer not read: the driver then says that its connection is busy."""
    assert task_lists.find(ledger) == []  # a connection that is asked, before it is used again, whether it still lives
    send = psycopg.Cursor._execute_send  # type: ignore[attr-defined]

    def broken_off(*args: object, **kwargs: object) -> None:
        monkeypatch.setattr(psycopg.Cursor, "_execute_send", send)
        send(*args, **kwargs)
        raise TimeIsOver

    for call in (
        lambda: task_lists.find(ledger),
        lambda: definitions.apply(ledger, push("a"), now=NOW, default_timezone="UTC"),
        lambda: sending.held(ledger, "a", 1, on_unknown="hold").__enter__(),
    ):
        monkeypatch.setattr(psycopg.Cursor, "_execute_send", broken_off)
        with pytest.raises(TimeIsOver):
            call()
        assert task_lists.find(ledger) == []


def test_what_was_handled_before_hides_no_fault_of_the_database(ledger: Engine) -> None:
    try:
        raise TimeIsOver
    except TimeIsOver:
        with pytest.raises(Exception, match="division by zero"), transaction(ledger) as connection:
            connection.execute(text("SELECT 1 / 0"))


def test_a_connection_lost_while_deliveries_are_copied(ledger: Engine) -> None:
    definitions.apply(ledger, push("a"), now=NOW, default_timezone="UTC")

    class Recipients(list[Recipient]):
        """Loses the connection after the first recipient."""

        def __iter__(self) -> Iterator[Recipient]:
            yield Recipient(to="a@example.com")
            with ledger.begin() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY push_delivery%'"
                        " AND datname = current_database()"
                    )
                )
            for n in range(20_000):
                yield Recipient(to=f"u{n}@example.com")

    trigger = Trigger.model_construct(recipients=Recipients([Recipient(to="x@example.com")]), variables={})
    with pytest.raises(LedgerUnavailable):
        planning.plan(ledger, "a", source="cli", freeze=lambda _: {}, trigger=trigger)
    assert tasks.get(ledger, "a").executions == 0
    assert tasks.get(ledger, "a").status == "pending"


def test_a_connection_that_the_server_closed_is_replaced(ledger: Engine) -> None:
    with ledger.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    killer = create_engine(ledger.url)
    with killer.connect() as connection:
        assert connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid}).scalar()
    killer.dispose()
    assert task_lists.find(ledger) == []


@pytest.mark.slow
def test_a_forked_child_has_connections_of_its_own(ledger: Engine, tmp_path: Path) -> None:
    """In a process of its own, as pytest's has threads: the parent is in a transaction while its child works."""
    script = tmp_path / "fork.py"
    script.write_text(
        """
import os
from sqlalchemy import text
from push_provider.ledger import task_lists
from push_provider.ledger.engine import get_engine

engine = get_engine()
pid = text("SELECT pg_backend_pid()")
with engine.connect() as spare:
    spare.execute(pid)  # an idle one in the pool, too
with engine.connect() as held, engine.connect() as other:
    mine = {held.execute(pid).scalar(), other.execute(pid).scalar()}
    child = os.fork()
    if child == 0:
        with get_engine().connect() as own:
            fresh = own.execute(pid).scalar() not in mine and task_lists.find(engine) == []
        import gc
        gc.collect()
        os._exit(0 if fresh else 3)
    assert os.waitpid(child, 0)[1] == 0
    assert {held.execute(pid).scalar(), other.execute(pid).scalar()} == mine
assert task_lists.find(engine) == []
print("parent works")
"""
    )
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, env=os.environ, check=False)
    assert (result.returncode, result.stdout) == (0, "parent works\n"), result.stderr


def test_what_upkeep_goes_through_waits_for_no_disk(ledger: Engine) -> None:
    show = text("SHOW synchronous_commit")
    with ledger.connect() as connection:
        connection.execute(text("SET synchronous_commit TO on"))
        walks.go_on(connection, "addresses", 3)
        assert connection.scalar(show) == "off"
        connection.commit()
        assert connection.scalar(show) == "on"
