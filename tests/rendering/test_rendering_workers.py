"""Templates of strangers are rendered elsewhere: what comes back, when, and who waits for whom."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hostile import TOO_BUSY

from push_provider.channels.reading import parse
from push_provider.exceptions import ContentError, LimitExceeded, RenderingBudget
from push_provider.rendering import workers
from push_provider.rendering.processes import Gone, Said, Worker
from push_provider.rendering.worker import MEMORY, Job
from push_provider.rendering.workers import Asker, faults, preview
from push_provider.spending import Spending

if TYPE_CHECKING:
    from push_provider.contract import PushTask

# Eats time, and hardly any memory.
ENDLESS = "{% set s = 'ab' * 200000 %}{% for i in range(100000) %}{% if s.count('ab') %}{% endif %}{% endfor %}"


BUSY = "{% set s = 'ab' * 20000 %}{% for i in range(4000) %}{% if s.count('ab') %}{% endif %}{% endfor %}"
"""The same for a fifth of a second."""


def task(**fields: Any) -> PushTask:
    document = {"code": "t", "name": "T", "channel": "email", "subject": "Hi {{ to }}", "content": "<p>{{ n }}</p>"}
    return parse({**document, "schedule": {"kind": "manual"}, "variables": {"n": 12.50}, **fields})


@pytest.fixture(autouse=True)
def _unspent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody has used anything up; at the end no worker is left."""
    workers.close()
    monkeypatch.setattr(workers, "_spending", Spending(workers._unforgiven))
    monkeypatch.setattr(workers, "_had", Spending(workers._remembered))
    yield
    workers.close()


def test_a_preview_tells_the_time_by_the_clock_of_the_schedule(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "Asia/Kolkata")
    for zone, offset in ({"timezone": "Asia/Shanghai"}, "+08:00"), ({}, "+05:30"):
        schedule = {"kind": "daily", "time": "07:00", **zone}
        daily = task(subject="{{ push.scheduled_for }}", schedule=schedule, recipients=["a@example.com"])
        assert preview(daily, Asker("a"), "b@example.com", {})["subject"].endswith(offset)


def test_what_comes_back_is_what_a_recipient_would_get(include: Path) -> None:
    (include / "templates" / "t.html").write_text("<b>{{ name }}</b> {{ n }}")
    (include / "attachments" / "shared").mkdir(parents=True)
    (include / "attachments" / "shared" / "leaf.pdf").write_bytes(b"12345")
    leaf = "attachments/shared/leaf.pdf"
    mail = task(template="t.html", content=None, attachments=[leaf], recipients=["a@example.com"])
    assert faults(mail, Asker("a")) == []
    assert preview(mail, Asker("a"), "b@example.com", {"name": "Ann & Co"}, {"n": 3}) == {
        "to": "b@example.com",
        "subject": "Hi b@example.com",
        "html": "<b>Ann &amp; Co</b> 3",
        "text": "Ann & Co 3",
        "parameters": None,
        "attachments": [{"name": "leaf.pdf", "size": 5, "type": "application/pdf"}],
        "message": None,
    }
    with pytest.raises(ContentError, match="the variable 'name' is missing"):
        preview(mail, Asker("a"), "b@example.com", {})
    sms = task(channel="sms", subject=None, content='{"code": "{{ c }}"}', sign_name="S", template_code="SMS_1")
    assert preview(sms, Asker("a"), "13800000000", {"c": "42"})["parameters"] == {"code": "42"}


def test_a_worker_has_nothing_of_airflow_and_may_do_little() -> None:
    script = """
import sys
from push_provider.rendering import worker
from push_provider.spending import Spending
worker._settle()
assert not {name.partition(".")[0] for name in sys.modules} & {"airflow", "sqlalchemy", "psycopg", "fastapi"}
import os, resource, socket, subprocess
assert resource.getrlimit(resource.RLIMIT_AS)[0] == worker.MEMORY
for what in (lambda: socket.socket(), lambda: subprocess.run(["true"]), lambda: os.system("true"), lambda: os.fork()):
    try:
        what()
    except PermissionError:
        continue
    raise SystemExit("was let")
try:
    bytearray(worker.MEMORY)
except MemoryError:
    print("held")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "held\n", done.stderr


def test_a_worker_is_told_no_option_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", "postgresql://secret")
    assert faults(task(), Asker()) == []
    (worker,) = workers._lanes().quick._idle
    if sys.platform == "linux":
        assert b"AIRFLOW" not in Path(f"/proc/{worker._process.pid}/environ").read_bytes()


@pytest.mark.slow
def test_one_that_takes_long_is_ended_and_the_next_one_is_not_its_victim() -> None:
    began = time.monotonic()
    with pytest.raises((LimitExceeded, RenderingBudget)) as refused:
        preview(task(content=ENDLESS), Asker("a"), "a@example.com", {})
    late = "takes longer than 5 s; make the template simpler"
    assert (late if refused.type is LimitExceeded else TOO_BUSY) in str(refused.value)
    assert time.monotonic() - began < 60
    assert faults(task(), Asker("b")) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say what another process has used")
def test_a_worker_that_others_hold_up_is_waited_for_and_then_told_from_one_that_is_late(include: Path) -> None:
    worker = Worker(0)
    job = Job(task(), include, areas=False, seconds=0.5)
    try:
        worker.get_ready(lambda: False)
        os.kill(worker._process.pid, signal.SIGSTOP)
        threading.Timer(1.2, os.kill, [worker._process.pid, signal.SIGCONT]).start()
        said = worker.run(job, lambda: False, 60)
        assert said.message() is None
        said = worker.run(job._replace(task=task(content=ENDLESS), to="a@example.com"), lambda: False, 60)
        assert (said.late, said.crowded) == (True, False)
        with pytest.raises(LimitExceeded, match="takes longer than 5 s; make the template simpler"):
            said.message()
        os.kill(worker._process.pid, signal.SIGSTOP)
        said = worker.run(job._replace(seconds=0.0), lambda: False)
        assert (said.late, said.crowded) == (True, True)
        os.kill(worker._process.pid, signal.SIGCONT)
    finally:
        worker.end()


def test_whoever_asks_too_much_of_a_busy_machine_is_told_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = Said({"late": True, "crowded": True})
    monkeypatch.setattr(Worker, "run", lambda *_: crowded)
    with pytest.raises(RenderingBudget, match=TOO_BUSY) as refused:
        faults(task(), Asker("a"))
    assert refused.value.retry_after == 10


@pytest.mark.slow
def test_a_worker_is_used_again_also_if_its_parent_is_large() -> None:
    ballast = bytearray(MEMORY)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert faults(task(), Asker()) == []
    (worker,) = workers._lanes().quick._idle
    assert faults(task(), Asker()) == []
    assert workers._lanes().quick._idle == [worker]


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_replaced() -> None:
    asker = Asker("a")
    assert faults(task(), asker) == []
    (worker,) = workers._lanes().quick._idle
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    assert faults(task(), asker) == []
    (worker,) = workers._lanes().quick._idle
    os.kill(worker._process.pid, signal.SIGSTOP)
    killer = threading.Timer(1, os.kill, [worker._process.pid, signal.SIGKILL])
    killer.start()
    (fault,) = faults(task(), asker)
    assert "of memory; make it simpler" in fault.message
    assert faults(task(), asker) == []


@pytest.mark.slow
def test_the_tasks_of_one_request_share_its_seconds() -> None:
    asker = Asker("a", seconds=1.0)
    answers = []
    while not answers or TOO_BUSY in answers[-1]:  # which a busy machine says until the request's seconds are over
        with pytest.raises(RenderingBudget) as refused:
            faults(task(content=ENDLESS), asker)
        answers.append(str(refused.value))
    assert "All templates of one request" in answers[-1]
    assert len(answers) <= 3
    assert asker.left <= 0


def test_a_caller_has_some_seconds_a_minute_and_all_others_theirs() -> None:
    workers._spending.add("a", workers.MINUTE + 5)  # which a busy machine's seconds do not use up meanwhile
    with pytest.raises(RenderingBudget, match=r"20 s of the last minute") as refused:
        faults(task(), Asker("a"))
    assert 1 <= refused.value.retry_after <= 18
    assert faults(task(), Asker("b")) == []
    # Whoever writes into a topic that somebody floods is still heard.
    assert faults(task(), Asker("a", shared=True)) == []


def test_whoever_has_gone_frees_the_worker() -> None:
    began = time.monotonic()
    with pytest.raises(Gone):  # and not that its time is up
        faults(task(content=ENDLESS), Asker("a", gone=lambda: time.monotonic() - began > 1.2))
    assert workers._lanes().slow._busy.total() == 0


@pytest.mark.slow
def test_a_slow_caller_does_not_hold_up_a_quick_one() -> None:
    faults(task(), Asker("admin"))
    with ThreadPoolExecutor(8) as pool:
        hostile = [pool.submit(faults, task(content=ENDLESS), Asker(f"h{n}", seconds=1.5)) for n in range(5)]
        time.sleep(2)  # by now each has had its try in the quick lane
        times = []
        for _ in range(20):
            began = time.monotonic()
            assert faults(task(), Asker("admin")) == []
            times.append(time.monotonic() - began)
        for one in hostile:
            with pytest.raises(RenderingBudget):
                one.result()
    assert sorted(times)[10] < 1.0  # behind one of the slow, it is 1.5


@pytest.mark.slow
def test_one_worker_is_kept_for_whoever_has_not_been_noticed() -> None:
    """The others are within the quick lane's time, and within their budgets, and come again and again."""
    over = threading.Event()
    theirs: list[float] = []

    def come(name: str) -> None:
        while not over.is_set():
            began = time.monotonic()
            # A request of its own, with a name of its own in the lane: a budget is no obstacle.
            workers._spending.add(name, -workers._spending.of(name))
            with contextlib.suppress(RenderingBudget):  # a busy machine may not give it its seconds
                assert faults(task(content=BUSY), Asker(name)) == []
                theirs.append(time.monotonic() - began)

    faults(task(), Asker("admin"))
    with ThreadPoolExecutor(6) as pool:
        strangers = [pool.submit(come, f"h{n}") for n in range(6)]
        while len(theirs) < 6:
            assert not any(one.done() for one in strangers), [one.result() for one in strangers if one.done()]
            time.sleep(0.05)
        ours = []
        for _ in range(20):
            began = time.monotonic()
            assert faults(task(), Asker("admin")) == []
            ours.append(time.monotonic() - began)
            time.sleep(0.05)
        over.set()
        for one in strangers:
            one.result()
    assert sorted(ours)[15] < sorted(theirs)[len(theirs) // 2] / 4
