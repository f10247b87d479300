"""Kills parts of a running platform that has to do with Kafka, and brings back what nobody else would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    import random

    from kafka_broker import ApacheKafka


class Killer:
    """Kills with SIGKILL.

    :param env: Airflow's environment.
    :param broker: the broker, if it may be killed.
    :param log: the output of triggerers that are started here.
    """

    def __init__(self, env: Mapping[str, str], broker: ApacheKafka | None, log: Path) -> None:
        self._env = dict(env)
        self._broker = broker
        self._log = log
        self._started: list[subprocess.Popen[bytes]] = []

    def kinds(self) -> dict[str, Callable[[], bool]]:
        """What can be killed, by name; each says whether there was something to kill."""
        kinds: dict[str, Callable[[], bool]] = {"task": self.task, "triggerer": self.triggerer}
        if self._broker is not None:
            kinds["broker"] = self.broker
        return kinds

    def random(self, chance: random.Random) -> str | None:
        """Kill something; its name, or None if it was not there just then."""
        name = chance.choice(sorted(self.kinds()))
        return name if self.kinds()[name]() else None

    def task(self) -> bool:
        """The task that takes messages in, if it is at work."""
        url = self._env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            query = (
                "SELECT pid FROM task_instance WHERE dag_id = 'push_kafka' AND state = 'running' AND pid IS NOT NULL"
            )
            row = connection.execute(query).fetchone()
        if row is None:
            return False
        try:
            os.kill(row[0], signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def triggerer(self) -> bool:
        """The triggerer with all that it has started, and start another."""
        import psutil

        for process in self._triggerers():
            for one in [process, *process.children(recursive=True)]:
                try:
                    one.kill()
                except psutil.NoSuchProcess:
                    continue
        command = [str(Path(sys.executable).with_name("airflow")), "triggerer", "--skip-serve-logs"]
        with self._log.open("ab") as output:
            self._started.append(
                subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            )
        return True

    def broker(self) -> bool:
        """The broker, and start it again."""
        assert self._broker is not None
        self._broker.kill()
        time.sleep(1)
        self._broker.start()
        return True

    def close(self) -> None:
        """End what was started here."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(30)

    def _triggerers(self) -> list[Any]:
        import psutil

        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                if "triggerer" in command and process.environ().get("AIRFLOW_HOME") == self._env["AIRFLOW_HOME"]:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found
