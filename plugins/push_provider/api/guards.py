"""Who may do what: Airflow's users and its permissions on DAGs and connections.

A push task is its DAG: who may read the DAG sees the task, its executions and its deliveries; who may edit the DAG
may create, change and cancel the task; who may create its runs may trigger it; who may delete it may delete the task.
With ``[push] app_rules`` all but reading is for those alone who may act for the task's application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import (
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from fastapi import Depends
from sqlalchemy.orm import Session

from push_provider import default_configs, settings
from push_provider.api.problems import Problem
from push_provider.contract import DAG_PREFIX, dag_id
from push_provider.exceptions import UnknownExecution, UnknownTask
from push_provider.ledger import tasks
from push_provider.ledger.engine import get_engine
from push_provider.policy.configurations import EVERY
from push_provider.policy.effects import acting_for

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod

    from push_provider.policy.effects import Effect

RUN = DagAccessEntity.RUN
_Call = TypeVar("_Call", bound=Callable[..., Any])


class Right(StrEnum):
    """What a call takes, in the terms of Airflow's permissions."""

    READ = "read"
    """To read the DAG of the push task, and its runs."""
    EDIT = "edit"
    """To edit the DAG."""
    RUN = "run"
    """To create runs of the DAG."""
    DELETE = "delete"
    """To delete the DAG."""
    READ_CONFIGS = "read configurations"
    """To read connections."""
    EDIT_CONFIGS = "edit configurations"
    """To edit connections."""
    TEST_CONFIGS = "test configurations"
    """To read and to create connections."""
    TOKENS = "make tokens"
    """To make tokens by which clients connect as any user: role Admin, and whom ``[push] token_minters`` names."""


def needs(*rights: Right, effects: Iterable[Effect] = (), login: bool = True) -> Callable[[_Call], _Call]:
    """Declare what a call takes. OpenAPI shows it, and the table of roles is generated from it.

    :param rights: all of them; none: whoever is logged in.
    :param effects: of the push tasks that it brings in, each of which must be allowed as well.
    :param login: whether anybody must be logged in at all.
    """

    def declare(call: _Call) -> _Call:
        call.__push_needs__ = {  # type: ignore[attr-defined]
            "x-rights": [right.value for right in rights],
            "x-effects": [effect.value for effect in effects],
        }
        call.__push_login__ = login  # type: ignore[attr-defined]
        return call

    return declare


def declared(call: Any) -> dict[str, list[str]]:
    """What :func:`needs` has declared of a call."""
    found: dict[str, list[str]] = call.__push_needs__
    return found


def needs_login(call: Any) -> bool:
    """Whether :func:`needs` has declared that somebody must be logged in."""
    found: bool = call.__push_login__
    return found


_UNNAMED = "push: any DAG"
"""No DAG can have this id, so no permission can name it: whoever may read it may read every DAG."""
_WHOLE = frozenset({"SimpleAuthManager", "FabAuthManager"})
"""Auth managers in which a permission on all DAGs cannot be taken away from one of them."""


class Caller:
    """Who asks, and what they may do.

    :param user: Airflow's.
    """

    def __init__(self, user: Any) -> None:
        self.user = user
        self.name = str(user.get_name())
        self.id = str(user.get_id())
        self._roles = frozenset(_roles(user))
        # Kept for the one request that this is made for: a bulk call asks a thousand times.
        self._connections: dict[str, Connection | None] = {}
        self._defaults: Mapping[str, str] | None = None

    rule = "[push] app_rules"

    @cached_property
    def apps(self) -> frozenset[str] | None:
        """The applications that the caller may act for; None for all, and for none.

        :raises ConfigurationError: the option cannot be read.
        """
        rules = settings.app_rules()
        if not rules or _ADMIN in self._roles:
            return None
        mine = [apps for who, apps in rules.items() if self._is(*who.split(":", 1))]
        apps = frozenset[str]().union(*mine)
        return None if EVERY in apps else apps

    @property
    def owner(self) -> str | None:
        """The caller, if tasks that they bring in can be nobody else's."""
        return None if self.apps is None else self.name

    def completed(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """A new push task with the application and the owner that it has if it names none: the caller.

        Who may not act for an application of their own name, but for one other, acts for that one.
        """
        app: str | None = self.name
        if self.apps is not None and app not in self.apps:
            app = next(iter(self.apps)) if len(self.apps) == 1 else None
        given = {name: value for name, value in document.items() if value is not None}
        return {**document, "app": given.get("app", app), "owner": given.get("owner", self.name)}

    def _is(self, kind: str, name: str) -> bool:
        return name == self.name if kind == "user" else name.casefold() in self._roles

    def may(self, method: ResourceMethod, code: str, entity: DagAccessEntity | None = None) -> bool:
        """Whether the caller may do this to the DAG of a push task, or to its runs."""
        details = DagDetails(id=dag_id(code), team_name=_team(DagModel, dag_id(code)))
        return bool(
            get_auth_manager().is_authorized_dag(method=method, access_entity=entity, details=details, user=self.user)
        )

    def require(self, method: ResourceMethod, code: str, entity: DagAccessEntity | None = None) -> None:
        """Refuse what the caller may not do.

        :raises Problem: 403.
        """
        if not self.may(method, code, entity):
            raise Problem(403, "forbidden", f"Your role may not {_DEEDS[method, entity]} push task {code!r}.")

    def require_read(self, code: str) -> None:
        """The caller must be allowed to see the task."""
        self.require("GET", code)

    def require_edit(self, code: str) -> None:
        """The caller must be allowed to create or change the task; of which application, its effects say."""
        self.require("PUT", code)

    def require_manage(self, code: str) -> None:
        """The caller must be allowed to pause, resume or cancel the task as it is."""
        self.require("PUT", code)
        self._require_app(code)

    def require_trigger(self, code: str) -> None:
        """The caller must be allowed to begin executions of the task."""
        self.require("POST", code, RUN)
        self._require_app(code)

    def rights(self, code: str | None = None) -> list[Right]:
        """What the caller may do: to every push task or to some of them, or to one; and to connections."""
        manager = get_auth_manager()

        def may_connections(*methods: ResourceMethod) -> bool:
            return all(manager.is_authorized_connection(method=method, user=self.user) for method in methods)

        def may_list(entity: DagAccessEntity | None) -> bool:
            return manager.is_authorized_dag(method="GET", access_entity=entity, user=self.user)

        def may(method: ResourceMethod, entity: DagAccessEntity | None = None) -> bool:
            return self._may_some(method, entity) if code is None else self.may(method, code, entity)

        readable = may_list(None) and may_list(RUN) if code is None else may("GET") and may("GET", RUN)
        own = code is None or self._acts_for(code)
        held = {
            Right.READ: readable,
            Right.EDIT: own and may("PUT"),
            Right.RUN: own and may("POST", RUN),
            Right.DELETE: own and may("DELETE"),
            Right.READ_CONFIGS: may_connections("GET"),
            Right.EDIT_CONFIGS: may_connections("PUT"),
            Right.TEST_CONFIGS: may_connections("GET", "POST"),
            Right.TOKENS: self._may_tokens(),
        }
        return [right for right in Right if held[right]]

    def _may_some(self, method: ResourceMethod, entity: DagAccessEntity | None = None) -> bool:
        """Whether the caller may do this to every push task, or else to one that there is."""
        manager = get_auth_manager()
        every = DagDetails(id=_UNNAMED)
        if manager.is_authorized_dag(method=method, access_entity=entity, details=every, user=self.user):
            return True
        # Auth managers list DAGs by what may be done to the DAG itself; creating its runs takes to edit it, too.
        ids = manager.get_authorized_dag_ids(user=self.user, method="PUT" if entity else method)
        own = (one.removeprefix(DAG_PREFIX) for one in ids if one.startswith(DAG_PREFIX))
        return any(entity is None or self.may(method, code, entity) for code in own)

    def may_begin(self, code: str) -> bool:
        """Whether the caller may begin executions of the task."""
        return self.may("POST", code, RUN)

    def require_delete(self, code: str) -> None:
        """The caller must be allowed to delete the task."""
        self.require("DELETE", code)
        self._require_app(code)

    def _require_app(self, code: str) -> None:
        """Refuse what is done with a push task of an application that the caller may not act for.

        :raises Problem: 403.
        """
        if not self._acts_for(code):
            what = f"Push task {code!r} is that of another application; {acting_for(self)}."
            raise Problem(403, "forbidden", what)

    def _acts_for(self, code: str) -> bool:
        """Whether the application of a push task is one that the caller may act for; as it is, if there is no task."""
        if self.apps is None:
            return True
        try:
            return tasks.get(get_engine(), code).app in self.apps
        except UnknownTask:
            return True

    def require_execution(self, execution: int, code: str) -> None:
        """The caller must be allowed to see the task of an execution; else it is as if there were none.

        :raises UnknownExecution: they may not.
        """
        if not self.may("GET", code, RUN):
            raise UnknownExecution(f"There is no execution {execution} that you may see.")

    def readable(self) -> frozenset[str] | None:
        """The push tasks that the caller may see; None for all."""
        manager = get_auth_manager()
        names = {cls.__name__ for cls in type(manager).__mro__}
        if names & _WHOLE and not conf.getboolean("core", "multi_team"):
            details = DagDetails(id=_UNNAMED)
            if manager.is_authorized_dag(method="GET", details=details, user=self.user):
                return None
        ids = manager.get_authorized_dag_ids(user=self.user, method="GET")
        return frozenset(one.removeprefix(DAG_PREFIX) for one in ids if one.startswith(DAG_PREFIX))

    def may_read_connection(self, conn_id: str) -> bool:
        """Whether the caller may see a sender configuration."""
        return self._may_connection("GET", conn_id)

    def connection(self, conn_id: str) -> Connection | None:
        """The connection of this id, whether or not the caller may see it; None if there is none."""
        from airflow.sdk.exceptions import AirflowNotFoundException

        if conn_id not in self._connections:
            try:
                self._connections[conn_id] = Connection.get_connection_from_secrets(conn_id)
            except AirflowNotFoundException:
                self._connections[conn_id] = None
        return self._connections[conn_id]

    def default_config(self, channel: str) -> str:
        """Connection id of the default configuration of a channel."""
        if self._defaults is None:
            self._defaults = default_configs.current(get_engine())
        return self._defaults[channel]

    def require_test(self, conn_id: str) -> None:
        """The caller must be allowed to see sender configurations and to create them, as Airflow's own test demands.

        :raises Problem: 403.
        """
        if not (self._may_connection("GET", conn_id) and self._may_connection("POST", conn_id)):
            raise Problem(403, "forbidden", f"Your role may not test connection {conn_id!r}.")

    def require_edit_connection(self, conn_id: str) -> None:
        """The caller must be allowed to change a sender configuration.

        :raises Problem: 403.
        """
        if not self._may_connection("PUT", conn_id):
            raise Problem(403, "forbidden", f"Your role may not change connection {conn_id!r}.")

    def require_connections(self) -> None:
        """The caller must be allowed to see connections at all.

        :raises Problem: 403.
        """
        if not get_auth_manager().is_authorized_connection(method="GET", user=self.user):
            raise Problem(403, "forbidden", "Your role may not see sender configurations, which are connections.")

    def require_tokens(self) -> None:
        """The caller must be allowed to make tokens by which clients connect as any user.

        :raises Problem: 403.
        """
        if not self._may_tokens():
            raise Problem(403, "forbidden", "You may not make tokens; [push] token_minters names those who may.")

    def _may_tokens(self) -> bool:
        # Airflow has no permission that means it, and nobody should have it by chance.
        return _ADMIN in self._roles or any(self._is(*who) for who in settings.token_minters())

    def require_any_read(self, entity: DagAccessEntity | None = None) -> None:
        """The caller must be allowed to see some DAG, or runs of some DAG.

        :raises Problem: 403.
        """
        if not get_auth_manager().is_authorized_dag(method="GET", access_entity=entity, user=self.user):
            raise Problem(403, "forbidden", "Your role may not see push tasks, which are DAGs, or their runs.")

    def require_any_edit(self) -> None:
        """The caller must be allowed to edit some DAG.

        :raises Problem: 403.
        """
        if not get_auth_manager().is_authorized_dag(method="PUT", user=self.user):
            raise Problem(403, "forbidden", "Your role may not write push tasks, which are DAGs.")

    def _may_connection(self, method: ResourceMethod, conn_id: str) -> bool:
        details = ConnectionDetails(conn_id=conn_id, team_name=_team(Connection, conn_id))
        return bool(get_auth_manager().is_authorized_connection(method=method, details=details, user=self.user))


_DEEDS: dict[tuple[str, DagAccessEntity | None], str] = {
    ("GET", None): "see",
    ("PUT", None): "create or change",
    ("DELETE", None): "delete",
    ("POST", RUN): "trigger",
}


def _roles(user: Any) -> Iterator[str]:
    """The names of a user's roles, in any case; not every auth manager has some."""
    if role := getattr(user, "role", None):  # SimpleAuthManager
        yield str(role).casefold()
    for role in getattr(user, "roles", None) or ():  # FabAuthManager
        yield str(getattr(role, "name", role)).casefold()


_ADMIN = "admin"


def _team(model: Any, name: str) -> str | None:
    # A query that installations without teams are spared.
    return model.get_team_name(name) if conf.getboolean("core", "multi_team") else None


def _caller(user: GetUserDep) -> Caller:
    return Caller(user)


CallerDep = Annotated[Caller, Depends(_caller)]
"""Whoever is logged in, by bearer token or by the UI's cookie; nobody else gets past it (401)."""


def sessions() -> AbstractContextManager[Session]:
    """A session on Airflow's database, committed at its end."""
    return create_session(scoped=False)


def _session() -> Iterator[Session]:
    with sessions() as session:
        yield session


SessionDep = Annotated[Session, Depends(_session, scope="function")]
