"""Content of a push task: its subject, bodies and attachments, compiled once and rendered for each recipient.

Templates are Jinja in a sandbox (:mod:`push_provider.content.jinja_sandbox`). They see the variables of the task,
which a trigger's override, which the recipient's own override; and two names that nobody overrides: ``to``,
the recipient's address, and ``push``, facts of the execution. What depends on neither ``to`` nor a variable
is rendered once for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jinja2 import nodes

from push_provider.channels.email.task import EmailTask, InlineAttachment
from push_provider.content.base import CompiledContent
from push_provider.content.flatten import Flat, flatten
from push_provider.content.include_files import attachment_areas, include_root, mime_type, read_file, read_template
from push_provider.content.jinja_allowed import readable
from push_provider.content.jinja_sandbox import Passes, Sandbox, errors_of, variables_of
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.content.patience import Patience
from push_provider.content.plain_text import HOLE, LINK, converted, link, plain_text
from push_provider.contract.values import ATTACHMENTS_LIMIT
from push_provider.exceptions import ContentError

if TYPE_CHECKING:
    from push_provider.content.markdown_templates import Written

_INLINE = "content"
_SUBJECT = "subject"
_TEMPLATES = 100
"""Files that one template may need."""
_FIXED = frozenset({"push"})

# Control characters, line and paragraph separators, halves of a character: none belongs in a header field.
_NOT_IN_SUBJECT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Render = Callable[[Mapping[str, Any]], str]


class Rendered(NamedTuple):
    """The message of one recipient.

    :param subject: one line.
    :param html: the HTML body; None for ``content_type`` text.
    :param text: the plain body; for HTML and markdown the plain alternative.
    """

    subject: str
    html: str | None
    text: str


class File(NamedTuple):
    """An attachment.

    :param name: as the recipient sees it.
    :param content: the file itself.
    :param mime_type: guessed from the name, else ``application/octet-stream``.
    """

    name: str
    content: bytes
    mime_type: str


class _Irregular(Passes):
    """A value that a text made beforehand cannot take, because HTML would show it otherwise."""


@contextmanager
def _fault_of(field: str) -> Iterator[None]:
    try:
        yield
    except ContentError as error:
        error.field = field
        raise


@_fault_of("template")
def _freeze(task: EmailTask, *, include: Path | None = None, limits: Limits = LIMITS) -> dict[str, str]:
    """Read the task's template and all that it extends, includes or imports.

    :param include: the include directory; left out, that of the settings.
    :return: sources by name; empty for inline content.
    :raises ContentError: a file is missing, outside include/templates or no template; names it.
    """
    if task.template is None:
        return {}
    root = (include_root(include) / "templates").resolve()
    sandbox = Sandbox({}, autoescape=True, limits=limits)
    sources: dict[str, str] = {}
    missing: set[str] = set()
    wanted: list[tuple[tuple[str, ...], bool, str]] = [((task.template,), True, "template")]
    while wanted:
        names, required, where = wanted.pop()
        found = False
        for name in names:
            if name not in sources and name not in missing:
                source = read_template(root, name, limits.source)
                if source is None:
                    missing.add(name)
                else:
                    sources[name] = source
                    if len(sources) > _TEMPLATES or sum(map(len, sources.values())) > limits.source:
                        raise ContentError(
                            f"{task.template}: needs more than {_TEMPLATES} files or {limits.source} "
                            "characters; make it simpler"
                        )
                    with errors_of(name):
                        wanted += _references(sandbox.check(source, name), name)
            found = found or name in sources
        if required and not found:
            raise ContentError(f"{where}: there is no {' or '.join(map(repr, names))} below include/templates; add it")
    return sources


def _references(tree: nodes.Template, name: str) -> Iterator[tuple[tuple[str, ...], bool, str]]:
    """What a template needs: names of which one must exist, whether it must, and where it says so."""
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        wanted: nodes.Expr = node.template  # type: ignore[attr-defined]
        where = f"{name}, line {node.lineno}"
        try:
            value = wanted.as_const()
        except nodes.Impossible:
            value = None
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, tuple | list) or not names or not all(isinstance(item, str) for item in names):
            raise ContentError(f"{where}: name the template as text in quotes; variables cannot choose it")
        yield tuple(names), not getattr(node, "ignore_missing", False), where


class Content(CompiledContent):
    """The compiled mail of one execution; for parameters and errors see :class:`CompiledContent`."""

    subject: str | None
    """The subject when it is the same for all recipients."""
    html: str | None
    """The HTML body when it is the same for all."""
    text: str | None
    """The plain body when it is the same for all."""
    has_html: bool
    """Whether messages have an HTML body."""

    def __init__(
        self,
        task: EmailTask,
        templates: Mapping[str, str],
        *,
        variables: Mapping[str, Any] = {},
        push: Mapping[str, Any] = {},
        include: Path | None = None,
        areas: bool | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._task = task
        self._include = include
        self._by_application = areas
        self._limits = limits
        self._patience = Patience()
        self._given = {"push": dict(push)}
        self._variables = {**task.variables, **variables}

        with _fault_of(_SUBJECT):
            subject = {_SUBJECT: _unmarked(task.subject)}
            constant = self._check(subject, _SUBJECT)
            self._render_subject = _one_line(Sandbox(subject, autoescape=False, limits=limits).program(_SUBJECT))
            self.subject = self._render_subject(self._given) if constant else None
        with _fault_of("content" if task.template is None else "template"):
            self._compile_bodies(task, templates)

    def render(self, to: str, variables: Mapping[str, Any]) -> Rendered:
        """The message of one recipient.

        :param to: the address.
        :param variables: the recipient's own.
        :raises ContentError: a variable is missing, or the result is not a message.
        """
        if self.subject is not None and self.text is not None:
            return Rendered(self.subject, self.html, self.text)
        return self._patience.of(self._rendered, to, variables)

    def _rendered(self, to: str, variables: Mapping[str, Any]) -> Rendered:
        values = {**self._variables, **variables, **self._given, "to": to}
        subject = self._render_subject(values) if self.subject is None else self.subject
        if self.text is not None:
            return Rendered(subject, self.html, self.text)
        return Rendered(subject, *self._bodies(values))

    @cached_property
    @_fault_of("attachments")
    def attachments(self) -> list[File]:
        """The files to attach, read when first asked for.

        :raises ContentError: one is missing or outside include/, or all are more than 10 MiB.
        """
        if not self._task.attachments:
            return []
        files = []
        room = ATTACHMENTS_LIMIT
        for attachment in self._task.attachments:
            if isinstance(attachment, InlineAttachment):
                name, content = attachment.name, attachment.content
            else:
                name, content = (
                    PurePosixPath(attachment).name,
                    read_file(include_root(self._include), attachment, room, areas=self._areas()),
                )
            room -= len(content)
            if room < 0:
                raise ContentError(f"attachments: are more than {ATTACHMENTS_LIMIT} bytes in all; leave some out")
            files.append(File(name, content, mime_type(name)))
        return files

    freeze = staticmethod(_freeze)

    def examine(self) -> None:
        """Read the attachments."""
        _ = self.attachments

    def preview(self, to: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """The mail of one recipient."""
        files = [{"name": one.name, "size": len(one.content), "type": one.mime_type} for one in self.attachments]
        return {**self.render(to, own)._asdict(), "attachments": files}

    def _areas(self) -> list[PurePosixPath] | None:
        by_application = self._by_application
        if by_application is None:
            from push_provider.settings import attachment_areas as are_set

            by_application = are_set()
        return attachment_areas(self._task.app) if by_application else None

    # --- compiling ------------------------------------------------------------------------------------

    def _compile_bodies(self, task: EmailTask, templates: Mapping[str, str]) -> None:
        name = task.template if task.template is not None else _INLINE
        sources = dict(templates) if task.template is not None else {_INLINE: _unmarked(task.content)}
        constant = self._check(sources, name)
        kind = _kind(task)
        self.has_html = kind != "text"
        self._render_html: Render | None = None
        self._render_text: Render | None = None
        if kind == "html":
            self._compile_html(sources, name)
        elif kind == "markdown":
            self._compile_markdown(sources, name)
        else:
            self._render_text = Sandbox(sources, autoescape=False, limits=self._limits).program(name)

        self.html = self.text = None
        if constant:
            self.html, self.text = self._bodies(self._given)

    def _check(self, sources: Mapping[str, str], name: str) -> bool:
        """Check all templates that one needs; whether the result is the same for all recipients."""
        sandbox = Sandbox(sources, autoescape=True, limits=self._limits)
        names: set[str] = set()
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            source = sources.get(current)
            if source is None:
                if current == name:
                    raise ContentError(f"{name}: this template was not read when the execution was planned")
                continue  # one that need not exist, or rendering says which
            with errors_of(current):
                tree = sandbox.check(source, current)
                references = list(_references(tree, current))
                names |= variables_of(tree)
            for wanted, _, where in references:
                if current == _SUBJECT or self._task.template is None:
                    raise ContentError(f"{where}: only a file of include/templates can use other templates")
                waiting += wanted
        return names <= _FIXED

    def _compile_html(self, sources: Mapping[str, str], name: str) -> None:
        sandbox = Sandbox(sources, autoescape=True, limits=self._limits)
        flat = flatten(sources, name, limits=self._limits, autoescape=True, given=self._given, fixed=_FIXED)
        if flat is None:
            self._render_html = sandbox.program(name)
            return
        self._render_html = flat.program(sandbox, flat.text, HOLE, name)
        self._render_text = self._alternative(flat, flat.text, HOLE, name)

    def _alternative(
        self,
        flat: Flat,
        html: str,
        pattern: re.Pattern[str],
        name: str,
        filters: Mapping[str, str] = {},
        functions: Mapping[str, Callable[..., Any]] = {},
    ) -> Render | None:
        """The text of HTML with holes; None where each message's has to be converted by itself."""
        text, steady = converted(html)
        if not steady:
            return None
        plain = Sandbox({}, autoescape=False, limits=self._limits, finalize=_regular)
        plain.filters |= functions
        program = flat.program(plain, text, pattern, name, filters)
        linked = LINK.search(text) is not None
        return (lambda values: LINK.sub(link, program(values))) if linked else program

    def _compile_markdown(self, sources: Mapping[str, str], name: str) -> None:
        from push_provider.content import markdown_body
        from push_provider.content.markdown_templates import MarkdownSandbox

        flat = flatten(sources, name, limits=self._limits, autoescape=False, given=self._given, fixed=frozenset())
        if flat is not None:
            sandbox = Sandbox({}, autoescape=True, limits=self._limits)
            sandbox.filters |= markdown_body.FUNCTIONS
            with errors_of(name):
                document = markdown_body.document(flat.text)
            holes, filters = markdown_body.HOLE, markdown_body.FILTERS
            self._render_html = flat.program(sandbox, document, holes, name, filters)
            self._render_text = self._alternative(flat, document, holes, name, filters, markdown_body.FUNCTIONS)
            return
        shaped = MarkdownSandbox(sources, limits=self._limits)
        program = shaped.program(name)

        def render(values: Mapping[str, Any]) -> str:
            text = program(values)
            with errors_of(name):
                return markdown_body.filled(cast("Written", text), shaped)

        self._render_html = render

    # --- rendering --------------------------------------------------------------------------------------

    def _bodies(self, values: Mapping[str, Any]) -> tuple[str | None, str]:
        html = self._render_html(values) if self._render_html is not None else None
        text = None
        if self._render_text is not None:
            try:
                text = self._render_text(values)
            except _Irregular:
                text = None
        if text is None:
            text = plain_text(html or "")
        for body in (html, text):
            if body is None:
                continue
            if len(body) > self._limits.characters:
                raise ContentError(f"content: a body has more than {self._limits.characters} characters; shorten it")
            if not body.isascii():
                try:
                    body.encode()
                except UnicodeEncodeError as error:
                    raise ContentError("content: a value holds half a character (a lone surrogate)") from error
        return html, text


def _unmarked(text: str | None) -> str:
    """A text without the BOM of the file that a program read it from."""
    return (text or "").removeprefix("\ufeff")


def _kind(task: EmailTask) -> str:
    """The content type; a template file says by its ending when it is not HTML."""
    if task.content_type == "html" and task.template is not None:
        return {".md": "markdown", ".txt": "text"}.get(PurePosixPath(task.template).suffix, "html")
    return task.content_type


def _regular(value: Any) -> Any:
    # HTML joins blanks and drops those at the ends; isprintable() is false for all other blanks.
    text = value if type(value) is str else str(readable(value))
    if not text.isprintable() or not text or text[0] == " " or text[-1] == " " or "  " in text:
        raise _Irregular
    return text


def _one_line(render: Render) -> Render:
    def one_line(values: Mapping[str, Any]) -> str:
        subject = render(values).strip(" \t\u3000\xa0")
        found = _NOT_IN_SUBJECT.search(subject)
        if found is not None:
            raise ContentError(
                f"subject: holds the control character U+{ord(found[0]):04X}; write one line of plain text"
            )
        if not subject:
            raise ContentError("subject: is empty; an email needs one")
        return subject

    return one_line
