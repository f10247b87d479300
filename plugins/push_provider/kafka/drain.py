"""The loop that empties the topics: read a batch, take it into the ledger, make the DAG runs, commit.

A process may die between any two of these. What was taken and not committed is read again, and the ledger knows it; an
execution whose run was not made gets it the next time.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from push_provider import ending, settings
from push_provider.intake.starter import make_waiting
from push_provider.intake.task_runs import TaskRuns
from push_provider.kafka import admission, messages
from push_provider.kafka.connection import Topics
from push_provider.kafka.dead_letters import DeadLetters
from push_provider.kafka.reader import Reader
from push_provider.kafka.shares import Share
from push_provider.ledger.orders import SOURCE
from push_provider.visible import visible

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy import Engine

    from push_provider.ledger.orders import Taken

log = logging.getLogger(__name__)
_BATCH_BYTES = 16 * 1024 * 1024
_RUNS_SECONDS = 2.0
"""While messages wait, runs are made so often: few, large executions are sent faster than many small ones."""
_DAG_SECONDS = 5.0
_LOOK_SECONDS = 30.0
"""How often a worker that lingers looks for new partitions and topics."""
_SHOWN = 500


class Drained(NamedTuple):
    """What one draining did."""

    messages: int
    deliveries: int
    executions: int
    defined: int
    repeated: int
    rejected: int
    waiting: int
    """Executions that wait for their DAG run."""


def drain(
    engine: Engine,
    connection: Connection,
    *,
    until: float,
    share: Share = Share(),  # noqa: B008  (it never changes)
    anew: bool = False,
) -> Drained:
    """Empty the topics; only in a task.

    Several may be at it, each with its share. Two with the same one, such as one that was given up and lives on, take
    no message twice, and pass none over: each commits what it has read on from a place that was committed.

    :param connection: of the broker.
    :param until: moment of the monotonic clock after which no further batch is begun.
    :param share: which of their partitions; left out, all.
    :param anew: whether the places are committed of quiet partitions, too, so that the broker goes on knowing them.
    :returns: what was done, once no message has come for ``[push] kafka_linger`` seconds, there is another partition
        to read, or none yet, or the scheduler wants to end.
    :raises BrokerUnavailable: the broker cannot be used just now. What was taken is taken.
    :raises LedgerUnavailable: the batch at hand was not taken, and comes again.
    :raises ConfigurationError: the connection or an option has to be changed.
    """
    limit, linger = settings.kafka_batch_size(), settings.kafka_linger()
    runs = _Runs(engine, share)
    total = Drained(0, 0, 0, 0, 0, 0, runs.make())
    topics = Topics(settings.kafka_topics(), settings.dead_letter_topic())
    with Reader(connection, topics, share) as reader, DeadLetters(engine, connection) as letters:
        reader.open()
        letters.begin()

        def enough() -> bool:
            # Where there is nothing to read yet, the trigger waits, which costs no worker.
            return ending.wanted() or not reader.partitions or reader.is_outdated(_LOOK_SECONDS)

        # While letters are forwarded, what comes meanwhile is taken, and nobody has to wake a worker for it.
        while (records := reader.read(limit, _BATCH_BYTES, wait=linger, enough=enough)) or letters.busy:
            rejected = False
            for count, orders in messages.portions(records, limit):
                taken = admission.take(engine, orders, between=runs.make_if_due)
                total = _add(total, count, taken)
                rejected = rejected or bool(taken.rejected)
                _log(count, taken)
            if records and len(records) < limit:
                runs.make()
            else:
                runs.make_if_due()
            reader.commit()
            if rejected:
                letters.begin()
            if time.monotonic() > until or ending.wanted():
                break
        # Also where there was nothing but the markers of transactions: who watches the lag would wonder.
        reader.commit(anew=anew)
    # A task that has just been injected is a DAG in about a second: worth a moment's wait.
    patience = time.monotonic() + _DAG_SECONDS
    while (waiting := runs.make()) and total.defined and time.monotonic() < min(patience, until):
        time.sleep(0.3)
    return total._replace(waiting=waiting)


class _Runs:
    """Makes the DAG runs of executions that messages have begun."""

    def __init__(self, engine: Engine, share: Share) -> None:
        self._engine = engine
        # Each drain makes the runs of all, as it may be the only one that is awake just now.
        self._first = share.begins_with if share.of > 1 else None
        self._made_at = 0.0

    def make(self) -> int:
        """Make them; returns how many still wait."""
        waiting = make_waiting(self._engine, TaskRuns(), (SOURCE,), first=self._first).waiting
        self._made_at = time.monotonic()
        return waiting

    def make_if_due(self) -> None:
        """Make them unless that was done just now."""
        if time.monotonic() - self._made_at > _RUNS_SECONDS:
            self.make()


def _add(total: Drained, read: int, taken: Taken) -> Drained:
    return Drained(
        total.messages + read,
        total.deliveries + taken.deliveries,
        total.executions + taken.executions,
        total.defined + taken.defined,
        total.repeated + taken.repeated,
        total.rejected + len(taken.rejected),
        total.waiting,
    )


def _log(read: int, taken: Taken) -> None:
    log.info(
        "%s messages: %s deliveries, %s executions begun, %s push tasks injected, %s taken before, %s rejected",
        read,
        taken.deliveries,
        taken.executions,
        taken.defined,
        taken.repeated,
        len(taken.rejected),
    )
    for message, code, reason in taken.rejected[:20]:
        where = f"{message.topic} [{message.partition}] at {message.offset}"
        # In short: a message of 5 MiB has room for a reason of 30; the ledger keeps more of it.
        told = f"{where}{f', push task {code[:_SHOWN]}' if code else ''}: {reason[:_SHOWN]}"
        log.warning("Rejected: %s", visible(told))
