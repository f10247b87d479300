"""Which push tasks retire, what is left of their shard, and what brings them back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import LOOP, Desk
from sqlalchemy import text

from push_provider.channels.base import Result
from push_provider.exceptions import TaskClosed, UnknownTask
from push_provider.ledger import retiring, shards, tasks
from push_provider.ledger.tables import shard_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

SENT = (Result.SENT,) * 3
LATER = timedelta(hours=1)


@pytest.fixture
def desk(ledger: Engine) -> Desk:
    """In a ledger of its own: whatever is done with retires."""
    return Desk(ledger)


def retire(desk: Desk, limit: int = 100) -> int:
    """As if an hour had passed."""
    return retiring.retire(desk.engine, limit, before=datetime.now(UTC) + LATER)


def revision(desk: Desk) -> tuple[int, bool] | None:
    return shards.revisions(desk.engine).get(shard_of(desk.code))


def dags(desk: Desk) -> list[str]:
    """The push tasks that the DAG processor finds in the shard."""
    _, rows = shards.shard_tasks(desk.engine, shard_of(desk.code))
    return [row.code for row in rows]


def finished(desk: Desk) -> None:
    desk.apply()
    desk.run(desk.plan(), *SENT)


def failed(desk: Desk) -> None:
    desk.apply()
    desk.run(desk.plan(), Result.SENT, Result.SENT, Result.FAILED)


def cancelled(desk: Desk) -> None:
    desk.apply(execution=LOOP, schedule={"kind": "daily", "time": "09:00"})
    tasks.cancel(desk.engine, desk.code)


def waiting(desk: Desk) -> None:
    desk.apply()


def goes_on(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    desk.run(desk.plan(), *SENT)


def sending(desk: Desk) -> None:
    desk.apply()
    desk.plan()


def cancelled_while_sending(desk: Desk) -> None:
    desk.apply()
    with desk.sending(desk.plan()):
        tasks.cancel(desk.engine, desk.code)


@pytest.mark.parametrize(
    ("make", "goes"),
    [
        (finished, True),
        (failed, True),
        (cancelled, True),
        (waiting, False),
        (goes_on, False),
        (sending, False),
        (cancelled_while_sending, False),
    ],
)
def test_what_is_done_with_retires(desk: Desk, make: Callable[[Desk], None], goes: bool) -> None:
    make(desk)
    before = desk.row
    assert retire(desk) == int(goes)
    assert (desk.row.retired_at is not None) is goes
    assert dags(desk) == ([] if goes else [desk.code])
    assert desk.row._replace(retired_at=None) == before
    assert retire(desk) == 0


def test_not_before_its_time(desk: Desk) -> None:
    finished(desk)
    assert retiring.retire(desk.engine, 100, before=datetime.now(UTC) - LATER) == 0
    assert desk.row.retired_at is None


def test_one_that_somebody_changes_meanwhile_is_not_done_with(desk: Desk) -> None:
    finished(desk)
    with desk.engine.begin() as other:
        tasks.lock(other, desk.code)
        assert retire(desk) == 0
    assert retire(desk) == 1


# --- shards ---------------------------------------------------------------------------------------------


def test_a_shard_without_tasks_has_no_file_and_one_with_others_is_built_anew(desk: Desk) -> None:
    finished(desk)
    mate = Desk(desk.engine)
    mate.code = next(code for n in range(10_000) if shard_of(code := f"mate-{n}") == shard_of(desk.code))
    finished(mate)
    mate.apply(execution=LOOP)
    before = revision(desk)
    assert before is not None
    shards.mark_built(desk.engine, {shard_of(desk.code): before[0]})
    assert shards.filled(desk.engine) == {shard_of(desk.code): (2, True)}
    assert retire(desk) == 1
    after = revision(desk)
    assert after is not None
    assert after[0] > before[0]
    assert not after[1]
    assert shards.filled(desk.engine) == {shard_of(desk.code): (1, False)}
    assert dags(desk) == shards.codes_of_shard(desk.engine, shard_of(desk.code)) == [mate.code]
    mate.apply()
    tasks.cancel(desk.engine, mate.code)
    assert retire(desk) == 1
    assert revision(desk) is None
    assert shards.filled(desk.engine) == {}


def test_a_task_that_comes_while_the_last_one_retires_has_a_file(desk: Desk) -> None:
    """Whoever waits for the shard looks again at what is in it."""
    finished(desk)
    mate = Desk(desk.engine)
    mate.code = next(code for n in range(10_000) if shard_of(code := f"mate-{n}") == shard_of(desk.code))
    with ThreadPoolExecutor(1) as pool:
        with desk.engine.begin() as other:
            other.execute(text("SELECT FROM push_shard FOR UPDATE"))
            retired = pool.submit(retire, desk)
            _await_lock(desk.engine)
            other.execute(
                text(
                    "INSERT INTO push_task (code, name, channel, spec, execution_type, schedule_since, shard, revision)"
                    " SELECT :code, name, channel, spec, execution_type, schedule_since, shard, revision"
                    " FROM push_task WHERE code = :like"
                ),
                {"code": mate.code, "like": desk.code},
            )
        assert retired.result() == 1
    assert revision(desk) is not None
    assert dags(desk) == [mate.code]


def _await_lock(engine: Engine) -> None:
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(2000):
        with engine.connect() as connection:
            if connection.execute(query).scalar():
                return
    pytest.fail("nobody waits")


def test_a_deleted_task_leaves_no_file_either(desk: Desk) -> None:
    desk.apply()
    tasks.delete(desk.engine, desk.code, purge=False)
    assert revision(desk) is None


def test_a_run_that_was_cleared_just_before_finds_its_dag(desk: Desk) -> None:
    finished(desk)
    retire(desk)
    _, rows = shards.shard_tasks(desk.engine, shard_of(desk.code), desk.code)
    assert [row.code for row in rows] == [desk.code]


# --- and comes back -------------------------------------------------------------------------------------


def test_a_change_brings_it_back(desk: Desk) -> None:
    finished(desk)
    retire(desk)
    assert desk.apply().action == "unchanged"
    assert desk.row.retired_at is not None
    assert desk.apply(execution=LOOP).row.retired_at is None
    assert dags(desk) == [desk.code]
    assert revision(desk) is not None
    assert desk.plan().number == 2


def test_it_is_brought_back_as_it_was(desk: Desk) -> None:
    finished(desk)
    retire(desk)
    assert retiring.revive(desk.engine, desk.code)
    assert not retiring.revive(desk.engine, desk.code)
    assert (dags(desk), desk.status) == ([desk.code], "finished")
    assert revision(desk) is not None
    # It is done with only when it has been left alone for as long again.
    assert retiring.retire(desk.engine, 100, before=datetime.now(UTC) - LATER) == 0
    with pytest.raises(TaskClosed):
        desk.plan()
    with pytest.raises(UnknownTask):
        retiring.revive(desk.engine, "nobody")


def test_cancelling_does_not(desk: Desk) -> None:
    finished(desk)
    retire(desk)
    tasks.cancel(desk.engine, desk.code)
    assert dags(desk) == []
    assert desk.row.retired_at is not None


def test_nobody_brings_back_what_is_being_taken_away(desk: Desk) -> None:
    """Otherwise the DAG that comes back would be taken away."""
    finished(desk)
    live = Desk(desk.engine)
    live.apply()
    retire(desk)
    with ThreadPoolExecutor(1) as pool:
        with retiring.held(desk.engine, [desk.code, live.code, "gone"]) as held:
            assert held == {desk.code, "gone"}
            back = pool.submit(retiring.revive, desk.engine, desk.code)
            _await_lock(desk.engine)
            assert not back.done()
        assert back.result()


def test_what_is_being_brought_back_is_not_taken_away(desk: Desk) -> None:
    finished(desk)
    retire(desk)
    with desk.engine.begin() as other:
        other.execute(text("UPDATE push_task SET retired_at = NULL"))
        with retiring.held(desk.engine, [desk.code]) as held:
            assert held == set()


def test_of_some_codes(desk: Desk) -> None:
    finished(desk)
    other: Any = Desk(desk.engine)
    other.apply()
    retire(desk)
    codes = [desk.code, other.code, "gone"]
    assert retiring.retired(desk.engine, codes) == {desk.code}
    assert shards.live(desk.engine, codes) == {other.code}
