"""Lists of what the sandbox holds, as the page asks for them every second: nothing is sent twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query, Response
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from fastapi import Request

Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0)]


def answer(request: Request, version: object, find: Callable[[], tuple[Sequence[Any], int]]) -> Response:
    """A part of a list, or 304 if the caller has it as it is.

    :param version: of what the list is of, another one whenever that changes: its ETag (RFC 9110, 8.8.3).
    :param find: the entries as JSON, and how many there are in all.
    """
    headers = {"ETag": f'"{version}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    items, total = find()
    return JSONResponse({"items": items, "total_entries": total}, headers=headers)
