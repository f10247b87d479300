"""What the sandbox's page asks of devices: who got what, and an acknowledgement in their place.

=====================================  ================================================================
``GET /api/devices``                   those that have got something: filter ``q``, then ``limit`` ``offset``;
                                       an ETag tells that nothing is new
``GET /api/devices/{id}``              one, ``user/<id>`` or ``phone/<target>``, with what it got
``POST /api/devices/acknowledge``      ``{"device": …, "message": …}``: uses the message's link
=====================================  ================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body, Depends, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from sandbox import lists
from sandbox.guard import same_origin

if TYPE_CHECKING:
    from sandbox.devices import Devices


def device_routes(devices: Devices) -> APIRouter:
    """The routes above."""
    routes = APIRouter()

    @routes.get("/api/devices")
    async def list_devices(
        request: Request,
        q: str = "",
        limit: lists.Limit = 100,
        offset: lists.Offset = 0,
    ) -> Response:
        return lists.answer(request, devices.version, lambda: devices.find(text=q, limit=limit, offset=offset))

    @routes.post("/api/devices/acknowledge", dependencies=[Depends(same_origin)])
    async def acknowledge(
        device: Annotated[str, Body(embed=True)], message: Annotated[str, Body(embed=True)]
    ) -> JSONResponse:
        status = await run_in_threadpool(devices.acknowledge, device, message)
        if status is None:
            raise HTTPException(404, f"{device!r} has no message {message!r} with a link")
        return JSONResponse({"status": status})

    @routes.get("/api/devices/{device:path}")
    async def show_device(device: str) -> JSONResponse:
        if (found := devices.get(device)) is None:
            raise HTTPException(404, f"There is no device {device!r}: it is user/… or phone/…")
        return JSONResponse(found)

    return routes
