"""Jinja for templates of strangers: what they may call, how much they may make, how long they may take.

Jinja's own sandbox keeps a template from Python's internals; it does not keep it from filling the memory
or the processor. Here a template works against a deadline and against a size:

* every loop turn, call, filter and arithmetic operation looks at the clock (:meth:`Sandbox.tick`);
* every value a template makes is weighed before it is kept, and what could be large in one step
  (``'a' * n``, ``center(n)``, ``'%9999d'``, ``replace``, ``join`` …) before it is made;
* what all values of a rendering take is added up (:meth:`Sandbox.charge`), each by itself and when it is made: whatever
  holds whatever, a rendering keeps no more than was ever made;
* filters, methods and functions are those listed here; everything else is refused.

A function's name is a function where it is called, and a variable's everywhere else: ``range(3)`` counts, and
``{{ range }}`` is what somebody gave as ``range``, or is missing.

It works in any thread, without signals, as long as each single step is short.
"""

from __future__ import annotations

import datetime
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn, cast

from jinja2 import (
    DictLoader,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
    meta,
    nodes,
)
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import (
    BlockReference,
    Context,
    LoopContext,
    Macro,
    TemplateReference,
    Undefined,
    markup_join,
    new_context,
    str_join,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Cycler, Joiner, Namespace, _PassArg, missing, pass_context
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from push_provider.addresses import shown
from push_provider.exceptions import ContentError, LimitExceeded


class Limits(NamedTuple):
    """How much one template may use.

    :param seconds: for one rendering.
    :param characters: of one rendered text, and of any value made on the way.
    :param made: bytes of memory that all values take which one rendering makes on the way, also those it drops again.
    :param source: characters of a template, and of all templates of a task together.
    :param tokens: Jinja tokens of a template; what compiling it takes grows with them.
    :param until: moment of the monotonic clock at which all that has to do with a task must be done.
    """

    seconds: float = 5.0
    characters: int = 1024 * 1024
    made: int = 64 * 1024 * 1024
    source: int = 1024 * 1024
    tokens: int = 10_000
    until: float = float("inf")


LIMITS = Limits()

INTEGER_BITS = 4096
"""Longer integers are no amounts of anything, and arithmetic on them gets slow."""
WIDTH = 1000
"""Largest width, precision or count that a filter or a format takes."""
SLOW_TEXT = 20_000
"""Characters of a text whose treatment takes more than linear time."""

# Bytes of memory in CPython 3.11, rounded up, of what ``sys.getsizeof`` does not see.
_OBJECT = 512
"""A macro, a loop, a generator, a namespace: with its frame, its closure or its dict."""
_ENTRY = 104
"""A name and its value in a dict, which grows by halves."""
_ITEM = 64
"""An item of a literal: its reference, and a small number, a slice or a missing variable made for it."""
_CHARACTER = 84
"""A character as a text of its own."""
_PUT_OUT = 16
"""A piece of an output: its reference in a list, which grows by an eighth."""
_ESCAPED = 5
"""Characters that one may become in HTML: ``&#34;``."""


class Refused(Exception):
    """A template asks for what it may not have; becomes a ContentError that names the place."""


class _Spent(Refused):
    """A rendering has used up what it may use; becomes a LimitExceeded."""


class _Missing(StrictUndefined):
    """A missing variable that says who should give it."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        where = "" if self._undefined_obj is missing else f" in a {type(self._undefined_obj).__name__}"
        kind = "variable" if self._undefined_obj is missing else "key"
        return (
            f"the {kind} {shown(self._undefined_name)} is missing{where}; give it in the variables of the "
            "recipient, the trigger or the task, or write default(…)"
        )


class _Namespace(Namespace):
    # Jinja's shows all attributes: two that hold each other grow without end when shown.
    def __repr__(self) -> str:
        return "<namespace>"


class _Context(Context):
    # One for each file that is included or imported. Where a template sets names, each has a copy of all variables.
    def __init__(self, environment: Any, parent: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        environment.charge(_OBJECT + _ENTRY * len(parent))
        super().__init__(environment, parent, *args, **kwargs)


class _Rendering(threading.local):
    """What is left to the rendering that a thread has begun."""

    deadline = float("inf")
    made: float = float("inf")


class _Template(Template):
    def make_module(
        self,
        vars: dict[str, Any] | None = None,  # noqa: A002  (Jinja's name)
        shared: bool = False,
        locals: Mapping[str, Any] | None = None,  # noqa: A002  (Jinja's name)
    ) -> TemplateModule:
        # As Jinja's, but what the imported file puts out counts.
        context = self.new_context(vars, shared, locals)
        sandbox = cast("Sandbox", self.environment)
        return TemplateModule(self, context, sandbox.bounded(self.root_render_func(context)))


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment over fixed sources, without file system.

    :param sources: the templates by name.
    :param autoescape: True for HTML. Without it ``e``, ``safe`` and ``tojson`` make plain text.
    :param finalize: called with each value that is put out; left out, :func:`readable`.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    template_class = _Template
    context_class = _Context

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        autoescape: bool,
        limits: Limits = LIMITS,
        finalize: Callable[[Any], Any] | None = None,
    ) -> None:
        self._now = _Rendering()
        self._finalize = finalize or readable
        super().__init__(
            loader=DictLoader(sources),
            autoescape=autoescape,
            undefined=_Missing,
            finalize=self._put_out,
            auto_reload=False,
            keep_trailing_newline=True,
        )
        self.limits = limits
        self.filters = dict(_FILTERS if autoescape else _PLAIN_FILTERS)
        self.globals = {}
        # Compiled templates look it up on the instance.
        self.concat = self._concat  # type: ignore[method-assign]

    # --- compiling ------------------------------------------------------------------------------------

    def check(self, source: str, name: str) -> nodes.Template:
        """Parse a template within the limits.

        :raises ContentError: it is too long, or not Jinja; names the line.
        """
        if len(source) > self.limits.source:
            raise ContentError(f"{name}: is {len(source)} characters long; at most {self.limits.source} are taken")
        with errors_of(name):
            self._in_time()
            for count, _ in enumerate(self.lex(source, name)):
                if count >= self.limits.tokens:
                    raise ContentError(f"{name}: has more than {self.limits.tokens} Jinja tokens; make it simpler")
            return self.parse(source, name)

    def program(self, name: str) -> Program:
        """Compile the template of this name. :raises ContentError: it is not Jinja."""
        with errors_of(name):
            return Program(self, self.get_template(name), name)

    def program_of(self, tree: nodes.Template, name: str) -> Program:
        """Compile a tree; ``name`` is for messages."""
        with errors_of(name):
            tree.set_environment(self)
            template = self.template_class.from_code(self, self.compile(tree, name), self.globals)
            return Program(self, template, name)

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        self._in_time()
        guarded = _Guards().visit(source)
        guarded.set_environment(self)
        return super()._generate(guarded, name, filename, defer_init)

    # --- the clock and the scales ---------------------------------------------------------------------

    def start(self) -> None:
        """Begin a rendering in this thread."""
        self._now.deadline = min(time.monotonic() + self.limits.seconds, self.limits.until)
        self._now.made = self.limits.made

    def tick(self) -> None:
        """:raises Refused: the rendering that this thread began takes too long."""
        if time.monotonic() > self._now.deadline:
            self._too_slow()

    def _in_time(self) -> None:
        if time.monotonic() > self.limits.until:
            self._too_slow()

    def _too_slow(self) -> NoReturn:
        raise _Spent(f"takes longer than {self.limits.seconds:g} s; make the template simpler")

    def charge(self, size: int) -> None:
        """Add what a value takes to what this thread's rendering has made.

        :param size: bytes.
        :raises Refused: all values together take more than the limit.
        """
        now = self._now
        now.made -= size
        if now.made < 0:
            raise _Spent(
                f"makes values of more than {self.limits.made // 1024**2} MiB in all; make the template simpler, or "
                "its values shorter"
            )

    def _put_out(self, value: Any) -> Any:
        """A value as it is put out. What a block or a macro puts out is kept until its end, escaped or as text."""
        if isinstance(value, str):
            escaped = self.autoescape and not isinstance(value, Markup)
            self.charge(_PUT_OUT + _ESCAPED * len(value) if escaped else _PUT_OUT)
        elif isinstance(value, dict | list | tuple):
            self.charge(_PUT_OUT + 2 * _ESCAPED * self.weight(value))
        else:
            self.charge(_ENTRY)
        return self._finalize(value)

    def bounded(self, parts: Iterable[str]) -> list[str]:
        """The parts of an output. :raises Refused: they are more than the limit."""
        kept = []
        room = self.limits.characters
        for part in parts:
            room -= len(part)
            if room < 0:
                self.too_large()
            kept.append(part)
        self.charge(_OBJECT)
        return kept

    def _concat(self, parts: Iterable[str]) -> str:
        text = "".join(self.bounded(parts))
        self.charge(sys.getsizeof(text))
        return text

    def too_large(self) -> NoReturn:
        """:raises Refused: always."""
        raise _Spent(f"makes more than {self.limits.characters} characters; make the message or its values shorter")

    def room_for(self, size: int) -> None:
        """:raises Refused: a value of this size would be too large."""
        if size > self.limits.characters:
            self.too_large()

    def weight(self, value: Any) -> int:
        """About how many characters the value takes when shown; shared parts count each time."""
        if isinstance(value, str):
            return len(value)
        total = 0
        stack = [value]
        while stack:
            part = stack.pop()
            if isinstance(part, str | bytes):
                total += len(part) + 2
            elif isinstance(part, dict):
                total += 2
                stack.extend(part)
                stack.extend(part.values())
            elif isinstance(part, list | tuple):
                total += 2
                stack.extend(part)
            else:
                total += 4
            if total > self.limits.characters:
                self.too_large()
        return total

    def held(self, value: Any) -> Any:
        """The value, weighed and charged; an iterator is weighed as it is read."""
        size = _OBJECT
        if isinstance(value, str):
            self.room_for(len(value))
            size = sys.getsizeof(value)
        elif isinstance(value, int):
            if value.bit_length() > INTEGER_BITS:
                raise Refused(f"makes a number of more than {INTEGER_BITS} bits")
            size = sys.getsizeof(value)
        elif isinstance(value, dict | list | tuple):
            self.weight(value)
            size = sys.getsizeof(value)
        elif isinstance(value, Iterator):
            value = self._weighed(value)
        self.charge(size)
        return value

    def _weighed(self, items: Iterator[Any]) -> Iterator[Any]:
        total = 0
        for item in items:
            self.tick()
            total += 4 + self.weight(item)
            self.room_for(total)
            self.charge(sys.getsizeof(item))
            yield item

    # --- what a template does ---------------------------------------------------------------------------

    def getattr(self, obj: Any, attribute: str) -> Any:
        """As Jinja's, but a key of a dict goes before a method: ``order.items`` is the order's items."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> Template:  # noqa: A002  (Jinja's name)
        """As Jinja's; templates that include each other run against the clock."""
        self.tick()
        return super().get_template(name, parent, globals)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """As Jinja's, refusing what would be large before it is made."""
        self.tick()
        if operator == "*":
            self._check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            if right > 0 and left.bit_length() * right > INTEGER_BITS:
                raise Refused(f"makes a number of more than {INTEGER_BITS} bits")
        elif operator == "%" and isinstance(left, str):
            check_percent(self, left, right)
        elif operator == "+" and isinstance(left, str | list | tuple):
            self.room_for(self.weight(left) + self.weight(right))
        return self.held(super().call_binop(context, operator, left, right))

    def _check_product(self, left: Any, right: Any) -> None:
        if isinstance(left, int) and not isinstance(right, int | float):
            left, right = right, left
        if isinstance(left, int) and isinstance(right, int):
            if left.bit_length() + right.bit_length() > INTEGER_BITS:
                raise Refused(f"makes a number of more than {INTEGER_BITS} bits")
        elif isinstance(right, int) and isinstance(left, str | list | tuple):
            self.room_for((self.weight(left) + 1) * max(right, 0))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  (as Jinja's)
        """Call what the lists below allow, and macros, blocks and loops."""
        self = __self
        self.tick()
        if isinstance(__obj, _CALLABLE) or any(__obj is function for function in _FUNCTIONS.values()):
            # What keeps its arguments: a macro while it runs, a loop, a namespace.
            self.charge(_OBJECT + _ITEM * len(args) + _ENTRY * len(kwargs))
        else:
            method = getattr(__obj, "__wrapped__", __obj)  # Jinja wraps str.format
            owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "?")
            for kind, methods in _METHODS.items():
                if isinstance(owner, kind) and name in methods:
                    check = _METHOD_CHECKS.get(name)
                    if check is not None and not isinstance(owner, LoopContext):
                        given = {key: value for key, value in kwargs.items() if key not in _JINJA_KEYWORDS}
                        check(self, owner, *args, **given)
                    if name in _PARTING and isinstance(owner, str):
                        self.charge(_parts(owner, *args))
                    break
            else:
                raise Refused(f"may not call {name!r}; a filter may do the same")
        return self.held(super().call(__context, __obj, *args, **kwargs))


_JINJA_KEYWORDS = ("_loop_vars", "_block_vars")


class Program:
    """A compiled template; calling it renders it.

    :param name: of the template, for messages.
    """

    __slots__ = ("_blocks", "_name", "_root", "_sandbox")

    def __init__(self, sandbox: Sandbox, template: Template, name: str) -> None:
        self._sandbox = sandbox
        self._name = name
        self._root = template.root_render_func
        self._blocks = template.blocks

    def __call__(self, variables: Mapping[str, Any]) -> str:
        """Render. :raises ContentError: a variable is missing, or the template does what it may not."""
        sandbox = self._sandbox
        sandbox.start()
        try:
            context = new_context(sandbox, self._name, self._blocks, dict(variables), True)
            return sandbox.concat(self._root(context))
        except Exception as error:
            raise _told(error, self._name) from error


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Turn every error into a ContentError about the template of this name."""
    try:
        yield
    except Exception as error:
        raise _told(error, name) from error


class Passes(Exception):
    """Base of exceptions that leave a rendering as they are."""


def _told(error: Exception, name: str) -> Exception:
    if isinstance(error, ContentError | Passes):
        return error
    line = None
    traceback = error.__traceback__
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            name, line = template.name or name, template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    text = str(error)
    if isinstance(error, TemplateSyntaxError):
        name, line, text = error.name or name, error.lineno, error.message or "is not Jinja"
    elif isinstance(error, TemplateNotFound):
        text = f"there is no template {shown(error.name)}"
    elif isinstance(error, RecursionError):
        text = "is nested too deeply"
    elif isinstance(error, MemoryError):
        text = "needs too much memory"
    elif isinstance(error, SecurityError):
        text = f"may not do this: {text}"
    elif not isinstance(error, UndefinedError | Refused):
        text = f"{type(error).__name__}: {text}"
    place = f"{name}, line {line}" if line else name
    return (LimitExceeded if isinstance(error, _Spent) else ContentError)(f"{place}: {text[:500]}")


def variables_of(tree: nodes.Template) -> set[str]:
    """The names that a template takes from its variables; a function's counts where it is not called."""
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    elsewhere = {name.name for name in tree.find_all(nodes.Name) if id(name) not in called}
    return {name for name in meta.find_undeclared_variables(tree) if name not in _FUNCTIONS or name in elsewhere}


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


# --- what the compiler adds -----------------------------------------------------------------------------


def _charged(node: nodes.Node, size: int) -> nodes.Filter:
    """True, once the clock was looked at and so many bytes were charged."""
    price = nodes.Const(size, lineno=node.lineno)
    return _filtered(nodes.Const(True, lineno=node.lineno), "_charge", [price])


def _filtered(node: nodes.Expr, name: str, args: list[nodes.Expr] | None = None) -> nodes.Filter:
    return nodes.Filter(node, name, args or [], [], None, None, lineno=node.lineno)


class _Guards(NodeTransformer):
    """Puts the clock into loops, and scales under what becomes plain Python: ``~``, literals, slices, macros."""

    def visit_For(self, node: nodes.For) -> list[nodes.Node]:
        outputs = sum(1 for _ in node.find_all(nodes.Output))
        self.generic_visit(node)
        clock = _charged(node, _ITEM + _PUT_OUT * outputs)
        if node.test is not None:
            node.test = nodes.And(clock, node.test, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(clock, lineno=node.lineno))
        return self._made(node)

    def _made(self, node: nodes.Stmt) -> list[nodes.Node]:
        """A statement that makes an object; generic_visit has been there."""
        return [nodes.ExprStmt(_charged(node, _OBJECT), lineno=node.lineno), node]

    def visit_Macro(self, node: nodes.Macro) -> list[nodes.Node]:
        self.generic_visit(node)
        return self._made(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> list[nodes.Node]:
        self.generic_visit(node)
        return self._made(node)

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
        if isinstance(node.node, nodes.Name) and node.node.name in _FUNCTIONS:
            name = nodes.Const(node.node.name, lineno=node.lineno)
            node.node = _filtered(node.node, "_function", [name])
        return node

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


# --- filters ------------------------------------------------------------------------------------------

_Check = Callable[..., None]


def _number(value: Any, limit: int = WIDTH) -> None:
    if isinstance(value, int | float) and abs(value) > limit:
        raise Refused(f"takes a width or count of at most {limit}")


def _check_numbers(sandbox: Sandbox, value: Any, *args: Any, **kwargs: Any) -> None:
    for argument in (*args, *kwargs.values()):
        _number(argument)
        sandbox.weight(argument)


def _check_batch(sandbox: Sandbox, value: Any, count: Any, fill_with: Any = None) -> None:
    _number(count)
    sandbox.room_for(int(count) * (sandbox.weight(fill_with) + 1))


def _check_indent(sandbox: Sandbox, s: Any, width: Any = 4, first: bool = False, blank: bool = False) -> None:
    _number(width)
    size = width if isinstance(width, int) else len(str(width))
    sandbox.room_for(len(s) + (s.count("\n") + 1) * size)


def _check_replace(sandbox: Sandbox, s: Any, old: Any, new: Any, count: Any = None) -> None:
    text, old, new = str(s), str(old), str(new)
    sandbox.room_for(len(text))
    sandbox.room_for(len(text) + text.count(old) * len(new))


def _check_join(sandbox: Sandbox, separator: Any, items: Any) -> None:
    if not isinstance(items, list | tuple | str):
        raise Refused("joins lists only; the filter 'join' takes anything")
    sandbox.room_for(sandbox.weight(list(items)) + len(items) * len(str(separator)))


def _check_short(sandbox: Sandbox, s: Any, *args: Any, **kwargs: Any) -> None:
    _check_numbers(sandbox, s, *args, **kwargs)
    if len(str(s)) > SLOW_TEXT:
        raise Refused(f"takes a text of at most {SLOW_TEXT} characters here")


def _check_strip(sandbox: Sandbox, value: Any, chars: Any = None) -> None:
    # Each character at an end is looked for in all of them.
    if isinstance(chars, str) and len(chars) > WIDTH:
        raise Refused(f"strips at most {WIDTH} different characters")


def _check_sum(sandbox: Sandbox, iterable: Any, attribute: Any = None, start: Any = 0) -> None:
    # Adding up lists takes quadratic time.
    if not isinstance(start, int | float):
        raise Refused("sums numbers only")


_DIGITS = re.compile(r"[0-9]+")


def _check_widths(text: str) -> None:
    for digits in _DIGITS.findall(text):
        if len(digits) > 4 or int(digits) > WIDTH:
            raise Refused(f"formats with numbers of at most {WIDTH}")


_PERCENT = re.compile(r"%(?:\([^)]*\))?[^a-zA-Z%]*")


def check_percent(sandbox: Sandbox, text: Any, values: Any) -> None:
    """Check ``text % values``. :raises Refused: a width comes from a value or is large, or the result is."""
    text = str(text)
    specifiers = _PERCENT.findall(text)
    for specifier in specifiers:
        if "*" in specifier.rpartition(")")[2]:
            raise Refused("takes no '*' in a format; write the width")
        _check_widths(specifier.rpartition(")")[2])
    sandbox.room_for(len(text) + len(specifiers) * (sandbox.weight(values) + WIDTH))


def _check_format_filter(sandbox: Sandbox, value: Any, *args: Any, **kwargs: Any) -> None:
    check_percent(sandbox, value, kwargs or args)


def _check_str_format(sandbox: Sandbox, text: str, *args: Any, **kwargs: Any) -> None:
    # A nested field gives a width that nobody has seen: '{:{}}'.
    if re.search(r"\{[^{}]*\{", text.replace("{{", "")):
        raise Refused("takes no field inside a field of a format; write the width")
    _check_widths(text)
    sandbox.room_for(len(text) + text.count("{") * (sandbox.weight([args, kwargs]) + WIDTH))


def _check_strftime(sandbox: Sandbox, moment: Any, text: Any) -> None:
    # The C library takes widths here too.
    if len(str(text)) > 200 or re.search(r"%[^a-zA-Z%]", str(text)):
        raise Refused("takes a date format of plain letters like '%Y-%m-%d'")


def _check_round(sandbox: Sandbox, value: Any, precision: Any = 0, method: Any = "common") -> None:
    _number(precision, 15)


def _join(context: Context, value: Any, d: Any = "", attribute: Any = None) -> Any:
    sandbox = cast("Sandbox", context.environment)
    items = list(sandbox.held(iter(value)))
    _check_join(sandbox, d, items)
    return FILTERS["join"](context.eval_ctx, items, d, attribute)


def _check_list(sandbox: Sandbox, value: Any) -> None:
    if isinstance(value, str):
        sandbox.room_for(3 * len(value))
        sandbox.charge(_CHARACTER * len(value))


def _check_pairs(sandbox: Sandbox, value: Any, *args: Any, **kwargs: Any) -> None:
    # One for each item, or each group.
    if isinstance(value, Sized):
        sandbox.charge(2 * _ENTRY * len(value))


def _parts(text: str, separator: Any = None, *_: Any) -> int:
    """Bytes that the parts of a text take beside its characters, if it is split."""
    if isinstance(separator, str) and separator:
        return _ENTRY * (text.count(separator) + 1) + sys.getsizeof(text)
    return _ENTRY * (len(text) // 2 + 1) + sys.getsizeof(text)


@pass_context
def _charge(context: Context, value: Any, size: int) -> Any:
    sandbox = cast("Sandbox", context.environment)
    sandbox.tick()
    sandbox.charge(size)
    return value


@pass_context
def _literal(context: Context, value: Any) -> Any:
    sandbox = cast("Sandbox", context.environment)
    sandbox.tick()
    sandbox.charge(_ITEM * len(value))
    return sandbox.held(value)


def _function(context: Context, value: Any, name: str) -> Any:
    # A macro may have the name of a function; no variable can be called.
    return value if callable(value) and not isinstance(value, Undefined) else _FUNCTIONS[name]


def _concat(context: Context, *parts: Any) -> Any:
    sandbox = cast("Sandbox", context.environment)
    parts = tuple(map(readable, parts))
    sandbox.room_for(sum(map(sandbox.weight, parts)))
    if not context.eval_ctx.autoescape:
        return str_join(parts)
    if sandbox.finalize is not None and any(isinstance(part, Markup) for part in parts):
        parts = tuple(map(sandbox.finalize, parts))
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
        sandbox = cast("Sandbox", context.environment)
        sandbox.tick()
        if check is not None:
            check(sandbox, *args, **kwargs)
        if wanted is None:
            return sandbox.held(function(*args, **kwargs))
        passed = {
            _PassArg.context: context,
            _PassArg.eval_context: context.eval_ctx,
            _PassArg.environment: sandbox,
        }
        return sandbox.held(function(passed[wanted], *args, **kwargs))

    return guarded


_FILTERS: dict[str, Callable[..., Any]] = {
    **{name: _guarded(FILTERS[name]) for name in _EASY.split()},
    **{name: _guarded(FILTERS[name], check) for name, check in _CHECKED.items()},
    "join": _guarded(pass_context(_join)),
    "_charge": _charge,
    "_literal": _literal,
    "_concat": _guarded(pass_context(_concat)),
    "_function": _guarded(pass_context(_function)),
    "_held": _guarded(pass_context(_held)),
}

_PLAIN_FILTERS: dict[str, Callable[..., Any]] = {
    **_FILTERS,
    **dict.fromkeys(("e", "escape", "forceescape", "safe"), _guarded(_plain)),
    "tojson": _guarded(pass_context(_json), _check_numbers),
}
PLAIN_FILTERS: Mapping[str, Callable[..., Any]] = _PLAIN_FILTERS
"""For environments that escape in another way than HTML does."""

# --- functions and methods ------------------------------------------------------------------------------

_CALLABLE = (Macro, BlockReference, LoopContext, Joiner, Undefined)
"""What Jinja makes itself. Calling an Undefined says which variable is missing."""

_FUNCTIONS: dict[str, Any] = {
    "range": safe_range,
    "dict": dict,
    "namespace": _Namespace,
    "cycler": Cycler,
    "joiner": Joiner,
}

_OWN = (TemplateReference, LoopContext, Cycler, Namespace)
"""What Jinja makes itself and nobody can call."""

# Not rfind, rsplit and their like: Python searches backwards in quadratic time.
_METHODS: dict[type, frozenset[str]] = {
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

_PARTING = frozenset({"split", "splitlines"})

_METHOD_CHECKS: dict[str, _Check] = {
    "center": _check_numbers,
    "format": _check_str_format,
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
