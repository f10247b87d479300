"""What still goes out when people interrupt a mailing at full speed: a cancel by REST, a clear of the run in Airflow.

Twice, in one run of the platform and into a sink: a push task is cancelled while half of its mails are out (how many
more went out, and for how long), and a run is cleared while half of its mails are out (who got two, who got none).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from benchmarks.stage import Stage, say, stage

_LONGEST = 300.0
"""Seconds after which something that is waited for does not come."""


def _wait(there: Callable[[], Any], what: str) -> Any:
    deadline = time.time() + _LONGEST
    while not (found := there()):
        if time.time() > deadline:
            raise SystemExit(f"waited {_LONGEST:.0f} s in vain for {what}")
        time.sleep(0.005)
    return found


class _Mailing:
    """One execution of a push task with recipients of its own."""

    def __init__(self, place: Stage, code: str, recipients: int) -> None:
        self._place = place
        self._code = code
        self._count = recipients
        place.apply(
            code=code,
            name=code,
            schedule={"kind": "manual"},
            execution={"type": "loop"},
            recipients=[f"{code}-{number}@bench.example" for number in range(recipients)],
        )
        place.wait_for_dag(code)

    @property
    def arrivals(self) -> dict[str, list[float]]:
        """The moments of each recipient's mails."""
        mails = self._place.sink.accepted.copy()
        return {to: when for to, when in mails.items() if to.startswith(f"{self._code}-")}

    def begin(self) -> str:
        """Trigger it, and return its run when half of its mails are out."""
        before = self._place.sink.total
        status, run = self._place.call(f"/api/v2/dags/push__{self._code}/dagRuns", {"logical_date": None, "conf": {}})
        if status != 200:
            raise SystemExit(f"The trigger was answered with {status}: {run}")
        _wait(lambda: self._place.sink.total - before >= self._count / 2, "half of the mails")
        return str(run["dag_run_id"])

    def ended(self) -> dict[str, Any]:
        """The execution when it has ended."""

        def look() -> dict[str, Any] | None:
            _, page = self._place.call(f"/push/v1/executions?task={self._code}&limit=1")
            found: list[dict[str, Any]] = page["items"]
            return found[0] if found and found[0]["finished_at"] else None

        return dict(_wait(look, "the end of the execution"))


def _tell(execution: dict[str, Any]) -> None:
    counts = ", ".join(f"{execution[name]:,} {name}" for name in ("sent", "failed", "unknown", "cancelled"))
    print(f"  in the ledger                  {counts}; {execution['state']}", flush=True)


def _cancelled(place: Stage, recipients: int) -> None:
    mailing = _Mailing(place, "cancelled", recipients)
    mailing.begin()
    asked = time.time()
    status, answer = place.call("/push/v1/tasks/cancelled/cancel", {})
    answered = time.time()
    if status >= 300:
        raise SystemExit(f"The cancel was answered with {status}: {answer}")
    execution = mailing.ended()
    time.sleep(2)  # for what would come later still
    moments = [moment for when in mailing.arrivals.values() for moment in when]
    later = [moment for moment in moments if moment > answered]
    print(f"Cancelled while {recipients:,} mails were sent:")
    print(f"  sent before it was asked for   {sum(moment <= asked for moment in moments):6,}")
    print(f"  sent until it was answered     {sum(asked < moment <= answered for moment in moments):6,}")
    print(f"  (the answer took               {answered - asked:6.3f} s)")
    print(f"  sent after the answer          {len(later):6,}")
    print(f"  the last of them after         {max(later, default=answered) - answered:6.3f} s")
    print(f"  twice to somebody              {sum(len(when) > 1 for when in mailing.arrivals.values()):6,}")
    _tell(execution)


def _cleared(place: Stage, recipients: int) -> None:
    mailing = _Mailing(place, "cleared", recipients)
    run = mailing.begin()
    body = {"dry_run": False, "dag_run_id": run, "only_failed": False, "reset_dag_runs": True}
    out = len(mailing.arrivals)
    status, answer = place.call("/api/v2/dags/push__cleared/clearTaskInstances", body)
    if status != 200:
        raise SystemExit(f"The clear was answered with {status}: {answer}")
    path = f"/api/v2/dags/push__cleared/dagRuns/{quote(run, safe='')}"
    _wait(lambda: place.call(path)[1]["state"] == "success", "the run to end")
    execution = mailing.ended()
    arrivals = mailing.arrivals
    print(f"Cleared while {recipients:,} mails were sent:")
    print(f"  sent before it was asked for   {out:6,}")
    print(f"  got none                       {recipients - len(arrivals):6,}")
    print(f"  got two or more                {sum(len(when) > 1 for when in arrivals.values()):6,}")
    _tell(execution)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./scripts/bench interruptions", description=__doc__)
    parser.add_argument("--cancelled", type=int, default=20_000, help="recipients of the mailing that is cancelled")
    parser.add_argument("--cleared", type=int, default=5_000, help="recipients of the mailing that is cleared")
    arguments = parser.parse_args()
    with stage() as place:
        say("Mailings …")
        _cancelled(place, arguments.cancelled)
        _cleared(place, arguments.cleared)


if __name__ == "__main__":
    main()
