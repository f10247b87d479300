"""The sensor that waits for the end of an execution."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowFailException

from push_provider.addresses import shown
from push_provider.exceptions import PermanentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

_DIGITS = 18
"""Of the longest number that is looked up; those of PostgreSQL's bigint have one more."""


class PushExecutionSensor(BaseSensorOperator):
    """Waits until an execution has ended, and ends as it did: green if everybody got the message.

    :param execution: its number, such as ``"{{ ti.xcom_pull('notify')['execution'] }}"``.
    :param deferrable: wait in the triggerer, without a worker; left out, as ``[operators] default_deferrable`` says.
    """

    template_fields: Sequence[str] = ("execution",)
    ui_color = "#e0f2f1"

    def __init__(
        self,
        *,
        execution: int | str,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.execution = execution
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Wait.

        :returns: number and state of the execution, and how many of its deliveries are in which state.
        :raises AirflowFailException: there is no such execution, or not everybody got the message.
        :raises AirflowSkipException: the push task was cancelled.
        """
        if not self.deferrable or self._poke().is_done:
            return super().execute(context)
        from push_provider.triggers.execution import PushExecutionTrigger

        self.defer(
            trigger=PushExecutionTrigger(execution=self._number(), poll_seconds=self.poke_interval),
            method_name="resume",
            timeout=timedelta(seconds=self.timeout),
        )
        raise AssertionError("defer does not return")

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> Any:  # noqa: ARG002  (Airflow's signature)
        """Go on after the wait: with another one, if the execution goes on again because somebody has sent it anew."""
        return self.execute(context)

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002  (Airflow's signature)
        """Look once; a ledger that is away is waited for."""
        return self._poke()

    def _poke(self) -> PokeReturnValue:
        from push_provider.ledger.engine import get_engine
        from push_provider.outcomes import conclude, looked

        try:
            row = looked(get_engine(), self._number(), self.log)
        except PermanentError as error:
            raise AirflowFailException(str(error)) from None
        return PokeReturnValue(is_done=row is not None, xcom_value=conclude(row) if row else None)

    def _number(self) -> int:
        text = str(self.execution)
        if not text.isdecimal() or len(text) > _DIGITS:
            raise AirflowFailException(f"execution is {shown(text)}; it takes the number of an execution")
        return int(text)
