"""What messages of a topic may do, and how much of it, on a real ledger."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection

from push_provider.channels.reading import parse
from push_provider.exceptions import ConfigurationError
from push_provider.kafka import admission, messages
from push_provider.ledger import definitions, tasks

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.ledger.orders import Taken

TOPIC = "orders"
NOW = datetime(2026, 7, 1, tzinfo=UTC)
CONNECTIONS = {
    "push_email_default": Connection(conn_id="push_email_default", conn_type="push_email"),
    "ceo": Connection(conn_id="ceo", conn_type="smtp", login="ceo@example.com"),
    "shop-mail": Connection(conn_id="shop-mail", conn_type="push_email", extra='{"apps": "shop"}'),
}
_offsets = itertools.count()


def task(code: str, **fields: Any) -> dict[str, Any]:
    return {
        "code": code,
        "name": code,
        "channel": "email",
        "schedule": {"kind": "manual"},
        "execution": {"type": "loop"},
        "subject": "S",
        "content": "C",
        **fields,
    }


class Desk:
    """A ledger with two tasks, ``shop-one`` and ``crm-one``, and a topic."""

    def __init__(self, ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger = ledger
        self._monkeypatch = monkeypatch
        for app in ("shop", "crm"):
            self.apply(f"{app}-one", app=app, recipients=["own@example.com"])

    def apply(self, code: str, **fields: Any) -> None:
        definitions.apply(self.ledger, parse(task(code, **fields)), now=NOW, default_timezone="UTC")

    def set(self, **options: Any) -> None:
        for name, value in options.items():
            text = value if isinstance(value, str) else json.dumps(value)
            self._monkeypatch.setenv(f"AIRFLOW__PUSH__{name.upper()}", text)

    def take(self, value: Any, topic: str = TOPIC) -> Taken:
        orders = messages.read(topic, 0, next(_offsets), json.dumps(value).encode(), timestamp=1)
        return admission.take(self.ledger, orders, find=CONNECTIONS.get)

    def refusal(self, value: Any, topic: str = TOPIC) -> str | None:
        """Why a message is refused; None if it is taken."""
        taken = self.take(value, topic)
        if not taken.rejected:
            assert taken.deliveries or taken.defined
            return None
        (refused,) = taken.rejected
        return refused.reason

    def app(self, code: str) -> str | None:
        return tasks.get(self.ledger, code).app


@pytest.fixture
def desk(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(ledger, monkeypatch)


START, THEIRS = {"task": "shop-one"}, {"task": "crm-one", "recipients": ["x@example.com"]}
DEFINE = {"define": task("shop-two", app="shop")}
CHANGE = {"define": task("crm-one", app="shop")}
BLANK = {"define": task("shop-three")}


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ({}, ()),
        ({TOPIC: {}}, ()),
        ({"*": {}}, ()),
        ({"other": {}}, (START, THEIRS, DEFINE, CHANGE, BLANK)),
        ({TOPIC: {"define": False}}, (DEFINE, CHANGE, BLANK)),
        ({TOPIC: {"apps": ["shop"]}}, (THEIRS, CHANGE)),
        ({TOPIC: {"apps": ["shop", "bi"]}}, (THEIRS, CHANGE, BLANK)),
        ({TOPIC: {"apps": []}}, (START, THEIRS, DEFINE, CHANGE, BLANK)),
        ({TOPIC: {"apps": ["*"]}}, ()),
        ({TOPIC: {"codes": ["shop-*"]}}, (THEIRS, CHANGE)),
        ({TOPIC: {"codes": ["shop-o?e"]}}, (THEIRS, DEFINE, CHANGE, BLANK)),
        ({TOPIC: {}, "*": {"codes": []}}, ()),
        ({"other": {}, "*": {"apps": ["shop"], "define": False}}, (THEIRS, DEFINE, CHANGE, BLANK)),
    ],
)
def test_a_topic_does_what_its_rule_lets_it(desk: Desk, rules: dict[str, Any], refused: tuple[Any, ...]) -> None:
    desk.set(kafka_rules=rules)
    for value in (START, THEIRS, DEFINE, BLANK, CHANGE):
        reason = desk.refusal(value)
        assert (reason is not None) == (value in refused), (value, reason)
        assert reason is None or "kafka_rules" in reason
    if CHANGE in refused:
        assert desk.app("crm-one") == "crm"


@pytest.mark.parametrize(
    ("option", "allowed"),
    [("True", True), ("False", False), (TOPIC, True), (f"admin, {TOPIC}", True), ("admin", False)],
)
def test_who_may_define(desk: Desk, option: str, allowed: bool) -> None:
    desk.set(kafka_define=option)
    assert (desk.refusal(DEFINE) is None) is allowed
    assert desk.refusal(START) is None


def test_a_task_that_names_no_application_is_that_of_its_topic(desk: Desk) -> None:
    desk.set(kafka_rules={TOPIC: {"apps": ["shop"]}})
    assert desk.refusal(BLANK) is None
    assert desk.app("shop-three") == "shop"


@pytest.mark.parametrize("value", ["x", "{", '{"orders": {"apps": "shop"}}'])
def test_rules_that_cannot_be_read_let_nothing_in(desk: Desk, value: str) -> None:
    desk.set(kafka_rules=value)
    with pytest.raises(ConfigurationError, match="kafka_rules"):
        desk.take(START)


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"app": "shop"}, True),
        ({"app": "shop", "config": "shop-mail"}, True),
        ({"app": "crm", "config": "shop-mail"}, False),
        ({"config": "shop-mail"}, False),
        ({"app": "shop", "config": "ceo"}, False),
        ({"app": "shop", "config": "no-such"}, False),
        ({"app": "shop", "config": "push_email_default"}, False),
    ],
)
def test_no_message_sends_as_whom_it_likes(desk: Desk, fields: dict[str, Any], allowed: bool) -> None:
    reason = desk.refusal({"define": task("new", **fields)})
    if allowed:
        assert reason is None
        return
    assert reason == f"config: there is no configuration '{fields['config']}' that you may use for this task"


def test_no_message_attaches_another_application_s_file(desk: Desk) -> None:
    for path in ("attachments/crm/customers.csv", "tasks/welcome.yaml", "templates/base.html"):
        reason = desk.refusal({"define": task("new", app="shop", attachments=[path])})
        assert reason is not None
        assert reason.startswith("define.attachments: ")


# --- how much -----------------------------------------------------------------------------------------


def many(count: int, start: str = "a") -> list[str]:
    return [f"{start}{number}@example.com" for number in range(count)]


def test_one_message_has_as_many_recipients_as_a_request_all_parts_together(desk: Desk) -> None:
    """What was found: 4.6 kB became 200,000 deliveries, of a task with many recipients of its own."""
    desk.set(max_recipients="100")
    desk.apply("large", recipients=many(60))
    taken = desk.take([{"task": "large", "id": number} for number in range(100)])
    assert (taken.deliveries, len(taken.rejected)) == (60, 99)
    assert "more than 100 recipients" in taken.rejected[0].reason
    assert "[push] max_recipients" in taken.rejected[0].reason
    # The next message is one by itself, and what still fits in is taken.
    parts = [{"task": "shop-one", "recipients": many(60)}, {"task": "shop-one", "recipients": many(60, "b")}]
    taken = desk.take([*parts, {"task": "shop-one", "recipients": many(40, "c")}])
    assert (taken.deliveries, len(taken.rejected)) == (100, 1)


@pytest.mark.parametrize(("count", "allowed"), [(100, True), (101, False)])
@pytest.mark.parametrize(
    "message",
    [lambda to: {"task": "shop-one", "recipients": to}, lambda to: {"define": task("new", recipients=to)}],
)
def test_a_message_names_no_more_than_a_request(
    desk: Desk, message: Callable[[list[str]], Any], count: int, allowed: bool
) -> None:
    desk.set(max_recipients="100")
    reason = desk.refusal(message(many(count)))
    assert (reason is None) is allowed
    assert allowed or "[push] max_recipients" in str(reason)


def test_a_task_s_own_recipients_are_as_many_as_they_are(desk: Desk) -> None:
    desk.set(max_recipients="10")
    desk.apply("large", recipients=many(60))
    assert desk.take({"task": "large"}).deliveries == 60


def test_an_application_has_no_more_open_tasks_than_over_rest(desk: Desk) -> None:
    desk.set(max_open_tasks="3")
    taken = desk.take([{"define": task(f"new{number}", app="shop")} for number in range(5)])
    assert (taken.defined, len(taken.rejected)) == (2, 3)
    assert "'shop' has 3 open push tasks" in taken.rejected[0].reason
    assert desk.refusal({"define": task("new0", app="shop", name="Other")}) is None
    assert "3 open" in str(desk.refusal({"define": task("crm-one", app="shop")}))
    assert desk.refusal({"define": task("new0", app="crm")}) is None
    assert desk.refusal({"define": task("new4", app="shop")}) is None
