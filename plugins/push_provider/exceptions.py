"""Everything that this package raises on purpose.

::

    PushError
    ├── PermanentError          trying again changes nothing; the Airflow task fails at once
    │   ├── InvalidTask         a push task, trigger or file breaks the contract; names each field
    │   ├── NotAllowed          a push task does what whoever asks may not have done; names each field
    │   ├── UnknownTask         no push task has this code
    │   ├── TaskClosed          the push task is finished or cancelled and takes no execution
    │   ├── TaskPaused          the push task's DAG is paused and takes no execution
    │   ├── TaskExists          there is a push task of this code already
    │   ├── TaskBusy            the push task cannot be deleted as it stands
    │   ├── LimitReached        a limit of the platform's options is reached
    │   │   └── RenderingBudget somebody's templates take longer than all of theirs may
    │   ├── KeyReused           an idempotency key came again with something else
    │   ├── NothingToRedrive    nothing of the execution can be sent again
    │   ├── UnknownExecution    no execution has this id, or it belongs to another push task
    │   ├── RunRefused          Airflow refuses the DAG run of an execution
    │   ├── UnknownMessage      no rejected message has this id
    │   ├── UnknownSuppression  no suppression has this id
    │   ├── UnknownConfig       no connection has this id, or no message can be sent through it
    │   ├── ConfigurationError  the sender configuration (an Airflow connection) or an option is wrong
    │   ├── ContentError        a template cannot be compiled or rendered
    │   │   └── LimitExceeded   a template would take more than a rendering may
    │   └── DeliveryFailed      the execution ended and some recipients have not got the message
    └── TransientError          a later try may succeed; the Airflow task is retried
        ├── LedgerUnavailable   the ledger's database cannot be reached or is not migrated
        ├── ExecutionBusy       another process is still sending this execution
        ├── ExecutionTaken      another process has taken over what this one was sending
        ├── SendingStopped      the sending was ended before all was sent
        ├── DagNotReady         Airflow does not know the push task's DAG yet
        ├── ProviderUnavailable the mail server or gateway cannot be used just now
        ├── RenderingUnavailable no process can be had just now that renders templates
        └── BrokerUnavailable   Kafka cannot be reached or used just now

A message names the field or recipient and the remedy, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, Self

from push_provider.visible import visible

MOST_ERRORS = 20
"""Broken fields that one text names."""


class PushError(Exception):
    """Root of all errors of this package."""

    def __str__(self) -> str:
        # It is made of others' words, and read on terminals and in logs.
        return visible(super().__str__(), lines=True)


class PermanentError(PushError):
    """Trying again changes nothing."""


class TransientError(PushError):
    """A later try may succeed."""


class FieldError(NamedTuple):
    """One broken field: its path (``recipients[3].to``) and what would be right."""

    field: str
    message: str

    def __str__(self) -> str:
        return visible(f"{self.field}: {self.message}", lines=True)


class FieldErrors(tuple[FieldError, ...]):
    """Broken fields as they are told: the first :data:`MOST_ERRORS`, and how many more there are.

    :param errors: in the order of the document, however many; a generator's are made one at a time.
    :param more: how many there are besides.
    """

    more: int

    def __new__(cls, errors: Iterable[FieldError] = (), more: int = 0) -> Self:  # noqa: D102  (see the class)
        waiting = iter(errors)
        self = super().__new__(cls, islice(waiting, MOST_ERRORS))
        self.more = more + getattr(errors, "more", 0) + sum(1 for _ in waiting)
        return self

    def told(self, between: str = "; ") -> str:
        """All of them as one text."""
        words = [str(error) for error in self]
        return between.join([*words, f"and {self.more} more"] if self.more else words)

    def under(self, place: str) -> FieldErrors:
        """The same of a document that is part of another.

        :param place: what goes in front of each path.
        """
        return FieldErrors((FieldError(f"{place}{field}", message) for field, message in self), self.more)

    def first(self) -> FieldErrors:
        """The first alone, and how many more there are."""
        return FieldErrors(self[:1], self.more + len(self[1:]))

    def and_then(self, others: FieldErrors) -> FieldErrors:
        """These, and those of a document that follows."""
        return FieldErrors([*self, *others], self.more + others.more)


class InvalidTask(PermanentError):
    """A push task, a trigger or a file breaks the contract.

    :param errors: the broken fields, in the order of the document.
    :param where: what was read (a file, a message), for the first line of the text.
    """

    def __init__(self, errors: Iterable[FieldError], *, where: str | None = None) -> None:
        self.errors = FieldErrors(errors)
        self.where = where
        text = self.errors.told()
        super().__init__(f"{where}: {text}" if where else text)


class NotAllowed(PermanentError):
    """A push task does what whoever asks may not have done.

    :param errors: each field that asks for it, and what would be allowed.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = FieldErrors(errors)
        super().__init__(self.errors.told())


class UnknownTask(PermanentError):
    """No push task has this code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"There is no push task {code!r}. 'airflow push tasks' lists those that exist.")


class TaskClosed(PermanentError):
    """The push task takes no more executions."""


class TaskPaused(PermanentError):
    """The push task's DAG is paused."""


class TaskExists(PermanentError):
    """There is a push task of this code already."""


class TaskBusy(PermanentError):
    """The push task cannot be deleted as it stands."""


class LimitReached(PermanentError):
    """A limit that the platform's options set is reached; the text names the option."""


class RenderingBudget(LimitReached):
    """Rendering what somebody hands in takes longer than all of theirs may.

    :param retry_after: seconds after which there is some of it again.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyReused(PermanentError):
    """An idempotency key came again, with another body."""


class NothingToRedrive(PermanentError):
    """Nothing of the execution can be sent again; the text says why."""


class UnknownExecution(PermanentError):
    """No execution has this id, or it belongs to another push task."""


class RunRefused(PermanentError):
    """Airflow refuses the DAG run of an execution, which has failed with that."""


class UnknownMessage(PermanentError):
    """No rejected message has this id."""

    def __init__(self, rejected: int) -> None:
        super().__init__(f"There is no rejected message {rejected}. 'airflow push rejected' lists those that exist.")


class UnknownSuppression(PermanentError):
    """No suppression has this id."""

    def __init__(self, suppression: int) -> None:
        super().__init__(f"There is no suppression {suppression}. 'airflow push suppressions' lists those that exist.")


class UnknownConfig(PermanentError):
    """No connection has this id, or it is of a type that no message can be sent through."""


class ConfigurationError(PermanentError):
    """A sender configuration or an option is wrong; the text names it and the remedy."""


class ContentError(PermanentError):
    """A template cannot be compiled or rendered; the text names the template and the place."""

    field: str | None = None
    """The field of the push task that is at fault, where that is known."""


class LimitExceeded(ContentError):
    """Rendering a template takes more time or memory than one may have."""


class DeliveryFailed(PermanentError):
    """The execution ended and some recipients have not got the message."""


class LedgerUnavailable(TransientError):
    """The ledger's database cannot be reached, or its tables are missing or old.

    :param passes: whether it may be otherwise in a moment, and waiting helps.
    """

    def __init__(self, message: str, *, passes: bool = True) -> None:
        super().__init__(message)
        self.passes = passes


class ExecutionBusy(TransientError):
    """Another process is still sending this execution."""


class ExecutionTaken(TransientError):
    """Another process has taken over what this one was sending, because it was not heard of for too long."""


class SendingStopped(TransientError):
    """The sending was ended from outside before all was sent; what was not begun is pending."""


class DagNotReady(TransientError):
    """Airflow does not know the push task's DAG yet; a moment later it may."""


class ProviderUnavailable(TransientError):
    """The mail server or gateway cannot be used just now.

    :param retry_after: seconds after which the provider wants to be asked again, if it said so.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RenderingUnavailable(TransientError):
    """No process can be had just now that renders templates."""

    def __init__(self, message: str, *, retry_after: float = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BrokerUnavailable(TransientError):
    """Kafka cannot be reached or used just now."""
