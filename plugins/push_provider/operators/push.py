"""The operators of push DAGs: plan the execution, have it sent, and say in the task's log what became of it."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from push_provider.exceptions import (
    ConfigurationError,
    ContentError,
    DeliveryFailed,
    ExecutionTaken,
    LedgerUnavailable,
    PermanentError,
    ProviderUnavailable,
    PushError,
    SendingStopped,
    TaskClosed,
    UnknownTask,
)
from push_provider.intake import run_facts
from push_provider.operators.links import DeliveriesLink, page_of
from push_provider.operators.retry import AsTheProviderSays, Waits, delay_of

if TYPE_CHECKING:
    from airflow.sdk import Context
    from sqlalchemy import Engine

    from push_provider.channels.base import Channel, Outcome
    from push_provider.ledger.closing import Counts
    from push_provider.ledger.leases import Lease
    from push_provider.ledger.planning import Plan
    from push_provider.sending.loop import Sending, Stop
    from push_provider.sending.patience import Patience

_PROGRESS_SECONDS = 4.5
"""Seconds between two lines of progress; with the half second of a turn, five at most."""
_FAILURES_TOLD = 10
"""Failures that are written to the task's log."""
_KINDS: Mapping[type[PermanentError], str] = {ConfigurationError: "configuration", ContentError: "content"}
"""Error codes of deliveries that failed for a reason of the whole execution."""


class BasePushOperator(BaseOperator):
    """Sends one execution of a push task. A retried or cleared run sends only what is not sent yet.

    :param code: the push task. Everything else is in the ledger, as it was when the execution began.
    :param channel: the task's; left out, the operator's own.
    """

    channel: str
    # Airflow's own templating stays out: a task's content is rendered in a sandbox, for each recipient.
    template_fields: Sequence[str] = ()
    ui_color = "#e0f2f1"
    operator_extra_links = (DeliveriesLink(),)
    execution_id: int | None = None
    """The execution, once it is known."""

    def __init__(self, *, code: str, channel: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", AsTheProviderSays())
        super().__init__(**kwargs)
        self.code = code
        if channel is not None:
            self.channel = channel
        self._sending: Sending | None = None
        self._killed = False
        self._late = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Send what is not sent yet.

        :returns: the execution's id and how many deliveries are sent, failed, unknown and cancelled.
        :raises AirflowSkipException: nothing is to be sent: a missed time, or the task is cancelled.
        :raises AirflowFailException: trying again would change nothing.
        :raises TransientError: Airflow tries again, and not before the provider wants to be asked.
        """
        from push_provider import settings
        from push_provider.ledger.engine import get_engine
        from push_provider.sending.patience import Patience

        try:
            engine, patience = get_engine(), Patience(settings.ledger_patience())
            if _is_test(context["dag_run"]) and not settings.test_sends():
                return self._show(context, engine)
            plan = patience(lambda: self._planned(context, engine))
            self.execution_id = plan.id
            return self._execute(context, engine, plan, patience)
        except PermanentError as error:
            # The cause is in the text; its traceback would only hide it.
            raise AirflowFailException(str(error)) from None

    def on_kill(self) -> None:
        """Begin no more messages: Airflow wants this process to end, and kills it five seconds later."""
        self._killed = True
        if self._sending is not None:
            self._sending.stop()

    @contextmanager
    def _told_of_timeouts(self) -> Iterator[None]:
        """Stop when Airflow's execution timeout is over, also if nobody sees its exception.

        Its alarm raises wherever the process happens to be, and Python drops what is raised while an object dies.
        """
        raises = signal.getsignal(signal.SIGALRM)
        if not callable(raises) or threading.current_thread() is not threading.main_thread():
            yield
            return

        def alarm(number: int, frame: Any) -> None:
            self._late = True
            if self._sending is not None:
                self._sending.stop()
            raises(number, frame)

        signal.signal(signal.SIGALRM, alarm)
        try:
            yield
        finally:
            signal.signal(signal.SIGALRM, raises)

    def _execute(self, context: Context, engine: Engine, plan: Plan, patience: Patience) -> dict[str, Any]:
        from push_provider.channels.registry import get_channel
        from push_provider.ledger import closing, sending
        from push_provider.sending.loop import Stop

        channel = get_channel(self.channel)
        retries = _retries_left(context)
        on_unknown = plan.task.on_unknown or channel.on_unknown
        resend = on_unknown == "resend"
        with sending.held(engine, self.code, plan.id, on_unknown=on_unknown, patience=patience) as lease:
            error: PushError | None = None
            stop: Stop | None = None
            waits = Waits(resend=resend)
            try:
                with self._told_of_timeouts():
                    stop = self._send_all(lease, channel, plan, waits, patience, resend=resend, last=not retries)
            except (LedgerUnavailable, ExecutionTaken):
                raise  # what became of it cannot be put on record, or is not this process's to say
            except PushError as fault:
                error = fault
                waits.note_error(fault)
            except AirflowTaskTimeout:
                self._late = True
            if self._late and error is None:
                error = SendingStopped("Airflow's execution timeout has ended this try")
            elif stop is Stop.ENDED:
                error = SendingStopped(
                    "The process was asked to end before all was sent: the task was cleared or marked, or its worker "
                    "shuts down"
                )
            elif stop is Stop.CLOSED:
                standing = patience(lambda: sending.standing(engine, plan.id))
                error = DeliveryFailed(standing.error or "The execution was closed")
            # Whoever has a process ended decides what comes next: another try, or an end.
            final = isinstance(error, PermanentError) or not (retries or stop is Stop.ENDED)
            words = str(error) if error else None
            if isinstance(error, PermanentError):
                kind = _KINDS.get(type(error), "error")
                patience(lambda: sending.fail_pending(lease, code=kind, reason=words or ""))
            counts = patience(
                lambda: closing.finish(engine, plan.id, final=final, error=words, resend_unknown=resend, lease=lease)
            )
        wait = waits.seconds(delay_of(self, context["ti"].try_number), retries)
        return self._conclude(engine, plan, counts, error, wait, patience, resend=resend)

    def _planned(self, context: Context, engine: Engine) -> Plan:
        """The execution of this run; if there can be none, its reason is put on record."""
        from push_provider.ledger import planning

        run = context["dag_run"]
        try:
            return self._plan(context, engine)
        except (TaskClosed, UnknownTask):
            raise  # as REST answers it: nothing is wrong with what was asked for, there is just nothing left to begin
        except PermanentError as error:
            planning.refuse(engine, self.code, error=str(error), **run_facts.facts_of(run))
            raise

    def _plan(self, context: Context, engine: Engine) -> Plan:
        """The execution of this run: the one it has, the one that ``conf`` names, or a new one."""
        from push_provider import rendering
        from push_provider.channels.reading import parse_trigger
        from push_provider.ledger import planning
        from push_provider.policy.sizes import check_conf

        run = context["dag_run"]
        check_conf(run.conf)
        trigger = parse_trigger(_without_blank_lines(run.conf), channel=self.channel, where="conf")
        if trigger.execution is not None:
            planned = planning.of_run(engine, self.code, run.run_id)
            return planned or planning.bind(engine, self.code, trigger.execution, run.run_id)
        facts = run_facts.facts_of(run)
        if planned := planning.of_run(engine, self.code, run.run_id, run_after=facts["run_after"]):
            return planned
        scheduled = run.run_type == "scheduled"
        if scheduled:
            self._refuse_missed(context, engine)
        try:
            plan = planning.plan(
                engine,
                self.code,
                freeze=rendering.freeze,
                # The form hands over an empty list where nobody was named.
                trigger=trigger.model_copy(update={"recipients": trigger.recipients or None}),
                **facts,
            )
        except TaskClosed as closed:
            if scheduled:  # a run that was made just before the DAG lost its schedule
                raise AirflowSkipException(str(closed)) from None
            raise
        self.log.info(
            "Execution %s (no. %s of push task %s): %s recipients", plan.id, plan.number, self.code, plan.total
        )
        return plan

    def _show(self, context: Context, engine: Engine) -> dict[str, Any]:
        """Say what would be sent, and to how many, for a test from Airflow's command line; sends and counts nothing."""
        from push_provider.channels.reading import parse_trigger
        from push_provider.ledger import tasks
        from push_provider.rendering.for_channel import message_for

        trigger = parse_trigger(_without_blank_lines(context["dag_run"].conf), channel=self.channel, where="conf")
        task = tasks.get(engine, self.code).task()
        recipients = trigger.recipients or task.recipients
        self.log.info(
            "A test: push task %s would be sent to %s recipients; nothing is sent", self.code, len(recipients)
        )
        if recipients:
            first = recipients[0]
            message = message_for(task, first.to, first.variables, variables=trigger.variables)
            for name, value in message.items():
                if value:
                    self.log.info("%s: %s", name, value)
        self.log.info("To send from a test, set AIRFLOW__PUSH__TEST_SENDS=True")
        return {"test": True, "recipients": len(recipients)}

    def _refuse_missed(self, context: Context, engine: Engine) -> None:
        """Skip a scheduled run whose time passed while nothing ran, if the task wants that."""
        from push_provider import schedule, settings
        from push_provider.ledger import executions, tasks

        run = context["dag_run"]
        row = tasks.get(engine, self.code, recipients=False)
        task, zone = row.task(), settings.default_timezone()
        due, began, grace = run.logical_date, run.start_date, settings.missed_grace()
        if due is None or began is None:
            return
        if schedule.is_before_first(task, row.schedule_since, due, zone):
            raise AirflowSkipException(f"{due} lies before the schedule of push task {self.code!r} came into force")
        if schedule.is_missed(task, due, began, grace):
            reason = "skips missed times (missed: latest or all would send it late)"
        elif schedule.is_superseded(task, row.schedule_since, due, began, grace, zone):
            reason = "sends only the latest of missed times (missed: all would send each)"
        else:
            return
        # An execution that waited for an earlier one to end was not missed.
        if not executions.busy_at(engine, self.code, due):
            raise AirflowSkipException(f"{due} passed while nothing ran, and push task {self.code!r} {reason}")

    def _send_all(
        self,
        lease: Lease,
        channel: Channel,
        plan: Plan,
        waits: Waits,
        patience: Patience,
        *,
        resend: bool,
        last: bool,
    ) -> Stop | None:
        from push_provider.channels.base import Job
        from push_provider.ledger import defaults, sending
        from push_provider.policy.configurations import require_default
        from push_provider.rendering import compile_content, facts
        from push_provider.sending.loop import Sending

        default = None
        if plan.task.config is None:
            default = patience(lambda: defaults.of(lease.engine, channel.name)) or channel.default_connection
        receipts: dict[str, Any] = {"receipt_after": channel.receipt_seconds(plan.task)}
        if receipts["receipt_after"] is not None:
            receipts["config"] = default
        progress = _Progress(self.log)

        def noted(outcomes: Sequence[Outcome]) -> None:
            waits.note(outcomes)
            progress.note(outcomes)

        loop = Sending(lease, channel, patience=patience, resend=resend, receipts=receipts, noted=noted)
        if not loop.claim():
            return None
        try:
            if plan.error:
                raise ContentError(plan.error)
            push = facts(plan.task, number=plan.number, scheduled_for=plan.scheduled_for)
            content = compile_content(plan.task, plan.templates, variables=plan.variables, push=push)
            connection = channel.connection(plan.task.config, default)
            if plan.task.config is None:
                require_default(connection, plan.task)
            sender = channel.open(connection, content, Job(plan.id, plan.token, last))
        except BaseException:  # whatever it is: nothing was handed over, so nobody is in doubt
            loop.give_back()
            raise
        left = patience(lambda: sending.pending(lease.engine, plan.id))
        self.log.info(
            "Sending execution %s (no. %s of push task %s) by %s through connection %s to %s recipients%s",
            plan.id,
            plan.number,
            self.code,
            channel.name,
            connection.conn_id,
            left,
            "" if left == plan.total else f" who are left of {plan.total}",
        )
        progress.begin(left)
        self._sending = loop
        if self._killed or self._late:
            loop.stop()
        return loop.run(sender)

    def _conclude(
        self,
        engine: Engine,
        plan: Plan,
        counts: Counts,
        error: PushError | None,
        wait: float | None,
        patience: Patience,
        *,
        resend: bool,
    ) -> dict[str, Any]:
        summary = (
            f"{counts.sent} of {counts.total} sent, {counts.failed} failed, {counts.unknown} unknown, "
            f"{counts.cancelled} cancelled, {counts.pending} to be tried again"
        )
        self.log.info("Execution %s: %s", plan.id, summary)
        self.log.info("Who got it, who did not, and why: %s", page_of(plan.id))
        if counts.failed or counts.unknown:
            patience(lambda: self._tell_failures(engine, plan.id, counts))
        if counts.pending:
            error = error or ProviderUnavailable(f"{summary}, as the provider's answers ask for")
            if isinstance(error, ProviderUnavailable):
                error.retry_after = wait
            raise error
        if counts.failed or counts.unknown:
            because = f" {error}" if error else ""
            raise DeliveryFailed(f"{summary}.{because} {_remedy(plan.id, counts, resend=resend)}")
        if counts.cancelled:
            raise AirflowSkipException(f"{summary}: push task {self.code!r} was cancelled")
        return {"execution": plan.id, **counts._asdict()}

    def _tell_failures(self, engine: Engine, execution: int, counts: Counts) -> None:
        """Write the first who did not get it to the task's log, one a line."""
        from push_provider.ledger import deliveries

        for row in deliveries.troubled(engine, execution, limit=_FAILURES_TOLD):
            self.log.warning("%s %s: %s %s", row.recipient, row.state.value, row.error_code or "", row.error_text or "")
        more = counts.failed + counts.unknown - _FAILURES_TOLD
        if more > 0:
            self.log.warning("… and %s more: airflow push deliveries --execution %s", more, execution)


def _remedy(execution: int, counts: Counts, *, resend: bool) -> str:
    """What a person can do for those who did not get it."""
    said = [f"Who and why: airflow push deliveries --execution {execution}."]
    if again := counts.failed + (counts.unknown if resend else 0):
        said.append(f"Clear this task to send again to the {again} who did not get it, and to no one else.")
    if counts.unknown and not resend:
        said.append(
            f"Nobody can tell whether the {counts.unknown} that are unknown have got it, and clearing sends them "
            "nothing: a redrive by REST with unknown: true does."
        )
    return " ".join(said)


class EmailPushOperator(BasePushOperator):
    """Sends one execution of a push task by email."""

    channel = "email"


class SmsPushOperator(BasePushOperator):
    """Sends one execution of a push task by SMS."""

    channel = "sms"


class WebsocketPushOperator(BasePushOperator):
    """Sends one execution of a push task to users who are connected."""

    channel = "websocket"


class AppPushOperator(BasePushOperator):
    """Sends one execution of a push task to phones."""

    channel = "app"


class ChannelPushOperator(BasePushOperator):
    """Sends one execution of a push task through a channel that has no operator of its own name."""


class BrokenTaskOperator(BaseOperator):
    """Stands in for a push task that cannot be built, and fails with the reason.

    :param code: the push task.
    :param reason: why no DAG could be built from it.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#ffcdd2"

    def __init__(self, *, code: str, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.code = code
        self.reason = reason

    def execute(self, context: Context) -> None:  # noqa: ARG002  (Airflow's signature)
        """Fail with the reason.

        :raises AirflowFailException: always.
        """
        raise AirflowFailException(f"Push task {self.code!r} cannot be built: {self.reason}")


class _Progress:
    """Says in the task's log how far a long execution is, every few seconds."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._left = 0
        self._done: Counter[str] = Counter()
        self._began = self._told = time.monotonic()

    def begin(self, left: int) -> None:
        """Begin with so many who are left."""
        self._left = left
        self._began = self._told = time.monotonic()

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes, and say so if it is time; called at least every half second."""
        self._done.update(outcome.result.value for outcome in outcomes)
        now = time.monotonic()
        if not self._left or now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        done = self._done.total()
        kinds = ", ".join(f"{count} {result}" for result, count in sorted(self._done.items())) or "no answer yet"
        self._log.info("%s of %s done (%s), %.1f a second", done, self._left, kinds, done / (now - self._began))


def _is_test(run: Any) -> bool:
    """Whether this is ``airflow tasks test`` or ``airflow dags test``.

    They run a task in their own process; but a scheduler that is quicker takes their run for one of its own.
    """
    from airflow.sdk.execution_time import task_runner

    from push_provider.contract import is_test

    if is_test(run.run_id, run.triggering_user_name):
        return True
    return type(getattr(task_runner, "SUPERVISOR_COMMS", None)).__name__ == "InProcessSupervisorComms"


def _without_blank_lines(conf: Any) -> Any:
    """A run's conf as Airflow's form hands it over, whose field of recipients has an entry for each empty line."""
    if not isinstance(conf, dict) or not isinstance(conf.get("recipients"), list):
        return conf
    named = [one for one in conf["recipients"] if not (isinstance(one, str) and not one.strip())]
    return {**conf, "recipients": named}


def _retries_left(context: Context) -> int:
    instance = context["ti"]
    return max(0, (getattr(instance, "max_tries", 0) or 0) - instance.try_number + 1)
