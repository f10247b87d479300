"""Pages on their way to the site: links that lead on, files that become pages, lines of Chinese that are joined."""

from __future__ import annotations

import sys
from pathlib import Path

import pages
import pytest

sys.path.insert(0, str(pages.ROOT / "scripts"))
from documentation import chinese, links
from documentation.languages import CHINESE, ENGLISH
from documentation.stage import NotThereError, Stage


@pytest.mark.parametrize(
    ("page", "led"),
    [
        ("[a](b.md) and ![c](d.png)", "[a](<b.md>) and ![c](<d.png>)"),
        ("[`a]`](b.md)", "[`a]`](<b.md>)"),
        ("[a](https://example.com/b.md) [c](#d) [e](mailto:f)", "[a](https://example.com/b.md) [c](#d) [e](mailto:f)"),
        ("`[a](b.md)` ``[`a](b.md)`` [c](d.md)", "`[a](b.md)` ``[`a](b.md)`` [c](<d.md>)"),
        ("```text\n[a](b.md)\n```\n[c](d.md)", "```text\n[a](b.md)\n```\n[c](<d.md>)"),
        ("1. a\n\n    ```text\n    [a](b.md)\n    ```\n", "1. a\n\n    ```text\n    [a](b.md)\n    ```\n"),
    ],
)
def test_links_into_the_repository_are_led_elsewhere(page: str, led: str) -> None:
    assert links.led(page, lambda target: f"<{target}>") == led


@pytest.mark.parametrize(
    ("page", "joined"),
    [
        ("平台。\n您只要", "平台。您只要"),
        ("任何东\n西", "任何东西"),
        ("- 平台：\n  Airflow", "- 平台：Airflow"),
        ("用 Kafka\n触发", "用 Kafka\n触发"),  # a blank stands between the two here as in one line
        ("触发\nKafka", "触发\nKafka"),
        ("平台。\n\n您只要", "平台。\n\n您只要"),
        ("平台：\n- 您", "平台：\n- 您"),
        ("平台：\n| 您 |", "平台：\n| 您 |"),
        ("平台：\n1. 您", "平台：\n1. 您"),
        ("平台：\n```text\n平台。\n您\n```\n平台。\n您", "平台：\n```text\n平台。\n您\n```\n平台。您"),
    ],
)
def test_lines_of_chinese_are_joined(page: str, joined: str) -> None:
    assert chinese.joined(page) == joined


@pytest.fixture
def root(tmp_path: Path) -> Path:
    table = "| page | |\n|---|---|\n"
    written = {
        "README.md": f"# Push\n\n[简体中文](README.zh-CN.md)\n\nSee [Kafka](docs/en/kafka.md).\n\n{table}"
        "| [Concepts](docs/en/concepts.md) | |\n| [Streams](docs/en/kafka.md) | |\n",
        "README.zh-CN.md": f"# Push\n\n[English](README.md)\n\n{table}| [概念](docs/zh-CN/concepts.md) | |\n",
        "docs/en/concepts.md": "[简体中文](../zh-CN/concepts.md)\n\n"
        "![A](../images/a.png) [start](../../README.md#start)\n",
        "docs/en/kafka.md": "[the files](../../include) and [one](../../include/.hidden/a.yaml)\n",
        "docs/zh-CN/concepts.md": "[English](../en/concepts.md)\n\n[更新日志](../../CHANGELOG.md)\n",
        "CHANGELOG.md": "[Concepts](docs/en/concepts.md)\n",
        "CONTRIBUTING.md": "",
        "SECURITY.md": "",
        "docs/images/a.png": "picture",
        "include/.hidden/a.yaml": "a: ```\n",
        "include/b.py": "print()\n",
    }
    for place, text in written.items():
        path = tmp_path / "root" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "root"


def staged(root: Path, language: object = ENGLISH) -> dict[str, str]:
    place = root.parent / "staged"
    Stage(root, language, place).lay()
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def test_pages_lead_to_pages_of_the_site(root: Path) -> None:
    site = staged(root)
    assert "简体中文" not in site["index.md"] + site["concepts.md"]
    assert "See [Kafka](kafka.md)." in site["index.md"]
    assert site["concepts.md"] == "![A](images/a.png) [start](index.md#start)\n"
    assert site["images/a.png"] == "picture"
    assert site["project/changelog.md"] == "[Concepts](../concepts.md)\n"


def test_pages_in_english_lead_to_pages_in_chinese_where_there_is_one(root: Path) -> None:
    site = staged(root, CHINESE)
    assert site["concepts.md"] == "[更新日志](project/changelog.md)\n"
    assert site["project/changelog.md"] == "[Concepts](../concepts.md)\n"


def test_files_of_the_repository_are_pages(root: Path) -> None:
    site = staged(root)
    assert site["kafka.md"] == "[the files](files/include.md) and [one](files/include/hidden/a.yaml.md)\n"
    assert "- [`.hidden/a.yaml`](include/hidden/a.yaml.md)\n- [`b.py`](include/b.py.md)\n" in site["files/include.md"]
    assert "# `include/.hidden/a.yaml`\n\n````yaml\na: ```\n````\n" in site["files/include/hidden/a.yaml.md"]
    assert "```python\nprint()\n```" in site["files/include/b.py.md"]


def test_the_readme_says_in_which_order_pages_are_read(root: Path) -> None:
    navigation = Stage(root, ENGLISH, root.parent / "staged").lay()
    assert navigation[:3] == [{"Start": "index.md"}, {"Concepts": "concepts.md"}, {"Streams": "kafka.md"}]
    assert len(navigation[3]["The project"]) == 3


@pytest.mark.parametrize("target", ["nowhere.md", "../../../outside.md"])
def test_a_link_to_what_is_not_there_is_an_error(root: Path, target: str) -> None:
    (root.parent / "outside.md").write_text("")
    (root / "docs/en/concepts.md").write_text(f"[a]({target})")
    with pytest.raises(NotThereError, match=r"docs/en/concepts\.md"):
        staged(root)


def test_a_page_that_the_readme_leaves_out_is_an_error(root: Path) -> None:
    (root / "docs/en/more.md").write_text("# More")
    with pytest.raises(NotThereError, match=r"README\.md has no more\.md"):
        staged(root)
