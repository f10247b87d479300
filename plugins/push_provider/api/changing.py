"""A push task is changed: what a patch makes of it is looked at before it is locked, and compared after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from push_provider import settings, written
from push_provider.api import audit, bodies, limits, openapi
from push_provider.api.bodies import PatchBody, merge_patch
from push_provider.api.guards import Caller, CallerDep, Right, needs
from push_provider.api.models import (
    TaskDetail,
)
from push_provider.api.parameters import Code
from push_provider.api.problems import Problem, invalid
from push_provider.api.rendering import AskerDep
from push_provider.api.task_answers import detail_of, now
from push_provider.channels import registry
from push_provider.channels.reading import parse
from push_provider.contract import PushTask
from push_provider.exceptions import FieldError, InvalidTask
from push_provider.ledger import definitions, tasks
from push_provider.ledger.engine import get_engine
from push_provider.policy import effects
from push_provider.policy.effects import Effect
from push_provider.rendering import workers
from push_provider.rendering.check import same_content

router = APIRouter(tags=["Tasks"])
_CHANGES = 5
"""Times that a change is tried while others change the same task."""


@router.patch(
    "/tasks/{code}",
    response_model=TaskDetail,
    responses=openapi.errors(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    # One type alone: openapi-python-client makes a module that cannot be imported of two that are one model.
    openapi_extra=openapi.body("PushTaskPatch", bodies.MERGE_PATCH_TYPE),
)
@needs(Right.EDIT, effects=Effect)
def change_task(request: Request, caller: CallerDep, asker: AskerDep, code: Code, body: PatchBody) -> Any:
    """Change a push task by a JSON Merge Patch (RFC 7396): what is named is replaced, null stands for the default.

    A changed schedule counts from now, as if the task were new; executions that have begun stay counted and as they
    were planned. A list, such as the recipients, is replaced whole. The type `application/json` is taken as well.
    """
    with audit.refusals(caller, "push_change_task", code):
        caller.require_edit(code)
    patch = body.mapping()
    engine = get_engine()

    def changed() -> _Change:
        return _Change(caller, code, patch, tasks.get_whole(engine, code).spec)

    with audit.attempt(caller, "push_change_task", code, said=patch):
        if patch.get("code", code) != code:
            raise invalid(FieldError("code", "cannot be changed; create another task"))
        limits.check_recipients(patch)
        change = changed()
    for _ in range(_CHANGES):
        # Templates are looked at before the task is locked, so it may be another one by then.
        if faults := workers.faults(change.task, asker):
            raise InvalidTask(faults)
        try:
            applied = definitions.change(engine, code, change, **now(), open_limit=settings.max_open_tasks())
        except _ChangedMeanwhile:
            change = changed()
            continue
        return detail_of(request, applied.row._replace(spec=change.task.spec()))
    raise Problem(409, "changed-meanwhile", f"Others are changing push task {code!r} all the time. Try again.")


class _ChangedMeanwhile(Exception):
    """A task is not as it was when its change was looked at."""


class _Change:
    """A patch of a task, which is looked at while the task is not locked, and applied while it is.

    :param caller: whose patch it is.
    :param spec: of the task as it is before.
    :raises InvalidTask: the patch makes no task of it.
    :raises NotAllowed: the caller may not have it do what it does.
    """

    task: PushTask
    """What it makes."""

    def __init__(self, caller: Caller, code: str, patch: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        self._caller = caller
        self._code = code
        self._patch = patch
        self._before = spec
        self.task = self._patched(spec)

    def __call__(self, spec: Mapping[str, Any]) -> PushTask:
        """The new task, also if others have changed the task meanwhile and its templates stay what was looked at.

        :raises _ChangedMeanwhile: they do not.
        """
        if not written.are_same(spec, self._before):
            changed = self._patched(spec)
            if not same_content(changed, self.task):
                raise _ChangedMeanwhile
            self.task = changed
        return self.task

    def _patched(self, spec: Mapping[str, Any]) -> PushTask:
        # A name that no task has is wrong, also where its null would take away what is not there.
        unknown = {name: None for name in self._patch if name not in registry.all_fields()}
        task = parse({**merge_patch(spec, self._patch), **unknown, "code": self._code})
        effects.require(task, self._caller, before=spec)
        return task
