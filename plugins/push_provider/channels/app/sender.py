"""The channel of app push: messages to phones, through the vendor that the connection's type names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from push_provider.channels import acknowledging
from push_provider.channels.app.aliyun_client import BATCH
from push_provider.channels.app.aliyun_config import DEFAULT_CONNECTION
from push_provider.channels.app.fcm_config import CONN_TYPE as FCM
from push_provider.channels.base import Channel, Job, ReceiptReader, Sender

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.channels.app.content import AppContent
    from push_provider.channels.app.task import AppTask


class AppChannel(Channel):
    """Messages to phones."""

    name = "app"
    chunk = 4000
    first_chunk = 1000
    least_chunk = 400
    # Aliyun's calls have a token that derives from the deliveries in them.
    boundary = BATCH
    # What nobody can tell is asked for again by the same token, for a quarter of an hour (Aliyun), or takes the first
    # one's place on the phone, or has its push_id (FCM).
    on_unknown = "resend"
    connection_types = ("push_aliyun_app", FCM)
    default_connection = DEFAULT_CONNECTION

    def connection(self, config: str | None, default: str | None = None) -> Connection:
        """The Airflow connection of this id, or the default: the one that is marked, else ``push_aliyun_app_default``.

        :raises ConfigurationError: there is no such connection.
        """
        from push_provider.channels.app.aliyun_account import get_app_connection

        return get_app_connection(config, default)

    def open(self, connection: Connection, content: AppContent, job: Job) -> Sender:
        """Get ready to push; no call is made.

        :raises ConfigurationError: the connection is wrong, or acknowledgements are expected and nobody could send one.
        :raises ContentError: the vendor has no such target, or takes no such data.
        """
        acknowledging.require_links(content.expect)
        return (_open_fcm if connection.conn_type == FCM else _open_aliyun)(connection, content, job)

    def receipt_seconds(self, task: AppTask) -> float | None:
        """When it is over: only where the task expects an acknowledgement."""
        return acknowledging.receipt_seconds(task)

    def receipt_reader(self, config: str | None) -> ReceiptReader:  # noqa: ARG002  (the vendors are not asked)
        """What says of those who have not acknowledged in time that they have not."""
        return acknowledging.Unacknowledged()


def _open_aliyun(connection: Connection, content: AppContent, job: Job) -> Sender:
    from push_provider.channels.app.aliyun_account import aliyun_app_config
    from push_provider.channels.app.aliyun_calls import AliyunCalls
    from push_provider.channels.app.aliyun_client import AliyunAppClient
    from push_provider.channels.app.aliyun_sender import AliyunSender

    client = AliyunAppClient(aliyun_app_config(connection))
    return AliyunSender(AliyunCalls(client, job), content, job, client.config)


def _open_fcm(connection: Connection, content: AppContent, job: Job) -> Sender:
    from push_provider.channels.app.fcm_account import fcm_config
    from push_provider.channels.app.fcm_calls import FcmCalls
    from push_provider.channels.app.fcm_client import FcmClient
    from push_provider.channels.app.fcm_message import check
    from push_provider.channels.app.fcm_sender import FcmSender

    client = FcmClient(fcm_config(connection))
    check(content)
    return FcmSender(FcmCalls(client), content, job)
