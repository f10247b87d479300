"""The docs, taken apart for the tests: code blocks, commands, tables, links."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

AIRFLOW = ("./scripts/airflow", ".venv/bin/airflow")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Pages:
    """Pages that are read one after the other, such as all of one language.

    :param names: where they are in the checkout.
    """

    names: tuple[str, ...]

    def text(self) -> str:
        """All that they say."""
        return "\n".join(text(name) for name in self.names)

    def blocks(self, language: str) -> list[str]:
        """The code blocks of one language, without the indent of a list that they stand in."""
        return [
            re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
            for match in _FENCE.finditer(self.text())
            if match["language"] == language
        ]

    def languages(self) -> list[str]:
        """The language of every code block."""
        return [match["language"] for match in _FENCE.finditer(self.text())]

    def commands(self) -> list[str]:
        """Every command of every bash block, continued lines joined."""
        lines = "\n".join(self.blocks("bash")).replace("\\\n", " ").splitlines()
        return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]

    def airflow_arguments(self, programs: tuple[str, ...] = AIRFLOW) -> list[list[str]]:
        """The arguments of every call of Airflow's command, by the names that ``programs`` lists."""
        calls = [shlex.split(command) for command in self.commands() if command.startswith(programs)]
        return [words[1:] for words in calls if words[0] in programs]

    def table(self, marker: str) -> list[list[str]]:
        """The rows of the table after ``<!-- marker -->``, without its head."""
        lines = self.text().split(f"<!-- {marker} -->\n", 1)[1].splitlines()
        rows: list[list[str]] = []
        for line in lines:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        return rows[2:]

    def tables(self) -> list[list[list[str]]]:
        """Every table, as rows of cells, head and rule included."""
        found: list[list[list[str]]] = []
        before = ""
        for line in self.text().splitlines():
            if line.startswith("|"):
                if not before.startswith("|"):
                    found.append([])
                found[-1].append([cell.strip() for cell in line.split("|")[1:-1]])
            before = line
        return found


def text(page: str) -> str:
    """A page of the checkout."""
    return (ROOT / page).read_text(encoding="utf-8")


def links(page: str) -> Iterator[tuple[str, str]]:
    """What the page links to and shows, except other sites: the place in the checkout, and the anchor there."""
    for match in _LINK.finditer(_FENCE.sub("", text(page))):
        if "://" not in match["target"]:
            path, _, anchor = match["target"].partition("#")
            yield os.path.normpath(Path(page).parent / path) if path else page, anchor


def anchors(page: str) -> set[str]:
    """The names under which GitHub makes the page's headings reachable."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _of_language(readme: str, folder: str) -> Pages:
    # In the order in which the README lists them.
    listed = [page for page, _ in links(readme) if page.startswith(f"{folder}/")]
    there = sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("*.md"))
    return Pages((readme, *dict.fromkeys((*listed, *there))))


ENGLISH = _of_language("README.md", "docs/en")
CHINESE = _of_language("README.zh-CN.md", "docs/zh-CN")
ALL = (*ENGLISH.names, *CHINESE.names, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
