"""When a push task is sent, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from push_provider.contract.base import Contract
from push_provider.contract.values import CronExpression, Moment, Number, Timezone


def _with_tag(name: str) -> ConfigDict:
    """A variant of a union is told by its tag, which has a default only where the whole variant is one."""
    return ConfigDict(json_schema_extra={"required": [name]})


class Now(Contract):
    """At once, as soon as the task exists."""

    model_config = _with_tag("kind")

    kind: Literal["now"] = "now"


class Manual(Contract):
    """Only when somebody triggers it: in Airflow's UI, by REST, by Kafka, with ``airflow push trigger``."""

    kind: Literal["manual"]


class _Timed(Contract):
    timezone: Timezone | None = None
    """IANA name; left out, Airflow's ``[core] default_timezone`` holds."""


class At(_Timed):
    """Once, at a moment. RFC 3339; without an offset, ``timezone`` says which clock is meant."""

    kind: Literal["at"]
    at: Moment


class Hourly(_Timed):
    """Every hour at this minute, from the next hour on."""

    kind: Literal["hourly"]
    minute: Number = Field(ge=0, le=59)


_A_TIME = 'must be a time of day from "00:00" to "23:59", like "09:00", in quotes'


class Daily(_Timed):
    """Every day at this time, from tomorrow on."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "time": {"string_pattern_mismatch": _A_TIME, "string_type": _A_TIME}
    }

    kind: Literal["daily"]
    time: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")


class Cron(_Timed):
    """By a cron expression of five fields."""

    kind: Literal["cron"]
    cron: CronExpression


Schedule = Annotated[Now | At | Hourly | Daily | Cron | Manual, Field(discriminator="kind")]


class Once(Contract):
    """One execution, and the task is finished."""

    model_config = _with_tag("type")

    type: Literal["once"] = "once"

    @property
    def limit(self) -> int | None:
        """How many executions may begin."""
        return 1


class Loop(Contract):
    """Executions until ``max_executions`` have begun; without it, until somebody cancels the task."""

    type: Literal["loop"]
    max_executions: Number | None = Field(default=None, ge=1, le=2_000_000_000)

    @property
    def limit(self) -> int | None:
        """How many executions may begin; None for no end."""
        return self.max_executions


Execution = Annotated[Once | Loop, Field(discriminator="type")]
