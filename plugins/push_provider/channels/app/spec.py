"""The channel of app push, in short: its name, its parts, and the form of its apps at Aliyun."""

from __future__ import annotations

from typing import Any

from push_provider.channels.aliyun_form import BEHAVIOUR, account_fields
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
