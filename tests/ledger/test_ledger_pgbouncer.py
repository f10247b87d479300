"""The ledger behind PgBouncer, which hands each transaction to another connection. Left out where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
from ledger_desk import Desk, outcome
from pgbouncer import PROGRAM, pgbouncer

from push_provider.channels.base import Result
from push_provider.exceptions import ExecutionBusy, ExecutionTaken
from push_provider.ledger import closing, engine, sending

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from sandbox.postgres import PostgresServer


@pytest.fixture
def port(ledger: Engine, postgres: PostgresServer, tmp_path: Path) -> Iterator[int]:
    """Where a PgBouncer listens that has two connections to the ledger."""
    if PROGRAM is None:
        pytest.skip("pgbouncer is not installed")
    with pgbouncer(tmp_path, postgres.socket, str(ledger.url.database), 2) as (port, running):
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname=ledger.url.database).close()
                break
            except psycopg.OperationalError:
                assert running.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield port


@pytest.fixture
def desk(port: int, ledger: Engine) -> Iterator[Desk]:
    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/{quote(str(ledger.url.database))}?prepare_threshold=none"
    behind = engine._engine(url)
    yield Desk(behind)
    behind.dispose()


def test_one_process_sends_though_its_transactions_are_on_any_connection(desk: Desk) -> None:
    desk.apply(recipients=[f"c{number}@example.com" for number in range(200)])
    plan = desk.plan()
    with desk.sending(plan) as lease:
        after = sent = 0
        chunk = sending.claim(lease, 10)
        while chunk:  # more often than a statement is run before it is prepared
            with pytest.raises(ExecutionBusy), desk.sending(plan):
                pytest.fail("two have it")
            sent += len(chunk)
            after = chunk[-1].id
            made = [outcome(one, Result.SENT) for one in chunk]
            chunk = sending.record_and_claim(lease, made, 10, after=after)
        assert sent == 200
        assert closing.finish(desk.engine, plan.id, final=True, lease=lease).sent == 200


def test_one_that_was_silent_is_replaced(desk: Desk) -> None:
    desk.apply()
    plan = desk.plan()
    with desk.sending(plan) as first:
        claimed = sending.claim(first, 2)
        desk.lapse(plan)
        with sending.held(desk.engine, desk.code, plan.id, on_unknown="resend", wait=0) as second:
            assert len(sending.claim(second, 10)) == 3
            with pytest.raises(ExecutionTaken):
                sending.record(first, [outcome(claimed[0], Result.SENT)])
    assert desk.states(plan) == ["sending"] * 3
