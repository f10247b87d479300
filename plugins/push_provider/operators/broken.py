"""The operator that stands in for a push task of which no DAG can be built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

if TYPE_CHECKING:
    from airflow.sdk import Context


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
