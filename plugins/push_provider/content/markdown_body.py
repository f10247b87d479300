"""Markdown bodies: the HTML of a markdown text whose values stay values.

Markdown is read with a mark in place of each value, and the values come in afterwards, escaped for HTML: no
value can be read as markdown or as HTML, in a heading, a table or a code block. A value in a link's address
is encoded, and one that begins the address must be an absolute ``http``, ``https``, ``mailto`` or ``tel``
URL: nobody's value becomes a ``javascript:`` link. HTML in the markdown itself is shown as text. The body gets a layout
(:mod:`push_provider.content.mail_layout`), and a paragraph that is one bold link becomes a button.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import escape

from push_provider.content import mail_layout
from push_provider.content.jinja_allowed import refuse_null
from push_provider.content.jinja_scales import Refused

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

    from push_provider.content.jinja_scales import Scales
    from push_provider.content.markdown_templates import Written

HOLE = re.compile("([\ue000\ue006\ue007])([0-9]+)\ue001")
"""A value: in text, at the beginning of an address, further inside one."""
FILTERS = {"\ue006": "_address", "\ue007": "_address_part"}
MARKDOWN_LIMIT = 128 * 1024
"""Characters of a markdown text."""

_ABSOLUTE = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
_SETTLED = re.compile(r"(?:https?://|mailto:|tel:|[/?#])", re.IGNORECASE)
_UNESCAPED = "%/:=&?~#+!$,;'@()*[]"


def address(value: Any, name: str | None = None) -> str:
    """A value that begins a link's address.

    :param name: how the template calls it.
    :raises Refused: it is no absolute URL of a harmless kind.
    """
    text = _text(value, name).strip()
    if not _ABSOLUTE.match(text):
        raise Refused(f"{text[:100]!r} is no address for a link; give one that begins with https://, mailto: or tel:")
    return quote(text, safe=_UNESCAPED)


def address_part(value: Any, name: str | None = None) -> str:
    """A value inside a link's address. :param name: how the template calls it."""
    return quote(_text(value, name), safe=_UNESCAPED)


def _text(value: Any, name: str | None) -> str:
    if value is None:
        refuse_null(name)
    return str(value)


FUNCTIONS = {"_address": address, "_address_part": address_part}
"""What the filters are."""


def document(text: str) -> str:
    """Markdown, with holes for values, as an HTML document with the same holes.

    :raises Refused: it is too long, or a value chooses what kind of address a link has.
    """
    if len(text) > MARKDOWN_LIMIT:
        raise Refused(f"the markdown is {len(text)} characters long; at most {MARKDOWN_LIMIT} are taken")
    body: str = _reader().render(text)
    return mail_layout.BEFORE + body + mail_layout.AFTER


def filled(text: Written, scales: Scales) -> str:
    """The HTML document of a markdown that a template has written.

    :param scales: of the rendering.
    :raises Refused: as :func:`document` and :func:`address`, or it is too large.
    """
    values = text.pieces[1::2]
    room = scales.limits.characters

    def fill(match: re.Match[str]) -> str:
        nonlocal room
        number = int(match[2])
        if number >= len(values):
            return ""
        value = values[number]
        if match[1] == "\ue006":
            value = address(value)
        elif match[1] == "\ue007":
            value = address_part(value)
        shown = str(escape(value))
        room -= len(shown)
        if room < 0:  # an address that is named once may be used often
            scales.too_large()
        return shown

    marked = "".join(f"\ue000{at // 2}\ue001" if at % 2 else piece for at, piece in enumerate(text.pieces))
    return HOLE.sub(fill, document(marked))


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    from push_provider.content.cjk_emphasis import cjk_emphasis

    reader = MarkdownIt("commonmark", {"html": False}).enable("table").use(cjk_emphasis)
    reader.core.ruler.push("dress", _dress)
    normal, shown = reader.normalizeLink, reader.normalizeLinkText

    def normalize(url: str) -> str:
        if "\ue000" not in url:
            return normal(url)
        before = url.partition("\ue000")[0]
        if before and not _SETTLED.match(before):
            raise Refused(
                f"a link begins with {before[:100]!r} and a variable; begin it with https://, mailto: or "
                "tel:, or put the whole address into the variable"
            )
        encoded = quote(url, safe=_UNESCAPED + "\ue000\ue001")
        encoded = encoded.replace(quote("\ue000"), "\ue007").replace(quote("\ue001"), "\ue001")
        return encoded if before else "\ue006" + encoded[1:]

    reader.normalizeLink = normalize  # type: ignore[method-assign]
    reader.normalizeLinkText = lambda url: url if "\ue000" in url else shown(url)  # type: ignore[assignment]
    return reader


def _dress(state: StateCore) -> None:
    """Give tags the styles that mail programs need in them."""
    for token in state.tokens:
        if token.nesting >= 0 and token.tag in mail_layout.INLINE:
            _style(token, mail_layout.INLINE[token.tag])
        parts = [part for part in token.children or () if part.type != "text" or part.content]
        for part in parts:
            if part.tag == "img":
                _style(part, mail_layout.INLINE["img"])
        kinds = [part.type for part in parts]
        alone = kinds[:2] == ["strong_open", "link_open"] and kinds[-2:] == ["link_close", "strong_close"]
        if alone and kinds.count("link_open") == kinds.count("strong_open") == 1:
            parts[1].attrSet("class", "button")
            _style(parts[1], mail_layout.BUTTON)


def _style(token: Token, style: str) -> None:
    own = token.attrGet("style")  # of a table's column: how it is aligned
    token.attrSet("style", f"{style}; {own}" if own else style)
