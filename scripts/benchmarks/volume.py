"""Ten million deliveries in 100,000 tasks: lists, a search, a million planned, and a partition that is dropped.

All in the ledger itself, on a PostgreSQL server with its own settings. The partition that holds the ten million is
dropped, by the steps of upkeep, while an execution is claimed and recorded in the next one, chunk by chunk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from queue import Empty
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import crowd, lists
from benchmarks.stage import say

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

    from sqlalchemy import Engine

MANY, SENT = "volume-million", "volume-sent"
"""A task with very many recipients of its own, and the one that is sent while a partition goes."""
_CHUNK = 500
_PEACE = 15.0
"""Seconds."""
_PHASES = (
    "a chunk claimed and recorded, nothing else going on",
    "while the executions are deleted",
    "while a partition is detached",
    "while its addresses are gone through",
    "while it is dropped, and afterwards",
)


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


def _send(url: str, execution: int, chunks: Queue[tuple[float, float]]) -> None:
    """Claim and record an execution, chunk by chunk; tells when each began, and how long it took."""
    from sqlalchemy import create_engine

    from push_provider.channels.base import Outcome, Result
    from push_provider.ledger import sending

    engine = create_engine(url)
    with sending.held(engine, SENT, execution, on_unknown="resend") as lease:
        claimed = sending.claim(lease, _CHUNK)
        while claimed:
            begun = time.perf_counter()
            outcomes = [Outcome(one.id, Result.SENT, provider_id="x") for one in claimed]
            claimed = sending.record_and_claim(lease, outcomes, _CHUNK, after=claimed[-1].id)
            chunks.put((begun, time.perf_counter() - begun))
            time.sleep(0.05)  # as who sends waits for answers


class Sender:
    """Claims and records an execution in a process of its own, as Airflow's tasks do: upkeep is another."""

    def __init__(self, engine: Engine, execution: int) -> None:
        processes = multiprocessing.get_context("spawn")
        self._queue: Queue[tuple[float, float]] = processes.Queue()
        url = engine.url.render_as_string(hide_password=False)
        self._process = processes.Process(target=_send, args=(url, execution, self._queue), daemon=True)
        self._chunks: list[tuple[float, float]] = []

    def __enter__(self) -> Sender:
        self._process.start()
        self._chunks.append(self._queue.get(timeout=60))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def through(self) -> bool:
        """Whether all was sent."""
        return not self._process.is_alive()

    def between(self, begin: float, end: float) -> list[float]:
        """The milliseconds of the chunks that were under way at some moment of a time."""
        with suppress(Empty):
            while True:
                self._chunks.append(self._queue.get_nowait())
        return [1000 * taken for begun, taken in self._chunks if begun < end and begun + taken > begin]


def _told(what: str, taken: list[float], seconds: float) -> None:
    ordered = sorted(taken)
    median, late = statistics.median(taken), ordered[len(ordered) * 99 // 100]
    spread = f"median {median:5.1f} ms   99th percentile {late:5.1f}   longest {ordered[-1]:5.1f} ms"
    print(f"  {what:58} {spread}   of {len(taken):,} chunks in {seconds:.1f} s", flush=True)


class _Portion(NamedTuple):
    begun: float
    done: int


def _portions(step: Callable[[Engine, int], int], engine: Engine, size: int) -> Iterator[_Portion]:
    """A step of upkeep to its end, with the rests that upkeep takes."""
    done = 1
    while done:
        begun = time.perf_counter()
        done = step(engine, size)
        yield _Portion(begun, done)
        time.sleep(time.perf_counter() - begun)


def _drop(engine: Engine, recipients: int) -> None:
    from sqlalchemy import text

    from push_provider.ledger import dropping, partitions
    from push_provider.upkeep.steps import steps

    size = next(step.size for step in steps() if step.portion is partitions.drop_old)
    now = datetime.now(UTC)
    partitions.make_ahead(engine)
    assert partitions.rotate(engine, now=now, age=None, most=100_000) == 1
    partitions.make_ahead(engine)
    kept = _tables(engine)[1:]
    _apply(engine, SENT, recipients)
    execution = _begin(engine, SENT)
    _write(engine, execution)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))  # of what was written by the million: a server does not send after that
    with Sender(engine, execution) as sender:
        moments = [time.perf_counter()]
        time.sleep(_PEACE)
        moments.append(time.perf_counter())
        with engine.begin() as connection:  # all that is old has left the log, as after retention_days
            connection.execute(text("DELETE FROM push_execution WHERE id <> :id"), {"id": execution})
        portions = list(_portions(partitions.drop_old, engine, size))
        # The first begins with the detachment, the last finds no more deliveries and drops the table.
        moments += [portions[0].begun, portions[1].begun, portions[-1].begun]
        time.sleep(_PEACE)
        moments.append(time.perf_counter())
        if sender.through:
            raise SystemExit("all was sent before the partition was gone: take more --sending")
        for what, begin, end in zip(_PHASES, moments[:-1], moments[1:], strict=True):
            _told(what, sender.between(begin, end), end - begin)
    print(f"  {'deliveries gone through':58} {sum(one.done for one in portions):8,}", flush=True)
    if _tables(engine) != kept:
        raise SystemExit("the partition was not dropped")
    list(_portions(dropping.clear, engine, 5000))


def _tables(engine: Engine) -> list[str]:
    """The tables of all partitions, the oldest first."""
    from sqlalchemy import text

    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^push_delivery_' ORDER BY oid"
    with engine.connect() as connection:
        return list(connection.scalars(text(query)))


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
