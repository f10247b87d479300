"""The page that shows the API, for those who are logged in. Its script and style come from a package, not from afar."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from push_provider.api import openapi
from push_provider.api.guards import CallerDep
from push_provider.api.models import MOUNTED

router = APIRouter(include_in_schema=False)
_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}


def _prefix(request: Request) -> str:
    return str(request.scope.get("root_path", MOUNTED))


@router.get("/openapi.json")
def description(request: Request, caller: CallerDep) -> JSONResponse:  # noqa: ARG001  (whoever is logged in)
    """The OpenAPI description."""
    return JSONResponse(openapi.describe(request.app, _prefix(request)))


@router.get("/docs")
def page(request: Request, caller: CallerDep) -> HTMLResponse:  # noqa: ARG001
    """Swagger UI."""
    prefix = _prefix(request)
    return get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{prefix}/docs/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}/docs/swagger-ui.css",
        swagger_favicon_url=f"{prefix}/docs/favicon.png",
    )


@router.get("/docs/{name}")
def asset(name: Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"], caller: CallerDep) -> Response:  # noqa: ARG001
    """A file of Swagger UI."""
    data = files("fastapi_offline").joinpath("static", name).read_bytes()
    return Response(data, media_type=_TYPES[name], headers={"Cache-Control": "private, max-age=86400"})


def login(request: Request, error: HTTPException) -> Any:
    """Where somebody goes who opened the page and is not logged in; None for all other requests."""
    wants_page = "text/html" in request.headers.get("accept", "")
    if error.status_code != 401 or not wants_page or not request.url.path.endswith("/docs"):
        return None
    return RedirectResponse(get_auth_manager().get_url_login(next_url=str(request.url)))
