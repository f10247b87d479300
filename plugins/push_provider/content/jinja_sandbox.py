"""Jinja for templates of strangers: what they may call, how much they may make, how long they may take.

Jinja's own sandbox keeps a template from Python's internals; it does not keep it from filling the memory
or the processor. Here a template works against a deadline and against a size:

* every loop turn, call, filter and arithmetic operation looks at the clock (:meth:`Scales.tick`);
* every value a template makes is weighed before it is kept, and what could be large in one step
  (``'a' * n``, ``center(n)``, ``'%9999d'``, ``replace``, ``join`` …) before it is made;
* what all values of a rendering take is added up (:meth:`Scales.charge`), each by itself and when it is made: whatever
  holds whatever, a rendering keeps no more than was ever made;
* filters, methods and functions are those of ``jinja_allowed``; everything else is refused.

A function's name is a function where it is called, and a variable's everywhere else: ``range(3)`` counts, and
``{{ range }}`` is what somebody gave as ``range``, or is missing.

It works in any thread, without signals, as long as each single step is short.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import update_wrapper
from types import MethodType
from typing import Any

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
from jinja2.runtime import Context, LoopContext, Macro, new_context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import Markup

from push_provider.addresses import shown
from push_provider.content.jinja_allowed import (
    CALLABLE,
    FILTERS_OF_HTML,
    FUNCTIONS,
    METHOD_CHECKS,
    METHODS,
    PARTING,
    PLAIN_FILTERS,
    TESTS,
    VIEWS,
    large_numbers,
    parts_of,
    readable,
    refuse_null,
)
from push_provider.content.jinja_formats import check_percent, formatter
from push_provider.content.jinja_guards import with_guards
from push_provider.content.jinja_names import NamingGenerator
from push_provider.content.jinja_scales import (
    ENTRY,
    ESCAPED,
    INTEGER_BITS,
    ITEM,
    LIMITS,
    OBJECT,
    PUT_OUT,
    Limits,
    Refused,
    Scales,
    Spent,
)
from push_provider.exceptions import ContentError, LimitExceeded
from push_provider.written import python_dumps

_NO_TEXT = sys.getsizeof("")


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


class _Context(Context):
    # One for each file that is included or imported. Where a template sets names, each has a copy of all variables.
    def __init__(self, environment: Any, parent: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        environment.charge(OBJECT + ENTRY * len(parent))
        super().__init__(environment, parent, *args, **kwargs)


class _Template(Template):
    def make_module(
        self,
        vars: dict[str, Any] | None = None,  # noqa: A002  (Jinja's name)
        shared: bool = False,
        locals: Mapping[str, Any] | None = None,  # noqa: A002  (Jinja's name)
    ) -> TemplateModule:
        # As Jinja's, but what the imported file puts out counts.
        context = self.new_context(vars, shared, locals)
        return TemplateModule(self, context, [self.environment.concat(self.root_render_func(context))])


class Sandbox(Scales, ImmutableSandboxedEnvironment):
    """A Jinja environment over fixed sources, without file system.

    :param sources: the templates by name.
    :param autoescape: True for HTML. Without it ``e``, ``safe`` and ``tojson`` make plain text.
    :param finalize: called with each value that is put out; left out, :func:`readable`.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    template_class = _Template
    context_class = _Context
    code_generator_class = NamingGenerator

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        autoescape: bool,
        limits: Limits = LIMITS,
        finalize: Callable[[Any], Any] | None = None,
    ) -> None:
        Scales.__init__(self, limits)
        self._finalize = finalize or readable
        ImmutableSandboxedEnvironment.__init__(
            self,
            loader=DictLoader(sources),
            autoescape=autoescape,
            undefined=_Missing,
            finalize=self._put_out,
            auto_reload=False,
            keep_trailing_newline=True,
        )
        self.filters = dict(FILTERS_OF_HTML if autoescape else PLAIN_FILTERS)
        self.tests = {**self.tests, **TESTS}
        self.policies["json.dumps_function"] = python_dumps  # the filter tojson
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
        guarded = with_guards(source)
        guarded.set_environment(self)
        return super()._generate(guarded, name, filename, defer_init)

    # --- what it puts out -----------------------------------------------------------------------------

    def _put_out(self, value: Any, name: str | None = None) -> Any:
        """A value as it is put out. What a block or a macro puts out is kept until its end, escaped or as text.

        :param name: how the template calls it.
        :raises Refused: it is null, or no value.
        """
        if isinstance(value, str):
            escaped = self.autoescape and not isinstance(value, Markup)
            self.charge(PUT_OUT + ESCAPED * (sys.getsizeof(value) - _NO_TEXT) if escaped else PUT_OUT)
        elif isinstance(value, dict | list | tuple):
            self.charge(PUT_OUT + 2 * ESCAPED * self.weight(value))
        elif isinstance(value, int):
            self.charge(ENTRY + value.bit_length() // 2)
        elif isinstance(value, TemplateModule):
            self.charge(PUT_OUT + 2 * ESCAPED * self.weight(value))
        elif value is None:
            refuse_null(name)
        else:
            self.charge(ENTRY)
        return self._finalize(value)

    def weight_of_object(self, value: Any) -> int:
        """As of any, and what is shown of those that hold texts and numbers of any length."""
        size = super().weight_of_object(value)
        if isinstance(value, Macro):
            return size + len(value.name)
        if isinstance(value, range):
            return size + self.weight((value.start, value.stop, value.step))
        if isinstance(value, MethodType):
            # One of Python's own shows what it belongs to: Markup's whole text.
            return size + (len(value.__self__) if isinstance(value.__self__, str) else 0)
        if isinstance(value, TemplateModule):
            return len(str(value))
        return size

    def _concat(self, parts: Iterable[str]) -> str:
        text = "".join(self.bounded(parts))
        self.charge(sys.getsizeof(text))
        return text

    # --- what a template does ---------------------------------------------------------------------------

    def getattr(self, obj: Any, attribute: str) -> Any:
        """As Jinja's, but a key of a dict goes before a method: ``order.items`` is the order's items."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """As Jinja's, with a formatter that weighs what it makes."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None or value.__name__ != "format":
            return wrapped
        self.charge(2 * OBJECT)  # a function with its names, and a formatter
        text = value.__self__
        kind, weighed = Markup if isinstance(text, Markup) else str, formatter(self, text)

        def wrapper(*args: Any, **kwargs: Any) -> str:
            return kind(weighed.vformat(text, args, kwargs))

        return update_wrapper(wrapper, value)

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> Template:  # noqa: A002  (Jinja's name)
        """As Jinja's; templates that include each other run against the clock."""
        self.tick()
        return super().get_template(name, parent, globals)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As Jinja's. A text that an object of Jinja's has counts each time: a list of such objects weighs less."""
        value = super().getitem(obj, argument)
        if isinstance(value, str) and not isinstance(obj, dict | list | tuple | str):
            self.charge(sys.getsizeof(value))
        return value

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
        """Call what ``jinja_allowed`` lists, and macros, blocks and loops."""
        self = __self
        self.tick()
        if isinstance(__obj, CALLABLE) or any(__obj is function for function in FUNCTIONS.values()):
            # What keeps its arguments: a macro while it runs, a loop, a namespace.
            self.charge(OBJECT + ITEM * len(args) + ENTRY * len(kwargs) + large_numbers(args))
            if args and (__obj is FUNCTIONS["dict"] or __obj is FUNCTIONS["namespace"]):
                args = (self._dict_of(args[0]), *args[1:])
        else:
            method = getattr(__obj, "__wrapped__", __obj)  # Jinja wraps str.format
            owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "?")
            for kind, methods in METHODS.items():
                if isinstance(owner, kind) and name in methods:
                    check = METHOD_CHECKS.get(name)
                    if check is not None and not isinstance(owner, LoopContext):
                        given = {key: value for key, value in kwargs.items() if key not in _JINJA_KEYWORDS}
                        check(self, owner, *args, **given)
                    if name in PARTING and isinstance(owner, str):
                        self.charge(parts_of(owner, *args))
                    elif name == "partition":
                        self.charge(3 * ENTRY + sys.getsizeof(owner))
                    elif name in VIEWS and isinstance(owner, dict):
                        # A list is weighed and charged; a view of a dict hides what it shows.
                        self.charge(ITEM * len(owner))
                        return self.held(list(super().call(__context, __obj, *args, **kwargs)))
                    break
            else:
                raise Refused(f"may not call {name!r}; a filter may do the same")
        return self.held(super().call(__context, __obj, *args, **kwargs))

    def _dict_of(self, pairs: Any) -> Any:
        """What a dict is made of. Numbers may share their hash, and then each takes as long as there are others."""
        if isinstance(pairs, dict):
            self.charge(ENTRY * len(pairs))
            return pairs
        made = {}
        for key, value in pairs:
            self.tick()
            self.charge(ENTRY)
            made[key] = value
        return made


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
    return (LimitExceeded if isinstance(error, Spent) else ContentError)(f"{place}: {text[:500]}")


def variables_of(tree: nodes.Template) -> set[str]:
    """The names that a template takes from its variables; a function's counts where it is not called."""
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    elsewhere = {name.name for name in tree.find_all(nodes.Name) if id(name) not in called}
    return {name for name in meta.find_undeclared_variables(tree) if name not in FUNCTIONS or name in elsewhere}
