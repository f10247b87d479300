"""An app at Aliyun Mobile Push, resolved: what a connection says, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from push_provider.connections.aliyun_account import AliyunAccount

DEFAULT_CONNECTION = "push_aliyun_app_default"
"""The connection of push tasks that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliyunAppConfig(AliyunAccount):
    """Everything needed to push to one app.

    :param app_key: of the app, for one platform.
    :param apns_env: ``PRODUCT`` or ``DEV``: which of Apple's servers its iOS devices are registered with.
    :param activity: of the Android app: what phone vendors' own notifications open. None: they are not used.
    """

    app_key: int
    apns_env: str = "PRODUCT"
    activity: str | None = None
