"""The mails as JSON, for the page, tests and scripts.

========================================  =============================================================
``GET /api/mails``                        the newest mails: filters ``to`` ``subject`` ``q``, then
                                          ``limit`` ``offset``; an ETag tells that nothing is new
``GET /api/mails/{id}``                   one mail, decoded
``GET /api/mails/{id}/source``            the mail as it came (message/rfc822)
``GET /api/mails/{id}/html``              its HTML body, fit for a frame: no script, nothing remote
``GET /api/mails/{id}/attachments/{n}``   an attachment, counted from 0, as a download
``DELETE /api/mails``                     removes all
========================================  =============================================================

A mail is hostile until shown otherwise: see ``_MAIL_POLICY``.
"""

from __future__ import annotations

import asyncio
import base64
import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from sandbox import lists
from sandbox.guard import same_origin
from sandbox.message import Parts, parts

if TYPE_CHECKING:
    from sandbox.mailbox import Mail, Mailbox

_MAIL_POLICY = (
    # As the frame's own attribute says, and also when somebody opens the address outside the page.
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_START = re.compile(r"\A\s*(?:<!doctype[^>]*>)?", re.IGNORECASE)
_CID = re.compile(r"(?<=[\"'(=\s])cid:([^\"'()\s<>]+)", re.IGNORECASE)
_REMOTE = re.compile(
    r"<(?:img|link|source|video|audio|iframe|input|table|td|body)\b[^>]*?"
    r"\b(?:src|srcset|href|background|poster)\s*=\s*[\"']?\s*(?:https?:)?//"
    r"|url\(\s*[\"']?\s*(?:https?:)?//",
    re.IGNORECASE,
)


def mail_routes(mailbox: Mailbox) -> APIRouter:
    """The routes above, for this mailbox."""
    routes = APIRouter()

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

    @routes.get("/api/mails")
    async def list_mails(
        request: Request,
        to: str = "",
        subject: str = "",
        q: str = "",
        limit: lists.Limit = 100,
        offset: lists.Offset = 0,
    ) -> Response:
        def find() -> tuple[list[Any], int]:
            mails, total = mailbox.find(to=to, subject=subject, text=q, limit=limit, offset=offset)
            return [mail.as_json() for mail in mails], total

        return lists.answer(request, mailbox.version, find)

    @routes.get("/api/mails/{mail_id}")
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

    @routes.get("/api/mails/{mail_id}/source")
    async def show_source(mail_id: str) -> Response:
        mail = known(mail_id)
        headers = {"Content-Disposition": f'attachment; filename="{mail.id}.eml"'} if _is_plain(mail.id) else {}
        return Response(await source(mail), media_type="message/rfc822", headers=headers)

    @routes.get("/api/mails/{mail_id}/html")
    async def show_html(mail_id: str) -> HTMLResponse:
        content = await decoded(known(mail_id))
        if content.html is None:
            raise HTTPException(404, f"The mail {mail_id!r} has no HTML")
        return HTMLResponse(_framed(content), headers={"Content-Security-Policy": _MAIL_POLICY})

    @routes.get("/api/mails/{mail_id}/attachments/{number}")
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

    @routes.delete("/api/mails", dependencies=[Depends(same_origin)])
    async def delete_mails() -> JSONResponse:
        return JSONResponse({"removed": mailbox.clear()})

    return routes


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
