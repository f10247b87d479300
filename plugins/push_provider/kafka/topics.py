"""What messages of each topic may do: ``[push] kafka_define`` and ``kafka_rules``."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from push_provider import settings
from push_provider.exceptions import FieldError, NotAllowed
from push_provider.ledger import defaults
from push_provider.policy import effects
from push_provider.settings import TopicRule

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy import Engine

    from push_provider.contract import PushTask
    from push_provider.ledger.orders import Message

_NOTHING = TopicRule(apps=frozenset(), codes=frozenset(), define=False)


class Rules:
    """The rules of all topics, as they are now: made anew for each batch.

    :param find: gives the connection of an id; None if there is none.
    :raises ConfigurationError: an option cannot be read.
    """

    def __init__(self, engine: Engine, find: Callable[[str], Connection | None]) -> None:
        self._engine = engine
        self._find = find
        self._rules = settings.kafka_rules()
        self._define = settings.kafka_define()
        self._topics: dict[str, Topic] = {}
        self._connections: dict[str, Connection | None] = {}

    def of(self, topic: str) -> Topic:
        """Those of a topic."""
        if topic not in self._topics:
            rule = self._rules.get(topic, self._rules.get("*", _NOTHING)) if self._rules else TopicRule()
            general = self._define if isinstance(self._define, bool) else topic in self._define
            self._topics[topic] = Topic(topic, rule._replace(define=rule.define and general), self)
        return self._topics[topic]

    def check_app(self, message: Message, app: str | None) -> None:
        """Refuse a message that touches a push task of an application that its topic may not act for.

        :raises NotAllowed: it does.
        """
        topic = self.of(message.topic)
        if topic.apps is not None and app not in topic.apps:
            reason = f"is no task of an application of topic {topic.name!r} ({topic.rule})"
            raise NotAllowed([FieldError("task", reason)])

    def connection(self, conn_id: str) -> Connection | None:
        """The connection of this id; None if there is none."""
        if conn_id not in self._connections:
            self._connections[conn_id] = self._find(conn_id)
        return self._connections[conn_id]

    def default_config(self, channel: str) -> str:
        """Connection id of the default configuration of a channel."""
        from push_provider.channels.registry import get_channel

        return defaults.of(self._engine, channel) or get_channel(channel).default_connection


class Topic:
    """A topic as the authority that stands behind its messages: :class:`push_provider.policy.effects.Authority`."""

    rule = "[push] kafka_rules"
    owner = None

    def __init__(self, name: str, rule: TopicRule, rules: Rules) -> None:
        self.name = name
        self.apps = rule.apps
        self.connection = rules.connection
        self.default_config = rules.default_config
        self._rule = rule

    def may_begin(self, code: str) -> bool:  # noqa: ARG002  (it starts executions; which, its codes say)
        """Whether it may begin executions of this task."""
        return True

    def may_read_connection(self, conn_id: str) -> bool:  # noqa: ARG002
        """Whether it may see connections: no topic may."""
        return False

    def require_code(self, code: str) -> None:
        """Refuse a push task that its messages may not touch.

        :raises NotAllowed: none of its patterns fits.
        """
        if not any(fnmatchcase(code, pattern) for pattern in self._rule.codes):
            raise NotAllowed([FieldError("task", f"{code!r} is none that topic {self.name!r} may touch ({self.rule})")])

    def defined(self, task: PushTask) -> PushTask:
        """A push task that a message defines: of the topic's application, if it has but one and the task names none.

        :raises NotAllowed: it may not be defined, or do what it would do.
        """
        if not self._rule.define:
            raise NotAllowed(
                [FieldError("define", f"is not allowed in topic {self.name!r} ([push] kafka_define, kafka_rules)")]
            )
        self.require_code(task.code)
        if task.app is None and self.apps is not None and len(self.apps) == 1:
            task = task.model_copy(update={"app": next(iter(self.apps))})
        effects.require(task, self)
        return task
