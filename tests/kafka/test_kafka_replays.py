"""A rejected message takes effect once, however often and however late it is tried again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection
from sqlalchemy import text

from push_provider.channels.reading import parse
from push_provider.kafka import admission, messages
from push_provider.ledger import definitions, message_ids, rejected

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.ledger.orders import Message, Taken

CONNECTIONS = {"push_email_default": Connection(conn_id="push_email_default", conn_type="push_email")}


class Desk:
    """A ledger that takes messages, and lets time pass."""

    def __init__(self, ledger: Engine) -> None:
        self.ledger = ledger

    def apply(self) -> None:
        task = {"code": "t", "name": "T", "channel": "email", "schedule": {"kind": "manual"}, "subject": "S",
                "execution": {"type": "loop"}, "content": "C"}  # fmt: skip
        definitions.apply(self.ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")

    def take(self, value: Any) -> Taken:
        orders = messages.read("orders", 0, 7, json.dumps(value).encode(), timestamp=1)
        return admission.take(self.ledger, orders, find=CONNECTIONS.get)

    @property
    def message(self) -> Message:
        """The one that is rejected."""
        (row,) = rejected.find(self.ledger, replayed=None)
        return rejected.get(self.ledger, row.id)

    def replay(self) -> Taken:
        message = self.message
        return admission.take(self.ledger, messages.orders(message), replay=message.position, find=CONNECTIONS.get)

    def pass_days(self, days: float, kept: str = "30") -> None:
        """Let what was rejected and taken be older, and the upkeep forget what it forgets by then."""
        with self.ledger.begin() as connection:
            for table, column in (("push_message", "taken_at"), ("push_rejected", "rejected_at")):
                older = f"UPDATE {table} SET {column} = {column} - make_interval(secs => :seconds)"
                connection.execute(text(older), {"seconds": days * 86_400})
        if float(kept):
            message_ids.forget(self.ledger, 100_000, before=datetime.now(UTC) - timedelta(days=float(kept)))


@pytest.fixture
def desk(ledger: Engine) -> Desk:
    return Desk(ledger)


def start(to: str) -> dict[str, Any]:
    return {"task": "t", "recipients": [to]}


@pytest.mark.parametrize("days", [0, 31])
def test_a_message_that_a_replay_took_is_done(desk: Desk, days: float) -> None:
    desk.take(start("a@example.com"))
    desk.apply()
    assert desk.replay().action == "taken"
    desk.pass_days(days)
    again = desk.replay()
    assert (again.action, again.deliveries) == ("taken-before", 0)


def test_a_message_is_tried_again_however_old_it_is(desk: Desk) -> None:
    desk.take(start("a@example.com"))
    desk.apply()
    desk.pass_days(80)
    assert desk.replay().deliveries == 1


ARRAY = [start("a@example.com"), *({"task": "t", "odd": 1} for _ in range(101)), start("b@example.com")]


@pytest.mark.parametrize(
    ("days", "kept", "says"),
    [
        (29, "30", "101 of 103 elements cannot be used"),
        (31, "30", "longer ago than ids of messages are known"),
        (80, "0", "101 of 103 elements cannot be used"),
    ],
)
def test_an_array_whose_good_elements_were_taken_sends_nothing_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, days: float, kept: str, says: str
) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__MESSAGE_ID_DAYS", kept)
    desk.apply()
    assert desk.take(ARRAY).deliveries == 2
    desk.pass_days(days, kept)
    again = desk.replay()
    assert (again.action, again.deliveries) == ("rejected", 0)
    assert says in (again.reason or "")
    (row,) = rejected.find(desk.ledger)
    assert says in row.reason


def test_an_array_that_can_all_be_used_by_now_is_held_to_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.apply()
    desk.take(ARRAY)
    monkeypatch.setattr(messages, "_APART", 1000)
    desk.pass_days(31)
    again = desk.replay()
    assert (again.deliveries, len(again.rejected)) == (0, 1)
    assert desk.message.element is None
