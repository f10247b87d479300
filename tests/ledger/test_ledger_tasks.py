"""Push tasks in the ledger: created, changed, cancelled, and what their DAG files are told."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import LOOP, NOW, Desk, push
from sqlalchemy import Engine, select, update

from push_provider import written
from push_provider.channels.base import Result
from push_provider.channels.reading import parse, parse_stored, parse_trigger
from push_provider.exceptions import InvalidTask, LimitReached, TaskClosed, UnknownTask
from push_provider.ledger import definitions, planning, shards, task_lists, tasks
from push_provider.ledger.tables import SHARDS, push_task, shard_of

if TYPE_CHECKING:
    from push_provider.contract import PushTask

LATER = NOW + timedelta(days=3)
DAILY = {"kind": "daily", "time": "09:00"}
INLINE = [{"name": "a.txt", "content_base64": "aGk="}]


def revision_of(desk: Desk) -> int:
    with desk.engine.connect() as connection:
        return int(connection.execute(select(push_task.c.revision).where(push_task.c.code == desk.code)).scalar_one())


# --- apply --------------------------------------------------------------------------------------------


def test_a_task_is_created_then_unchanged_then_updated(desk: Desk) -> None:
    created = desk.apply()
    assert (created.action, created.row.status, created.row.executions) == ("created", "pending", 0)
    assert desk.task == push(desk.code)
    assert created.row.schedule_since == NOW
    first = revision_of(desk)

    assert desk.apply(now=LATER) == ("unchanged", created.row)
    assert revision_of(desk) == first

    updated = desk.apply(now=LATER, name="Other")
    assert (updated.action, updated.row.name, updated.row.spec["name"]) == ("updated", "Other", "Other")
    assert updated.row.updated_at == LATER
    assert updated.row == desk.row
    assert revision_of(desk) > first


def test_what_an_earlier_version_wrote_is_the_same_task(desk: Desk) -> None:
    desk.apply()
    earlier = {"template_code": None, "sign_name": None}  # fields of another channel, which all tasks had
    with desk.engine.begin() as connection:
        mine = push_task.c.code == desk.code
        spec = {**desk.row.spec, **earlier}
        del spec["on_unknown"]  # a field that a later version has added
        connection.execute(update(push_task).where(mine).values(spec=spec))
    assert desk.task == push(desk.code)
    assert desk.apply(now=LATER).action == "unchanged"
    assert desk.apply(now=LATER, name="Other").action == "updated"
    assert desk.row.spec.keys() == push(desk.code).spec().keys()


def test_numbers_are_kept_as_they_were_written(desk: Desk) -> None:
    said = {"price": written.number("12.50"), "rate": written.number("1e-05"), "n": 9007199254740993}
    desk.apply(variables=said, recipients=[{"to": "a@example.com", "variables": said}], execution=LOOP)
    shown = {"price": "12.50", "rate": "0.00001", "n": "9007199254740993"}
    task = desk.task
    assert {name: str(value) for name, value in task.variables.items()} == shown
    own = desk.plan()
    told = desk.plan(trigger=parse_trigger({"recipients": task.recipients, "variables": said}, channel="email"))
    for plan in (own, told):
        [delivery] = desk.claim(plan)
        assert {name: str(value) for name, value in delivery.variables.items()} == shown
        assert str(plan.task.variables["price"]) == "12.50"
    assert str(told.variables["price"]) == "12.50"


def test_another_spelling_is_a_change(desk: Desk) -> None:
    for value in (1, True, 1.0, written.number("1.00"), "1.00"):
        assert desk.apply(variables={"n": value}).action != "unchanged"
        assert desk.apply(variables={"n": value}).action == "unchanged"


@pytest.mark.parametrize("meanwhile", [written.number("1.00"), True, 2])
def test_what_somebody_else_writes_meanwhile_is_not_lost(desk: Desk, meanwhile: Any) -> None:
    desk.apply(variables={"n": 1})
    seen = []

    def edit(spec: Mapping[str, Any]) -> PushTask:
        seen.append(str(spec["variables"]["n"]))
        if len(seen) == 1:
            desk.apply(variables={"n": meanwhile})
        return parse_stored({**spec, "name": "Other"})

    definitions.change(desk.engine, desk.code, edit, now=NOW, default_timezone="UTC")
    assert seen == ["1", str(meanwhile)]
    assert (desk.row.name, str(desk.row.spec["variables"]["n"])) == ("Other", str(meanwhile))


def test_each_column_follows_the_spec(desk: Desk) -> None:
    desk.apply()
    row = desk.apply(config="mail_a", app="shop", owner="ops", execution={"type": "loop", "max_executions": 7}).row
    assert (row.config, row.app, row.owner, row.execution_type, row.max_executions) == (
        "mail_a",
        "shop",
        "ops",
        "loop",
        7,
    )


def test_the_same_new_task_applied_at_once_is_created_once(desk: Desk) -> None:
    barrier = Barrier(8)

    def apply(_: int) -> str:
        barrier.wait()
        return desk.apply().action.value

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(apply, range(8))) == ["created"] + ["unchanged"] * 7


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"schedule": {"kind": "daily", "time": "10:00"}}, True),
        ({"schedule": {**DAILY, "timezone": "Asia/Shanghai"}}, True),
        ({"schedule": {"kind": "manual"}}, True),
        ({"name": "Other"}, False),
        ({"recipients": ["z@example.com"]}, False),
        ({"execution": {"type": "loop", "max_executions": 9}}, False),
        ({"missed": "all"}, False),
    ],
)
def test_only_another_schedule_counts_from_now(desk: Desk, change: dict[str, Any], moves: bool) -> None:
    base = {"schedule": DAILY, "execution": LOOP}
    desk.apply(**base)
    row = desk.apply(now=LATER, **(base | change)).row
    assert row.schedule_since == (LATER if moves else NOW)


def test_a_schedule_that_cannot_fire_is_refused_and_nothing_stays(desk: Desk) -> None:
    past = {"kind": "at", "at": "2020-01-01T00:00:00Z"}
    with pytest.raises(InvalidTask):
        desk.apply(schedule=past)
    with pytest.raises(UnknownTask, match=desk.code):
        tasks.get(desk.engine, desk.code)

    before = desk.apply().row
    with pytest.raises(InvalidTask):
        desk.apply(schedule=past)
    assert desk.row == before


def test_a_larger_limit_reopens_a_finished_task(desk: Desk) -> None:
    desk.apply(execution={"type": "loop", "max_executions": 1})
    desk.run(desk.plan(), *[Result.SENT] * 3)
    assert desk.status == "finished"
    with pytest.raises(TaskClosed, match=r"larger execution\.max_executions"):
        desk.plan()

    row = desk.apply(execution={"type": "loop", "max_executions": 2}).row
    assert (row.status, row.open) == ("active", True)
    assert desk.plan().number == 2


@pytest.mark.parametrize(
    ("execution", "limit", "status"),
    [
        ({"type": "loop", "max_executions": 1}, 2, "finished"),
        ({"type": "once"}, 2, "finished"),
        ({"type": "loop", "max_executions": 3}, 3, "active"),
        ({"type": "loop"}, None, "active"),
    ],
)
def test_no_smaller_limit_undoes_what_has_begun(
    desk: Desk, execution: dict[str, Any], limit: int | None, status: str
) -> None:
    desk.apply(execution={"type": "loop", "max_executions": 5})
    for _ in range(2):
        desk.run(desk.plan(), *[Result.SENT] * 3)
    row = desk.apply(execution=execution).row
    assert (row.max_executions, row.executions, row.status) == (limit, 2, status)


def test_a_cancelled_task_takes_no_change(desk: Desk) -> None:
    desk.apply()
    tasks.cancel(desk.engine, desk.code)
    for fields in ({}, {"name": "Other"}):
        with pytest.raises(TaskClosed, match="another code"):
            desk.apply(**fields)


def test_a_task_keeps_its_channel(desk: Desk) -> None:
    """What has begun was planned for it: another one's operator could not send that."""
    desk.apply(execution=LOOP)
    fields = {"code": desk.code, "name": "Ledger", "template_code": "SMS_1", "recipients": ["13800138000"]}
    by_sms = parse({**fields, "channel": "sms"})
    for dry_run in (True, False):
        with pytest.raises(InvalidTask) as refused:
            definitions.apply(desk.engine, by_sms, now=NOW, default_timezone="UTC", dry_run=dry_run)
        assert [error.field for error in refused.value.errors] == ["channel"]
    assert desk.row.channel == "email"


def test_a_dry_run_says_what_would_be_and_changes_nothing(desk: Desk) -> None:
    assert desk.apply(dry_run=True).action == "created"
    with pytest.raises(UnknownTask):
        tasks.get(desk.engine, desk.code)

    desk.apply()
    before, revision, known = desk.row, revision_of(desk), shards.revisions(desk.engine)
    would = desk.apply(dry_run=True, now=LATER, name="Other", execution=LOOP)
    assert (would.action, would.row.name, would.row.max_executions) == ("updated", "Other", None)
    assert (desk.row, revision_of(desk), shards.revisions(desk.engine)) == (before, revision, known)
    with pytest.raises(InvalidTask):
        desk.apply(dry_run=True, schedule={"kind": "at", "at": "2020-01-01T00:00:00Z"})


# --- lists --------------------------------------------------------------------------------------------


def test_tasks_are_found_by_each_filter_newest_first(ledger: Engine) -> None:
    for code, fields in {"a": {"app": "shop"}, "b": {"app": "shop"}, "c": {}}.items():
        definitions.apply(ledger, push(code, **fields), now=NOW, default_timezone="UTC")
    tasks.cancel(ledger, "b")

    def found(**filters: Any) -> list[str]:
        return [row.code for row in task_lists.find(ledger, **filters)]

    assert found() == ["c", "b", "a"]
    assert found(app="shop") == ["b", "a"]
    assert found(app="shop", status="cancelled") == ["b"]
    assert found(channel="email", limit=1, offset=1) == ["b"]
    assert found(channel="sms") == []


# --- for the DAG files --------------------------------------------------------------------------------


def test_a_shard_is_the_same_on_every_machine() -> None:
    assert shard_of("daily-report") == zlib.crc32(b"daily-report") % 256
    assert {shard_of(f"t{n}") for n in range(5000)} == set(range(SHARDS))


def test_a_shards_tasks_come_without_what_no_dag_needs(ledger: Engine) -> None:
    fields = {"attachments": INLINE, "variables": {"secret": "s"}, "execution": LOOP, "schedule": DAILY}
    applied = definitions.apply(ledger, push("a", **fields), now=NOW, default_timezone="UTC")
    revision, (row,) = shards.shard_tasks(ledger, shard_of("a"))
    assert revision == shards.revisions(ledger)[shard_of("a")][0]
    assert set(applied.row.spec) - set(row.spec) == {"content", "attachments", "variables"}
    assert (row.code, row.name, row.open, row.schedule_since, row.recipients) == ("a", "Ledger", True, NOW, 3)
    assert parse_stored(row.spec).schedule == push("a", **fields).schedule

    assert shards.shard_tasks(ledger, shard_of("a"), "a")[1] == [row]
    assert shards.shard_tasks(ledger, shard_of("a"), "b")[1] == []
    assert shards.shard_tasks(ledger, (shard_of("a") + 1) % SHARDS) == (0, [])


@pytest.mark.parametrize("how", ["limit reached", "cancelled"])
def test_a_closed_task_is_closed_in_its_shard(desk: Desk, how: str) -> None:
    desk.apply()
    if how == "cancelled":
        tasks.cancel(desk.engine, desk.code)
    else:
        desk.plan()
    _, (row,) = shards.shard_tasks(desk.engine, shard_of(desk.code), desk.code)
    assert row.open is False


def test_a_shard_is_built_until_one_of_its_tasks_changes(ledger: Engine) -> None:
    shard = shard_of("a")

    def built() -> bool:
        return shards.revisions(ledger)[shard][1]

    def build() -> None:
        shards.mark_built(ledger, {shard: shards.shard_tasks(ledger, shard)[0]})
        assert built()

    def apply(**fields: Any) -> None:
        definitions.apply(ledger, push("a", **fields), now=NOW, default_timezone="UTC")

    def plan() -> None:
        planning.plan(ledger, "a", source="manual", freeze=lambda _: {})

    assert shards.revisions(ledger) == {}
    two = {"type": "loop", "max_executions": 2}
    for change, rebuilds in [
        (lambda: apply(execution=two), True),
        (lambda: apply(execution=two), False),
        (lambda: apply(execution=two, name="Other"), True),
        (plan, False),  # one of two: the DAG keeps its schedule
        (plan, True),  # the last: it loses it
        (lambda: tasks.cancel(ledger, "a"), True),
        (lambda: tasks.cancel(ledger, "a"), False),
    ]:
        change()
        assert built() is not rebuilds
        if rebuilds:
            build()
    assert list(shards.revisions(ledger)) == [shard]


def test_a_change_during_a_parse_is_not_taken_for_built(ledger: Engine) -> None:
    shard = shard_of("a")
    definitions.apply(ledger, push("a"), now=NOW, default_timezone="UTC")
    seen, _ = shards.shard_tasks(ledger, shard)
    definitions.apply(ledger, push("a", name="Other"), now=NOW, default_timezone="UTC")
    shards.mark_built(ledger, {shard: seen})
    assert shards.revisions(ledger)[shard][1] is False


def test_changes_of_one_shard_at_once_are_all_seen(ledger: Engine) -> None:
    shard = shard_of("a")
    codes = [code for n in range(6000) if shard_of(code := f"c{n}") == shard][:8]
    barrier = Barrier(len(codes))

    def apply(code: str) -> None:
        barrier.wait()
        definitions.apply(ledger, push(code), now=NOW, default_timezone="UTC")

    with ThreadPoolExecutor(len(codes)) as pool:
        list(pool.map(apply, codes))
    revision, rows = shards.shard_tasks(ledger, shard)
    assert [row.code for row in rows] == sorted(codes)
    assert shards.revisions(ledger) == {shard: (revision, False)}


# --- cancel -------------------------------------------------------------------------------------------


def test_cancelling_ends_what_is_planned_and_twice_changes_nothing(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    done, waiting = desk.plan(), desk.plan()
    desk.run(done, Result.SENT, Result.SENT, Result.FAILED)
    assert tasks.cancel(desk.engine, desk.code) == 3
    row, waits = desk.row, desk.execution(waiting)
    assert (row.status, row.open) == ("cancelled", False)
    assert (waits.state, waits.cancelled, waits.total) == ("cancelled", 3, 3)
    assert waits.finished_at is not None
    assert desk.states(done) == ["sent", "sent", "failed"]
    assert desk.execution(done).state == "partial"

    assert tasks.cancel(desk.engine, desk.code) == 0
    assert desk.row == row
    with pytest.raises(TaskClosed, match="is cancelled"):
        desk.plan()


def test_cancelling_an_unknown_task(desk: Desk) -> None:
    with pytest.raises(UnknownTask, match="airflow push tasks"):
        tasks.cancel(desk.engine, desk.code)


# --- quotas ---------------------------------------------------------------------------------------------


def test_a_task_that_is_opened_again_or_given_away_counts_for_its_application(ledger: Engine) -> None:
    def change(code: str, **fields: Any) -> None:
        def edit(spec: Any) -> Any:
            return parse_stored({**spec, **fields})

        definitions.change(ledger, code, edit, now=NOW, default_timezone="UTC", open_limit=2)

    for code, app in (("q1", "shop"), ("q2", "shop"), ("q3", "crm"), ("q4", "shop")):
        task = push(code, app=app, schedule=DAILY, execution={"type": "once"})
        definitions.apply(ledger, task, now=NOW, default_timezone="UTC")
    with ledger.begin() as connection:
        connection.execute(update(push_task).where(push_task.c.code == "q4").values(executions=1, status="finished"))

    change("q1", name="Other")  # it is open already
    for refused, fields in (("q3", {"app": "shop"}), ("q4", {"execution": {"type": "loop", "max_executions": 2}})):
        with pytest.raises(LimitReached, match="'shop' has 2 open"):
            change(refused, **fields)
    change("q2", app="crm")
    change("q3", app="shop")
