"""Servers and processes are killed while mails leave: the shorter form of ``scripts/bench crash``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from benchmarks import crash

pytestmark = pytest.mark.slow

MAILS = 6000


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[crash.Rig]:
    with crash.rig(tmp_path_factory.mktemp("crash")) as rig:
        yield rig


def test_a_database_that_is_killed_costs_nobody_a_mail_and_no_try(rig: crash.Rig) -> None:
    seen = rig.database_is_killed(MAILS, 3, lambda: 0.5)
    assert (seen.lost, seen.twice, seen.tries) == (0, 0, 1)
    assert seen.states == {"sent": MAILS}


def test_a_sender_that_is_killed_leaves_a_chunk_in_doubt(rig: crash.Rig) -> None:
    seen = rig.sender_is_killed(MAILS, 1)
    assert (seen.lost, seen.ids) == (0, True)
    assert seen.twice <= seen.doubtful < MAILS / 2
    assert seen.states == {"sent": MAILS}


def test_two_that_send_the_same_are_one_in_the_end(rig: crash.Rig) -> None:
    seen = rig.two_send_the_same(MAILS)
    assert (seen.lost, seen.ids) == (0, True)
    assert seen.twice <= seen.doubtful
    assert seen.states == {"sent": MAILS}
    first, second = seen.said
    assert first["error"] == "ExecutionTaken"
    assert "may not send execution" in first["text"]  # if the second one has ended by then, nobody holds it
    assert second["sent"] == MAILS
