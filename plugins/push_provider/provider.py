"""What Airflow registers of this package: connection types, operators, options and the command line.

Every Airflow process reads this, so it imports nothing but the small modules that the lists come from.
"""

from __future__ import annotations

from typing import Any

from push_provider.hooks import aliyun_config
from push_provider.hooks.services import service_names
from push_provider.hooks.smtp_config import DEFAULT_MAX_CONNECTIONS, DEFAULT_TIMEOUT

_INTEGRATION = "Push"
_VERSION_ADDED = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Provider information as Airflow's ``provider_info.schema.json`` describes it."""
    return {
        "package-name": "airflow-push-provider",
        "name": "Push",
        "description": "Push tasks: each is a DAG that sends messages, with every recipient on record.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["service"]}],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["push_provider.hooks.email", "push_provider.hooks.aliyun_sms"],
            }
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "push_provider.operators.begin",
                    "push_provider.operators.push",
                    "push_provider.operators.receipts",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["push_provider.sensors.execution", "push_provider.sensors.kafka"],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["push_provider.triggers.execution", "push_provider.triggers.kafka"],
            }
        ],
        "extra-links": ["push_provider.operators.begin.PushExecutionLink"],
        "notifications": ["push_provider.notifications.push.PushNotifier"],
        "bundles": [{"integration-name": _INTEGRATION, "python-modules": ["push_provider.bundle"]}],
        "connection-types": [_push_email(), _push_aliyun_sms()],
        "config": {"push": {"description": "The push platform.", "options": _options()}},
        "cli": ["push_provider.cli.definition.get_push_cli_commands"],
    }


# --- connection types: forms under Admin > Connections ------------------------------------------------


def _push_email() -> dict[str, Any]:
    # A switch without a default is stored as null until somebody touches it: the service decides then.
    return {
        "connection-type": "push_email",
        "hook-class-name": "push_provider.hooks.email.PushEmailHook",
        "hook-name": "Push Email",
        "conn-fields": {
            "service": _field(
                "Mail service",
                "Fills in host, port and TLS; what is entered above wins. Empty: found by the domain of "
                "the sender's address (发件邮箱), if no host is entered. For a server of your own, enter "
                "its host and port instead.",
                kind="string",
                enum=["", *service_names()],
            ),
            "secure": _field(
                "TLS from the start (secure)",
                "On for port 465; off: STARTTLS, as on ports 587 and 25. Untouched: as the service or the "
                "port wants it.",
                kind="boolean",
            ),
            "ignore_tls": _field(
                "Never use STARTTLS (ignoreTLS)",
                "Mail and authorisation code (授权码) then go in clear; for test servers such as Maildev.",
                kind="boolean",
            ),
            "auth_method": _field(
                "Login method (authMethod)",
                "Empty: the best that the server offers.",
                kind="string",
                enum=["", "PLAIN", "LOGIN", "CRAM-MD5"],
            ),
            "from_email": _field(
                "From address",
                "Shown as the sender. Empty: the sender's address (发件邮箱) above. Most services refuse any other.",
                kind="string",
            ),
            "from_name": _field("From name", "Shown beside the From address (发件人名称).", kind="string"),
            "max_connections": _field(
                "Connections at the same time",
                "For one execution. Lower it if the service complains of too many connections.",
                kind="integer",
                default=DEFAULT_MAX_CONNECTIONS,
                minimum=1,
            ),
            "messages_per_connection": _field(
                "Mails of one connection",
                "A new connection is opened after so many. Empty: as many as the server takes, which is found out.",
                kind="integer",
                minimum=1,
            ),
            "timeout": _field(
                "Timeout in seconds",
                "For each answer of the server as a whole; connecting may take three times as long.",
                kind="number",
                default=int(DEFAULT_TIMEOUT),
                minimum=1,
            ),
            "ssl_context": _field(
                "Server certificate",
                "'none' trusts any certificate: only for a server of your own with a self-signed one.",
                kind="string",
                enum=["default", "none"],
                default="default",
            ),
            **_STANDING,
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


def _push_aliyun_sms() -> dict[str, Any]:
    return {
        "connection-type": "push_aliyun_sms",
        "hook-class-name": "push_provider.hooks.aliyun_sms.PushAliyunSmsHook",
        "hook-name": "Push Aliyun SMS",
        "conn-fields": {
            "sign_name": _field(
                "Signature (签名)",
                "The approved signature, without 【】. A push task may name another one.",
                kind="string",
            ),
            "template_code": _field(
                "Template code (模板 CODE)",
                "Of the approved template, like SMS_154950909. A push task may name another one.",
                kind="string",
            ),
            "template_kind": _field(
                "Kind of the templates (模板类型)",
                "Only for keys that may not ask Aliyun for a template: 'international' ones are for numbers outside "
                "mainland China. Empty: what Aliyun says of the template, else mainland.",
                kind="string",
                enum=["", *(one.value for one in aliyun_config.TemplateKind)],
            ),
            "params_note": _field(
                "Note on the parameters (参数说明)",
                "For people: which parameters the template has and what belongs there.",
                kind="string",
            ),
            "region": _field(
                "Region",
                "Chooses Aliyun's endpoint: cn-hangzhou for mainland China, ap-southeast-1 for Singapore.",
                kind="string",
                default=aliyun_config.DEFAULT_REGION,
            ),
            "endpoint": _field(
                "Endpoint",
                "Empty: that of the region. Otherwise a host, or https:// and a host.",
                kind="string",
            ),
            "max_connections": _field(
                "Calls at the same time",
                "For one execution. Lower it if Aliyun answers Throttling.",
                kind="integer",
                default=aliyun_config.DEFAULT_MAX_CONNECTIONS,
                minimum=1,
            ),
            "timeout": _field(
                "Timeout in seconds",
                "For connecting and for each answer. A call without an answer is never made again by itself.",
                kind="number",
                default=int(aliyun_config.DEFAULT_TIMEOUT),
                minimum=1,
            ),
            **_STANDING,
        },
        "ui-field-behaviour": {
            "hidden-fields": ["host", "schema", "extra"],
            "relabeling": {
                "login": "Access key id (accessKeyId)",
                "password": "Access key secret (secretAccessKey)",
                "port": "Port (443; Airflow's test needs one)",
            },
            "placeholders": {
                "login": "LTAI…",
                "password": "shown once by Aliyun, when the key is made",
                "port": "443",
            },
        },
    }


def _field(label: str, description: str, *, kind: str, **schema: Any) -> dict[str, Any]:
    """One field of the form, which may stay empty."""
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


_STANDING = {
    "enabled": _field("Enabled (启用)", "Off: nothing is sent through this account.", kind="boolean", default=True),
    "is_default": _field(
        "Default of its channel (默认)",
        "On: push tasks of this channel that name no configuration are sent through this account. There is one at "
        "most: whichever was the default before is switched off.",
        kind="boolean",
    ),
    "apps": _field(
        "Applications (应用)",
        "Whose push tasks are sent through this account, separated by commas; * for all. Beside those, who may read "
        "connections may use it. Empty: they alone, but the default one of a channel is everybody's.",
        kind="string",
    ),
}
"""What the forms of all channels have."""


# --- options: push_provider/settings.py reads them ----------------------------------------------------


def _options() -> dict[str, Any]:
    return {
        "sql_alchemy_conn": _option(
            "URL of the ledger's database: PostgreSQL 14 or later, a database of its own beside Airflow's. "
            "'airflow push migrate' makes its tables. Required.",
            default="",
            example="postgresql://push:secret@db.example/push",
            sensitive=True,
        ),
        "include_dir": _option(
            "Folder of the templates and attachments that push tasks name. "
            "Empty: the folder 'include' beside the DAG folder.",
            default="",
            example="/opt/airflow/include",
        ),
        "attachment_areas": _option(
            "Whether the attachments that a push task names lie below 'attachments/<its app>' or 'attachments/shared' "
            "in the include folder. Off: anywhere in it, except below 'tasks'.",
            kind="boolean",
            default="True",
            example="False",
        ),
        "bundle_dir": _option(
            "Folder in which the bundle keeps its DAG files; each machine has its own. "
            "Empty: 'push_dags' in Airflow's home directory.",
            default="",
            example="/var/lib/airflow/push_dags",
        ),
        "missed_grace": _option(
            "Seconds that a scheduled execution may begin late before its time counts as missed.",
            kind="float",
            default="300",
            example="600",
        ),
        "receipt_days": _option(
            "Days after a message was sent for which its receipt is asked for, of channels that have receipts. "
            "Aliyun itself gives a message up after 3 days.",
            kind="float",
            default="3",
            example="1",
        ),
        "max_body_size": _option(
            "REST API: bytes that the body of a request may have. Attachments of 10 MiB take 14 MiB of it.",
            kind="integer",
            default="16777216",
            example="67108864",
        ),
        "max_recipients": _option(
            "REST API and Kafka: recipients that a push task, a trigger or a message may name; 0 for no limit.",
            kind="integer",
            default="100000",
            example="1000000",
        ),
        "max_open_tasks": _option(
            "REST API and Kafka: push tasks of one application that may be open (neither finished nor cancelled) at a "
            "time; 0 for no limit.",
            kind="integer",
            default="10000",
            example="20",
        ),
        "request_rate_limit": _option(
            "REST API: requests a second that one user may make, over all API servers together; 0 for no limit.",
            kind="float",
            default="300",
            example="50",
        ),
        "app_rules": _option(
            "REST API: the applications that users and roles of Airflow may act for, as JSON; * for all. Empty: "
            "anybody may write any 'app' and 'owner'. With rules, nobody may act for other applications than theirs, "
            "and 'owner' is whoever calls. Role Admin, and whoever has *, may write what they like.",
            default="",
            example='{"role:Op": ["shop", "crm"], "user:bob": ["bi"]}',
        ),
        **_kafka_options(),
    }


def _kafka_options() -> dict[str, Any]:
    return {
        "kafka_conn_id": _option(
            "Connection (type Apache Kafka) of the broker whose messages start executions.",
            default="kafka_default",
            example="kafka_push",
        ),
        "kafka_topics": _option(
            "Topics that are read: names, or regular expressions that begin with ^, separated by commas.",
            default="task.push.info",
            example="^push[.].*",
        ),
        "kafka_batch_size": _option(
            "At most so many messages are taken in one transaction.",
            kind="integer",
            default="5000",
            example="1000",
        ),
        "kafka_linger": _option(
            "Seconds that a worker waits for more messages before it leaves the waiting to the triggerer.",
            kind="float",
            default="1",
            example="10",
        ),
        "test_sends": _option(
            "Whether 'airflow tasks test' and 'airflow dags test' of a push task send its messages and count an "
            "execution; otherwise they show what would be sent, and to how many.",
            default="False",
            example="True",
        ),
        "kafka_define": _option(
            "Whether messages may define push tasks: True, False, or the topics whose messages may, with commas.",
            default="True",
            example="push.admin",
        ),
        "kafka_rules": _option(
            "What messages of each topic may do, as JSON: 'apps' they may act for, 'codes' of the push tasks they may "
            "start and define, and whether they may 'define'; what is left out is not bound. '*' is the rule of all "
            "other topics; without it, with rules, other topics may do nothing. Empty: no rules.",
            default="",
            example='{"shop.orders": {"apps": ["shop"], "codes": ["shop-*"], "define": false}}',
        ),
        "dead_letter_topic": _option(
            "Topic that rejected messages are forwarded to, with the reason as a header. Empty: none; they are in the "
            "ledger in any case.",
            default="",
            example="task.push.rejected",
        ),
    }


def _option(
    description: str, *, default: str, example: str, kind: str = "string", sensitive: bool = False
) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": _VERSION_ADDED,
        "type": kind,
        "example": example,
        "default": default,
        "sensitive": sensitive,
    }
