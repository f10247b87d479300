"""What becomes of mails at full speed while processes are killed: who gets none, who gets two, and what it costs.

Three times, each with an execution of its own, on a ledger of the benchmark's own and into a sink:

* The ledger's database is killed (SIGKILL of the whole server), and started again after some seconds, several times.
* The process that sends is killed, several times; each time the next try follows.
* The process that sends is stopped (SIGSTOP) until its lease is over; a second one takes over, and then the first one
  goes on (SIGCONT).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.sink import Sink, sink
from benchmarks.stage import ROOT, say

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from sandbox.postgres import PostgresServer

_LONGEST = 600.0
"""Seconds after which something that is waited for does not come."""


class Outcome(NamedTuple):
    """What became of one execution.

    :param recipients: how many there are.
    :param lost: how many got nothing.
    :param twice: how many got more than one mail.
    :param doubtful: how many were in doubt when a process was killed or stopped, all times together.
    :param ids: whether all mails to one recipient had the same Message-ID.
    :param tries: of Airflow, that it took.
    :param states: of its deliveries in the ledger.
    :param said: how each of its processes ended that was not killed.
    :param seconds: that it took.
    """

    recipients: int
    lost: int
    twice: int
    doubtful: int
    ids: bool
    tries: int
    states: dict[str, int]
    said: list[dict[str, Any]]
    seconds: float


class Rig:
    """A ledger, a sink, and processes that send from the one into the other.

    :param server: the ledger's.
    :param engine: the ledger.
    :param mails: what was accepted.
    """

    def __init__(self, server: PostgresServer, engine: Engine, mails: Sink) -> None:
        self._server = server
        self._engine = engine
        self._mails = mails
        self._begun: list[subprocess.Popen[str]] = []
        self._env = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__PUSH__SQL_ALCHEMY_CONN": server.url("push"),
            "AIRFLOW_CONN_PUSH_EMAIL_DEFAULT": json.dumps(
                {"conn_type": "push_email", "host": "127.0.0.1", "port": mails.port, "login": "push@bench.example",
                 "extra": {"ignore_tls": True}}
            ),
        }  # fmt: skip

    # --- the three of them ----------------------------------------------------------------------------

    def database_is_killed(self, mails: int, times: int, down: Callable[[], float]) -> Outcome:
        """Kill the database so many times while mails leave.

        :param down: seconds until it is started again, each time.
        """
        case = _Case(self, "database", mails)
        sender = case.begin()
        for number in range(times):
            case.await_mails(mails * (number + 1) // (times + 2), sender)
            os.kill(self._postmaster(), signal.SIGKILL)
            self._server.wait()
            seconds = down()
            say(f"killed the database ({number + 1} of {times}), {case.accepted:,} mails accepted; {seconds:.0f} s")
            time.sleep(seconds)
            self._server.restart()
        case.end(sender)
        return case.outcome()

    def sender_is_killed(self, mails: int, times: int) -> Outcome:
        """Kill the process that sends so many times; each time the next try begins."""
        case = _Case(self, "sender", mails)
        for number in range(times):
            sender = case.begin()
            case.await_mails(mails * (number + 1) // (times + 2), sender)
            sender.kill()
            sender.communicate()
            case.note_doubtful()
            say(f"killed the sender ({number + 1} of {times}), {case.accepted:,} mails accepted")
        case.end(case.begin())
        return case.outcome()

    def two_send_the_same(self, mails: int) -> Outcome:
        """Have a second process take over while the first one is stopped, and then let that one go on."""
        case = _Case(self, "two", mails)
        first = case.begin()
        case.await_mails(mails // 4, first)
        first.send_signal(signal.SIGSTOP)
        case.note_doubtful()
        say(f"stopped the first process, {case.accepted:,} mails accepted")
        second = case.begin()
        case.await_mails(mails // 2, second)
        first.send_signal(signal.SIGCONT)
        say(f"the first process goes on, {case.accepted:,} mails accepted")
        case.end(first)
        case.end(second)
        return case.outcome()

    # --- what they are made of ------------------------------------------------------------------------

    def apply(self, code: str, recipients: list[str]) -> None:
        """Put a push task into the ledger, whose execution the first try plans."""
        from push_provider.channels.reading import parse
        from push_provider.ledger import definitions

        fields = {"channel": "email", "subject": "Hello {{ to }}", "content": "<p>Dear {{ to }}</p>"}
        task = parse({"code": code, "name": "Crash", "recipients": recipients, **fields})
        definitions.apply(self._engine, task, now=datetime.now(UTC), default_timezone="UTC")

    def start(self, code: str, tried: int) -> subprocess.Popen[str]:
        """Begin a try of the execution."""
        command = [sys.executable, "-m", "benchmarks.one_try", code, str(tried)]
        begun = subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._begun.append(begun)
        return begun

    def end(self) -> None:
        """Leave no process behind."""
        for one in self._begun:
            one.kill()
            one.communicate()

    def accepted(self, recipients: list[str]) -> list[list[bytes]]:
        """The Message-IDs of the mails to each of them."""
        return [self._mails.message_ids.get(to, []) for to in recipients]

    @property
    def total(self) -> int:
        """How many mails were accepted, to whomever."""
        return self._mails.total

    def states(self, code: str) -> dict[str, int]:
        """How many deliveries of a task are in which state."""
        from sqlalchemy import text

        query = text(
            "SELECT d.state, count(*) AS n FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id"
            " WHERE e.task_code = :code GROUP BY 1"
        )
        with self._engine.connect() as connection:
            return {row.state: row.n for row in connection.execute(query, {"code": code})}

    def _postmaster(self) -> int:
        return int((self._server.folder / "postmaster.pid").read_text().splitlines()[0])


class _Case:
    """One execution, from its first try to its last.

    :param rig: where it is sent.
    :param code: of its push task.
    :param mails: how many recipients.
    """

    def __init__(self, rig: Rig, code: str, mails: int) -> None:
        self._rig = rig
        self._code = code
        self._recipients = [f"{code}-{number}@bench.example" for number in range(mails)]
        self._tries = 0
        self._doubtful = 0
        self._said: list[dict[str, Any]] = []
        rig.apply(code, self._recipients)
        self._before = rig.total
        self._begun = time.monotonic()

    @property
    def accepted(self) -> int:
        """How many mails of it were accepted."""
        return self._rig.total - self._before

    def begin(self) -> subprocess.Popen[str]:
        """Begin the next try."""
        self._tries += 1
        return self._rig.start(self._code, self._tries)

    def await_mails(self, count: int, sender: subprocess.Popen[str]) -> None:
        """Wait until so many were accepted."""
        deadline = time.monotonic() + _LONGEST
        while self.accepted < count:
            if sender.poll() is not None or time.monotonic() > deadline:
                sender.kill()  # for what it has said until now
                raise SystemExit(f"{self.accepted} of {count} mails came: {sender.communicate(timeout=_LONGEST)}")
            time.sleep(0.005)

    def note_doubtful(self) -> None:
        """Count what a process that is gone has claimed, and not put on record."""
        time.sleep(0.5)  # for what it had sent to the database
        self._doubtful += self._rig.states(self._code).get("sending", 0)

    def end(self, sender: subprocess.Popen[str]) -> None:
        """Wait until a try has ended."""
        out, errors = sender.communicate(timeout=_LONGEST)
        try:
            self._said.append(json.loads(out.splitlines()[-1]))
        except (IndexError, ValueError):
            raise SystemExit(f"A try ended without a word: {out}\n{errors}") from None

    def outcome(self) -> Outcome:
        """What became of it."""
        ids = self._rig.accepted(self._recipients)
        return Outcome(
            len(ids),
            sum(not one for one in ids),
            sum(len(one) > 1 for one in ids),
            self._doubtful,
            all(len(set(one)) <= 1 for one in ids),
            self._tries,
            self._rig.states(self._code),
            self._said,
            time.monotonic() - self._begun,
        )


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """Start a ledger and a sink."""
    from sqlalchemy import create_engine

    from push_provider.ledger.schema import migrate
    from sandbox.postgres import PostgresServer

    with PostgresServer(folder / "postgres") as server, sink() as mails:
        server.create_database("push")
        engine = create_engine(server.url("push"), pool_pre_ping=True)
        migrate(engine)
        made = Rig(server, engine, mails)
        try:
            yield made
        finally:
            made.end()
            engine.dispose()


def _print(what: str, outcome: Outcome) -> None:
    print(
        f"{what}: {outcome.recipients:,} mails in {outcome.seconds:.0f} s, {outcome.tries} tries; {outcome.lost} lost, "
        f"{outcome.twice} twice of {outcome.doubtful} in doubt, {'under one' if outcome.ids else 'UNDER ANOTHER'} "
        f"Message-ID; in the ledger {outcome.states}"
    )
    for said in outcome.said:
        print(f"    {said.get('error', 'ended well')}: {said.get('text', said)}")


def main() -> None:
    """Kill, and print what became of it."""
    parser = argparse.ArgumentParser(prog="./scripts/bench crash", description=__doc__)
    parser.add_argument("--mails", type=int, default=120_000)
    parser.add_argument("--times", type=int, default=5, help="that something is killed")
    parser.add_argument("--down", type=float, default=20.0, help="seconds that the database is away, at most")
    arguments = parser.parse_args()
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    say(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="push-crash-") as folder, rig(Path(folder)) as place:
        killed = place.database_is_killed(arguments.mails, arguments.times, lambda: chance.uniform(1, arguments.down))
        _print(f"Database killed {arguments.times} times", killed)
        _print(f"Sender killed {arguments.times} times", place.sender_is_killed(arguments.mails, arguments.times))
        _print("Two processes", place.two_send_the_same(arguments.mails))


if __name__ == "__main__":
    main()
