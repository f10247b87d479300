"""Ten executions at once in Celery workers: mails a second with one worker and with two, and one of two killed halfway.

Redis, the workers and the scheduler are all on this machine, and the sink that takes the mails, too: more workers are
faster here only as far as there are processors for them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from pathlib import Path

import psutil

from benchmarks.stage import Stage, free_port, say, stage

_EXECUTIONS = 10
_LONGEST = 1200.0
"""Seconds after which mails that are waited for do not come."""
_SETTINGS = {
    # A worker that is gone is missed after so many seconds.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}


class _Mailing:
    """Ten executions with recipients of their own."""

    def __init__(self, place: Stage, name: str, recipients: int) -> None:
        self._place = place
        self._codes = [f"{name}-{number}" for number in range(_EXECUTIONS)]
        self.count = _EXECUTIONS * recipients
        for code in self._codes:
            place.apply(
                code=code,
                name=code,
                schedule={"kind": "manual"},
                execution={"type": "loop"},
                retry_delay=1,
                recipients=[f"{code}-{number}@bench.example" for number in range(recipients)],
            )
        for code in self._codes:
            place.wait_for_dag(code)

    def begin(self) -> float:
        """Trigger all of them; the moment before."""
        begun = time.time()
        for code in self._codes:
            status, answer = self._place.call(f"/api/v2/dags/push__{code}/dagRuns", {"logical_date": None, "conf": {}})
            if status != 200:
                raise SystemExit(f"The trigger was answered with {status}: {answer}")
        return begun

    @property
    def arrivals(self) -> dict[str, list[float]]:
        """The moments of each recipient's mails."""
        starts = tuple(f"{code}-" for code in self._codes)
        return {to: when for to, when in self._place.sink.accepted.copy().items() if to.startswith(starts)}

    def wait(self, part: float = 1.0) -> None:
        """Until so many of them have got their mail."""
        deadline = time.time() + _LONGEST
        while len(self.arrivals) < part * self.count:
            if time.time() > deadline:
                raise SystemExit(f"Only {len(self.arrivals):,} of {self.count:,} got a mail")
            time.sleep(0.2)

    def end(self) -> None:
        """Wait until all have ended in the ledger."""
        for code in self._codes:
            deadline = time.time() + _LONGEST
            while not (items := self._place.call(f"/push/v1/executions?task={code}")[1]["items"])[0]["finished_at"]:
                if time.time() > deadline:
                    raise SystemExit(f"The execution of {code} does not end: {items[0]}")
                time.sleep(0.2)


def _speed(place: Stage, name: str, recipients: int) -> float:
    mailing = _Mailing(place, name, recipients)
    say(f"{mailing.count:,} mails …")
    begun = mailing.begin()
    mailing.wait()
    last = max(when[0] for when in mailing.arrivals.values())
    mailing.end()
    return mailing.count / (last - begun)


def _kill_worker(place: Stage) -> None:
    """End a worker and all its tasks without a word, as when its machine loses its power."""
    for process in psutil.Process(os.getpid()).children():
        with contextlib.suppress(OSError, psutil.Error):
            if Path(f"/proc/{process.pid}/fd/1").readlink() == place.home / "logs" / "platform" / "worker-1.log":
                for one in [*process.children(recursive=True), process]:
                    one.kill()
                return
    raise SystemExit("There is no worker-1")


def _killed(place: Stage, recipients: int) -> None:
    mailing = _Mailing(place, "killed", recipients)
    mailing.begin()
    mailing.wait(0.5)
    _kill_worker(place)
    before = sum(map(len, mailing.arrivals.values()))
    mailing.end()
    arrivals = mailing.arrivals
    ids = place.sink.message_ids
    twice = [to for to, when in arrivals.items() if len(when) > 1]
    print(f"One of two workers killed after {before:,} of {mailing.count:,} mails:")
    print(f"  got none                   {mailing.count - len(arrivals):,}")
    print(f"  got two or more            {len(twice):,}")
    print(f"  under another Message-ID   {sum(len(set(ids[to])) > 1 for to in twice):,}", flush=True)


def main() -> None:
    """Measure with one worker, then with two, and kill one of them."""
    parser = argparse.ArgumentParser(prog="./scripts/bench celery", description=__doc__)
    parser.add_argument("--recipients", type=int, default=20_000, help="of each of the ten executions")
    arguments = parser.parse_args()
    for workers in (1, 2):
        os.environ |= {"PUSH_CELERY_WORKERS": str(workers), "PUSH_SANDBOX_REDIS_PORT": str(free_port())}
        with stage(_SETTINGS) as place:
            speed = _speed(place, f"with-{workers}", arguments.recipients)
            print(f"{workers} of them, {_EXECUTIONS} executions at once: {speed:,.0f} mails a second", flush=True)
            if workers > 1:
                _killed(place, arguments.recipients)


if __name__ == "__main__":
    main()
