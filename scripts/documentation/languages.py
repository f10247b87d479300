"""What differs from language to language: where the pages are, and the words of the site that stand in no page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """One language of the site.

    :param code: its folder below docs/, and of the site; a tag of BCP 47.
    :param name: what it calls itself.
    :param readme: its first page.
    :param start: what the site's navigation calls that page.
    :param project: what it calls the pages about the project itself.
    :param project_pages: those, by their place in the repository, and what they are called; in English.
    """

    code: str
    name: str
    readme: str
    start: str
    project: str
    project_pages: dict[str, str]

    @property
    def folder(self) -> str:
        """Where its pages are in the repository."""
        return f"docs/{self.code}"


ENGLISH = Language(
    code="en",
    name="English",
    readme="README.md",
    start="Start",
    project="The project",
    project_pages={
        "CHANGELOG.md": "What changed",
        "CONTRIBUTING.md": "How to contribute",
        "SECURITY.md": "Report a fault",
    },
)
CHINESE = Language(
    code="zh-CN",
    name="简体中文",
    readme="README.zh-CN.md",
    start="快速开始",
    project="项目（英文）",
    project_pages={
        "CHANGELOG.md": "更新日志",
        "CONTRIBUTING.md": "参与开发",
        "SECURITY.md": "报告漏洞",
    },
)
LANGUAGES = (ENGLISH, CHINESE)
