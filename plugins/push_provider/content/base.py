"""What the compiled content of an execution is, whatever its channel: made once, and rendered for each recipient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from push_provider.content.jinja_scales import LIMITS, Limits

if TYPE_CHECKING:
    from pathlib import Path


class CompiledContent(ABC):
    """The content of one execution.

    :param task: what to send, of the channel's own class.
    :param templates: what :meth:`freeze` gave when the execution was planned.
    :param variables: a trigger's; they win over the task's, and a recipient's win over both.
    :param push: facts of the execution, ``{{ push.code }}`` and so on in templates.
    :param include: the include directory; left out, that of the settings.
    :param areas: whether attachments lie in areas by application; left out, as the settings say.
    :param limits: of what templates may use.
    :raises ContentError: a template cannot be compiled, or what is the same for all not be rendered.
    """

    @abstractmethod
    def __init__(
        self,
        task: Any,
        templates: Mapping[str, str],
        *,
        variables: Mapping[str, Any] = {},
        push: Mapping[str, Any] = {},
        include: Path | None = None,
        areas: bool | None = None,
        limits: Limits = LIMITS,
    ) -> None: ...

    @staticmethod
    def freeze(task: Any, *, include: Path | None = None, limits: Limits = LIMITS) -> dict[str, str]:  # noqa: ARG004
        """Read what the task names of include/templates, so that an execution sends what was there when it was planned.

        :returns: sources by name; empty where a channel has no such files.
        :raises ContentError: a file is missing, outside include/templates or no template; names it.
        """
        return {}

    def examine(self) -> None:  # noqa: B027  (not each channel has such)
        """Look at what compiling does not look at.

        :raises ContentError: something is wrong with it.
        """

    @abstractmethod
    def preview(self, to: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """The message of one recipient, as plain values.

        Named ``subject``, ``html``, ``text``, ``parameters`` and ``attachments`` where it has them; all else is in
        ``message``.

        :param to: the address.
        :param own: the recipient's variables.
        :raises ContentError: it cannot be rendered.
        """
