"""Pages of lists, and how many entries there are in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

TOTAL_CAP = 10_000
"""Entries that are counted; a list that has more says so."""
OFFSET_LIMIT = 10_000
PAGE_LIMIT = 1000

Item = TypeVar("Item")
PageOf = TypeVar("PageOf", bound="Page[Any]")


class Page(BaseModel, Generic[Item]):
    """A page of a list. Each list has a subclass, by whose name generated clients know it."""

    items: list[Item]
    total_entries: int = Field(
        description=f"How many entries match; counted up to {TOTAL_CAP}, so that a page costs the same among millions"
    )
    total_is_exact: bool = Field(description=f"False if more than {TOTAL_CAP} match")


class Range:
    """Which part of a list is wanted.

    :param limit: entries at most.
    :param offset: entries that are left out before them.
    """

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="Entries of a page")] = 100,
        offset: Annotated[
            int,
            Query(
                ge=0,
                le=OFFSET_LIMIT,
                description="Entries to leave out; to get beyond the last that may be, narrow the list by its filters",
            ),
        ] = 0,
    ) -> None:
        self.limit = limit
        self.offset = offset

    def total(self, found: int, count: Callable[[int], int]) -> tuple[int, bool]:
        """How many entries there are in all, and whether that is exact.

        :param found: entries of this page.
        :param count: counts up to a cap.
        """
        if (found and found < self.limit) or (not found and not self.offset):  # the last page tells by itself
            return self.offset + found, True
        total = count(TOTAL_CAP + 1)
        return min(total, TOTAL_CAP), total <= TOTAL_CAP


RangeDep = Annotated[Range, Depends(Range)]


def page(kind: type[PageOf], wanted: Range, items: Sequence[Any], count: Callable[[int], int]) -> PageOf:
    """A page of a list.

    :param kind: the list's kind of page.
    """
    total, exact = wanted.total(len(items), count)
    return kind(items=list(items), total_entries=total, total_is_exact=exact)
