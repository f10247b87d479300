"""What is asked of a schedule before there is a push task: when it would be due."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError, model_validator

from push_provider.contract.base import Contract
from push_provider.contract.documents import storable, with_few_unknown
from push_provider.contract.timing import Execution, Now, Once, Schedule
from push_provider.contract.values import Number
from push_provider.contract.wording import told
from push_provider.exceptions import InvalidTask


class Outlook(Contract):
    """When and how often, as in a push task, and how many of its times are wanted."""

    schedule: Schedule = Now()
    execution: Execution = Once()
    count: Number = Field(default=5, ge=1, le=20)

    @model_validator(mode="before")
    @classmethod
    def _can_be_told(cls, data: Any) -> Any:
        return with_few_unknown(cls, storable(data))


def parse_outlook(data: Any) -> Outlook:
    """Read of which schedule the next times are asked for.

    :param data: a mapping.
    :raises InvalidTask: names every broken field.
    """
    try:
        return Outlook.model_validate(data)
    except ValidationError as error:
        raise InvalidTask(told(error, Outlook)) from None
