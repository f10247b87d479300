"""No name and no link leads out of the include directory: neither a template's nor an attachment's."""

from __future__ import annotations

from pathlib import Path

import pytest

from push_provider.channels.email.content import Content
from push_provider.channels.reading import parse
from push_provider.exceptions import ContentError, InvalidTask
from push_provider.rendering import freeze

SECRET = "open sesame"
WAYS = [
    "../secret.txt",
    "../../secret.txt",
    "inner/../../secret.txt",
    "inner/../../../secret.txt",
    "{outside}/secret.txt",
    "//{outside}/secret.txt",
    "..\\secret.txt",
    "%2e%2e/secret.txt",
    "link.txt",
    "chain.txt",
    "relative.txt",
    "folder/secret.txt",
    "folder/../secret.txt",
    "inner/./deep/secret.txt",
    "inner/up/secret.txt",
    "file:///{outside}/secret.txt",
    "~/secret.txt",
    "link.txt\0.html",
]


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """An include directory whose links all lead out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for place in (tmp_path, outside):
        (place / "secret.txt").write_text(SECRET)
    include = tmp_path / "include"
    for root in (include, include / "templates"):
        (root / "inner").mkdir(parents=True)
        (root / "link.txt").symlink_to(outside / "secret.txt")
        (root / "chain.txt").symlink_to("link.txt")
        (root / "relative.txt").symlink_to(Path("../" * (2 if root.name == "templates" else 1), "secret.txt"))
        (root / "folder").symlink_to(outside)
        (root / "inner" / "deep").symlink_to(outside)
        (root / "inner" / "up").symlink_to(tmp_path)
    return include


@pytest.mark.parametrize("way", WAYS)
def test_a_template_stays_inside(include: Path, way: str) -> None:
    name = way.format(outside=include.parent / "outside")
    mail = {"code": "t", "name": "T", "channel": "email", "subject": "s", "recipients": ["a@example.com"]}
    with pytest.raises((ContentError, InvalidTask)) as refused:
        freeze(parse({**mail, "template": name}), include=include)
    assert SECRET not in str(refused.value)
    for source in (
        f"{{% include {name!r} %}}",
        f"{{% extends {name!r} %}}",
        f"{{% import {name!r} as x %}}{{{{ x }}}}",
    ):
        (include / "templates" / "way.html").write_text(source)
        task = parse({**mail, "template": "way.html"})
        with pytest.raises((ContentError, InvalidTask)) as refused:
            Content(task, freeze(task, include=include)).render("a@example.com", {})
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize("way", WAYS)
def test_an_attachment_stays_inside(include: Path, way: str) -> None:
    name = way.format(outside=include.parent / "outside")
    mail = {"code": "t", "name": "T", "channel": "email", "subject": "s", "content": "c"}
    with pytest.raises((ContentError, InvalidTask)) as refused:
        _ = Content(
            parse({**mail, "recipients": ["a@example.com"], "attachments": [name]}), {}, include=include
        ).attachments
    assert SECRET not in str(refused.value)
