"""What the sandbox's page asks of app push, and how tests make it misbehave.

==================================  ===================================================================
``GET /api/app``                    the newest messages: filters ``to`` ``q``, then ``limit`` ``offset``; an
                                    ETag tells that nothing is new
``GET /api/app/{id}``               one message
``DELETE /api/app``                 removes all
``GET /control/app/calls``          how often each action was called, and the newest 1,000 calls
``DELETE /control/app/calls``       counts from 0 again
``GET /control/app/faults``         the faults still to come
``POST /control/app/faults``        the next calls get this :class:`~sandbox.sms_faults.Fault`
``DELETE /control/app/faults``      behaves again
``…      /control/fcm/…``           the same of Google's
==================================  ===================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from sandbox import lists
from sandbox.controls import control_routes
from sandbox.guard import same_origin

if TYPE_CHECKING:
    from sandbox.app_store import AppStore
    from sandbox.fcm import FcmGateway
    from sandbox.sms_gateway import AliyunGateway

_OWN = [Depends(same_origin)]


def app_routes(store: AppStore, aliyun: AliyunGateway, google: FcmGateway) -> APIRouter:
    """The routes above."""
    routes = APIRouter()
    routes.include_router(control_routes("app", aliyun))
    routes.include_router(control_routes("fcm", google))

    @routes.get("/api/app")
    async def list_messages(
        request: Request,
        to: str = "",
        q: str = "",
        limit: lists.Limit = 100,
        offset: lists.Offset = 0,
    ) -> Response:
        def find() -> tuple[list[Any], int]:
            found, total = store.find(to=to, text=q, limit=limit, offset=offset)
            return [one.as_json() for one in found], total

        return lists.answer(request, store.version, find)

    @routes.get("/api/app/{name}")
    async def show_message(name: str) -> JSONResponse:
        if (message := store.get(name)) is None:
            raise HTTPException(404, f"There is no message {name!r}")
        return JSONResponse(message.as_json())

    @routes.delete("/api/app", dependencies=_OWN)
    async def delete_messages() -> JSONResponse:
        return JSONResponse({"removed": store.clear()})

    return routes
