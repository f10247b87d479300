"""The operators of push DAGs: plan the execution, have it sent, and say in the task's log what became of it."""

from __future__ import annotations

import signal
import threading
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
)
from push_provider.operators.links import DeliveriesLink, page_of
from push_provider.operators.planned import planned
from push_provider.operators.retry import AsTheProviderSays, Waits, delay_of
from push_provider.operators.shown import is_test, show
from push_provider.operators.told import Progress, remedy, summary_of, tell_failures

if TYPE_CHECKING:
    from airflow.sdk import Context
    from sqlalchemy import Engine

    from push_provider.channels.base import Channel, Outcome
    from push_provider.ledger.closing import Counts
    from push_provider.ledger.leases import Lease
    from push_provider.ledger.plans import Plan
    from push_provider.sending.loop import Sending, Stop
    from push_provider.sending.patience import Patience

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
            if is_test(context["dag_run"]) and not settings.test_sends():
                return show(context, engine, self.code, self.channel, self.log)
            plan = patience(lambda: planned(context, engine, self.code, self.channel, self.log))
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
                found = patience(lambda: sending.called_off(engine, plan.id))
                error = DeliveryFailed(found.error or "The execution was closed")
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
        from push_provider import settings
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
        progress = Progress(self.log)

        def noted(outcomes: Sequence[Outcome]) -> None:
            waits.note(outcomes)
            progress.note(outcomes)

        loop = Sending(lease, channel, patience=patience, resend=resend, receipts=receipts, noted=noted)
        if not loop.claim():
            return None
        try:
            if plan.error:
                raise ContentError(plan.error)
            push = facts(
                plan.task,
                planned_at=plan.planned_at,
                scheduled_for=plan.scheduled_for,
                number=plan.number,
                default_timezone=settings.default_timezone(),
            )
            content = compile_content(plan.task, plan.templates, variables=plan.variables, push=push)
            connection = channel.connection(plan.task.config, default)
            if plan.task.config is None:
                require_default(connection, plan.task)
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
            self._sending = loop
            if self._killed or self._late:
                loop.stop()
            sender = channel.open(connection, content, Job(plan.id, plan.token, last))
            progress.begin(left)
        except BaseException:  # whatever it is: nothing was handed over, so nobody is in doubt
            loop.give_back()
            raise
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
        from push_provider.ledger import suppressions

        summary = summary_of(counts)
        self.log.info("Execution %s: %s", plan.id, summary)
        self.log.info("Who got it, who did not, and why: %s", page_of(plan.id))
        if counts.failed or counts.unknown:
            patience(lambda: tell_failures(self.log, engine, plan.id, counts))
        if counts.pending:
            error = error or ProviderUnavailable(f"{summary}, as the provider's answers ask for")
            if isinstance(error, ProviderUnavailable):
                error.retry_after = wait
            raise error
        if counts.failed or counts.unknown:
            because = f" {error}" if error else ""
            gone = patience(lambda: suppressions.failed(engine, plan.id)) if counts.failed else 0
            raise DeliveryFailed(f"{summary}.{because} {remedy(plan.id, counts, gone, resend=resend)}")
        if counts.cancelled:
            raise AirflowSkipException(f"{summary}: push task {self.code!r} was cancelled")
        return {"execution": plan.id, **counts._asdict()}


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


def _retries_left(context: Context) -> int:
    instance = context["ti"]
    return max(0, (getattr(instance, "max_tries", 0) or 0) - instance.try_number + 1)
