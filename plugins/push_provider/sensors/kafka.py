"""The sensor that waits for Kafka messages and takes them in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator

from push_provider.exceptions import BrokerUnavailable, ConfigurationError, TransientError

if TYPE_CHECKING:
    from airflow.sdk import Context

RUN_TIME = timedelta(hours=1)
"""After this the run ends and its successor begins: with new code, if there is any, and a log of its own."""
_LOOK_SECONDS = 300.0
_RETRY_SECONDS = 15.0


class PushKafkaSensor(BaseOperator):
    """Takes Kafka messages in, and waits in the triggerer while there are none.

    The broker, the topics and the size of a batch are options of ``[push]``. A broker that is away, and a connection
    that does not exist, are waited for.

    :param drain: which of several that share the partitions, from 0.
    :param drains: how many there are.
    """

    template_fields: Sequence[str] = ()
    ui_color = "#ede7f6"

    def __init__(self, *, drain: int = 0, drains: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drain = drain
        self.drains = drains

    def execute(self, context: Context) -> dict[str, int]:
        """Empty the topics, then wait for more, until the run has been going for an hour.

        :returns: what this try did since the last wait.
        :raises TransientError: Airflow tries again: the ledger cannot be used, Airflow's API server cannot be asked, or
            something has to be put in order.
        """
        # Once a run, which is once an hour: brokers forget what nobody commits for a week.
        return self._listen(context, anew=True)

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, int]:
        """Go on after a wait.

        :param event: why it ended.
        """
        self.log.info("Woken: %s", (event or {}).get("why"))
        return self._listen(context, anew=False)

    def _listen(self, context: Context, *, anew: bool) -> dict[str, int]:
        from push_provider import settings
        from push_provider.kafka import connection as kafka
        from push_provider.kafka.drain import drain
        from push_provider.kafka.shares import Share
        from push_provider.ledger.engine import get_engine

        left = self._seconds_left(context)
        conn_id = settings.kafka_conn_id()
        connection = kafka.find(conn_id)
        if connection is None:
            self.log.warning("%s", kafka.missing(conn_id))
            return self._wait(left, _LOOK_SECONDS)
        try:
            share = Share(self.drain, self.drains)
            drained = drain(get_engine(), connection, until=time.monotonic() + left, share=share, anew=anew)
        except BrokerUnavailable as away:
            self.log.warning("%s. Waiting until it is back.", away)
            return self._wait(left, _LOOK_SECONDS)
        except ConfigurationError as error:
            # Somebody has to mend it, and then it must go on by itself.
            raise TransientError(str(error)) from None
        if drained.messages:
            self.log.info("Done: %s", ", ".join(f"{name} {count}" for name, count in drained._asdict().items()))
        if self._seconds_left(context) <= 0:
            return drained._asdict()
        return self._wait(left, _RETRY_SECONDS if drained.waiting else _LOOK_SECONDS)

    def _wait(self, left: float, seconds: float) -> NoReturn:
        from push_provider import settings
        from push_provider.triggers.kafka import PushKafkaTrigger

        seconds = max(min(left, seconds), 1.0)
        self.defer(
            # Its arguments are stored in clear: the connection's secrets stay where they are.
            trigger=PushKafkaTrigger(
                conn_id=settings.kafka_conn_id(),
                topics=settings.kafka_topics(),
                dead_letters=settings.dead_letter_topic(),
                seconds=seconds,
                drain=self.drain,
                drains=self.drains,
            ),
            method_name="resume",
        )
        raise AssertionError("defer does not return")

    def _seconds_left(self, context: Context) -> float:
        began = context["dag_run"].start_date or datetime.now(UTC)
        return (began + RUN_TIME - datetime.now(UTC)).total_seconds()
