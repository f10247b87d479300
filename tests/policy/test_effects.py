"""What a push task does is allowed or refused, whatever door it comes in by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.sdk import Connection

from push_provider.channels.reading import parse
from push_provider.exceptions import ConfigurationError, NotAllowed
from push_provider.policy import effects
from push_provider.policy.configurations import require_default

TASK: dict[str, Any] = {
    "code": "one",
    "name": "One",
    "channel": "email",
    "schedule": {"kind": "manual"},
    "subject": "S",
    "content": "C",
    "recipients": ["a@example.com"],
}


@dataclass
class Somebody:
    """Somebody who may do what is said.

    :param begin: begin executions.
    :param reads: connections.
    :param connections: those that there are; the first is the default one.
    """

    begin: bool = False
    reads: bool = False
    connections: tuple[Any, ...] = ()
    apps: frozenset[str] | None = None
    owner: str | None = None
    rule: str = "[push] app_rules"

    def may_begin(self, code: str) -> bool:
        assert code == TASK["code"]
        return self.begin

    def may_read_connection(self, conn_id: str) -> bool:
        assert conn_id
        return self.reads

    def connection(self, conn_id: str) -> Any:
        return next((one for one in self.connections if one.conn_id == conn_id), None)

    def default_config(self, channel: str) -> str:
        assert channel == TASK["channel"]
        return str(self.connections[0].conn_id) if self.connections else "push_email_default"


def refused(authority: Any, *, before: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    """The fields that are refused."""
    spec = None if before is None else parse({**TASK, **before}).spec()
    try:
        effects.require(parse({**TASK, **fields}), authority, before=spec)
    except NotAllowed as error:
        return [fault.field for fault in error.errors]
    return []


def loop(limit: int | None) -> dict[str, Any]:
    return {"type": "loop", "max_executions": limit}


SENDS = [
    ({}, {"schedule": {"kind": "now"}}, "schedule"),
    ({}, {"schedule": {"kind": "hourly", "minute": 5}}, "schedule"),
    ({"schedule": {"kind": "manual"}}, {"schedule": {"kind": "now"}}, "schedule"),
    # Of a task that sends by itself, any change decides what is sent.
    ({"schedule": {"kind": "now"}}, {"schedule": {"kind": "now"}, "recipients": ["b@example.com"]}, "schedule"),
    ({"execution": {"type": "once"}}, {"execution": loop(2)}, "execution"),
    ({"execution": loop(2)}, {"execution": loop(3)}, "execution"),
    ({"execution": loop(2)}, {"execution": loop(None)}, "execution"),
]
SENDS_NOT = [
    ({}, {}),
    ({"schedule": {"kind": "now"}}, {}),
    ({"subject": "Other"}, {}),
    ({"execution": loop(None)}, {"execution": loop(9)}),
    ({"execution": loop(9)}, {"execution": {"type": "once"}}),
]


@pytest.mark.parametrize(("before", "fields", "field"), SENDS)
def test_what_makes_a_task_send_takes_the_right_to_begin(
    before: dict[str, Any], fields: dict[str, Any], field: str
) -> None:
    assert refused(Somebody(), before=before, **fields) == [field]
    assert refused(Somebody(begin=True), before=before, **fields) == []


@pytest.mark.parametrize("fields", [{"schedule": {"kind": "now"}}, {"schedule": {"kind": "daily", "time": "09:00"}}])
def test_a_new_task_that_sends_by_itself_takes_it_too(fields: dict[str, Any]) -> None:
    assert refused(Somebody(), **fields) == ["schedule"]
    assert refused(Somebody(begin=True), **fields) == []


@pytest.mark.parametrize(("before", "fields"), SENDS_NOT)
def test_what_makes_no_task_send_does_not(before: dict[str, Any], fields: dict[str, Any]) -> None:
    assert refused(Somebody(), before=before, **fields) == []


def test_a_new_task_that_waits_for_a_trigger_does_not() -> None:
    assert refused(Somebody(), execution=loop(None)) == []


# --- configurations -----------------------------------------------------------------------------------


def account(conn_id: str, apps: Any = None, conn_type: str = "push_email") -> Connection:
    return Connection(conn_id=conn_id, conn_type=conn_type, extra=json.dumps({} if apps is None else {"apps": apps}))


DEFAULT = account("push_email_default")


@pytest.mark.parametrize(
    ("connection", "app", "allowed"),
    [
        (None, "shop", False),
        (account("one"), "shop", False),
        (account("one", ""), "shop", False),
        (account("one", "shop"), "shop", True),
        (account("one", "crm, shop"), "shop", True),
        (account("one", "crm，shop"), "shop", True),
        (account("one", ["crm", "shop"]), "shop", True),
        (account("one", "crm"), "shop", False),
        (account("one", "sho"), "shop", False),
        (account("one", "shop"), None, False),
        (account("one", "*"), "shop", True),
        (account("one", "*"), None, True),
        (account("one", ["shop", 5]), "shop", False),
        (account("one", {"shop": True}), "shop", False),
        (account("one", "*", "smtp"), "shop", True),
        (account("one", "*", "postgres"), "shop", False),
        (account("one", "*", "push_aliyun_sms"), "shop", False),
        (Connection(conn_id="one", conn_type="push_email", extra="[]"), "shop", False),
    ],
)
def test_a_configuration_is_for_those_who_see_it_and_for_the_applications_it_names(
    connection: Connection | None, app: str | None, allowed: bool
) -> None:
    there = (DEFAULT,) if connection is None else (DEFAULT, connection)
    assert refused(Somebody(connections=there), config="one", app=app) == ([] if allowed else ["config"])
    assert refused(Somebody(connections=there, reads=True), config="one", app=app) == []


@pytest.mark.parametrize(
    ("default", "app", "allowed"),
    [
        (None, "shop", True),
        (account("one"), "shop", True),
        (account("one"), None, True),
        (account("one", "crm"), "shop", False),
        (account("one", "crm"), None, False),
        (account("one", "crm,shop"), "shop", True),
        (account("one", "*"), None, True),
    ],
)
def test_the_default_one_is_everybody_s_unless_it_names_applications(
    default: Connection | None, app: str | None, allowed: bool
) -> None:
    there = (default,) if default else ()
    for reads in (False, True):  # whoever may read it can name it
        assert refused(Somebody(connections=there, reads=reads), app=app) == ([] if allowed else ["config"])
    if default is None:
        return
    task = parse({**TASK, "app": app})
    if allowed:
        require_default(default, task)
    else:
        with pytest.raises(ConfigurationError, match="names no config"):
            require_default(default, task)


# --- applications and owners --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apps", "before", "after", "allowed"),
    [
        (None, None, None, True),
        (None, "shop", "crm", True),
        ({"shop"}, ..., "shop", True),
        ({"shop"}, ..., "crm", False),
        ({"shop"}, ..., None, False),
        ({"shop", "crm"}, "shop", "crm", True),
        ({"shop"}, "shop", "crm", False),
        ({"shop"}, "crm", "shop", False),
        ({"shop"}, None, "shop", False),
        (set(), ..., "shop", False),
    ],
)
def test_a_task_is_an_application_s_that_one_may_act_for(
    apps: set[str] | None, before: Any, after: str | None, allowed: bool
) -> None:
    somebody = Somebody(apps=None if apps is None else frozenset(apps))
    was = None if before is ... else {"app": before}
    assert refused(somebody, before=was, app=after) == ([] if allowed else ["app"])


@pytest.mark.parametrize(
    ("owner", "before", "after", "allowed"),
    [
        (None, ..., "ceo", True),
        ("bob", ..., "bob", True),
        ("bob", ..., "ceo", False),
        ("bob", ..., None, False),
        ("bob", "ann", "ann", True),
        ("bob", "ann", "bob", True),
        ("bob", "ann", "ceo", False),
        ("bob", None, None, True),
    ],
)
def test_a_task_is_of_whoever_brings_it(owner: str | None, before: Any, after: str | None, allowed: bool) -> None:
    was = None if before is ... else {"owner": before}
    assert refused(Somebody(owner=owner), before=was, owner=after) == ([] if allowed else ["owner"])
