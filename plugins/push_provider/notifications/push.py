"""The notifier that sends through a push task: for ``on_failure_callback`` and its like."""

from __future__ import annotations

import asyncio
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

    The same moment is told once, however often Airflow calls back.

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

    def notify(self, context: Context) -> None:
        """Begin the execution.

        :raises PushError: it cannot begin; Airflow writes it to the log of what called back.
        """
        from push_provider.beginning import begin
        from push_provider.ledger.engine import get_engine

        place = _place(context)
        begun = begin(
            get_engine(),
            self.push_task,
            recipients=[self.recipients] if isinstance(self.recipients, str) else self.recipients,
            variables=self.variables,
            key=f"notify:{':'.join(place)}:{_digest(self.recipients)}",
            triggered_by=".".join(filter(None, (place[0], place[2]))),
        )
        self.log.info("Execution %s of push task %s tells of it", begun.execution, self.push_task)

    async def async_notify(self, context: Context) -> None:
        """The same from the triggerer."""
        await asyncio.to_thread(self.notify, context)


def _place(context: Context) -> list[str]:
    """What is told of: DAG and run, and of a task also its id, map index, try and state."""
    instance = context.get("ti")
    if instance is not None:
        of_task = (instance.task_id, instance.map_index, instance.try_number, getattr(instance, "state", None) or "")
        return [instance.dag_id, instance.run_id, *map(str, of_task)]
    run = context["dag_run"]
    return [run.dag_id, run.run_id, "", str(run.clear_number or 0), str(run.state or "")]


def _digest(recipients: Any) -> str:
    """Tells notifiers of the same moment apart that tell different people."""
    return hashlib.sha256(repr(recipients).encode()).hexdigest()[:16]
