"""A hook of MkDocs: from each page, the header leads to the same page in the other language."""

from __future__ import annotations

import re
from typing import Any

from documentation.languages import LANGUAGES


def on_page_context(context: dict[str, Any], *, page: Any, config: Any, **_: Any) -> dict[str, Any]:
    """Tell the theme where this page is in each language; it makes the address relative to the page."""
    config.extra["alternate"] = [
        {"name": language.name, "lang": language.code, "link": f"../{language.code}/{page.file.url}"}
        for language in LANGUAGES
    ]
    return context


def on_post_page(output: str, **_: Any) -> str:
    """Leave the same out of the page's head: the theme's script would look there for maps of other sites."""
    return re.sub(r'\s*<link rel="alternate"[^>]*>', "", output)
