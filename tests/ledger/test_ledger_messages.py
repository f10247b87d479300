"""A batch of messages: each is taken once, joins what nobody has begun to send, or is rejected with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from ledger_desk import NOW, Desk, push
from ledger_stream import MANUAL, Stream
from sqlalchemy import event, text

from push_provider import written
from push_provider.channels.base import Result
from push_provider.exceptions import ContentError, LedgerUnavailable, UnknownMessage
from push_provider.kafka import messages as kafka
from push_provider.ledger import closing, deliveries, executions, messages, rejected, tasks
from push_provider.ledger.orders import Bounds, Message, Refused, Taken

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.contract import PushTask


@pytest.fixture
def stream(desk: Desk, request: pytest.FixtureRequest) -> Stream:
    return Stream(desk, f"{request.node.name}-{desk.code}")


def reasons(taken: Taken) -> list[str]:
    return [refused.reason for refused in taken.rejected]


# --- much at once ------------------------------------------------------------------------------------


def test_the_messages_of_others_are_not_behind_all_of_a_task_s_own(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction writes so much, and of each task so much; nothing gets lost, and all keep their order."""
    monkeypatch.setattr(messages, "_MOST", 40)
    monkeypatch.setattr(messages, "_MOST_OF_TASK", 20)
    many = stream.desk.apply(**MANUAL, recipients=[f"own-{n}@example.com" for n in range(10)]).row.code
    other = Desk(stream.desk.engine)
    other.code = f"z-{many}"
    other.apply(**MANUAL, recipients=[])
    orders = stream.orders(
        *[{"task": many, "variables": {"n": n}} for n in range(7)],
        {"task": other.code, "recipients": ["a@example.com"]},
        {"task": many, "recipients": []},
    )
    between: list[list[int]] = []
    with transactions(stream.desk.engine) as copied:
        taken = stream.again(orders, between=lambda: between.append([*copied]))
    assert copied == [2, 2, 2, 1]
    assert between == [[2], [2, 2], [2, 2, 2]]
    with stream.desk.engine.connect() as connection:
        query = (
            "SELECT recipient FROM push_delivery AS d JOIN push_execution AS e ON e.id = execution_id "
            "WHERE task_code = ANY(:codes) ORDER BY d.id OFFSET 20 LIMIT 1"
        )
        assert connection.execute(text(query), {"codes": [many, other.code]}).scalar_one() == "a@example.com"
    assert taken._replace(rejected=[]) == Taken(71, 2, 0, 0, [])
    assert len(taken.rejected) == 1
    (execution,) = stream.executions()
    assert execution.total == 70
    assert [given["n"] for _, given in stream.variables(execution.id)] == [n for n in range(7) for _ in range(10)]
    assert stream.again(orders) == Taken(0, 0, 0, 9, [])


def test_a_message_s_limit_holds_over_several_transactions(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_MOST_OF_TASK", 10)
    code = stream.desk.apply(**MANUAL, recipients=[f"own-{n}@example.com" for n in range(10)]).row.code
    taken = stream.take([{"task": code}] * 5, bounds=Bounds(max_recipients=30))
    assert (taken.deliveries, len(taken.rejected)) == (30, 2)
    assert "more than 30 recipients, all of its parts together" in reasons(taken)[0]


@contextmanager
def transactions(engine: Engine) -> Iterator[list[int]]:
    """How often each batch copies a task's own recipients; it begins with the locks of partitions."""
    copied: list[int] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "pg_advisory_xact_lock(key)" in statement:
            copied.append(0)
        elif "INSERT INTO push_delivery" in statement:
            copied[-1] += 1

    event.listen(engine, "before_cursor_execute", note)
    yield copied
    event.remove(engine, "before_cursor_execute", note)


# --- joining ------------------------------------------------------------------------------------------


def test_messages_join_one_execution(stream: Stream) -> None:
    numbers = [written.number(words) for words in ("12.50", "1e22", "1e-7", "-0.0")]
    stream.desk.apply(**MANUAL, recipients=[], variables={"numbers": numbers})
    taken = stream.take(*(stream.start(f"p{n}@example.com") for n in range(50)))
    assert taken == Taken(50, 1, 0, 0, [])
    assert stream.take(stream.start("x@example.com", "y@example.com")) == Taken(2, 0, 0, 0, [])
    (execution,) = stream.executions()
    assert (execution.total, execution.source, execution.state, execution.run_id) == (52, "kafka", "planned", None)
    assert (stream.desk.row.executions, stream.desk.status) == (1, "running")
    counts = stream.desk.run(stream.plan(execution.id), *[Result.SENT] * 52)
    assert (counts.total, counts.sent) == (52, 52)


def test_nobody_joins_once_somebody_sends(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    stream.take(stream.start("a@example.com"))
    plan = stream.plan(stream.executions()[0].id)
    with stream.desk.sending(plan):
        assert stream.take(stream.start("b@example.com")).executions == 1
        stream.desk.record(plan, stream.desk.claim(plan), Result.SENT)
        closing.finish(stream.desk.engine, plan.id, final=True)
    assert [(row.total, row.sent) for row in stream.executions()] == [(1, 1), (1, 0)]


def test_a_message_joins_a_run_that_has_been_made_and_not_begun(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    stream.take(stream.start("a@example.com"))
    plan = stream.plan(stream.executions()[0].id)
    assert stream.take(stream.start("b@example.com")).executions == 0
    assert stream.desk.run(plan, Result.SENT, Result.SENT).total == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda stream: stream.desk.apply(**MANUAL, recipients=[], variables={"n": 1}, subject="Another"),
        lambda stream: stream.desk.apply(**MANUAL, recipients=[], variables={"n": written.number("1.00")}),
        lambda stream: closing.finish(stream.desk.engine, stream.executions()[-1].id, final=True),
        lambda stream: _older(stream.desk.engine, stream.executions()[-1].id, timedelta(minutes=11)),
    ],
    ids=["another subject", "another spelling", "ended", "old"],
)
def test_what_would_send_something_else_or_perhaps_nothing_is_not_joined(
    stream: Stream, change: Callable[[Stream], Any]
) -> None:
    stream.desk.apply(**MANUAL, recipients=[], variables={"n": 1})
    stream.take(stream.start("a@example.com"))
    change(stream)
    assert stream.take(stream.start("b@example.com")).executions == 1


def _older(engine: Engine, execution: int, age: timedelta) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE push_execution SET created_at = created_at - :age WHERE id = :id"),
            {"age": age, "id": execution},
        )


def test_executions_of_others_are_not_joined(stream: Stream) -> None:
    stream.desk.apply(**MANUAL)
    stream.desk.plan(source="cli")
    assert stream.take(stream.start("b@example.com")).executions == 1


def test_one_whose_templates_cannot_be_read_is_not_joined(stream: Stream) -> None:
    def gone(_: PushTask) -> dict[str, str]:
        raise ContentError("include/templates/x.html is not there")

    stream.desk.apply(**MANUAL, recipients=[])
    assert stream.take(stream.start("a@example.com"), freeze=gone).executions == 1
    assert stream.take(stream.start("b@example.com")).executions == 1
    assert stream.executions()[0].error == "include/templates/x.html is not there"


# --- variables ----------------------------------------------------------------------------------------


def test_a_message_s_variables_are_for_its_own_recipients_and_theirs_win(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    stream.take(
        stream.start("a@example.com", {"to": "b@example.com", "variables": {"n": 9}}, variables={"n": 1, "m": 2}),
        stream.start("c@example.com"),
        stream.start("d@example.com", variables={"n": 4}),
    )
    (execution,) = stream.executions()
    assert stream.variables(execution.id) == [
        ("a@example.com", {"n": 1, "m": 2}),
        ("b@example.com", {"n": 9, "m": 2}),
        ("c@example.com", {}),
        ("d@example.com", {"n": 4}),
    ]


def test_the_task_s_own_recipients_join_too(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[{"to": "a@example.com", "variables": {"n": 7}}, "b@example.com"])
    assert stream.take(stream.start(variables={"n": 1, "m": 2}), stream.start()) == Taken(4, 1, 0, 0, [])
    (execution,) = stream.executions()
    assert execution.total == 4
    assert sorted(stream.variables(execution.id), key=str) == [
        ("a@example.com", {"m": 2, "n": 7}),
        ("a@example.com", {"n": 7}),
        ("b@example.com", {"m": 2, "n": 1}),
        ("b@example.com", {}),
    ]


def test_large_variables_for_many_make_an_execution_of_their_own(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    large = {"text": "x" * 30_000}
    crowd = [f"p{n}@example.com" for n in range(50)]
    taken = stream.take(stream.start("a@example.com"), stream.start(*crowd, variables=large))
    assert (taken.deliveries, taken.executions) == (51, 2)
    first, own = stream.executions()
    assert (first.total, own.total) == (1, 50)
    assert all(variables == {} for _, variables in stream.variables(own.id))
    assert stream.plan(own.id).variables == large
    # Nobody else's message would be seen with them.
    assert stream.take(stream.start("b@example.com")).executions == 0
    assert stream.executions()[0].total == 2


# --- once ---------------------------------------------------------------------------------------------


def test_the_second_time_changes_nothing(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    orders = stream.orders(stream.start("a@example.com"), b"{", stream.start("b@example.com", id="order-7"))
    assert stream.again(orders)._replace(rejected=[]) == Taken(2, 1, 0, 0, [])
    assert stream.again(orders) == Taken(0, 0, 0, 3, [])
    (execution,) = stream.executions()
    assert execution.total == 2
    # The same id somewhere else is the same message; without one, the same text is another.
    assert stream.take(stream.start("b@example.com", id="order-7")).repeated == 1
    assert stream.take(stream.start("a@example.com")).deliveries == 1


def test_the_second_time_changes_nothing_though_the_task_has_ended(stream: Stream) -> None:
    stream.desk.apply(schedule={"kind": "manual"}, recipients=[])
    orders = stream.orders(stream.start("a@example.com"))
    stream.again(orders)
    stream.desk.run(stream.plan(stream.executions()[0].id), Result.SENT)
    assert stream.desk.status == "finished"
    assert stream.again(orders) == Taken(0, 0, 0, 1, [])


def test_twice_in_one_batch_is_once(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    assert stream.take(stream.start("a@example.com", id=1), stream.start("b@example.com", id=1)).deliveries == 1


def test_the_second_of_an_id_is_taken_when_the_first_is_rejected(stream: Stream) -> None:
    """A producer sees its mistake, and sends the message anew under its id: in one batch as in two."""
    stream.desk.apply(**MANUAL, recipients=[])
    wrong, right = stream.start("no address", id="A-1"), stream.start("a@example.com", id="A-1")
    taken = stream.take(wrong, right, right)
    assert (taken.deliveries, taken.repeated, len(taken.rejected)) == (1, 1, 1)
    assert stream.take(right)._replace(rejected=[]) == Taken(0, 0, 0, 1, [])


def test_what_was_to_begin_before_its_task_was_made_begins_under_its_id_afterwards(stream: Stream) -> None:
    start = stream.start("a@example.com", id="A-1")
    define = {"define": {**push(stream.desk.code, **MANUAL, recipients=[]).spec()}}
    taken = stream.take(start, define, start)
    assert (taken.deliveries, taken.defined, len(taken.rejected)) == (1, 1, 1)


def test_many_batches_at_once_take_each_message_once(stream: Stream) -> None:
    others = [Desk(stream.desk.engine) for _ in range(4)]
    for desk in others:
        desk.apply(**MANUAL, recipients=[])
    orders = stream.orders(
        *({"task": desk.code, "recipients": [f"p{n}@example.com"]} for n in range(20) for desk in others)
    )
    batches = [orders, orders[::-1], orders[20:60], orders[:40][::-1]] * 3
    with ThreadPoolExecutor(len(batches)) as pool:
        taken = list(pool.map(stream.again, batches))
    assert sum(one.deliveries for one in taken) == 80
    for desk in others:
        rows = executions.find(desk.engine, task=desk.code)
        assert sum(row.total for row in rows) == 20


def test_batches_and_senders_at_once_lose_nobody(stream: Stream) -> None:
    """Whoever joins is either sent by the sender that has not begun, or waits for the next one."""
    stream.desk.apply(**MANUAL, recipients=[])

    def produce(lane: Stream) -> None:
        for number in range(25):
            lane.take(lane.start(f"{lane.name}-{number}@example.com"))

    def send() -> int:
        sent = 0
        while not all(lane.done() for lane in producing) or stream.waiting():
            for execution in stream.waiting():
                with stream.desk.sending(plan := stream.plan(execution)):
                    claimed = stream.desk.claim(plan, 1000)
                    stream.desk.record(plan, claimed, *[Result.SENT] * len(claimed))
                    counts = closing.finish(stream.desk.engine, execution, final=True)
                assert (counts.failed, counts.pending) == (0, 0)
                sent += counts.sent
        return sent

    with ThreadPoolExecutor(4) as pool:
        producing = [pool.submit(produce, Stream(stream.desk, f"p{part}")) for part in range(3)]
        assert pool.submit(send).result(60) == 75
    rows = deliveries.find(stream.desk.engine, task=stream.desk.code, limit=1000)
    assert len({row.recipient for row in rows}) == len(rows) == 75
    assert {row.state.value for row in rows} == {"sent"}


# --- limits -------------------------------------------------------------------------------------------


def test_the_limit_is_exact_and_the_rest_is_rejected(stream: Stream) -> None:
    stream.desk.apply(schedule={"kind": "manual"}, execution={"type": "loop", "max_executions": 2}, recipients=[])
    for number in (1, 2):
        assert stream.take(stream.start("a@example.com"), stream.start("b@example.com")).executions == 1
        stream.desk.run(stream.plan(stream.executions()[-1].id), Result.SENT, Result.SENT)
        assert stream.desk.row.executions == number
    taken = stream.take(stream.start("c@example.com"))
    assert "all 2 of its executions have begun" in reasons(taken)[0]
    assert stream.desk.row.open is False


def test_a_cancelled_task_takes_nothing(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    stream.take(stream.start("a@example.com"))
    tasks.cancel(stream.desk.engine, stream.desk.code)
    assert "is cancelled" in reasons(stream.take(stream.start("b@example.com")))[0]
    assert stream.executions()[0].cancelled == 1
    assert stream.waiting() == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"recipients": ["nobody"]}, "recipients[0].to: 'nobody' is not a mail address"),
        ({"recipients": "a@example.com"}, "recipients: must be a list of addresses"),
        ({"recipients": []}, "recipients: name at least one, or leave the field out"),
        ({}, "recipients: the push task has none of its own"),
        ({"recipients": ["a@example.com"], "variables": []}, "variables: must be a mapping"),
        ({"recipients": ["a@example.com"], "variables": {"n": "\0"}}, "variables.n: must not hold a NUL"),
    ],
)
def test_bad_fields_are_rejected_between_good_ones(stream: Stream, fields: dict[str, Any], says: str) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    taken = stream.take(
        stream.start("a@example.com"), {"task": stream.desk.code, **fields}, stream.start("b@example.com")
    )
    assert (taken.deliveries, taken.executions, len(taken.rejected)) == (2, 1, 1)
    assert says in reasons(taken)[0]
    (row,) = rejected.find(stream.desk.engine, task=stream.desk.code)
    assert says in row.reason
    assert (row.topic, row.offset, row.replayed_at) == (stream.name, 1, None)


def test_an_unknown_task_is_rejected(stream: Stream) -> None:
    assert "There is no push task" in reasons(stream.take(stream.start("a@example.com")))[0]


# --- what nobody thought of -----------------------------------------------------------------------------

UNFORESEEN = {
    "in what all write together": (
        "ALTER TABLE push_delivery ADD CONSTRAINT odd CHECK (recipient <> 'odd@example.com')",
        lambda code: {"task": code, "recipients": ["odd@example.com"]},
    ),
    "in a step of its own": (
        "ALTER TABLE push_task ADD CONSTRAINT odd CHECK (name <> 'odd')",
        lambda code: {"define": push(code, **MANUAL, name="odd").spec()},
    ),
}


@pytest.mark.parametrize("kind", UNFORESEEN)
@pytest.mark.parametrize("places", [(0,), (12,), (2, 3, 17)])
def test_what_nobody_thought_of_is_found_and_rejected_alone(
    ledger: Engine, kind: str, places: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    stream = Stream(Desk(ledger), "odd")
    stream.desk.apply(**MANUAL, recipients=[])
    statement, odd = UNFORESEEN[kind]
    with ledger.begin() as connection:
        connection.execute(text(statement))
    values = [odd("other" if "define" in kind else stream.desk.code) if n in places else
              stream.start(f"p{n}@example.com") for n in range(20)]  # fmt: skip
    orders = stream.orders(*values)
    taken = stream.again(orders)
    assert (taken.deliveries, taken.executions, taken.repeated) == (20 - len(places), 1, 0)
    assert [order.message.offset for order in taken.rejected] == list(places)
    for row in rejected.find(ledger):
        assert 'CheckViolation: new row for relation "push_' in row.reason
        assert "example.com" not in row.reason
    assert caplog.text.count("which is logged once:\nTraceback") == 1
    assert "example.com" not in caplog.text
    assert stream.again(orders) == Taken(0, 0, 0, 20, [])
    # When whatever it was is mended, a replay takes it.
    with ledger.begin() as connection:
        connection.execute(text("ALTER TABLE push_delivery DROP CONSTRAINT IF EXISTS odd"))
        connection.execute(text("ALTER TABLE push_task DROP CONSTRAINT IF EXISTS odd"))
    for row in rejected.find(ledger):
        message = rejected.get(ledger, row.id)
        assert stream.again(kafka.orders(message), replay=message.position).rejected == []
    assert rejected.find(ledger) == []


def test_a_replay_that_is_broken_off_is_not_done(ledger: Engine) -> None:
    stream = Stream(Desk(ledger), "odd")
    stream.desk.apply(**MANUAL, recipients=[])
    value = written.dumps([stream.start("p@example.com"), stream.start("odd@example.com")]).encode()
    array = Message(stream.name, 0, 0, None, NOW, value, uuid4())
    with ledger.begin() as connection:
        rejected.keep(connection, [Refused(array, None, "Whatever it was")], None)
        connection.execute(text("ALTER TABLE push_delivery ADD CONSTRAINT odd CHECK (recipient <> 'odd@example.com')"))

    def end() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # between the half that can be taken and the other
        stream.again(kafka.orders(array), replay=array.position, between=end)
    with ledger.begin() as connection:
        connection.execute(text("ALTER TABLE push_delivery DROP CONSTRAINT odd"))
    assert stream.again(kafka.orders(array), replay=array.position)._replace(executions=0) == Taken(1, 0, 0, 1, [])
    assert rejected.find(ledger) == []


def test_nothing_is_rejected_while_the_ledger_is_away(ledger: Engine) -> None:
    def gone(_: PushTask) -> dict[str, str]:
        with ledger.connect() as other:
            query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            other.execute(text(query))
        return {}

    stream = Stream(Desk(ledger), "away")
    stream.desk.apply(**MANUAL, recipients=[])
    orders = stream.orders(*(stream.start(f"p{n}@example.com") for n in range(5)))
    with pytest.raises(LedgerUnavailable):
        stream.again(orders, freeze=gone)
    assert (rejected.find(ledger), stream.executions()) == ([], [])
    assert stream.again(orders) == Taken(5, 1, 0, 0, [])


# --- tasks --------------------------------------------------------------------------------------------


def test_a_define_makes_a_task_that_the_next_message_starts(stream: Stream) -> None:
    spec = push(stream.desk.code, **MANUAL, recipients=[]).spec()
    taken = stream.take({"define": spec}, stream.start("a@example.com"))
    assert taken == Taken(1, 1, 1, 0, [])
    assert stream.desk.row.schedule_since == NOW
    assert stream.take({"define": spec}).defined == 1
    assert stream.desk.row.updated_at == stream.desk.row.updated_at


def test_a_define_that_changes_the_task_begins_another_execution(stream: Stream) -> None:
    spec = push(stream.desk.code, **MANUAL, recipients=[]).spec()
    taken = stream.take(
        {"define": spec},
        stream.start("a@example.com"),
        {"define": {**spec, "subject": "Another"}},
        stream.start("b@example.com"),
        {"define": {**spec, "subject": "Another"}},
        stream.start("c@example.com"),
    )
    assert taken == Taken(3, 2, 3, 0, [])
    first, second = stream.executions()
    assert [stream.plan(row.id).task.subject for row in (first, second)] == ["Hello", "Another"]
    assert (first.total, second.total) == (1, 2)


def test_a_define_that_cannot_fire_leaves_nothing_behind(stream: Stream) -> None:
    spec = push(stream.desk.code).spec()
    past = {"define": {**spec, "schedule": {"kind": "at", "at": "2020-01-01T00:00:00Z"}}}
    taken = stream.take(past, stream.start("a@example.com"))
    assert "schedule.at" in reasons(taken)[0]
    assert "There is no push task" in reasons(taken)[1]


def test_the_dag_processor_is_told_of_new_and_of_exhausted_tasks(stream: Stream) -> None:
    spec = push(stream.desk.code, schedule={"kind": "manual"}, recipients=[]).spec()

    def revision() -> int:
        with stream.desk.engine.connect() as connection:
            query = text("SELECT revision FROM push_task WHERE code = :code")
            return int(connection.execute(query, {"code": stream.desk.code}).scalar_one())

    stream.take({"define": spec})
    made = revision()
    assert made > 0
    stream.take(stream.start("a@example.com"))
    assert revision() > made


# --- runs, rejected messages --------------------------------------------------------------------------


def test_executions_wait_for_their_run_until_it_is_noted(stream: Stream) -> None:
    stream.desk.apply(**MANUAL, recipients=[])
    stream.take(stream.start("a@example.com"))
    (execution,) = stream.executions()
    assert stream.waiting() == [execution.id]
    executions.note_run(stream.desk.engine, execution.id, "kafka__1")
    executions.note_run(stream.desk.engine, execution.id, "kafka__other")
    assert stream.waiting() == []
    assert stream.executions()[0].run_id == "kafka__1"
    assert closing.close(stream.desk.engine, execution.id, error="killed")
    assert stream.executions()[0].state == "failed"


def test_a_rejected_message_is_kept_whole_and_replayed_once(stream: Stream) -> None:
    (order,) = stream.orders(stream.start("a@example.com", id="x"))
    assert len(stream.again([order]).rejected) == 1
    (row,) = rejected.find(stream.desk.engine, task=stream.desk.code)
    message = rejected.get(stream.desk.engine, row.id)
    assert message == order.message
    assert row.size == len(message.value or b"")
    # Still unknown: rejected again, and listed once.
    assert len(stream.again(kafka.orders(message), replay=message.position).rejected) == 1
    stream.desk.apply(**MANUAL, recipients=[])
    assert stream.again(kafka.orders(message), replay=message.position).deliveries == 1
    assert rejected.find(stream.desk.engine, task=stream.desk.code) == []
    (row,) = rejected.find(stream.desk.engine, task=stream.desk.code, replayed=True)
    assert row.replayed_at is not None
    assert stream.again(kafka.orders(message), replay=message.position) == Taken(0, 0, 0, 1, [])
    # Read again from the topic, or sent again under its id, it is known.
    assert stream.again([order]).repeated == 1
    assert stream.take(stream.start("a@example.com", id="x")).repeated == 1


def test_a_sender_that_tries_again_is_not_held_to_the_rejection(stream: Stream) -> None:
    stream.take(stream.start("a@example.com", id="x"))
    stream.desk.apply(**MANUAL, recipients=[])
    assert stream.take(stream.start("a@example.com", id="x")).deliveries == 1
    (row,) = rejected.find(stream.desk.engine, task=stream.desk.code)
    message = rejected.get(stream.desk.engine, row.id)
    assert stream.again(kafka.orders(message), replay=message.position) == Taken(0, 0, 0, 1, [])
    assert rejected.find(stream.desk.engine, task=stream.desk.code) == []


def test_what_is_to_be_forwarded_is_forwarded_once(stream: Stream) -> None:
    stream.take(b"not for a topic")
    stream.take(b"{", None, [stream.start()], forward_to=f"dead-{stream.name}")
    topic, sent = f"dead-{stream.name}", [b"{", None, written.dumps(stream.start()).encode()]
    assert rejected.awaiting(stream.desk.engine, topic) == topic
    with pytest.raises(ZeroDivisionError), rejected.forwarding(stream.desk.engine, topic, 1000) as some:  # noqa: PT012
        assert some
        some.arrived.update(one.id for one in some.waiting)
        raise ZeroDivisionError  # in the middle of it
    for arrive in (0, 1, 2):
        with rejected.forwarding(stream.desk.engine, topic, 1000) as some:
            assert some
            assert [one.message.value for one in some.waiting] == sent
            some.arrived.update(one.id for one in some.waiting[:arrive])
        del sent[:arrive]
    with rejected.forwarding(stream.desk.engine, topic, 1000) as some:
        assert some
        assert some.waiting == []
    assert rejected.awaiting(stream.desk.engine, topic) != topic


@pytest.mark.parametrize(
    ("sizes", "chunks"),
    [
        ([10] * 5, [4, 1]),  # small ones: so many as were asked for
        ([40, 40, 40, 60, 10], [2, 2, 1]),
        ([50, 50, 1], [2, 1]),
        ([300, 1, 300, 1], [1, 1, 1, 1]),  # at least one, however large
        ([None, 100, None, 1], [3, 1]),
    ],
)
def test_only_so_many_bytes_are_forwarded_at_once(stream: Stream, sizes: list[int | None], chunks: list[int]) -> None:
    topic = f"dead-{stream.name}"
    values = [None if size is None else b"x" * size for size in sizes]
    stream.take(*values, forward_to=topic)
    found = []
    while rejected.awaiting(stream.desk.engine, topic) == topic:
        with rejected.forwarding(stream.desk.engine, topic, 4, size=100) as some:
            assert some
            found.append([one.message.value for one in some.waiting])
            some.arrived.update(one.id for one in some.waiting)
    assert [len(chunk) for chunk in found] == chunks
    assert [value for chunk in found for value in chunk] == values


def test_topics_that_wait_for_letters_are_found_one_after_the_other(stream: Stream) -> None:
    engine, names = stream.desk.engine, [f"{stream.name}-{letter}" for letter in "abc"]
    for name in reversed(names):
        stream.take(b"{", b"[", forward_to=name)
    found = [rejected.awaiting(engine, names[0])]
    while found[-1] in names:
        found.append(rejected.awaiting(engine, found[-1], beyond=True))
    assert found[:-1] == names
    with rejected.forwarding(engine, names[1], 1) as some:
        assert some
        some.arrived.add(some.waiting[0].id)
    assert rejected.awaiting(engine, names[1]) == names[1]
    with rejected.forwarding(engine, names[1], 1) as some:
        assert some
        some.arrived.add(some.waiting[0].id)
    assert rejected.awaiting(engine, names[1]) == names[2]


def test_there_is_no_such_message(stream: Stream) -> None:
    with pytest.raises(UnknownMessage, match="airflow push rejected"):
        rejected.get(stream.desk.engine, 2**40)


def test_words_that_postgresql_cannot_keep_do_no_harm(stream: Stream) -> None:
    taken = stream.take({"define": {"code": "\0", "name": "\ud800"}}, {"task": "\0"})
    assert len(taken.rejected) == 2


def test_times_are_those_of_the_messages(stream: Stream) -> None:
    stream.take(stream.start("a@example.com"))
    (row,) = rejected.find(stream.desk.engine, task=stream.desk.code)
    assert row.sent_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
