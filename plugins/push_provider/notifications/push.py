"""The notifier that sends through a push task: for ``on_failure_callback`` and its like."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context


class PushNotifier(BaseNotifier):
    """Begins an execution of a push task when a task or DAG run fails, succeeds, is retried or skipped.

    ::

        @dag(on_failure_callback=PushNotifier(
            push_task="dag-failed",
            recipients=["ops@example.com"],
            variables={"dag": "{{ dag.dag_id }}", "run": "{{ run_id }}"},
        ))

    The same moment is told once, however often Airflow calls back. It may also be the callback of a deadline.

    :param push_task: its code.
    :param recipients: addresses or mobile numbers, or mappings of ``to`` and ``variables``; left out, the push task's
        own.
    :param variables: for its templates.
    """

    template_fields: Sequence[str] = ("push_task", "recipients", "variables")

    def __init__(
        self,
        *,
        push_task: str,
        recipients: Sequence[Any] | str | None = None,
        variables: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.push_task = push_task
        self.recipients = recipients
        self.variables = variables

    def __call__(self, *args: Any) -> None:
        """What Airflow calls; it renders the fields in place, and calls back for many runs of a DAG in one process."""
        super(PushNotifier, copy.copy(self)).__call__(*args)

    def notify(self, context: Context) -> None:
        """Begin the execution.

        :raises PushError: it cannot begin; Airflow writes it to the log of what called back.
        """
        from push_provider.intake.other_dags import begin
        from push_provider.intake.task_runs import in_task
        from push_provider.ledger.engine import get_engine

        who, moment = _moment(context)
        begun = begin(
            get_engine(),
            self.push_task,
            recipients=self.recipients,
            variables=self.variables,
            key=f"notify:{moment}:{_digest((self.recipients, self.variables))}",
            triggered_by=who,
            in_task=in_task(),
        )
        self.log.info("Execution %s of push task %s tells of it", begun.execution, self.push_task)

    async def async_notify(self, context: Context) -> None:
        """The same from the triggerer."""
        await asyncio.to_thread(self.notify, context)


def _moment(context: Mapping[str, Any]) -> tuple[str, str]:
    """The DAG or task that is told of, and what tells this moment of it from others."""
    parts: tuple[Any, ...]
    if "deadline" in context:  # Airflow gives no more than JSON then
        run = context["dag_run"]
        who, parts = run["dag_id"], (run["dag_run_id"], "deadline", context["deadline"]["id"])
    elif "reason" in context:  # of a DAG; its last task is there, too, if there is one
        clears = getattr(context.get("dag_run"), "clear_number", None) or 0
        who, parts = context["dag"].dag_id, (context["run_id"], "run", clears, context["reason"])
    else:
        instance = context["ti"]
        who = f"{instance.dag_id}.{instance.task_id}"
        parts = (instance.run_id, instance.map_index, instance.try_number, getattr(instance, "state", None) or "")
    return who, ":".join(map(str, (who, *parts)))


def _digest(told: Any) -> str:
    """Tells notifiers of the same moment apart that tell different people, or different things."""
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
