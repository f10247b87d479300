"""What Centrifugo's answers mean for a message: whom they concern, and whether a later try helps.

A code is of one command of a batch; a status of HTTP is of the call as a whole, of which nothing was done then. After
504, of a proxy that did not wait for Centrifugo's answer, nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping

from push_provider.channels.codes import Fault, Meaning

CODES_PAGE = "https://github.com/centrifugal/centrifugo/blob/v6.9.1/internal/apiproto/errors.go"
"""The error codes of the server API."""
AUTH_PAGE = "https://centrifugal.dev/docs/server/server_api#http-api-authorization"
"""What the server API asks of a call."""
HTTP = "https://www.rfc-editor.org/rfc/rfc9110#section-15"
"""Statuses of HTTP, which proxies in front of Centrifugo answer."""


_NAMESPACE = "give the connection a namespace that Centrifugo's configuration has"
_KEY = "correct the API key (password) of the connection"
_ADDRESS = "correct the connection's address, and turn Centrifugo's http_api on"

CODES: Mapping[int, Meaning] = {
    100: Meaning(Fault.BUSY, CODES_PAGE),
    102: Meaning(Fault.ACCOUNT, CODES_PAGE, _NAMESPACE),
    104: Meaning(Fault.ACCOUNT, CODES_PAGE, "use a Centrifugo of version 5.2 or later, which knows batch"),
    107: Meaning(Fault.RECIPIENT, CODES_PAGE),
    108: Meaning(Fault.ACCOUNT, CODES_PAGE, "give the namespace a history_size and a history_ttl"),
    112: Meaning(Fault.RECIPIENT, CODES_PAGE),
    113: Meaning(Fault.BUSY, CODES_PAGE),
}
"""By the codes of the server API."""
STATUSES: Mapping[int, Meaning] = {
    400: Meaning(Fault.ACCOUNT, CODES_PAGE, "look into Centrifugo's log, which says what it does not understand"),
    401: Meaning(Fault.ACCOUNT, AUTH_PAGE, _KEY),
    403: Meaning(Fault.ACCOUNT, HTTP, "let the proxy in front of Centrifugo pass this platform's calls"),
    404: Meaning(Fault.ACCOUNT, HTTP, _ADDRESS),
    405: Meaning(Fault.ACCOUNT, HTTP, _ADDRESS),
    408: Meaning(Fault.BUSY, HTTP),
    413: Meaning(Fault.ACCOUNT, HTTP, "let the proxy in front of Centrifugo take bodies of 2 MiB"),
    429: Meaning(Fault.BUSY, HTTP),
}
"""By the statuses of HTTP; of others, those from 500 on are :attr:`Fault.BUSY`."""


def meaning(code: int) -> Meaning:
    """What a code of the server API means; of one that is new, nobody else's message may fail."""
    return CODES.get(code, Meaning(Fault.RECIPIENT, CODES_PAGE))


def status_meaning(status: int) -> Meaning:
    """What a status of HTTP other than 200 means."""
    if status >= 500:
        return Meaning(Fault.BUSY, HTTP)
    return STATUSES.get(status, Meaning(Fault.ACCOUNT, HTTP, _ADDRESS))
