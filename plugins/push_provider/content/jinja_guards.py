"""What the compiler adds to templates of strangers, so that all that they make is weighed."""

from __future__ import annotations

from typing import Any, cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from push_provider.content.jinja_allowed import FUNCTIONS
from push_provider.content.jinja_scales import ITEM, OBJECT, PUT_OUT


def with_guards(tree: nodes.Template) -> nodes.Template:
    """A template with the clock and the scales in it."""
    return cast("nodes.Template", _Guards().visit(tree))


def _charged(node: nodes.Node, size: int) -> nodes.Filter:
    """True, once the clock was looked at and so many bytes were charged."""
    price = nodes.Const(size, lineno=node.lineno)
    return _filtered(nodes.Const(True, lineno=node.lineno), "_charge", [price])


def _filtered(node: nodes.Expr, name: str, args: list[nodes.Expr] | None = None) -> nodes.Filter:
    return nodes.Filter(node, name, args or [], [], None, None, lineno=node.lineno)


def _is_short(node: nodes.Expr) -> bool:
    """Whether nothing takes long to be compared with it, or looked for in it."""
    return isinstance(node, nodes.Const) or (
        isinstance(node, nodes.List | nodes.Tuple) and all(map(_is_short, node.items))
    )


class _Guards(NodeTransformer):
    """Puts the clock into loops, and scales under what becomes plain Python: ``~``, literals, slices, macros."""

    def visit_For(self, node: nodes.For) -> list[nodes.Node]:
        outputs = sum(1 for _ in node.find_all(nodes.Output))
        self.generic_visit(node)
        clock = _charged(node, ITEM + PUT_OUT * outputs)
        if node.test is not None:
            node.test = nodes.And(clock, node.test, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(clock, lineno=node.lineno))
        return self._made(node)

    def _made(self, node: nodes.Stmt) -> list[nodes.Node]:
        """A statement that makes an object; generic_visit has been there."""
        return [nodes.ExprStmt(_charged(node, OBJECT), lineno=node.lineno), node]

    def visit_Macro(self, node: nodes.Macro) -> list[nodes.Node]:
        self.generic_visit(node)
        return self._made(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> list[nodes.Node]:
        self.generic_visit(node)
        return self._made(node)

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> nodes.Node:
        self.generic_visit(node)
        # Jinja puts out what it gets as it is. Only this filter makes text of markup, in which values are not escaped.
        if any(one.name == "striptags" for one in (node.filter, *node.filter.find_all(nodes.Filter))):
            node.filter = _filtered(node.filter, "e")
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node | list[nodes.Node]:
        self.generic_visit(node)
        return self._made(node) if isinstance(node.target, nodes.NSRef) or node.target.find(nodes.NSRef) else node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> list[nodes.Node]:
        self.generic_visit(node)
        return self._made(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "_held") if isinstance(node.arg, nodes.Slice) else node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.node, nodes.Name) and node.node.name in FUNCTIONS:
            name = nodes.Const(node.node.name, lineno=node.lineno)
            node.node = _filtered(node.node, "_function", [name])
        return self._spread(node)

    def _spread(self, node: Any) -> nodes.Node:
        if node.dyn_args is not None:
            node.dyn_args = _filtered(node.dyn_args, "list")
        return cast("nodes.Node", node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        self.generic_visit(node)
        return self._spread(node)

    visit_Test = visit_Filter

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        quick = isinstance(node.expr, nodes.Const) and all(operand.op not in ("in", "notin") for operand in node.ops)
        quick = quick or all(_is_short(operand.expr) for operand in node.ops)
        self.generic_visit(node)
        return node if quick else _filtered(node, "_timed")

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node.nodes[0], "_concat", node.nodes[1:])

    def _weigh(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        if getattr(node, "ctx", "load") != "load":
            return cast("nodes.Node", node)
        return _filtered(node, "_literal")

    visit_List = visit_Tuple = visit_Dict = _weigh

    def visit_Extends(self, node: nodes.Extends) -> nodes.Node:
        return node  # Jinja looks at the literal to know how to load it

    visit_Include = visit_Import = visit_FromImport = visit_Extends
