"""Several batches of messages at once: none waits for another's push tasks, each message is taken once, in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import NOW, Desk, push
from ledger_stream import MANUAL, Stream
from sqlalchemy import event, text

from push_provider.ledger import definitions, executions, message_locks, messages, rejected
from push_provider.ledger.orders import Bounds, Order, Taken

if TYPE_CHECKING:
    from sqlalchemy import Engine


SECONDS = 60


class Pause:
    """Stops whoever calls it until it is told to go on."""

    def __init__(self) -> None:
        self._there = threading.Event()
        self._on = threading.Event()

    def __call__(self, *_: Any) -> Any:
        self._there.set()
        assert self._on.wait(SECONDS)
        return {}

    def await_(self) -> None:
        """Wait until somebody has stopped here."""
        assert self._there.wait(SECONDS)

    def go_on(self) -> None:
        self._on.set()


class Drains:
    """Takes batches in threads of their own."""

    def __init__(self, engine: Engine, pool: ThreadPoolExecutor) -> None:
        self.engine = engine
        self._pool = pool
        self.pauses: list[Pause] = []

    def take(self, orders: Sequence[Order], **options: Any) -> Future[Taken]:
        given: dict[str, Any] = {"freeze": lambda _: {}, "now": NOW, "default_timezone": "UTC"}
        return self._pool.submit(messages.take, self.engine, orders, **{**given, **options})

    def stopped(self, orders: Sequence[Order], **options: Any) -> tuple[Future[Taken], Pause]:
        """Take a batch that stops in the middle of its transaction, at the first execution that it begins."""
        pause = Pause()
        self.pauses.append(pause)
        taking = self.take(orders, freeze=pause, **options)
        pause.await_()
        return taking, pause

    def await_waiting(self, taking: Future[Any]) -> None:
        """Wait until somebody waits for a lock."""
        deadline = time.monotonic() + SECONDS
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while True:
            with self.engine.connect() as connection:
                if connection.execute(text(query)).scalar_one():
                    return
            assert not taking.done(), "it waited for nobody"
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def drains(ledger: Engine) -> Iterator[Drains]:
    with ThreadPoolExecutor(8) as pool:
        drains = Drains(ledger, pool)
        yield drains
        for pause in drains.pauses:
            pause.go_on()


@pytest.fixture(autouse=True)
def _nothing_is_odd(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No transaction is broken off, be it by a ring or because a message was taken already."""
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


@pytest.fixture
def desks(ledger: Engine) -> Callable[..., Desk]:
    def make(code: str, **fields: Any) -> Desk:
        desk = Desk(ledger)
        desk.code = code
        if fields:
            desk.apply(**MANUAL, **fields)
        return desk

    return make


def partition(number: int, desk: Desk) -> Stream:
    return Stream(desk, "topic", number)


def result(taking: Future[Taken]) -> Taken:
    return taking.result(SECONDS)


def sent_to(engine: Engine, code: str) -> list[str]:
    """Recipients of a push task, in the order in which they were written."""
    query = (
        "SELECT recipient FROM push_delivery AS d JOIN push_execution AS e ON e.id = execution_id "
        "WHERE task_code = :code ORDER BY d.id"
    )
    with engine.connect() as connection:
        return list(connection.execute(text(query), {"code": code}).scalars())


def define(code: str, **fields: Any) -> dict[str, Any]:
    return {"define": push(code, **MANUAL, recipients=[], **fields).spec()}


def names(*numbers: int) -> list[str]:
    return [f"p{number}@example.com" for number in numbers]


# --- at once ------------------------------------------------------------------------------------------


def test_batches_of_different_push_tasks_are_taken_at_once(drains: Drains, desks: Callable[..., Desk]) -> None:
    a, b = (partition(n, desks(code, recipients=[])) for n, code in enumerate("ab"))
    first, pause = drains.stopped(a.orders(a.start("a@example.com")))
    # While the one is in the middle of its transaction, the other one comes to its end.
    assert drains.take(b.orders(b.start("b@example.com"))).result(10) == Taken(1, 1, 0, 0, [])
    assert not first.done()
    pause.go_on()
    assert result(first) == Taken(1, 1, 0, 0, [])


def test_a_push_task_is_one_batch_s_at_a_time(drains: Drains, desks: Callable[..., Desk]) -> None:
    """And the other one joins the execution that it has begun."""
    desk = desks("t", recipients=[])
    a, b = partition(0, desk), partition(1, desk)
    first, pause = drains.stopped(a.orders(a.start("a@example.com")))
    second = drains.take(b.orders(b.start("b@example.com")))
    drains.await_waiting(second)
    pause.go_on()
    assert (result(first).executions, result(second).executions) == (1, 0)
    assert [row.total for row in executions.find(drains.engine)] == [2]


# --- once ---------------------------------------------------------------------------------------------


def test_what_two_read_is_taken_once_and_in_order(
    drains: Drains, desks: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition has gone from the one to the other, who begins where the first has committed, and reads further."""
    monkeypatch.setattr(messages, "_MOST_OF_TASK", 3)
    stream = partition(0, desks("t", recipients=[]))
    orders = stream.orders(*(stream.start(*names(n)) for n in range(20)), {"task": "nobody"}, b"{")
    first, pause = drains.stopped(orders[:10])
    second = drains.take(orders)
    third = drains.take(orders[2:])
    drains.await_waiting(second)
    pause.go_on()
    taken = [result(one) for one in (first, second, third)]
    assert sum(one.deliveries for one in taken) == 20
    assert sum(one.repeated for one in taken) == 10 + 22 + 20 - 22
    assert sum(len(one.rejected) for one in taken) == 2
    assert sent_to(drains.engine, "t") == names(*range(20))
    assert len(rejected.find(drains.engine)) == 2


def test_a_message_that_was_sent_twice_is_taken_once(drains: Drains, desks: Callable[..., Desk]) -> None:
    """By its id: it stands in two partitions."""
    desk = desks("t", recipients=[])
    a, b = partition(0, desk), partition(1, desk)
    first, pause = drains.stopped(a.orders(a.start("a@example.com", id="same")))
    second = drains.take(b.orders(b.start("a@example.com", id="same"), b.start("b@example.com")))
    drains.await_waiting(second)
    pause.go_on()
    assert result(first) == Taken(1, 1, 0, 0, [])
    assert result(second) == Taken(1, 0, 0, 1, [])


def test_a_message_is_not_rejected_by_the_one_and_taken_by_the_other(
    drains: Drains, desks: Callable[..., Desk]
) -> None:
    """Its push task comes to be while the first one is at work, which knows of none."""
    stream = partition(0, desks("a", recipients=[]))
    orders = stream.orders(stream.start("a@example.com"), {"task": "later", "recipients": ["b@example.com"]})
    first, pause = drains.stopped(orders)
    desks("later", recipients=[])
    second = drains.take(orders[1:])
    drains.await_waiting(second)
    pause.go_on()
    assert len(result(first).rejected) == 1
    assert result(second) == Taken(0, 0, 0, 1, [])


def test_a_push_task_that_two_define_is_made_once(drains: Drains, desks: Callable[..., Desk]) -> None:
    a, b = partition(0, desks("a", recipients=[])), partition(1, desks("b", recipients=[]))
    # Each has one more that it stops at, after the new one.
    first, pause = drains.stopped(a.orders(define("new"), {"task": "new", "recipients": ["a@example.com"]}))
    second = drains.take(
        b.orders(
            define("new", owner="other"),
            {"task": "new", "recipients": ["b@example.com"]},
            b.start("c@example.com"),
        )
    )
    drains.await_waiting(second)
    pause.go_on()
    assert result(first) == Taken(1, 1, 1, 0, [])
    # The second definition says something else, so that what is sent from here on is another execution.
    assert result(second) == Taken(2, 2, 1, 0, [])
    assert sent_to(drains.engine, "new") == ["a@example.com", "b@example.com"]


# --- rings --------------------------------------------------------------------------------------------


def test_push_tasks_in_any_order_are_no_ring(drains: Drains, desks: Callable[..., Desk]) -> None:
    streams = [partition(n, desks(code, recipients=[])) for n, code in enumerate("abcd")]
    starts = [stream.start("x@example.com") for stream in streams]
    taking = [
        drains.take(stream.orders(*(starts[place:] + starts[:place]) * 5))
        for place, stream in enumerate(streams)
        for _ in range(3)
    ]
    assert sum(result(one).deliveries for one in taking) == 4 * 3 * 20


def test_a_push_task_that_somebody_else_makes_meanwhile_is_no_ring(drains: Drains, desks: Callable[..., Desk]) -> None:
    """The first has locked what comes behind it in order, and finds out about it when it makes it."""
    a, b = partition(0, desks("z", recipients=[])), partition(1, desks("z"))
    pause = Pause()
    drains.pauses.append(pause)
    bounds = Bounds(open_limit=lambda _: (pause() and 0) or 0)
    orders = a.orders(define("new"), {"task": "new", "recipients": ["a@example.com"]}, a.start("a@example.com"))
    first = drains.take(orders, bounds=bounds)
    pause.await_()
    desks("new", recipients=["own@example.com"])
    second = drains.take(b.orders({"task": "new"}, b.start("b@example.com")))
    drains.await_waiting(second)
    pause.go_on()
    assert result(first)._replace(executions=0) == Taken(2, 0, 1, 0, [])
    assert result(second)._replace(executions=0) == Taken(2, 0, 0, 0, [])
    assert sorted(sent_to(drains.engine, "new")) == ["a@example.com", "own@example.com"]


def test_applications_that_are_near_their_limit_are_no_ring(drains: Drains, desks: Callable[..., Desk]) -> None:
    """Each counts the open tasks of both, and the one first that the other counts last."""
    bounds = Bounds(open_limit=lambda _: 100)
    a, b = partition(0, desks("-")), partition(1, desks("-"))
    start = {"recipients": ["x@example.com"]}
    first, pause = drains.stopped(
        a.orders(define("a", app="x"), {"task": "a", **start}, define("b", app="y")), bounds=bounds
    )
    second = drains.take(b.orders(define("c", app="y"), {"task": "c", **start}, define("d", app="x")), bounds=bounds)
    drains.await_waiting(second)
    pause.go_on()
    assert result(first) == result(second) == Taken(1, 1, 2, 0, [])


def test_the_limit_of_an_application_holds_for_several_at_once(drains: Drains, desks: Callable[..., Desk]) -> None:
    bounds = Bounds(open_limit=lambda _: 5)
    taking = []
    for number in range(4):
        stream = partition(number, desks("-"))
        taking.append(drains.take(stream.orders(*(define(f"t{number}-{n}", app="x") for n in range(3))), bounds=bounds))
    assert sum(result(one).defined for one in taking) == 5
    assert definitions.count_open(drains.engine, "x", cap=100) == 5


def test_a_ring_of_others_making_is_broken_and_the_batch_tried_again(
    drains: Drains, desks: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = partition(0, desks("a", recipients=[])), desks("b", recipients=[])
    orders = a.orders(a.start("a@example.com"), {"task": b.code, "recipients": ["b@example.com"]}, b"{")
    with drains.engine.connect() as other:
        other.execute(text("SET LOCAL deadlock_timeout = '1min'"))  # so that it is not this one that is broken off
        lock = text("SELECT FROM push_task WHERE code = :code FOR UPDATE")
        other.execute(lock, {"code": "b"})
        taking = drains.take(orders)
        drains.await_waiting(taking)
        other.execute(lock, {"code": "a"})
    assert result(taking)._replace(rejected=[]) == Taken(2, 2, 0, 0, [])
    assert "3 messages are tried again" in caplog.text
    caplog.clear()
    assert [row.offset for row in rejected.find(drains.engine)] == [2]


# --- many partitions ----------------------------------------------------------------------------------


def test_no_transaction_locks_more_partitions_than_there_is_room_for(
    drains: Drains, desks: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_locks, "_PARTITIONS", 2)
    streams = [partition(n, desks("t", recipients=[])) for n in range(5)]
    orders = [order for n in range(10) for order in streams[n % 5].orders(streams[0].start(*names(n)))]
    locked: list[int] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "pg_advisory_xact_lock(key)" in statement:
            locked.append(len(parameters["keys"]))

    event.listen(drains.engine, "before_cursor_execute", note)
    try:
        assert result(drains.take(orders)) == Taken(10, 1, 0, 0, [])
    finally:
        event.remove(drains.engine, "before_cursor_execute", note)
    assert locked == [2] * 5
    assert sent_to(drains.engine, "t") == names(*range(10))


# --- dead letters -------------------------------------------------------------------------------------


def test_what_two_forward_is_forwarded_once(drains: Drains, desks: Callable[..., Desk]) -> None:
    """Nobody waits for another: what one has is left to it, and so is what comes meanwhile, as it looks again."""
    stream = partition(0, desks("-"))
    stream.take(*[b"{"] * 5, forward_to="dead")

    def all_of(pause: Callable[[], Any]) -> list[int]:
        found: list[int] = []
        while rejected.awaiting(drains.engine, "dead") == "dead":
            with rejected.forwarding(drains.engine, "dead", 2) as some:
                if some is None:
                    break
                pause()
                some.arrived.update(one.id for one in some.waiting)
            found += sorted(some.arrived)
        return found

    with ThreadPoolExecutor(2) as pool:
        pause = Pause()
        first = pool.submit(all_of, pause)
        pause.await_()
        try:
            assert all_of(lambda: None) == []
            stream.take(b"{", forward_to="dead")
            stream.take(b"{", forward_to="other")
            with rejected.forwarding(drains.engine, "other", 2) as other:
                assert other
                assert len(other.waiting) == 1
        finally:
            pause.go_on()
        waited = {row.id for row in rejected.find(drains.engine)} - {one.id for one in other.waiting}
        assert sorted(first.result(SECONDS)) == sorted(waited)
