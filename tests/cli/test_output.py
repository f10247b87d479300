"""What commands print: others' words never steer the terminal, nor are they taken for a table's markup."""

from __future__ import annotations

import inspect
import json
import re
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from sqlalchemy import text

from push_provider.channels.base import Outcome, Result
from push_provider.channels.reading import parse
from push_provider.cli import commands
from push_provider.exceptions import ContentError, FieldError, InvalidTask
from push_provider.kafka import admission, messages
from push_provider.ledger import closing, definitions, planning, sending
from push_provider.visible import visible

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOSTILE = "\x1b[31m\x07\x08\x9b2J‮[red]:smile:[/x]"
SHOWN = r"\x1b[31m\x07\x08\x9b2J\u202e[red]:smile:[/x]"
STEERING = ("\x1b", "\x07", "\x08", "\x9b", "‮")
FILTERS = dict.fromkeys(("task", "state", "status", "channel", "app", "execution", "recipient"))


@pytest.fixture
def hostile(ledger: Engine) -> Engine:
    """A ledger whose every text that others choose is hostile."""
    task = {"code": "odd", "name": HOSTILE, "channel": "email", "subject": HOSTILE, "content": HOSTILE,
            "schedule": {"kind": "manual"}, "recipients": ["a@example.com"]}  # fmt: skip
    now = datetime.now(UTC)
    definitions.apply(ledger, parse({**task, "name": "Odd", "subject": "Hello"}), now=now, default_timezone="UTC")
    # Such a name is refused today; it stands in ledgers that were filled before.
    rename = "UPDATE push_task SET name = :name, spec = jsonb_set(spec, '{name}', to_jsonb(CAST(:name AS text)))"
    with ledger.begin() as connection:
        connection.execute(text(rename), {"name": HOSTILE})
    plan = planning.plan(ledger, "odd", source="manual", freeze=lambda _: {})
    with sending.held(ledger, "odd", plan.id, on_unknown="hold") as lease:
        (claimed,) = sending.claim(lease, 1)
        gone = Outcome(claimed.id, Result.FAILED, None, HOSTILE, HOSTILE, gone=True)
        sending.record(lease, [gone])
    closing.finish(ledger, plan.id, final=True, error=HOSTILE)
    admission.take(ledger, messages.read("t", 0, 0, json.dumps({"task": "odd", HOSTILE: 1}).encode()))
    return ledger


@pytest.mark.parametrize("output", ["table", "plain", "json", "yaml"])
@pytest.mark.parametrize(
    ("command", "more"),
    [
        (commands.list_tasks, {}),
        (commands.list_executions, {}),
        (commands.list_deliveries, {}),
        (commands.list_rejected, {"all": True}),
        (commands.list_suppressions, {"address": None}),
        (commands.show, {"code": "odd"}),
    ],
    ids=["tasks", "executions", "deliveries", "rejected", "suppressions", "show"],
)
@pytest.mark.usefixtures("hostile")
def test_no_command_lets_others_steer_the_terminal(
    command: Callable[..., None], more: dict[str, Any], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect.unwrap(command)(Namespace(**FILTERS, **more, output=output, limit=100, offset=0))
    printed = capsys.readouterr().out
    assert not [sign for sign in STEERING if sign in printed]
    if output in ("json", "yaml"):
        texts = _texts(json.loads(printed) if output == "json" else yaml.safe_load(printed))
        # Reasons are sentences of ours, which quote others visibly; all else is what it was.
        assert SHOWN in texts if command is commands.list_rejected else HOSTILE in texts
    else:
        assert SHOWN[:8] in printed
        assert "[red]" in re.sub(r"[\s|]", "", printed)


def _texts(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(map(_texts, value.values()))
    return "\n".join(map(_texts, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize(
    "error", [ContentError(f"a: {HOSTILE}"), InvalidTask([FieldError(HOSTILE, "is not a field here")])]
)
def test_no_error_lets_others_steer_the_terminal(error: Exception) -> None:
    assert SHOWN in str(error)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Good day", "Good day"),
        ("你好，“世界” 👩‍👩‍👧 naïve", "你好，“世界” 👩‍👩‍👧 naïve"),
        ("a\tb\nc\r", r"a\tb\nc\r"),
        ("\x7f\x85\u2028\ud800", r"\x7f\x85\u2028\ud800"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(text, lines=True) == shown.replace(r"\t", "\t").replace(r"\n", "\n")
