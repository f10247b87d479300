"""The operator of the upkeep DAG: what is old leaves the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from push_provider.exceptions import PermanentError

if TYPE_CHECKING:
    from airflow.sdk import Context


class UpkeepOperator(BaseOperator):
    """Does the platform's upkeep, until nothing is left to do or the time is over.

    :param seconds: after which nothing more is begun; what is left is for the next run.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e0f2f1"

    def __init__(self, *, seconds: float = 480.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002  (Airflow's signature)
        """Do it, and say what was done.

        :returns: how many of each kind.
        :raises AirflowFailException: an option is wrong.
        :raises LedgerUnavailable: what was not done is for the next run.
        """
        from push_provider.ledger.engine import get_engine
        from push_provider.upkeep.portions import Portions
        from push_provider.upkeep.steps import steps

        try:
            counts = Portions(self.seconds).do(get_engine(), steps())
        except PermanentError as error:
            raise AirflowFailException(str(error)) from None
        self.log.info("%s", ", ".join(f"{count} {name}" for name, count in counts.items()))
        return counts
