"""Who sends an execution: one process at a time, by a lease that it renews while it lives.

A lease is a row, and no lock of a session: it holds behind a pool that hands each transaction to another connection
(PgBouncer), and through a restart of the database or a failover. Every transaction that claims or records renews the
lease first, and so keeps its row until it ends: who takes the execution over waits for that, and who has lost it
changes nothing any more. A process that dies leaves its lease to end; the next try takes it over then.
"""

from __future__ import annotations

import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType

from sqlalchemy import Connection, Engine, select, text

from push_provider.exceptions import ExecutionBusy, ExecutionTaken, LedgerUnavailable
from push_provider.ledger.engine import transaction
from push_provider.ledger.executions import unknown
from push_provider.ledger.spans import Span
from push_provider.ledger.tables import push_execution, push_lease

SECONDS = 15.0
"""How long a process may be silent before another one may send in its place."""


def awake() -> float:
    """Seconds on a clock that goes on while the process, or its machine, sleeps."""
    # Linux alone has it; elsewhere what is sent after a machine's sleep is noticed a moment later.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


_LONGEST = 4
"""Times the lease that a transaction which claims or records may take, on however busy a server."""
_LONGEST_MOVE = 40
"""The same of one that moves what nobody has claimed: a million deliveries that fail, or are opened again."""
# Whoever takes the execution over waits for a transaction of its holder. One that is frozen, or whose machine is gone,
# in the middle of it keeps nobody waiting longer than the lease would; if that was in the middle of a statement's text
# or values, PostgreSQL does not call it idle, and only a limit of the whole transaction ends it (since PostgreSQL 17).
_LIMITS = """
    set_config('idle_in_transaction_session_timeout', :idle, true),
    CASE WHEN current_setting('server_version_num')::int >= 170000
         THEN set_config('transaction_timeout', :whole, true) END
"""
_TAKE = text(f"""
    INSERT INTO push_lease AS l (execution_id, holder, process, until)
    VALUES (:execution, :holder, :process, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (execution_id) DO UPDATE
    SET holder = EXCLUDED.holder, process = EXCLUDED.process, until = EXCLUDED.until
    WHERE l.until < clock_timestamp() OR l.holder = EXCLUDED.holder
    RETURNING {_LIMITS}
""")  # noqa: S608  (a constant of ours)
"""By the clock, and not by the moment at which the transaction began: it may have waited for one of a frozen holder."""
# PostgreSQL learns of what has just been planned some minutes later. Until then it takes two million deliveries for a
# dozen, and would read and sort all of them to claim 500, for most of a second; in the index they are in order.
_RENEW = text(f"""
    UPDATE push_lease AS l SET until = now() + make_interval(secs => :seconds)
    FROM push_execution AS e
    WHERE l.execution_id = :execution AND l.holder = :holder AND e.id = l.execution_id
    RETURNING e.first_delivery, e.last_delivery, set_config('enable_sort', 'off', true), {_LIMITS}
""")  # noqa: S608  (a constant of ours)
_RELEASE = text("DELETE FROM push_lease WHERE execution_id = :execution AND holder = :holder")


def _ms(seconds: float) -> str:
    """A time as PostgreSQL's settings take it."""
    return f"{math.ceil(seconds * 1000)}ms"


class Lease(AbstractContextManager["Lease"]):
    """The right to send one execution, once it is taken. Leaving it gives the execution back.

    :param engine: of the ledger.
    :param execution: its number in the ledger.
    :param seconds: after which it ends unless it is renewed.
    :param clock: tells seconds; see :func:`awake`.
    """

    def __init__(
        self, engine: Engine, execution: int, *, seconds: float = SECONDS, clock: Callable[[], float] = awake
    ) -> None:
        self.engine = engine
        self.execution = execution
        self.seconds = seconds
        self._clock = clock
        self._values = {"execution": execution, "holder": str(uuid.uuid4()), "seconds": seconds, "idle": _ms(seconds)}
        self._until = -math.inf
        self.span = Span()
        """Between which ids the deliveries of the execution lie, as it was when the lease was renewed last."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # If the ledger is away, the lease ends by itself; what has happened counts for more.
        with suppress(LedgerUnavailable):
            self.release()

    @property
    def left(self) -> float:
        """Seconds for which nobody else can send the execution; none or fewer: somebody may."""
        return self._until - self._clock()

    def take(self, connection: Connection) -> None:
        """Take the execution, as a part of a transaction; also if this lease has it already.

        :raises ExecutionBusy: another process has it.
        """
        process = f"{os.getpid()} on {socket.gethostname()}"
        whole = _ms(self.seconds * _LONGEST_MOVE)
        if connection.execute(_TAKE, {**self._values, "whole": whole, "process": process}).first():
            return
        other = connection.execute(_OTHER, self._values).scalar()
        raise ExecutionBusy(
            f"Process {other} is still sending execution {self.execution}; this one tries again later. If that process "
            f"is gone, the execution is free {self.seconds:.0f} seconds after it was last heard of."
        )

    def renew_within(self, connection: Connection, *, moves: bool = False) -> None:
        """Renew the lease as a part of a transaction, to whose end nobody can take it over.

        :param moves: it moves deliveries that nobody has claimed, of which there may be a million.
        :raises ExecutionTaken: another process has taken it over, or the ledger does not know it any more.
        :raises UnknownExecution: the execution was deleted.
        """
        longest = _LONGEST_MOVE if moves else _LONGEST
        row = connection.execute(_RENEW, {**self._values, "whole": _ms(self.seconds * longest)}).first()
        if row:
            self.span = Span.noted(row.first_delivery, row.last_delivery)
            return
        other = connection.execute(_OTHER, self._values).scalar()
        if other is None:
            found = select(push_execution.c.id).where(push_execution.c.id == self.execution)
            if connection.execute(found).scalar() is None:
                raise unknown(self.execution)
        by = f"process {other} has taken it over" if other else "the ledger does not know of it any more"
        raise ExecutionTaken(
            f"This process may not send execution {self.execution} any further: {by}, as this one was not heard of for "
            f"{self.seconds:.0f} seconds (it was stopped, its machine slept, or it was cut off from the ledger). It "
            "ends, and leaves the execution as it is."
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction of who holds the execution; renews the lease.

        :raises ExecutionTaken: another process has taken the execution over.
        """
        began = self._clock()
        with transaction(self.engine) as connection:
            self.renew_within(connection)
            yield connection
        self._until = began + self.seconds

    def renew(self) -> None:
        """Renew the lease.

        :raises ExecutionTaken: another process has taken the execution over.
        """
        with self.transaction():
            pass

    def release(self) -> None:
        """Give the execution back, if this lease has it still."""
        self._until = -math.inf
        with transaction(self.engine) as connection:
            connection.execute(_RELEASE, self._values)


def hold(connection: Connection, executions: Sequence[int]) -> None:
    """Have whoever sends some executions wait until the transaction ends: nothing more of them is claimed or recorded.

    Where one changes deliveries that somebody else claims and records meanwhile, each would wait for rows of the other:
    PostgreSQL locks a row that has changed since the statement began, also if it then leaves it as it is
    (``EvalPlanQual``).
    """
    connection.execute(_HOLD, {"executions": list(executions)})


_HOLD = text("""
    SELECT FROM push_lease WHERE execution_id = ANY (CAST(:executions AS bigint[])) ORDER BY execution_id FOR UPDATE
""")
_OTHER = select(push_lease.c.process).where(push_lease.c.execution_id == text(":execution"))
