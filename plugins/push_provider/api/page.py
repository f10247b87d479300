"""The files of the Push page, for those who are logged in, as all else of the API."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from push_provider.api.guards import CallerDep
from push_provider.api.problems import Problem
from push_provider.ui import page

router = APIRouter(include_in_schema=False)
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}


@router.get("/page/{edition}/{name}")
def page_file(edition: str, name: str, caller: CallerDep) -> FileResponse:  # noqa: ARG001  (whoever is logged in)
    """A built file of the page. Another edition has another address, so a browser need not ask again."""
    path = page.file(name)
    if path is None or path.suffix not in _TYPES:
        raise Problem(404, "unknown-file", f"The Push page has no file {name!r}. Reload Airflow's UI.")
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=_TYPES[path.suffix], headers=headers)
