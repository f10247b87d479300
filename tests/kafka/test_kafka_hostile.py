"""What the worst messages do to the intake, measured from outside: they are refused alone, and the next is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from doors import Answer, Doors, opened
from hostile import BYTES, ENDLESS, TASKS, Hostile, as_json, expected, task

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

pytestmark = pytest.mark.slow

SECONDS = 15.0
"""Of processor: a template has five, and the ledger its share."""
GROWN, WORKER = 150, 300
"""MiB."""
SOUND = as_json({"task": "sound", "recipients": ["somebody@example.com"]})
MESSAGES = (
    Hostile("tombstone", None, "has no value"),
    Hostile("too large", b" " * (5 * 1024 * 1024) + b"{}", "at most 5242880 are read"),
    Hostile("array of nothing", b"[" + b"0," * 2_000_000 + b"0]", "an array of 2000001 elements"),
    Hostile("array of mappings", b"[" + b"{}," * 1_000_000 + b"{}]", "an array of 1000001 elements"),
    Hostile("faulty elements", b"[" + b"{}," * 9_999 + b"{}]", "10000 of 10000 elements"),
    Hostile("arrays in an array", [[[SOUND.decode()]]], "must be an object"),
    Hostile("unknown fields of a start", {"task": "sound", **{f"u{n}": 1 for n in range(30_000)}}, "and 29980 more"),
    Hostile("large exponent", b'{"task": "sound", "variables": {"n": 1e9999999999999999999}}', "at most 300 digits"),
    Hostile("unknown task", {"task": "nobody"}, "There is no push task 'nobody'"),
    Hostile("long id", {"task": "sound", "id": "x" * 1_000_000}, "id: must be text"),
    Hostile("broken addresses of a start", {"task": "sound", "recipients": ["x"] * 50_000}, "1000 faults"),
    Hostile(
        "too many people", {"task": "sound", "recipients": [f"{n}@a.cn" for n in range(100_001)]}, "max_recipients"
    ),
)
"""What is hostile as a message, and could not be handed in elsewhere."""
DEFINES = tuple(one._replace(data={"define": one.data}) for one in TASKS)


@pytest.fixture(scope="module")
def doors(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """An intake that has taken a sound message, and so has imported what it needs."""
    with opened(postgres, tmp_path_factory.mktemp("doors")) as doors:
        assert doors.kafka(as_json({"define": task("sound")})).taken == 1
        assert doors.kafka(SOUND).taken == 1
        yield doors


def check_bounds(answer: Answer) -> None:
    assert answer.seconds < SECONDS
    assert answer.grown < GROWN
    assert answer.workers < WORKER


@pytest.mark.parametrize("hostile", [*BYTES, *DEFINES, *MESSAGES], ids=lambda one: one.name)
def test_a_hostile_message_is_refused_alone(doors: Doors, hostile: Hostile) -> None:
    raw = None if hostile.data is None else as_json(hostile.data)
    # A topic of its own: what one has used up is no other's.
    answer = doors.kafka(SOUND, raw, SOUND, topic=hostile.name.replace(" ", "-"))
    says = expected(hostile.says, answer.said)
    if says is None:
        assert (answer.taken, answer.refused) == (3, 0), answer
    else:
        assert (answer.taken, answer.refused) == (2, 1), answer
        assert says in answer.said[0]
        assert len(answer.said[0]) < 8000
    check_bounds(answer)
    assert doors.kafka(SOUND).taken == 1


def test_sound_elements_among_many_faulty_ones_are_taken_and_the_others_are_one_rejection(doors: Doors) -> None:
    array = b"[" + b",".join([SOUND, *[b'{"tusk":1}'] * 5000, SOUND]) + b"]"
    answer = doors.kafka(array)
    assert (answer.taken, answer.refused) == (2, 1)
    assert answer.said[0].startswith("5000 of 5002 elements cannot be used; the first is 1: task: is required")
    check_bounds(answer)


def test_a_batch_of_arrays_is_taken_in_portions(doors: Doors) -> None:
    """16 MiB of them were a million orders, and all of them in memory at once."""
    nobody = as_json([{"task": "nobody"}] * 2_000)
    answer = doors.kafka(*[nobody] * 20, SOUND)
    assert (answer.taken, answer.refused) == (1, 40_000)
    assert answer.grown < GROWN


def test_a_batch_of_few_heavy_messages_is_taken_in_portions(doors: Doors) -> None:
    """Each byte of them becomes some 20 of Python's objects: those of a whole batch were in memory at once."""
    heavy = b'{"task":"sound","recipients":["a@example.com"],"variables":{"a":[' + b"[]," * 175_000 + b"[]]}}"
    answer = doors.kafka(*[heavy] * 12, SOUND, topic="heavy")
    assert (answer.taken, answer.refused) == (13, 0)
    assert answer.grown < GROWN


def test_slow_templates_of_one_batch_have_the_seconds_of_one(doors: Doors) -> None:
    slow = [as_json({"define": task(f"slow-{number}", content=ENDLESS)}) for number in range(6)]
    answer = doors.kafka(*slow, SOUND, topic="slow")
    assert (answer.taken, answer.refused) == (1, 6)
    late = expected("longer than 5 s", answer.said)
    assert any(str(late) in said for said in answer.said)
    assert any("5 s" not in said for said in answer.said), "there is an end to them together"
    assert answer.seconds < 2 * SECONDS
