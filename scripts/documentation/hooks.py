"""What the site has otherwise than MkDocs and its theme would: MkDocs calls these functions by their names."""

from __future__ import annotations

import re
from typing import Any

from documentation.languages import LANGUAGES


def on_files(files: Any, *, config: Any) -> Any:
    """Nobody has said where the site will stand: a page for what is not found, and a map, would need to know."""
    config.theme.static_templates.clear()
    return files


def on_page_context(context: dict[str, Any], *, page: Any, config: Any, **_: Any) -> dict[str, Any]:
    """Each page leads to the same one in the other language; the theme makes the address relative to the page."""
    config.extra["alternate"] = [
        {"name": language.name, "lang": language.code, "link": f"../{language.code}/{page.file.url}"}
        for language in LANGUAGES
    ]
    return context


def on_post_page(output: str, **_: Any) -> str:
    """Leave the same out of the page's head: the theme's script would look there for maps of other sites."""
    return re.sub(r'\s*<link rel="alternate"[^>]*>', "", output)
