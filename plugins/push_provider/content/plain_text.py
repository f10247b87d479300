"""HTML to plain text: the text alternative of an HTML mail, as a reader would type it.

Headings and paragraphs stand apart, list items get a mark, table cells a bar between them, links their
address, images their alternative text; scripts, styles and what ``display: none`` hides are left out.

The converter is our own because it must do two things that libraries do not: take time proportional to the
input whatever strangers write (Python's ``html.parser`` before 3.11.14 takes quadratic time for an unclosed
tag), and convert a template as it would convert each message made of it. For the latter, no value
may change the text around it: nothing is wrapped or padded to a width, as inscriptis does with tables.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

HOLE = re.compile("\ue000([0-9]+)\ue001")
"""Stands for a value in a template's HTML; see :func:`converted`."""
RESERVED = re.compile("[\ue000-\ue004]")
"""What must not be in HTML that has holes."""
LINK = re.compile("\ue002([^\ue002-\ue004]*)\ue003([^\ue002-\ue004]*)\ue004")
"""A link in a converted template whose words or address have holes; :func:`link` finishes it."""

# WHATWG HTML, 13.2.5 "Tokenization". Possessive throughout: no input makes it try twice.
_TOKEN = re.compile(
    r"<!--(?:>|->|.*?(?:-->|--!>|\Z))"
    r"|<[!?][^>]*+(?:>|\Z)"
    r"|</[^a-zA-Z>][^>]*+(?:>|\Z)"
    r"|<(?P<end>/?)(?P<tag>[a-zA-Z][^\s/>]*+)"
    r"""(?P<attributes>(?:[^>=]++|=\s*+"[^"]*+(?:"|\Z)|=\s*+'[^']*+(?:'|\Z)|=)*+)(?:>|\Z)""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""([^\s=/>"']++)(?:\s*+=\s*+("[^"]*+"?|'[^']*+'?|[^\s>]++))?+""")
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_HIDDEN = re.compile(r"display\s*+:\s*+none", re.IGNORECASE)
_UNSTEADY = re.compile("(?:&#?[0-9a-zA-Z]*|<[/!?-]*)\ue000")
"""A value that would change how what stands before it is read."""

_RAW = {tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE) for tag in ("script", "style", "title", "textarea")}
_PARAGRAPHS = frozenset(
    ["p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "table", "dl", "figure", "fieldset", "address"]
)
_LINES = frozenset(
    [
        "html",
        "body",
        "head",
        "div",
        "section",
        "article",
        "header",
        "footer",
        "nav",
        "aside",
        "main",
        "form",
        "tr",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "dt",
        "dd",
        "li",
        "center",
        "figcaption",
        "details",
        "summary",
        "legend",
        "option",
    ]
)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_SCHEME = re.compile(r"(?:https?|ftp|mailto|tel|sms):", re.IGNORECASE)
_UNSPOKEN = re.compile(r"(?:mailto|tel|sms):", re.IGNORECASE)
_DEPTH = 20
"""Indents beyond this are not made: nested a million deep, lists take no more time than their HTML."""


def plain_text(source: str) -> str:
    """The text of an HTML document or fragment, without blanks at its end, lines parted by LF."""
    return _Writer(holes=False).text(source)


class Converted(NamedTuple):
    """A template's HTML as text.

    :param text: with the holes of the HTML, and links as :data:`LINK`.
    :param steady: filling the holes of the text gives what converting the filled HTML gives, for values that
        are not empty and have neither blanks side by side or at an end nor unprintable characters.
    """

    text: str
    steady: bool


def converted(source: str) -> Converted:
    """Convert HTML in which :data:`HOLE` stands for values to come, once for all of them."""
    writer = _Writer(holes=True)
    text = writer.text(source)
    return Converted(text, writer.steady and not _UNSTEADY.search(source))


def link(label: str, address: str) -> str:
    """The words of a link, with its address where a reader can use it and the words do not say it."""
    if not _SCHEME.match(address):
        return label
    spoken = _UNSPOKEN.sub("", address)
    if not label:
        return spoken
    if label in (address, spoken, address.partition("://")[2]) or label + "/" == address:
        return label
    return f"{label} ({spoken})"


class _Writer:
    """Reads tags and words in order and writes lines."""

    def __init__(self, *, holes: bool) -> None:
        self.steady = True
        self._holes = holes
        # Separators stand at even places, words at odd ones.
        self._out: list[str] = []
        self._breaks = 0  # line breaks owed before the next word
        self._blank = False  # a blank owed before the next word
        self._separator = ""  # or a bar between cells
        self._prefixes: list[tuple[str, str]] = []  # what opened it, what each line begins with
        self._mark = ""
        self._lists: list[int | None] = []  # the next number of an ordered list
        self._pre = 0
        self._link: tuple[int, str] | None = None

    def text(self, source: str) -> str:
        position = 0
        hidden: tuple[str, int] | None = None
        while True:
            token = _TOKEN.search(source, position)
            if hidden is None:
                self._words(source[position : token.start() if token else len(source)])
            if token is None:
                break
            position = token.end()
            tag = token["tag"]
            if tag is None:
                continue
            tag, attributes = tag.lower(), token["attributes"]
            if self._holes and not self._quoted(tag, attributes):
                self.steady = False
            raw = None if token["end"] else _RAW.get(tag)
            if raw is not None:
                end = raw.search(source, position)
                if tag == "textarea" and hidden is None:
                    self._words(source[position : end.start() if end else len(source)])
                position = end.start() if end else len(source)
            elif hidden is not None:
                if tag == hidden[0]:
                    depth = hidden[1] + (-1 if token["end"] else 1)
                    hidden = (tag, depth) if depth else None
            elif token["end"]:
                self._close(tag)
            elif tag == "template" or (tag not in _VOID and self._is_hidden(attributes)):
                hidden = (tag, 1)
            elif not self._is_hidden(attributes):
                self._open(tag, attributes)
                if tag == "pre" and source.startswith("\n", position):
                    position += 1
        self._end_link()
        return "".join(self._out).replace("\xa0", " ").rstrip()

    @staticmethod
    def _quoted(tag: str, attributes: str) -> bool:
        """Whether all holes of a tag are inside quoted values that cannot change what the tag is."""
        if "\ue000" in tag:
            return False
        if "\ue000" not in attributes:
            return True
        for name, value in _ATTRIBUTE.findall(attributes):
            if "\ue000" in name or ("\ue000" in value and (value[0] not in "\"'" or name.lower() == "style")):
                return False
            if "\ue000" in value and name.lower() == "start":
                return False
        return True

    @staticmethod
    def _is_hidden(attributes: str) -> bool:
        if "none" not in attributes.lower() and "hidden" not in attributes.lower():
            return False
        values = _values(attributes)
        return "hidden" in values or bool(_HIDDEN.search(values.get("style", "")))

    # --- words ----------------------------------------------------------------------------------------

    def _words(self, source: str) -> None:
        if not source:
            return
        text = html.unescape(source) if "&" in source else source
        if self._pre:
            for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
                if number:
                    self._break_line()
                if line:
                    self._put(line)
            return
        text = _BLANKS.sub(" ", text)
        if text.startswith(" "):
            self._blank = True
        words = text.strip(" ")
        if words:
            self._put(words)
            self._blank = text.endswith(" ")

    def _put(self, words: str) -> None:
        if not self._out:
            before = self._line_start()
        elif self._breaks:
            before = "\n" + (self._bare_prefix() + "\n") * (self._breaks - 1) + self._line_start()
        elif self._separator:
            before = self._separator
        else:
            before = " " if self._blank else ""
        self._out += (before, words)
        self._breaks, self._blank, self._separator = 0, False, ""

    def _line_start(self) -> str:
        prefixes = [prefix for _, prefix in self._prefixes]
        mark, self._mark = self._mark, ""
        if mark and prefixes:
            # The mark of an item stands in the indent that the item itself opened.
            prefixes[-1] = mark
        return "".join(prefixes)

    def _bare_prefix(self) -> str:
        return "".join(prefix for _, prefix in self._prefixes).rstrip()

    def _break(self, lines: int) -> None:
        self._breaks = max(self._breaks, lines)
        self._blank, self._separator = False, ""

    def _break_line(self) -> None:
        """A line break that adds to others, as ``<br>`` does."""
        self._breaks = min(self._breaks + 1, 3)
        self._blank, self._separator = False, ""

    # --- tags -----------------------------------------------------------------------------------------

    def _open(self, tag: str, attributes: str) -> None:
        if tag in _PARAGRAPHS:
            self._break(2)
        elif tag in _LINES:
            self._break(1)
        match tag:
            case "br":
                self._break_line()
            case "hr":
                self._break(2)
                self._put("-" * 40)
                self._break(2)
            case "a":
                self._end_link()
                self._link = (len(self._out), _values(attributes).get("href", "").strip())
            case "img":
                self._words(html.escape(_values(attributes).get("alt", "")))
            case "ul" | "ol" | "menu":
                self._break(1 if self._lists else 2)
                start = _values(attributes).get("start", "1")
                number = int(start) if re.fullmatch("[0-9]{1,6}", start) else 1
                self._lists.append(number if tag == "ol" else None)
            case "li":
                self._item()
            case "blockquote":
                if len(self._prefixes) < _DEPTH:
                    self._prefixes.append((tag, "> "))
            case "pre":
                self._pre += 1
            case "td" | "th":
                if self._out and not self._breaks:
                    self._separator, self._blank = " | ", False
            case "q":
                self._words("“")

    def _close(self, tag: str) -> None:
        match tag:
            case "a":
                self._end_link()
            case "ul" | "ol" | "menu":
                if self._lists:
                    self._lists.pop()
                self._leave("li", until=len(self._lists))
                self._break(1 if self._lists else 2)
            case "li":
                self._leave("li", until=max(len(self._lists) - 1, 0))
            case "blockquote":
                self._leave(tag, until=sum(name == tag for name, _ in self._prefixes) - 1)
            case "pre":
                self._pre = max(self._pre - 1, 0)
            case "p":
                self._break(2)
            case "q":
                self._words("”")
        if tag in _PARAGRAPHS:
            self._break(2)
        elif tag in _LINES:
            self._break(1)

    def _item(self) -> None:
        self._leave("li", until=max(len(self._lists) - 1, 0))
        number = self._lists[-1] if self._lists else None
        mark = "- " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1
        if len(self._prefixes) < _DEPTH:
            self._prefixes.append(("li", " " * len(mark)))
            self._mark = mark

    def _leave(self, tag: str, *, until: int) -> None:
        """Close what ``tag`` opened until only ``until`` of them are open."""
        count = sum(name == tag for name, _ in self._prefixes)
        while count > max(until, 0):
            name, _ = self._prefixes.pop()
            count -= name == tag
            self._mark = ""

    def _end_link(self) -> None:
        if self._link is None:
            return
        (start, address), self._link = self._link, None
        if not address:
            return
        if start == len(self._out):
            # A link around nothing to read, such as an image without a text, is no use without it.
            return
        label = "".join(self._out[start + 1 :])
        if self._holes and "\ue000" in label + address:
            self._out[start + 1 :] = [f"\ue002{label}\ue003{address}\ue004"]
        else:
            self._out[start + 1 :] = [link(label, address)]


def _values(attributes: str) -> dict[str, str]:
    """The attributes of a tag; of several with one name the first counts."""
    values: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(attributes):
        bare = value[1:].removesuffix(value[0]) if value[:1] in ('"', "'") else value
        values.setdefault(name.lower(), html.unescape(bare))
    return values
