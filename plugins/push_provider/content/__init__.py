"""From templates and content to a rendered message: compiled once for an execution, filled for each recipient.

``compiled`` is a mail's and ``parameters`` an SMS's content. The first stands on ``jinja_sandbox`` (templates come from
strangers), ``flatten`` (what is the same for all recipients is worked out once), ``markdown_body`` and ``plain_text``
(the bodies' other forms) and ``include_files`` (what is read from disk).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from push_provider.content.compiled import Content, File, Rendered, freeze
from push_provider.content.parameters import Parameters

if TYPE_CHECKING:
    from push_provider.task import PushTask

__all__ = ["Content", "File", "Parameters", "Rendered", "check", "compile_content", "freeze"]


def compile_content(
    task: PushTask,
    templates: Mapping[str, str],
    *,
    variables: Mapping[str, Any] = {},
    push: Mapping[str, Any] = {},
) -> Content | Parameters:
    """Compile what a push task sends, as its channel wants it.

    :param templates: what :func:`freeze` gave when the execution was planned.
    :param variables: a trigger's.
    :param push: facts of the execution.
    :raises ContentError: a template cannot be compiled, or what is the same for all not be rendered.
    """
    if task.channel == "sms":
        return Parameters(task, variables=variables, push=push)
    return Content(task, templates, variables=variables, push=push)


def check(task: PushTask) -> None:
    """Compile what a task sends and look for its files, so that a fault shows now and not at night.

    :raises ContentError: it cannot be sent as it is.
    """
    content = compile_content(task, freeze(task))
    if isinstance(content, Content):
        _ = content.attachments
