"""The ledger's tables and the words for their states."""

from __future__ import annotations

import zlib
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

SHARDS = 256
"""Number of DAG files that the push tasks are spread over.

At 10,000 tasks a file holds about 40 DAGs, which is what the DAG processor parses when one changes;
files of shards without a task are not parsed at all.
"""


def shard_of(code: str) -> int:
    """The shard of a push task, by its code: the same on every machine and for ever."""
    return zlib.crc32(code.encode()) % SHARDS


class TaskStatus(StrEnum):
    """Where a push task stands."""

    PENDING = "pending"
    """No execution has begun."""
    RUNNING = "running"
    """An execution is under way."""
    ACTIVE = "active"
    """Executed, and more may come."""
    FINISHED = "finished"
    """All executions have ended, the last one well."""
    FAILED = "failed"
    """All executions have ended, and in the last one somebody did not get the message."""
    CANCELLED = "cancelled"
    """Somebody cancelled it."""


class ExecutionState(StrEnum):
    """Where an execution stands."""

    PLANNED = "planned"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """Everybody has been sent the message."""
    PARTIAL = "partial"
    """Some have, some have not or nobody can tell."""
    FAILED = "failed"
    """Nobody has."""
    CANCELLED = "cancelled"
    """The task was cancelled before all were sent."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    """Claimed by a process that is sending it now, or that died doing so."""
    SENT = "sent"
    """The provider accepted it."""
    DELIVERED = "delivered"
    """The provider says that it arrived."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Accepted or not, nobody can tell."""
    CANCELLED = "cancelled"


def _one_of(column: str, states: type[StrEnum]) -> CheckConstraint:
    values = ", ".join(f"'{state}'" for state in states)
    return CheckConstraint(f"{column} IN ({values})", name=f"{column}_known")


metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

_NOW = text("now()")

revision = Sequence("push_revision", metadata=metadata)
"""Numbers every change of a push task that its DAG must follow."""

# Written as PostgreSQL shows it, as below.
_SEARCHED = "lower(((((code)::text || chr(10)) || name) || chr(10)) || COALESCE(config, ''::text))"

push_task = Table(
    "push_task",
    metadata,
    Column("code", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("channel", String(16), nullable=False),
    Column("config", Text),
    Column("app", Text),
    Column("owner", Text),
    Column("spec", JSONB, nullable=False),
    Column("execution_type", String(8), nullable=False),
    Column("max_executions", Integer),
    Column("executions", Integer, nullable=False, server_default="0"),
    Column("status", String(16), nullable=False, server_default=TaskStatus.PENDING.value),
    Column("schedule_since", DateTime(timezone=True), nullable=False),
    Column("retired_at", DateTime(timezone=True), comment="Since when it is no DAG any more; null: it is one"),
    Column(
        "dropped_until",
        DateTime(timezone=True),
        comment="Executions that began until then may have left the ledger: a run of that time begins none anew",
    ),
    Column("last_execution_at", DateTime(timezone=True)),
    Column("shard", SmallInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    # The spec has none in it: they may be a million, and who reads a task seldom wants them.
    Column("list_id", BigInteger, comment="Its own recipients, in push_recipient; null: it has none"),
    Column("list_digest", LargeBinary, comment="SHA-256 of what is in that list"),
    Column("recipients", Integer, nullable=False, server_default="0"),
    # What lists show of a spec.
    Column("schedule", JSONB, Computed("spec -> 'schedule'", persisted=True)),
    Column("subject", Text, Computed("spec ->> 'subject'", persisted=True)),
    # What a search for part of a word looks through, beside the addresses of its list. It changes as the spec does.
    Column("searched", Text, Computed(_SEARCHED, persisted=True)),
    _one_of("status", TaskStatus),
    CheckConstraint("executions <= max_executions", name="executions_within_limit"),
    # Nothing that changes with each execution (status, executions, last_execution_at, updated_at) is in an index: one
    # changed value has all of a row's index entries written anew.
    Index(None, "shard", postgresql_where=text("retired_at IS NULL")),
    Index(None, "created_at", "code"),
    Index(None, "channel", "created_at", "code"),
    Index(None, "execution_type", "created_at", "code"),
    Index(None, "name", "code"),
    Index(None, "app"),
    Index(None, "owner"),
    Index(None, "config"),
    Index(None, "list_id"),
    # Without a list of what is new: it would be read from end to end by each search.
    Index(
        None,
        "searched",
        postgresql_using="gin",
        postgresql_ops={"searched": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
    ),
    comment="One push task; spec is the contract as JSON",
)
recipient_list = Sequence("push_recipient_list", metadata=metadata)
"""Numbers the lists of recipients."""

push_recipient = Table(
    "push_recipient",
    metadata,
    Column("list_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("address", Text, nullable=False),
    Column("variables", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Index(None, "address", "list_id"),
    comment="One recipient of a list, which never changes",
)

push_list = Table(
    "push_list",
    metadata,
    Column("list_id", BigInteger, primary_key=True, autoincrement=False),
    # Not in the task's row, which changes with each execution: when its page is full that moves to another one, and has
    # all that it is searched by worked out anew. Of a million addresses that took two seconds.
    Column("addresses", Text, nullable=False, comment="Of its recipients, a line each"),
    comment="What a search for part of a word looks through of the recipients that a push task has",
)
# Of all addresses of a list at once, which are a few thousand trigrams however many they are: with an index of each by
# itself, a million recipients took most of a minute.
Index(
    "push_list_addresses_ix",
    func.lower(push_list.c.addresses).label("addresses"),
    postgresql_using="gin",
    postgresql_ops={"addresses": "gin_trgm_ops"},
    postgresql_with={"fastupdate": "off"},
)

push_list_left = Table(
    "push_list_left",
    metadata,
    Column("list_id", BigInteger, primary_key=True, autoincrement=False),
    comment="Lists that no push task has any more, and whose recipients are still there",
)

push_shard = Table(
    "push_shard",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("built_revision", BigInteger, nullable=False, server_default="0"),
    comment="Newest revision of each DAG file's tasks, and the one that the DAG processor last built",
)

push_snapshot = Table(
    "push_snapshot",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the rest"),
    Column("task", JSONB, nullable=False, comment="Without its recipients"),
    Column("templates", JSONB, nullable=False, comment="The sources, by name"),
    UniqueConstraint("digest"),
    comment="What executions were planned with, once, however many have it",
)

push_execution = Table(
    "push_execution",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("task_code", ForeignKey("push_task.code", ondelete="CASCADE"), nullable=False),
    Column(
        "number",
        Integer,
        comment="The how-manieth of its task, from 1; null if its run was refused, and does not count",
    ),
    Column("run_id", Text, comment="The DAG run; null until one exists"),
    Column("source", String(16), nullable=False),
    Column("triggered_by", Text),
    Column("idempotency_key", Text),
    Column("token", UUID(as_uuid=False), nullable=False, server_default=text("gen_random_uuid()")),
    Column("snapshot_id", ForeignKey("push_snapshot.id"), nullable=False),
    Column("variables", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="The trigger's"),
    # Not in ``error``: a try that fails for a reason of its own writes over that.
    Column("unreadable", Text, comment="Why its templates could not be read; null: they are"),
    Column("run_after", DateTime(timezone=True), comment="As its DAG run has it"),
    Column("on_unknown", String(8), comment="What was decided for it; null: as the task has it"),
    Column("list_id", BigInteger, comment="Whose recipients are to become its deliveries; null: they have"),
    Column("state", String(16), nullable=False, server_default=ExecutionState.PLANNED.value),
    Column("error", Text),
    Column("total", Integer, nullable=False, server_default="0"),
    Column("sent", Integer, nullable=False, server_default="0"),
    Column("delivered", Integer, nullable=False, server_default="0", comment="Of those sent"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("unknown", Integer, nullable=False, server_default="0"),
    Column("cancelled", Integer, nullable=False, server_default="0"),
    Column(
        "first_delivery",
        BigInteger,
        comment="No delivery of it has a smaller id; null: there is none, or nobody noted it",
    ),
    Column("last_delivery", BigInteger, comment="Nor has one a larger id"),
    Column("scheduled_for", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    _one_of("state", ExecutionState),
    UniqueConstraint("task_code", "number"),
    UniqueConstraint("task_code", "run_id"),
    UniqueConstraint("task_code", "idempotency_key"),
    Index(None, "snapshot_id"),
    Index(None, "list_id", postgresql_where=text("list_id IS NOT NULL")),
    Index(None, "task_code", "finished_at"),  # which are under way, among a hundred thousand that are not
    Index(None, "created_at", "id"),
    Index(None, "task_code", "created_at", "id"),
    Index(None, "state", "created_at", "id"),
    Index(None, "source", "created_at", "id"),
    # For what few executions of a task are, and many of others, or the other way round.
    Index(None, "task_code", "state", "created_at", "id"),
    Index(None, "task_code", "source", "created_at", "id"),
    # The few that are under way, newest first: of all others no delivery is pending, or being sent.
    Index("push_execution_open_ix", "created_at", "id", postgresql_where=text("finished_at IS NULL")),
    # The few that wait for a DAG run.
    Index(None, "id", postgresql_where=text("run_id IS NULL AND finished_at IS NULL")),
    # Those in which somebody may not have got the message: a few of a hundred thousand.
    Index(
        "push_execution_noteworthy_ix",
        "task_code",
        "id",
        postgresql_where=text("finished_at IS NULL OR failed > 0 OR unknown > 0 OR cancelled > 0"),
    ),
    # Which have deliveries in a partition. Those of which nobody has noted where, may have some in each: as the range
    # without ends says.
    Index(
        "push_execution_deliveries_ix",
        text("int8range(first_delivery, last_delivery, '[]'::text)"),
        postgresql_using="gist",
        postgresql_where=text("total > 0"),
    ),
    comment="One run of a push task",
)

# Written as PostgreSQL shows it, so that alembic finds it unchanged.
_NOTABLE = (
    "CASE WHEN state::text = ANY (ARRAY['delivered'::text, 'failed'::text, 'unknown'::text, 'cancelled'::text]) "
    "THEN state ELSE NULL::character varying END"
)

PARTITION_IDS = 10**9
"""Ids that a partition of ``push_delivery`` has room for: it is closed long before (``partitions``)."""

# No identity: a partitioned table has one only since PostgreSQL 17.
_DELIVERY_IDS = Sequence("push_delivery_id_seq", metadata=metadata)

push_delivery = Table(
    "push_delivery",
    metadata,
    Column("id", BigInteger, _DELIVERY_IDS, server_default=_DELIVERY_IDS.next_value(), primary_key=True),
    # No foreign key: an execution goes at once, and its deliveries, which may be a million, in portions (``dropping``).
    Column("execution_id", BigInteger, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("variables", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("state", String(16), nullable=False, server_default=DeliveryState.PENDING.value),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("provider_id", Text),
    Column("error_code", Text),
    Column("error_text", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("tried_at", DateTime(timezone=True), comment="When it was last claimed to be sent"),
    Column("sent_at", DateTime(timezone=True)),
    Column("received_at", DateTime(timezone=True), comment="When it arrived, as the provider says"),
    Column("receipt_due", DateTime(timezone=True), comment="When its receipt is asked for next; null: no more"),
    Column("receipt_checks", SmallInteger, nullable=False, server_default="0"),
    Column(
        "config",
        Text,
        comment="Whom to ask for its receipt, if the task names no configuration: what it was sent through",
    ),
    # The state, if it is one of those that few deliveries have.
    Column("notable", String(16), Computed(_NOTABLE, persisted=True)),
    _one_of("state", DeliveryState),
    # State is in no index on purpose: a delivery changes state three times, and with room left in its
    # page (fillfactor) PostgreSQL then rewrites the row in place and touches no index (HOT). ``notable`` may be in
    # one: on the way from pending to sent it stays null, and only a value that changes costs index entries.
    Index(None, "execution_id", "id"),
    Index(None, "recipient", "id"),
    Index(None, "notable", "execution_id", "id", postgresql_where=text("notable IS NOT NULL")),
    # Only deliveries of channels that have receipts are in it, and those only while they wait for one.
    Index(None, "receipt_due", postgresql_where=text("receipt_due IS NOT NULL")),
    comment="One recipient of one execution",
    # Each partition has a fillfactor of its own, of 60.
    postgresql_partition_by="RANGE (id)",
)

push_lease = Table(
    "push_lease",
    metadata,
    Column("execution_id", ForeignKey("push_execution.id", ondelete="CASCADE"), primary_key=True),
    Column("holder", UUID(as_uuid=False), nullable=False),
    Column("process", Text, nullable=False, comment="Its number and machine, for people"),
    Column("until", DateTime(timezone=True), nullable=False),
    # A row for each execution that is being sent, written anew every second: it stays in its page.
    comment="Which process sends an execution, and until when it may without a word",
    postgresql_with={"fillfactor": 50},
)

push_dropped = Table(
    "push_dropped",
    metadata,
    Column("execution_id", BigInteger, primary_key=True, autoincrement=False),
    Column("deliveries", Integer, nullable=False, comment="How many it had"),
    Column("after_id", BigInteger, nullable=False, server_default="0", comment="Those up to this id are gone"),
    Column("first_delivery", BigInteger, comment="As of push_execution"),
    Column("last_delivery", BigInteger, comment="As of push_execution"),
    Column(
        "due",
        DateTime(timezone=True),
        nullable=False,
        server_default=_NOW,
        comment="When its deliveries are deleted, unless their partition has been dropped before",
    ),
    Index(None, "due", "execution_id"),
    comment="Executions that are gone, and whose deliveries are not yet",
)

push_address = Table(
    "push_address",
    metadata,
    Column("address", Text, primary_key=True),
    comment="Each address of deliveries once, so that they are found by part of one",
)
# With a list of what is new, which each search reads from end to end: without it a new address took half a millisecond.
Index(
    "push_address_part_ix",
    func.lower(push_address.c.address).label("part"),
    postgresql_using="gin",
    postgresql_ops={"part": "gin_trgm_ops"},
)

push_suppression = Table(
    "push_suppression",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("channel", String(16), nullable=False),
    Column("address", Text, nullable=False),
    Column("code", Text, nullable=False, comment="What the provider said when it was tried last"),
    Column("reason", Text),
    Column("task_code", String(64), nullable=False, comment="The push task that found out"),
    Column("suppressed_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    UniqueConstraint("channel", "address"),
    Index(None, "suppressed_at", "id"),
    Index(None, "channel", "suppressed_at", "id"),
    Index(None, "task_code", "suppressed_at", "id"),
    comment="Addresses that are gone, as a provider has said: they get nothing more",
)

push_upkeep = Table(
    "push_upkeep",
    metadata,
    Column("what", String(16), primary_key=True),
    Column("position", BigInteger, nullable=False, server_default="0"),
    Column("since", DateTime(timezone=True), comment="When it came there, where that counts"),
    comment="How far upkeep has got with what it goes through once",
)

push_default = Table(
    "push_default",
    metadata,
    Column("channel", String(16), primary_key=True),
    Column("config", Text, nullable=False, comment="Connection id"),
    Column("stored", Boolean, nullable=False, comment="Airflow's database has it, and its mark decides"),
    comment="The sender configuration of tasks that name none, where one is marked as the default",
)

push_message = Table(
    "push_message",
    metadata,
    Column("key", UUID, primary_key=True),
    Column("taken_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Index(None, "taken_at"),
    comment="Every message that became deliveries or a task, so that the second time it comes changes nothing",
)

push_rejected = Table(
    "push_rejected",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("position", UUID, nullable=False, comment="Where it stands in its topic, and what stands there"),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("element", Integer, comment="Which of an array, from 0; null for a message that is none"),
    Column("sent_at", DateTime(timezone=True), comment="Its time, if the broker knows it"),
    Column("task_code", Text, comment="The push task it speaks of, if it can be told"),
    Column("value", LargeBinary, comment="Whole; null for a tombstone"),
    Column("reason", Text, nullable=False),
    Column("rejected_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("replayed_at", DateTime(timezone=True), comment="When a replay took it after all"),
    Column("forward_to", Text, comment="The dead-letter topic, if one was set"),
    Column("forwarded_at", DateTime(timezone=True)),
    UniqueConstraint("position"),
    Index(None, "rejected_at", "id"),
    Index(None, "task_code", "rejected_at", "id"),
    Index("push_rejected_left_ix", "rejected_at", "id", postgresql_where=text("replayed_at IS NULL")),
    Index("push_rejected_replayed_ix", "rejected_at", "id", postgresql_where=text("replayed_at IS NOT NULL")),
    Index(None, "forward_to", "id", postgresql_where=text("forward_to IS NOT NULL AND forwarded_at IS NULL")),
    comment="Messages that could not become an execution or a task, with the reason",
)

ANSWER_TASK = "COALESCE(answer ->> 'task'::text, answer ->> 'code'::text)"
"""The push task that an answer speaks of: of one that was begun, or of one that was created."""

push_answer = Table(
    "push_answer",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("call", Text, primary_key=True, comment="What was called: method and path"),
    Column("key", Text, primary_key=True, comment="The caller's Idempotency-Key"),
    Column("fingerprint", String(64), nullable=False, comment="SHA-256 of what was asked"),
    Column("answer", JSONB, comment="What was answered; null only within the transaction that finds it"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Index(None, "created_at"),
    Index("push_answer_task_ix", text(ANSWER_TASK)),
    comment="Answers of the REST API that a repeated Idempotency-Key gives again",
)

push_allowance = Table(
    "push_allowance",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("tokens", Double, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    comment="How many requests each caller may still make: a token bucket, shared by all API servers",
    prefixes=["UNLOGGED"],  # worth nothing after a crash, and written often
)
