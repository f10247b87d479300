"""Long lists, read in pieces: of a list in which all is wrong no fault is kept but the first ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler

from push_provider.contract.base import BrokenItems
from push_provider.exceptions import MOST_ERRORS, FieldError, FieldErrors

_PIECE = 100
_ENOUGH_BROKEN = 1000
"""Faults after which the rest of a list is not looked at: the list is not what it is taken for."""


def by_pieces(values: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Validate a list in pieces; for pydantic's ``WrapValidator``.

    :raises BrokenItems: the first faults, and an end if there are too many.
    """
    if not isinstance(values, list) or len(values) <= _PIECE:
        return handler(values)
    kept: list[Any] = []
    broken = FirstFaults()
    for start in range(0, len(values), _PIECE):
        try:
            kept += handler(values[start : start + _PIECE])
        except ValidationError as error:
            details = (
                {**detail, "loc": (start + int(detail["loc"][0]), *detail["loc"][1:])}
                for detail in error.errors(include_url=False, include_input=False)
            )
            broken.add(details, error.error_count(), start + _PIECE)
    broken.refuse()
    return kept


class FirstFaults:
    """What is wrong with the items of a list: the first faults, and an end if there are too many."""

    def __init__(self) -> None:
        self._first: list[Mapping[str, Any]] = []
        self._found = 0

    def add(self, details: Iterable[Mapping[str, Any]], count: int, looked_at: int) -> None:
        """Take note of some.

        :param details: as pydantic has them; ``loc`` begins with the item's index. They are asked for one after the
            other while they are wanted.
        :param count: how many they are.
        :param looked_at: items of the list so far.
        :raises BrokenItems: they are so many that the list is not what it is taken for.
        """
        self._first += islice(details, MOST_ERRORS - len(self._first))
        self._found += count
        if self._found >= _ENOUGH_BROKEN:
            said = f"have {self._found} faults among the first {looked_at}; what follows has not been looked at"
            self._refuse(FieldErrors([FieldError("", said)]))

    def refuse(self) -> None:
        """Raise them, if there are any."""
        if self._first:
            self._refuse(FieldErrors())

    def _refuse(self, said: FieldErrors) -> None:
        first = self._first[: MOST_ERRORS - len(said)]
        raise BrokenItems(said, first, self._found - len(first))
