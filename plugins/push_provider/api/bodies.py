"""Request bodies: JSON, read strictly, and through the one contract."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request

from push_provider import strict_json, written
from push_provider.api import large_bodies, second_server
from push_provider.api.guards import Caller, CallerDep
from push_provider.api.hangups import until_gone
from push_provider.api.problems import Problem, invalid
from push_provider.api.second_server import PassedOn
from push_provider.contract.documents import DEPTH_LIMIT, TOO_DEEP
from push_provider.contract.wording import path_of
from push_provider.exceptions import FieldError, FieldErrors, InvalidTask
from push_provider.ledger.answers import Ask

JSON_TYPE = "application/json"
MERGE_PATCH_TYPE = "application/merge-patch+json"


class Body(NamedTuple):
    """A request's body as it came.

    :param data: its bytes; empty for none.
    """

    data: bytes

    def json(self) -> Any:
        """The document.

        :raises Problem: 400, it is no JSON (RFC 8259), or a name stands twice in an object.
        """
        try:
            return strict_json.loads(self.data)
        except ValueError as error:
            raise Problem(400, "bad-json", f"The body {error}") from None

    def mapping(self, *, optional: bool = False) -> dict[str, Any]:
        """The document, which must be an object.

        :param optional: no body at all is an empty object.
        :raises Problem: 400 or 422, it is none.
        """
        if not self.data:
            if optional:
                return {}
            raise Problem(400, "no-body", "There is no body; send a JSON object.")
        document = self.json()
        if not isinstance(document, dict):
            raise invalid(FieldError("(document)", "must be a mapping of fields"))
        return document


def unknown_fields(document: Mapping[str, Any], *known: str) -> FieldErrors:
    """An error for each field of a document that is none of those known."""
    message = f"is not a field here; known {'is' if len(known) == 1 else 'are'}: {', '.join(known)}"
    return FieldErrors(FieldError(name[:60], message) for name in document if name not in known)


def ask(caller: Caller, request: Request, key: str | None, document: Any) -> Ask | None:
    """What the caller asks for under this Idempotency-Key; None without one."""
    return Ask(caller.id, f"POST {request.url.path}", key, _fingerprint(document)) if key else None


def _fingerprint(document: Any) -> str:
    """SHA-256 of a document, however it is spaced and ordered; 12.50 and 12.5 are two, as they are in a message."""
    return hashlib.sha256(written.dumps(document, sort_keys=True).encode()).hexdigest()


def merge_patch(target: Any, patch: Any, place: tuple[str, ...] = ()) -> Any:
    """Apply a JSON Merge Patch (RFC 7396, section 2).

    :param place: the names that lead to it, if it is part of another.
    :raises InvalidTask: it is nested deeper than what it makes may be.
    """
    if not isinstance(patch, Mapping):
        return patch
    if len(place) >= DEPTH_LIMIT:
        raise InvalidTask([FieldError(path_of(place), TOO_DEEP)])
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value, (*place, name))
    return merged


def _reader(*types: str) -> Any:
    async def read(request: Request, caller: CallerDep) -> AsyncIterator[Body]:
        data = await request.body()
        kind = request.headers.get("content-type", "")
        if data and kind.split(";")[0].strip().lower() not in types:
            raise Problem(
                415, "unsupported-media-type", f"The body is {kind or 'of no type'}; send {' or '.join(types)}"
            )
        if len(data) >= large_bodies.LONG and (passed_on := await second_server.answer(request, data)):
            raise PassedOn(passed_on)
        async with large_bodies.bodies.place(len(data), caller.id, lambda: until_gone(request.receive)):
            yield Body(data)

    return read


# A body that takes long has its place until the call is done, and gives it back before the answer is sent.
JsonBody = Annotated[Body, Depends(_reader(JSON_TYPE), scope="function")]
PatchBody = Annotated[Body, Depends(_reader(MERGE_PATCH_TYPE, JSON_TYPE), scope="function")]
