"""Airflow's audit log: who wrote what through this API, whether or not it was then refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow._shared.secrets_masker import secrets_masker
from airflow.models.log import Log

from push_provider.api.guards import Caller, sessions
from push_provider.api.problems import Problem, of_error
from push_provider.contract import dag_id
from push_provider.exceptions import PushError
from push_provider.visible import visible

_LONGEST = 100
_LISTED = 20
_MASKED = 3


def write(
    caller: Caller,
    event: str,
    code: str | None = None,
    *,
    run_id: str | None = None,
    said: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry: before the deed, so that what was only tried is on record, too.

    :param event: such as ``push_trigger``.
    :param code: the push task.
    :param said: what the caller sent. Of it known fields alone are told, and in short: a viewer reads this, and what
        is refused may be anything. Text is counted, variables are named, of recipients there are the number and the
        first few, masked.
    :param more: what is told besides, and not what the caller has chosen.
    """
    with sessions() as session:
        session.add(_entry(caller, event, code, said or {}, run_id=run_id, more=more))


def write_each(
    caller: Caller, event: str, said: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]]
) -> None:
    """:func:`write` of many push tasks at once.

    :param said: the code of each, what the caller sent of it, and what is told besides.
    """
    with sessions() as session:
        session.add_all([_entry(caller, event, code, document, more=more) for code, document, more in said])


@contextmanager
def attempt(
    caller: Caller,
    event: str,
    code: str | None = None,
    *,
    said: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """:func:`write` at the end of a block that reads what was sent, and finds out whether the caller may have it done.

    If they may not, the entry says so, as those of :func:`refusals` do. The deed itself comes after the block.
    """
    told = dict(more or {})
    try:
        yield
    except (Problem, PushError) as error:
        told |= refused(error) or {}
        raise
    finally:
        write(caller, event, code, said=said, more=told)


def refused(error: Problem | PushError) -> dict[str, Any] | None:
    """What an entry tells of an error, if that says that the caller has no right to the deed."""
    problem = _problem(error)
    return {"refused": problem.code} if problem.status == 403 else None


def _problem(error: Problem | PushError) -> Problem:
    return error if isinstance(error, Problem) else of_error(error)


@contextmanager
def refusals(
    caller: Caller, event: str, code: str | None = None, *, said: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Write an entry for what a block refuses: the caller has no right to the deed, and what they sent is not read.

    The parameters are those of :func:`write`.
    """
    try:
        yield
    except (Problem, PushError) as error:
        write(caller, event, code, said=said, more={"refused": _problem(error).code})
        raise


def _entry(
    caller: Caller,
    event: str,
    code: str | None,
    said: Mapping[str, Any],
    *,
    run_id: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Log:
    return Log(
        event=event,
        task_instance=None,
        owner=caller.name,
        owner_display_name=caller.name,
        extra=json.dumps({**_told(said), **(more or {})}),
        dag_id=dag_id(code) if code else None,
        run_id=run_id,
    )


def _told(said: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, shorten in _SHORT.items():
        if name in said:
            told[name] = secrets_masker.redact(shorten(said[name]), name)
    if unknown := sum(name not in _SHORT for name in said):
        told["unknown fields"] = unknown
    return told


def _word(value: Any) -> Any:
    """What says where or how, and nothing to anybody."""
    if isinstance(value, str):
        return visible(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…")
    return value if isinstance(value, bool | None) or _is_short(value) else _kind(value)


def _is_short(value: Any) -> bool:
    return isinstance(value, int | float) and len(str(value)) <= _LONGEST


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def _length(value: Any) -> str:
    return f"{len(value)} characters" if isinstance(value, str) else _kind(value)


def _count(value: Any) -> str:
    return f"{len(value)} in all" if isinstance(value, list) else _kind(value)


def _names(value: Any) -> Any:
    """Names of variables; one that nobody would name a variable so may be anything."""
    if not isinstance(value, Mapping):
        return _kind(value)
    names = [name if _VARIABLE.fullmatch(str(name)) else "…" for name in list(value)[:_LISTED]]
    return names if len(value) <= _LISTED else [*names, f"and {len(value) - _LISTED} more"]


def _people(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _count(value)
    first = [_masked(item.get("to") if isinstance(item, Mapping) else item) for item in value[:_MASKED]]
    return f"{len(value)} in all: {', '.join(first)}{', …' if len(value) > _MASKED else ''}"


def _masked(to: Any) -> str:
    """As much of an address as shows whose it is to those who know: ``a***@example.com``, ``+86***34``."""
    if not isinstance(to, str):
        return "***"
    local, at, domain = to.rpartition("@")
    if at and _DOMAIN.fullmatch(domain):
        return f"{visible(local[:1])}***@{domain}"
    return f"{to[:3]}***{to[-2:]}" if _NUMBER.fullmatch(to) else "***"


def _rule(value: Any) -> Any:
    """A schedule or an execution: its known fields alone."""
    if not isinstance(value, Mapping):
        return _word(value)
    return {name: _word(value[name]) for name in _OF_RULES if name in value}


_VARIABLE = re.compile(r"\w{1,40}")
_DOMAIN = re.compile(r"[\w.-]{1,100}")
_NUMBER = re.compile(r"\+?[0-9 -]{6,20}")
_OF_RULES = ("kind", "at", "minute", "time", "cron", "timezone", "type", "max_executions")
_WORDS = (
    "task code name channel config missed max_active_runs content_type template template_code sign_name category "
    "on_unknown app owner retries retry_delay purge unknown message suppression"
)
_SHORT: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_WORDS.split(), _word),
    "execution": _rule,
    "schedule": _rule,
    "recipients": _people,
    "variables": _names,
    "subject": _length,
    "content": _length,
    "attachments": _count,
    "tasks": _count,
}
"""All that is told of a request, and how."""
