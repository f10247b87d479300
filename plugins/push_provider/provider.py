"""What Airflow registers of this package: connection types, operators, options and the command line.

Every Airflow process reads this, so it imports nothing but the small modules that the lists come from.
"""

from __future__ import annotations

from typing import Any

from push_provider.channels import registry

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
                "python-modules": [
                    "push_provider.hooks.email",
                    "push_provider.hooks.aliyun_sms",
                    "push_provider.hooks.centrifugo",
                    "push_provider.hooks.aliyun_app",
                    "push_provider.hooks.fcm",
                ],
            }
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "push_provider.operators.begin",
                    "push_provider.operators.push",
                    "push_provider.operators.receipts",
                    "push_provider.operators.upkeep",
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
        "extra-links": [
            "push_provider.operators.begin.PushExecutionLink",
            "push_provider.operators.links.DeliveriesLink",
        ],
        "notifications": ["push_provider.notifications.push.PushNotifier"],
        "bundles": [{"integration-name": _INTEGRATION, "python-modules": ["push_provider.bundle"]}],
        "connection-types": registry.connection_types(),
        "config": {"push": {"description": "The push platform.", "options": _options()}},
        "cli": ["push_provider.cli.definition.get_push_cli_commands"],
    }


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
        "ledger_patience": _option(
            "Seconds for which an execution that is being sent waits for a ledger that is away. What the provider has "
            "answered is recorded when it is back; nothing is sent twice, and no try is used up.",
            kind="float",
            default="600",
            example="120",
        ),
        "service_pool": _option(
            "Airflow pool that push tasks of category service run in. If it is not there, it is made, with 128 slots.",
            default="default_pool",
            example="push_service",
        ),
        "marketing_pool": _option(
            "Airflow pool that push tasks of category marketing run in. If it is not there, it is made.",
            default="push_marketing",
            example="push_later",
        ),
        "marketing_slots": _option(
            "Slots that the pool of category marketing is made with. It is resized in Airflow, under Admin, Pools.",
            kind="integer",
            default="8",
            example="4",
        ),
        "receipt_days": _option(
            "Days after a message was sent for which its receipt is asked for, of channels that have receipts. "
            "Aliyun itself gives a message up after 3 days.",
            kind="float",
            default="3",
            example="1",
        ),
        "retire_after": _option(
            "Seconds after its last execution for which a finished, failed or cancelled push task stays a DAG. Its log "
            "stays in the ledger, and a push task that is changed, resumed or sent again becomes a DAG again.",
            kind="float",
            default="86400",
            example="3600",
        ),
        "retention_days": _option(
            "Days after its end for which an execution stays in the ledger, with its deliveries; from 2 on, or 0: for "
            "ever. Push tasks stay in any case.",
            kind="float",
            default="0",
            example="180",
        ),
        "rejected_days": _option(
            "Days for which rejected messages stay in the ledger; 0: for ever.",
            kind="float",
            default="90",
            example="0",
        ),
        "message_id_days": _option(
            "Days for which a message that was taken is known, so that it changes nothing when it comes again; 0: for "
            "ever. Longer than the topics keep their messages.",
            kind="float",
            default="30",
            example="8",
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
        "public_url": _option(
            "Address that links in messages begin with, such as those of acknowledgements: how people's pages and "
            "phones reach this API server. Empty: [api] base_url.",
            default="",
            example="https://push.example.com",
        ),
        "receipt_rate_limit": _option(
            "REST API: acknowledgements a second of one network address, for each process of the API server, and ten "
            "times as many at once; 0 for no limit. Raise it if all come through one proxy.",
            kind="float",
            default="100",
            example="1000",
        ),
        "token_minters": _option(
            "REST API: users and roles of Airflow, separated by commas, who may make tokens by which clients connect "
            "as any user and read that user's messages. Role Admin may in any case.",
            default="",
            example="user:shop, role:Op",
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
            "Topics that are read: names, or regular expressions that begin with ^, separated by commas. The "
            "dead_letter_topic is not, whatever fits it.",
            default="task.push.info",
            example="^push[.].*",
        ),
        "kafka_batch_size": _option(
            "At most so many messages are taken in one transaction.",
            kind="integer",
            default="5000",
            example="1000",
        ),
        "kafka_drains": _option(
            "How many tasks take messages in at the same time, up to 64; each reads partitions of its own, so more "
            "than there are partitions are of no use.",
            kind="integer",
            default="1",
            example="4",
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
