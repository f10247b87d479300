"""Lines of Chinese: where a sentence goes on in the next line of the source, a browser would show a blank."""

from __future__ import annotations

import re

_MARK = r"[\u3000-\u303f\uff00-\uffef“”‘’]"
_SIGN = r"[\u3400-\u9fff]"
# What begins a block of its own, rather than going on with the sentence.
_BLOCK = r"[-+*>#|<] |[#|<]|\d+\. |```|\s"
_PARTS = re.compile(
    r"^[ ]*```.*?^[ ]*```[ ]*$"
    rf"|(?P<end>(?<={_MARK})\n[ ]*(?!{_BLOCK})|\n[ ]*(?={_MARK})|(?<={_SIGN})\n[ ]*(?={_SIGN}))",
    re.DOTALL | re.MULTILINE,
)


def joined(page: str) -> str:
    """The page with such lines joined; code blocks stay as they are.

    :param page: its Markdown.
    """
    return _PARTS.sub(lambda part: "" if part["end"] else part[0], page)
