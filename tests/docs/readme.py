"""The README files, taken apart for the tests: code blocks, commands, tables, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
PAGES = (*READMES, "CONTRIBUTING.md", "CHANGELOG.md")

AIRFLOW = ("./scripts/airflow", ".venv/bin/airflow")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def text(page: str) -> str:
    """A page of the checkout."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language, without the indent of a list that they stand in."""
    return [
        re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        for match in _FENCE.finditer(text(page))
        if match["language"] == language
    ]


def languages(page: str) -> list[str]:
    """The language of every code block."""
    return [match["language"] for match in _FENCE.finditer(text(page))]


def commands(page: str) -> list[str]:
    """Every command of every bash block, continued lines joined."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]


def airflow_arguments(page: str, programs: tuple[str, ...] = AIRFLOW) -> list[list[str]]:
    """The arguments of every call of Airflow's command, by the names that ``programs`` lists."""
    calls = [shlex.split(command) for command in commands(page) if command.startswith(programs)]
    return [words[1:] for words in calls if words[0] in programs]


def table(page: str, marker: str) -> list[list[str]]:
    """The rows of the table after ``<!-- marker -->``, without its head."""
    lines = text(page).split(f"<!-- {marker} -->\n", 1)[1].splitlines()
    rows: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows[2:]


def tables(page: str) -> list[list[list[str]]]:
    """Every table, as rows of cells, head and rule included."""
    found: list[list[list[str]]] = []
    before = ""
    for line in text(page).splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in line.split("|")[1:-1]])
        before = line
    return found


def links(page: str) -> Iterator[str]:
    """What the page links to and shows, except other sites."""
    for match in _LINK.finditer(_FENCE.sub("", text(page))):
        if "://" not in match["target"]:
            yield match["target"]


def anchors(page: str) -> set[str]:
    """The names under which GitHub makes the page's headings reachable."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
