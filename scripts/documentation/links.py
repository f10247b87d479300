"""The links of a page in Markdown: found where they are links, and led elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

# Whatever looks like a link in a code block or between backticks is none: these are matched first, and left alone.
_PARTS = re.compile(
    r"^(?P<fence>[ ]*```).*?^\s*```[ ]*$|(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)"
    r"|(?P<text>!?\[(?:[^\[\]`]|`[^`]*`)*\])\((?P<target>[^)\s]+)\)",
    re.DOTALL | re.MULTILINE,
)


def found(page: str) -> Iterator[tuple[str, str]]:
    """The text and target of each link and picture of a page."""
    for part in _PARTS.finditer(page):
        if part["target"]:
            yield part["text"].lstrip("!").strip("[]"), part["target"]


def led(page: str, elsewhere: Callable[[str], str]) -> str:
    """The page with links into the repository led elsewhere.

    :param page: its Markdown.
    :param elsewhere: from a target, which is no address of another site and no anchor in the page, to the one to have.
    """

    def replaced(part: re.Match[str]) -> str:
        target = part["target"]
        if not target or target.startswith("#") or urlsplit(target).scheme:
            return part[0]
        return f"{part['text']}({elsewhere(target)})"

    return _PARTS.sub(replaced, page)
