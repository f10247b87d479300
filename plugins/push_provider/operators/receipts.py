"""The operator of the receipts DAG: ask the providers what became of the messages that they accepted."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from push_provider.ledger.receipts import Due

_ROUND = 500
"""Deliveries asked for together."""


class ReceiptsOperator(BaseOperator):
    """Asks for the receipts that are due, until none is or the time is over.

    :param seconds: after which no more are begun; what is left is for the next run.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#e0f2f1"

    def __init__(self, *, seconds: float = 50.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002  (Airflow's signature)
        """Ask, and write what was learnt.

        :returns: how many were asked for, and how many turned out delivered, failed, sent after all, or given up.
        :raises AirflowFailException: a sender configuration cannot be used; all others were asked. What waits for its
            receipts in vain is given up all the same when its time is over.
        """
        from push_provider import settings
        from push_provider.ledger import defaults, receipts
        from push_provider.ledger.engine import get_engine

        engine, patience = get_engine(), settings.receipt_days()
        begun = time.monotonic()
        asked, total, problems = 0, receipts.Settled(), dict[str, None]()
        while time.monotonic() - begun < self.seconds:
            due = receipts.claim_due(engine, _ROUND, now=datetime.now(UTC))
            if not due:
                break
            by_account: dict[tuple[str, str | None], list[Due]] = defaultdict(list)
            for one in due:
                by_account[one.channel, one.config].append(one)
            for (channel, config), some in by_account.items():
                try:
                    learnt = _read(channel, config or defaults.of(engine, channel), some)
                except ConfigurationError as error:
                    problems[str(error)] = None
                    learnt = []
                settled = receipts.settle(engine, some, learnt, now=datetime.now(UTC), patience=patience)
                total = receipts.Settled(*map(sum, zip(total, settled, strict=True)))
            asked += len(due)
            self.log.info("%s receipts asked for: %s", asked, total)
        if problems:
            raise AirflowFailException(" ".join(problems))
        return {"asked": asked, **total._asdict()}


def _read(channel: str, config: str | None, due: Sequence[Due]) -> list[Any]:
    from push_provider.channels.registry import get_channel

    return get_channel(channel).receipt_reader(config).read([one.question for one in due])
