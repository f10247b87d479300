"""Path, query and header parameters that several calls take."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Header, Path, Query
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from push_provider.api.models import Id
from push_provider.contract import CODE_PATTERN
from push_provider.contract.values import moment


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _with_zone(value: Any) -> Any:
    found = moment(value)
    if found.tzinfo is None:
        raise ValueError("needs an offset, like '2026-07-01T09:00:00+08:00'; in a URL write + as %2B")
    return found


def _true_or_false(value: Any) -> Any:
    # pydantic also takes 1, yes, on and their like, which no description of a boolean allows.
    if value not in ("true", "false", True, False):
        raise ValueError("must be true or false")
    return value


Text = Annotated[str, Query(min_length=1, max_length=320), AfterValidator(_storable)]
Moment = Annotated[
    datetime,
    BeforeValidator(_with_zone),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-07-01T09:00:00Z"]}),
]
Code = Annotated[str, Path(pattern=CODE_PATTERN, description="Code of the push task", examples=["stock-report"])]
CodeFilter = Annotated[str | None, Query(pattern=CODE_PATTERN, description="Only of this push task")]
ExecutionId = Annotated[Id, Path(ge=1, lt=2**63, description="The execution")]
Flag = Annotated[bool, BeforeValidator(_true_or_false)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same body gives the first answer again, for 24 hours, and does nothing "
        "twice; with another body it is refused (409). Any text of yours that names this request.",
        examples=["order-A-1002"],
    ),
]
