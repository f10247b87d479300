"""Flattening: a template and all it extends and includes, as fixed pieces with values between them.

Most messages only put values into fixed text. For those the layout, the blocks and the includes are worked
out once for all recipients, and the HTML is turned into text, or the markdown into HTML, once, with holes
where the values will be. A template whose shape depends on a value (a loop over it, a condition on it) is
not flat, and is rendered and converted for each recipient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from push_provider.content.jinja_names import called
from push_provider.content.jinja_sandbox import Passes, Program, Sandbox, errors_of, variables_of
from push_provider.content.plain_text import RESERVED

if TYPE_CHECKING:
    from push_provider.content.jinja_scales import Limits

_N = TypeVar("_N", bound=nodes.Node)
_ESCAPES = frozenset({"e", "escape"})
_MARKUP = frozenset({"safe", "forceescape", "tojson", "xmlattr"}) | _ESCAPES
"""Filters whose result is HTML, and is not escaped again."""
_SHAPING = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.AssignBlock,
    nodes.Import,
    nodes.FromImport,
)
"""Statements that do more with an output than to put it out, or whose output does not see the variables."""
_SPECIAL = frozenset({"self", "super", "loop", "caller", "varargs", "kwargs"})
_WRITERS = frozenset({"self", "super", "loop"})
"""Names of what can be called for the text of a block, or of a loop that goes deeper."""


class _NotFlat(Passes):
    """Ends the attempt."""


class Flat:
    """A flat template.

    :param text: what it makes, with holes (U+E000, number, U+E001) for the values.
    """

    def __init__(self, text: str, holes: list[nodes.Expr]) -> None:
        self.text = text
        self._holes = holes

    def program(
        self, sandbox: Sandbox, text: str, pattern: Any, name: str, filters: Mapping[str, str] | None = None
    ) -> Program:
        """Compile a text with holes into a template.

        :param sandbox: whose escaping applies to the values; the text itself is put out as it is.
        :param text: :attr:`text`, converted.
        :param pattern: finds the holes in it; its last group is the number.
        :param filters: by the hole's first character, a filter that its value goes through.
        """
        parts: list[nodes.Expr] = []
        position = 0
        for match in pattern.finditer(text):
            number = int(match[pattern.groups])
            if number >= len(self._holes):
                continue
            parts.append(nodes.TemplateData(text[position : match.start()]))
            value = _clone(self._holes[number])
            through = (filters or {}).get(match[0][0])
            its_name = nodes.Const(called(value))
            parts.append(value if through is None else nodes.Filter(value, through, [its_name], [], None, None))
            position = match.end()
        parts.append(nodes.TemplateData(text[position:]))
        tree = nodes.Template([nodes.Output(parts, lineno=1)], lineno=1)
        for node in tree.find_all(nodes.Node):
            if getattr(node, "lineno", None) is None:
                node.lineno = 1
        return sandbox.program_of(tree, name)


def flatten(
    sources: Mapping[str, str],
    name: str,
    *,
    limits: Limits,
    autoescape: bool,
    given: Mapping[str, Any],
    fixed: frozenset[str],
) -> Flat | None:
    """Flatten a template that :meth:`Sandbox.check` has taken.

    :param sources: it and all that it needs, by name.
    :param given: the variables that are the same for all recipients.
    :param fixed: which of them may decide about the shape.
    :return: None when the template is not flat.
    """
    if any(RESERVED.search(source) for source in sources.values()):
        return None
    try:
        with errors_of(name):
            sandbox = _Skeleton(sources, autoescape=autoescape, limits=limits)
            trees = [sandbox.parse(source, file) for file, source in sources.items()]
            if any(variables_of(tree) - fixed for tree in trees):
                return None
        text = sandbox.program(name)({key: given[key] for key in fixed if key in given})
    except _NotFlat:
        return None
    return Flat(text, sandbox.holes)


class _Skeleton(Sandbox):
    """Compiles templates with holes in place of the values."""

    def __init__(self, sources: Mapping[str, str], *, autoescape: bool, limits: Limits) -> None:
        super().__init__(sources, autoescape=autoescape, limits=limits)
        self.holes: list[nodes.Expr] = []
        parse = super()._parse
        whole = [parse(source, name, None) for name, source in sources.items()]
        self._local = _SPECIAL | {name for tree in whole for name in _bound(tree)}
        self._flat = (
            not any(True for tree in whole for _ in tree.find_all(_SHAPING))
            and not any(map(_looks_at_text, whole))
            and all(include.with_context for tree in whole for include in tree.find_all(nodes.Include))
        )

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if not self._flat:
            raise _NotFlat
        tree: nodes.Template = _Holes(self._hole).visit(super()._parse(source, name, filename))
        return tree

    def _hole(self, value: nodes.Expr) -> nodes.Expr:
        names = {node.name for node in _whole(value, nodes.Name)}
        if not names or names & self._local:
            return value
        while isinstance(value, nodes.Filter) and value.name in _ESCAPES and value.node is not None:
            value = value.node  # every value is escaped as its place needs
        if any(node.name in _MARKUP for node in _whole(value, nodes.Filter)) or any(
            isinstance(argument, nodes.Const) and argument.value in _MARKUP
            for node in _whole(value, nodes.Filter)
            if node.name == "map"
            for argument in node.args
        ):
            raise _NotFlat
        self.holes.append(value)
        return nodes.TemplateData(f"\ue000{len(self.holes) - 1}\ue001", lineno=value.lineno)


class _Holes(NodeTransformer):
    def __init__(self, hole: Callable[[nodes.Expr], nodes.Expr]) -> None:
        self._hole = hole

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        node.nodes = [part if isinstance(part, nodes.TemplateData) else self._hole(part) for part in node.nodes]
        return node


def _bound(tree: nodes.Template) -> Iterator[str]:
    """Names that a template gives a value itself."""
    for name in tree.find_all(nodes.Name):
        if name.ctx != "load":
            yield name.name
    for reference in tree.find_all(nodes.NSRef):
        yield reference.name


def _looks_at_text(tree: nodes.Template) -> bool:
    """Whether a template does more with the text of a block, or of a loop, than to put it out: it has holes."""
    as_it_is: set[int] = set()
    for output in tree.find_all(nodes.Output):
        as_it_is.update(id(_root(part.node)) for part in output.nodes if isinstance(part, nodes.Call))
    for attribute in tree.find_all(nodes.Getattr):
        if isinstance(attribute.node, nodes.Name) and attribute.node.name == "loop":
            as_it_is.add(id(attribute.node))
    return any(name.name in _WRITERS and id(name) not in as_it_is for name in tree.find_all(nodes.Name))


def _root(value: nodes.Expr) -> nodes.Expr:
    while isinstance(value, nodes.Getattr):
        value = value.node
    return value


def _whole(value: nodes.Expr, kind: type[_N]) -> Iterable[_N]:
    """The node itself and all below it, of a kind."""
    if isinstance(value, kind):
        yield value
    yield from value.find_all(kind)


def _clone(value: Any) -> Any:
    # Compiling changes a tree, and one value may stand in several places.
    if isinstance(value, nodes.Node):
        return type(value)(*(_clone(part) for _, part in value.iter_fields()), lineno=value.lineno)
    if isinstance(value, list):
        return [_clone(part) for part in value]
    if isinstance(value, tuple):
        return tuple(_clone(part) for part in value)
    return value
