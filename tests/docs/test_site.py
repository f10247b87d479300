"""The documentation site, made for real: links, languages, what it says beside what GitHub shows, and its search."""

from __future__ import annotations

import html
import itertools
import json
import posixpath
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode, urlsplit

import pages
import pytest
from browser import CHROMIUM, launched
from markdown_it import MarkdownIt
from ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

LANGUAGES = {"en": pages.ENGLISH, "zh-CN": pages.CHINESE}
PROJECT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
each_language = pytest.mark.parametrize("language", LANGUAGES)


@dataclass
class Page(HTMLParser):
    """What a page of the site holds, as far as the tests look at it.

    :param source: its HTML.
    """

    source: str
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    switches: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what it leads to, what it loads and what may be led to."""
        has = {name: value or "" for name, value in attrs}
        self.anchors |= {has[name] for name in ("id", "name") if name in has}
        if tag == "a" and "href" in has:
            self.links.append(has["href"])
            if "hreflang" in has:
                self.switches[has["hreflang"]] = has["href"]
        elif tag == "link" and not {"next", "prev"} & set(has["rel"].split()):
            self.loads.append(has["href"])
        self.loads += [has["src"]] if "src" in has else []
        self.loads += _urls(has.get("style", ""))

    def handle_data(self, data: str) -> None:
        """Keep what styles in the page load."""
        if self.lasttag == "style":
            self.loads += _urls(data)


def _urls(css: str) -> list[str]:
    found = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", css)
    return [one or other for one, other in found if not (one or other).startswith("data:")]


@dataclass(frozen=True)
class Site:
    """The site as it stands in its folder.

    :param folder: where.
    :param pages: all pages by their place in it.
    """

    folder: Path
    pages: dict[str, Page]

    def place(self, page: str, target: str) -> str:
        """Where a link of a page leads in the folder."""
        path = unquote(urlsplit(target).path)
        return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page

    def of(self, language: str) -> set[str]:
        """The places of one language's pages in its folder."""
        return {place.removeprefix(f"{language}/") for place in self.pages if place.startswith(f"{language}/")}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The site's folder and address, as ``./scripts/docs serve`` makes and shows it."""
    scripts = pages.ROOT / "scripts"
    installed = subprocess.run([scripts / "install", "docs"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"What makes the site cannot be installed here: {installed.stderr.strip()[-300:]}")
    folder = tmp_path_factory.mktemp("docs") / "site"
    port = free_port()
    command = [scripts / "docs", "serve", "--into", folder, "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        said = list(itertools.takewhile(lambda line: "Serving on" not in line, serving.stderr))
        try:
            assert serving.poll() is None, "".join(said)
            assert "WARNING" not in "".join(said)
            yield folder, f"http://127.0.0.1:{port}"
        finally:
            serving.terminate()
            serving.stderr.read()


@pytest.fixture(scope="module")
def site(served: tuple[Path, str]) -> Site:
    folder, _ = served
    found = {path.relative_to(folder).as_posix(): Page(path.read_text()) for path in folder.rglob("*.html")}
    return Site(folder, found)


@pytest.fixture
def address(served: tuple[Path, str]) -> str:
    return served[1]


# --- links ------------------------------------------------------------------------------------------------


def test_every_link_leads_to_a_page_and_an_anchor(site: Site) -> None:
    astray, followed = [], 0
    for page, content in site.pages.items():
        for target in content.links:
            parts = urlsplit(target)
            if parts.scheme in ("http", "https"):
                continue
            place = site.place(page, target)
            anchor = unquote(parts.fragment)
            there = site.pages.get(place)
            if there is None or (anchor and anchor not in there.anchors):
                astray.append(f"{page}: {target}")
            followed += 1
    assert not astray
    assert followed > 1000


def test_every_page_is_reached_from_the_start(site: Site) -> None:
    reached, at_hand = set(), ["index.html"]
    while at_hand:
        page = at_hand.pop()
        if page not in reached:
            reached.add(page)
            places = [site.place(page, link) for link in site.pages[page].links if not urlsplit(link).scheme]
            at_hand += [place for place in places if place in site.pages]
    assert set(site.pages) - reached == set()


def test_nothing_is_loaded_from_elsewhere(site: Site) -> None:
    loaded = [(page, target) for page, content in site.pages.items() for target in content.loads]
    for path in site.folder.rglob("*.css"):
        loaded += [(path.relative_to(site.folder).as_posix(), target) for target in _urls(path.read_text())]
    assert len(loaded) > 100
    for page, target in loaded:
        parts = urlsplit(target)
        assert not parts.scheme, f"{page}: {target}"
        assert not parts.netloc, f"{page}: {target}"
        assert (site.folder / site.place(page, target)).is_file(), f"{page}: {target}"


# --- pages and languages ----------------------------------------------------------------------------------


def test_both_languages_have_the_same_pages(site: Site) -> None:
    assert site.of("en") == site.of("zh-CN")
    assert set(site.pages) == {"index.html", *(f"{one}/{place}" for one in LANGUAGES for place in site.of(one))}


def test_switching_the_language_leads_to_the_same_page(site: Site) -> None:
    for page, content in site.pages.items():
        own = page.partition("/")[2] or "index.html"
        assert {one: site.place(page, target) for one, target in content.switches.items()} == {
            one: f"{one}/{own}" for one in LANGUAGES
        }, page


def _sources(language: str) -> dict[str, str]:
    """Where the site has each page of the repository."""
    readme, *others = LANGUAGES[language].names
    return {
        readme: "index.html",
        **{page: f"{Path(page).stem}.html" for page in others},
        **{page: f"project/{Path(page).stem.lower()}.html" for page in PROJECT},
    }


@each_language
def test_every_page_of_the_repository_is_there(site: Site, language: str) -> None:
    shown = {place for place in site.of(language) if not place.startswith("files/")}
    assert shown == set(_sources(language).values())


def test_nothing_needs_to_know_where_the_site_stands(site: Site) -> None:
    assert [path for name in ("404.html", "sitemap*") for path in site.folder.rglob(name)] == []


_GITHUB = MarkdownIt("commonmark", {"html": True}).enable("table")
_SWITCH = re.compile(r"^\[(?:English|简体中文)\]\([^)]+\)\n", re.MULTILINE)


@each_language
def test_pages_say_what_github_shows(site: Site, language: str) -> None:
    for source, place in _sources(language).items():
        there = _article(site.pages[f"{language}/{place}"].source)
        github = _GITHUB.render(_SWITCH.sub("", pages.text(source), count=1))
        assert _text(there) == _text(github), source
        assert _structure(there) == _structure(github), source


def _article(page: str) -> str:
    article = page.split("<article", 1)[1].partition(">")[2].split("</article>")[0]
    return re.sub(r'<a class="headerlink".*?</a>|<a id="__codelineno[^>]*></a>', "", article)


def _text(markup: str) -> str:
    return "".join(html.unescape(re.sub(r"<!--.*?-->|<[^>]*>", "", markup)).split())


def _structure(markup: str) -> Counter[str]:
    return Counter(re.findall(r"<(h\d|[uo]l|li|table|t[rdh]|pre|em|strong|img|a)\b", markup))


# --- in a browser -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with launched() as browser:
        yield browser


@pytest.mark.parametrize(
    ("language", "words", "place"),
    [
        ("en", "receipt", "sms.html"),
        ("en", "kafka_linger", "kafka.html"),
        ("zh-CN", "回执", "sms.html"),
        ("zh-CN", "信任边界", "security.html"),
        ("zh-CN", "kafka_linger", "kafka.html"),
    ],
)
def test_the_search_finds_words_in_both_languages(
    browser: Browser, address: str, language: str, words: str, place: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/{language}/concepts.html?{urlencode({'q': words})}")
        page.locator(f".md-search-result__link[href*='/{language}/{place}?']").first.wait_for()
        assert [url for url in asked if not url.startswith(f"{address}/")] == []


# Names in the first column of a table that stand in more lines than one.
_BROKEN = """
[...document.querySelectorAll('td:first-child > code:only-child')]
  .filter(name => /^\\w+$/.test(name.textContent) && name.getClientRects().length > 1)
  .map(name => name.textContent)
"""


@each_language
def test_pages_fit_into_the_window_of_a_phone(browser: Browser, address: str, site: Site, language: str) -> None:
    failed: list[str] = []
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        page.on("pageerror", lambda error: failed.append(str(error)))
        for place in _sources(language).values():
            page.goto(f"{address}/{language}/{place}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, place
            assert page.evaluate(_BROKEN) == [], place
    assert failed == []


@pytest.mark.parametrize(("language", "leads_to"), [("zh-TW", "zh-CN"), ("de-DE", "en")])
def test_the_start_leads_to_the_readers_language(browser: Browser, address: str, language: str, leads_to: str) -> None:
    with browser.new_context(locale=language) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_url(f"{address}/{leads_to}/index.html")


# --- the index of the search ------------------------------------------------------------------------------


@each_language
def test_files_of_the_repository_are_not_searched(site: Site, language: str) -> None:
    index = json.loads((site.folder / language / "search" / "search_index.json").read_text())
    assert {entry["location"].partition("#")[0] for entry in index["docs"]} == set(_sources(language).values())
