"""How a template calls what it puts out, so that an error can name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator

from push_provider.content.jinja_allowed import OF_TEXT

if TYPE_CHECKING:
    from jinja2.compiler import Frame

_THROUGH = OF_TEXT | {"default", "d"}
"""Filters of which a null comes only where one goes in."""


def called(value: nodes.Expr | None) -> str | None:
    """The name of a variable, or of a part of one, as the template has it; None for what is made there."""
    while isinstance(value, nodes.Filter) and value.name in _THROUGH:
        value = value.node
    if isinstance(value, nodes.Name):
        return value.name
    if isinstance(value, nodes.Getattr):
        attribute: Any = value.attr
    elif isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Const):
        attribute = value.arg.value
    else:
        return None
    whole = called(value.node)
    return f"{whole}.{attribute}" if whole else None


class NamingGenerator(CodeGenerator):
    """Tells what puts a value out its name, too."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if node.as_const(frame.eval_ctx) is None:
            raise nodes.Impossible  # it is refused when the template is rendered
        return super()._output_child_to_const(node, frame, finalize)

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write(f", {called(node)!r}")
        super()._output_child_post(node, frame, finalize)
