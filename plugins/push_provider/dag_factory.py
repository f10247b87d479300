"""From push tasks to DAGs: :func:`push_dags` builds those of one shard file.

The DAG processor builds all of a shard; a task process builds only the DAG that it runs. A push task that
cannot be built becomes a DAG that shows the error and fails when run, and harms no other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, get_parsing_context
from airflow.sdk.api.datamodels._generated import DagRunType

from push_provider import parses, schedule, settings
from push_provider.channels import registry
from push_provider.channels.reading import parse_stored
from push_provider.contract import DAG_PREFIX, SEND_TASK_ID, PushTask, dag_id
from push_provider.exceptions import PushError
from push_provider.ledger import shards
from push_provider.ledger.engine import get_engine
from push_provider.operators.broken import BrokenTaskOperator
from push_provider.policy.lanes import MARKETING, lane_of
from push_provider.timetable import ClosedTimetable
from push_provider.variable_names import variable_names

if TYPE_CHECKING:
    from push_provider.ledger.shards import ShardTask

log = logging.getLogger(__name__)

_MAX_RETRY_DELAY = timedelta(hours=1)


def push_dags(shard: int) -> None:
    """Build the DAGs of a shard and hand them to Airflow.

    In a task process only the DAG asked for is built.

    :raises LedgerUnavailable: the ledger cannot be read; Airflow shows it as the file's import error.
    """
    engine = get_engine()
    wanted = get_parsing_context().dag_id
    if wanted is not None:
        _, rows = shards.shard_tasks(engine, shard, wanted.removeprefix(DAG_PREFIX))
        for row in rows:
            _build(row)
        return
    began = datetime.now(UTC)
    revision, rows = shards.shard_tasks(engine, shard)
    for row in rows:
        _build(row)
    try:
        # Not "built" yet: Airflow has to store it.
        parses.note(settings.bundle_dir(), shard, parses.Parse(revision, len(rows), began))
    except OSError as error:
        # The DAGs are there all the same; the bundle has the file parsed again until there is a note.
        log.warning("The parse of shard %s cannot be noted: %s", shard, error)


def _build(row: ShardTask) -> DAG:
    try:
        return _dag(parse_stored(row.spec), row)
    except Exception as error:
        # Whatever is wrong with one task must not take the others of its file along.
        log.exception("Push task %s cannot be built", row.code)
        reason = str(error) if isinstance(error, PushError) else f"{type(error).__name__}: {error}"
        return _broken_dag(row, reason)


def _dag(task: PushTask, row: ShardTask) -> DAG:
    plan = schedule.plan(task, row.schedule_since, settings.default_timezone())
    lane = lane_of(task.category)
    tags = ["push", task.channel, *([f"app:{task.app}"[:100]] if task.app else [])]
    if task.category == MARKETING:
        tags.append("push:marketing")
    if not row.open:
        tags.append("push:cancelled" if row.cancelled else "push:finished")
    dag = DAG(
        dag_id=task.dag_id,
        dag_display_name=task.name,
        description=_description(task, row),
        schedule=plan.schedule if row.open else ClosedTimetable(),
        start_date=plan.start_date,
        catchup=plan.catchup,
        max_active_runs=task.max_active_runs,
        tags=tags,
        params=_params(task, row),
        doc_md=_doc(task, row),
        is_paused_upon_creation=False,
        # Airflow then refuses to trigger a finished or cancelled task, and says so at once. Runs by operator are those
        # of executions that messages have begun already: of the last ones, after the task was closed.
        allowed_run_types=None if row.open else [DagRunType.SCHEDULED, DagRunType.OPERATOR_TRIGGERED],
        default_args={
            "owner": _owner(task.owner) or _owner(task.app) or "push",
            "pool": lane.pool,
            "priority_weight": lane.priority,
            "retries": task.retries,
            "retry_delay": task.retry_delay,
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": max(_MAX_RETRY_DELAY, task.retry_delay),
        },
    )
    with dag:
        registry.operator_of(task.channel)(task_id=SEND_TASK_ID, code=task.code, channel=task.channel)
    return dag


def _broken_dag(row: ShardTask, reason: str) -> DAG:
    dag = DAG(
        dag_id=dag_id(row.code),
        dag_display_name=row.name,
        description=f"Cannot be built: {_one_line(reason)}"[:1000],
        schedule=None,
        tags=["push", "push:broken"],
        doc_md=f"### This push task cannot be built\n\n{_plain(reason)}\n\nApply it again with the fault mended.",
        is_paused_upon_creation=False,
        default_args={"owner": "push", "retries": 0},
    )
    with dag:
        BrokenTaskOperator(task_id=SEND_TASK_ID, code=row.code, reason=reason)
    return dag


def _owner(name: str | None) -> str:
    """A name as Airflow keeps it, which takes a comma for the end of one owner (``DAGResponse.get_owners``)."""
    return " ".join((name or "").replace(",", " ").split())


def _params(task: PushTask, row: ShardTask) -> Mapping[str, Any]:
    own = (
        f"Left empty, the task's own {row.recipients} get the message."
        if row.recipients
        else "This task has none of its own: name at least one."
    )
    names = ", ".join(variable_names(task.headline(), row.excerpt, given=row.variables))
    return {
        "recipients": Param(
            default=[],
            type=["array", "null"],
            title="Recipients, one a line",
            description=(
                f"Who gets this execution, instead of the task's own recipients. {own} It is sent at once: the logical "
                "date is no time to send at. A push task with a schedule is sent later."
            ),
            items={
                "anyOf": [
                    {"type": "string", "maxLength": 320},  # an empty line is nobody
                    {
                        "type": "object",
                        "required": ["to"],
                        "properties": {"to": {"type": "string"}, "variables": {"type": "object"}},
                        "additionalProperties": False,
                    },
                ]
            },
        ),
        "variables": Param(
            default={},
            type=["object", "null"],
            title="Variables",
            description=(
                "For the template, in this execution only; they win over the task's own."
                + (f" It speaks of: {names}." if names else "")
            ),
        ),
    }


def _description(task: PushTask, row: ShardTask) -> str:
    who = f"{row.recipients} recipient{'s' if row.recipients != 1 else ''}"
    return f"{task.channel}: {task.headline() or task.name} to {who}"[:1000]


def _doc(task: PushTask, row: ShardTask) -> str:
    limit = task.execution.limit
    lines = [
        f"### {_plain(task.name)}",
        "",
        "| | |",
        "|---|---|",
        f"| Push task | `{task.code}` |",
        f"| Channel | {task.channel} |",
        f"| Category | {task.category} |",
        f"| Configuration | {_plain(task.config) if task.config else 'the default one'} |",
        f"| Executions | {task.execution.type}, {'without end' if limit is None else f'at most {limit}'} |",
        f"| Recipients | {row.recipients} of its own |",
        *([f"| Subject | {_plain(headline)} |"] if (headline := task.headline()) else []),
        "",
        f"Its log: `airflow push executions --task {task.code}`, `airflow push deliveries --task {task.code}`.",
        "",
        "Deleting this DAG deletes its runs and no push task: it comes back within seconds, paused if it was paused.",
        f"To end the push task, cancel it: `airflow push cancel {task.code}`.",
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text from a user on one line, with nothing left that markdown or html would act on."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+-.!|<>&~" else c for c in _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())
