"""``./scripts/docs``: makes the site, or shows it on this machine."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from mkdocs.exceptions import Abort
from mkdocs.livereload import LiveReloadServer

from documentation.languages import LANGUAGES
from documentation.site import HERE, ROOT, make
from documentation.stage import NotThereError

# One may be made while the other is shown.
FOLDERS = {"build": ROOT / "build" / "docs", "serve": ROOT / "build" / "docs-served"}


def main() -> int:
    """Do as the command line says.

    :return: the exit code.
    """
    parser = argparse.ArgumentParser(prog="./scripts/docs")
    parser.add_argument("command", nargs="?", choices=list(FOLDERS), default="build")
    parser.add_argument("--into", type=Path, help="the site's folder; one below build/ if left out")
    parser.add_argument("--port", type=int, default=8000, help="where serve shows it; 8000 if left out")
    arguments = parser.parse_args()
    into = (arguments.into or FOLDERS[arguments.command]).resolve()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        make(into)
    except (Abort, NotThereError) as fault:
        print(f"The site was not made: {fault}", file=sys.stderr)
        return 1
    if arguments.command == "serve":
        return _serve(into, arguments.port)
    print(f"The site is in {into}: open index.html, or ./scripts/docs serve, which its search needs")
    return 0


def _serve(site: Path, port: int) -> int:
    server = LiveReloadServer(builder=lambda: _make_again(site), host="127.0.0.1", port=port, root=str(site))
    pages = [language.readme for language in LANGUAGES]
    for watched in ("docs", *pages, *LANGUAGES[0].project_pages):
        server.watch(str(ROOT / watched))
    server.watch(str(HERE))
    logging.getLogger("mkdocs.livereload").setLevel(logging.INFO)  # it says where it serves, and what has changed
    try:
        server.serve()
    except OSError as fault:
        print(f"Port {port}: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        server.shutdown()
    return 0


def _make_again(site: Path) -> None:
    try:
        make(site)
    except (Abort, NotThereError) as fault:  # the page is being written: the next change may mend it
        print(f"The site was not made anew: {fault}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
