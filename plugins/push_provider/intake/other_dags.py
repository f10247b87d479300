"""Begins executions of push tasks from within tasks and callbacks of other people's DAGs.

It is planned in the ledger under a key, so that a retried task begins none twice, and its DAG run is made at once.
Where that cannot be (a callback that Airflow's DAG processor calls; a DAG that is not there yet), the API server makes
the run within a minute.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.exceptions import TaskPaused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

log = logging.getLogger(__name__)
SOURCE = "dag"


class Begun(NamedTuple):
    """An execution that has begun.

    :param execution: its number in the ledger.
    :param run_id: of its DAG run.
    :param new: False if the same key began it before.
    """

    execution: int
    run_id: str
    recipients: int
    new: bool


def begin(
    engine: Engine,
    code: str,
    *,
    recipients: Sequence[Any] | str | None,
    variables: Mapping[str, Any] | None,
    key: str,
    triggered_by: str,
    in_task: bool = True,
) -> Begun:
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
    from push_provider.content import freeze
    from push_provider.contract import parse_trigger, run_id_of
    from push_provider.intake import task_runs
    from push_provider.ledger import executions, tasks

    given: dict[str, Any] = {}
    if recipients is not None:
        given["recipients"] = [recipients] if isinstance(recipients, str) else list(recipients)
    if variables is not None:
        given["variables"] = dict(variables)
    channel = tasks.get(engine, code, recipients=False).channel
    trigger = parse_trigger(given, channel=channel, where=f"push task {code!r}")
    if in_task and not executions.has_key(engine, code, key) and task_runs.is_paused(code):
        raise TaskPaused(f"Push task {code!r} is paused: it takes no execution. Resume it first.")
    plan = executions.plan(
        engine, code, source=SOURCE, freeze=freeze, trigger=trigger, key=key, triggered_by=triggered_by
    )
    run_id = run_id_of(SOURCE, plan.id)
    if in_task and (plan.new or executions.bound_run(engine, plan.id) is None):
        refusal = task_runs.make(code, plan.id, SOURCE)
        if refusal is None:
            executions.note_run(engine, plan.id, run_id)
        else:
            log.info("Execution %s of push task %s waits for its DAG run: %s", plan.id, code, refusal)
    return Begun(plan.id, run_id, plan.total, plan.new)
