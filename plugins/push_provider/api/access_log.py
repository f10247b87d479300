"""Keeps addresses out of access logs, Airflow's and uvicorn's, which show the query of every request."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

_PRIVATE = frozenset({"recipient", "search", "address", "sender"})
"""Parameters whose values are people, or may be."""


class PrivateQuery:
    """ASGI middleware that takes them out of the query once the request has been read.

    Both logs are written later, from the same scope: uvicorn's when the answer begins, Airflow's when it has ended.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on, and hide."""
        if scope["type"] != "http" or (hidden := without_people(scope["query_string"])) == scope["query_string"]:
            await self.app(scope, receive, send)
            return

        async def hide(message: Any) -> None:
            scope["query_string"] = hidden
            await send(message)

        # The app reads its own copy, so that nobody there is told of a recipient of three asterisks.
        try:
            await self.app({**scope}, receive, hide)
        finally:
            scope["query_string"] = hidden


def without_people(query: bytes) -> bytes:
    """The query with asterisks for the values of private parameters; all of it, if it cannot be read.

    One that has none of them stays as it is.
    """
    try:
        # Names as the app reads them: ``r%65cipient`` is one, too.
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True)
    except ValueError:
        return b"***"
    if not any(_is_private(name) for name, _ in pairs):
        return query
    return urlencode([(name, "***" if _is_private(name) else value) for name, value in pairs], safe="*").encode()


def _is_private(name: str) -> bool:
    # Also one that is misspelt, which the app refuses or does not read: its value is an address all the same.
    return name.strip().casefold() in _PRIVATE
