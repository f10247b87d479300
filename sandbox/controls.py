"""How tests see the calls of a vendor, and make it misbehave: routes of the page's server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol

from fastapi import APIRouter, Body, Depends, HTTPException
from fastapi.responses import JSONResponse

from sandbox.guard import same_origin
from sandbox.sms_faults import Fault, Faults

if TYPE_CHECKING:
    from collections import Counter, deque
    from collections.abc import Collection

    from sandbox.sms_gateway import Call

_OWN = [Depends(same_origin)]


class Controlled(Protocol):
    """A vendor."""

    faults: Faults
    counts: Counter[str]
    calls: deque[Call]

    @property
    def actions(self) -> Collection[str]:
        """What it can be asked to do."""

    def forget_calls(self) -> None:
        """Count from 0 again."""


def control_routes(name: str, gateway: Controlled) -> APIRouter:
    """The routes below ``/control/<name>``: ``calls`` (GET, DELETE) and ``faults`` (GET, POST, DELETE)."""
    routes = APIRouter(prefix=f"/control/{name}")

    @routes.get("/calls")
    async def show_calls() -> JSONResponse:
        calls = [call.as_json() for call in reversed(gateway.calls)]
        return JSONResponse({"counts": dict(gateway.counts), "calls": calls})

    @routes.delete("/calls", dependencies=_OWN)
    async def forget_calls() -> JSONResponse:
        counted = sum(gateway.counts.values())
        gateway.forget_calls()
        return JSONResponse({"forgotten": counted})

    @routes.get("/faults")
    async def show_faults() -> JSONResponse:
        return JSONResponse({"faults": [fault.as_json() for fault in gateway.faults.coming()]})

    @routes.post("/faults", dependencies=_OWN, status_code=201)
    async def add_fault(data: Annotated[dict[str, Any], Body()]) -> JSONResponse:
        try:
            fault = Fault.from_json(data)
        except (TypeError, ValueError) as error:
            raise HTTPException(422, str(error)) from None
        if fault.action and fault.action not in gateway.actions:
            raise HTTPException(422, f"action: there are {', '.join(gateway.actions)}")
        gateway.faults.add(fault)
        return JSONResponse(fault.as_json(), status_code=201)

    @routes.delete("/faults", dependencies=_OWN)
    async def clear_faults() -> JSONResponse:
        return JSONResponse({"removed": gateway.faults.clear()})

    return routes
