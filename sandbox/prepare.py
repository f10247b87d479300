"""Fill a fresh platform: connections to the sandbox's servers, and the example tasks.

``python -m sandbox.prepare [SMTP_PORT SMS_PORT KAFKA_PORT CENTRIFUGO_PORT EXAMPLES]``, with Airflow's environment. It
runs once for a platform; what people change afterwards stays as they left it.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox import centrifugo_account
from sandbox.app_account import APP_KEY
from sandbox.fcm_account import service_account
from sandbox.sms_account import SIGN_NAME, TEMPLATE_CODE
from sandbox.sms_signature import access_key

SENDER = "push@sandbox.example"
_EDIT = "Edit it to use your own account."
_OWN_ENDPOINT = "http://127.0.0.1:"
_ADDRESSES = ("endpoint", "address")
"""Fields of connections that hold a whole address."""
FOLDER = ("sandbox", "mails")
"""Where the sandbox keeps what it has, below AIRFLOW_HOME."""
KAFKA_CONNECTION = "kafka_default"
_KAFKA_DESCRIPTION = "The sandbox's Kafka: in memory, for trying out. Edit it to use your own."


def email_connection(port: int) -> dict[str, Any]:
    """The default sender configuration of email.

    :param port: of the sandbox's mail server.
    """
    return {
        "conn_id": "push_email_default",
        "conn_type": "push_email",
        "description": f"The sandbox's mail server: keeps all mail, sends nothing. {_EDIT}",
        "host": "127.0.0.1",
        "port": port,
        "login": SENDER,
        "extra": {"ignore_tls": True, "from_name": "Push sandbox", "enabled": True, "is_default": True},
    }


def sms_connection(port: int) -> dict[str, Any]:
    """The default sender configuration of SMS.

    :param port: of the sandbox's SMS gateway.
    """
    key_id, secret = access_key()
    return {
        "conn_id": "push_aliyun_sms_default",
        "conn_type": "push_aliyun_sms",
        "description": f"The sandbox's SMS gateway: keeps all SMS, sends nothing. {_EDIT}",
        # Airflow's test of a connection fails where no port is stored; the endpoint is what is used.
        "port": port,
        "login": key_id,
        "password": secret,
        "extra": {
            "sign_name": SIGN_NAME,
            "template_code": TEMPLATE_CODE,
            "endpoint": f"{_OWN_ENDPOINT}{port}",
            "region": "cn-hangzhou",
            "enabled": True,
            "is_default": True,
        },
    }


def app_connection(port: int) -> dict[str, Any]:
    """The default sender configuration of app push.

    :param port: of the sandbox's SMS gateway, which is Aliyun's Mobile Push, too.
    """
    key, secret = access_key()
    return {
        "conn_id": "push_aliyun_app_default",
        "conn_type": "push_aliyun_app",
        "description": f"The sandbox's app push: it reaches no phone, the mailbox page shows what it gets. {_EDIT}",
        "port": port,
        "login": key,
        "password": secret,
        "extra": {
            "app_key": str(APP_KEY),
            "endpoint": f"{_OWN_ENDPOINT}{port}",
            "enabled": True,
            "is_default": True,
        },
    }


def fcm_connection(port: int, folder: Path) -> dict[str, Any]:
    """A sender configuration of app push through Google, beside the default one.

    :param port: of the sandbox's SMS gateway, which is Google, too.
    :param folder: where its service account is kept.
    """
    address = f"127.0.0.1:{port}"
    return {
        "conn_id": "push_fcm_sandbox",
        "conn_type": "push_fcm",
        "description": f"The sandbox's FCM: it reaches no phone, the mailbox page shows what it gets. {_EDIT}",
        "port": port,
        "login": None,
        "password": json.dumps(service_account(folder, address)),
        "extra": {"endpoint": f"http://{address}", "enabled": True},
    }


def centrifugo_connection(port: int) -> dict[str, Any]:
    """The default sender configuration of WebSocket messages.

    :param port: of the sandbox's Centrifugo.
    """
    return {
        "conn_id": "push_centrifugo_default",
        "conn_type": "push_centrifugo",
        "description": f"The sandbox's Centrifugo: in memory, on this machine alone. {_EDIT}",
        # Airflow's test of a connection fails where no port is stored; the address is what is used.
        "port": port,
        "login": None,
        "password": centrifugo_account.API_KEY,
        "extra": {
            "address": f"{_OWN_ENDPOINT}{port}",
            "token_secret": centrifugo_account.TOKEN_SECRET,
            "namespace": centrifugo_account.NAMESPACE,
            "history_ttl": centrifugo_account.HISTORY_TTL,
            "history_size": centrifugo_account.HISTORY_SIZE,
            "enabled": True,
            "is_default": True,
        },
    }


def connect(wanted: dict[str, Any]) -> None:
    """Create a sender configuration, or let the sandbox's own one follow its port, and the gateway's its key."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from push_provider.default_configs import channel_types, is_marked

    types = channel_types()
    alike = [kind for kind, channel in types.items() if channel == types[wanted["conn_type"]]]
    with create_session() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == wanted["conn_id"]))
        if connection is None:
            # Somebody has removed it, and perhaps marked another one as the default.
            others = session.scalars(select(Connection).where(Connection.conn_type.in_(alike)))
            first = not any(is_marked(other) for other in others)
            session.add(Connection(**{**wanted, "extra": {**wanted["extra"], "is_default": first}}))
            return
        if connection.description != wanted["description"]:
            return
        extra = connection.extra_dejson
        field = next((name for name in _ADDRESSES if name in wanted["extra"]), None)
        if field is None:
            connection.port = wanted["port"]
        elif str(extra.get(field, "")).startswith(_OWN_ENDPOINT):
            connection.port = wanted["port"]
            connection.login = wanted["login"]
            connection.set_password(wanted["password"])
            connection.set_extra(json.dumps({**extra, field: wanted["extra"][field]}))


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
    from push_provider.ledger import definitions, tasks
    from push_provider.ledger.engine import get_engine

    engine = get_engine()
    for task in documents.read([str(path) for path in sorted(folder.glob("*.yaml"))]):
        try:
            tasks.get(engine, task.code)
        except UnknownTask:
            definitions.apply(engine, task, now=datetime.now(UTC), default_timezone=settings.default_timezone())


if __name__ == "__main__":
    if len(sys.argv) == 6:
        connect(email_connection(int(sys.argv[1])))
        connect(sms_connection(int(sys.argv[2])))
        connect(app_connection(int(sys.argv[2])))
        connect(fcm_connection(int(sys.argv[2]), Path(os.environ["AIRFLOW_HOME"], *FOLDER, "fcm")))
        connect_kafka(int(sys.argv[3]))
        connect(centrifugo_connection(int(sys.argv[4])))
        apply_examples(Path(sys.argv[5]))
