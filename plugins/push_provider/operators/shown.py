"""What ``airflow tasks test`` and ``dags test`` show of a push task; nothing is sent, unless they are told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from push_provider import settings
from push_provider.operators.planned import without_blank_lines

if TYPE_CHECKING:
    from airflow.sdk import Context
    from sqlalchemy import Engine


def is_test(run: Any) -> bool:
    """Whether this is ``airflow tasks test`` or ``airflow dags test``.

    They run a task in their own process; but a scheduler that is quicker takes their run for one of its own.
    """
    from airflow.sdk.execution_time import task_runner

    from push_provider.contract import is_test as is_test_run

    if is_test_run(run.run_id, run.triggering_user_name):
        return True
    return type(getattr(task_runner, "SUPERVISOR_COMMS", None)).__name__ == "InProcessSupervisorComms"


def show(context: Context, engine: Engine, code: str, channel: str, log: Any) -> dict[str, Any]:
    """Say what would be sent, and to how many, for a test from Airflow's command line; sends and counts nothing."""
    from push_provider.channels.reading import parse_trigger
    from push_provider.ledger import tasks
    from push_provider.rendering.for_channel import message_for

    trigger = parse_trigger(without_blank_lines(context["dag_run"].conf), channel=channel, where="conf")
    row = tasks.get_whole(engine, code, most=1)
    task = row.task()
    count = len(trigger.recipients) if trigger.recipients else row.recipients
    log.info("A test: push task %s would be sent to %s recipients; nothing is sent", code, count)
    if count:
        first = (trigger.recipients or task.recipients)[0]
        zone = settings.default_timezone()
        message = message_for(task, first.to, first.variables, variables=trigger.variables, default_timezone=zone)
        for name, value in message.items():
            if value:
                log.info("%s: %s", name, value)
    log.info("To send from a test, set AIRFLOW__PUSH__TEST_SENDS=True")
    return {"test": True, "recipients": count}
