"""The channel of app push, in short: its name, its parts, and the form of its apps at Aliyun."""

from __future__ import annotations

from typing import Any

from push_provider.channels.spec import STANDING, ChannelSpec, form_field
from push_provider.connections.aliyun_account import DEFAULT_MAX_CONNECTIONS, DEFAULT_REGION, DEFAULT_TIMEOUT


def _push_aliyun_app() -> dict[str, Any]:
    return {
        "connection-type": "push_aliyun_app",
        "hook-class-name": "push_provider.hooks.aliyun_app.PushAliyunAppHook",
        "hook-name": "Push Aliyun App",
        "conn-fields": {
            "app_key": form_field(
                "AppKey",
                "Of the app in the EMAS console, a number. An app has one for each platform: make a configuration of "
                "each.",
                kind="string",
            ),
            "apns_env": form_field(
                "APNs environment (iOS 推送环境)",
                "For iOS: product for apps of the App Store, dev for those that developers build.",
                kind="string",
                enum=["product", "dev"],
                default="product",
            ),
            "activity": form_field(
                "Activity of phone vendors' notifications (辅助弹窗)",
                "For Android: the class that they open. Empty: phones whose app is closed get nothing through their "
                "vendor's own channel.",
                kind="string",
            ),
            "region": form_field(
                "Region",
                "Chooses Aliyun's endpoint.",
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
                "For one execution; each pushes up to 100 messages. Lower it if Aliyun answers Throttling.",
                kind="integer",
                default=DEFAULT_MAX_CONNECTIONS,
                minimum=1,
            ),
            "timeout": form_field(
                "Timeout in seconds",
                "For connecting and for each answer. A call without an answer is made again: nobody gets it twice.",
                kind="number",
                default=int(DEFAULT_TIMEOUT),
                minimum=1,
            ),
            **STANDING,
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


APP = ChannelSpec(
    name="app",
    label="App push",
    task="push_provider.channels.app.task:AppTask",
    content="push_provider.channels.app.content:AppContent",
    sender="push_provider.channels.app.sender:AppChannel",
    operator="push_provider.operators.push:AppPushOperator",
    connection_types=(_push_aliyun_app(),),
    warm=("alibabacloud_push20160801.client", "push_provider.channels.app.aliyun_account"),
)
