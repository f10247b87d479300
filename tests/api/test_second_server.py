"""The process that answers requests with long bodies: as the first server would, and nobody waits for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from api_server import Answer, ApiServer, task
from server_processes import second_of, serving

pytestmark = pytest.mark.slow

CROWD = [f"{'a' * 50}{number}@example.com" for number in range(1000)]
"""60 KiB."""


@pytest.fixture
def second(server: ApiServer) -> Iterator[psutil.Process]:
    """The process, once it takes requests."""
    server.push("POST", "/tasks", task(recipients=CROWD), dry_run="true")  # starts it, if it was not there yet
    process = await_second(server)
    yield process
    if process.is_running():
        process.send_signal(signal.SIGCONT)


def await_second(server: ApiServer) -> psutil.Process:
    deadline = time.monotonic() + 300
    while (found := second_of(server)) is None:
        assert time.monotonic() < deadline, "there is no second server"
        time.sleep(0.1)
    return found


def at_work(process: psutil.Process) -> bool:
    """Whether somebody is connected to its socket."""
    return any(one.laddr and one.status != "LISTEN" for one in process.net_connections("unix"))


def asked(pool: ThreadPoolExecutor, server: ApiServer, process: psutil.Process, **fields: Any) -> Future[Answer]:
    """A request that waits for the process, which is stopped."""
    process.send_signal(signal.SIGSTOP)
    call = pool.submit(server.push, "POST", "/tasks", task(recipients=CROWD, **fields), dry_run="true")
    time.sleep(1)
    assert not call.done()
    return call


def test_small_requests_do_not_wait_for_it(server: ApiServer, second: psutil.Process) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = asked(pool, server, second)
        assert server.push("GET", "/tasks", limit=1).status == 200
        assert server.push("POST", "/tasks", task(), dry_run="true").status == 200
        assert server.call("GET", "/api/v2/dags").status == 200
        assert not call.done()
        second.send_signal(signal.SIGCONT)
        assert call.result(60).status == 200


def test_it_lets_others_go_first(second: psutil.Process) -> None:
    assert second.nice() >= 10


def test_what_it_answers_is_what_the_first_one_would(server: ApiServer, second: psutil.Process) -> None:
    before = sum(second.cpu_times()[:2])
    made = task(recipients=[{"to": to, "variables": {"n": n}} for n, to in enumerate(CROWD)])
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answer = server.push("POST", "/tasks", made, role="user", headers=key)
    assert answer.status == 201, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/push/v1/tasks/{made['code']}"
    assert int(answer.headers["content-length"]) == len(answer.data)
    again = server.push("POST", "/tasks", made, role="user", headers=key)
    assert (again.status, again.data) == (answer.status, answer.data)
    seen = server.log("push_create_task", made["code"])[0]
    assert seen.owner == "user"
    server.await_dag(made["code"])
    sent = server.push("POST", f"/tasks/{made['code']}/trigger", {"recipients": CROWD}, role="user")
    assert sent.status == 202, sent
    changed = server.push("PATCH", f"/tasks/{made['code']}", {"content": "x" * 20_000}, role="user")
    assert changed.status == 200, changed
    assert sum(second.cpu_times()[:2]) > before


@pytest.mark.parametrize(
    ("role", "data", "status"),
    [
        (None, b"[" * 20_000, 401),
        ("viewer", json.dumps(task(recipients=CROWD)).encode(), 403),
        ("user", b"[" * 20_000, 400),
        ("user", b'{"a":1,"a":2}' + b" " * 20_000, 400),
        ("user", json.dumps({f"unknown{n}": n for n in range(3000)}).encode(), 422),
    ],
)
def test_refusals(server: ApiServer, second: psutil.Process, role: str | None, data: bytes, status: int) -> None:
    assert second.is_running()
    answer = server.call("POST", "/push/v1/tasks", data=data, role=role, headers={"Content-Type": "application/json"})
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status


def test_pages_of_other_sites_and_proxies(server: ApiServer, second: psutil.Process) -> None:
    assert second.is_running()
    body = task(recipients=CROWD)
    cookie = {"Cookie": f"_token={server.token('admin')}"}
    own = server.push("POST", "/tasks", body, role=None, dry_run="true", headers={**cookie, "Origin": server.url})
    assert own.status == 200, own
    other = server.push("POST", "/tasks", body, role=None, headers={**cookie, "Origin": "https://evil.example"})
    assert (other.status, other.json["code"]) == (403, "cross-origin")


def test_whoever_hangs_up_is_not_worked_for(server: ApiServer, second: psutil.Process) -> None:
    second.send_signal(signal.SIGSTOP)
    data = json.dumps(task(recipients=CROWD)).encode()
    before = ends(server)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        headers = {"Authorization": f"Bearer {server.token('admin')}", "Content-Type": "application/json"}
        connection.request("POST", "/push/v1/tasks?dry_run=true", data, headers)
        deadline = time.monotonic() + 60
        while ends(server) == before:
            assert time.monotonic() < deadline, "it was not passed on"
            time.sleep(0.05)
    while ends(server) > before:
        assert time.monotonic() < deadline, "the connection to the second server stays open"
        time.sleep(0.05)
    second.send_signal(signal.SIGCONT)


def ends(server: ApiServer) -> int:
    """How many connections the first server has on this machine."""
    return len(serving(server).net_connections("unix"))


def csv(server: ApiServer, **query: Any) -> Answer:
    return server.push("GET", "/deliveries", headers={"Accept": "text/csv"}, **query)


def test_csv_files_are_made_there(server: ApiServer, second: psutil.Process) -> None:
    code = server.create(known=True)
    begun = server.push("POST", f"/tasks/{code}/trigger", {"recipients": CROWD})
    assert begun.status == 202, begun
    page = server.push("GET", "/deliveries", task=code, limit=1).json
    assert page["total_entries"] == len(CROWD)
    before = sum(second.cpu_times()[:2])
    whole = csv(server, task=code)
    assert sum(second.cpu_times()[:2]) > before
    assert whole.status == 200
    assert whole.headers["content-type"] == "text/csv; charset=utf-8"
    assert whole.headers["content-disposition"] == 'attachment; filename="deliveries.csv"'
    assert len(whole.data.splitlines()) == 1 + len(CROWD)
    excel = server.push("GET", "/deliveries", task=code, excel="true")
    assert excel.data.startswith(b"\xef\xbb\xbf")
    wrong = csv(server, state="odd")
    assert (wrong.status, wrong.headers["content-type"]) == (422, "application/problem+json")
    assert csv(server, search="nobody has this").status == 200
    assert server.call("GET", "/push/v1/deliveries", role=None, headers={"Accept": "text/csv"}).status == 401


def test_a_csv_file_whose_maker_is_killed_is_not_taken_for_whole(server: ApiServer, second: psutil.Process) -> None:
    with ThreadPoolExecutor(1) as pool:
        second.send_signal(signal.SIGSTOP)
        call = pool.submit(csv, server)
        time.sleep(1)
        assert not call.done()
        assert server.push("GET", "/deliveries", limit=1).status == 200
        second.kill()
        answer = call.result(60)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")


def test_one_that_is_killed_is_told_of_and_replaced(server: ApiServer, second: psutil.Process) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = asked(pool, server, second)
        second.kill()
        answer = call.result(60)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert "Idempotency-Key" in answer.json["detail"]
    # Meanwhile the first server answers; a new one is there after a while.
    deadline = time.monotonic() + 300
    while second_of(server) is None:
        assert server.push("POST", "/tasks", task(recipients=CROWD), dry_run="true").status == 200
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert server.push("POST", "/tasks", task(recipients=CROWD), dry_run="true").status == 200


def test_many_at_once(server: ApiServer, second: psutil.Process) -> None:
    assert second.is_running()
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(server.push, "POST", "/tasks", task(recipients=CROWD), dry_run="true") for _ in range(24)]
        assert [call.result().status for call in calls] == [200] * 24


def test_it_ends_with_the_first(tmp_path: Path) -> None:
    """Also if that is killed: what it reads from ends."""
    import subprocess
    import sys

    script = (
        "import sys, time\n"
        "from push_provider.api.second_server import SecondServer\n"
        "second = SecondServer()\n"
        "second.start()\n"
        "print(second.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as first:
        assert first.stdout is not None
        process = psutil.Process(int(first.stdout.readline()))
        first.kill()
    over = threading.Event()
    threading.Thread(target=lambda: (process.wait(60), over.set()), daemon=True).start()
    assert over.wait(60)
