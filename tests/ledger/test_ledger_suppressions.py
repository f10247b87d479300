"""Addresses that are gone: who finds out, what is sent there afterwards, and what a list shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import LOOP, NOW, Desk
from sqlalchemy import Engine, text

from push_provider.channels.base import Delivery, Outcome, Result
from push_provider.exceptions import UnknownSuppression
from push_provider.ledger import closing, definitions, sending, suppressions

if TYPE_CHECKING:
    from push_provider.ledger.plans import Plan

SENT, FAILED = Result.SENT, Result.FAILED


class Phones(Desk):
    """The desk of a push task to phones, whose devices no other test has."""

    def to(self, *names: str) -> list[str]:
        return [f"{self.code}-{name}" for name in names]

    def plan_for(self, *names: str) -> Plan:
        from push_provider.channels.reading import parse

        task = {"code": self.code, "name": "Phones", "channel": "app", "title": "Hi", "content": "x",
                "execution": LOOP, "schedule": {"kind": "manual"}, "recipients": self.to(*names)}  # fmt: skip
        definitions.apply(self.engine, parse(task), now=NOW, default_timezone="UTC")
        return self.plan()

    def end(self, plan: Plan, *gone: str) -> closing.Counts:
        """One try, in which these are found to be gone and all others get it."""
        away = self.to(*gone)
        with self.sending(plan):
            claimed = self.claim(plan)
            sending.record(self.lease(plan), [said(one, gone=one.to in away) for one in claimed])
            return closing.finish(self.engine, plan.id, final=True)

    def known(self) -> list[str]:
        return [row.address for row in suppressions.find(self.engine, task=self.code, limit=1000)]

    def codes(self, plan: Plan) -> list[tuple[str, str | None, int]]:
        return [(row.state.value, row.error_code, row.attempts) for row in self.deliveries(plan)]


def said(one: Delivery, *, gone: bool) -> Outcome:
    if gone:
        return Outcome(one.id, FAILED, None, "UNREGISTERED", "Requested entity was not found.", gone=True)
    return Outcome(one.id, SENT, f"m{one.id}")


@pytest.fixture
def phones(shared: Engine) -> Phones:
    return Phones(shared)


def test_what_is_gone_gets_nothing_more(phones: Phones) -> None:
    first = phones.plan_for("a", "b", "c")
    counts = phones.end(first, "b")
    assert (counts.sent, counts.failed) == (2, 1)
    (row,) = suppressions.find(phones.engine, task=phones.code)
    assert (row.channel, row.address, row.code, row.task_code) == ("app", *phones.to("b"), "UNREGISTERED", phones.code)
    assert row.reason == "Requested entity was not found."

    second = phones.plan()
    counts = phones.end(second)
    assert (counts.sent, counts.failed) == (2, 1)
    assert phones.codes(second) == [("sent", None, 1), ("failed", "suppressed", 0), ("sent", None, 1)]
    words = phones.deliveries(second)[1].error_text
    assert words
    assert "is gone (UNREGISTERED)" in words
    assert f"{row.suppressed_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" in words
    assert suppressions.failed(phones.engine, second.id) == 1


def test_sent_again_it_fails_again_until_it_is_taken_off(phones: Phones) -> None:
    plan = phones.plan_for("a", "b")
    phones.end(plan, "b")
    phones.end(plan)  # cleared, or redriven
    assert phones.codes(plan) == [("sent", None, 1), ("failed", "suppressed", 1)]
    (row,) = suppressions.find(phones.engine, task=phones.code)
    assert suppressions.lift(phones.engine, row.id) == row
    assert suppressions.failed(phones.engine, plan.id) == 0
    phones.end(plan)
    assert phones.codes(plan) == [("sent", None, 1), ("sent", None, 2)]


def test_what_may_have_arrived_before_its_address_was_gone_is_in_doubt(phones: Phones) -> None:
    plan = phones.plan_for("a", "b")
    phones.run(plan, Result.UNKNOWN, Result.RETRY, final=False)
    phones.end(phones.plan(), "a", "b")
    assert phones.end(plan)[1:] == (0, 0, 1, 1, 0, 0)
    assert phones.codes(plan) == [("unknown", "in-doubt", 1), ("failed", "suppressed", 1)]


def test_all_are_gone(phones: Phones) -> None:
    phones.end(phones.plan_for("a", "b"), "a", "b")
    second = phones.plan()
    with phones.sending(second):
        assert phones.claim(second) == []
        counts = closing.finish(phones.engine, second.id, final=True)
    assert (counts.failed, counts.pending) == (2, 0)


def test_it_is_of_one_channel(phones: Phones, desk: Desk) -> None:
    address = f"{desk.code}@example.com"
    desk.apply(execution=LOOP, recipients=[address])
    with desk.engine.begin() as connection:
        row = {"address": address, "task": desk.code}
        connection.execute(
            text(
                "INSERT INTO push_suppression (channel, address, code, task_code)"
                " VALUES ('app', :address, 'UNREGISTERED', :task)"
            ),
            row,
        )
    assert desk.run(desk.plan(), SENT).sent == 1


def test_others_are_found_out_at_the_same_time(shared: Engine) -> None:
    """Two executions that find the same addresses in other orders do not wait for each other in a circle."""
    one, two = Phones(shared), Phones(shared)
    names = [f"{one.code}-{number}" for number in range(200)]
    barrier = Barrier(2)

    def run(desk: Phones, order: list[str]) -> None:
        desk.to = lambda *given: list(given)  # type: ignore[method-assign]
        plan = desk.plan_for(*order)
        with desk.sending(plan):
            claimed = desk.claim(plan, 500)
            barrier.wait()
            sending.record(desk.lease(plan), [said(each, gone=True) for each in claimed])

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, one, names), pool.submit(run, two, names[::-1])]:
            done.result()
    known = [suppressions.count(shared, cap=1000, task=each.code) for each in (one, two)]
    assert sum(known) == 200


def test_one_that_is_unknown_is_said_to_be(shared: Engine) -> None:
    with pytest.raises(UnknownSuppression, match="There is no suppression 9999999"):
        suppressions.lift(shared, 9999999)
    with pytest.raises(UnknownSuppression):
        suppressions.get(shared, 9999999)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "cba"),
        ({"channel": "app"}, "cba"),
        ({"channel": "email"}, ""),
        ({"address": "b"}, "b"),
        ({"codes": []}, ""),
        ({"suppressed_from": 2}, "cb"),
        ({"suppressed_to": 2}, "a"),
    ],
)
def test_filters(phones: Phones, filters: dict[str, Any], expected: str) -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    phones.end(phones.plan_for(*"abc"), *"abc")
    with phones.engine.begin() as connection:
        for day, name in enumerate(phones.to(*"abc"), 1):
            connection.execute(
                text("UPDATE push_suppression SET suppressed_at = :at WHERE address = :address"),
                {"at": begun + timedelta(days=day), "address": name},
            )
    given = {
        name: begun + timedelta(days=value) if isinstance(value, int) else value for name, value in filters.items()
    }
    if "address" in given:
        (given["address"],) = phones.to(given["address"])
    found = suppressions.find(phones.engine, task=phones.code, **given)
    assert [row.address for row in found] == phones.to(*expected)
    assert suppressions.count(phones.engine, cap=10, task=phones.code, **given) == len(expected)


def test_it_is_forgotten_when_the_log_is(phones: Phones) -> None:
    phones.end(phones.plan_for(*"abc"), *"abc")
    with phones.engine.begin() as connection:
        connection.execute(
            text("UPDATE push_suppression SET suppressed_at = '2000-01-01T00:00Z' WHERE address = ANY(:old)"),
            {"old": phones.to("a", "b")},
        )
    before = datetime(2000, 1, 2, tzinfo=UTC)
    assert [suppressions.forget(phones.engine, 1, before=before) for _ in range(3)] == [1, 1, 0]
    assert phones.known() == phones.to("c")
