"""What a channel says about itself, so light that every Airflow process reads it: names, forms, where the rest is.

All else is named as ``module:name`` and imported when it is first needed. A package of somebody else's gives its
:class:`ChannelSpec` as an entry point of the group :data:`ENTRY_POINTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENTRY_POINTS = "push_provider.channels"


@dataclass(frozen=True)
class ChannelSpec:
    """One channel.

    :param name: as in a push task's ``channel``: lower case, at most 16 characters.
    :param label: its name for people.
    :param task: the subclass of :class:`~push_provider.contract.task.PushTask` with its fields.
    :param content: the subclass of :class:`~push_provider.content.base.CompiledContent`.
    :param sender: the subclass of :class:`~push_provider.channels.base.Channel`.
    :param operator: the operator that sends it, of the name that people see in Airflow: a subclass of
        :class:`~push_provider.operators.push.BasePushOperator`; left out,
        :class:`~push_provider.operators.push.ChannelPushOperator`.
    :param connection_types: its sender configurations: the entries of Airflow's ``connection-types``
        (https://airflow.apache.org/docs/apache-airflow-providers/core-extensions/connections.html), whose fields
        :func:`form_field` makes; :data:`STANDING` are those of all.
    :param warm: modules that an executor imports before it forks its workers, beside those named here.
    :param acknowledged: whether its messages have links by which whoever got one says so
        (:class:`~push_provider.channels.acknowledging.Links`); of no other channel's messages is that believed.
    """

    name: str
    label: str
    task: str
    content: str
    sender: str
    operator: str = "push_provider.operators.push:ChannelPushOperator"
    connection_types: tuple[Mapping[str, Any], ...] = ()
    warm: tuple[str, ...] = ()
    acknowledged: bool = False


def form_field(label: str, description: str, *, kind: str, **schema: Any) -> dict[str, Any]:
    """One field of a connection's form, which may stay empty.

    :param kind: of JSON schema: ``string``, ``boolean``, ``integer`` or ``number``.
    :param schema: more of it, such as ``enum`` or ``default``.
    """
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


STANDING: Mapping[str, Any] = {
    "enabled": form_field("Enabled (启用)", "Off: nothing is sent through this account.", kind="boolean", default=True),
    "is_default": form_field(
        "Default of its channel (默认)",
        "On: push tasks of this channel that name no configuration are sent through this account. There is one at "
        "most: whichever was the default before is switched off.",
        kind="boolean",
    ),
    "apps": form_field(
        "Applications (应用)",
        "Whose push tasks are sent through this account, separated by commas; * for all. Beside those, who may read "
        "connections may use it. Empty: they alone, but the default one of a channel is everybody's.",
        kind="string",
    ),
}
"""What the forms of all channels have."""
