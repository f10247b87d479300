"""A push task of the test's own in the ledger, and short words for what is done with it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import text

from push_provider.channels.base import Delivery, Outcome, Result
from push_provider.channels.reading import parse
from push_provider.ledger import closing, definitions, deliveries, executions, planning, sending, tasks
from push_provider.ledger.leases import Lease

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.contract import PushTask
    from push_provider.ledger.definitions import Applied
    from push_provider.ledger.deliveries import DeliveryRow
    from push_provider.ledger.executions import ExecutionRow
    from push_provider.ledger.plans import Plan

NOW = datetime(2026, 7, 1, 5, 25, tzinfo=UTC)
LOOP: dict[str, Any] = {"type": "loop"}
CHANNEL = "email"
"""Of all push tasks here."""
_numbers = itertools.count()
_T = TypeVar("_T")


def push(code: str, **fields: Any) -> PushTask:
    """A push task to three people, with the fields given."""
    return parse(
        {
            "code": code,
            "name": "Ledger",
            "channel": CHANNEL,
            "subject": "Hello",
            "content": "Good day",
            "recipients": ["a@example.com", "b@example.com", "c@example.com"],
            **fields,
        }
    )


class Desk:
    """The ledger with one push task at hand; it shortens calls and decides nothing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.code = f"t{os.getpid()}-{next(_numbers)}"
        self.leases: dict[int, Lease] = {}

    def apply(self, **fields: Any) -> Applied:
        options = {key: fields.pop(key) for key in ("now", "dry_run") if key in fields}
        options = {"now": NOW, "default_timezone": "UTC", **options}
        return definitions.apply(self.engine, push(self.code, **fields), **options)

    def plan(self, **options: Any) -> Plan:
        return planning.plan(
            self.engine,
            self.code,
            **{"source": "manual", "freeze": lambda _: {"message": "Good day"}, **options},
        )

    @contextmanager
    def sending(self, plan: Plan, on_unknown: str = "resend", wait: float = 0.0) -> Iterator[Lease]:
        """Hold an execution; what is claimed and recorded of it meanwhile is so by its holder."""
        with sending.held(self.engine, self.code, plan.id, on_unknown=on_unknown, wait=wait) as lease:
            self.leases[plan.id] = lease
            try:
                yield lease
            finally:
                del self.leases[plan.id]

    def lease(self, plan: Plan) -> Lease:
        """The lease of who holds an execution; of an execution that nobody holds, one that is taken for good."""
        if plan.id not in self.leases:
            lease = self.leases[plan.id] = Lease(self.engine, plan.id)
            with self.engine.begin() as connection:
                lease.take(connection)
        return self.leases[plan.id]

    def lapse(self, plan: Plan) -> None:
        """Let the lease of an execution end, as if its holder had said nothing for long."""
        with self.engine.begin() as connection:
            over = "UPDATE push_lease SET until = now() - interval '1 second' WHERE execution_id = :id"
            assert connection.execute(text(over), {"id": plan.id}).rowcount == 1

    def claim(self, plan: Plan, limit: int = 100, after: int = 0) -> list[Delivery]:
        return sending.claim(self.lease(plan), limit, after=after)

    def record(self, plan: Plan, claimed: Sequence[Delivery], *results: Result) -> None:
        assert len(claimed) == len(results)
        sending.record(self.lease(plan), [outcome(d, r) for d, r in zip(claimed, results, strict=True)])

    def run(self, plan: Plan, *results: Result, final: bool = True, on_unknown: str = "resend") -> closing.Counts:
        """One try of an execution, with these results for what is pending, in order."""
        with self.sending(plan, on_unknown):
            self.record(plan, self.claim(plan), *results)
            return closing.finish(self.engine, plan.id, final=final)

    @property
    def row(self) -> tasks.TaskRow:
        return tasks.get(self.engine, self.code)

    @property
    def task(self) -> PushTask:
        """With its recipients."""
        return tasks.get_whole(self.engine, self.code).task()

    @property
    def status(self) -> str:
        return self.row.status.value

    def execution(self, plan: Plan) -> ExecutionRow:
        (row,) = [row for row in executions.find(self.engine, task=self.code) if row.id == plan.id]
        return row

    def deliveries(self, plan: Plan) -> list[DeliveryRow]:
        """In the order of their ids."""
        return deliveries.find(self.engine, execution=plan.id, limit=100_000)[::-1]

    def states(self, plan: Plan) -> list[str]:
        return [row.state.value for row in self.deliveries(plan)]


def outcome(delivery: Delivery, result: Result) -> Outcome:
    code, words = {
        Result.SENT: ("250", "queued"),
        Result.FAILED: ("550", "no such user"),
        Result.RETRY: ("451", "try later"),
        Result.UNKNOWN: ("timeout", "no answer to the end of the message"),
    }[result]
    return Outcome(delivery.id, result, f"<{delivery.id}@example.com>" if result is Result.SENT else None, code, words)


def await_waiting(engine: Engine, over: Callable[[], bool], count: int = 1) -> None:
    """Until so many wait for a lock, or ``over``."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    while not over():
        with engine.connect() as connection:
            if connection.execute(query).scalar_one() >= count:
                return


def at_once(count: int, call: Callable[[int], _T]) -> list[_T | Exception]:
    """What ``call`` gave or raised in each of so many threads, all let go at the same moment."""
    barrier = Barrier(count)

    def run(number: int) -> _T | Exception:
        barrier.wait()
        try:
            return call(number)
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
