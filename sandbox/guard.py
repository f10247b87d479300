"""What keeps other sites, which the user's browser may have open, away from the sandbox's page."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request
from fastapi.responses import PlainTextResponse
from starlette.datastructures import Headers, MutableHeaders

from push_provider import origins

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY = {
    "Content-Security-Policy": _PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Answers only requests made for a loopback name, and adds the headers that keep a browser strict.

    Without the first, a site could point a name of its own at 127.0.0.1 and read the mails (DNS
    rebinding).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks for it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def secured(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                headers = MutableHeaders(scope=event)
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
            await send(event)

        host = Headers(scope=scope).get("host", "")
        if origins.hostname(host) in origins.LOOPBACK:
            await self.app(scope, receive, secured)
        else:
            refusal = PlainTextResponse("Open the mailbox as 127.0.0.1 or localhost.\n", status_code=421)
            await refusal(scope, receive, secured)


async def same_origin(request: Request) -> None:
    """A FastAPI dependency of every route that changes something: only the page itself, or no browser at all.

    :raises HTTPException: 403 for any other site.
    """
    if origins.is_from_elsewhere(request.headers, request.url.scheme):
        raise HTTPException(403, "Only the mailbox's own page may do this")
