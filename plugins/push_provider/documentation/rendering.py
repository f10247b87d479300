"""From a page's Markdown to HTML for a page of Airflow's UI, whose links lead from page to page there.

A page is called ``#help/<name>``, and a place in it ``#help/<name>#<anchor>``, with the anchors that GitHub gives
headings. What a page says of files of the repository stands there without a link: who reads it has none.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from markdown_it.token import Token

_SWITCH = re.compile(r"^\[(?:English|简体中文)\]\([^)]+\)\n", re.MULTILINE)
"""Leads to the same page in the other language, which the UI has a switch for."""
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
_SIGN = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef\u2018\u2019\u201c\u201d]")


class Page(NamedTuple):
    """A page.

    :param title: its heading.
    :param html: all that follows it.
    """

    title: str
    html: str


def render(written: str, name: str, *, pictures: str, chinese: bool = False) -> Page:
    """Render a page.

    :param written: its Markdown, which begins with its title.
    :param name: the page's.
    :param pictures: where pictures are, for a browser.
    :param chinese: no blank stands where a line of the source ends between two signs.
    """
    from markdown_it import MarkdownIt

    from push_provider.content.cjk_emphasis import cjk_emphasis

    reader = MarkdownIt("commonmark", {"html": False}).enable("table").use(cjk_emphasis)
    tokens = reader.parse(_COMMENT.sub("", _SWITCH.sub("", written, count=1)))
    title = ""
    if tokens and tokens[0].tag == "h1":
        title = _text(tokens[1])
        tokens = tokens[3:]
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            token.attrSet("id", _anchor(_text(following)))
        if token.children:
            token.children = list(_led(token.children, name, pictures))
            if chinese:
                _join(token.children)
    return Page(title, str(reader.renderer.render(tokens, reader.options, {})))


def _led(tokens: Sequence[Token], name: str, pictures: str) -> Iterator[Token]:
    """Inline tokens with their links led elsewhere, and without those that lead nowhere."""
    dropped: list[bool] = []
    for token in tokens:
        if token.type == "image":
            token.attrSet("src", f"{pictures}/{posixpath.basename(str(token.attrGet('src')))}")
            token.attrSet("loading", "lazy")
        elif token.type == "link_open":
            target = str(token.attrGet("href"))
            to = _target(target, name)
            dropped.append(to is None)
            if to is None:
                continue
            token.attrSet("href", to)
            if to == target and not to.startswith("#"):
                token.attrSet("target", "_blank")
                token.attrSet("rel", "noopener noreferrer")
        elif token.type == "link_close" and dropped.pop():
            continue
        yield token


def _target(target: str, name: str) -> str | None:
    """Where a link leads; None if to a file of the repository."""
    parts = urlsplit(target)
    if parts.scheme:
        return target
    if parts.path and (posixpath.dirname(parts.path) or not parts.path.endswith(".md")):
        return None
    page = posixpath.splitext(parts.path)[0] or name
    anchor = unquote(parts.fragment)
    return f"#help/{page}#{anchor}" if anchor else f"#help/{page}"


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def _anchor(heading: str) -> str:
    """As GitHub makes it: https://docs.github.com/en/get-started/writing-on-github (section links)."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _join(tokens: Sequence[Any]) -> None:
    for before, end, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if end.type == "softbreak" and _SIGN.match(before.content[-1:]) and _SIGN.match(after.content[:1]):
            end.type, end.content = "text", ""
