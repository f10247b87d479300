"""What keeps other sites, which a user's browser may have open, away from Airflow's API server: its middlewares.

:class:`OwnOrigin` is in front of our own calls, everywhere. :class:`NoLogin` is in front of all of Airflow where it
asks nobody for a login. :class:`ForEverySite` lets such sites read the answers of what is theirs to ask for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders

from push_provider import origins
from push_provider.api.problems import Problem
from push_provider.origins import Origin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ELSEWHERE = (
    "A page of another site asks for this, or a program that sends a cookie. A program logs in with "
    "'Authorization: Bearer …' and sends no cookie. If this is your own page behind a proxy, set [api] base_url to the "
    "address that people open; for pages of other sites there is [api] access_control_allow_origins."
)

_OPEN = re.compile(r"(?:/push)?/v1/receipts/[^/]*")
"""What acts on a link of its own and on no login: a page of another site may ask for it, and does nothing in anybody's
name."""


def _is_open(scope: Scope) -> bool:
    return bool(_OPEN.fullmatch(scope["path"].removeprefix(scope.get("root_path", ""))))


def asks_for_login() -> bool:
    """Whether users of Airflow log in; false where everybody is an admin."""
    from airflow.api_fastapi.app import get_auth_manager_cls
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    everybody = conf.getboolean("core", "simple_auth_manager_all_admins")
    return not (everybody and issubclass(get_auth_manager_cls(), SimpleAuthManager))


class OwnOrigin:
    """Refuses with status 403 what changes something and is asked for by the page of another site."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        told = [conf.get("api", "base_url", fallback=""), *conf.getlist("api", "access_control_allow_origins")]
        self._trusted = {origin for origin in map(Origin.of, told) if origin}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks for it."""
        if (
            scope["type"] == "http"
            and scope["method"] not in origins.SAFE_METHODS
            and origins.is_from_elsewhere(Headers(scope=scope), scope["scheme"], self._trusted)
            and not _is_open(scope)
        ):
            await Problem(403, "cross-origin", _ELSEWHERE).response()(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class ForEverySite:
    """Lets pages of every site read each answer to an acknowledgement, and when they may come back if it is refused.

    A browser keeps an answer without these headers from the page (Fetch, 3.2), which takes it for a broken network.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks for it."""
        if scope["type"] != "http" or not _is_open(scope):
            await self.app(scope, receive, send)
            return

        async def shown(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*"
                headers["Access-Control-Expose-Headers"] = "Retry-After"
            await send(message)

        await self.app(scope, receive, shown)


class NoLogin(OwnOrigin):
    """Answers only requests made for a loopback name, or for that of ``[api] base_url``; others get status 421.

    Without it, a site could point a name of its own at 127.0.0.1, and be given an admin's token (DNS rebinding).
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._names = origins.LOOPBACK | {urlsplit(conf.get("api", "base_url", fallback="")).hostname}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks for it."""
        name = origins.hostname(Headers(scope=scope).get("host", "")) if scope["type"] == "http" else None
        if scope["type"] != "http" or (name and name in self._names):
            await super().__call__(scope, receive, send)
            return
        detail = (
            "Nobody logs in here, so Airflow answers to this machine's own names alone: open it as 127.0.0.1 or "
            "localhost, or set [api] base_url to its address."
        )
        await JSONResponse({"detail": detail}, 421)(scope, receive, send)
