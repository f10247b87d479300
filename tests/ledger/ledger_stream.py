"""A partition of a topic of the test's own, and what its messages become in the ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ledger_desk import LOOP, NOW, Desk
from sqlalchemy import text

from push_provider.kafka import messages as kafka
from push_provider.ledger import executions, messages, planning

if TYPE_CHECKING:
    from push_provider.ledger.orders import Order, Taken
    from push_provider.ledger.plans import Plan

MANUAL: dict[str, Any] = {"schedule": {"kind": "manual"}, "execution": LOOP}


class Stream:
    """A topic of the test's own: it numbers what it is given, and hands it to the ledger."""

    def __init__(self, desk: Desk, name: str, partition: int = 0) -> None:
        self.desk = desk
        self.name = name
        self.partition = partition
        self.end = 0

    def orders(self, *values: Any) -> list[Order]:
        found = []
        for value in values:
            raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            found += kafka.read(self.name, self.partition, self.end, raw, timestamp=1_700_000_000_000)
            self.end += 1
        return found

    def take(self, *values: Any, **options: Any) -> Taken:
        return self.again(self.orders(*values), **options)

    def again(self, orders: Sequence[Order], **options: Any) -> Taken:
        given: dict[str, Any] = {"freeze": lambda _: {"message": "Good day"}, "now": NOW, "default_timezone": "UTC"}
        return messages.take(self.desk.engine, orders, **{**given, **options})

    def start(self, *to: Any, **fields: Any) -> dict[str, Any]:
        return {"task": self.desk.code, **({"recipients": list(to)} if to else {}), **fields}

    def executions(self) -> list[executions.ExecutionRow]:
        """Oldest first."""
        return executions.find(self.desk.engine, task=self.desk.code)[::-1]

    def waiting(self) -> list[int]:
        """Executions that wait for their DAG run."""
        found = executions.waiting(self.desk.engine, sources=[messages.SOURCE])
        return [one.id for one in found if one.task_code == self.desk.code]

    def variables(self, execution: int) -> list[tuple[str, Any]]:
        with self.desk.engine.connect() as connection:
            query = "SELECT recipient, variables FROM push_delivery WHERE execution_id = :id ORDER BY id"
            return [tuple(row) for row in connection.execute(text(query), {"id": execution})]

    def plan(self, execution: int) -> Plan:
        """The execution, as the operator finds it."""
        return planning.bind(self.desk.engine, self.desk.code, execution, f"kafka__{execution}")
