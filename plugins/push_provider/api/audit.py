"""Airflow's audit log: who wrote what through this API, whether or not it was then refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow._shared.secrets_masker import secrets_masker
from airflow.models.log import Log

from push_provider.api.guards import Caller, sessions
from push_provider.task import dag_id

_LONGEST = 200
_LISTED = 20


def write(
    caller: Caller,
    event: str,
    code: str | None = None,
    *,
    run_id: str | None = None,
    said: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry: before the deed, so that what was only tried is on record, too.

    :param event: such as ``push_trigger``.
    :param code: the push task.
    :param said: what the caller sent. It is told in short: addresses and text are counted, variables only named, for
        they may hold what is nobody's business, and secrets are masked as everywhere in Airflow.
    """
    with sessions() as session:
        session.add(
            Log(
                event=event,
                task_instance=None,
                owner=caller.name,
                owner_display_name=caller.name,
                extra=json.dumps(_told(said or {})),
                dag_id=dag_id(code) if code else None,
                run_id=run_id,
            )
        )


def _told(said: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in list(said.items())[:100]:
        word = _word(str(name)[:100], value)
        told[str(name)[:100]] = secrets_masker.redact(word, str(name)[:100])
    return told


def _word(name: str, value: Any) -> Any:
    if name == "variables" and isinstance(value, Mapping):
        return [str(key)[:100] for key in list(value)[:_LISTED]]
    if name in ("recipients", "attachments", "tasks") and isinstance(value, list):
        return f"{len(value)} in all"
    if name == "content" and isinstance(value, str):
        return f"{len(value)} characters"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(text) > _LONGEST:
        return f"{text[:_LONGEST]}…"
    return value
