"""HTML to plain text: the text alternative of an HTML mail, as a reader would type it.

Headings and paragraphs stand apart, list items get a mark or their number, table cells a bar between them, links their
address, images their alternative text.

The converter is our own because it must do two things that libraries do not: take time proportional to the input
whatever strangers write, and convert a template as it would convert each message made of it. For the latter, no value
may change the text around it: nothing is wrapped or padded to a width, as inscriptis does with tables.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from push_provider.content.html_reading import LINES, PARAGRAPHS, ROWS, Reader, unescaped, values_of

HOLE = re.compile("\ue000([0-9]+)\ue001")
"""Stands for a value in a template's HTML; see :func:`converted`."""
_HOLE_END = "\ue001"
"""Of every hole; markdown has other beginnings for those in addresses."""
RESERVED = re.compile("[\ue000-\ue007]")
"""What must not be in a template that gets holes."""
LINK = re.compile("([\ue002\ue005])([^\ue002-\ue005]*)\ue003([^\ue002-\ue005]*)\ue004")
"""The address of a link in a converted template whose words or address have holes; :func:`link` finishes it."""
_BARE, _NAMED = "\ue002", "\ue005"

_BLANKS = re.compile(r"[ \t\n\r\f]+")
_UNSTEADY = re.compile("(?:&#?[0-9a-zA-Z]*|<[/!?-]*)\ue000")
"""A value that would change how what stands before it is read."""

_CLOSING = re.compile(r"""[.,;:!?)\]}"'”’»、，。；：！？）】》」』…]++""")
_INTEGER = re.compile(r"\s*+([+-]?[0-9]{1,9})")
_SCHEME = re.compile(r"(?:https?|ftp|mailto|tel|sms):", re.IGNORECASE)
_UNSPOKEN = re.compile(r"(?:mailto|tel|sms):", re.IGNORECASE)
_DEPTH = 20
"""Indents beyond this are not made: nested a million deep, lists take no more time than their HTML."""


def plain_text(source: str) -> str:
    """The text of an HTML document or fragment, without blanks at its end, lines parted by LF."""
    return converted(source, holes=False).text


class Converted(NamedTuple):
    """A template's HTML as text.

    :param text: with the holes of the HTML, and the addresses of links as :data:`LINK`.
    :param steady: filling the holes of the text gives what converting the filled HTML gives, for values that
        are not empty and have neither blanks side by side or at an end nor unprintable characters.
    """

    text: str
    steady: bool


def converted(source: str, *, holes: bool = True) -> Converted:
    """Convert HTML in which :data:`HOLE` stands for values to come, once for all of them."""
    writer = _Writer(holes=holes)
    text = writer.text(source)
    if writer.counts_down:  # a list that counts down to its last item begins with their number
        writer = _Writer(holes=holes, items=writer.items)
        text = writer.text(source)
    return Converted(text, writer.steady and not _UNSTEADY.search(source))


def link(match: re.Match[str]) -> str:
    """What :data:`LINK` stands for, once its holes are filled."""
    return note(match[2], match[3], named=match[1] == _NAMED)


def note(label: str, address: str, *, named: bool) -> str:
    """The address of a link in brackets, where a reader can use it and the words do not say it.

    :param named: whether the words are said again, because several addresses stand together.
    """
    spoken = _spoken(address)
    if not spoken or label in (address, spoken, address.partition("://")[2]) or label + "/" == address:
        return ""
    return f" ({label}: {spoken})" if named else f" ({spoken})"


def _spoken(address: str) -> str:
    """An address as people write it; empty for one that nobody can follow from a text."""
    return _UNSPOKEN.sub("", address) if _SCHEME.match(address) else ""


class _List:
    """A list that is open: the number of its next item, None where items have a dash; and its place among all lists."""

    __slots__ = ("index", "number", "step")

    def __init__(self, index: int, number: int | None, step: int) -> None:
        self.index = index
        self.number = number
        self.step = step


class _Table:
    """A table that is open.

    :param layout: whether it says that it only arranges things.
    """

    __slots__ = ("bars", "cells", "filled", "layout", "most", "words")

    def __init__(self, *, layout: bool) -> None:
        self.layout = layout
        self.cells = 0  # of the row, so far
        self.filled = 0  # of those, with words
        self.words = False  # in this cell
        self.most = 0  # filled cells of a row
        self.bars: list[tuple[int, str]] = []  # where there are bars, and what there would be without


class _Writer:
    """Writes lines of what is read, in order.

    :param holes: whether private characters stand for values.
    :param items: how many items each list has, if that is known.
    """

    def __init__(self, *, holes: bool, items: Sequence[int] | None = None) -> None:
        self.steady = True
        self.items: list[int] = []
        """How many items each list turned out to have, in the order in which they begin."""
        self.counts_down = False
        """Whether the text depends on that."""
        self._holes = holes
        self._known = items
        # Separators stand at even places, words at odd ones.
        self._out: list[str] = []
        self._breaks = 0  # line breaks owed before the next word
        self._blank = False  # a blank owed before the next word
        self._bars = 0  # or bars between cells
        self._prefixes: list[str] = []  # what each line begins with
        self._line: list[str] = []  # what the last one did
        self._mark = ""
        self._lists: list[_List] = []
        self._tables: list[_Table] = []
        self._pre = 0
        self._link: str | None = None  # its address
        self._label: list[str] = []  # what has been read of it
        self._image = False  # whether there was an image in it
        self._near: list[tuple[str, str]] = []  # links that have just ended: their words and addresses
        self._far: list[tuple[str, str]] = []  # links inside a line that goes on without a blank
        self._links = 0  # of the line, up to here

    def text(self, source: str) -> str:
        """The whole text, without blanks at its end."""
        reader = Reader(self, hole=_HOLE_END if self._holes else None)
        reader.read(source)
        self.steady = self.steady and reader.steady
        self._end_row()
        self._say_addresses()
        return "".join(self._out).replace("\xa0", " ").rstrip()

    # --- words ----------------------------------------------------------------------------------------

    def words(self, source: str) -> None:
        """Words, with their character references."""
        if not source:
            return
        text = unescaped(source)
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
        if self._link is not None:
            self._label += (" " if self._breaks or self._bars or self._blank else "", words)
        before = ""
        if not self._out:
            before = self._line_start()
        elif self._breaks:
            self._say_addresses()
            before = "\n" + (self._bare_prefix() + "\n") * (self._breaks - 1) + self._line_start()
        elif self._bars:
            self._say_addresses()
        elif self._blank:
            self._say_near()
            before = " "
        elif self._near:
            words = self._go_on(words)
        if self._bars:
            self._tables[-1].bars.append((len(self._out), before))
            before += " | " * self._bars
        self._out += (before, words)
        self._breaks, self._blank, self._bars = 0, False, 0
        for table in reversed(self._tables):
            if table.words:
                break
            table.words = True
            table.filled += 1
            table.most = max(table.most, table.filled)

    def _line_start(self) -> str:
        prefixes = [*self._prefixes]
        mark, self._mark = self._mark, ""
        if mark and prefixes:
            # The mark of an item stands in the indent that the item itself opened.
            prefixes[-1] = mark
        self._line = [*self._prefixes]
        return "".join(prefixes)

    def _bare_prefix(self) -> str:
        """Of a blank line: what the lines before and behind it have in common."""
        both = takewhile(lambda pair: pair[0] == pair[1], zip(self._line, self._prefixes, strict=False))
        return "".join(prefix for prefix, _ in both).rstrip()

    def _break(self, lines: int) -> None:
        self._breaks = max(self._breaks, lines)
        self._blank, self._bars = False, 0

    def _break_line(self) -> None:
        """A line break that adds to others, as ``<br>`` does."""
        self._breaks = min(self._breaks + 1, 3)
        self._blank, self._bars = False, 0

    # --- tags -----------------------------------------------------------------------------------------

    def open(self, tag: str, attributes: str) -> bool:
        """An element begins; returns whether it puts something before each line."""
        prefixes = len(self._prefixes)
        if tag in ROWS:
            self._end_row()
        if tag in PARAGRAPHS:
            self._break(2)
        elif tag in LINES:
            self._break(1)
        match tag:
            case "br":
                # Editors put one into a cell that is empty.
                if not (self._tables and self._tables[-1].cells and not self._tables[-1].words):
                    self._break_line()
            case "hr":
                self._break(2)
                self._put("-" * 40)
                self._break(2)
            case "a":
                self._link = values_of(attributes).get("href", "").strip()
                self._label, self._image = [], False
            case "img":
                self._image = True
                self.words(html.escape(values_of(attributes).get("alt", "")))
            case "ul" | "ol" | "menu":
                self._break(1 if self._lists else 2)
                self._lists.append(self._list(tag, attributes))
            case "li":
                self._item(attributes)
            case "blockquote":
                if len(self._prefixes) < _DEPTH:
                    self._prefixes.append("> ")
            case "pre":
                self._pre += 1
            case "table":
                layout = values_of(attributes).get("role", "").lower() in ("presentation", "none")
                self._tables.append(_Table(layout=layout))
            case "td" | "th":
                self._cell()
            case "q":
                self.words("“")
        return len(self._prefixes) > prefixes

    def close(self, tag: str, opened: object) -> None:
        """It ends."""
        if opened:
            self._prefixes.pop()
            self._mark = ""
        if tag in ROWS or tag == "table":
            self._end_row()
        match tag:
            case "a":
                self._end_link()
            case "ul" | "ol" | "menu":
                self._lists.pop()
                self._break(1 if self._lists else 2)
            case "pre":
                self._pre -= 1
            case "table":
                self._end_table()
            case "q":
                self.words("”")
        if tag in PARAGRAPHS:
            self._break(2)
        elif tag in LINES:
            self._break(1)

    def _list(self, tag: str, attributes: str) -> _List:
        index = len(self.items)
        self.items.append(0)
        if tag != "ol":
            return _List(index, None, 0)
        values = values_of(attributes)
        down = "reversed" in values
        number = _integer(values.get("start"))
        if number is None and down:
            self.counts_down = True
            number = self._known[index] if self._known else 0
        return _List(index, 1 if number is None else number, -1 if down else 1)

    def _item(self, attributes: str) -> None:
        mark = "- "
        if self._lists:
            current = self._lists[-1]
            self.items[current.index] += 1
            if current.number is not None:
                value = _integer(values_of(attributes).get("value")) if "value" in attributes.lower() else None
                number = current.number if value is None else value
                mark = f"{number}. "
                current.number = number + current.step
        if len(self._prefixes) < _DEPTH:
            self._prefixes.append(" " * len(mark))
            self._mark = mark

    # --- tables ---------------------------------------------------------------------------------------

    def _cell(self) -> None:
        if not self._tables:  # a cell outside of any
            self._tables.append(_Table(layout=False))
        table = self._tables[-1]
        # Paragraphs in a cell before have ended the line.
        if table.cells and not (self._breaks and table.filled) and (table.filled or not table.layout):
            self._bars = 1 if table.layout else self._bars + 1
        table.cells += 1
        table.words = False
        self._blank = False

    def _end_row(self) -> None:
        if not self._tables:
            return
        table = self._tables[-1]
        if self._bars and table.filled and not table.layout:
            self._say_addresses()
            table.bars.append((len(self._out) + 1, ""))
            self._out += ("", (" | " * self._bars).rstrip())
        self._bars = table.cells = table.filled = 0
        table.words = False

    def _end_table(self) -> None:
        table = self._tables.pop()
        if table.most < 2:  # one column and its margins
            for index, without in table.bars:
                self._out[index] = without

    # --- links ----------------------------------------------------------------------------------------

    def _end_link(self) -> None:
        address, self._link = self._link, None
        label = " ".join("".join(self._label).split())
        if label and address:
            self._near.append((label, address))
            self._links += 1
        elif address and self._image:
            # Around nothing at all a link is of no use; around an image without a text it is all there is to read.
            self.steady = self.steady and _HOLE_END not in address
            if spoken := _spoken(address):
                self._put(spoken)

    def _go_on(self, words: str) -> str:
        """Put out what comes right behind a link, as far as its address has to wait; the rest is returned.

        The address stands behind the words, or behind the punctuation that follows them. Where the sentence goes on
        without a blank, as Chinese does, it waits for the end of the line: in the middle it would cut a word in two,
        for readers and for filters that compare both bodies of a mail (SpamAssassin's MPART_ALT_DIFF).
        """
        marks = _CLOSING.match(words)
        rest = words[marks.end() :] if marks else words
        if rest.startswith("\ue000"):
            self.steady = False  # whether the value begins with a mark nobody knows yet
        if not rest:
            return words
        if rest.startswith(" "):
            self._out += ("", words[: len(words) - len(rest)])
            self._say_near()
            return rest
        self._far += self._near
        self._near = []
        return words

    def _say_near(self) -> None:
        for label, address in self._near:
            self._say(label, address, named=False)
        self._near = []

    def _say_addresses(self) -> None:
        """All that are waiting, at the end of a line or of a cell."""
        # Of several links in a line, one that waited says which it is.
        named = bool(self._far) and self._links > 1
        for label, address in self._far + self._near:
            self._say(label, address, named=named)
        self._far, self._near, self._links = [], [], 0

    def _say(self, label: str, address: str, *, named: bool) -> None:
        if self._holes and _HOLE_END in label + address:
            said = f"{_NAMED if named else _BARE}{label}\ue003{address}\ue004"
        else:
            said = note(label, address, named=named)
        if said:
            self._out += ("", said)


def _integer(text: str | None) -> int | None:
    """HTML's rules for parsing integers (2.3.4.1)."""
    number = _INTEGER.match(text or "")
    return int(number[1]) if number else None
