"""Kills at random of Centrifugo's nodes, of the process that sends, and of pages: nobody misses a message."""

from __future__ import annotations

import multiprocessing
import random
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from live import Listeners, Live, listening

from push_provider.channels.reading import parse
from push_provider.exceptions import PushError
from push_provider.ledger import definitions, deliveries, executions
from push_provider.ledger.engine import get_engine
from push_provider.operators.push import WebsocketPushOperator

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from centrifugo_server import RealCentrifugo
    from sqlalchemy import Engine

EXECUTIONS = 9
PAGES = ("left", "right")
EACH = 20
"""Users of each page's process."""
OTHERS = 6000
"""Users without a page: an execution takes some tenths of a second."""


class Pages:
    """Real clients in processes that are killed and opened anew."""

    def __init__(self, folder: Path, live: Live) -> None:
        self._folder = folder
        self._live = live
        self._stacks: dict[str, ExitStack] = {}
        self.there: dict[str, Listeners] = {}

    def users(self, name: str) -> list[str]:
        return [f"{name}{number}" for number in range(EACH)]

    def open(self, name: str) -> None:
        self._stacks[name] = ExitStack()
        opened = listening(self._folder / name, self._live, self.users(name), page=True)
        self.there[name] = self._stacks[name].enter_context(opened)

    def kill(self, name: str) -> None:
        self._stacks.pop(name).close()

    def close(self) -> None:
        for name in tuple(self._stacks):
            self.kill(name)


def send(number: int) -> None:
    """In a process of its own: one try of an execution."""
    get_engine().dispose(close=False)  # its connections are the other process's
    run = SimpleNamespace(
        run_id=f"run-{number}",
        conf={"variables": {"n": number}},
        run_type="manual",
        logical_date=None,
        start_date=None,
        triggering_user_name=None,
    )
    context: Any = {"dag_run": run, "ti": SimpleNamespace(try_number=1, max_tries=99)}
    with suppress(PushError):  # what is left is for the next try
        WebsocketPushOperator(task_id="send", code="w").execute(context)


def test_nobody_misses_a_message_and_nobody_sees_one_twice(
    two_nodes: tuple[RealCentrifugo, RealCentrifugo], ledger: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed := random.randrange(1 << 32))
    entry, door = (Live(node.address) for node in two_nodes)
    entry.connect(monkeypatch, timeout=2)
    pages = Pages(tmp_path, door)
    listeners = [user for name in PAGES for user in pages.users(name)]
    everybody = [*listeners, *(f"other{number}" for number in range(OTHERS))]
    dice.shuffle(everybody)
    task = {"code": "w", "name": "W", "channel": "websocket", "title": "{{ n }}", "schedule": {"kind": "manual"},
            "execution": {"type": "loop"}, "recipients": everybody}  # fmt: skip
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")
    try:
        for name in PAGES:
            pages.open(name)
        for number in range(EXECUTIONS):
            deed = ("sender", "entry", "door", *PAGES)[number % 5]
            pause = dice.uniform(0.02, 0.4)
            tries = 0
            while not tries or set(states(ledger, number)) != {"sent"}:
                tries += 1
                assert tries < 10, (seed, number, deed)
                process = multiprocessing.get_context("fork").Process(target=send, args=(number,))
                process.start()
                if tries == 1:
                    time.sleep(pause)
                    strike(deed, process, two_nodes, pages)
                process.join()
        wanted = [str(number) for number in range(EXECUTIONS)]
        for name, there in pages.there.items():
            whole = dict.fromkeys(pages.users(name), wanted)
            there.await_(lambda there=there, whole=whole: there.messages() == whole, f"all is there (seed {seed})", 90)
    finally:
        pages.close()


def strike(deed: str, sender: Any, nodes: tuple[RealCentrifugo, RealCentrifugo], pages: Pages) -> None:
    """Kill something, and start again what does not start again by itself."""
    if deed == "sender":
        sender.kill()
    elif deed in PAGES:
        pages.kill(deed)
        pages.open(deed)
    else:
        node = nodes[deed == "door"]
        node.kill()
        node.start()


def states(ledger: Engine, number: int) -> list[str]:
    """Of all deliveries of an execution."""
    found = [row.id for row in executions.find(ledger, task="w", limit=100) if row.run_id == f"run-{number}"]
    if not found:
        return []
    return [row.state.value for row in deliveries.find(ledger, execution=found[0], limit=100_000)]
