"""Content of an SMS: the parameters of the provider's approved template, rendered for each recipient.

The text itself is at the provider; a push task gives values for its ``${…}``. With ``content`` these are its names and
values, of which each value is a Jinja template; without it they are the variables as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from push_provider.addresses import shown
from push_provider.channels.sms.task import SmsTask, template_parameters
from push_provider.content.base import CompiledContent
from push_provider.content.jinja_sandbox import Sandbox
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.content.patience import Patience
from push_provider.exceptions import ContentError

VALUE_LIMIT = 1000
"""Characters of one value: more than any SMS holds (500 with its signature, https://help.aliyun.com/document_detail/55324.html)."""


class Parameters(CompiledContent):
    """The compiled parameters of one execution; for parameters and errors see :class:`CompiledContent`."""

    def __init__(
        self,
        task: SmsTask,
        templates: Mapping[str, str] = {},  # noqa: ARG002  (the template is the provider's)
        *,
        variables: Mapping[str, Any] = {},
        push: Mapping[str, Any] = {},
        include: Path | None = None,  # noqa: ARG002  (nothing is read)
        areas: bool | None = None,  # noqa: ARG002
        limits: Limits = LIMITS,
    ) -> None:
        self.sign_name = task.sign_name
        self.template_code = task.template_code
        self._variables = {**task.variables, **variables}
        self._push = dict(push)
        self._patience = Patience()
        self._wanted: frozenset[str] | None = None
        self._values: dict[str, str | Callable[[Mapping[str, Any]], str]] | None = None
        if task.content is not None:
            try:
                given = template_parameters(task.content)
            except ValueError as error:
                raise ContentError(f"content: {error}") from None
            self._values = {name: _compiled(name, value, limits) for name, value in given.items()}

    def preview(self, to: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of one recipient's SMS."""
        return {"parameters": self.render(to, own)}

    def require(self, names: frozenset[str]) -> None:
        """Say which parameters the provider's template has, once they are known.

        With ``content`` its names must be the same; otherwise only these of the variables are sent, and a recipient
        for whom one is missing fails alone.

        :raises ContentError: ``content`` does not fit the template.
        """
        if self._values is None:
            self._wanted = names
            return
        given = self._values.keys()
        problems = []
        if missing := names - given:
            problems.append(f"lacks {_listed(missing)}")
        if unknown := given - names:
            problems.append(f"has {_listed(unknown)}, which the template has not")
        if problems:
            raise ContentError(
                f"content: {' and '.join(problems)}; template {self.template_code or 'of the configuration'} "
                f"takes {_listed(names)}"
            )

    def render(self, to: str, variables: Mapping[str, Any]) -> dict[str, str]:
        """The parameters of one recipient.

        :param to: the address.
        :param variables: the recipient's own.
        :raises ContentError: one is missing, is no text, or is too long.
        """
        return self._patience.of(self._rendered, to, variables)

    def _rendered(self, to: str, variables: Mapping[str, Any]) -> dict[str, str]:
        values = {**self._variables, **variables}
        if self._values is None:
            wanted = values.keys() if self._wanted is None else self._wanted
            return {name: _checked(name, _text(name, values)) for name in wanted}
        values |= {"push": self._push, "to": to}
        return {
            name: _checked(name, value if isinstance(value, str) else value(values))
            for name, value in self._values.items()
        }


def _compiled(name: str, value: str, limits: Limits) -> str | Callable[[Mapping[str, Any]], str]:
    if "{" not in value:
        return value
    return Sandbox({f"content.{name}": value}, autoescape=False, limits=limits).program(f"content.{name}")


def _text(name: str, values: Mapping[str, Any]) -> str:
    if name not in values:
        raise ContentError(
            f"the template's parameter {shown(name)} is missing; give it in the variables of the recipient, the "
            "trigger or the task"
        )
    value = values[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ContentError(f"the variable {shown(name)} must be a text or a number to be a parameter of an SMS")
    return value


def _checked(name: str, value: str) -> str:
    if len(value) > VALUE_LIMIT:
        raise ContentError(
            f"the parameter {shown(name)} has {len(value)} characters; an SMS takes at most {VALUE_LIMIT}"
        )
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ContentError(f"the parameter {shown(name)} holds half a character (a lone surrogate)") from error
    return value


def _listed(names: frozenset[str] | set[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
