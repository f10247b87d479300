"""Large bodies: few at a time, the others wait their turn or hear that they should come again."""

from __future__ import annotations

import ast
import asyncio
import gc
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from api_server import task

from push_provider import api
from push_provider.api.large_bodies import LARGE, LargeBodies
from push_provider.api.problems import Problem

if TYPE_CHECKING:
    from api_server import ApiServer

API = Path(str(api.__file__)).parent


class Hall:
    """Large bodies that are worked on until somebody says that they are done."""

    def __init__(self, **limits: float) -> None:
        self.bodies = LargeBodies(**limits)  # type: ignore[arg-type]
        self.working: list[str] = []
        self.done = {name: asyncio.Event() for name in "abcd"}

    async def work(self, name: str, size: int = LARGE) -> str:
        async with self.bodies.place(size):
            self.working.append(name)
            await self.done[name].wait()
        return name


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_few_are_worked_on_at_a_time_and_small_ones_never_wait() -> None:
    async def run() -> None:
        hall = Hall(places=2)
        a, b, c = (asyncio.create_task(hall.work(name)) for name in "abc")
        await settled()
        small = asyncio.create_task(hall.work("d", LARGE - 1))
        await settled()
        assert hall.working == ["a", "b", "d"]
        hall.done["b"].set()
        assert await b == "b"
        await settled()
        assert hall.working == ["a", "b", "d", "c"]
        for event in hall.done.values():
            event.set()
        assert [await a, await c, await small] == ["a", "c", "d"]

    asyncio.run(run())


@pytest.mark.parametrize("limits", [{"patience": 0.01}, {"waiting": 1, "patience": 60}])
def test_who_waits_too_long_or_behind_too_many_is_told_to_come_again(limits: dict[str, float]) -> None:
    async def run() -> None:
        hall = Hall(places=1, **limits)
        first, second = asyncio.create_task(hall.work("a")), asyncio.create_task(hall.work("b"))
        await settled()
        with pytest.raises(Problem, match="nothing of this one was done") as refused:
            await hall.work("c")
        assert (refused.value.status, refused.value.code, refused.value.headers["Retry-After"]) == (503, "busy", "10")
        if "waiting" not in limits:
            with pytest.raises(Problem):
                await second
        # Nobody who was sent away has taken a place or a turn with him.
        hall.done["a"].set()
        hall.done["b"].set()
        hall.done["d"].set()
        await first
        assert await hall.work("d") == "d"

    asyncio.run(run())


def test_a_call_that_fails_gives_its_place_back() -> None:
    async def run() -> None:
        bodies = LargeBodies(places=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with bodies.place(LARGE):
                    raise ZeroDivisionError
        async with bodies.place(LARGE):
            pass

    asyncio.run(run())


def test_no_full_collection_of_garbage_begins_meanwhile() -> None:
    async def run() -> None:
        usual = gc.get_threshold()
        hall = Hall(places=2)
        a, b = asyncio.create_task(hall.work("a")), asyncio.create_task(hall.work("b"))
        await settled()
        assert gc.get_threshold()[:2] == usual[:2]
        assert gc.get_threshold()[2] > 10**6 > usual[2]
        hall.done["a"].set()
        await a
        assert gc.get_threshold()[2] > 10**6
        hall.done["b"].set()
        await b
        assert gc.get_threshold() == usual

    asyncio.run(run())


def test_only_calls_that_wait_for_a_dag_run_on_the_event_loop() -> None:
    """And these do all else in threads; every other call is a plain function, which FastAPI runs in a thread itself."""
    on_the_loop = {
        node.name
        for module in API.glob("*.py")
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.AsyncFunctionDef)
        and any(ast.unparse(decorator).startswith("router.") for decorator in node.decorator_list)
    }
    assert on_the_loop == {"trigger_task", "pause_task", "resume_task"}


@pytest.mark.slow
def test_bodies_that_take_long_though_they_are_small_hold_nobody_up(server: ApiServer) -> None:
    """Twenty at once, with addresses in domains that take half a millisecond each."""
    numbers = itertools.count()
    over = threading.Event()

    def ask() -> int:
        recipients = [f"a@{'é' * 10}{number}.de" for number in itertools.islice(numbers, 3000)]
        return server.push("POST", "/tasks?dry_run=true", task(recipients=recipients)).status

    def compute(_: int) -> set[int]:
        statuses = set()
        while not over.is_set():
            statuses.add(ask())
        return statuses

    server.token("admin")
    began = time.monotonic()
    assert ask() == 200
    alone = time.monotonic() - began
    waited = []
    with ThreadPoolExecutor(20) as callers:
        answers = callers.map(compute, range(20))
        try:
            time.sleep(1)
            for _ in range(11):
                began = time.monotonic()
                assert server.call("GET", "/api/v2/monitor/health", role=None).status == 200
                waited.append(time.monotonic() - began)
        finally:
            over.set()
        assert set().union(*answers) == {200}
    print(f"one takes {alone:.2f} s alone; others wait for {sorted(waited)[5]:.2f} s")
    assert sorted(waited)[5] < 2 * alone
