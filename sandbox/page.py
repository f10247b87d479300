"""The sandbox in a browser: mails, SMS, app push and devices. Its JSON is in ``mail_api``, ``sms_api`` and so on."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

from sandbox.app_api import app_routes
from sandbox.devices_api import device_routes
from sandbox.guard import Guard
from sandbox.mail_api import mail_routes
from sandbox.serving import serving
from sandbox.sms_api import sms_routes

if TYPE_CHECKING:
    import socket

    from sandbox.app_store import AppStore
    from sandbox.devices import Devices
    from sandbox.fcm import FcmGateway
    from sandbox.mailbox import Mailbox
    from sandbox.sms_gateway import AliyunGateway, SmsGateway

_ASSETS = {
    "mailbox.css": "text/css",
    "mailbox.js": "text/javascript",
    "elements.js": "text/javascript",
    "mails.js": "text/javascript",
    "sms.js": "text/javascript",
    "app.js": "text/javascript",
    "devices.js": "text/javascript",
    "words.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Host and port of the other servers, as the page tells them."""

    smtp: str
    sms: str


def create_app(
    mailbox: Mailbox,
    gateway: SmsGateway,
    addresses: Addresses,
    app_push: tuple[AppStore, AliyunGateway, FcmGateway],
    devices: Devices,
) -> FastAPI:
    """The page and its API."""
    # The documentation pages of FastAPI load scripts from the internet.
    app = FastAPI(title="Push sandbox", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    app.include_router(mail_routes(mailbox))
    app.include_router(sms_routes(gateway))
    app.include_router(app_routes(*app_push))
    app.include_router(device_routes(devices))
    static = resources.files(__package__) / "static"
    template = (static / "mailbox.html").read_text("utf-8")
    assets = {name: (static / name).read_bytes() for name in _ASSETS}

    @app.get("/")
    async def page(request: Request) -> HTMLResponse:
        language = _language(request.headers.get("accept-language", ""))
        text = template.replace("{language}", language)
        text = text.replace("{smtp}", html.escape(addresses.smtp)).replace("{sms}", html.escape(addresses.sms))
        return HTMLResponse(text)

    @app.get("/static/{name}")
    async def asset(name: str) -> Response:
        if name not in assets:
            raise HTTPException(404, "There is no such file")
        return Response(assets[name], media_type=_ASSETS[name])

    return app


@asynccontextmanager
async def serve(
    listener: socket.socket,
    mailbox: Mailbox,
    gateway: SmsGateway,
    addresses: Addresses,
    app_push: tuple[AppStore, AliyunGateway, FcmGateway],
    devices: Devices,
) -> AsyncIterator[None]:
    """Serve the page on a bound socket for as long as the context lasts."""
    async with serving(create_app(mailbox, gateway, addresses, app_push, devices), listener):
        yield


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
