"""The documentation's pages as Airflow's UI shows them: all of them, and each link leads somewhere."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from push_provider.documentation import pages
from push_provider.documentation.rendering import render

ROOT = Path(__file__).parents[1]
READMES = {"en": "README.md", "zh-CN": "README.zh-CN.md"}
EACH = [(language, name) for language in pages.LANGUAGES for name in pages.names(language)]


@pytest.mark.parametrize("language", pages.LANGUAGES)
def test_pages_come_in_the_order_of_the_readme(language: str) -> None:
    readme = (ROOT / READMES[language]).read_text()
    rows = re.findall(rf"^\| \[[^]]+\]\(docs/{language}/([a-z-]+)\.md\)", readme, re.MULTILINE)
    assert list(pages.names(language)) == rows
    assert len(rows) >= 15
    assert all(pages.titles(language).values())


@pytest.mark.parametrize(("language", "name"), EACH)
def test_links_lead_to_places_that_there_are(language: str, name: str) -> None:
    page = pages.page(language, name, "/pictures")
    assert page is not None
    assert page.title == pages.titles(language)[name]
    assert "<h1" not in page.html
    assert "&lt;!--" not in page.html, "a comment of the source"
    for target in map(unescape, re.findall(r'<a href="([^"]*)"', page.html)):
        if target.startswith("#help/"):
            there, _, anchor = target.removeprefix("#help/").partition("#")
            other = pages.page(language, there, "/pictures")
            assert other is not None, target
            assert not anchor or f'id="{anchor}"' in unescape(other.html), target
        else:
            assert target.startswith(("https://", "http://")), target
    for picture in re.findall(r'<img src="([^"]*)"', page.html):
        assert pages.picture(picture.removeprefix("/pictures/")) is not None


@pytest.mark.parametrize("name", ["", "..", "../en/rest", "rest.md", "en/rest", "README", "/etc/passwd", "rest\0"])
def test_nothing_else_is_a_page_or_a_picture(name: str) -> None:
    assert pages.page("en", name, "") is None
    assert pages.picture(name) is None
    assert pages.picture(f"{name}.png") is None


@pytest.mark.parametrize(
    ("written", "html"),
    [
        ("[a](b.md)", '<a href="#help/b">a</a>'),
        ("[a](b.md#c-d)", '<a href="#help/b#c-d">a</a>'),
        ("[a](#c)", '<a href="#help/page#c">a</a>'),
        ("[`x`](../../include/x.md) [y](../zh-CN/b.md) [z](../../LICENSE)", "<code>x</code> y z"),
        ("[a](https://b.c)", '<a href="https://b.c" target="_blank" rel="noopener noreferrer">a</a>'),
        ("[a](javascript:alert)", "[a](javascript:alert)"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("你好\n世界", "你好世界"),
        ("你好\nworld", "你好\nworld"),
        ("**注意：**看", "<strong>注意：</strong>看"),
        ("![a](../images/b.png)", '<img src="/p/b.png" alt="a" loading="lazy" />'),
    ],
)
def test_markdown_as_a_page(written: str, html: str) -> None:
    page = render(f"# Title `x`\n\n[English](../en/page.md)\n\n{written}\n", "page", pictures="/p", chinese=True)
    assert page == ("Title x", f"<p>{html}</p>\n")
