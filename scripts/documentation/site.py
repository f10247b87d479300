"""Makes the site: its pages by MkDocs, a folder for each language, and a start that leads to one of them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import jieba
from mkdocs.commands.build import build
from mkdocs.config import load_config

from documentation.languages import LANGUAGES
from documentation.stage import Stage

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def make(into: Path) -> None:
    """Make the whole site.

    :param into: its folder; what is there is replaced. The pages are laid beside it before.
    :raises NotThereError: if a page links to what is not there.
    :raises mkdocs.exceptions.Abort: if MkDocs warns of anything.
    """
    staged = into.with_name(f"{into.name}-staged")
    staged.mkdir(parents=True, exist_ok=True)
    jieba.setLogLevel(logging.WARNING)
    jieba.dt.tmp_dir = str(staged)  # it keeps what it has read, by default where everybody may write
    for language in LANGUAGES:
        place = staged / language.code
        navigation = Stage(ROOT, language, place).lay()
        config = load_config(
            str(HERE / f"mkdocs.{language.code}.yml"),
            docs_dir=str(place),
            site_dir=str(into / language.code),
            nav=navigation,
        )
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
        config.plugins.on_shutdown()
    shutil.copyfile(HERE / "start.html", into / "index.html")
