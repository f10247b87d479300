"""What strangers' templates do to the server, measured from outside: they are refused, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
from api_server import STRANGERS, Answer, ApiServer, task
from hostile import TOO_BUSY
from server_processes import rendering, serving

pytestmark = pytest.mark.slow

# 2 kB of it and more: time, and hardly any memory.
ENDLESS = "{% set s = 'ab' * 200000 %}{% for i in range(100000) %}{% if s.count('ab') %}{% endif %}{% endfor %}"
HEAVY = (
    "{% set n=namespace(x=0) %}{% for i in range(99999) %}{% for j in range(99999) %}"
    "{% set n.x=cycler(n.x,joiner('abcdefgh'*9000~j)) %}{% endfor %}{% endfor %}"
)


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> str:
    """Somebody who has done nothing yet."""
    left = request.config.stash.setdefault(_LEFT, list(STRANGERS))
    return left.pop()


UNNOTICED = 4.8
"""Seconds of an administrator's slowest call on a busy machine; behind a template that has no end it takes five."""
_LEFT = pytest.StashKey[list[str]]()


class Watch:
    """What the server's process does while something happens.

    :param grown: the most MiB that it held above what it held before.
    :param workers: the most MiB that one of its workers held.
    :param slowest: seconds of an administrator's slowest call meanwhile.
    """

    def __init__(self) -> None:
        self.grown = 0.0
        self.workers = 0.0
        self.slowest = 0.0
        self.statuses: set[int] = set()


@contextmanager
def watched(server: ApiServer) -> Iterator[Watch]:
    watch = Watch()
    main = serving(server)
    before = main.memory_info().rss
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            watch.grown = max(watch.grown, (main.memory_info().rss - before) / 1024**2)
            for child in rendering(main):
                with contextlib.suppress(psutil.NoSuchProcess):
                    watch.workers = max(watch.workers, child.memory_info().rss / 1024**2)

    def ask() -> None:
        while True:
            began = time.monotonic()
            watch.statuses.add(server.push("GET", "/tasks", limit=1).status)
            watch.slowest = max(watch.slowest, time.monotonic() - began)
            if over.wait(0.1):
                return

    threads = [threading.Thread(target=look), threading.Thread(target=ask)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join()


def by_create(server: ApiServer, who: str, content: str) -> Answer:
    return server.push("POST", "/tasks", task(content=content, app="shop"), role=who)


def by_dry_run(server: ApiServer, who: str, content: str) -> Answer:
    return server.push("POST", "/tasks", task(content=content, app="shop"), role=who, dry_run="true")


def by_preview(server: ApiServer, who: str, content: str) -> Answer:
    return server.push("POST", "/preview", {"task": task(content=content, app="shop")}, role=who)


def by_patch(server: ApiServer, who: str, content: str) -> Answer:
    code = server.create(app="shop")
    return server.push("PATCH", f"/tasks/{code}", {"content": content}, role=who)


@pytest.mark.parametrize(
    ("call", "content", "says"),
    [
        (by_create, HEAVY, "64 MiB"),
        (by_dry_run, HEAVY, "64 MiB"),
        (by_preview, HEAVY, "64 MiB"),
        (by_patch, HEAVY, "64 MiB"),
        (by_create, ENDLESS, "longer than 5 s"),
    ],
    ids=lambda value: getattr(value, "__name__", "")[3:],
)
def test_a_hostile_template_is_refused_and_nobody_notices(
    server: ApiServer, stranger: str, call: Callable[[ApiServer, str, str], Answer], content: str, says: str
) -> None:
    with watched(server) as watch:
        began = time.monotonic()
        answer = call(server, stranger, content)
        seconds = time.monotonic() - began
    assert answer.status in (422, 429), answer
    # A busy machine may not give it its seconds.
    assert (says if answer.status == 422 else TOO_BUSY) in answer.json["detail"]
    assert seconds < 60
    assert watch.grown < 60
    assert watch.workers < 300
    assert watch.statuses == {200}
    assert watch.slowest < UNNOTICED


def test_four_tasks_of_a_bulk_have_the_seconds_of_one_request(server: ApiServer, stranger: str) -> None:
    documents = [task(content=one, app="shop") for one in ("Hello", *[ENDLESS] * 4, "Hello")]
    with watched(server) as watch:
        answer = server.push("POST", "/tasks/bulk", {"tasks": documents}, role=stranger)
    entries = answer.json["items"]
    statuses = [entry["status"] for entry in entries]
    assert statuses[0] == 201
    assert statuses[1] in (422, 429)  # a busy machine may not give it its seconds
    assert statuses[2:5] == [429, 429, 429]
    assert {entry["problem"]["code"] for entry in entries if entry["status"] == 429} == {"rendering-budget"}
    assert watch.statuses == {200}
    assert watch.slowest < UNNOTICED


def test_what_a_caller_has_abandoned_is_ended(server: ApiServer, stranger: str) -> None:
    data = json.dumps(task(content=ENDLESS, app="shop")).encode()
    head = (
        f"POST /push/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token(stranger)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    main = serving(server)
    idle = rendering(main)
    at_work = None
    while at_work is None:  # a busy machine may not give it two of its seconds before it is sent away
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + data)
            # In the slow lane: those that only start, and those of the quick one, use less.
            while at_work is None and not select.select([connection], [], [], 0.05)[0]:
                before = rendering(main)
                at_work = next((child for child, used in before.items() if used - idle.get(child, 0.0) > 2), None)
    used = before[at_work]
    while at_work.is_running():
        time.sleep(0.02)
        used = rendering(main).get(at_work, used)
        assert used - before[at_work] < 2  # its time is up after three more seconds


def test_slow_patches_take_neither_connections_nor_the_servers_threads(server: ApiServer, stranger: str) -> None:
    answer = server.push("POST", "/tasks/bulk", {"tasks": [task(app="shop") for _ in range(25)]})
    codes = [entry["task"]["code"] for entry in answer.json["items"]]
    held = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' "
        "AND now() - state_change > interval '0.5 seconds' AND query NOT LIKE '%pg_try_advisory_xact_lock%'"
    )

    def change(number: int) -> Answer:
        return server.push("PATCH", f"/tasks/{codes[number]}", {"content": ENDLESS}, role=stranger)

    most = 0
    with watched(server) as watch, ThreadPoolExecutor(25) as pool:
        calls = [pool.submit(change, number) for number in range(25)]
        while not all(call.done() for call in calls):
            most = max(most, server.rows(held)[0][0])
            time.sleep(0.2)
    answers = [call.result() for call in calls]
    assert {answer.status for answer in answers} <= {422, 429, 503}
    waits = [int(answer.headers["retry-after"]) for answer in answers if answer.status != 422]
    assert waits
    assert max(waits) <= 60
    assert watch.statuses == {200}
    assert watch.slowest < UNNOTICED
    assert most == 0
