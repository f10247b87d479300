"""The WebSocket channel, in short: its name, its parts, and the form of its connections to Centrifugo."""

from __future__ import annotations

from typing import Any

from push_provider.channels.spec import STANDING, ChannelSpec, form_field
from push_provider.channels.websocket import centrifugo_config


def _push_centrifugo() -> dict[str, Any]:
    return {
        "connection-type": "push_centrifugo",
        "hook-class-name": "push_provider.hooks.centrifugo.PushCentrifugoHook",
        "hook-name": "Push Centrifugo",
        "conn-fields": {
            "address": form_field(
                "Address (地址)",
                "Of Centrifugo's HTTP server, like https://centrifugo.example.com; http:// for this machine, or by the "
                "switch below.",
                kind="string",
            ),
            "allow_http": form_field(
                "http:// to other machines",
                "The API key then goes in clear: only for a network of your own.",
                kind="boolean",
            ),
            "token_secret": form_field(
                "HMAC secret of clients' tokens (HMAC 密钥)",
                "As in Centrifugo's client.token.hmac_secret_key. Empty: this platform makes no tokens.",
                kind="string",
                format="password",
            ),
            "client_url": form_field(
                "WebSocket address of clients",
                "Where pages and apps connect. Empty: the address above, with ws(s):// and /connection/websocket.",
                kind="string",
            ),
            "namespace": form_field(
                "Namespace (命名空间)",
                "Of the users' channels, <namespace>:#<user>. It must allow user-limited channels.",
                kind="string",
                default=centrifugo_config.DEFAULT_NAMESPACE,
            ),
            "history_ttl": form_field(
                "Seconds of history",
                "As in the namespace's history_ttl: how long messages wait for those who are away.",
                kind="number",
                default=int(centrifugo_config.DEFAULT_HISTORY_TTL),
                minimum=1,
            ),
            "history_size": form_field(
                "Messages of history",
                "As in the namespace's history_size: how many wait for one user.",
                kind="integer",
                default=centrifugo_config.DEFAULT_HISTORY_SIZE,
                minimum=1,
            ),
            "max_connections": form_field(
                "Calls at the same time",
                "For one execution; each publishes up to 500 messages.",
                kind="integer",
                default=centrifugo_config.DEFAULT_MAX_CONNECTIONS,
                minimum=1,
            ),
            "timeout": form_field(
                "Timeout in seconds",
                "For connecting and for each answer. A call without an answer is made again: nobody gets it twice.",
                kind="number",
                default=int(centrifugo_config.DEFAULT_TIMEOUT),
                minimum=1,
            ),
            **STANDING,
        },
        "ui-field-behaviour": {
            "hidden-fields": ["host", "schema", "login", "extra"],
            "relabeling": {
                "password": "API key (http_api.key)",
                "port": "Port (8000; Airflow's test needs one)",
            },
            "placeholders": {"password": "as in Centrifugo's configuration", "port": "8000"},
        },
    }


WEBSOCKET = ChannelSpec(
    name="websocket",
    label="WebSocket",
    task="push_provider.channels.websocket.task:WebsocketTask",
    content="push_provider.channels.websocket.content:WebsocketContent",
    sender="push_provider.channels.websocket.sender:WebsocketChannel",
    operator="push_provider.operators.push:WebsocketPushOperator",
    connection_types=(_push_centrifugo(),),
    warm=("push_provider.channels.websocket.centrifugo_client", "push_provider.channels.websocket.centrifugo_account"),
    acknowledged=True,
)
