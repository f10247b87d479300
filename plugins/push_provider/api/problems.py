"""Errors as problem details (RFC 9457): which status each has, and which field is meant."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from push_provider import exceptions
from push_provider.exceptions import MOST_ERRORS, FieldError, FieldErrors, InvalidTask, PushError, TransientError
from push_provider.rendering.processes import Gone
from push_provider.unforeseen import traceback_of
from push_provider.visible import visible

log = logging.getLogger(__name__)

_CLIENT_CLOSED_REQUEST = 499
"""As nginx has it (ngx_http_request.h)."""
MEDIA_TYPE = "application/problem+json"


class BrokenField(BaseModel):
    """One broken field."""

    field: str = Field(description="Its path, such as `recipients[3].to`", examples=["recipients[0].to"])
    message: str = Field(description="What would be right", examples=["'nobody' is not a mail address"])


class ProblemDetails(BaseModel):
    """What is wrong with a request (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "subject: an email needs one",
                    "code": "invalid",
                    "errors": [{"field": "subject", "message": "an email needs one"}],
                }
            ]
        },
    )

    type: str = Field(default="about:blank", description="Always `about:blank`: the status and `code` say it all")
    title: str = Field(description="The status in words")
    status: int
    detail: str = Field(description="What is wrong, and what to do")
    code: str = Field(description="The same for programs; it does not change from version to version")
    errors: list[BrokenField] = Field(
        default=[],
        description=f"The broken fields, if fields are: the first {MOST_ERRORS}; `detail` says how many more",
    )


class Problem(Exception):
    """An answer that tells what is wrong.

    :param status: 400 to 599.
    :param code: for programs, in lower case with hyphens.
    :param detail: for people: what is wrong, and the remedy.
    :param retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = FieldErrors(errors)
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def body(self) -> dict[str, Any]:
        """The problem details."""
        details: dict[str, Any] = {
            "type": "about:blank",
            "title": _title(self.status),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            # As in the detail: names of fields are others' words, and half a surrogate pair has no UTF-8.
            "errors": [
                {name: visible(text, lines=True) for name, text in error._asdict().items()} for error in self.errors
            ],
        }
        return details

    def response(self) -> JSONResponse:
        """The problem as an answer."""
        return JSONResponse(self.body(), self.status, self.headers, MEDIA_TYPE)


def invalid(*errors: FieldError) -> Problem:
    """The problem that fields are broken."""
    return broken(FieldErrors(errors))


def broken(errors: FieldErrors) -> Problem:
    """The same of those that are collected already."""
    return Problem(422, "invalid", errors.told(), errors=errors)


def fault() -> Problem:
    """The problem that nobody thought of; the log has the traceback."""
    return Problem(500, "fault", "Something is wrong on our side; the API server's log says what.")


_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # as RFC 9110 has them, in all Python versions


def _title(status: int) -> str:
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"


_STATUS: tuple[tuple[type[PushError], int, str], ...] = (
    (exceptions.UnknownTask, 404, "unknown-task"),
    (exceptions.UnknownExecution, 404, "unknown-execution"),
    (exceptions.UnknownMessage, 404, "unknown-message"),
    (exceptions.UnknownSuppression, 404, "unknown-suppression"),
    (exceptions.UnknownConfig, 404, "unknown-config"),
    (exceptions.TaskClosed, 409, "task-closed"),
    (exceptions.TaskPaused, 409, "task-paused"),
    (exceptions.TaskExists, 409, "task-exists"),
    (exceptions.TaskBusy, 409, "task-busy"),
    (exceptions.NothingToRedrive, 409, "nothing-to-redrive"),
    (exceptions.KeyReused, 409, "key-reused"),
    (exceptions.RenderingBudget, 429, "rendering-budget"),
    (exceptions.LimitReached, 429, "limit-reached"),
    (exceptions.ContentError, 422, "content"),
    (exceptions.ConfigurationError, 409, "configuration"),
    (exceptions.DagNotReady, 503, "dag-not-ready"),
    (exceptions.LedgerUnavailable, 503, "ledger-unavailable"),
    (TransientError, 503, "unavailable"),
    (PushError, 409, "refused"),
)
_RETRY_AFTER = 2
"""Seconds after which what is away for a moment may be asked for again."""


def of_error(error: PushError) -> Problem:
    """The problem of one of the package's errors."""
    if isinstance(error, InvalidTask):
        return broken(error.errors)
    if isinstance(error, exceptions.NotAllowed):
        return Problem(403, "forbidden", str(error), errors=error.errors)
    status, code = next((status, code) for cls, status, code in _STATUS if isinstance(error, cls))
    wait = getattr(error, "retry_after", None) or _RETRY_AFTER
    return Problem(status, code, str(error), retry_after=wait if status in (429, 503) else None)


def register(app: FastAPI, *, login: Callable[[Request, HTTPException], Response | None]) -> None:
    """Let every error of the app be answered as problem details.

    :param login: the answer to somebody who has opened a page and is not logged in.
    """

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return login(request, error) or _http(request, error)

    for cls, handler in (
        (Problem, _problem),
        (PushError, _push_error),
        (Gone, _gone),
        (RequestValidationError, _parameters),
        (HTTPException, http),
        (DataError, _unstorable),
        (OperationalError, _database_away),
        (PoolTimeout, _database_away),
        (SQLAlchemyError, _fault),  # by itself: Airflow's own handler would try to answer once more
        (Exception, _fault),
    ):
        app.add_exception_handler(cls, handler)


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _push_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PushError)
    return of_error(error).response()


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)  # for the access log: nobody reads it


async def _parameters(_request: Request, error: Exception) -> JSONResponse:
    """Query and path parameters: FastAPI's own findings in our words."""
    assert isinstance(error, RequestValidationError)
    faults = []
    for detail in error.errors():
        place, *name = detail["loc"]
        message = str(detail["msg"]).replace("Input should be", "must be")
        faults.append(FieldError(".".join(map(str, name)) or str(place), message))
    return invalid(*faults).response()


_CODES = {400: "bad-request", 401: "not-authenticated", 403: "forbidden", 404: "not-found", 405: "method-not-allowed"}


def _http(request: Request, error: HTTPException) -> JSONResponse:
    status = error.status_code
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
        detail = f"{detail}. Get a token with POST /auth/token, and send it as 'Authorization: Bearer …'."
    elif status == 403 and detail == "Forbidden":
        detail = "Your role may not do this."
    elif status == 404 and detail == "Not Found":
        detail = "There is no such path; /push/docs lists those that exist."
    elif status == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    return Problem(status, _CODES.get(status, "error"), detail, headers=headers).response()


def _allowed(request: Request) -> list[str]:
    """The methods of a path. Starlette names those of the first route alone, and each method here has its own."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    # As in OpenAPI, a path without parameters goes before one with them.
    routes = [route for route in routes if "{" not in route.path] or routes
    return sorted({method for route in routes for method in route.methods})


async def _unstorable(_request: Request, _error: Exception) -> JSONResponse:
    return Problem(422, "invalid", "A value is too long, out of range, or cannot be stored.").response()


async def _database_away(_request: Request, error: Exception) -> JSONResponse:
    log.error("Airflow's database cannot be used: %s", type(error).__name__)
    detail = "Airflow's database cannot be used just now. Try again in a moment."
    return Problem(503, "unavailable", detail, retry_after=_RETRY_AFTER).response()


async def _fault(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed:\n%s", request.method, request.url.path, traceback_of(error))
    return fault().response()
