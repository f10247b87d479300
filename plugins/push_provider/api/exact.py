"""Answers that show numbers as they were written: for a template, 12.50 is not 12.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Response

from push_provider import written
from push_provider.api.bodies import JSON_TYPE

if TYPE_CHECKING:
    from push_provider.api.models import Answer


def exactly(answer: Answer, **fields: Any) -> Response:
    """An answer as JSON, its numbers as :mod:`push_provider.written` has them, where pydantic makes plain floats.

    :param fields: the values of those that hold such numbers: what of JSON they are made of is answered as it is.
    """
    document = {**answer.model_dump(mode="json", exclude=set(fields)), **fields}
    return Response(written.dumps(document), media_type=JSON_TYPE)
