"""The channel of app push, in short: its name, its parts, and the forms of its apps at Aliyun and at Firebase."""

from __future__ import annotations

from typing import Any

from push_provider.channels.aliyun_form import BEHAVIOUR, account_fields
from push_provider.channels.app.fcm_config import DEFAULT_MAX_CONNECTIONS, DEFAULT_TIMEOUT
from push_provider.channels.spec import STANDING, ChannelSpec, form_field


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
            **account_fields(calls="; each pushes up to 100 messages", unanswered="made again: nobody gets it twice"),
            **STANDING,
        },
        "ui-field-behaviour": BEHAVIOUR,
    }


def _push_fcm() -> dict[str, Any]:
    return {
        "connection-type": "push_fcm",
        "hook-class-name": "push_provider.hooks.fcm.PushFcmHook",
        "hook-name": "Push FCM",
        "conn-fields": {
            "project": form_field(
                "Project id",
                "Of the Firebase project that the app belongs to, such as my-shop-1a2b3. Empty: the service account's.",
                kind="string",
            ),
            "endpoint": form_field(
                "Endpoint",
                "Empty: https://fcm.googleapis.com. Otherwise https:// and a host, such as that of a proxy.",
                kind="string",
            ),
            "max_connections": form_field(
                "Connections at the same time",
                "For one execution; each carries up to 100 calls at the same time.",
                kind="integer",
                default=DEFAULT_MAX_CONNECTIONS,
                minimum=1,
            ),
            "timeout": form_field(
                "Timeout in seconds",
                "For connecting and for each answer. What becomes of a call without an answer, the push task says: it "
                "is made again unless on_unknown is hold, and the second message takes the first one's place.",
                kind="number",
                default=int(DEFAULT_TIMEOUT),
                minimum=1,
            ),
            **STANDING,
        },
        "ui-field-behaviour": {
            "hidden-fields": ["host", "schema", "login", "extra"],
            "relabeling": {
                "password": "Service account (the whole JSON file)",
                "port": "Port (443; Airflow's test needs one)",
            },
            "placeholders": {
                "password": "from the Firebase console: Project settings, Service accounts",
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
    connection_types=(_push_aliyun_app(), _push_fcm()),
    warm=("alibabacloud_push20160801.client", "push_provider.channels.app.aliyun_account"),
    acknowledged=True,
)
