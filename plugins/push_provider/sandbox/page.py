"""The mailbox in a browser, and the same as JSON for tests and scripts.

========================================  =============================================================
``GET /``                                 the page
``GET /api/mails``                        the newest mails: filters ``to`` ``subject`` ``q``, then
                                          ``limit`` ``offset``; an ETag tells that nothing is new
``GET /api/mails/{id}``                   one mail, decoded
``GET /api/mails/{id}/source``            the mail as it came (message/rfc822)
``GET /api/mails/{id}/html``              its HTML body, fit for a frame: no script, nothing remote
``GET /api/mails/{id}/attachments/{n}``   an attachment, counted from 0, as a download
``DELETE /api/mails``                     removes all
========================================  =============================================================

A mail is hostile until shown otherwise, and so is every other site that the user's browser has open:
see :class:`_Guard` and ``_MAIL_POLICY``.
"""

from __future__ import annotations

import asyncio
import base64
import html
import re
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote, urlsplit

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.datastructures import Headers, MutableHeaders

from push_provider.sandbox.message import Parts, parts

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp, Receive, Scope, Send

    from push_provider.sandbox.mailbox import Mail, Mailbox

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY = (
    # As the frame's own attribute says, and also when somebody opens the address outside the page.
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_SECURITY = {
    "Content-Security-Policy": _PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_ASSETS = {"mailbox.css": "text/css", "mailbox.js": "text/javascript", "icon.svg": "image/svg+xml"}
_START = re.compile(r"\A\s*(?:<!doctype[^>]*>)?", re.IGNORECASE)
_CID = re.compile(r"(?<=[\"'(=\s])cid:([^\"'()\s<>]+)", re.IGNORECASE)
_REMOTE = re.compile(
    r"<(?:img|link|source|video|audio|iframe|input|table|td|body)\b[^>]*?"
    r"\b(?:src|srcset|href|background|poster)\s*=\s*[\"']?\s*(?:https?:)?//"
    r"|url\(\s*[\"']?\s*(?:https?:)?//",
    re.IGNORECASE,
)


class _Guard:
    """Answers only requests made for a loopback name, and adds the headers that keep a browser strict.

    Without the first, a site could point a name of its own at 127.0.0.1 and read the mails (DNS
    rebinding).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        if _hostname(f"//{host}") in _NAMES:
            await self.app(scope, receive, secured)
        else:
            refusal = PlainTextResponse("Open the mailbox as 127.0.0.1 or localhost.\n", status_code=421)
            await refusal(scope, receive, secured)


def create_app(mailbox: Mailbox, *, smtp_address: str) -> FastAPI:
    """The page and its API.

    :param smtp_address: host and port of the mail server, as the page tells them.
    """
    # The documentation pages of FastAPI load scripts from the internet.
    app = FastAPI(title="Push sandbox", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Guard)
    static = resources.files(__package__) / "static"
    template = (static / "mailbox.html").read_text("utf-8")
    assets = {name: (static / name).read_bytes() for name in _ASSETS}

    def known(mail_id: str) -> Mail:
        mail = mailbox.get(mail_id)
        if mail is None:
            raise HTTPException(404, f"There is no mail {mail_id!r}")
        return mail

    async def source(mail: Mail) -> bytes:
        try:
            return await asyncio.to_thread(mailbox.read, mail)
        except FileNotFoundError:
            raise HTTPException(404, f"The mail {mail.id!r} was removed") from None

    async def decoded(mail: Mail) -> Parts:
        return await asyncio.to_thread(parts, await source(mail))

    @app.get("/")
    async def page(request: Request) -> HTMLResponse:
        language = _language(request.headers.get("accept-language", ""))
        text = template.replace("{language}", language).replace("{smtp}", html.escape(smtp_address))
        return HTMLResponse(text)

    @app.get("/static/{name}")
    async def asset(name: str) -> Response:
        if name not in assets:
            raise HTTPException(404, "There is no such file")
        return Response(assets[name], media_type=_ASSETS[name])

    @app.get("/api/mails")
    async def list_mails(
        request: Request,
        to: str = "",
        subject: str = "",
        q: str = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        headers = {"ETag": f'"{mailbox.version}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        mails, total = mailbox.find(to=to, subject=subject, text=q, limit=limit, offset=offset)
        return JSONResponse({"items": [mail.as_json() for mail in mails], "total_entries": total}, headers=headers)

    @app.get("/api/mails/{mail_id}")
    async def show_mail(mail_id: str) -> JSONResponse:
        mail = known(mail_id)
        content = await decoded(mail)
        return JSONResponse(
            {
                **mail.as_json(),
                "headers": content.headers,
                "text": content.text,
                "html": content.html,
                "remote_content": bool(content.html and _REMOTE.search(content.html)),
                "attachments": [
                    {
                        "name": part.name,
                        "content_type": part.content_type,
                        "size": len(part.content),
                        "content_id": part.content_id,
                    }
                    for part in content.attachments
                ],
            }
        )

    @app.get("/api/mails/{mail_id}/source")
    async def show_source(mail_id: str) -> Response:
        mail = known(mail_id)
        headers = {"Content-Disposition": f'attachment; filename="{mail.id}.eml"'} if _is_plain(mail.id) else {}
        return Response(await source(mail), media_type="message/rfc822", headers=headers)

    @app.get("/api/mails/{mail_id}/html")
    async def show_html(mail_id: str) -> HTMLResponse:
        content = await decoded(known(mail_id))
        if content.html is None:
            raise HTTPException(404, f"The mail {mail_id!r} has no HTML")
        return HTMLResponse(_framed(content), headers={"Content-Security-Policy": _MAIL_POLICY})

    @app.get("/api/mails/{mail_id}/attachments/{number}")
    async def show_attachment(mail_id: str, number: int) -> Response:
        content = await decoded(known(mail_id))
        if not 0 <= number < len(content.attachments):
            raise HTTPException(404, f"The mail {mail_id!r} has no attachment {number}")
        part = content.attachments[number]
        return Response(
            part.content,
            media_type="application/octet-stream",
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(part.name, safe='')}",
                "Content-Security-Policy": "sandbox; default-src 'none'",
            },
        )

    @app.delete("/api/mails")
    async def delete_mails(request: Request) -> JSONResponse:
        if not _same_origin(request.headers):
            raise HTTPException(403, "Only the mailbox's own page may do this")
        return JSONResponse({"removed": mailbox.clear()})

    return app


class _Server(uvicorn.Server):
    """Leaves signals to the program that holds several servers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(listener: socket.socket, mailbox: Mailbox, *, smtp_address: str) -> AsyncIterator[None]:
    """Serve the page on a bound socket for as long as the context lasts.

    :param smtp_address: host and port of the mail server, as the page tells them.
    """
    server = _Server(
        uvicorn.Config(
            create_app(mailbox, smtp_address=smtp_address),
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _same_origin(headers: Headers) -> bool:
    """Whether a request comes from the page itself, or from no browser at all.

    Every browser sends Origin with a DELETE, and current ones Sec-Fetch-Site (Fetch standard, 3.2;
    W3C Fetch Metadata); a script sends neither.
    """
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = headers.get("origin")
    return origin is None or origin == f"http://{headers.get('host')}"


def _language(accepted: str) -> str:
    """``zh`` or ``en``, whichever Accept-Language (RFC 9110, 12.5.4) likes better."""
    weights = {"en": 0.0, "zh": 0.0}
    for entry in accepted.split(","):
        tag, _, parameter = entry.partition(";")
        name = tag.strip().lower().partition("-")[0]
        try:
            weight = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if name in weights:
            weights[name] = max(weights[name], weight)
    return "zh" if weights["zh"] > weights["en"] else "en"


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and not set(name) & {'"', "\\"}


def _framed(content: Parts) -> str:
    """A mail's HTML with its own images inside, and with links that open beside the page."""
    own = {part.content_id: part for part in content.attachments if part.content_id}

    def inline(match: re.Match[str]) -> str:
        part = own.get(unquote(html.unescape(match[1])))
        if part is None or not part.content_type.startswith("image/"):
            return match[0]
        kind = re.sub(r"[^a-z0-9.+/-]", "", part.content_type)
        return f"data:{kind};base64,{base64.b64encode(part.content).decode()}"

    body = _CID.sub(inline, content.html or "")
    # After the doctype, or the mail would be laid out in quirks mode.
    start = _START.match(body)
    at = start.end() if start else 0
    return f'{body[:at]}<base target="_blank">{body[at:]}'
