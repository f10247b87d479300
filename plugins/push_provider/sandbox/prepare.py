"""Fill a fresh platform: connections to the sandbox's mail server and Kafka, and the example tasks.

``python -m push_provider.sandbox.prepare [SMTP_PORT KAFKA_PORT EXAMPLES]``, with Airflow's environment. It runs once
for a platform; what people change afterwards stays as they left it.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

CONNECTION = "push_email_default"
SENDER = "push@sandbox.example"
KAFKA_CONNECTION = "kafka_default"
_KAFKA_DESCRIPTION = "The sandbox's Kafka: in memory, for trying out. Edit it to use your own."
_DESCRIPTION = "The sandbox's mail server: keeps all mail, sends nothing. Edit it to use your own account."


def connect_sandbox(port: int) -> None:
    """Create the default sender configuration, or let the sandbox's own one follow its port."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == CONNECTION))
        if connection is None:
            session.add(
                Connection(
                    conn_id=CONNECTION,
                    conn_type="push_email",
                    host="127.0.0.1",
                    port=port,
                    login=SENDER,
                    description=_DESCRIPTION,
                    extra={"ignore_tls": True, "from_name": "Push sandbox", "enabled": True, "is_default": True},
                )
            )
        elif connection.description == _DESCRIPTION:
            connection.port = port


def connect_kafka(port: int) -> None:
    """Create the connection to the sandbox's Kafka, or let it follow its port."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    extra = json.dumps({"bootstrap.servers": f"127.0.0.1:{port}"})
    with create_session() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == KAFKA_CONNECTION))
        if connection is None:
            made = Connection(conn_id=KAFKA_CONNECTION, conn_type="kafka", description=_KAFKA_DESCRIPTION, extra=extra)
            session.add(made)
        elif connection.description == _KAFKA_DESCRIPTION:
            connection.extra = extra


def apply_examples(folder: Path) -> None:
    """Create the example tasks that do not exist yet."""
    from push_provider import settings
    from push_provider.cli import documents
    from push_provider.exceptions import UnknownTask
    from push_provider.ledger import tasks
    from push_provider.ledger.engine import get_engine

    engine = get_engine()
    for task in documents.read([str(path) for path in sorted(folder.glob("*.yaml"))]):
        try:
            tasks.get(engine, task.code)
        except UnknownTask:
            tasks.apply(engine, task, now=datetime.now(UTC), default_timezone=settings.default_timezone())


if __name__ == "__main__":
    if len(sys.argv) == 4:
        connect_sandbox(int(sys.argv[1]))
        connect_kafka(int(sys.argv[2]))
        apply_examples(Path(sys.argv[3]))
