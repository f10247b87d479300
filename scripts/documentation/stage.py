"""Lays the pages of one language as the site has them: in one folder, with links that lead to pages of the site.

Pages are written to be read in the repository, where they link to its files and to the other language. In the site a
README is the start, the header leads to the other language, and a file of the repository is a page that shows it.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from documentation import chinese, links
from documentation.languages import LANGUAGES, Language

FILES = "files"
"""The site's folder of pages that show files of the repository."""

_HIGHLIGHTED = {".html": "html", ".py": "python", ".yaml": "yaml"}


class NotThereError(Exception):
    """A page links to what is not in the repository."""


class Stage:
    """The pages of one language on their way to the site.

    :param root: the repository.
    :param language: whose pages.
    :param place: the folder to lay them in; what is there is taken away.
    """

    def __init__(self, root: Path, language: Language, place: Path) -> None:
        self._root = root
        self._language = language
        self._place = place
        self._pages = pages(root, language)
        # A link to a page in another language means that page.
        self._known = {source: page for each in LANGUAGES for source, page in pages(root, each).items()}
        self._shown: set[str] = set()

    def lay(self) -> list[dict[str, Any]]:
        """Lay all pages, and what they show and link to.

        :return: the site's navigation, as MkDocs takes it; the README says in which order pages are read.
        :raises NotThereError: naming page and link.
        """
        shutil.rmtree(self._place, ignore_errors=True)
        for source, page in self._pages.items():
            written = (self._root / source).read_text(encoding="utf-8")
            self._write(page, self._led(chinese.joined(_without_switch(written)), source, page))
        return self._navigation()

    def _navigation(self) -> list[dict[str, Any]]:
        language = self._language
        readme = (self._root / language.readme).read_text(encoding="utf-8")
        rows = "\n".join(line for line in readme.splitlines() if line.startswith("| ["))
        listed = [{title: self._pages[target]} for title, target in links.found(rows) if target in self._pages]
        own = {page for source, page in self._pages.items() if posixpath.dirname(source) == language.folder}
        if missing := own.difference(*(entry.values() for entry in listed)):
            raise NotThereError(f"the table of {language.readme} has no {', '.join(sorted(missing))}")
        project = [{title: self._pages[source]} for source, title in language.project_pages.items()]
        return [{language.start: "index.md"}, *listed, {language.project: project}]

    def _led(self, written: str, source: str, page: str) -> str:
        def elsewhere(target: str) -> str:
            path, _, anchor = target.partition("#")
            to = os.path.relpath(self._page_of(path, source), posixpath.dirname(page) or ".")
            return f"{to}#{anchor}" if anchor else to

        return links.led(written, elsewhere)

    def _page_of(self, path: str, source: str) -> str:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if place in self._known:
            return self._known[place]
        there = self._root / place
        if not there.exists() or place.startswith(".."):
            raise NotThereError(f"{source}: {path} is not in the repository")
        if there.suffix == ".png":
            return self._picture(place)
        return self._page_of_files(place)

    def _picture(self, place: str) -> str:
        shown = f"images/{posixpath.basename(place)}"
        if shown not in self._shown:
            self._shown.add(shown)
            (self._place / "images").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._root / place, self._place / shown)
        return shown

    def _page_of_files(self, place: str) -> str:
        page = f"{FILES}/{_undotted(place)}.md"
        if page not in self._shown:
            self._shown.add(page)
            there = self._root / place
            shown = self._listed(there, page) if there.is_dir() else _fenced(there)
            # Whoever searches for a word looks for what is said about it.
            self._write(page, f"---\nsearch:\n  exclude: true\nhide: [toc]\n---\n\n# `{place}`\n\n{shown}\n")
        return page

    def _listed(self, folder: Path, page: str) -> str:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        rows = []
        for path in files:
            to = self._page_of_files(path.relative_to(self._root).as_posix())
            rows.append(f"- [`{path.relative_to(folder).as_posix()}`]({os.path.relpath(to, posixpath.dirname(page))})")
        return "\n".join(rows)

    def _write(self, page: str, text: str) -> None:
        path = self._place / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def pages(root: Path, language: Language) -> dict[str, str]:
    """Where each page of one language stands in the repository, and where in the site."""
    written = sorted(path.name for path in (root / language.folder).glob("*.md"))
    return {
        language.readme: "index.md",
        **{f"{language.folder}/{name}": name for name in written},
        **{source: f"project/{source.lower()}" for source in language.project_pages},
    }


def _without_switch(written: str) -> str:
    """Without the line that leads to the other language, which the site has in its header."""
    names = "|".join(language.name for language in LANGUAGES)
    return re.sub(rf"^\[(?:{names})\]\([^)]+\)\n\n", "", written, count=1, flags=re.MULTILINE)


def _undotted(place: str) -> str:
    """MkDocs, and some servers, leave out files whose names begin with a dot."""
    return str(PurePosixPath(*(part.lstrip(".") for part in PurePosixPath(place).parts)))


def _fenced(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    fence = max(re.findall(r"`{3,}", text), key=len, default="``") + "`"
    return f"{fence}{_HIGHLIGHTED.get(file.suffix, 'text')}\n{text.rstrip()}\n{fence}"
