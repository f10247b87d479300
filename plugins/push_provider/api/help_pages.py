"""The documentation's pages, to be read beside what they speak of."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse
from pydantic import Field

from push_provider.api import openapi
from push_provider.api.guards import CallerDep, needs
from push_provider.api.models import Answer, path
from push_provider.api.problems import Problem
from push_provider.documentation import pages

router = APIRouter(tags=["Help"])

Language = Annotated[Literal["en", "zh-CN"], Query(description="In which language")]
PageName = Annotated[
    str, Path(pattern=r"^[a-z0-9-]+$", max_length=100, description="The page", examples=["push-tasks"])
]
PictureName = Annotated[
    str, Path(pattern=r"^[a-z0-9-]+\.png$", max_length=100, description="The picture", examples=["trigger.png"])
]


class HelpEntry(Answer):
    """A page of the documentation."""

    name: str = Field(examples=["push-tasks"])
    title: str = Field(examples=["Push tasks"])


class HelpEntries(Answer):
    """All pages of a language."""

    items: list[HelpEntry]
    total_entries: int


class HelpPage(Answer):
    """A page of the documentation, rendered."""

    title: str
    html: str = Field(
        description="What stands below the title. Links to other pages are `#help/<name>` or `#help/<name>#<anchor>`, "
        "and headings have their anchors as ids"
    )


@router.get("/help", responses=openapi.errors(401, 422, 429))
@needs()
def list_help(caller: CallerDep, language: Language = "en") -> HelpEntries:  # noqa: ARG001  (whoever is logged in)
    """The documentation's pages, in the order in which they are read."""
    items = [HelpEntry(name=name, title=title) for name, title in pages.titles(language).items()]
    return HelpEntries(items=items, total_entries=len(items))


@router.get("/help/{page}", responses=openapi.errors(401, 404, 422, 429))
@needs()
def get_help(
    request: Request,
    caller: CallerDep,  # noqa: ARG001  (whoever is logged in)
    page: PageName,
    language: Language = "en",
) -> HelpPage:
    """One page of the documentation."""
    found = pages.page(language, page, path(request, "help/pictures"))
    if found is None:
        raise Problem(404, "unknown-page", f"The documentation has no page {page!r}.")
    return HelpPage(title=found.title, html=found.html)


# Not described: what reads it is HTML, and clients that are generated of the description know no type image/png.
@router.get("/help/pictures/{picture}", response_class=FileResponse, include_in_schema=False)
@needs()
def get_help_picture(caller: CallerDep, picture: PictureName) -> FileResponse:  # noqa: ARG001  (whoever is logged in)
    """A picture of the documentation."""
    file = pages.picture(picture)
    if file is None:
        raise Problem(404, "unknown-picture", f"The documentation has no picture {picture!r}.")
    return FileResponse(file, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})
