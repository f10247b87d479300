"""Every option that the package reads, in one place: section ``[push]`` of Airflow's configuration.

Each is a function, because Airflow's configuration may change between processes and tests; provider.py
describes the same options to Airflow.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from push_provider.exceptions import ConfigurationError

SECTION = "push"


def _get(key: str, fallback: str = "") -> str:
    from airflow.sdk.configuration import conf

    return str(conf.get(SECTION, key, fallback=fallback) or fallback)


def airflow_home() -> Path:
    """Airflow's home directory."""
    return Path(os.path.expandvars(os.environ.get("AIRFLOW_HOME") or "~/airflow")).expanduser()


def sql_alchemy_conn() -> str:
    """URL of the ledger's database, with the psycopg driver.

    :raises ConfigurationError: it is not set, or not PostgreSQL.
    """
    url = _get("sql_alchemy_conn")
    if not url:
        raise ConfigurationError(
            "[push] sql_alchemy_conn is not set. Name a PostgreSQL database of its own, such as "
            "postgresql://push@db.example/push, in airflow.cfg or AIRFLOW__PUSH__SQL_ALCHEMY_CONN."
        )
    scheme, separator, rest = url.partition("://")
    if not separator:  # no word of it is shown: it may be a password
        raise ConfigurationError("[push] sql_alchemy_conn is no URL; it takes postgresql://…")
    if scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ConfigurationError(f"[push] sql_alchemy_conn begins with {scheme!r}; the ledger needs postgresql://…")
    return f"postgresql+psycopg://{rest}"


def include_dir() -> Path:
    """Where templates and attachments live: ``include`` beside the DAG folder, if not set."""
    from airflow.sdk.configuration import conf

    configured = _get("include_dir")
    if configured:
        return Path(configured).expanduser()
    return Path(conf.get("core", "dags_folder")).expanduser().parent / "include"


def bundle_dir() -> Path:
    """Where :class:`~push_provider.bundle.PushTaskBundle` keeps its DAG files."""
    configured = _get("bundle_dir")
    return Path(configured).expanduser() if configured else airflow_home() / "push_dags"


def default_timezone() -> str:
    """The clock of schedules that name none: ``[core] default_timezone``."""
    from airflow.sdk.configuration import conf

    name = str(conf.get("core", "default_timezone", fallback="utc"))
    if name == "system":
        from pendulum.tz import get_local_timezone

        return str(get_local_timezone().name)
    return "UTC" if name.lower() == "utc" else name


def missed_grace() -> timedelta:
    """How late a scheduled execution may begin before its time counts as missed.

    :raises ConfigurationError: it is not a number of seconds, zero or more.
    """
    return timedelta(seconds=_number("missed_grace", _get("missed_grace", "300"), "a number of seconds, zero or more"))


def receipt_days() -> timedelta:
    """How long after a message was sent its receipt is asked for.

    :raises ConfigurationError: it is not a number of days, zero or more.
    """
    return timedelta(days=_number("receipt_days", _get("receipt_days", "3"), "a number of days, zero or more"))


def _number(key: str, text: str, takes: str) -> float:
    try:
        number = float(text)
        timedelta(days=number)
    except (ValueError, OverflowError):
        number = -1.0
    if number < 0:
        raise ConfigurationError(f"[{SECTION}] {key} is {text!r}; it takes {takes}")
    return number


# --- Kafka ----------------------------------------------------------------------------------------------


def kafka_conn_id() -> str:
    """The Airflow connection of the broker that messages come from."""
    return _get("kafka_conn_id", "kafka_default")


def kafka_topics() -> str:
    """Topics that are read: names, or regular expressions that begin with ``^``, separated by commas."""
    return _get("kafka_topics", "task.push.info")


def kafka_batch_size() -> int:
    """At most so many messages become one transaction.

    :raises ConfigurationError: it is not a whole number above zero.
    """
    text = _get("kafka_batch_size", "5000")
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ConfigurationError(f"[push] kafka_batch_size is {text!r}; it takes a whole number above zero")
    return int(text)


def kafka_linger() -> float:
    """Seconds that a worker waits for more messages before it leaves the waiting to the triggerer.

    :raises ConfigurationError: it is not a number of seconds from 0 to 3600.
    """
    text = _get("kafka_linger", "1")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ConfigurationError(f"[push] kafka_linger is {text!r}; it takes a number of seconds from 0 to 3600")
    return seconds


def dead_letter_topic() -> str:
    """The topic that rejected messages are forwarded to; empty for none."""
    return _get("dead_letter_topic")
