"""Whether a Centrifugo can be sent through: its key and its namespace, by calls that publish nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from push_provider.channels.websocket.codes import meaning

if TYPE_CHECKING:
    from push_provider.channels.websocket.centrifugo_client import CentrifugoClient


def check(client: CentrifugoClient) -> tuple[bool, str]:
    """Ask Centrifugo who it is, and for the history of a channel that nobody has.

    :returns: whether all is well, and what was found, for people.
    :raises ConfigurationError: it refuses the key, or there is no Centrifugo at the address.
    :raises ProviderUnavailable: it cannot be reached.
    """
    config = client.config
    nodes = client.ask("info").get("result", {}).get("nodes") or [{}]
    found = [f"Centrifugo {nodes[0].get('version', 'of an unknown version')} at {config.address}: API key accepted."]
    error = client.ask("history", channel=config.channel("nobody"), limit=0).get("error")
    if error:
        code = int(error.get("code", 0))
        remedy = meaning(code).remedy or "look the code up in Centrifugo's documentation"
        found.append(f"Namespace {config.namespace!r}: {error.get('message', '')} ({code}); {remedy}.")
    else:
        found.append(f"Namespace {config.namespace!r}: keeps messages for those who are away.")
    if config.token_secret is None:
        found.append("No HMAC secret: this platform makes no tokens for clients.")
    return not error, " ".join(found)
