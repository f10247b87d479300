"""What templates of strangers may call: filters, functions and methods, each looked at before it is called."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Callable, Iterator, Sized
from typing import Any, cast

from jinja2.filters import FILTERS
from jinja2.runtime import (
    BlockReference,
    Context,
    LoopContext,
    Macro,
    TemplateReference,
    Undefined,
    markup_join,
    str_join,
)
from jinja2.sandbox import safe_range
from jinja2.utils import Cycler, Joiner, Namespace, _PassArg, pass_context
from markupsafe import Markup

from push_provider.content.jinja_formats import check_percent
from push_provider.content.jinja_scales import CHARACTER, ENTRY, ITEM, SLOW_TEXT, WIDTH, Refused, Scales


def readable(value: Any) -> Any:
    """A value that is put out.

    :raises Refused: it is something of the template's own, which would be shown as ``<Macro …>`` or the like.
    """
    if isinstance(value, str | Undefined):
        return value
    if isinstance(value, Iterator) and not isinstance(value, LoopContext):
        raise Refused("puts out a list that is not made yet; add '|list' or '|join(…)'")
    if callable(value) or isinstance(value, _OWN):
        raise Refused(
            f"puts out a {type(value).__name__}, which is no value: call it; or if a variable is meant, give it "
            "another name than Jinja's own words self, super, loop and caller"
        )
    return value


class _Namespace(Namespace):
    # Jinja's shows all attributes: two that hold each other grow without end when shown.
    def __repr__(self) -> str:
        return "<namespace>"


_Check = Callable[..., None]


def _number(value: Any, limit: int = WIDTH) -> None:
    if isinstance(value, int | float) and abs(value) > limit:
        raise Refused(f"takes a width or count of at most {limit}")


def _check_numbers(scales: Scales, value: Any, *args: Any, **kwargs: Any) -> None:
    for argument in (*args, *kwargs.values()):
        _number(argument)
        scales.weight(argument)


def _check_batch(scales: Scales, value: Any, count: Any, fill_with: Any = None) -> None:
    _number(count)
    scales.room_for(int(count) * (scales.weight(fill_with) + 1))


def _check_indent(scales: Scales, s: Any, width: Any = 4, first: bool = False, blank: bool = False) -> None:
    _number(width)
    size = width if isinstance(width, int) else len(str(width))
    scales.room_for(len(s) + (s.count("\n") + 1) * size)


def _check_replace(scales: Scales, s: Any, old: Any, new: Any, count: Any = None) -> None:
    text, old, new = str(s), str(old), str(new)
    scales.room_for(len(text))
    scales.room_for(len(text) + text.count(old) * len(new))


def _check_join(scales: Scales, separator: Any, items: Any) -> None:
    if not isinstance(items, list | tuple | str):
        raise Refused("joins lists only; the filter 'join' takes anything")
    scales.room_for(scales.weight(list(items)) + len(items) * len(str(separator)))


def _check_short(scales: Scales, s: Any, *args: Any, **kwargs: Any) -> None:
    _check_numbers(scales, s, *args, **kwargs)
    if len(str(s)) > SLOW_TEXT:
        raise Refused(f"takes a text of at most {SLOW_TEXT} characters here")


def _check_strip(scales: Scales, value: Any, chars: Any = None) -> None:
    # Each character at an end is looked for in all of them.
    if isinstance(chars, str) and len(chars) > WIDTH:
        raise Refused(f"strips at most {WIDTH} different characters")


def _check_sum(scales: Scales, iterable: Any, attribute: Any = None, start: Any = 0) -> None:
    # Adding up lists takes quadratic time.
    if not isinstance(start, int | float):
        raise Refused("sums numbers only")


def _check_format_filter(scales: Scales, value: Any, *args: Any, **kwargs: Any) -> None:
    check_percent(scales, value, kwargs or args)


def _check_strftime(scales: Scales, moment: Any, text: Any) -> None:
    # The C library takes widths here too.
    if len(str(text)) > 200 or re.search(r"%[^a-zA-Z%]", str(text)):
        raise Refused("takes a date format of plain letters like '%Y-%m-%d'")


def _check_round(scales: Scales, value: Any, precision: Any = 0, method: Any = "common") -> None:
    _number(precision, 15)


def _join(context: Context, value: Any, d: Any = "", attribute: Any = None) -> Any:
    scales = cast("Scales", context.environment)
    items = list(scales.held(iter(value)))
    _check_join(scales, d, items)
    return FILTERS["join"](context.eval_ctx, items, d, attribute)


def _check_list(scales: Scales, value: Any) -> None:
    if isinstance(value, str):
        scales.room_for(3 * len(value))
        scales.charge(CHARACTER * len(value))


def _check_pairs(scales: Scales, value: Any, *args: Any, **kwargs: Any) -> None:
    # One for each item, or each group.
    if isinstance(value, Sized):
        scales.charge(2 * ENTRY * len(value))


def parts_of(text: str, separator: Any = None, *_: Any) -> int:
    """Bytes that the parts of a text take beside its characters, if it is split."""
    if isinstance(separator, str) and separator:
        return ENTRY * (text.count(separator) + 1) + sys.getsizeof(text)
    return ENTRY * (len(text) // 2 + 1) + sys.getsizeof(text)


@pass_context
def _charge(context: Context, value: Any, size: int) -> Any:
    scales = cast("Scales", context.environment)
    scales.tick()
    scales.charge(size)
    return value


@pass_context
def _literal(context: Context, value: Any) -> Any:
    scales = cast("Scales", context.environment)
    scales.tick()
    scales.charge(ITEM * len(value))
    return scales.held(value)


def _function(context: Context, value: Any, name: str) -> Any:
    # A macro may have the name of a function; no variable can be called.
    return value if callable(value) and not isinstance(value, Undefined) else FUNCTIONS[name]


def _concat(context: Context, *parts: Any) -> Any:
    scales = cast("Scales", context.environment)
    parts = tuple(map(readable, parts))
    scales.room_for(sum(map(scales.weight, parts)))
    if not context.eval_ctx.autoescape:
        return str_join(parts)
    if context.environment.finalize is not None and any(isinstance(part, Markup) for part in parts):
        parts = tuple(map(context.environment.finalize, parts))
    return markup_join(parts)


def _held(context: Context, value: Any) -> Any:
    return value  # what every filter gives back is weighed


def _plain(value: Any) -> str:
    return value if type(value) is str else str(value)


def _json(context: Context, value: Any, indent: int | None = None) -> str:
    return str(FILTERS["tojson"](context.eval_ctx, value, indent))


_EASY = (
    "abs capitalize count d default e escape filesizeformat first float forceescape int "
    "items last length lower map max min reject rejectattr reverse safe select selectattr sort string "
    "title unique upper urlencode wordcount xmlattr"
)
"""Filters whose result is not larger than what they are given, in time that grows with it."""

_CHECKED: dict[str, _Check] = {
    "batch": _check_batch,
    "center": _check_numbers,
    "dictsort": _check_pairs,
    "format": _check_format_filter,
    "groupby": _check_pairs,
    "indent": _check_indent,
    "list": _check_list,
    "replace": _check_replace,
    "round": _check_round,
    "slice": _check_batch,
    "striptags": _check_short,
    "sum": _check_sum,
    "tojson": _check_numbers,
    "trim": _check_strip,
    "truncate": _check_numbers,
    "wordwrap": _check_short,
}


def _guarded(function: Callable[..., Any], check: _Check | None = None) -> Callable[..., Any]:
    """The filter, with clock and scales.

    It takes the context, also because Jinja then does not run it on literals while it compiles.
    """
    wanted = _PassArg.from_obj(function)

    @pass_context
    def guarded(context: Context, *args: Any, **kwargs: Any) -> Any:
        scales = cast("Scales", context.environment)
        scales.tick()
        if check is not None:
            check(scales, *args, **kwargs)
        if wanted is None:
            return scales.held(function(*args, **kwargs))
        passed = {
            _PassArg.context: context,
            _PassArg.eval_context: context.eval_ctx,
            _PassArg.environment: context.environment,
        }
        return scales.held(function(passed[wanted], *args, **kwargs))

    return guarded


FILTERS_OF_HTML: dict[str, Callable[..., Any]] = {
    **{name: _guarded(FILTERS[name]) for name in _EASY.split()},
    **{name: _guarded(FILTERS[name], check) for name, check in _CHECKED.items()},
    "join": _guarded(pass_context(_join)),
    "_charge": _charge,
    "_literal": _literal,
    "_concat": _guarded(pass_context(_concat)),
    "_function": _guarded(pass_context(_function)),
    "_held": _guarded(pass_context(_held)),
}

PLAIN_FILTERS: dict[str, Callable[..., Any]] = {
    **FILTERS_OF_HTML,
    **dict.fromkeys(("e", "escape", "forceescape", "safe"), _guarded(_plain)),
    "tojson": _guarded(pass_context(_json), _check_numbers),
}
"""For environments that escape in another way than HTML does."""

CALLABLE = (Macro, BlockReference, LoopContext, Joiner, Undefined)
"""What Jinja makes itself. Calling an Undefined says which variable is missing."""

FUNCTIONS: dict[str, Any] = {
    "range": safe_range,
    "dict": dict,
    "namespace": _Namespace,
    "cycler": Cycler,
    "joiner": Joiner,
}

_OWN = (TemplateReference, LoopContext, Cycler, Namespace)
"""What Jinja makes itself and nobody can call."""

# Not rfind, rsplit and their like: Python searches backwards in quadratic time.
METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        [
            "capitalize",
            "casefold",
            "center",
            "count",
            "endswith",
            "find",
            "format",
            "index",
            "isalnum",
            "isalpha",
            "isascii",
            "isdecimal",
            "isdigit",
            "islower",
            "isnumeric",
            "isspace",
            "istitle",
            "isupper",
            "join",
            "ljust",
            "lower",
            "lstrip",
            "partition",
            "removeprefix",
            "removesuffix",
            "replace",
            "rjust",
            "rstrip",
            "split",
            "splitlines",
            "startswith",
            "strip",
            "swapcase",
            "title",
            "upper",
            "zfill",
        ]
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    datetime.date: frozenset({"date", "isoformat", "isoweekday", "strftime", "time", "weekday"}),
    LoopContext: frozenset({"changed", "cycle"}),
    Cycler: frozenset({"next", "reset"}),
}

PARTING = frozenset({"split", "splitlines"})

METHOD_CHECKS: dict[str, _Check] = {
    "center": _check_numbers,
    "join": _check_join,
    "ljust": _check_numbers,
    "lstrip": _check_strip,
    "replace": _check_replace,
    "rjust": _check_numbers,
    "rstrip": _check_strip,
    "strftime": _check_strftime,
    "strip": _check_strip,
    "zfill": _check_numbers,
}
