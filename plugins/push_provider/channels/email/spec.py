"""The email channel, in short: its name, its parts, and the form of its mail accounts."""

from __future__ import annotations

from typing import Any

from push_provider.channels.email.services import service_names
from push_provider.channels.email.smtp_config import DEFAULT_MAX_CONNECTIONS, DEFAULT_TIMEOUT
from push_provider.channels.spec import STANDING, ChannelSpec, form_field


def _push_email() -> dict[str, Any]:
    # A switch without a default is stored as null until somebody touches it: the service decides then.
    return {
        "connection-type": "push_email",
        "hook-class-name": "push_provider.hooks.email.PushEmailHook",
        "hook-name": "Push Email",
        "conn-fields": {
            "service": form_field(
                "Mail service",
                "Fills in host, port and TLS; what is entered above wins. Empty: found by the domain of "
                "the sender's address (发件邮箱), if no host is entered. For a server of your own, enter "
                "its host and port instead.",
                kind="string",
                enum=["", *service_names()],
            ),
            "secure": form_field(
                "TLS from the start (secure)",
                "On for port 465; off: STARTTLS, as on ports 587 and 25. Untouched: as the service or the "
                "port wants it.",
                kind="boolean",
            ),
            "ignore_tls": form_field(
                "Never use STARTTLS (ignoreTLS)",
                "Mail and authorisation code (授权码) then go in clear; for test servers such as Maildev.",
                kind="boolean",
            ),
            "auth_method": form_field(
                "Login method (authMethod)",
                "Empty: the best that the server offers.",
                kind="string",
                enum=["", "PLAIN", "LOGIN", "CRAM-MD5"],
            ),
            "from_email": form_field(
                "From address",
                "Shown as the sender. Empty: the sender's address (发件邮箱) above. Most services refuse any other.",
                kind="string",
            ),
            "from_name": form_field("From name", "Shown beside the From address (发件人名称).", kind="string"),
            "max_connections": form_field(
                "Connections at the same time",
                "For one execution. Lower it if the service complains of too many connections.",
                kind="integer",
                default=DEFAULT_MAX_CONNECTIONS,
                minimum=1,
            ),
            "messages_per_connection": form_field(
                "Mails of one connection",
                "A new connection is opened after so many. Empty: as many as the server takes, which is found out.",
                kind="integer",
                minimum=1,
            ),
            "timeout": form_field(
                "Timeout in seconds",
                "For each answer of the server as a whole; connecting may take three times as long.",
                kind="number",
                default=int(DEFAULT_TIMEOUT),
                minimum=1,
            ),
            "ssl_context": form_field(
                "Server certificate",
                "'none' trusts any certificate: only for a server of your own with a self-signed one.",
                kind="string",
                enum=["default", "none"],
                default="default",
            ),
            **STANDING,
        },
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "extra"],
            "relabeling": {
                "login": "Sender address (authUser, 发件邮箱)",
                "password": "Authorisation code (authPass, 授权码)",
                "host": "Mail server (empty: from the service)",
                "port": "Port (empty: from the service; Airflow's test needs one)",
            },
            "placeholders": {
                "login": "me@qq.com",
                "password": "made in the mailbox's settings; not the mailbox password",
                "host": "smtp.qq.com",
                "port": "465",
            },
        },
    }


EMAIL = ChannelSpec(
    name="email",
    label="Email",
    task="push_provider.channels.email.task:EmailTask",
    content="push_provider.channels.email.content:Content",
    sender="push_provider.channels.email.sender:EmailChannel",
    operator="push_provider.operators.push:EmailPushOperator",
    connection_types=(_push_email(),),
    warm=("push_provider.channels.email.account",),
)
