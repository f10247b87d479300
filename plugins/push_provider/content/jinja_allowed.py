"""What templates of strangers may call: filters, functions and methods, each looked at before it is called."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from functools import wraps
from typing import Any, NoReturn, cast

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
from jinja2.tests import TESTS as JINJAS_TESTS
from jinja2.utils import Cycler, Joiner, Namespace, _PassArg, pass_context
from markupsafe import Markup, escape

from push_provider.content.jinja_formats import check_percent
from push_provider.content.jinja_scales import CHARACTER, ENTRY, ITEM, SLOW_TEXT, WIDTH, Refused, Scales


def readable(value: Any) -> Any:
    """A value that is put out.

    :raises Refused: it is null, or something of the template's own, which would be shown as ``<Macro …>`` or the like.
    """
    if isinstance(value, str | Undefined):
        return value
    if value is None:
        refuse_null()
    if isinstance(value, Iterator) and not isinstance(value, LoopContext):
        raise Refused("puts out a list that is not made yet; add '|list' or '|join(…)'")
    if callable(value) or isinstance(value, _OWN):
        raise Refused(
            f"puts out a {type(value).__name__}, which is no value: call it; or if a variable is meant, give it "
            "another name than Jinja's own words self, super, loop and caller"
        )
    return value


def refuse_null(name: str | None = None) -> NoReturn:
    """Say that a null is put out. :param name: of the variable, if it is one."""
    what = f"the variable {name!r} is null" if name else "puts out a null"
    raise Refused(
        f"{what}; give it a value in the variables of the recipient, the trigger or the task, or write default(…, true)"
    )


class _Namespace(Namespace):
    # Jinja's shows all attributes: two that hold each other grow without end when shown.
    def __repr__(self) -> str:
        return "<namespace>"


_Check = Callable[..., None]
_SMALL = 64
"""Bits of a number that an item of a list has room for."""


def _number(value: Any, limit: int = WIDTH) -> None:
    if isinstance(value, int | float) and abs(value) > limit:
        raise Refused(f"takes a width or count of at most {limit}")


def _check_numbers(scales: Scales, value: Any, *args: Any, **kwargs: Any) -> None:
    for argument in (*args, *kwargs.values()):
        _number(argument)
        scales.weight(argument)


def _check_batch(scales: Scales, value: Any, count: Any, fill_with: Any = None) -> None:
    _check_list(scales, value)
    _number(count)
    scales.room_for(int(count) * (scales.weight(fill_with) + 1))


_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""What ``str.splitlines`` parts lines at."""


def _check_indent(scales: Scales, s: Any, width: Any = 4, first: bool = False, blank: bool = False) -> None:
    _number(width)
    if not isinstance(s, str):
        raise Refused("indents texts only")
    size = width if isinstance(width, int) else len(str(width))
    lines = 1 + sum(map(s.count, _LINE_ENDS))
    scales.room_for(len(s) + (lines + 1) * size)
    scales.charge(ENTRY * lines)


def _check_replace(scales: Scales, s: Any, old: Any, new: Any, count: Any = None) -> None:
    if any(hasattr(value, "__html__") for value in (s, old, new)):
        s, new = escape(s), escape(new)  # as it may be before anything is looked for
    text, old, new = str(s), str(old), str(new)
    scales.room_for(len(text))
    scales.room_for(len(text) + text.count(old) * len(new))


def _check_join(scales: Scales, separator: Any, items: Any) -> None:
    if isinstance(items, str):
        scales.room_for((3 + len(str(separator))) * len(items))
        scales.charge(CHARACTER * len(items))
    elif isinstance(items, list | tuple):
        scales.room_for(scales.weight(items) + len(items) * len(str(separator)))
    else:
        raise Refused("joins lists only; the filter 'join' takes anything")


def _check_wordwrap(
    scales: Scales, s: Any, width: Any = 79, break_long_words: Any = True, wrapstring: Any = None, *_: Any, **__: Any
) -> None:
    _check_short(scales, s, width)
    # Each character may become a line.
    scales.room_for((len(str(s)) + 1) * (1 + len(str(wrapstring or ""))))


def _check_tojson(scales: Scales, value: Any, indent: Any = None) -> None:
    """The size of what is indented, exactly: each item has a line of its own, indented as deep as it is."""
    size = len(indent) if isinstance(indent, str) else indent
    if not isinstance(size, int):
        return
    _number(size)
    total = 0
    levels = [(1, value)]
    while levels:
        level, part = levels.pop()
        if isinstance(part, dict | list | tuple):
            total += (len(part) + 1) * (1 + level * max(size, 0))
            scales.room_for(total)
            levels.extend((level + 1, item) for item in (part.values() if isinstance(part, dict) else part))


def _check_words(scales: Scales, s: Any) -> None:
    # They are taken apart.
    if isinstance(s, str) and len(s) > SLOW_TEXT:
        scales.charge(CHARACTER * len(s))


def _check_short(scales: Scales, s: Any, *args: Any, **kwargs: Any) -> None:
    _check_numbers(scales, s, *args, **kwargs)
    if len(str(s)) > SLOW_TEXT:
        raise Refused(f"takes a text of at most {SLOW_TEXT} characters here")


def _check_strip(scales: Scales, value: Any, chars: Any = None) -> None:
    # Each character at an end is looked for in all of them.
    if isinstance(chars, str) and len(chars) > WIDTH:
        raise Refused(f"strips at most {WIDTH} different characters")


_PARTS = 16
"""Names that a filter's attribute may have: it is followed once for each item, without a look at the clock."""


def _check_attribute(attribute: Any) -> None:
    if isinstance(attribute, str) and attribute.count(".") + attribute.count(",") >= _PARTS:
        raise Refused(f"takes an attribute of at most {_PARTS} names")


def _check_sum(scales: Scales, iterable: Any, attribute: Any = None, start: Any = 0) -> None:
    _check_attribute(attribute)
    # Adding up lists takes quadratic time.
    if not isinstance(start, int | float):
        raise Refused("sums numbers only")


def _check_most(scales: Scales, value: Any, case_sensitive: Any = False, attribute: Any = None) -> None:
    _check_attribute(attribute)


def _check_sort(
    scales: Scales, value: Any, reverse: Any = False, case_sensitive: Any = False, attribute: Any = None
) -> None:
    _check_attribute(attribute)
    _check_list(scales, value)


def _check_groupby(scales: Scales, value: Any, attribute: Any, *args: Any, **kwargs: Any) -> None:
    _check_attribute(attribute)
    _check_list(scales, value)
    _check_pairs(scales, value)


def _check_format_filter(scales: Scales, value: Any, *args: Any, **kwargs: Any) -> None:
    check_percent(scales, value, kwargs or args)


def _check_strftime(scales: Scales, moment: Any, text: Any) -> None:
    # The C library takes widths here too.
    if len(str(text)) > 200 or re.search(r"%[^a-zA-Z%]", str(text)):
        raise Refused("takes a date format of plain letters like '%Y-%m-%d'")


def _check_round(scales: Scales, value: Any, precision: Any = 0, method: Any = "common") -> None:
    _number(precision, 15)


def items_to_join(context: Context, value: Any, d: Any, attribute: Any) -> list[Any]:
    """What the filter ``join`` joins, weighed with what it puts between."""
    scales = cast("Scales", context.environment)
    _check_attribute(attribute)
    items = list(scales.held(iter(value)))
    _check_join(scales, d, items)
    if attribute is None and any(item is None for item in items):
        refuse_null()
    return items


def _join(context: Context, value: Any, d: Any = "", attribute: Any = None) -> Any:
    return FILTERS["join"](context.eval_ctx, items_to_join(context, value, d, attribute), d, attribute)


def _check_list(scales: Scales, value: Any) -> None:
    if isinstance(value, str):
        scales.room_for(3 * len(value))
        scales.charge(CHARACTER * len(value))
    elif isinstance(value, range):
        scales.charge(ITEM * len(value))


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


def large_numbers(values: Iterable[Any]) -> int:
    """Bytes of numbers that are larger than ``ITEM`` has room for."""
    return sum(sys.getsizeof(value) for value in values if isinstance(value, int) and value.bit_length() > _SMALL)


@pass_context
def _timed(context: Context, value: Any) -> Any:
    cast("Scales", context.environment).tick()
    return value


@pass_context
def _literal(context: Context, value: Any) -> Any:
    scales = cast("Scales", context.environment)
    scales.tick()
    scales.charge(ITEM * len(value) + large_numbers(value.values() if isinstance(value, dict) else value))
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
    "items last length lower map reject rejectattr reverse safe select selectattr string "
    "unique upper urlencode xmlattr"
)
"""Filters whose result is not larger than what they are given, in time that grows with it."""

FILTER_CHECKS: dict[str, _Check] = {
    "batch": _check_batch,
    "center": _check_numbers,
    "dictsort": _check_pairs,
    "format": _check_format_filter,
    "groupby": _check_groupby,
    "indent": _check_indent,
    "list": _check_list,
    "max": _check_most,
    "min": _check_most,
    "replace": _check_replace,
    "round": _check_round,
    "slice": _check_batch,
    "sort": _check_sort,
    "striptags": _check_short,
    "sum": _check_sum,
    "title": _check_words,
    "tojson": _check_tojson,
    "trim": _check_strip,
    "truncate": _check_numbers,
    "wordcount": _check_words,
    "wordwrap": _check_wordwrap,
}
"""Filters that could make what is large, or take long, and what is looked at before they do."""

_TEXTS = (
    "capitalize center e escape forceescape lower replace safe string striptags title trim truncate upper urlencode "
    "wordcount wordwrap"
)
OF_TEXT = frozenset(_TEXTS.split())
"""Filters that make a text of anything. A null stays one: none is a name, or the text "None"."""


def guarded(
    function: Callable[..., Any], check: _Check | None = None, *, keeps_null: bool = False
) -> Callable[..., Any]:
    """The filter, with clock and scales.

    It takes the context, also because Jinja then does not run it on literals while it compiles.

    :param keeps_null: of a null it makes nothing.
    """
    wanted = _PassArg.from_obj(function)

    @pass_context
    def guarded(context: Context, *args: Any, **kwargs: Any) -> Any:
        scales = cast("Scales", context.environment)
        scales.tick()
        if keeps_null and args[0] is None:
            return None
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


def _stream(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that may look at many items before it gives one back."""

    @wraps(function)
    def looked_at(passed: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        scales = cast("Scales", getattr(passed, "environment", passed))
        _check_attribute(kwargs.get("attribute", args[0] if args else None))
        return function(
            passed, scales.ticking(value) if value and isinstance(value, Collection) else value, *args, **kwargs
        )

    return looked_at


def _compared(function: Callable[..., Any]) -> Callable[..., Any]:
    """A test that looks at as much as its values hold."""

    @pass_context
    def compared(context: Context, *args: Any) -> Any:
        cast("Scales", context.environment).tick()
        return function(*args)

    return compared


_COMPARING = "in == eq equalto != ne > gt greaterthan >= ge < lt lessthan <= le upper lower"
TESTS: dict[str, Callable[..., Any]] = {
    name: _compared(cast("Callable[..., Any]", JINJAS_TESTS[name])) for name in _COMPARING.split()
}
"""Tests in place of Jinja's, with the clock."""

_STREAMS = frozenset({"map", "reject", "rejectattr", "select", "selectattr", "unique"})

FILTERS_OF_HTML: dict[str, Callable[..., Any]] = {
    **{
        name: guarded(_stream(FILTERS[name]) if name in _STREAMS else FILTERS[name], keeps_null=name in OF_TEXT)
        for name in _EASY.split()
    },
    **{name: guarded(FILTERS[name], check, keeps_null=name in OF_TEXT) for name, check in FILTER_CHECKS.items()},
    "join": guarded(pass_context(_join)),
    "_charge": _charge,
    "_literal": _literal,
    "_timed": _timed,
    "_concat": guarded(pass_context(_concat)),
    "_function": guarded(pass_context(_function)),
    "_held": guarded(pass_context(_held)),
}

PLAIN_FILTERS: dict[str, Callable[..., Any]] = {
    **FILTERS_OF_HTML,
    **dict.fromkeys(("e", "escape", "forceescape", "safe"), guarded(_plain, keeps_null=True)),
    "tojson": guarded(pass_context(_json), _check_tojson),
}
"""For environments that escape in another way than HTML does."""

CALLABLE = (Macro, BlockReference, LoopContext, Joiner, Undefined)
"""What Jinja makes itself. Calling an Undefined says which variable is missing."""


def _range(*numbers: Any) -> range:
    # Each number of it is made when it is read, and nobody weighs them.
    if any(isinstance(number, int) and number.bit_length() > _SMALL for number in numbers):
        raise Refused(f"counts with numbers of at most {_SMALL} bits")
    return safe_range(*numbers)


FUNCTIONS: dict[str, Any] = {
    "range": _range,
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

VIEWS = frozenset({"items", "keys", "values"})

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
