"""The execution of a run of a push DAG: the one that it has, the one that ``conf`` names, or a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from push_provider.exceptions import PermanentError, TaskClosed, UnknownTask
from push_provider.intake import run_facts

if TYPE_CHECKING:
    from airflow.sdk import Context
    from sqlalchemy import Engine

    from push_provider.ledger.plans import Plan


def planned(context: Context, engine: Engine, code: str, channel: str, log: Any) -> Plan:
    """The execution of this run; if there can be none, its reason is put on record.

    :param code: the push task.
    :param log: the Airflow task's.
    :raises AirflowSkipException: there is to be none: its time was missed, the schedule was gone just before, or the
        run has ended before.
    :raises PushError: there can be none.
    """
    from push_provider.ledger import planning

    run = context["dag_run"]
    try:
        return _plan(context, engine, code, channel, log)
    except (TaskClosed, UnknownTask):
        raise  # as REST answers it: nothing is wrong with what was asked for, there is just nothing left to begin
    except PermanentError as error:
        planning.refuse(engine, code, error=str(error), **run_facts.facts_of(run))
        raise


def _plan(context: Context, engine: Engine, code: str, channel: str, log: Any) -> Plan:
    """The execution of this run: the one it has, the one that ``conf`` names, or a new one."""
    from push_provider import rendering
    from push_provider.channels.reading import parse_trigger
    from push_provider.ledger import planning
    from push_provider.policy.sizes import check_conf

    run = context["dag_run"]
    check_conf(run.conf)
    trigger = parse_trigger(without_blank_lines(run.conf), channel=channel, where="conf")
    if trigger.execution is not None:
        found = planning.of_run(engine, code, run.run_id)
        return found or planning.bind(engine, code, trigger.execution, run.run_id)
    facts = run_facts.facts_of(run)
    scheduled = run.run_type == "scheduled"
    if scheduled:
        _refuse_made_anew(context, engine, code)
    if found := planning.of_run(engine, code, run.run_id, run_after=facts["run_after"]):
        return found
    if scheduled:
        _refuse_missed(context, engine, code)
    try:
        plan = planning.plan(
            engine,
            code,
            freeze=rendering.freeze,
            # The form hands over an empty list where nobody was named.
            trigger=trigger.model_copy(update={"recipients": trigger.recipients or None}),
            cleared=run_facts.was_cleared(run),
            **facts,
        )
    except TaskClosed as closed:
        if scheduled:  # a run that was made just before the DAG lost its schedule
            raise AirflowSkipException(str(closed)) from None
        raise
    log.info("Execution %s (no. %s of push task %s): %s recipients", plan.id, plan.number, code, plan.total)
    return plan


def _refuse_made_anew(context: Context, engine: Engine, code: str) -> None:
    """Skip the first try of a scheduled run that was there before, and was deleted since.

    Airflow makes it anew, under the same id: for a DAG that was deleted and has come back those of its first moment and
    of the last time, and the last one again that somebody deletes. Nobody has asked to send anything again.
    """
    from push_provider.ledger import run_ids

    run = context["dag_run"]
    if run_facts.was_cleared(run) or context["ti"].try_number > 1:
        return
    if run_ids.has_ended(engine, code, run.run_id, run_facts.facts_of(run)["run_after"]):
        raise AirflowSkipException(
            f"Run {run.run_id!r} of push task {code!r} has ended before, and was deleted since: what became of it is "
            "on record. Clear this run to send what failed again"
        )


def _refuse_missed(context: Context, engine: Engine, code: str) -> None:
    """Skip a scheduled run whose time passed while nothing ran, if the task wants that.

    A run that was cleared is sent, however late it then is: whoever clears it wants that.
    """
    from push_provider import schedule, settings
    from push_provider.ledger import executions, run_ids, tasks

    run = context["dag_run"]
    row = tasks.get(engine, code)
    task, zone = row.task(), settings.default_timezone()
    due, began, grace = run.logical_date, run.start_date, settings.missed_grace()
    if due is None or began is None:
        return
    if schedule.is_before_first(task, row.schedule_since, due, zone):
        raise AirflowSkipException(f"{due} lies before the schedule of push task {code!r} came into force")
    if run_facts.was_cleared(run):
        return
    if schedule.is_missed(task, due, began, grace):
        reason = "skips missed times (missed: latest or all would send it late)"
    elif schedule.is_superseded(task, row.schedule_since, due, began, grace, zone):
        reason = "sends only the latest of missed times (missed: all would send each)"
    else:
        return
    # What waited for an earlier execution to end was not missed, nor what is on record as having failed to begin.
    after = run_facts.facts_of(run)["run_after"]
    if not (executions.busy_at(engine, code, due) or run_ids.was_refused(engine, code, run.run_id, after)):
        raise AirflowSkipException(f"{due} passed while nothing ran, and push task {code!r} {reason}")


def without_blank_lines(conf: Any) -> Any:
    """A run's conf as Airflow's form hands it over, whose field of recipients has an entry for each empty line."""
    if not isinstance(conf, dict) or not isinstance(conf.get("recipients"), list):
        return conf
    named = [one for one in conf["recipients"] if not (isinstance(one, str) and not one.strip())]
    return {**conf, "recipients": named}
