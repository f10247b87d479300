"""Whether a Firebase project can be pushed to: its service account and its id, by a call that pushes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from push_provider.channels.app.fcm_codes import meaning
from push_provider.channels.codes import Fault
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ProviderUnavailable

if TYPE_CHECKING:
    from push_provider.channels.app.fcm_client import Answer, FcmClient

_NOBODY = {"validate_only": True, "message": {"token": "push-test", "notification": {"title": "Test"}}}
"""A message that FCM only looks at (``validate_only``), to a token that no device has: it is refused for that token
alone, after the account and the project were found to be right."""


def check(client: FcmClient) -> tuple[bool, str]:
    """Ask FCM about a message that it does not push.

    :returns: whether all is well, and what was found, for people.
    :raises ConfigurationError: Google refuses the service account or the project.
    :raises ProviderUnavailable: there is no answer.
    """
    config = client.config
    client.authorize()
    try:
        answer = asyncio.run(_asked(client))
    except (NotSent, NoAnswer) as error:
        raise ProviderUnavailable(f"Connection {config.connection!r}: {error}; try again later.") from None
    fault = meaning(answer.code).fault if answer.code else Fault.RECIPIENT
    if fault is Fault.ACCOUNT:
        raise client.refusal(answer)
    if fault is not Fault.RECIPIENT:
        raise ProviderUnavailable(f"Connection {config.connection!r}: FCM answers {answer.code}; try again later.")
    return True, f"Service account: accepted. Project {config.project!r}: messages can be sent."


async def _asked(client: FcmClient) -> Answer:
    try:
        return await client.send(_NOBODY)
    finally:
        await client.close()
