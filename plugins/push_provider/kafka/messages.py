"""What a message says: from bytes to orders.

A message is JSON in UTF-8: ``{"task": code, "recipients": […], "variables": {…}, "id": …}`` starts an execution,
``{"define": {…}}`` injects a push task, and an array holds many of both. Whatever cannot be used becomes a
:class:`~push_provider.ledger.orders.Refused` with the reason; nothing that a message holds raises an error.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from push_provider import strict_json, written
from push_provider.channels.reading import parse
from push_provider.contract import CODE_PATTERN
from push_provider.exceptions import MOST_ERRORS, FieldError, FieldErrors, InvalidTask
from push_provider.ledger.messages import unforeseen_refusal
from push_provider.ledger.orders import Define, Message, Order, Refused, Start
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from push_provider.kafka.reader import Record

log = logging.getLogger(__name__)

SIZE_LIMIT = 5 * 1024 * 1024
"""Bytes of one message. Kafka's own default is 1 MiB (``message.max.bytes``)."""
ELEMENTS = 10_000
"""Elements of one array. Each costs as much as a message, and two bytes are enough for it."""
_APART = 100
"""Elements of one array that are rejected each by itself; more of them are one rejection, of the message."""
_PORTION_BYTES = 2 * 1024 * 1024
"""Bytes of messages after which a portion ends: each can become some 24 of Python's objects."""
_ID_LIMIT = 200
_START_FIELDS = ("task", "recipients", "variables", "id")
_unforeseen = Unforeseen(log)


def read(topic: str, partition: int, offset: int, value: bytes | None, *, timestamp: int | None = None) -> list[Order]:
    """Read one message of a topic.

    :param value: None for a tombstone.
    :param timestamp: milliseconds since 1970, if the broker knows it.
    :returns: an order for each thing that it asks for; one, unless it is an array.
    """
    # A topic that is made anew begins again at offset 0: what stands there tells the old from the new.
    position = _uuid(f"{topic}\n{partition}\n{offset}\n{timestamp}\n".encode(), b"-" if value is None else value)
    return orders(Message(topic, partition, offset, None, _moment(timestamp), value, position))


def portions(records: Iterable[Record], most: int) -> Iterator[tuple[int, list[Order]]]:
    """What records say, in portions that fit into memory: of how many records, and their orders.

    A record is never divided, as its parts are bounded together.

    :param most: orders after which a portion ends; many bytes end it, too.
    """
    count, size, some = 0, 0, []
    for record in records:
        count += 1
        size += len(record.value or b"")
        some += read(record.topic, record.partition, record.offset, record.value, timestamp=record.timestamp)
        if len(some) >= most or size >= _PORTION_BYTES:
            yield count, some
            count, size, some = 0, 0, []
    if count:
        yield count, some


def orders(message: Message) -> list[Order]:
    """The same of a message, or an element of one, whose place is known."""
    try:
        return _orders(message)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        return [unforeseen_refusal(message, None, error, _unforeseen)]


def _orders(message: Message) -> list[Order]:
    value = message.value
    if value is None:
        return [Refused(message, None, "The message has no value (a tombstone)")]
    if len(value) > SIZE_LIMIT:
        reason = f"The message has {len(value)} bytes; at most {SIZE_LIMIT} are read. Send it in parts"
        return [Refused(message, None, reason)]
    try:
        document = strict_json.loads(value)
    except ValueError as error:
        return [Refused(message, None, f"The message {error}")]
    if not isinstance(document, list) or message.element is not None:
        return [_order(message, document)]
    if not document:
        return [Refused(message, None, "The message is an empty array")]
    if len(document) > ELEMENTS:
        reason = f"The message is an array of {len(document)} elements; at most {ELEMENTS} are read. Send it in parts"
        return [Refused(message, None, reason)]
    found = [_order(_element(message, number, item), item) for number, item in enumerate(document)]
    refused = [order for order in found if isinstance(order, Refused)]
    if len(refused) <= _APART:
        return found
    first = f"the first is {refused[0].message.element}: {refused[0].reason}"
    whole = Refused(message, None, f"{len(refused)} of {len(found)} elements cannot be used; {first}")
    return [whole, *(order for order in found if not isinstance(order, Refused))]


def _element(message: Message, number: int, item: Any) -> Message:
    position = _uuid(message.position.bytes, str(number).encode())
    return message._replace(element=number, value=written.dumps(item).encode(), position=position)


def _order(message: Message, document: Any) -> Order:
    code = document.get("task") if isinstance(document, dict) else None
    try:
        if not isinstance(document, dict):
            raise InvalidTask([FieldError("(message)", f"must be an object, {_FORMS}")])
        if "define" in document:
            return _define(message, document)
        return _start(message, document)
    except InvalidTask as error:
        return Refused(message, code if isinstance(code, str) else None, str(error))
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        return unforeseen_refusal(message, code if isinstance(code, str) else None, error, _unforeseen)


_FORMS = 'like {"task": code, "recipients": […], "variables": {…}} or {"define": {…}}'


def _define(message: Message, document: dict[str, Any]) -> Define | Refused:
    if others := [key for key in document if key != "define"]:
        raise InvalidTask([FieldError(others[0][:60], "cannot stand beside define; send it as a message of its own")])
    try:
        return Define(message, message.position, parse(document["define"]))
    except InvalidTask as error:
        given = document["define"]
        code = given.get("code") if isinstance(given, dict) else None
        return refused_define(message, code if isinstance(code, str) else None, error.errors)


def refused_define(message: Message, code: str | None, faults: Iterable[FieldError]) -> Refused:
    """The rejection of a push task: everything that is wrong with it, each with the way to it in the message."""
    return Refused(message, code, FieldErrors(faults).under("define.").told())


def _start(message: Message, document: dict[str, Any]) -> Start:
    errors = []
    code, name = document.get("task"), document.get("id")
    if "task" not in document:
        errors.append(FieldError("task", f"is required; a message is {_FORMS}"))
    elif not isinstance(code, str) or not re.fullmatch(CODE_PATTERN[1:-1], code):
        errors.append(FieldError("task", "must be the code of a push task"))
    if name is not None and not _is_id(name):
        errors.append(FieldError("id", f"must be text of 1 to {_ID_LIMIT} characters, or a whole number"))
    unknown = [key for key in document if key not in _START_FIELDS]
    errors += [FieldError(key[:60], _unknown(key)) for key in unknown[:MOST_ERRORS]]
    if errors:
        raise InvalidTask(FieldErrors(errors, max(0, len(unknown) - MOST_ERRORS)))
    assert isinstance(code, str)
    key = message.position if name is None else _uuid(f"id\n{code}\n{name}".encode())
    said = {field: document[field] for field in ("recipients", "variables") if document.get(field) is not None}
    return Start(message, key, code, said)


def _is_id(name: Any) -> bool:
    if isinstance(name, bool) or not isinstance(name, str | int):
        return False
    text = str(name)
    return 0 < len(text) <= _ID_LIMIT and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key[:60], [*_START_FIELDS, "define"], n=1)
    return f"is not a field here; {f'did you mean {close[0]!r}?' if close else f'a message is {_FORMS}'}"


def _uuid(*parts: bytes) -> UUID:
    # 128 bits of SHA-256: no two of them meet by accident, and nobody finds two on purpose.
    return UUID(bytes=hashlib.sha256(b"".join(parts)).digest()[:16])


def _moment(timestamp: int | None) -> datetime | None:
    try:
        return None if timestamp is None else datetime.fromtimestamp(timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # a sender may write any number
        return None
