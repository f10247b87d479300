"""Content that is a JSON object: its parts compiled once, and made for each recipient where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from push_provider.content.base import CompiledContent
from push_provider.content.json_templates import templates_in
from push_provider.content.patience import Patience

if TYPE_CHECKING:
    from push_provider.content.json_templates import Render


class JsonContent(CompiledContent):
    """The compiled messages of one execution; subclasses compile the parts, and take them with :meth:`take`.

    :param variables: the task's, and a trigger's, which win.
    :param push: facts of the execution.
    """

    def __init__(self, variables: Mapping[str, Any], push: Mapping[str, Any]) -> None:
        self._variables = variables
        self._push = dict(push)
        self._patience = Patience()
        self._fixed: dict[str, Any] = {}
        self._programs: dict[str, Render] = {}

    def take(self, name: str, made: Any) -> None:
        """Have a part: a value that is the same for all, or what makes it."""
        (self._programs if callable(made) else self._fixed)[name] = made

    def render(self, to: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The message of one recipient: the parts that it has.

        :param to: the address.
        :param variables: the recipient's own.
        :raises ContentError: a variable is missing, or a template does what it may not.
        """
        if not self._programs:
            return self._fixed
        return self._patience.of(self._rendered, to, variables)

    def _rendered(self, to: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        values = {**self._variables, **variables, "push": self._push, "to": to}
        return {**self._fixed, **{name: program(values) for name, program in self._programs.items()}}

    def preview(self, to: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """The message of one recipient."""
        return {"message": self.render(to, own)}


def sources(task: Any, *fields: str) -> dict[str, str]:
    """The templates of some of a task's fields, and those in its ``data``, by their places."""
    texts = {name: text for name in fields if (text := getattr(task, name)) is not None}
    return {**texts, **dict(templates_in("data", task.data))}
