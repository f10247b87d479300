"""The registry of channels: which class sends which kind of message, imported when first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from push_provider.channels.base import Channel

CHANNELS: Mapping[str, str] = {
    "email": "push_provider.channels.email.EmailChannel",
    "sms": "push_provider.channels.sms.SmsChannel",
}
"""Name as in the push task's ``channel`` -> path of the class."""


def get_channel(name: str) -> Channel:
    """Give the channel of this name.

    :raises ConfigurationError: there is no such channel.
    """
    try:
        module, _, cls = CHANNELS[name].rpartition(".")
    except KeyError:
        known = ", ".join(CHANNELS)
        raise ConfigurationError(f"There is no channel {name!r}; known are: {known}.") from None
    channel: Channel = getattr(import_module(module), cls)()
    return channel
