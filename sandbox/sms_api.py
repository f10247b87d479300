"""The SMS as JSON, and the gateway's controls, for the page, tests and scripts.

==================================  ===================================================================
``GET /api/sms``                    the newest SMS: filters ``to`` ``out_id`` ``q``, then ``limit``
                                    ``offset``; an ETag tells that nothing is new
``GET /api/sms/{id}``               one SMS
``DELETE /api/sms``                 removes all
``GET /control/sms/calls``          how often each action was called, and the newest 1,000 calls
``DELETE /control/sms/calls``       counts from 0 again
``GET /control/sms/faults``         the faults still to come
``POST /control/sms/faults``        the next calls get this :class:`.Fault`:
                                    ``{"kind": "refuse", "code": "isv.OUT_OF_SERVICE", "times": 3}``
``DELETE /control/sms/faults``      behaves again
``GET /control/sms/receipts``       how long a receipt takes
``PUT /control/sms/receipts``       ``{"seconds": 2}`` from now on; null: never
``POST /control/sms/receipts``      those waited for arrive now: ``{"code": "DELIVERED", "to": "1380"}``
``GET /control/sms/account``        signatures and templates
``POST /control/sms/signs``         adds one: ``{"name": "…"}``; ``status`` is optional
``POST /control/sms/templates``     adds one: ``{"code": "SMS_7", "content": "…${code}…"}``; ``name``
                                    ``kind`` ``status`` are optional
==================================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from sandbox import lists
from sandbox.controls import control_routes
from sandbox.guard import same_origin
from sandbox.sms_account import Sign, Template
from sandbox.sms_store import DELIVERED

if TYPE_CHECKING:
    from sandbox.sms_gateway import SmsGateway

_OWN = [Depends(same_origin)]
_LONGEST_WAIT = 30 * 86400.0
"""Seconds until a receipt; Aliyun answers for 30 days."""

Data = Annotated[dict[str, Any], Body()]
T = TypeVar("T")


def sms_routes(gateway: SmsGateway) -> APIRouter:
    """The routes above, for this gateway."""
    routes = APIRouter()
    routes.include_router(control_routes("sms", gateway))
    store = gateway.store

    @routes.get("/api/sms")
    async def list_sms(
        request: Request,
        to: str = "",
        out_id: str = "",
        q: str = "",
        limit: lists.Limit = 100,
        offset: lists.Offset = 0,
    ) -> Response:
        def find() -> tuple[list[Any], int]:
            found, total = store.find(to=to, out_id=out_id, text=q, limit=limit, offset=offset)
            now = store.clock()
            return [sms.shown(now) for sms in found], total

        return lists.answer(request, store.version, find)

    @routes.get("/api/sms/{sms_id}")
    async def show_sms(sms_id: str) -> JSONResponse:
        sms = store.get(sms_id)
        if sms is None:
            raise HTTPException(404, f"There is no SMS {sms_id!r}")
        return JSONResponse(sms.shown(store.clock()))

    @routes.delete("/api/sms", dependencies=_OWN)
    async def delete_sms() -> JSONResponse:
        return JSONResponse({"removed": _written(store.clear)})

    @routes.get("/control/sms/receipts")
    async def show_receipts() -> JSONResponse:
        return JSONResponse({"seconds": gateway.service.receipt_seconds})

    @routes.put("/control/sms/receipts", dependencies=_OWN)
    async def set_receipts(data: Data) -> JSONResponse:
        seconds = data.get("seconds", "")
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if data.keys() != {"seconds"} or not (seconds is None or (is_number and 0 <= seconds <= _LONGEST_WAIT)):
            raise HTTPException(422, f"seconds: give a number from 0 to {_LONGEST_WAIT:.0f}, or null for never")
        gateway.service.receipt_seconds = seconds
        return JSONResponse({"seconds": seconds})

    @routes.post("/control/sms/receipts", dependencies=_OWN)
    async def settle_receipts(data: Data) -> JSONResponse:
        code, to = data.get("code", DELIVERED), data.get("to", "")
        if data.keys() - {"code", "to"} or not (isinstance(code, str) and code and isinstance(to, str)):
            raise HTTPException(422, "Give code, what the carrier says, and to, a part of the number; both are texts")
        return JSONResponse({"settled": _written(lambda: store.settle(code, to=to))})

    @routes.get("/control/sms/account")
    async def show_account() -> JSONResponse:
        account = store.account
        return JSONResponse(
            {
                "signs": [asdict(sign) for sign in account.signs.values()],
                "templates": [asdict(template) for template in account.templates.values()],
            }
        )

    @routes.post("/control/sms/signs", dependencies=_OWN, status_code=201)
    async def add_sign(data: Data) -> JSONResponse:
        sign = _read(lambda: Sign(**data))
        _written(lambda: _read(lambda: store.account.add_sign(sign)))
        return JSONResponse(asdict(sign), status_code=201)

    @routes.post("/control/sms/templates", dependencies=_OWN, status_code=201)
    async def add_template(data: Data) -> JSONResponse:
        template = _read(lambda: Template(**data))
        _written(lambda: _read(lambda: store.account.add_template(template)))
        return JSONResponse(asdict(template), status_code=201)

    return routes


def _read(make: Callable[[], T]) -> T:
    """What ``make`` makes of a body.

    :raises HTTPException: 422; the text names what is wrong.
    """
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise HTTPException(422, str(error)) from None


def _written(write: Callable[[], T]) -> T:
    """What ``write`` gives.

    :raises HTTPException: 507, the disk takes nothing more.
    """
    try:
        return write()
    except OSError as error:
        raise HTTPException(507, f"The sandbox cannot write: {error.strerror}") from None
