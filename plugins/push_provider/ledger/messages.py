"""A batch of messages in the ledger: one transaction, in which each becomes deliveries, a push task, or a rejection.

A message joins the execution of its push task that nobody has begun to send yet, or begins one. Messages may come
again, after a crash or because their sender was not sure: each is taken once, whatever has become of it since.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, func, select, text

from push_provider.channels.reading import parse_trigger
from push_provider.databases import is_deadlock
from push_provider.exceptions import (
    FieldError,
    InvalidTask,
    LedgerUnavailable,
    LimitReached,
    PermanentError,
    TaskExists,
    UnknownTask,
)
from push_provider.ledger import definitions, message_locks, planning, shards, spans, writing
from push_provider.ledger import rejected as rejections
from push_provider.ledger.definitions import Action, Applied
from push_provider.ledger.engine import transaction
from push_provider.ledger.orders import SOURCE, Bounds, Define, Message, Order, Refused, Start, Taken
from push_provider.ledger.tables import push_message, push_rejected
from push_provider.unforeseen import Unforeseen, concerns_all, last_line

if TYPE_CHECKING:
    from uuid import UUID

    from push_provider.contract import PushTask, Trigger
    from push_provider.ledger.tasks import TaskRow

log = logging.getLogger(__name__)

_TRIES = 5
"""Of a transaction that PostgreSQL broke off because it and others waited for each other."""
_MERGED_LIMIT = 1024 * 1024
"""Characters of variables that one message may write into deliveries; with more it has an execution of its own."""
_JOIN_MINUTES = 10
"""A planned execution that is older is not joined: its run may be waiting for something that never comes."""


def take(
    engine: Engine,
    orders: Sequence[Order],
    *,
    freeze: Callable[[PushTask], Mapping[str, str]],
    now: datetime,
    default_timezone: str,
    forward_to: str | None = None,
    replay: UUID | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008  (it never changes)
    between: Callable[[], None] = lambda: None,
) -> Taken:
    """Take a batch of messages, all or none, unless one of them raises an error that nobody thought of.

    Such a one is found by halving the batch, and rejected alone, with the last line of the error's traceback.
    Several batches may be taken at once (:mod:`~push_provider.ledger.message_locks`).

    :param freeze: gives a task's template sources by name (:func:`push_provider.rendering.freeze`).
    :param now: the present moment, for the schedules of injected tasks.
    :param default_timezone: the clock of a schedule that names none.
    :param forward_to: the topic that rejected messages are to be forwarded to.
    :param replay: position of the rejected message that these are, and that is tried again.
    :param bounds: of what they may do.
    :param between: called after each transaction but the last.
    :raises LedgerUnavailable: what has not been taken comes again.
    """
    # Its ids may be forgotten by now; that it was taken is known for as long as it is listed.
    if replay is not None and rejections.is_settled(engine, replay):
        return Taken(0, 0, 0, len(orders), [])
    unforeseen = Unforeseen(log)
    taken = Taken(0, 0, 0, 0, [])
    waiting: list[Sequence[Order]] = message_locks.parts(orders)[::-1]
    counted: Counter[tuple[str, int, int]] = Counter()
    tries = _TRIES
    while waiting:
        part = waiting.pop()
        try:
            more, left, counted = _take(
                engine,
                part,
                freeze=freeze,
                now=now,
                default_timezone=default_timezone,
                forward_to=forward_to,
                replay=replay,
                ends=not waiting and not _is_among(taken.rejected, replay),
                bounds=bounds,
                counted=counted,
            )
        except Exception as error:
            if isinstance(error, LedgerUnavailable) and is_deadlock(error.__cause__) and tries > 1:
                log.warning("%s messages are tried again: somebody else waited for them, too", len(part))
                tries -= 1
                waiting.append(part)
                continue
            if concerns_all(error) or not part or (len(part) == 1 and isinstance(part[0], Refused)):
                raise
            if len(part) > 1:
                log.warning("%s messages cannot be taken at once, but in parts: %s", len(part), last_line(error))
                half = len(part) // 2
                waiting += [part[half:], part[:half]]
                continue
            waiting.append([unforeseen_refusal(part[0].message, part[0].code, error, unforeseen)])
        else:
            taken = taken.and_then(more)
            tries = _TRIES
            if left:
                waiting.append(left)
            if waiting:
                between()
    return taken


def unforeseen_refusal(message: Message, code: str | None, error: Exception, unforeseen: Unforeseen) -> Refused:
    """The rejection of a message that raises an error which nobody thought of.

    :raises Exception: the error itself, if it is not the message's.
    """
    if concerns_all(error):
        raise error
    place = f"{message.topic} [{message.partition}] at {message.offset}"
    return Refused(message, code, f"Unforeseen, the log has the traceback: {unforeseen.told(error, place)}")


def _take(
    engine: Engine,
    orders: Sequence[Order],
    *,
    freeze: Callable[[PushTask], Mapping[str, str]],
    now: datetime,
    default_timezone: str,
    forward_to: str | None,
    replay: UUID | None,
    ends: bool,
    bounds: Bounds,
    counted: Counter[tuple[str, int, int]],
) -> tuple[Taken, Sequence[Order], Counter[tuple[str, int, int]]]:
    """Take a batch, or as much of it as one transaction may write; the rest comes back.

    :param ends: whether nothing of a message that is tried again is left after this, or was rejected before it.
    :param counted: recipients that each message has brought so far; the new numbers come back.
    """
    with transaction(engine) as connection:
        locked = message_locks.lock(connection, orders)
        # Only now: what others have taken meanwhile is seen, and from here on they take none of these.
        fresh = _fresh(connection, orders, replay=replay is not None)
        batch = _Batch(connection, freeze, now, default_timezone, bounds, counted)
        batch.take(fresh, locked)
        batch.write()
        rejected = batch.rejected
        if rejected:
            rejections.keep(connection, rejected, forward_to)
        if replay is not None and ends and not batch.left and not _is_among(rejected, replay):
            rejections.settle(connection, replay)
        # Last: from here on others wait.
        shards.all_changed(connection, batch.changed)
    repeated = len(orders) - len(fresh) + batch.repeated
    taken = Taken(batch.deliveries, batch.begun, batch.defined, repeated, rejected)
    return taken, batch.left, batch.of_message


def _is_among(rejected: Collection[Refused], position: UUID | None) -> bool:
    return any(refused.message.position == position for refused in rejected)


class _Batch:
    """The orders of one transaction, task by task.

    While it goes on, nobody else can change or trigger its tasks. So it ends when much is written, and of one task it
    writes so little that the messages of the others are not behind all of its own.
    """

    def __init__(
        self,
        connection: Connection,
        freeze: Callable[[PushTask], Mapping[str, str]],
        now: datetime,
        default_timezone: str,
        bounds: Bounds,
        counted: Counter[tuple[str, int, int]],
    ) -> None:
        self._bounds = bounds
        self.of_message = Counter(counted)
        """Recipients that each message has brought, in the transactions before as well."""
        self._connection = connection
        self._freeze = freeze
        self._now = now
        self._zone = default_timezone
        self.changed: set[str] = set()
        self.rejected: list[Refused] = []
        self.begun = 0
        self.defined = 0
        self.deliveries = 0
        self.repeated = 0
        """Orders that say no more than another one of this batch, which was taken."""
        self.left: list[Order] = []
        """What has to wait for the next transaction: the last orders of each task."""
        self._keys: dict[UUID, None] = {}
        """Of what was taken, in order."""
        self._rows: list[tuple[int, str, Mapping[str, Any]]] = []
        self._totals: Counter[int] = Counter()
        self._since = spans.begin(connection)

    def take(self, orders: Collection[Order], locked: Mapping[str, TaskRow]) -> None:
        """Take orders, whose push tasks are locked, those that there are."""
        self._limits = message_locks.lock_counts(self._connection, orders, self._bounds)
        of_task: dict[str, list[Start | Define]] = {}
        for order in orders:
            if isinstance(order, Refused):
                self.rejected.append(order)
            else:
                of_task.setdefault(order.code, []).append(order)
        if not of_task:
            return
        codes = sorted(of_task)
        open_ones = _joinable(self._connection, codes)
        for code in codes:
            task = _Task(locked.get(code), open_ones.get(code))
            before = self._written
            for number, order in enumerate(of_task[code]):
                if self._written >= _MOST or self._written - before >= _MOST_OF_TASK:
                    self.left += of_task[code][number:]
                    break
                if order.key in self._keys:
                    self.repeated += 1
                    continue
                try:
                    if isinstance(order, Define):
                        self._define(order, task)
                    else:
                        self._start(order, task)
                except TaskExists:  # somebody was faster; in the next transaction it is locked in its turn
                    self.left += of_task[code][number:]
                    break
                except PermanentError as error:
                    self.rejected.append(Refused(order.message, code, str(error)))
                else:
                    self._keys[order.key] = None

    @property
    def _written(self) -> int:
        """Deliveries, those included that are written in the end."""
        return self.deliveries + len(self._rows)

    def write(self) -> None:
        """Write what :meth:`take` has collected."""
        if self._keys:
            self._connection.execute(_TAKE, {"keys": list(self._keys)})
        if self._rows:
            self.deliveries += writing.write(self._connection, self._rows)
        if self._totals:
            spans.note(self._connection, self._since, self._totals)

    def _define(self, order: Define, task: _Task) -> None:
        if task.row is not None:
            self._bounds.check_app(order.message, task.row.app)
        limit = self._limits[order.task.app]
        given: dict[str, Any] = {"now": self._now, "default_timezone": self._zone, "open_limit": limit}
        with self._connection.begin_nested():
            if task.row is None:
                applied = Applied(Action.CREATED, definitions.create(self._connection, order.task, **given))
            else:
                applied = definitions.put(self._connection, order.task, **given)
        self.defined += 1
        if applied.action != Action.UNCHANGED:
            self.changed.add(order.code)
            task.open = None  # what it sends is what the task was
        task.row = applied.row

    def _start(self, order: Start, task: _Task) -> None:
        row = task.row
        if row is None:
            raise UnknownTask(order.code)
        self._bounds.check_app(order.message, row.app)
        trigger = parse_trigger(order.said, channel=row.channel)
        own = trigger.recipients is None
        count = row.recipients if trigger.recipients is None else len(trigger.recipients)
        if not count:
            raise InvalidTask([FieldError("recipients", _NOBODY_OWN if own else _NOBODY)])
        self._count(order.message, count, own=own)
        # What a message says is for its own recipients, not for those of others that join the same execution.
        weight = count * len(json.dumps(trigger.variables)) if trigger.variables else 0
        if weight > _MERGED_LIMIT:
            self._deliver(row, self._begin(row, trigger.variables), trigger, {})
            return
        if task.open is None:
            task.open = self._begin(row, {})
        self._deliver(row, task.open, trigger, trigger.variables)

    def _count(self, message: Message, count: int, *, own: bool) -> None:
        place = (message.topic, message.partition, message.offset)
        limit, before = self._bounds.max_recipients, self.of_message[place]
        if limit and before + count > limit and (before or not own):
            raise LimitReached(
                f"The message has more than {limit} recipients, all of its parts together ([push] max_recipients). "
                "Send it in parts"
            )
        self.of_message[place] += count

    def _begin(self, row: TaskRow, variables: Mapping[str, Any]) -> int:
        execution, number = planning.reserve(
            self._connection,
            row,
            planning.frozen(self._freeze, row),
            total=0,
            source=SOURCE,
            variables=variables,
        )
        self.begun += 1
        if number == row.max_executions:
            self.changed.add(row.code)  # its DAG loses its schedule
        return execution

    def _deliver(self, row: TaskRow, execution: int, trigger: Trigger, variables: Mapping[str, Any]) -> None:
        if trigger.recipients is None:
            count = writing.copy_list(self._connection, execution, row.list_id, variables)
            self.deliveries += count
        else:
            count = len(trigger.recipients)
            self._rows += [(execution, one.to, {**variables, **one.variables}) for one in trigger.recipients]
        self._totals[execution] += count


class _Task:
    """A locked push task during a batch, and the execution that its messages join."""

    def __init__(self, row: TaskRow | None, joinable: int | None) -> None:
        self.row = row
        self.open = joinable


_MOST = 20_000
"""Deliveries that one transaction writes, and what its last message brings: they take about half a second."""
_MOST_OF_TASK = 5_000
_NOBODY = "name at least one, or leave the field out: the task's own recipients get the message then"
_NOBODY_OWN = "the push task has none of its own; name at least one in the message"

_TAKE = text("INSERT INTO push_message (key) SELECT unnest(CAST(:keys AS uuid[]))")

# As text: for jsonb 12.50 and 12.5 are the same.
_JOINABLE = text(f"""
    SELECT DISTINCT ON (e.task_code) e.task_code, e.id
    FROM push_execution AS e JOIN push_task AS t ON t.code = e.task_code JOIN push_snapshot AS s ON s.id = e.snapshot_id
    WHERE e.task_code = ANY(:codes) AND e.finished_at IS NULL AND e.state = 'planned' AND e.source = '{SOURCE}'
        AND e.created_at > now() - interval '{_JOIN_MINUTES} minutes'
        AND e.variables = CAST('{{}}' AS jsonb) AND e.unreadable IS NULL AND s.task::text = t.spec::text
    ORDER BY e.task_code, e.id DESC
""")  # noqa: S608  (constants of ours)


def _joinable(connection: Connection, codes: Sequence[str]) -> dict[str, int]:
    """Executions of locked tasks that nobody has begun to send, and that would send what the task is now."""
    return {row.task_code: row.id for row in connection.execute(_JOINABLE, {"codes": list(codes)})}


def _fresh(connection: Connection, orders: Sequence[Order], *, replay: bool) -> list[Order]:
    """The orders that have not been taken yet. Of two with one key the first may be rejected: both are among them."""
    keys = [order.key for order in orders if not isinstance(order, Refused)]
    query = select(push_message.c.key).where(push_message.c.key == func.any(keys))
    taken = set(connection.execute(query).scalars())
    refused: set[UUID] = set()
    if not replay:
        positions = [order.message.position for order in orders]
        known = select(push_rejected.c.position).where(push_rejected.c.position == func.any(positions))
        refused = set(connection.execute(known).scalars())
    return [
        order
        for order in orders
        if order.message.position not in refused and (isinstance(order, Refused) or order.key not in taken)
    ]
