"""The operator with which other DAGs begin executions of push tasks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink, conf
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout

from push_provider.exceptions import PermanentError, TaskPaused
from push_provider.operators.links import airflow_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from push_provider.ledger.executions import ExecutionRow


class PushExecutionLink(BaseOperatorLink):
    """Leads from a task to the DAG run of the execution that it began, whatever becomes of either."""

    name = "Execution"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002  (Airflow's signature)
        """The run's address; empty before the execution has begun. Airflow asks when the task's process ends."""
        if not isinstance(operator, PushOperator) or operator.begun_run_id is None:
            return ""
        from push_provider.contract import dag_id

        return f"{airflow_url()}/dags/{dag_id(operator.push_task)}/runs/{operator.begun_run_id}"


class PushOperator(BaseOperator):
    """Begins an execution of a push task and, if wanted, waits for what becomes of it.

    A retried or cleared task begins no second execution: it goes on with the one that it began. Whatever ends a wait
    early, the execution goes on.

    :param push_task: its code.
    :param recipients: addresses or mobile numbers, or mappings of ``to`` and ``variables``; left out, the push task's
        own.
    :param variables: for its templates, in this execution.
    :param key: what tells this execution from others of the push task; left out, DAG, run, task and map index.
    :param wait_for_outcome: end only when the execution has ended, and as it did: green if everybody got the message.
    :param poll_seconds: between two looks while waiting.
    :param deferrable: wait in the triggerer, without a worker; left out, as ``[operators] default_deferrable`` says.
    :param timeout: after which a wait fails for good; left out, ``execution_timeout`` holds for a wait in a worker.
    """

    template_fields: Sequence[str] = ("push_task", "recipients", "variables", "key")
    template_fields_renderers: ClassVar[dict[str, str]] = {"recipients": "json", "variables": "json"}
    ui_color = "#e0f2f1"
    operator_extra_links = (PushExecutionLink(),)
    begun_run_id: str | None = None
    """The DAG run of the execution, once it has begun."""

    def __init__(
        self,
        *,
        push_task: str,
        recipients: Sequence[Any] | str | None = None,
        variables: Mapping[str, Any] | None = None,
        key: str | None = None,
        wait_for_outcome: bool = False,
        poll_seconds: float = 5.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: timedelta | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.push_task = push_task
        self.recipients = recipients
        self.variables = variables
        self.key = key
        self.wait_for_outcome = wait_for_outcome
        self.poll_seconds = poll_seconds
        self.deferrable = deferrable
        self.timeout = timeout

    def execute(self, context: Context) -> dict[str, Any]:
        """Begin the execution.

        :returns: its number as ``execution``, its ``run_id`` and the number of ``recipients``; after a wait also its
            ``state``, and how many deliveries are in which state.
        :raises AirflowFailException: it cannot begin, or not everybody got the message.
        :raises TaskPaused: the push task is paused; another try may find it resumed.
        :raises AirflowSkipException: the push task was cancelled while this one waited.
        """
        from push_provider.intake.other_dags import begin
        from push_provider.ledger.engine import get_engine

        instance = context["ti"]
        place = (instance.dag_id, instance.run_id, instance.task_id, instance.map_index)
        try:
            begun = begin(
                get_engine(),
                self.push_task,
                recipients=self.recipients,
                variables=self.variables,
                key=self.key or f"dag:{':'.join(map(str, place))}",
                triggered_by=f"{instance.dag_id}.{instance.task_id}",
            )
        except TaskPaused:
            raise
        except PermanentError as error:
            raise AirflowFailException(str(error)) from None
        self.begun_run_id = begun.run_id
        self.log.info(
            "Execution %s of push task %s: %s recipients%s",
            begun.execution,
            self.push_task,
            begun.recipients,
            "" if begun.new else "; an earlier try of this task began it",
        )
        told = {"execution": begun.execution, "run_id": begun.run_id, "recipients": begun.recipients}
        if self.wait_for_outcome:
            told |= self._outcome(begun.execution)
        return told

    def _outcome(self, execution: int) -> dict[str, Any]:
        from push_provider.outcomes import conclude
        from push_provider.triggers.execution import PushExecutionTrigger

        deadline = time.monotonic() + self.timeout.total_seconds() if self.timeout else None
        while (row := self._looked(execution)) is None:
            if self.deferrable:
                self.defer(
                    trigger=PushExecutionTrigger(execution=execution, poll_seconds=self.poll_seconds),
                    method_name="resume",
                    timeout=self.timeout,
                )
            if deadline and time.monotonic() > deadline:
                raise self._overdue(f"Execution {execution}")
            time.sleep(self.poll_seconds)
        return conclude(row)

    def _looked(self, execution: int) -> ExecutionRow | None:
        from push_provider.ledger.engine import get_engine
        from push_provider.outcomes import looked

        try:
            return looked(get_engine(), execution, self.log)
        except PermanentError as error:  # it is gone: another try would begin another one
            raise AirflowFailException(str(error)) from None

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a wait in the triggerer, or fail as a wait in a worker does."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            raise self._overdue("The execution") from None

    def _overdue(self, what: str) -> AirflowFailException:
        return AirflowFailException(f"{what} has not ended within {self.timeout}; it goes on")

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  (Airflow's signature)
        """Go on after a wait in the triggerer: with another one, if the execution goes on again meanwhile."""
        from push_provider.contract import run_id_of
        from push_provider.intake.other_dags import SOURCE

        execution = int(event["execution"])
        self.begun_run_id = run_id_of(SOURCE, execution)
        outcome = self._outcome(execution)
        self.log.info("Execution %s has ended", execution)
        return {
            "execution": execution,
            "run_id": self.begun_run_id,
            "recipients": outcome["total"],
            **outcome,
        }
