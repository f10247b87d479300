"""Preview: the message as a recipient would get it. Nothing is sent, and nothing is kept."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from push_provider.api import limits, openapi
from push_provider.api.bodies import JsonBody, unknown_fields
from push_provider.api.exact import exactly
from push_provider.api.guards import CallerDep, Right, needs
from push_provider.api.models import Answer
from push_provider.api.problems import broken, invalid
from push_provider.api.rendering import AskerDep
from push_provider.channels.reading import parse, parse_trigger
from push_provider.contract import CODE_PATTERN, PushTask
from push_provider.exceptions import FieldError, InvalidTask
from push_provider.ledger import tasks
from push_provider.ledger.engine import get_engine
from push_provider.policy import effects
from push_provider.policy.effects import Effect
from push_provider.rendering import workers
from push_provider.rendering.workers import Asker

router = APIRouter(tags=["Tasks"])
_FIELDS = ("task", "code", "recipients", "variables")


class File(Answer):
    """An attachment."""

    name: str
    size: int
    type: str


class PreviewAnswer(Answer):
    """A message as one recipient would get it."""

    to: str
    subject: str | None = Field(description="Email")
    html: str | None = Field(description="Email")
    text: str | None = Field(description="Email")
    parameters: dict[str, str] | None = Field(description="SMS: the parameters of the provider's template")
    attachments: list[File]
    message: dict[str, Any] | None = Field(description="What other channels send, such as WebSocket")


@router.post(
    "/preview",
    response_model=PreviewAnswer,
    responses=openapi.errors(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    openapi_extra=openapi.body("PreviewRequest"),
)
@needs(Right.READ, effects=[Effect.FILES, Effect.APP])
def preview_message(caller: CallerDep, asker: AskerDep, body: JsonBody) -> Any:
    """Render the message of a push task for one recipient: of one that exists (`code`) or not (`task`).

    The recipient is the first of `recipients`, or of the task's own.
    """
    caller.require_any_read()
    document = body.mapping()
    if unknown := unknown_fields(document, *_FIELDS):
        raise broken(unknown)
    task = _task(caller, document)
    limits.check_recipients(document)
    said = {name: document[name] for name in ("recipients", "variables") if name in document}
    trigger = parse_trigger(said, channel=task.channel)
    recipients = trigger.recipients or task.recipients
    if not recipients:
        raise invalid(FieldError("recipients", "name one; the task has none of its own"))
    message = workers.preview(task, asker, recipients[0].to, recipients[0].variables, trigger.variables)
    answer = PreviewAnswer.model_validate(message)
    return exactly(answer, message=answer.message)


def first_preview(task: PushTask, asker: Asker) -> PreviewAnswer | None:
    """What the first of a task's own recipients would get; None if there is none."""
    if not task.recipients:
        return None
    message = workers.preview(task, asker, task.recipients[0].to, task.recipients[0].variables)
    return PreviewAnswer.model_validate(message)


def _task(caller: Any, document: dict[str, Any]) -> PushTask:
    if ("task" in document) == ("code" in document):
        raise invalid(FieldError("task", "give either task, a push task, or code, of one that exists"))
    if "task" in document:
        caller.require_any_edit()
        given = document["task"]
        limits.check_recipients(given)
        try:
            task = parse(caller.completed(given) if isinstance(given, dict) else given)
        except InvalidTask as error:
            raise broken(error.errors.under("task.")) from None
        effects.require(task, caller, effects=[Effect.APP])  # whose files are shown
        return task
    code = document["code"]
    if not isinstance(code, str) or not openapi.matches(CODE_PATTERN, code):
        raise invalid(FieldError("code", "must be the code of a push task"))
    caller.require_read(code)
    # Of its recipients, who may be many, one at most gets the message.
    return tasks.get_whole(get_engine(), code, most=1).task()
