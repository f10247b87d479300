"""People's deeds and failures of parts, drawn at random, and what of it may have sent a message twice."""

from __future__ import annotations

import collections
import contextlib
import random
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import psutil

from push_provider.exceptions import LedgerUnavailable

PARTS = ("scheduler", "dag-processor", "triggerer", "api-server")
_CALM = 20.0
"""Seconds between two kills of parts: the platform gives up on a part that ends again and again."""
_RECENT = 4
"""Runs of a push task that deeds are done to: the newest, which may be under way."""


class Deeds:
    """Does things to push tasks and their runs on the running platform, and remembers what they may excuse.

    :param seed: of all that is drawn.
    """

    def __init__(self, platform: Any, seed: int, tasks: int) -> None:
        self.platform = platform
        self.done: collections.Counter[str] = collections.Counter()
        self.refused: collections.Counter[int] = collections.Counter()
        self.run_of: dict[str, tuple[str, str]] = {}
        """Task and run of each recipient that a trigger has named; nobody is named twice."""
        self.excuses: collections.Counter[tuple[str, str]] = collections.Counter()
        """By run: deeds that may have ended its process between a message and its record."""
        self.binned: set[tuple[str, str]] = set()
        """Runs that may have been deleted with their DAG before anybody had looked at them."""
        self.kills = 0
        """The same, for all runs."""
        self.codes = [f"deed-{number:02}" for number in range(tasks)]
        self._random = random.Random(seed)
        self._runs: dict[str, list[str]] = collections.defaultdict(list)
        self._named = 0
        self._killed_at = -_CALM
        self._deeds: dict[Callable[[str], None], int] = {
            self._trigger: 30,
            self._trigger_by_push: 10,
            self._mark_run: 8,
            self._mark_task: 6,
            self._clear: 10,
            self._redrive: 5,
            self._delete_run: 5,
            self._delete_dag: 2,
            self._pause: 6,
            self._apply: 6,
            self._cancel: 1,
            self._kill_part: 1,
            self._kill_backend: 1,
        }

    def prepare(self) -> None:
        """Make the push tasks: some slow, some quick, some by the clock."""
        for code in self.codes:
            self._apply(code)
        for code in self.codes:
            self.platform.await_dag(code)

    def do(self, count: int) -> None:
        """Do so many deeds, each to a random push task."""
        kinds, weights = list(self._deeds), list(self._deeds.values())
        for _ in range(count):
            deed = self._random.choices(kinds, weights)[0]
            code = self._random.choice(self.codes)
            self.done[deed.__name__.removeprefix("_")] += 1
            deed(code)

    def _call(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
        return self._asked(self.platform.call, path, body, method)

    def _asked(self, call: Callable[..., tuple[int, Any]], *arguments: Any) -> tuple[int, Any]:
        """A call that may be refused, or find nobody there for the moment."""
        try:
            status, answer = call(*arguments)
        except (OSError, HTTPException, ValueError):
            status, answer = 0, None
            # Who finds nobody there comes back later.
            self.platform.eventually(self.platform.is_healthy, "all parts to be back")
        if status >= 400 or not status:
            self.refused[status] += 1
        return status, answer

    def _fresh(self) -> list[str]:
        count = self._random.choice((1, 2, 10, 30))
        self._named += count
        kind = self._random.choice(("slow", "quick"))
        return [f"{kind}+d{self._named - number}@example.com" for number in range(count)]

    def _run(self, code: str) -> str | None:
        recent = self._runs[code][-_RECENT:]
        return self._random.choice(recent) if recent else None

    # --- deeds ----------------------------------------------------------------------------------------

    def _trigger(self, code: str) -> None:
        recipients = self._fresh()
        body = {"logical_date": None, "conf": {"recipients": recipients}}
        status, answer = self._call(f"/api/v2/dags/push__{code}/dagRuns", body)
        self._note(code, recipients, answer["dag_run_id"] if status == 200 else None)

    def _trigger_by_push(self, code: str) -> None:
        recipients = self._fresh()
        status, answer = self._call(f"/push/v1/tasks/{code}/trigger", {"recipients": recipients})
        self._note(code, recipients, answer["run_id"] if status == 202 else None)

    def _note(self, code: str, recipients: list[str], run: str | None) -> None:
        # Of a trigger whose answer got lost nobody knows the run, and whether there is one.
        for recipient in recipients:
            self.run_of[recipient] = (code, run or "?")
        if run:
            self._runs[code].append(run)

    def _mark_run(self, code: str) -> None:
        if run := self._run(code):
            self.excuses[code, run] += 1
            state = self._random.choice(("success", "failed"))
            self._call(self.platform.run_path(code, run), {"state": state}, "PATCH")

    def _mark_task(self, code: str) -> None:
        if run := self._run(code):
            self.excuses[code, run] += 1
            state = self._random.choice(("success", "failed", "skipped"))
            self._call(f"{self.platform.run_path(code, run)}/taskInstances/send", {"new_state": state}, "PATCH")

    def _clear(self, code: str) -> None:
        if run := self._run(code):
            self.excuses[code, run] += 1
            self._asked(self.platform.clear, code, run)

    def _redrive(self, code: str) -> None:
        status, answer = self._call(f"/push/v1/executions?task={code}&limit=5")
        if status == 200 and answer["items"]:
            row = self._random.choice(answer["items"])
            self.excuses[code, row["run_id"] or "?"] += 1
            self._call(f"/push/v1/executions/{row['id']}/redrive", {})

    def _delete_run(self, code: str) -> None:
        if run := self._run(code):
            self.excuses[code, run] += 1
            self._call(self.platform.run_path(code, run), method="DELETE")

    def _delete_dag(self, code: str) -> None:
        for run in self._runs[code]:
            self.excuses[code, run] += 1
            self.binned.add((code, run))
        self._call(f"/api/v2/dags/push__{code}", method="DELETE")

    def _pause(self, code: str) -> None:
        self._call(f"/api/v2/dags/push__{code}", {"is_paused": self._random.random() < 0.3}, "PATCH")

    def _apply(self, code: str) -> None:
        # While PostgreSQL recovers nobody can apply anything, and a person tries again.
        self.platform.eventually(lambda: self._applied(code), f"{code} to be applied")

    def _applied(self, code: str) -> bool | None:
        number = self.codes.index(code)
        by_clock = number % 4 == 3
        own = [f"quick+{code}-{n}@example.net" for n in range(3)] if by_clock else []
        schedule = {"kind": "cron", "cron": "* * * * *"} if by_clock else {"kind": "manual"}
        task = {
            "code": code,
            "name": f"{code} {self._random.random()}",
            "subject": code,
            "content_type": "text",
            "content": "Hello",
            "schedule": schedule,
            "execution": {"type": "loop"},
            "recipients": own,
            "max_active_runs": number % 3 + 1,
            "category": ("service", "marketing")[number % 2],
            "retry_delay": 1,
        }
        try:
            self.platform.apply(task)
        except LedgerUnavailable:
            return None
        return True

    def _cancel(self, code: str) -> None:
        """A person cancels the push task, and makes another one in its place."""
        status, _ = self._call(f"/push/v1/tasks/{code}/cancel", {})
        if status == 200:
            place = self.codes.index(code)
            self.codes[place] = new = f"{code.split('_')[0]}_{self._random.randrange(10**9)}"
            self._apply(new)

    def _kill_part(self, _: str) -> None:
        part = self._random.choice(PARTS)
        self._kill(part, self.platform.process_of(part))

    def _kill_backend(self, _: str) -> None:
        """PostgreSQL ends all its connections when one of its processes is killed, and recovers."""
        self._kill("postgres", self.platform.backend())

    def _kill(self, what: str, process: psutil.Process | None) -> None:
        if process is None or time.monotonic() - self._killed_at < _CALM:
            return
        self._killed_at = time.monotonic()
        self.done[f"kill {what}"] += 1
        self.kills += 1
        with contextlib.suppress(psutil.Error):
            process.kill()
