"""Recipients are rows of lists that never change, and those of large ones become deliveries when their run begins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import LOOP, NOW, Desk, await_waiting, push
from sqlalchemy import Engine, create_engine, text, update

from push_provider.channels.base import Result
from push_provider.channels.reading import parse
from push_provider.ledger import (
    closing,
    definitions,
    dropping,
    executions,
    planning,
    recipients,
    sending,
    task_lists,
    tasks,
    writing,
)
from push_provider.ledger.engine import AS_WRITTEN
from push_provider.ledger.tables import push_task

if TYPE_CHECKING:
    from push_provider.contract import PushTask
    from push_provider.ledger.planning import Begun

MANY = 1500
"""More than are written while somebody waits."""


def people(count: int, host: str = "example.com") -> list[dict[str, Any]]:
    return [{"to": f"p{n}@{host}", "variables": {"n": n}} for n in range(count)]


@pytest.fixture
def desk(ledger: Engine) -> Desk:
    """In a ledger of its own, with many to send to."""
    desk = Desk(ledger)
    desk.apply(recipients=people(MANY), execution=LOOP, schedule={"kind": "manual"})
    return desk


def begin(desk: Desk, **options: Any) -> Begun:
    """As REST does: another process is to send."""
    given: dict[str, Any] = {"source": "rest", "freeze": lambda _: {"message": "Good day"}, **options}
    with desk.engine.begin() as connection:
        return planning.begin_within(connection, desk.code, **given)


def count(desk: Desk, table: str = "push_delivery") -> int:
    with desk.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def lists(desk: Desk) -> list[int]:
    with desk.engine.connect() as connection:
        return list(connection.scalars(text("SELECT DISTINCT list_id FROM push_recipient ORDER BY 1")))


def clear(desk: Desk, limit: int = 1000) -> list[int]:
    """How many each portion deletes."""
    gone = []
    while portion := recipients.clear(desk.engine, limit):
        gone.append(portion)
    return gone


# --- lists ------------------------------------------------------------------------------------------------------


def test_a_task_is_read_with_its_recipients_only_by_who_asks(desk: Desk) -> None:
    row = desk.row
    assert (row.spec["recipients"], row.recipients) == ([], MANY)
    assert tasks.get_whole(desk.engine, desk.code, most=2).spec["recipients"] == people(2)
    assert desk.task.spec()["recipients"] == people(MANY)
    assert count(desk, "push_recipient") == MANY


def test_the_same_recipients_are_the_same_list(desk: Desk) -> None:
    (first,) = lists(desk)
    assert desk.apply(recipients=people(MANY), execution=LOOP, schedule={"kind": "manual"}).action == "unchanged"
    changed = desk.apply(recipients=people(MANY), name="Other", execution=LOOP, schedule={"kind": "manual"})
    assert (changed.action, changed.row.list_id) == ("updated", first)
    assert (lists(desk), count(desk, "push_list_left")) == ([first], 0)
    with desk.engine.connect() as connection:
        assert connection.scalar(text("SELECT last_value FROM push_recipient_list")) == first  # none was drawn in vain


@pytest.mark.parametrize(
    "others",
    [people(MANY)[::-1], people(MANY - 1), [*people(MANY - 1), {"to": "p0@example.com", "variables": {"n": True}}]],
    ids=["another order", "one less", "another value"],
)
def test_other_recipients_are_another_list(desk: Desk, others: list[Any]) -> None:
    (first,) = lists(desk)
    changed = desk.apply(recipients=others, execution=LOOP, schedule={"kind": "manual"})
    assert changed.action == "updated"
    assert changed.row.list_id not in (first, None)
    assert desk.task.spec()["recipients"] == others
    assert clear(desk) == [1000, 500]
    assert lists(desk) == [changed.row.list_id]
    assert count(desk, "push_list_left") == 0


def test_a_dry_run_writes_none(desk: Desk) -> None:
    before = lists(desk)
    assert desk.apply(recipients=people(3), dry_run=True, schedule={"kind": "manual"}).action == "updated"
    assert (lists(desk), count(desk, "push_list_left"), len(desk.task.recipients)) == (before, 0, MANY)


@pytest.mark.parametrize("said", [people(MANY), people(MANY)[::-1]], ids=["the same", "others"])
def test_a_list_of_which_an_earlier_version_noted_no_digest_is_read(desk: Desk, said: list[Any]) -> None:
    with desk.engine.begin() as connection:
        connection.execute(update(push_task).values(list_digest=None))
    same = said == people(MANY)
    applied = desk.apply(recipients=said, execution=LOOP, schedule={"kind": "manual"})
    assert applied.action == ("unchanged" if same else "updated")


def test_the_list_of_a_deleted_task_goes(desk: Desk) -> None:
    tasks.delete(desk.engine, desk.code, purge=False)
    assert clear(desk, 1000) == [1000, 500]
    assert count(desk, "push_recipient") == count(desk, "push_list_left") == 0


def test_a_task_without_recipients_has_no_list(desk: Desk) -> None:
    row = desk.apply(recipients=[], schedule={"kind": "manual"}).row
    assert (row.list_id, row.recipients, desk.task.recipients) == (None, 0, [])
    assert len(clear(desk)) == 2


def test_a_task_is_found_by_its_recipients_and_by_parts_of_them(desk: Desk) -> None:
    other = Desk(desk.engine)
    other.apply(recipients=["P7@Example.com", "lilei@example.net"])

    def found(**filters: Any) -> set[str]:
        return {item.code for item in task_lists.find(desk.engine, **filters)}

    assert found(recipient="p7@example.com") == {desk.code}
    assert found(recipient="p7@example") == set()
    assert found(search="P7@EXAMPLE.COM") == {desk.code, other.code}
    assert found(search="lilei@") == {other.code}
    other.apply(recipients=["hanmei@example.net"])  # and the list that was has not been deleted yet
    assert found(recipient="lilei@example.net") == found(search="lilei@") == set()
    assert found(recipient="hanmei@example.net") == {other.code}


@pytest.mark.parametrize("how", ["apply", "change"])
def test_executions_begin_while_new_recipients_are_written(desk: Desk, how: str) -> None:
    """Whoever begins one and has to wait for a lock fails here. The locked table stands for a million to come."""
    new = push(desk.code, recipients=people(3), execution=LOOP, schedule={"kind": "manual"})
    options = {"now": NOW, "default_timezone": "UTC"}
    work: dict[str, Callable[[], Any]] = {
        "apply": lambda: definitions.apply(desk.engine, new, **options),
        "change": lambda: definitions.change(desk.engine, desk.code, lambda _: new, **options),
    }
    limited = create_engine(desk.engine.url, connect_args={"options": "-c lock_timeout=2s"}, **AS_WRITTEN)
    patient = Desk(limited)
    patient.code = desk.code
    try:
        with ThreadPoolExecutor(1) as pool:
            with desk.engine.begin() as connection:
                connection.execute(text("LOCK TABLE push_recipient IN SHARE MODE"))
                writing_them = pool.submit(work[how])
                await_waiting(desk.engine, writing_them.done)
                assert begin(patient).total == MANY
                assert not writing_them.done()
            assert writing_them.result().action == "updated"
    finally:
        limited.dispose()
    assert (begin(desk).total, count(desk, "push_list")) == (3, 1)


@pytest.mark.parametrize("to", [3, MANY])
def test_a_change_of_what_somebody_else_changes_meanwhile_loses_nothing(desk: Desk, to: int) -> None:
    seen = []

    def edit(spec: Mapping[str, Any]) -> PushTask:
        seen.append(len(spec["recipients"]))
        if len(seen) == 1:
            desk.apply(recipients=people(to), execution=LOOP, schedule={"kind": "manual"}, name="Another")
        return parse({**spec, "code": desk.code, "recipients": [*spec["recipients"], "last@example.com"]})

    assert definitions.change(desk.engine, desk.code, edit, now=NOW, default_timezone="UTC").action == "updated"
    assert seen == [MANY, to]
    assert (desk.row.name, desk.row.recipients) == ("Another", to + 1)
    assert desk.task.recipients[-1].to == "last@example.com"
    clear(desk)
    assert (count(desk, "push_list"), count(desk, "push_recipient")) == (1, to + 1)


# --- deliveries that are left to the run ---------------------------------------------------------------------------


def test_what_begins_has_its_number_and_its_size_at_once_and_its_deliveries_when_it_is_sent(desk: Desk) -> None:
    begun = begin(desk)
    assert (begun.number, begun.total, begun.new) == (1, MANY, True)
    assert count(desk) == 0
    assert executions.get(desk.engine, begun.id).total == MANY
    plan = planning.bind(desk.engine, desk.code, begun.id, "run-1")
    assert (plan.id, plan.total, count(desk)) == (begun.id, MANY, MANY)
    again = planning.of_run(desk.engine, desk.code, "run-1")  # the next try
    assert again is not None
    assert (again.id, count(desk)) == (plan.id, MANY)
    first = desk.claim(plan, 2)
    assert [(one.to, one.variables) for one in first] == [("p0@example.com", {"n": 0}), ("p1@example.com", {"n": 1})]
    assert executions.get(desk.engine, begun.id).total == MANY


def test_few_are_written_at_once(desk: Desk) -> None:
    desk.apply(recipients=people(1000), execution=LOOP, schedule={"kind": "manual"})
    begin(desk)
    assert count(desk) == 1000


def test_those_whom_a_trigger_names_are_written_at_once(desk: Desk) -> None:
    from push_provider.channels.reading import parse_trigger

    begun = begin(desk, trigger=parse_trigger({"recipients": people(MANY)}, channel="email"))
    assert (begun.total, count(desk)) == (MANY, MANY)


def test_whoever_was_meant_gets_it_though_the_task_has_others_now(desk: Desk) -> None:
    begun = begin(desk)
    desk.apply(recipients=people(3, "other.example"), execution=LOOP, schedule={"kind": "manual"})
    assert clear(desk) == []  # somebody waits for them
    plan = planning.bind(desk.engine, desk.code, begun.id, "run-1")
    assert {one.to for one in desk.claim(plan, 2000)} == {one["to"] for one in people(MANY)}
    assert sum(clear(desk)) == MANY


@pytest.mark.parametrize("who", ["the run", "the reconciler"])
def test_who_is_cancelled_before_the_run_is_on_record(desk: Desk, who: str) -> None:
    """At once in number, and by their addresses when the run begins all the same, or the reconciler finds them."""
    begun = begin(desk)
    assert tasks.cancel(desk.engine, desk.code) == MANY
    row = executions.get(desk.engine, begun.id)
    assert (row.state, row.total, row.cancelled) == ("cancelled", MANY, MANY)
    assert count(desk) == 0
    assert clear(desk) == []
    if who == "the reconciler":
        assert [writing.write_ended(desk.engine) for _ in range(2)] == [begun.id, None]
    plan = planning.bind(desk.engine, desk.code, begun.id, "run-1")
    with desk.engine.connect() as connection:
        states = connection.execute(text("SELECT state, count(*) FROM push_delivery GROUP BY 1")).all()
    assert states == [("cancelled", MANY)]
    assert desk.claim(plan) == []
    assert tasks.cancel(desk.engine, desk.code) == 0


@pytest.mark.parametrize("who", ["the run", "the reconciler"])
def test_an_execution_without_a_run_fails_with_all_its_deliveries_and_is_sent_again(desk: Desk, who: str) -> None:
    begun = begin(desk)
    counts = closing.finish(desk.engine, begun.id, final=True, error="No DAG run could be made")
    assert (counts.total, counts.failed) == (MANY, MANY)
    row = executions.get(desk.engine, begun.id)
    assert (row.state, row.total, row.failed) == ("failed", MANY, MANY)
    assert count(desk) == 0  # nobody waits for them
    if who == "the reconciler":
        assert [writing.write_ended(desk.engine) for _ in range(2)] == [begun.id, None]
        with desk.engine.connect() as connection:
            query = "SELECT state, error_code, error_text, count(*) FROM push_delivery GROUP BY 1, 2, 3"
            assert connection.execute(text(query)).all() == [("failed", "not-sent", "No DAG run could be made", MANY)]
    sending.prepare_redrive(desk.engine, begun.id, unknown=None)
    plan = planning.bind(desk.engine, desk.code, begun.id, "run-1")
    assert desk.run(plan, *[Result.SENT] * 100, final=False).sent == 100


def test_the_run_and_who_cancels_write_them_once(desk: Desk) -> None:
    """The one waits for the other, in either order."""
    begun = begin(desk)
    results: list[int] = []
    with desk.engine.begin() as connection:
        assert writing.write_left(connection, begun.id)
        thread = threading.Thread(target=lambda: results.append(tasks.cancel(desk.engine, desk.code)))
        thread.start()
        await_waiting(desk.engine, lambda: bool(results))
        assert results == []
        assert begin(desk).number == 2  # which nobody keeps waiting meanwhile
    thread.join()
    assert (results, count(desk)) == ([2 * MANY], MANY)
    with desk.engine.connect() as connection:
        assert connection.scalars(text("SELECT DISTINCT state FROM push_delivery")).all() == ["cancelled"]


def test_others_of_the_task_begin_while_many_are_written(desk: Desk) -> None:
    begun = begin(desk)
    with desk.engine.begin() as connection:
        assert writing.write_left(connection, begun.id)
        assert begin(desk).number == 2  # nobody waits
    assert count(desk) == MANY


def test_a_run_that_plans_by_itself_has_its_deliveries(desk: Desk) -> None:
    plan = desk.plan(run_id="scheduled")
    assert (plan.total, count(desk)) == (MANY, MANY)


def test_a_run_that_fails_while_they_are_written_writes_them_the_next_time(desk: Desk) -> None:
    begun = begin(desk)
    with desk.engine.connect() as connection:  # and rolled back
        assert writing.write_left(connection, begun.id)
    assert (count(desk), executions.get(desk.engine, begun.id).total) == (0, MANY)
    assert planning.bind(desk.engine, desk.code, begun.id, "run-1").total == MANY
    assert count(desk) == MANY


def test_the_same_key_again_gives_the_first_and_writes_none(desk: Desk) -> None:
    first, second = (begin(desk, key="k") for _ in range(2))
    assert second == first._replace(new=False)
    assert count(desk) == 0


def test_an_execution_that_leaves_the_ledger_without_having_written_them_leaves_nothing(desk: Desk) -> None:
    begin(desk)
    tasks.cancel(desk.engine, desk.code)
    later = NOW + timedelta(days=10_000)
    assert dropping.drop_old(desk.engine, 10, before=later) == 1
    assert dropping.clear(desk.engine, 10_000) == 0
    assert (count(desk, "push_dropped"), count(desk)) == (0, 0)
    tasks.delete(desk.engine, desk.code, purge=True)
    assert sum(clear(desk)) == MANY
