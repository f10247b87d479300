"""PushTask: what every push task says, whatever its channel; and what a trigger may change for one execution."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from push_provider.contract.base import Broken, Contract, is_stored
from push_provider.contract.documents import storable, with_few_unknown
from push_provider.contract.ids import CODE_PATTERN, dag_id
from push_provider.contract.recipients import Recipient, Recipients, normalise
from push_provider.contract.timing import Execution, Now, Once, Schedule
from push_provider.contract.values import Name, Number, Seconds, Variables, name
from push_provider.exceptions import FieldError


def _code() -> str:
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"


_WORDS_OF_BOTH: Mapping[str, Mapping[str, str]] = {
    "recipients": {"list_type": "must be a list of addresses"},
    "recipients[]": {"mapping": "must be an address, in quotes if it is a number, or {to, variables}"},
    "variables": {"mapping": "must be a mapping of names to values"},
}


class PushTask(Contract):
    """What to send, to whom, through which sender configuration, when and how often.

    Each channel's own is a subclass, with the fields that say what is sent (:mod:`push_provider.channels.spec`).
    """

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "code": {
            "string_pattern_mismatch": "takes lower-case letters, digits, '-' and '_', begins with a letter or digit, "
            "at most 64"
        },
        **_WORDS_OF_BOTH,
    }

    instead: ClassVar[Mapping[str, str]] = {}
    """For fields of other channels, what to write in their place."""

    needed: ClassVar[frozenset[str]] = frozenset()
    """Fields that may be left out for the model, but not for :meth:`faults`, so that forms mark them."""

    code: str = Field(default_factory=_code, pattern=CODE_PATTERN)
    name: Name
    channel: str
    config: Annotated[str, StringConstraints(min_length=1, max_length=250), AfterValidator(name)] | None = None
    execution: Execution = Once()
    schedule: Schedule = Now()
    missed: Literal["skip", "latest", "all"] | None = None
    max_active_runs: Number = Field(default=1, ge=1, le=1000)
    recipients: Recipients = Field(default=[])
    variables: Variables = Field(default={})
    category: Literal["service", "marketing"] = "service"
    on_unknown: Literal["resend", "hold"] | None = None
    app: Name | None = None
    owner: Name | None = None
    retries: Number = Field(default=3, ge=0, le=100)
    retry_delay: Seconds = Field(default=timedelta(seconds=60), json_schema_extra={"default": 60})

    @property
    def dag_id(self) -> str:
        """The task's DAG."""
        return dag_id(self.code)

    @property
    def missed_policy(self) -> Literal["skip", "latest", "all"]:
        """What to do with times that passed while nothing ran.

        Left out, a loop skips them; a message due at one moment is sent late rather than never.
        """
        return self.missed or ("latest" if self.schedule.kind in ("now", "at") else "skip")

    def spec(self) -> dict[str, Any]:
        """The task as JSON, as the ledger keeps it: what :func:`parse` reads back to an equal task."""
        # Variables as they are, for pydantic would make plain floats of their numbers.
        spec = self.model_dump(mode="json", exclude={"recipients", "variables"})
        recipients = [{"to": recipient.to, "variables": recipient.variables} for recipient in self.recipients]
        return {**spec, "recipients": recipients, "variables": self.variables}

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, data: Any) -> Any:
        return with_few_unknown(cls, storable(data))

    @field_validator("channel")
    @classmethod
    def _known(cls, channel: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get("channels", (channel,))
        if channel not in known:
            *others, last = map(repr, known)
            raise ValueError(f"must be {', '.join(others)} or {last}" if others else f"must be {last}")
        return channel

    @field_validator("recipients")
    @classmethod
    def _addresses(cls, recipients: list[Recipient], info: ValidationInfo) -> list[Recipient]:
        return _normal(recipients, info)

    @model_validator(mode="after")
    def _whole(self, info: ValidationInfo) -> Self:
        if is_stored(info):
            return self
        errors: list[FieldError] = []
        if not self.recipients and self.schedule.kind != "manual":
            errors.append(
                FieldError("recipients", "name at least one; only a task with schedule kind 'manual' may have none")
            )
        errors += self.faults()
        if errors:
            raise Broken(errors)
        return self

    @staticmethod
    def address(text: str) -> str:
        """An address of the channel in its normal form.

        :raises ValueError: it is none; the text says what would be right.
        """
        return text

    def faults(self) -> Iterable[FieldError]:
        """What is wrong with the channel's own fields beside each other; nothing where there is no channel."""
        return ()

    def headline(self) -> str | None:
        """What the recipient sees first of a message, before any template was filled; None where there is no such."""
        return None


def _normal(recipients: list[Recipient], info: ValidationInfo) -> list[Recipient]:
    address = (info.context or {}).get("address")
    if address is None:  # checked when they came in; or the channel itself is wrong, and is reported
        return recipients
    return normalise(recipients, address)


class Trigger(Contract):
    """What a trigger may change for one execution: ``conf`` of a DAG run, body of POST …/trigger."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = _WORDS_OF_BOTH

    recipients: Recipients | None = None
    variables: Variables = Field(default={})
    execution: Number | None = Field(default=None, ge=1, lt=2**63)
    """An execution that was planned before its DAG run existed."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, data: Any) -> Any:
        return with_few_unknown(cls, storable(data))

    @field_validator("recipients")
    @classmethod
    def _addresses(cls, recipients: list[Recipient] | None, info: ValidationInfo) -> list[Recipient] | None:
        return None if recipients is None else _normal(recipients, info)
