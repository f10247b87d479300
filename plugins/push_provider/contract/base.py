"""What the models of the contract have in common, and how their validators say several things at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo

from push_provider.exceptions import FieldError, FieldErrors


class Contract(BaseModel):
    """Unknown fields are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Broken(ValueError):
    """Carries several field errors at once through pydantic."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = FieldErrors(errors)
        super().__init__(self.errors.told())


class BrokenItems(ValueError):
    """Carries through pydantic what is wrong with the items of a list that is read in pieces.

    :param said: about the list as a whole, before all else.
    :param details: the first faults, as pydantic has them.
    :param more: how many others there are.
    """

    def __init__(self, said: FieldErrors, details: list[Mapping[str, Any]], more: int) -> None:
        self.said = said
        self.details = details
        self.more = more
        super().__init__("items are broken")


def is_stored(info: ValidationInfo) -> bool:
    """Whether it comes from the ledger, and was checked when it came in."""
    return bool((info.context or {}).get("stored"))
