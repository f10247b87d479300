"""What is asked of a schedule before there is a push task: when it would be due."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from push_provider.contract.base import Contract
from push_provider.contract.documents import storable, with_few_unknown
from push_provider.contract.timing import Execution, Now, Once, Schedule
from push_provider.contract.values import Number


class Outlook(Contract):
    """When and how often, as in a push task, and how many of its times are wanted."""

    schedule: Schedule = Now()
    execution: Execution = Once()
    count: Number = Field(default=5, ge=1, le=20)

    @model_validator(mode="before")
    @classmethod
    def _can_be_told(cls, data: Any) -> Any:
        return with_few_unknown(cls, storable(data))
