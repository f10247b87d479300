"""Which pages there are, in each language, and what they say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from push_provider.documentation.rendering import Page, render

LANGUAGES = ("en", "zh-CN")
_ORDER = (
    "concepts",
    "push-tasks",
    "page",
    "templates",
    "triggers",
    "outcomes",
    "email",
    "sms",
    "websocket",
    "app",
    "rest",
    "kafka",
    "dag-authors",
    "channels",
    "production",
    "security",
    "measured",
    "troubleshooting",
)
"""As the README has it; a page that is not here comes last."""


def root() -> Path:
    """The folder that the pages are in, a folder each language, and their pictures."""
    packaged = Path(__file__).parent
    return packaged if (packaged / LANGUAGES[0]).is_dir() else packaged.parents[2] / "docs"


@cache
def names(language: str) -> tuple[str, ...]:
    """The names of the pages of a language, in the order in which they are read; none if they are not installed."""
    there = sorted(path.stem for path in (root() / language).glob("*.md"))
    return tuple(sorted(there, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)))


def titles(language: str) -> Mapping[str, str]:
    """The titles of the pages of a language by their names."""
    return {name: _title(language, name) for name in names(language)}


@cache
def page(language: str, name: str, pictures: str) -> Page | None:
    """A page; None if there is none of this name.

    :param pictures: where pictures are, for a browser.
    """
    if name not in names(language):
        return None
    return render(_written(language, name), name, pictures=pictures, chinese=language.startswith("zh"))


@cache
def picture(name: str) -> Path | None:
    """The file of a picture; None if there is none of this name."""
    return next((path for path in (root() / "images").glob("*.png") if path.name == name), None)


@cache
def _title(language: str, name: str) -> str:
    found = re.search(r"^# (.+)$", _written(language, name), re.MULTILINE)
    return found[1].replace("`", "") if found else name


def _written(language: str, name: str) -> str:
    return (root() / language / f"{name}.md").read_text(encoding="utf-8")
