"""What the API answers: the ledger's rows, with links."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from push_provider import schedule, settings
from push_provider.api.paging import Page
from push_provider.contract import PushTask, Schedule, dag_id
from push_provider.ledger.deliveries import DeliveryRow
from push_provider.ledger.executions import ExecutionRow
from push_provider.ledger.tables import DeliveryState, ExecutionState, TaskStatus
from push_provider.ledger.task_lists import TaskItem
from push_provider.ledger.tasks import TaskRow

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    from push_provider.ledger.rejected import RejectedRow
    from push_provider.ledger.suppressions import SuppressionRow

_SCHEDULE: TypeAdapter[Any] = TypeAdapter(Schedule)
PAUSED = "paused"
"""The status of a task that would go on if its DAG were not paused; only Airflow knows."""
Status = Literal["pending", "running", "active", "paused", "finished", "failed", "cancelled"]
Source = Literal["schedule", "backfill", "manual", "cli", "rest", "kafka", "dag"]
WAITING = (TaskStatus.PENDING, TaskStatus.ACTIVE)
"""What is shown as paused while the DAG is."""


class _Int64:
    """Says that a number goes beyond 32 bits, which clients in typed languages take an integer for."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core_schema), "format": "int64"}


Id = Annotated[int, _Int64()]
"""Of an execution or a delivery."""


class Answer(BaseModel):
    """An answer; what is in it is complete and named."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


def values_of(row: RejectedRow | SuppressionRow) -> dict[str, Any]:
    """The values of a row of the ledger; its push task is called ``task`` here."""
    values = row._asdict()
    return {"task": values.pop("task_code"), **values}


class TaskLinks(Answer):
    """Where to look."""

    self: str = Field(examples=["/push/v1/tasks/stock-report"])
    dag: str | None = Field(
        description="The task in Airflow's UI; null: it is retired", examples=["/dags/push__stock-report"]
    )
    executions: str = Field(examples=["/push/v1/executions?task=stock-report"])
    deliveries: str = Field(examples=["/push/v1/deliveries?task=stock-report"])


class TaskAnswer(Answer):
    """A push task and where it stands."""

    code: str = Field(examples=["stock-report"])
    dag_id: str = Field(examples=["push__stock-report"])
    name: str
    channel: str
    config: str | None = Field(description="Connection id of the sender configuration; null: the channel's default")
    app: str | None
    owner: str | None
    subject: str | None
    status: Status
    paused: bool = Field(
        description="Whether its DAG is paused: what is being sent goes on, a retry waits until it is resumed"
    )
    execution_type: Literal["once", "loop"]
    executions: int = Field(description="How many have begun")
    max_executions: int | None = Field(description="How many may begin; null: no end")
    schedule: dict[str, Any]
    delayed: bool = Field(description="Whether a schedule starts it later, and neither its creation nor a trigger")
    recipients: int = Field(description="How many it has of its own")
    next_execution: datetime | None = Field(description="When the next begins by itself; null: none does")
    last_execution_at: datetime | None
    retired_at: datetime | None = Field(
        description="Since when it is no DAG any more, because it is done with; changed or resumed, or with an "
        "execution sent again, it becomes one. Null: it is one"
    )
    created_at: datetime
    updated_at: datetime
    links: TaskLinks


class TaskPage(Page[TaskAnswer]):
    """A page of push tasks."""


class TaskDetail(TaskAnswer):
    """A push task, where it stands, and the task itself."""

    task: dict[str, Any] = Field(description="The task as the contract has it: a `PushTask`")


def task_answer(request: Request, item: TaskItem, paused: bool) -> TaskAnswer:
    """A task of a list."""
    return TaskAnswer(
        **_standing(request, item, _SCHEDULE.validate_python(item.schedule), paused), recipients=item.recipients
    )


def task_created(request: Request, row: TaskRow, task: PushTask) -> TaskAnswer:
    """A task that was created just now, and so cannot be paused yet."""
    return TaskAnswer(**_standing(request, row, task.schedule, False), recipients=len(task.recipients))


def task_standing(request: Request, row: TaskRow, task: PushTask | None, paused: bool) -> TaskAnswer:
    """Where a task stands.

    :param task: without recipients; None if this version cannot read what another one stored.
    """
    return TaskAnswer(**_standing(request, row, task.schedule if task else None, paused), recipients=row.recipients)


def task_detail(request: Request, row: TaskRow, task: PushTask | None, paused: bool) -> TaskDetail:
    """A task by itself, with its recipients; parameters as :func:`task_standing` has them."""
    standing = _standing(request, row, task.schedule if task else None, paused)
    return TaskDetail(**standing, recipients=row.recipients, task=dict(row.spec))


def _standing(request: Request, row: TaskItem | TaskRow, when: Any, paused: bool) -> dict[str, Any]:
    spec: Mapping[str, Any] = (
        row.spec if isinstance(row, TaskRow) else {"schedule": row.schedule, "subject": row.subject}
    )
    next_execution = None
    if when is not None and not paused:
        only = PushTask.model_construct(schedule=when)
        next_execution = schedule.next_execution(only, row, datetime.now(UTC), settings.default_timezone())
    return {
        "code": row.code,
        "dag_id": dag_id(row.code),
        "name": row.name,
        "channel": row.channel,
        "config": row.config,
        "app": row.app,
        "owner": row.owner,
        "subject": spec.get("subject"),
        "status": PAUSED if paused and row.status in WAITING else row.status.value,
        "paused": paused,
        "execution_type": row.execution_type,
        "executions": row.executions,
        "max_executions": row.max_executions,
        "schedule": dict(spec["schedule"]),
        "delayed": spec["schedule"]["kind"] not in ("now", "manual"),
        "next_execution": next_execution,
        "last_execution_at": row.last_execution_at,
        "retired_at": row.retired_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "links": TaskLinks(
            self=path(request, f"tasks/{row.code}"),
            dag=f"{_airflow(request)}/dags/{dag_id(row.code)}" if row.retired_at is None else None,
            executions=path(request, f"executions?task={row.code}"),
            deliveries=path(request, f"deliveries?task={row.code}"),
        ),
    }


class ExecutionLinks(Answer):
    """Where to look."""

    self: str = Field(examples=["/push/v1/executions/42"])
    task: str = Field(examples=["/push/v1/tasks/stock-report"])
    run: str | None = Field(
        description="The DAG run in Airflow's UI; null until there is one, and when its push task is retired",
        examples=["/dags/push__stock-report/runs/rest__42"],
    )
    deliveries: str = Field(examples=["/push/v1/deliveries?execution=42"])


class ExecutionAnswer(Answer):
    """One run of a push task."""

    id: Id
    task: str = Field(description="Code of its push task")
    number: int | None = Field(
        description="The how-manieth of its task, from 1; null if its run was refused, with the reason in `error`: "
        "such an execution has no deliveries and does not count"
    )
    run_id: str | None = Field(description="The DAG run; null until there is one")
    source: Source = Field(description="What began it; `manual`: Airflow's UI or API; `dag`: a task of another DAG")
    triggered_by: str | None
    state: ExecutionState
    error: str | None
    total: int = Field(description="Recipients")
    sent: int = Field(description="Counted when a try ends, as those that follow")
    delivered: int = Field(description="Of those sent, how many arrived, as the provider says; email: 0")
    failed: int
    unknown: int
    cancelled: int
    scheduled_for: datetime | None
    begun_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: ExecutionLinks


class ExecutionPage(Page[ExecutionAnswer]):
    """A page of executions."""


def execution_answer(request: Request, row: ExecutionRow, retired: Collection[str] = ()) -> ExecutionAnswer:
    """An execution.

    :param retired: codes of push tasks that are retired, and have no runs any more.
    """
    values = row._asdict()
    code, begun = values.pop("task_code"), values.pop("created_at")
    run = airflow_run(request, code, row.run_id) if row.run_id and code not in retired else None
    links = ExecutionLinks(
        self=path(request, f"executions/{row.id}"),
        task=path(request, f"tasks/{code}"),
        run=run,
        deliveries=path(request, f"deliveries?execution={row.id}"),
    )
    return ExecutionAnswer(**values, task=code, begun_at=begun, links=links)


class DeliveryAnswer(Answer):
    """One recipient of one execution."""

    id: Id
    execution: Id
    task: str = Field(description="Code of its push task")
    recipient: str
    state: DeliveryState
    attempts: int
    message_id: str | None = Field(
        description="What the provider calls the message; email: Message-ID, SMS: BizId, WebSocket: its `id`, "
        "app: the vendor's MessageId"
    )
    error_code: str | None = Field(description="The provider's code, or a word of ours")
    error_text: str | None
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    received_at: datetime | None = Field(description="When it arrived, as the provider says")


class DeliveryPage(Page[DeliveryAnswer]):
    """A page of deliveries."""


def delivery_answer(row: DeliveryRow) -> DeliveryAnswer:
    """A delivery."""
    return DeliveryAnswer(
        id=row.id,
        execution=row.execution_id,
        task=row.task_code,
        recipient=row.recipient,
        state=row.state,
        attempts=row.attempts,
        message_id=row.provider_id,
        error_code=row.error_code,
        error_text=row.error_text,
        created_at=row.created_at,
        updated_at=row.updated_at,
        sent_at=row.sent_at,
        received_at=row.received_at,
    )


class Begun(Answer):
    """An execution that has begun."""

    task: str
    execution: Id
    number: int = Field(description="The how-manieth of its task, from 1")
    recipients: int
    dag_id: str
    run_id: str
    links: ExecutionLinks


def airflow_run(request: Request, code: str, run_id: str) -> str:
    """The path of a DAG run in Airflow's UI."""
    return f"{_airflow(request)}/dags/{dag_id(code)}/runs/{run_id}"


def _airflow(request: Request) -> str:
    """The path of Airflow's UI: that of the mounted app without its own prefix."""
    return str(request.scope.get("root_path", "")).removesuffix(MOUNTED)


MOUNTED = "/push"
"""Where the app is mounted in Airflow's API server."""


def path(request: Request, below: str) -> str:
    """The path of a resource."""
    return f"{_airflow(request)}{MOUNTED}/v1/{below}"
