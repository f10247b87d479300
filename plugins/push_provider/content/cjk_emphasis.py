"""Emphasis in Chinese, Japanese and Korean: ``**注意：**请看`` is bold, though no blank parts the words.

CommonMark lets a run of ``*`` or ``_`` end emphasis behind punctuation only if a blank or more punctuation follows,
and these languages have no blanks there (https://github.com/commonmark/commonmark-spec/issues/650). The rule here is
that of the amendment which came of that discussion, section 6.2 of
https://github.com/tats-u/markdown-cjk-friendly/blob/main/specification.md: CJK punctuation is no obstacle, and a CJK
character beside the run stands for a blank. Where neither is next to a run, it is read as CommonMark has it.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline.emphasis import tokenize

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline

_HANGUL = (range(0x1100, 0x1200), range(0xA960, 0xA980), range(0xD7B0, 0xD800))
"""Letters of the Hangul script that are not wide by themselves (Unicode's Scripts.txt); the others are."""
_SYMBOLS = range(0x2E80, 0x1F000)
"""Wide symbols are CJK here, such as 〒 and ㈱; outside they are emoji (emoji-data.txt, Emoji_Presentation)."""
_HOLES = "\ue000\ue001"
"""The ends of a mark that stands for a value. What the value is must not change what the text around it is."""
_WIDE_QUOTES = {"\u2018\ufe01", "\u2019\ufe01", "\u201c\ufe01", "\u201d\ufe01"}
"""Quotation marks in their fullwidth form (StandardizedVariants.txt)."""


def cjk_emphasis(reader: MarkdownIt) -> None:
    """Let a reader of markdown follow the rule."""
    reader.inline.ruler.at("emphasis", _emphasis)


def _emphasis(state: StateInline, silent: bool) -> bool:
    start = state.pos
    if not tokenize(state, silent):
        return False
    length = state.pos - start
    before = state.src[max(start - 2, 0) : start]
    after = state.src[state.pos] if state.pos < state.posMax else " "
    opens, closes = _flanks(before, after, inside_words=state.src[start] == "*")
    for delimiter in state.delimiters[-length:]:
        delimiter.open, delimiter.close = opens, closes
    return True


def _flanks(before: str, after: str, *, inside_words: bool) -> tuple[bool, bool]:
    """Whether a run can begin emphasis, and whether it can end it.

    :param before: the two characters before the run, as far as there are.
    :param after: the character after it.
    """
    last = before[-1:] or " "
    wide = before in _WIDE_QUOTES
    if "\ufe00" <= last <= "\ufe0e" and len(before) > 1:
        last = before[0]  # a variation selector belongs to what it varies
    cjk_before, cjk_after = wide or _is_cjk(last), _is_cjk(after)
    blank_before, blank_after = isWhiteSpace(ord(last)), isWhiteSpace(ord(after))
    mark_before, mark_after = _is_mark(last), _is_mark(after)
    left = not blank_after and (not mark_after or cjk_after or blank_before or mark_before or cjk_before)
    right = not blank_before and (not mark_before or cjk_before or blank_after or mark_after or cjk_after)
    if inside_words:
        return left, right
    return left and (not right or mark_before), right and (not left or mark_after)


def _is_mark(character: str) -> bool:
    return isMdAsciiPunct(ord(character)) or isPunctChar(character)


def _is_cjk(character: str) -> bool:
    number = ord(character)
    if "\U000e0100" <= character <= "\U000e01ef" or character in _HOLES:  # an ideograph's variation
        return True
    if unicodedata.east_asian_width(character) in ("W", "F", "H"):
        return number in _SYMBOLS or not unicodedata.category(character).startswith("S")
    return any(number in letters for letters in _HANGUL)
