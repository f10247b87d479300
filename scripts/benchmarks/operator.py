"""Our operator on a ledger of its own, without Airflow around it: messages a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any


@contextmanager
def operator(folder: Path, channel: str, recipients: Sequence[Any], **fields: Any) -> Iterator[Callable[[], float]]:
    """Start a ledger in ``folder``; the block gets a function that sends to all recipients once.

    :param fields: of the push task.
    :returns: messages a second, from the beginning of the operator to its end.
    """
    from push_provider.ledger.engine import get_engine
    from push_provider.ledger.schema import migrate
    from sandbox.postgres import PostgresServer

    with PostgresServer(folder / "postgres") as postgres:
        postgres.create_database("push")
        os.environ["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"] = postgres.url("push")
        engine = get_engine()
        migrate(engine)
        number = 0

        def send() -> float:
            nonlocal number
            number += 1
            return _send(engine, f"bench-{number}", channel, recipients, fields)

        yield send
        engine.dispose()


def _send(engine: Any, code: str, channel: str, recipients: Sequence[Any], fields: dict[str, Any]) -> float:
    from push_provider.channels.reading import parse
    from push_provider.channels.registry import operator_of
    from push_provider.ledger import definitions

    task = parse({"code": code, "name": "Bench", "channel": channel, "recipients": list(recipients), **fields})
    definitions.apply(engine, task, now=datetime.now(UTC), default_timezone="UTC")
    run = SimpleNamespace(
        run_id=f"run-{code}", conf={}, run_type="manual", logical_date=None, start_date=None, triggering_user_name=None
    )
    context: Any = {"dag_run": run, "ti": SimpleNamespace(try_number=1, max_tries=0)}
    kind = operator_of(channel)
    begun = time.perf_counter()
    result = kind(task_id="send", code=code).execute(context)
    seconds = time.perf_counter() - begun
    if result["sent"] != len(recipients):
        raise SystemExit(f"Only {result['sent']} of {len(recipients)} were sent")
    return len(recipients) / seconds
