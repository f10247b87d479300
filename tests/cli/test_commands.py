"""What the arguments of the commands say."""

from __future__ import annotations

import inspect
import json
from argparse import ArgumentTypeError, Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from push_provider.channels.reading import parse
from push_provider.cli import commands
from push_provider.cli.definition import get_push_cli_commands
from push_provider.exceptions import InvalidTask, UnknownMessage
from push_provider.kafka import admission, messages
from push_provider.ledger import definitions, rejected

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_variables_and_recipients_are_what_was_written() -> None:
    given = Namespace(recipients=["13900030001", "+85290001234"], variables='{"price": 12.50, "code": "012"}')
    asked = commands._asked(given, "sms")
    assert [one.to for one in asked.recipients or []] == ["13900030001", "+85290001234"]
    assert {name: str(value) for name, value in asked.variables.items()} == {"price": "12.50", "code": "012"}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ("{a: 1}", "--variables: is not JSON: "),
        ('{"code": 012}', "--variables: is not JSON: "),
        ('{"a": 1, "a": 2}', "--variables: cannot be read: the key 'a' stands twice"),
        ('{"a": NaN}', "--variables: cannot be read: it holds NaN"),
        ('{"a": 1E400}', "variables.a: must be a number of at most 300 digits; put a longer one in quotes"),
    ],
)
def test_variables_that_are_no_json_are_refused(variables: str, says: str) -> None:
    with pytest.raises(InvalidTask) as refused:
        commands._asked(Namespace(recipients=None, variables=variables), "email")
    assert str(refused.value.errors[0]).startswith(says)


def test_no_message_is_replayed_if_there_is_none_of_one_id(ledger: Engine) -> None:
    value = json.dumps({"task": "t", "recipients": ["a@example.com"]}).encode()
    admission.take(ledger, messages.read("orders", 0, 0, value, timestamp=1))
    task = {"code": "t", "name": "T", "channel": "email", "schedule": {"kind": "manual"}, "subject": "S",
            "content": "C"}  # fmt: skip
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")
    (row,) = rejected.find(ledger)
    with pytest.raises(UnknownMessage):
        inspect.unwrap(commands.replay)(Namespace(ids=[row.id, 2**40], output="json"))
    (row,) = rejected.find(ledger, replayed=None)
    assert row.replayed_at is None


def test_no_number_is_larger_than_the_ledger_has_room_for() -> None:
    (group,) = get_push_cli_commands()
    numbers = {
        (command.name, *argument.flags): argument.kwargs["type"]
        for command in group.subcommands
        for argument in command.args
        if argument.kwargs.get("type")
    }
    assert ("deliveries", "--execution") in numbers
    for kind in numbers.values():
        assert kind(str(2**63 - 1)) == 2**63 - 1
        with pytest.raises(ArgumentTypeError):
            kind(str(2**63))
