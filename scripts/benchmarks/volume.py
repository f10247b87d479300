"""Ten million deliveries in 100,000 tasks: lists, a search, a million planned, and a partition that is dropped.

All in the ledger itself, on a PostgreSQL server with its own settings. The partition that holds the ten million is
dropped, by the steps of upkeep, while an execution is claimed and recorded in the next one, chunk by chunk.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import crowd, lists
from benchmarks.stage import say

if TYPE_CHECKING:
    from sqlalchemy import Engine

MANY, SENT = "volume-million", "volume-sent"
"""A task with very many recipients of its own, and the one that is sent while a partition goes."""
_CHUNK = 500


@contextmanager
def _timed(what: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    print(f"  {what:58} {time.perf_counter() - begun:8.2f} s", flush=True)


def _apply(engine: Engine, code: str, count: int) -> None:
    from push_provider.channels.reading import parse
    from push_provider.ledger import definitions

    task = parse(
        {
            "code": code,
            "name": code,
            "channel": "email",
            "subject": "s",
            "content": "Dear {{ to }}",
            "schedule": {"kind": "manual"},
            "execution": {"type": "loop"},
            "recipients": [f"v{n}@bench.example" for n in range(count)],
        }
    )
    definitions.apply(engine, task, now=datetime.now(UTC), default_timezone="UTC")


def _begin(engine: Engine, code: str) -> int:
    from push_provider.ledger import planning

    with engine.begin() as connection:
        return planning.begin_within(connection, code, freeze=lambda _: {}, source="rest").id


def _write(engine: Engine, execution: int) -> None:
    from push_provider.ledger import writing

    with engine.begin() as connection:
        writing.write_left(connection, execution)


def _search(engine: Engine) -> None:
    from push_provider.ledger import deliveries

    for part in ("monitor@", "r123456@", "nobody-has-this"):
        taken = 1000 * crowd.seconds(lambda part=part: deliveries.find(engine, limit=100, search=part))
        print(f"  {'deliveries, by part of an address: ' + part:58} {taken:8.1f} ms", flush=True)


class Sender:
    """Claims and records an execution, chunk by chunk, in a thread."""

    def __init__(self, engine: Engine, execution: int) -> None:
        self._engine = engine
        self._execution = execution
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.chunks: list[tuple[float, float]] = []
        """When each began, and how long it took."""

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def through(self) -> bool:
        """Whether all was sent."""
        return not self._thread.is_alive()

    def since(self, moment: float) -> list[float]:
        """The milliseconds of chunks that began after a moment."""
        return [1000 * taken for begun, taken in self.chunks if begun >= moment]

    def _run(self) -> None:
        from push_provider.channels.base import Outcome, Result
        from push_provider.ledger import sending

        with sending.held(self._engine, SENT, self._execution, on_unknown="resend") as lease:
            claimed = sending.claim(lease, _CHUNK)
            while claimed and not self._over.is_set():
                begun = time.perf_counter()
                outcomes = [Outcome(one.id, Result.SENT, provider_id="x") for one in claimed]
                claimed = sending.record_and_claim(lease, outcomes, _CHUNK, after=claimed[-1].id)
                self.chunks.append((begun, time.perf_counter() - begun))
                time.sleep(0.05)  # as who sends waits for answers


def _told(what: str, taken: list[float]) -> None:
    ordered = sorted(taken)
    median, late = statistics.median(taken), ordered[len(ordered) * 99 // 100]
    spread = f"median {median:5.1f} ms   99th percentile {late:5.1f}   longest {ordered[-1]:5.1f} ms"
    print(f"  {what:58} {spread}   of {len(taken):,} chunks", flush=True)


def _all(step: Callable[[Engine, int], int], engine: Engine, size: int) -> int:
    """A step of upkeep to its end, with the rests that upkeep takes."""
    total = 0
    while True:
        begun = time.perf_counter()
        done = step(engine, size)
        if not done:
            return total
        total += done
        time.sleep(time.perf_counter() - begun)


def _drop(engine: Engine, recipients: int) -> None:
    from sqlalchemy import text

    from push_provider.ledger import dropping, partitions

    now = datetime.now(UTC)
    partitions.make_ahead(engine)
    assert partitions.rotate(engine, now=now, age=None, most=100_000) == 1
    partitions.make_ahead(engine)
    _apply(engine, SENT, recipients)
    execution = _begin(engine, SENT)
    _write(engine, execution)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))  # of what was written by the million: a server does not send after that
    with Sender(engine, execution) as sender:
        begun = time.perf_counter()
        time.sleep(15)
        _told("a chunk claimed and recorded, nothing else going on", sender.since(begun))
        begun = time.perf_counter()
        with engine.begin() as connection:  # all that is old has left the log, as after retention_days
            connection.execute(text("DELETE FROM push_execution WHERE id <> :id"), {"id": execution})
        _told("while the executions are deleted", sender.since(begun) or [0.0])
        begun = time.perf_counter()
        gone = 0
        tables = len(_tables(engine))
        while len(_tables(engine)) == tables:
            portion = time.perf_counter()
            gone += partitions.drop_old(engine, 2000)
            time.sleep(time.perf_counter() - portion)
            if sender.through:
                raise SystemExit("all was sent before the partition was gone: take more --sending")
        _told(f"while it is detached, {gone:,} gone through, dropped", sender.since(begun))
        print(f"  {'… which took':58} {time.perf_counter() - begun:8.1f} s", flush=True)
    _all(dropping.clear, engine, 5000)


def _tables(engine: Engine) -> list[str]:
    from sqlalchemy import text

    with engine.connect() as connection:
        return list(
            connection.scalars(text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^push_delivery_'"))
        )


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(prog="./scripts/bench volume", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=19, help="deliveries of each of five executions of each task")
    parser.add_argument("--recipients", type=int, default=1_000_000, help="of the task that is planned")
    parser.add_argument("--sending", type=int, default=3_000_000, help="of the one that is sent while a partition goes")
    arguments = parser.parse_args()
    from push_provider.ledger import known_addresses

    size = crowd.Size(tasks=arguments.tasks, executions=5, each=arguments.each, big=200_000, busy=200_000)
    with crowd.ledger() as engine:
        say(f"Filling the ledger with {size.deliveries:,} deliveries …")
        with _timed("filled"):
            crowd.fill(engine, size)
        with _timed("upkeep notes their addresses"):
            while known_addresses.note(engine, 20_000):
                continue
        lists.tell(engine, size)
        _search(engine)
        with _timed(f"a task with {arguments.recipients:,} recipients is defined"):
            _apply(engine, MANY, arguments.recipients)
        taken = 1000 * crowd.seconds(lambda: _begin(engine, MANY))
        print(f"  {'an execution of it begins':58} {taken:8.1f} ms", flush=True)
        execution = _begin(engine, MANY)
        with _timed("its deliveries are written"):
            _write(engine, execution)
        _drop(engine, arguments.sending)


if __name__ == "__main__":
    main()
