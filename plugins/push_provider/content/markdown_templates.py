"""Templates of markdown: what one writes is markdown, and what it puts out are values, whatever is done to either.

A value is kept out of the markdown by a mark in its place. What a template has captured, by ``{% set %}``, in a macro
or of a parent's block, is :class:`Written`: who looks at it sees its values, and where it is put out it is markdown.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from jinja2 import nodes
from jinja2.filters import FILTERS
from jinja2.utils import pass_context

from push_provider.content.jinja_allowed import FILTER_CHECKS, PLAIN_FILTERS, guarded, items_to_join, readable
from push_provider.content.jinja_names import NamingGenerator
from push_provider.content.jinja_sandbox import Sandbox
from push_provider.content.jinja_scales import CHARACTER, ITEM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2.compiler import Frame
    from jinja2.runtime import Context

    from push_provider.content.jinja_scales import Limits

_MARK = re.compile("\ue000([0-9]+)\ue001")
_GAP = "\ue000"


class Written(str):
    """What a template has written: a text like any other, its values in it, that can be told from a value.

    Filters, tests and operators get the text, and what they make of it is a value. It stays markdown where something is
    added to it (``~``, ``+``, ``join``) or only its blanks change (``trim``, ``indent``).

    :param pieces: markdown and values in turns, from markdown to markdown.
    """

    __slots__ = ("pieces",)
    pieces: tuple[str, ...]

    def __new__(cls, pieces: Iterable[str]) -> Written:
        """Put the text together."""
        pieces = tuple(pieces)
        made = super().__new__(cls, "".join(pieces))
        made.pieces = pieces
        return made

    def __add__(self, other: object) -> str:
        """With another text behind it."""
        return joined((self, other)) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: object) -> str:
        """With another text before it."""
        return joined((other, self)) if isinstance(other, str) else NotImplemented


def joined(parts: Iterable[Any]) -> Written:
    """One text of several; those that no template has written are values."""
    pieces = [""]
    for part in parts:
        if isinstance(part, Written):
            pieces[-1] += part.pieces[0]
            pieces += part.pieces[1:]
        else:
            pieces += (str(readable(part)), "")
    return Written(pieces)


class _Generator(NamingGenerator):
    """Puts out also what Jinja takes for markup that nobody need look at: of filter and call blocks, and of loops."""

    def start_write(self, frame: Frame, node: nodes.Node | None = None) -> None:
        super().start_write(frame, node)
        self.write("environment.finalize(")

    def end_write(self, frame: Frame) -> None:
        self.write(")")
        super().end_write(frame)

    def simple_write(self, s: str, frame: Frame, node: nodes.Node | None = None) -> None:
        super().start_write(frame, node)
        self.write(s)  # what another template or a block has put out
        super().end_write(frame)

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:  # noqa: ARG002
        return str(readable(node.as_const(frame.eval_ctx)))  # a constant is markdown: the author has written it


class MarkdownSandbox(Sandbox):
    """Renders templates of markdown into :class:`Written` texts."""

    code_generator_class = _Generator

    def __init__(self, sources: Mapping[str, str], *, limits: Limits) -> None:
        super().__init__(sources, autoescape=False, limits=limits, finalize=self._keep)
        self.filters = {name: function for name, function in PLAIN_FILTERS.items() if name != "xmlattr"} | _FILTERS

    def start(self) -> None:
        """Begin a rendering in this thread, without values."""
        super().start()
        self._now.values = []

    def held(self, value: Any) -> Any:
        """As of any value; of a text that a template has written, its pieces, too."""
        if isinstance(value, Written):
            self.charge(CHARACTER * len(value.pieces) + sys.getsizeof(value))
        return super().held(value)

    def _keep(self, value: Any) -> str:
        if not isinstance(value, Written):
            return self._mark(str(readable(value)))
        text = "".join(self._mark(piece) if at % 2 else piece for at, piece in enumerate(value.pieces))
        self.charge(sys.getsizeof(text) + ITEM * len(value.pieces))
        return text

    def _mark(self, value: str) -> str:
        self._now.values.append(value)
        return f"\ue000{len(self._now.values) - 1}\ue001"

    def _concat(self, parts: Iterable[str]) -> str:
        values = self._now.values
        pieces = _MARK.split(super()._concat(parts))
        for at in range(1, len(pieces), 2):
            number = int(pieces[at])
            pieces[at] = values[number] if number < len(values) else ""
        return cast("str", self.held(Written(self.bounded(pieces))))

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        for join in source.find_all(nodes.Filter):
            if join.name == "join" and join.args and isinstance(join.args[0], nodes.Const):
                # What the author has texts joined by is markdown, as it is where it stands between them.
                join.args[0] = nodes.Filter(join.args[0], "_written", [], [], None, None, lineno=join.lineno)
        return super()._generate(source, name, filename, defer_init)


# --- filters --------------------------------------------------------------------------------------------


def _as_it_is(value: Any) -> str:
    return value if isinstance(value, Written) else str(value)


@pass_context
def _concat(context: Context, *parts: Any) -> str:
    scales = cast("MarkdownSandbox", context.environment)
    scales.room_for(sum(map(scales.weight, parts)))
    text = joined(parts)
    return text if any(isinstance(part, Written) for part in parts) else str(text)


@pass_context
def _join(context: Context, value: Any, d: Any = "", attribute: Any = None) -> str:
    items = items_to_join(context, value, d, attribute)
    if attribute is not None or not any(isinstance(item, Written) for item in items):
        return cast("str", FILTERS["join"](context.eval_ctx, items, d, attribute))
    return joined([*chain.from_iterable((item, d) for item in items[:-1]), items[-1]])


def _written(value: Any) -> Any:
    return Written((value,)) if isinstance(value, str) else value


def _trim(value: Any, chars: Any = None) -> str:
    if not isinstance(value, Written) or chars is not None:
        return cast("str", FILTERS["trim"](value, chars))
    pieces = list(value.pieces)
    for at in range(len(pieces)):
        pieces[at] = pieces[at].lstrip()
        if pieces[at]:
            break
    for at in reversed(range(len(pieces))):
        pieces[at] = pieces[at].rstrip()
        if pieces[at]:
            break
    return Written(pieces)


def _indent(value: Any, width: Any = 4, first: bool = False, blank: bool = False) -> str:
    indent = FILTERS["indent"]
    if isinstance(value, Written) and isinstance(width, int):  # a text to indent with may be a value
        around = indent(_GAP.join(value.pieces[::2]), width, first, blank).split(_GAP)
        values = value.pieces[1::2]
        if len(around) == len(values) + 1:
            return Written([*chain.from_iterable(zip(around, values, strict=False)), around[-1]])
    return cast("str", indent(value, width, first, blank))


_FILTERS = {
    **dict.fromkeys(("e", "escape", "safe"), guarded(_as_it_is, keeps_null=True)),
    "indent": guarded(_indent, FILTER_CHECKS["indent"]),
    "join": guarded(_join),
    "trim": guarded(_trim, FILTER_CHECKS["trim"], keeps_null=True),
    "_written": guarded(_written),
    "_concat": guarded(_concat),
}
