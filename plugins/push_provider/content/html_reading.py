"""HTML as it is read: its words, and its elements as they begin and end.

What is hidden, and every other element, ends where HTML lets it end: also without an end tag of its own (WHATWG HTML,
13.1.2.4 "Optional tags"). What ``display: none`` or ``hidden`` hides, scripts and styles are not read.

The reader is our own because it takes time proportional to the input whatever strangers write (Python's ``html.parser``
before 3.11.14 takes quadratic time for an unclosed tag), and because it says of a template whether values to come could
change what is read around them.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import Protocol

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
_LONG_NUMBER = re.compile("&#(?=[0-9]{9})0*([0-9]{1,8})[0-9]*")
"""A character by a decimal number of many digits. Python reads none of thousands (int, "Integer string conversion
length limitation"); the first eight say that it is out of range, as no number of a character has them."""
_HIDDEN = re.compile(r"display\s*+:\s*+none", re.IGNORECASE)

_RAW = {
    tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE)
    for tag in ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp")
}
"""Elements in which no tag is one; of a textarea alone the words are read."""
_UNSEEN = frozenset({"template", "datalist"})
_SHAPING = frozenset({"style", "start", "value", "role"})
"""Attributes whose value changes what is made of the tag."""


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


PARAGRAPHS = _tags("p h1 h2 h3 h4 h5 h6 blockquote pre table dl figure fieldset address")
LINES = _tags(
    "html body head div section article header footer nav aside main search hgroup dialog form tr caption thead tbody "
    "tfoot dt dd li center figcaption details summary legend option optgroup"
)
LISTS = _tags("ul ol menu")
_VOID = _tags("area base br col embed hr img input link meta source track wbr")
_ROOTS = _tags("html head body")

ROWS = _tags("caption thead tbody tfoot tr")
_CELLS = _tags("td th")
_TABLE_PARTS = ROWS | _CELLS | {"table", "colgroup"}
_BLOCKS = PARAGRAPHS | LINES | LISTS | _TABLE_PARTS | {"button", "object", "select"}
_TABLE = _tags("table template")
_SCOPE = _tags("table td th caption template object marquee applet")
"""Beyond these an end tag ends nothing (13.2.4.2 "have an element in scope")."""

# Which start tags end which elements that are open (13.1.2.4), and what bounds the search for them.
_Ends = tuple[frozenset[str], frozenset[str]]
_NOTHING: _Ends = (frozenset(), frozenset())
_IN_LIST = (_BLOCKS | _SCOPE) - _tags("address div p")
_ENDS: dict[str, _Ends] = {
    **dict.fromkeys(
        _tags(
            "address article aside blockquote center details dialog div dl fieldset figcaption figure footer form h1 "
            "h2 h3 h4 h5 h6 header hgroup main menu nav ol p pre search section summary table ul"
        ),
        (_tags("p"), _SCOPE | {"button"}),
    ),
    "hr": (_tags("p option optgroup"), _SCOPE | {"button", "select"}),
    "li": (_tags("li"), _IN_LIST),
    **dict.fromkeys(_tags("dt dd"), (_tags("dt dd"), _IN_LIST)),
    **dict.fromkeys(_tags("rt rp"), (_tags("rt rp"), _BLOCKS | {"ruby"})),
    "option": (_tags("option"), _tags("select datalist optgroup")),
    "optgroup": (_tags("option optgroup"), _tags("select datalist")),
    **dict.fromkeys(_CELLS, (_CELLS | {"caption", "colgroup"}, _TABLE | {"tr"})),
    "tr": (_CELLS | _tags("tr caption colgroup"), _TABLE),
    **dict.fromkeys(ROWS - {"tr"} | {"colgroup"}, (_TABLE_PARTS - {"table"}, _TABLE)),
    "a": (_tags("a"), _SCOPE),
}
_REACH = 100
"""Elements that are looked through for one that ends."""


class _Element:
    """An element that is open.

    :param tag: its name.
    :param hidden: whether it hides itself.
    :param shown: whether its words are read: nothing around it is hidden, either.
    :param opened: what the target said when it began.
    """

    __slots__ = ("hidden", "opened", "shown", "tag")

    def __init__(self, tag: str, *, hidden: bool, shown: bool, opened: object) -> None:
        self.tag = tag
        self.hidden = hidden
        self.shown = shown
        self.opened = opened


class Target(Protocol):
    """What is told of all that is read, in order, but for what is hidden."""

    def words(self, source: str) -> None:
        """Words, with their character references."""

    def open(self, tag: str, attributes: str) -> object:
        """An element begins; what is returned is handed to ``close``."""

    def close(self, tag: str, opened: object) -> None:
        """It ends. Elements that are empty by their nature, and the root's, are not told to."""


class Reader:
    """Reads tags and words in order.

    :param target: is told of them.
    :param hole: a character of values to come, if there are any; see :attr:`steady`.
    """

    def __init__(self, target: Target, *, hole: str | None = None) -> None:
        self.steady = True
        """Whether no value to come can change what a tag is, or what it is read as."""
        self._target = target
        self._hole = hole
        self._elements: list[_Element] = []
        self._count: Counter[str] = Counter()
        self._hidden: _Element | None = None

    def read(self, source: str) -> None:
        """Read a document or fragment to its end, where all that is open ends, too."""
        position = 0
        while True:
            token = _TOKEN.search(source, position)
            if self._hidden is None:
                self._target.words(source[position : token.start() if token else len(source)])
            if token is None:
                break
            position = token.end()
            tag = token["tag"]
            if tag is None:
                continue
            tag, attributes = tag.lower(), token["attributes"]
            if self._hole is not None and not self._quoted(self._hole, tag, attributes):
                self.steady = False
            raw = None if token["end"] else _RAW.get(tag)
            if raw is not None:
                end = raw.search(source, position)
                if tag == "textarea" and self._hidden is None and not self._is_hidden(tag, attributes):
                    self._target.words(source[position : end.start() if end else len(source)])
                position = end.start() if end else len(source)
            elif token["end"]:
                self._end(tag)
            else:
                self._start(tag, attributes)
                if tag == "pre" and source.startswith("\n", position):
                    position += 1
        self._pop(0)

    @staticmethod
    def _quoted(hole: str, tag: str, attributes: str) -> bool:
        """Whether all holes of a tag are inside quoted values that cannot change what the tag is."""
        if hole in tag:
            return False
        if hole not in attributes:
            return True
        for name, value in _ATTRIBUTE.findall(attributes):
            if hole in name or (hole in value and (value[0] not in "\"'" or name.lower() in _SHAPING)):
                return False
        return True

    @staticmethod
    def _is_hidden(tag: str, attributes: str) -> bool:
        if tag in _UNSEEN:
            return True
        lower = attributes.lower()
        if tag != "dialog" and "none" not in lower and "hidden" not in lower:
            return False
        values = values_of(attributes)
        if tag == "dialog" and "open" not in values:
            return True
        return "hidden" in values or bool(_HIDDEN.search(values.get("style", "")))

    def _start(self, tag: str, attributes: str) -> None:
        """A start tag, which may end what is open: see :data:`_ENDS`."""
        ends, bounds = _ENDS.get(tag, _NOTHING)
        if any(self._count[end] for end in ends):
            last = None
            for index in self._reach():
                open_tag = self._elements[index].tag
                if open_tag in ends:
                    last = index
                elif open_tag in bounds:
                    break
            if last is not None:
                self._pop(last)
        hidden = self._is_hidden(tag, attributes)
        shown = not hidden and self._hidden is None
        opened = self._target.open(tag, attributes) if shown else None
        if tag in _VOID or tag == "head" or (tag in _ROOTS and not hidden):
            return
        element = _Element(tag, hidden=hidden, shown=shown, opened=opened)
        self._elements.append(element)
        self._count[tag] += 1
        if hidden and self._hidden is None:
            self._hidden = element

    def _end(self, tag: str) -> None:
        """An end tag: of the innermost element of that name, unless a table's cell or the like stands between."""
        if tag in _ROOTS:
            return  # what comes behind belongs to the body all the same
        if not self._count[tag]:
            if tag == "p" and self._hidden is None:  # an empty one
                self._target.close(tag, self._target.open(tag, ""))
            return
        bounds = _TABLE if tag in _TABLE_PARTS else _SCOPE
        blocks = False
        for index in self._reach():
            open_tag = self._elements[index].tag
            if open_tag == tag:
                if blocks and tag not in _BLOCKS:
                    self._remove(index)  # <b><p>x</b>y: the paragraph goes on
                else:
                    self._pop(index)
                return
            if open_tag in bounds:
                return
            blocks = blocks or open_tag in _BLOCKS

    def _reach(self) -> range:
        """The places of the innermost elements: no input makes us look at all of them for each tag."""
        return range(len(self._elements) - 1, max(-1, len(self._elements) - 1 - _REACH), -1)

    def _pop(self, index: int) -> None:
        while len(self._elements) > index:
            self._remove(len(self._elements) - 1)

    def _remove(self, index: int) -> None:
        element = self._elements.pop(index)
        self._count[element.tag] -= 1
        if element is self._hidden:
            self._hidden = next((inner for inner in self._elements[index:] if inner.hidden), None)
        if element.shown:
            self._target.close(element.tag, element.opened)


def values_of(attributes: str) -> dict[str, str]:
    """The attributes of a tag; of several with one name the first counts."""
    values: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(attributes):
        bare = value[1:].removesuffix(value[0]) if value[:1] in ('"', "'") else value
        values.setdefault(name.lower(), unescaped(bare))
    return values


def unescaped(source: str) -> str:
    """Text with what its character references stand for, however long they are."""
    return html.unescape(_LONG_NUMBER.sub(r"&#\1", source)) if "&" in source else source
