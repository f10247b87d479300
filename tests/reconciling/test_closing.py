"""Executions whose runs have ended are closed; on a real ledger and a real metadata database."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.orm import Session

from push_provider.channels.reading import parse
from push_provider.ledger import definitions, executions, planning
from push_provider.reconciling.reconciler import Reconciler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

CODE = "closing"
_RUN = text("""
    INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, clear_number)
    VALUES ('push__closing', :run, 'manual', 'failed', now(), 0)
""")


def test_one_whose_run_was_cleared_while_others_were_closed_goes_on(ledger: Engine, metadata: Engine) -> None:
    task = {"code": CODE, "name": CODE, "channel": "email", "subject": "s", "content": "c"}
    manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
    wanted = parse({**task, **manual, "recipients": ["a@example.com"]})
    definitions.apply(ledger, wanted, now=datetime.now(UTC), default_timezone="UTC")
    for run in ("first", "second"):
        planning.plan(ledger, CODE, source="manual", run_id=run, freeze=lambda _: {"message": "m"})
        with metadata.begin() as connection:
            connection.execute(_RUN, {"run": run})

    def states() -> dict[str | None, str]:
        return {row.run_id: row.state.value for row in executions.find(ledger, task=CODE)}

    @contextmanager
    def sessions() -> Iterator[Session]:
        if states()["first"] == "failed":  # and that took long
            with metadata.begin() as connection:
                connection.execute(text("UPDATE dag_run SET state = 'queued' WHERE run_id = 'second'"))
        with Session(metadata) as session, session.begin():
            yield session

    Reconciler(lambda: ledger, sessions)._close_executions(ledger)
    assert states() == {"first": "failed", "second": "planned"}
