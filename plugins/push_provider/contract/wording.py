"""What is said of a document that breaks the contract, in the words of somebody who has never heard of pydantic.

A model says in ``words`` what only its own fields need: by the field's name, with ``[]`` for the items of a list, and
by pydantic's kind of error.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from push_provider.addresses import shown
from push_provider.contract.base import Broken, BrokenItems
from push_provider.exceptions import MOST_ERRORS, FieldError, FieldErrors

Loc = tuple[int | str, ...]
_Elsewhere = Callable[[str], str | None]

_WORDS = {
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number, without quotes or leading zeros",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "mapping": "must be a mapping of fields",
    "missing": "is required",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_type": "must be text; put it in quotes",
}
_MAPPINGS = frozenset(("model_type", "model_attributes_type", "dict_type", "mapping_type"))


def told(error: ValidationError, model: type[BaseModel], elsewhere: _Elsewhere = lambda _: None) -> FieldErrors:
    """The first errors of a document, and how many more there are.

    :param model: that the document was read by.
    :param elsewhere: what is said of a field that the document's model has not, but another one; None for all others.
    """
    details = error.errors(include_url=False, include_input=False)
    first = FieldErrors(islice(_field_errors(details, model, elsewhere), MOST_ERRORS))
    return FieldErrors(first, sum(map(_count, details)) - len(first))


def path_of(loc: Loc) -> str:
    """``("recipients", 3, "to")`` as ``recipients[3].to``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in loc)
    return "".join(parts).lstrip(".") or "(document)"


def unknown_field(name: str, model: type[BaseModel], listed: set[type[BaseModel]]) -> str:
    """What is said of a field that a model has not.

    :param listed: models whose fields have been named; once is enough.
    """
    close = difflib.get_close_matches(name[:60], model.model_fields, n=1)
    if close:
        return f"is not a field here; did you mean {close[0]!r}?"
    if model in listed:
        return "is not a field here, either"
    listed.add(model)
    return f"is not a field here; known are: {', '.join(model.model_fields)}"


def _count(detail: Mapping[str, Any]) -> int:
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Broken):
        return len(cause.errors) + cause.errors.more
    if isinstance(cause, BrokenItems):
        return len(cause.said) + len(cause.details) + cause.more
    return 1


def _field_errors(
    details: Iterable[Mapping[str, Any]], model: type[BaseModel], elsewhere: _Elsewhere
) -> Iterator[FieldError]:
    listed: set[type[BaseModel]] = set()
    for detail in details:
        yield from _errors_of(detail, detail["loc"], model, elsewhere, listed)


def _errors_of(
    detail: Mapping[str, Any], loc: Loc, model: type[BaseModel], elsewhere: _Elsewhere, listed: set[type[BaseModel]]
) -> Iterator[FieldError]:
    kind, context = detail["type"], detail.get("ctx", {})
    cause = context.get("error")
    place = _place(loc, model)
    field = path_of(place.shown)
    if isinstance(cause, Broken):
        for inner in cause.errors:
            yield FieldError(_below(field, inner.field), inner.message)
    elif isinstance(cause, BrokenItems):
        yield from (FieldError(field, message) for _, message in cause.said)
        for item in cause.details:
            yield from _errors_of(item, (*loc, *item["loc"]), model, elsewhere, listed)
    elif kind == "extra_forbidden":
        name, holder = str(loc[-1]), place.holder or model
        yield FieldError(field, (elsewhere(name) if len(loc) == 1 else None) or unknown_field(name, holder, listed))
    elif kind == "union_tag_invalid":
        given, known = shown(context["tag"]), context["expected_tags"].replace("'", "")
        yield FieldError(f"{field}.{context['discriminator'][1:-1]}", f"{given} is none of {known}")
    elif kind == "union_tag_not_found":
        yield FieldError(f"{field}.{context['discriminator'][1:-1]}", f"is required: one of {', '.join(place.tags)}")
    elif cause is not None:
        yield FieldError(field, str(cause))
    else:
        kind = "mapping" if kind in _MAPPINGS else kind
        yield FieldError(field, place.words.get(kind) or _said(kind, context, detail["msg"]))


def _said(kind: str, context: Mapping[str, Any], message: str) -> str:
    words = _WORDS.get(kind)
    return words.format_map(context) if words else message.replace("Input should be", "must be")


def _below(field: str, inner: str) -> str:
    """The path of an error that a validator of ``field`` found itself."""
    if field == "(document)":
        return inner or field
    return f"{field}{inner}" if inner.startswith("[") or not inner else f"{field}.{inner}"


# --- where in the models an error lies ----------------------------------------------------------------------


class _Place(NamedTuple):
    """Where pydantic found something.

    :param shown: the way there, without the tags that unions put in.
    :param holder: the model whose field it is.
    :param words: what that model says of the field itself, by the kind of error.
    :param tags: the variants of the field's union, if it is one that is told by a tag.
    """

    shown: Loc
    holder: type[BaseModel] | None
    words: Mapping[str, str]
    tags: Mapping[str, type[BaseModel] | None]


def _place(loc: Loc, model: type[BaseModel]) -> _Place:
    way: list[int | str] = []
    holder: type[BaseModel] | None = None
    inner: type[BaseModel] | None = model
    tags: Mapping[str, type[BaseModel] | None] = {}
    name = ""
    for part in loc:
        if isinstance(part, int):
            way.append(part)
            name += "[]"
        elif part in tags:
            inner, tags = tags[part], {}
        else:
            way.append(part)
            holder, name = inner, part
            known = holder is not None and part in holder.model_fields
            inner, tags = _below_field(holder, part) if holder is not None and known else (None, {})
    words: Mapping[str, str] = getattr(holder, "words", {}).get(name, {})
    return _Place(tuple(way), holder, words, tags)


@lru_cache(maxsize=256)
def _below_field(
    model: type[BaseModel], name: str
) -> tuple[type[BaseModel] | None, Mapping[str, type[BaseModel] | None]]:
    """The model that a field holds, and where it is a union told by a tag, its variants."""
    field = model.model_fields[name]
    models: list[type[BaseModel]] = []
    tags: dict[str, type[BaseModel] | None] = {}
    for tag, hint in _members(field.annotation):
        found = hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None
        if found is not None:
            models.append(found)
            if isinstance(field.discriminator, str):
                tag = get_args(found.model_fields[field.discriminator].annotation)[0]
        if tag is not None:
            tags[tag] = found
    return (models[0] if len(models) == 1 and not tags else None), tags


def _members(hint: Any) -> Iterator[tuple[str | None, Any]]:
    """What a type is made of, with the tags that tell the members of a union."""
    kind = get_origin(hint)
    if kind is Annotated:
        inner, *notes = get_args(hint)
        given = next((note.tag for note in notes if isinstance(note, Tag)), None)
        for tag, member in _members(inner):
            yield given or tag, member
    elif kind in (Union, UnionType, list):
        for member in get_args(hint):
            yield from _members(member)
    else:
        yield None, hint
