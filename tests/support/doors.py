"""Kafka's intake and the command line in a process of their own, which does one thing at a time and is watched."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psutil

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

_PROGRAM = '''
import base64, contextlib, io, itertools, json, sys, traceback

offsets = itertools.count()


def kafka(topic, *values):
    """What became of messages that came together."""
    from push_provider import settings
    from push_provider.kafka import admission, messages
    from push_provider.kafka.reader import Record
    from push_provider.ledger.engine import get_engine

    def record(value):
        return Record(topic, 0, next(offsets), 1, None if value is None else base64.b64decode(value))

    told = {"taken": 0, "refused": 0, "said": []}
    for _, orders in messages.portions(map(record, values), settings.kafka_batch_size()):
        taken = admission.take(get_engine(), orders, find=lambda _: None)
        told["taken"] += taken.deliveries + taken.defined
        told["refused"] += len(taken.rejected)
        told["said"] += [one.reason for one in taken.rejected[:50]]
    return told


def cli(*arguments):
    """What a command says, and how it ends."""
    from airflow.cli.cli_parser import get_parser

    out, code, said = io.StringIO(), 0, ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            sys.argv = ["airflow", "push", *arguments]
            args = get_parser().parse_args(sys.argv[1:])
            args.func(args)
        except SystemExit as end:
            code, said = (end.code, "") if isinstance(end.code, int | None) else (1, end.code)
    return {"code": code or 0, "said": [said or out.getvalue()]}


for line in sys.stdin:
    door, *given = json.loads(line)
    try:
        answer = {"kafka": kafka, "cli": cli}[door](*given)
    except Exception:
        answer = {"fault": traceback.format_exc()}
    print("ANSWER", json.dumps(answer), file=sys.__stdout__, flush=True)
'''


class Answer(NamedTuple):
    """What a door said, and what it took.

    :param said: reasons of refusals, or all that the command said.
    :param taken: deliveries and push tasks, of messages; of a command, whether it ended well.
    :param refused: how many messages, or elements of one.
    :param seconds: of processor, of the process and of those that it has started.
    :param grown: MiB that the process held at most, above what it held before.
    :param workers: MiB that one of its workers held at most.
    """

    said: Sequence[str]
    taken: int
    refused: int
    seconds: float
    grown: float
    workers: float


class Doors:
    """The process. Leaving the ``with`` ends it.

    :param env: its environment: the ledger, and the settings of Airflow.
    """

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._folder = folder
        self._errors = (folder / "stderr").open("wb")
        self._child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._process = psutil.Process(self._child.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._child.kill()
        self._child.communicate()
        self._errors.close()

    def kafka(self, *values: bytes | None, topic: str = "orders") -> Answer:
        """Take messages in, as one batch."""
        return self._ask("kafka", topic, *(None if one is None else base64.b64encode(one).decode() for one in values))

    def apply(self, document: bytes, name: str = "tasks.json") -> Answer:
        """``airflow push apply`` of a file."""
        path = self._folder / name
        path.write_bytes(document)
        return self.run("apply", str(path))

    def run(self, *arguments: str) -> Answer:
        """A command of ``airflow push``."""
        return self._ask("cli", *arguments)

    def _ask(self, *question: Any) -> Answer:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with _watched(self._process) as watch:
            self._child.stdin.write(json.dumps(question) + "\n")
            self._child.stdin.flush()
            line = next((line for line in self._child.stdout if line.startswith("ANSWER ")), None)
        assert line is not None, "the process has ended: " + (self._folder / "stderr").read_text()[-2000:]
        answer = json.loads(line.removeprefix("ANSWER "))
        assert "fault" not in answer, answer["fault"]
        if question[0] == "cli":
            answer |= {"taken": int(not answer["code"]), "refused": int(bool(answer["code"]))}
        return Answer(answer["said"], answer["taken"], answer["refused"], watch.seconds, watch.grown, watch.workers)


class _Watch:
    """What a process and its children take while something happens."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._before = self._rss()
        self._at_first = self._times()
        self._busy = dict(self._at_first)
        self.grown = self.workers = 0.0

    @property
    def seconds(self) -> float:
        """Of processor, also of children that have ended since."""
        return sum(time - self._at_first.get(pid, 0.0) for pid, time in self._busy.items())

    def look(self) -> None:
        """Look once."""
        self.grown = max(self.grown, self._rss() - self._before)
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.workers = max(self.workers, child.memory_info().rss / 1024**2)
        self._busy |= self._times()

    def _rss(self) -> float:
        return float(self._process.memory_info().rss / 1024**2)

    def _times(self) -> dict[int, float]:
        times = {}
        for one in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times[one.pid] = sum(one.cpu_times()[:2])
        return times


@contextlib.contextmanager
def _watched(process: psutil.Process) -> Iterator[_Watch]:
    watch, over = _Watch(process), threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(psutil.NoSuchProcess):
                watch.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(psutil.NoSuchProcess):
            watch.look()


@contextlib.contextmanager
def opened(postgres: PostgresServer, folder: Path) -> Iterator[Doors]:
    """The doors of a ledger of their own."""
    from sqlalchemy import create_engine

    from push_provider.ledger.schema import migrate

    name = f"doors_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name)
    engine = create_engine(postgres.url(name))
    migrate(engine)
    engine.dispose()
    (folder / "include" / "templates").mkdir(parents=True)
    env = {
        "AIRFLOW__PUSH__SQL_ALCHEMY_CONN": postgres.url(name),
        "AIRFLOW__PUSH__INCLUDE_DIR": str(folder / "include"),
    }
    with Doors(env, folder) as doors:
        yield doors
