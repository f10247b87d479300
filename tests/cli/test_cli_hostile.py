"""What the worst files do to the command line, measured from outside: they are refused, and the next is applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from doors import Answer, Doors, opened
from hostile import BYTES, TASKS, Hostile, as_json, expected, lines, task

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

pytestmark = pytest.mark.slow

SECONDS = 15.0
"""Of processor: a template has five, and the ledger its share."""
GROWN, WORKER = 250, 300
"""MiB. A file may have 64, and is there twice while it is read."""

YAML = (
    Hostile("billion laughs", b"a: &a0 [x]\n" + lines(b"k#: &b# [*a0, *a0, *a0]", 99), "is not followed"),
    Hostile("long anchor", b"code: &" + b"a" * 1_000_000 + b" x", "is not kept"),
    Hostile("lists in lists", b"[" * 500_000, "nested deeper than 100"),
    Hostile("lists in lists, by lines", b"- " * 200_000, "nested deeper than 100"),
    Hostile("keys of keys", b"? " * 200_000, "nested deeper than 100"),
    Hostile("mappings in mappings", b"{a: " * 500_000, "nested deeper than 100"),
    Hostile("keys twice", lines(b"k#: 1", 20_000) + b"\n" + lines(b"k#: 1", 20_000), "stands twice"),
    Hostile("directives", lines(b"%TAG !t#! !", 10_000) + b"\n---\na: 1", None),
    Hostile("a program", b'!!python/object/apply:os.system ["exit 1"]', "is not known here"),
    Hostile("digits", b"retries: " + b"9" * 500_000, "digits"),
    Hostile("nothing", b"---\n" * 100_000, "holds no push task"),
    Hostile("no text", b"\0" * 1000, "control characters are not allowed"),
    Hostile("long alias", b"code: *" + b"a" * 1_000_000, "is not followed"),
    Hostile("long tag", b"code: !" + b"a" * 1_000_000 + b" x", "is not known here"),
    Hostile("long key", b"? " + b"a" * 1_000_000 + b"\n: 1\n? " + b"a" * 1_000_000 + b"\n: 2", "stands twice"),
    Hostile("long key of JSON", b'{"' + b"a" * 1_000_000 + b'": 1, "' + b"a" * 1_000_000 + b'": 2}', "stands twice"),
    Hostile("escapes", b'code: "' + b"\\x1b[2J" * 100_000 + b'"', "code"),
    Hostile("a line of dashes", b"x: " + b"- " * 300_000 + b"&a b", "is not YAML"),
    Hostile("many tasks", lines(b"--- {}", 20_000), "more"),
)
"""What is hostile as YAML."""


@pytest.fixture(scope="module")
def doors(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A command line that has applied a sound task, and so has imported what it needs."""
    with opened(postgres, tmp_path_factory.mktemp("doors")) as doors:
        assert doors.apply(as_json(task("sound"))).taken
        yield doors


def check(doors: Doors, answer: Answer, says: str | None) -> None:
    (said,) = answer.said
    says = expected(says, answer.said)
    if says is None:
        assert answer.taken, answer
    else:
        assert answer.refused, answer
        assert says in said
        assert len(said) < 10_000
        assert "\x1b" not in said
    assert answer.seconds < SECONDS
    assert answer.grown < GROWN
    assert answer.workers < WORKER
    assert doors.apply(as_json(task("sound"))).taken


@pytest.mark.parametrize("hostile", [*BYTES, *TASKS], ids=lambda one: one.name)
def test_a_hostile_document_is_refused(doors: Doors, hostile: Hostile) -> None:
    check(doors, doors.apply(as_json(hostile.data)), hostile.says)


@pytest.mark.parametrize("hostile", YAML, ids=lambda one: one.name)
def test_a_hostile_file_is_refused(doors: Doors, hostile: Hostile) -> None:
    answer = doors.apply(hostile.data, name="tasks.yaml")
    check(doors, answer, hostile.says or "name: is required")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/dev/zero", "is larger than 67108864 bytes"),
        ("/", "cannot be read: Is a directory"),
        ("/etc/passwd/x", "cannot be read: Not a directory"),
        ("x" * 5000, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_file_is_refused(doors: Doors, path: str, says: str) -> None:
    check(doors, doors.run("apply", path), says)


def test_a_task_of_several_is_named_in_short(doors: Doors) -> None:
    check(doors, doors.apply(as_json([task("x" * 1_000_000), task(["y" * 1000] * 1000)])), "task 2")


def test_a_hostile_task_beside_sound_ones_leaves_all_as_it_was(doors: Doors) -> None:
    bad = task("bad", content="{{ " + "(" * 3000)
    answer = doors.apply(as_json([task("first"), bad, task("last")]))
    check(doors, answer, "task 2 (bad): content")
    codes = {row["code"] for row in json.loads(doors.run("tasks", "--output", "json").said[0])}
    assert codes.isdisjoint({"first", "bad", "last"})


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ('{"a":1,"a":2' + ',"b":1' * 15_000 + "}", "stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 20_000, "nested too deeply"),
        ('{"a":' * 500 + "1" + "}" * 500, "at most 32 levels fit"),
        ("9" * 100_000, "digits"),
        ('{"a": 1' + "0" * 400 + "}", "at most 300 digits"),
        ('{"a": "\\u0000"}', "NUL"),
        ('{"a": "\\ud800"}', "surrogate"),
        ("[]", "variables: must be a mapping"),
    ],
)
def test_hostile_variables_of_a_trigger_are_refused(doors: Doors, variables: str, says: str) -> None:
    check(doors, doors.run("trigger", "sound", "--variables", variables), says)


@pytest.mark.parametrize("recipient", ["", "x" * 100_000, "a@" + "b." * 50_000 + "example", "a@b\r\nBcc: c@d", "\0"])
def test_a_hostile_recipient_of_a_trigger_is_refused(doors: Doors, recipient: str) -> None:
    check(doors, doors.run("trigger", "sound", "--recipient", recipient), "recipients[0]")
