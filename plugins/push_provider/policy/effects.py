"""What a push task would do, and whether whoever asks may have it done: one answer for every door.

A door says who asks, as an :class:`Authority`: the REST API an Airflow user, Kafka's intake a topic. The command line
is a local administrator's, who may do everything, and asks nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from push_provider.addresses import shown
from push_provider.exceptions import FieldError, NotAllowed
from push_provider.policy.configurations import serves

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.contract import PushTask


class Effect(StrEnum):
    """Something that a push task does beyond being on record."""

    CONFIG = "config"
    """It sends through a configuration."""
    FILES = "attachments"
    """It sends files below include/. Which, its application says, whoever asks: they are checked where they are read
    (:mod:`push_provider.content.include_files`), for a preview as well as for the mail."""
    APP = "app"
    """It counts as an application's: its quota, configurations and files."""
    OWNER = "owner"
    """It is somebody's."""
    BEGIN = "begin"
    """It begins to send by itself, or can begin again."""


class Authority(Protocol):
    """Who asks, in the terms of what a task does."""

    rule: str
    """The option that says what they may act for."""

    @property
    def apps(self) -> frozenset[str] | None:
        """The applications that they may act for; None for all, and for none."""

    @property
    def owner(self) -> str | None:
        """Whose the tasks are that they bring in; None if they may say so."""

    def may_begin(self, code: str) -> bool:
        """Whether they may begin executions of this task."""

    def may_read_connection(self, conn_id: str) -> bool:
        """Whether they may see the connection of this id, if there is one."""

    def connection(self, conn_id: str) -> Connection | None:
        """The connection of this id, whether or not they may see it; None if there is none."""

    def default_config(self, channel: str) -> str:
        """Connection id of the default configuration of a channel."""


def require(
    task: PushTask,
    authority: Authority,
    *,
    before: Mapping[str, Any] | None = None,
    effects: Collection[Effect] = frozenset(Effect),
) -> None:
    """Refuse a push task that does what whoever asks may not have done.

    All that the task would do is asked for, and not only what is changed: whoever changes the text of a task decides
    what is sent in the name of all the rest of it.

    :param before: the spec of the task that is changed; None for a new one.
    :param effects: those that are asked for.
    :raises NotAllowed: names each field, and what would be allowed.
    """
    refused = [fault for effect, rule in _RULES.items() if effect in effects for fault in rule(task, authority, before)]
    if refused:
        raise NotAllowed(refused)


def _config(task: PushTask, authority: Authority, before: Mapping[str, Any] | None) -> list[FieldError]:  # noqa: ARG001
    named = task.config
    if named is not None and authority.may_read_connection(named):
        return []
    served = serves(authority.connection(named or authority.default_config(task.channel)), task)
    if served or (served is None and named is None):
        return []
    if named is None:
        return [FieldError("config", "the default one serves certain applications alone; name one that you may use")]
    # The same words whether or not there is one, and whatever it is.
    return [FieldError("config", f"there is no configuration {shown(named)} that you may use for this task")]


def acting_for(authority: Authority) -> str:
    """The applications that somebody may act for, not being allowed all, as an error names them."""
    return f"you may act for {', '.join(sorted(authority.apps or ())) or 'none'} ({authority.rule})"


def _app(task: PushTask, authority: Authority, before: Mapping[str, Any] | None) -> list[FieldError]:
    apps = authority.apps
    if apps is None:
        return []
    mine = acting_for(authority)
    if before is not None and before.get("app") not in apps:
        return [FieldError("app", f"the task is that of another application; {mine}")]
    return [] if task.app in apps else [FieldError("app", f"must be an application that you may act for; {mine}")]


def _owner(task: PushTask, authority: Authority, before: Mapping[str, Any] | None) -> list[FieldError]:
    owner = authority.owner
    if owner is None or task.owner == owner or (before is not None and task.owner == before.get("owner")):
        return []
    return [FieldError("owner", f"must be you, {owner!r} ({authority.rule})")]


def _begin(task: PushTask, authority: Authority, before: Mapping[str, Any] | None) -> list[FieldError]:
    if task.schedule.kind != "manual":
        field, what = "schedule", "lets the task send by itself"
    elif before is not None and _allows_more(task, before):
        field, what = "execution", "lets more executions begin"
    else:
        return []
    if authority.may_begin(task.code):
        return []
    return [FieldError(field, f"{what}, and your role may not trigger push task {task.code!r}")]


def _allows_more(task: PushTask, before: Mapping[str, Any]) -> bool:
    execution = before.get("execution") or {}
    limit = execution.get("max_executions") if execution.get("type") == "loop" else 1
    return limit is not None and (task.execution.limit is None or task.execution.limit > limit)


_RULES = {Effect.CONFIG: _config, Effect.APP: _app, Effect.OWNER: _owner, Effect.BEGIN: _begin}
