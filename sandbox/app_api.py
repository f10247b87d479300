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
==================================  ===================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from sandbox.guard import same_origin
from sandbox.sms_faults import Fault

if TYPE_CHECKING:
    from sandbox.app_store import AppStore
    from sandbox.sms_gateway import AliyunGateway

_OWN = [Depends(same_origin)]


def app_routes(store: AppStore, gateway: AliyunGateway) -> APIRouter:
    """The routes above."""
    routes = APIRouter()

    @routes.get("/api/app")
    async def list_messages(
        request: Request,
        to: str = "",
        q: str = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        headers = {"ETag": f'"{store.version}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        found, total = store.find(to=to, text=q, limit=limit, offset=offset)
        return JSONResponse({"items": [one.as_json() for one in found], "total_entries": total}, headers=headers)

    @routes.get("/api/app/{name}")
    async def show_message(name: str) -> JSONResponse:
        if (message := store.get(name)) is None:
            raise HTTPException(404, f"There is no message {name!r}")
        return JSONResponse(message.as_json())

    @routes.delete("/api/app", dependencies=_OWN)
    async def delete_messages() -> JSONResponse:
        return JSONResponse({"removed": store.clear()})

    @routes.get("/control/app/calls")
    async def show_calls() -> JSONResponse:
        calls = [call.as_json() for call in reversed(gateway.calls)]
        return JSONResponse({"counts": dict(gateway.counts), "calls": calls})

    @routes.delete("/control/app/calls", dependencies=_OWN)
    async def forget_calls() -> JSONResponse:
        counted = sum(gateway.counts.values())
        gateway.forget_calls()
        return JSONResponse({"forgotten": counted})

    @routes.get("/control/app/faults")
    async def show_faults() -> JSONResponse:
        return JSONResponse({"faults": [fault.as_json() for fault in gateway.faults.coming()]})

    @routes.post("/control/app/faults", dependencies=_OWN, status_code=201)
    async def add_fault(data: Annotated[dict[str, Any], Body()]) -> JSONResponse:
        try:
            fault = Fault.from_json(data)
        except (TypeError, ValueError) as error:
            raise HTTPException(422, str(error)) from None
        gateway.faults.add(fault)
        return JSONResponse(fault.as_json(), status_code=201)

    @routes.delete("/control/app/faults", dependencies=_OWN)
    async def clear_faults() -> JSONResponse:
        return JSONResponse({"removed": gateway.faults.clear()})

    return routes
