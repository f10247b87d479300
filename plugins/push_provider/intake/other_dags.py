"""Begins executions of push tasks from within tasks and callbacks of other people's DAGs.

It is planned in the ledger under a key, so that a retried task begins none twice, and its DAG run is made at once.
Where that cannot be (a callback that Airflow's DAG processor calls; a DAG that is not there yet), the API server makes
the run within a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

    from push_provider.intake.starter import Started

SOURCE = "dag"


def begin(
    engine: Engine,
    code: str,
    *,
    recipients: Sequence[Any] | str | None,
    variables: Mapping[str, Any] | None,
    key: str,
    triggered_by: str,
    in_task: bool = True,
) -> Started:
    """Begin an execution of a push task; the same key again gives the first.

    :param recipients: one address or mobile number, or some, or mappings of ``to`` and ``variables``; None for the
        task's own.
    :param variables: for its templates.
    :param key: unique in the push task.
    :param triggered_by: the DAG and task that ask, for people.
    :param in_task: whether Airflow can be asked, which it can in tasks; elsewhere the API server makes the run.
    :raises TaskPaused: its DAG is paused; nothing has begun. Outside of tasks the run waits until it is resumed.
    :raises UnknownTask: there is no such push task.
    :raises TaskClosed: it is cancelled, or all its executions have begun.
    :raises InvalidTask: recipients or variables break the contract, or nobody is named.
    """
    from push_provider.channels.reading import parse_trigger
    from push_provider.intake.starter import Starter
    from push_provider.intake.task_runs import TaskRuns
    from push_provider.ledger import tasks

    given: dict[str, Any] = {}
    if recipients is not None:
        given["recipients"] = [recipients] if isinstance(recipients, str) else list(recipients)
    if variables is not None:
        given["variables"] = dict(variables)
    channel = tasks.get(engine, code).channel
    trigger = parse_trigger(given, channel=channel, where=f"push task {code!r}")
    return Starter(engine, TaskRuns() if in_task else None, SOURCE, triggered_by).begin(code, trigger, key=key)
