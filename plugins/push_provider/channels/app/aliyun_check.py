"""Whether an app at Aliyun can be pushed to: its key and its AppKey, by a call that pushes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from push_provider.channels.app.aliyun_account import refusal
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ProviderUnavailable

if TYPE_CHECKING:
    from push_provider.channels.app.aliyun_client import AliyunAppClient


def check(client: AliyunAppClient) -> tuple[bool, str]:
    """Ask Aliyun for the account's apps.

    :returns: whether all is well, and what was found, for people.
    :raises ConfigurationError: Aliyun refuses the key.
    :raises ProviderUnavailable: there is no answer.
    """
    config = client.config
    try:
        answer = client.apps()
    except (NotSent, NoAnswer) as error:
        raise ProviderUnavailable(f"Connection {config.connection!r}: {error}; try again later.") from None
    if answer.code == "NoPermission" or answer.code.partition(".")[0] == "Forbidden":
        why = f"AppKey {config.app_key}: not checked, this key may not list apps ({answer.code})."
        return True, f"Access key: accepted. {why}"
    if not answer.ok:
        raise refusal(config, answer)
    listed = answer.body.summary_app_infos.summary_app_info if answer.body.summary_app_infos else []
    names = {int(app.app_key): app.app_name for app in listed or []}
    if config.app_key not in names:
        known = ", ".join(map(str, sorted(names)[:5])) or "none"
        return False, f"Access key: accepted. AppKey {config.app_key}: this account has no such app; it has: {known}."
    return True, f"Access key: accepted. AppKey {config.app_key}: app {names[config.app_key]!r}."
