"""What ``airflow push apply`` does of several push tasks: all of them, or none if one is wrong."""

from __future__ import annotations

import inspect
import json
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from push_provider.channels.reading import parse
from push_provider.cli import commands
from push_provider.exceptions import InvalidTask
from push_provider.ledger import definitions, shards, task_lists, tasks

if TYPE_CHECKING:
    from sqlalchemy import Engine

FIELDS = {"name": "N", "channel": "email", "subject": "S", "content": "C", "recipients": ["a@example.com"]}
PASSED = {"schedule": {"kind": "at", "at": "2020-07-01T09:00:00Z"}}
NEVER = {"schedule": {"kind": "cron", "cron": "0 9 30 2 *"}, "execution": {"type": "loop"}}


def one(code: str, **fields: Any) -> dict[str, Any]:
    return {"code": code, **FIELDS, **fields}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(*documents: dict[str, Any], name: str = "tasks.json") -> str:
        (tmp_path / name).write_text(json.dumps(documents))
        return str(tmp_path / name)

    return write


def apply(*paths: str, dry_run: bool = False) -> None:
    inspect.unwrap(commands.apply)(Namespace(files=paths, dry_run=dry_run, output="json"))


def enter(ledger: Engine, **document: Any) -> None:
    definitions.apply(ledger, parse(document), now=datetime.now(UTC), default_timezone="UTC")


def codes(ledger: Engine) -> set[str]:
    return {row.code for row in task_lists.find(ledger)}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (one("b", **PASSED), "schedule.at: 2020-07-01T09:00:00Z has passed"),
        (one("b", **NEVER), "schedule.cron: '0 9 30 2 *' never matches"),
        (one("gone", name="Other"), "code: Push task 'gone' is cancelled. Apply it under another code"),
    ],
    ids=["passed", "never", "cancelled"],
)
def test_none_is_applied_if_one_is_wrong(
    ledger: Engine, write: Callable[..., str], wrong: dict[str, Any], says: str, dry_run: bool
) -> None:
    enter(ledger, **one("gone"))
    tasks.cancel(ledger, "gone")
    enter(ledger, **one("old"))
    before = shards.revisions(ledger)
    path = write(one("a"), one("old", name="New"), wrong, one("c"))
    with pytest.raises(InvalidTask) as refused:
        apply(path, dry_run=dry_run)
    (error,) = refused.value.errors
    assert str(error).startswith(f"{path}, task 3 ({wrong['code']}): {says}")
    assert codes(ledger) == {"gone", "old"}
    assert tasks.get(ledger, "old").name == "N"
    assert shards.revisions(ledger) == before


def test_all_that_is_wrong_is_told_in_its_order(ledger: Engine, write: Callable[..., str]) -> None:
    first, second = write(one("z", **PASSED), one("m"), name="1.json"), write(one("a", **NEVER), name="2.json")
    with pytest.raises(InvalidTask) as refused:
        apply(first, second)
    fields = [error.field for error in refused.value.errors]
    assert fields == [f"{first}, task 1 (z): schedule.at", f"{second}: schedule.cron"]
    assert codes(ledger) == set()


def test_what_is_applied_is_told_in_its_order(
    ledger: Engine, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    enter(ledger, **one("same"))
    enter(ledger, **one("old"))
    path = write(one("z"), one("same"), one("old", recipients=["b@example.com"]))
    wanted = [("z", "created"), ("same", "unchanged"), ("old", "updated")]
    apply(path, dry_run=True)
    told = [(row["code"], row["action"]) for row in json.loads(capsys.readouterr().out)]
    assert told == [(code, f"{action} (dry run)") for code, action in wanted]
    assert codes(ledger) == {"same", "old"}
    apply(path)
    assert [(row["code"], row["action"]) for row in json.loads(capsys.readouterr().out)] == wanted
    assert codes(ledger) == {"z", "same", "old"}
    assert [one.to for one in tasks.get_whole(ledger, "old").task().recipients] == ["b@example.com"]


def test_a_task_that_somebody_creates_meanwhile_is_updated(
    ledger: Engine, write: Callable[..., str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, others = tasks.locked_all, [one("z", name="Theirs")]

    def look_and_let_others_in(*args: Any) -> Any:
        found = look(*args)
        if others:
            enter(ledger, **others.pop())
        return found

    monkeypatch.setattr(tasks, "locked_all", look_and_let_others_in)
    apply(write(one("a"), one("z")))
    actions = [(row["code"], row["action"]) for row in json.loads(capsys.readouterr().out)]
    assert actions == [("a", "created"), ("z", "updated")]
    assert tasks.get(ledger, "z").name == "N"
