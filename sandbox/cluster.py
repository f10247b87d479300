"""Several Celery workers on this machine, for development: Redis between them and the scheduler.

As several machines have it, but for the machines. Redis is that of this machine (Debian: ``redis-server``).
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from push_provider.exceptions import ConfigurationError

CONCURRENCY = 4
"""Tasks at a time of each worker."""


def workers(variable: str, default: int) -> int:
    """How many there are to be; 0: tasks run beside the scheduler.

    :param variable: of the environment, which says it.
    :raises ConfigurationError: it is no small number, or Redis is missing.
    """
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or int(text) > 16:
        raise ConfigurationError(f"{variable} is {text!r}; it takes a number of workers up to 16")
    if int(text) and _redis() is None:
        raise ConfigurationError(f"{variable} needs Redis; install it (Debian: apt-get install redis-server)")
    return int(text)


def settings(port: int) -> Mapping[str, str]:
    """Airflow's settings, as environment variables.

    :param port: of Redis.
    """
    redis = f"redis://127.0.0.1:{port}"
    return {
        "AIRFLOW__CORE__EXECUTOR": "airflow.providers.celery.executors.celery_executor.CeleryExecutor",
        "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "push_provider.celery_workers.CELERY_CONFIG",
        "AIRFLOW__CELERY__BROKER_URL": f"{redis}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"{redis}/1",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(CONCURRENCY),
        # A task goes to a worker that is free, and none waits in one that is not.
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
    }


def redis_command(home: Path, port: int) -> list[str]:
    """What runs Redis: on loopback, with its data below ``home``, on disk within a second."""
    folder = home / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    options = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "appendonly": "yes", "save": ""}
    return [str(_redis()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def worker_commands(airflow: str, count: int) -> Iterator[tuple[str, list[str]]]:
    """Name and command of each worker."""
    for number in range(1, count + 1):
        name = f"worker-{number}"
        yield name, [airflow, "celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs"]


def answers(port: int) -> bool:
    """Whether Redis answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _redis() -> str | None:
    return shutil.which("redis-server")
