"""Every option that the package reads, in one place: section ``[push]`` of Airflow's configuration.

Each is a function, because Airflow's configuration may change between processes and tests; provider.py
describes the same options to Airflow.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

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


def attachment_areas() -> bool:
    """Whether attachments of a task lie in the folder of its application, or in that of all.

    :raises ConfigurationError: it is neither true nor false.
    """
    return _flag("attachment_areas", "True")


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
    return timedelta(seconds=_number("missed_grace", 300, what="a number of seconds"))


def ledger_patience() -> float:
    """Seconds for which a ledger that is away is waited for while an execution is sent.

    :raises ConfigurationError: it is not a number of seconds up to a day, zero or more.
    """
    return _number("ledger_patience", 600, most=86_400, what="a number of seconds")


def service_pool() -> str:
    """The Airflow pool of push tasks of category ``service``."""
    return _get("service_pool", "default_pool")


def marketing_pool() -> str:
    """The Airflow pool of push tasks of category ``marketing``."""
    return _get("marketing_pool", "push_marketing")


def marketing_slots() -> int:
    """How many executions of category ``marketing`` may run at a time, where nobody has resized their pool.

    :raises ConfigurationError: it is not a whole number above zero.
    """
    return _count("marketing_slots", 8)


def receipt_days() -> timedelta:
    """How long after a message was sent its receipt is asked for.

    :raises ConfigurationError: it is not a number of days, zero or more.
    """
    return timedelta(days=_number("receipt_days", 3, most=36_500, what="a number of days"))


# --- upkeep ----------------------------------------------------------------------------------------------


def retire_after() -> timedelta:
    """How long after its last execution a push task that is done with stays a DAG.

    :raises ConfigurationError: it is not a number of seconds, zero or more.
    """
    return timedelta(seconds=_number("retire_after", 86_400, most=1e9, what="a number of seconds"))


def retention_days() -> timedelta | None:
    """How long after its end an execution stays, with its deliveries; None: for ever.

    :raises ConfigurationError: it is not a number of days from 2 on, or 0.
    """
    # For a day Airflow's runs are looked at of which the ledger has no execution (``reconciling.unplanned``).
    days = _days("retention_days", 0)
    if days is not None and days < timedelta(days=2):
        raise ConfigurationError("[push] retention_days takes a number of days from 2 on, or 0 for ever")
    return days


def rejected_days() -> timedelta | None:
    """How long a rejected message stays; None: for ever.

    :raises ConfigurationError: it is not a number of days, zero or more.
    """
    return _days("rejected_days", 90)


def message_id_days() -> timedelta | None:
    """How long a message that was taken is known, so that it changes nothing when it comes again; None: for ever.

    :raises ConfigurationError: it is not a number of days, zero or more.
    """
    return _days("message_id_days", 30)


def _days(key: str, default: float) -> timedelta | None:
    """An option that is a number of days; None for 0, which stands for ever."""
    days = _number(key, default, most=36_500, what="a number of days")
    return timedelta(days=days) if days else None


# --- REST API -------------------------------------------------------------------------------------------


def max_body_size() -> int:
    """Bytes that the body of a REST request may have."""
    return int(_number("max_body_size", 16 * 1024 * 1024, least=1024))


def max_recipients() -> int:
    """Recipients that a task or trigger may name over REST; 0 for no limit."""
    return int(_number("max_recipients", 100_000))


def max_open_tasks() -> int:
    """Tasks of one application that may be open at a time, over REST; 0 for no limit."""
    return int(_number("max_open_tasks", 10_000))


def request_rate_limit() -> float:
    """REST requests a second that one user may make; 0 for no limit."""
    return _number("request_rate_limit", 300)


def app_rules() -> dict[str, frozenset[str]]:
    """The applications that Airflow users (``user:name``) and roles (``role:name``) may act for; empty for no rule.

    :raises ConfigurationError: it is no JSON object of lists of names.
    """
    rules = _rules("app_rules")
    for who in rules:
        kind, _, name = who.partition(":")
        if kind not in ("user", "role") or not name:
            raise ConfigurationError(f"[push] app_rules has {who!r}; it takes 'user:<name>' and 'role:<name>'")
    return {who: _names("app_rules", who, apps) for who, apps in rules.items()}


def public_url() -> str:
    """The address that links in messages begin with, without a slash at its end: that of Airflow, if not set."""
    from airflow.sdk.configuration import conf

    return (_get("public_url") or str(conf.get("api", "base_url", fallback=""))).rstrip("/")


def receipt_rate_limit() -> float:
    """Acknowledgements a second that one address may send to one API server's process; 0 for no limit."""
    return _number("receipt_rate_limit", 100)


def token_minters() -> frozenset[tuple[str, str]]:
    """Who may make clients' tokens besides role Admin: ``user`` or ``role``, and the name.

    :raises ConfigurationError: it holds something else than these.
    """
    found = set()
    for who in filter(None, map(str.strip, _get("token_minters").split(","))):
        kind, _, name = who.partition(":")
        if kind not in ("user", "role") or not name:
            raise ConfigurationError(f"[push] token_minters has {who!r}; it takes 'user:<name>' and 'role:<name>'")
        found.add((kind, name.casefold() if kind == "role" else name))
    return frozenset(found)


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
    return _count("kafka_batch_size", 5000)


def kafka_drains() -> int:
    """How many tasks take messages in at the same time, each those of partitions of its own.

    :raises ConfigurationError: it is not a whole number from 1 to 64.
    """
    drains = _count("kafka_drains", 1)
    if drains > _MOST_DRAINS:
        raise ConfigurationError(f"[push] kafka_drains is {drains}; it takes a whole number from 1 to {_MOST_DRAINS}")
    return drains


_MOST_DRAINS = 64


def kafka_linger() -> float:
    """Seconds that a worker waits for more messages before it leaves the waiting to the triggerer.

    :raises ConfigurationError: it is not a number of seconds from 0 to 3600.
    """
    return _number("kafka_linger", 1, most=3600, what="a number of seconds")


def dead_letter_topic() -> str:
    """The topic that rejected messages are forwarded to; empty for none."""
    return _get("dead_letter_topic")


class TopicRule(NamedTuple):
    """What messages of a topic may do.

    :param apps: applications that they may act for; None for all, and for none.
    :param codes: patterns of the push tasks that they may start and define, such as ``shop-*``.
    :param define: whether they may define push tasks.
    """

    apps: frozenset[str] | None = None
    codes: frozenset[str] = frozenset({"*"})
    define: bool = True


def test_sends() -> bool:
    """Whether ``airflow tasks test`` and ``airflow dags test`` of a push task really send, and count."""
    return _get("test_sends", "False").strip().lower() in _TRUE


def kafka_define() -> bool | frozenset[str]:
    """Whether messages may define push tasks; or the topics of which they may."""
    text = _get("kafka_define", "True").strip()
    word = text.lower()
    return word in _TRUE if word in _TRUE | _FALSE else frozenset(re.split(r"[,\s]+", text))


def kafka_rules() -> dict[str, TopicRule]:
    """What messages of each topic may do, those of ``*`` for all others; empty for no rule.

    :raises ConfigurationError: it is no JSON object of such rules.
    """
    found = {}
    for topic, rule in _rules("kafka_rules").items():
        if not isinstance(rule, dict) or rule.keys() - {"apps", "codes", "define"}:
            raise ConfigurationError(f"[push] kafka_rules: {topic!r} takes an object of apps, codes and define")
        given: dict[str, Any] = {}
        for name in {"apps", "codes"} & rule.keys():
            given[name] = _names("kafka_rules", f"{name} of {topic!r}", rule[name])
        if "*" in given.get("apps", ()):
            given["apps"] = None
        if "define" in rule:
            if not isinstance(rule["define"], bool):
                raise ConfigurationError(f"[push] kafka_rules: define of {topic!r} takes true or false")
            given["define"] = rule["define"]
        found[topic] = TopicRule(**given)
    return found


def _rules(key: str) -> dict[str, Any]:
    """An option that is a JSON object; empty if it is not set.

    :raises ConfigurationError: it is none.
    """
    from push_provider import strict_json

    text = _get(key)
    if not text.strip():
        return {}
    try:
        rules = strict_json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"[push] {key} {error}") from None
    if not isinstance(rules, dict):
        raise ConfigurationError(f"[push] {key} takes a JSON object, like {{…}}")
    return rules


def _names(key: str, where: str, value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(f"[push] {key}: {where} takes a list of names, in quotes")
    return frozenset(value)


def _flag(key: str, default: str) -> bool:
    """An option that is true or false, as Airflow writes these.

    :raises ConfigurationError: it is neither.
    """
    text = _get(key, default)
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ConfigurationError(f"[push] {key} is {text!r}; it takes True or False")
    return word in _TRUE


_TRUE = frozenset({"true", "t", "1", "yes", "on"})
_FALSE = frozenset({"false", "f", "0", "no", "off"})


def _count(key: str, default: int) -> int:
    """An option that is a whole number above zero, and fits into a column of a database.

    :raises ConfigurationError: it is none.
    """
    text = _get(key, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise ConfigurationError(f"[push] {key} is {text!r}; it takes a whole number above zero")
    return int(text)


def _number(key: str, default: float, *, least: float = 0, most: float = 1e12, what: str = "a number") -> float:
    """An option that is a number.

    :raises ConfigurationError: it is none, too small or too large.
    """
    text = _get(key, str(default))
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        bounds = f"from {least:g} to {most:g}" if most < 1e12 else f"{f'{least:g}' if least else 'zero'} or more"
        raise ConfigurationError(f"[push] {key} is {text!r}; it takes {what}{' ' if most < 1e12 else ', '}{bounds}")
    return number
