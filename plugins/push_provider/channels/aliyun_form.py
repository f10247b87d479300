"""What the forms of all accounts at Aliyun have, whatever they send."""

from __future__ import annotations

from typing import Any

from push_provider.channels.spec import form_field
from push_provider.connections.aliyun_account import DEFAULT_MAX_CONNECTIONS, DEFAULT_REGION, DEFAULT_TIMEOUT


def account_fields(*, regions: str = "", calls: str = "", unanswered: str) -> dict[str, Any]:
    """The fields of every account, in their order.

    :param regions: more to be said of the region.
    :param calls: of a call.
    :param unanswered: what becomes of a call without an answer.
    """
    return {
        "region": form_field(
            "Region",
            f"Chooses Aliyun's endpoint{regions}.",
            kind="string",
            default=DEFAULT_REGION,
        ),
        "endpoint": form_field(
            "Endpoint",
            "Empty: that of the region. Otherwise a host, or https:// and a host.",
            kind="string",
        ),
        "max_connections": form_field(
            "Calls at the same time",
            f"For one execution{calls}. Lower it if Aliyun answers Throttling.",
            kind="integer",
            default=DEFAULT_MAX_CONNECTIONS,
            minimum=1,
        ),
        "timeout": form_field(
            "Timeout in seconds",
            f"For connecting and for each answer. A call without an answer is {unanswered}.",
            kind="number",
            default=int(DEFAULT_TIMEOUT),
            minimum=1,
        ),
    }


BEHAVIOUR: dict[str, Any] = {
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
}
"""Of the fields that every connection in Airflow has."""
