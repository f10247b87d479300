"""What a message says: every form, every fault, and that nothing it holds raises an error."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_provider.channels.reading import parse
from push_provider.kafka import messages
from push_provider.kafka.reader import Record
from push_provider.ledger.orders import Define, Order, Refused, Start

TASK = {
    "code": "new",
    "name": "New",
    "channel": "email",
    "subject": "Hello",
    "content": "Good day",
    "recipients": ["a@example.com"],
}


def read(value: Any, **place: Any) -> list[Order]:
    raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return messages.read(
        **{"topic": "t", "partition": 0, "offset": 7, "timestamp": 1_700_000_000_000, **place}, value=raw
    )


def one(value: Any, **place: Any) -> Order:
    (order,) = read(value, **place)
    return order


def refusal(value: Any) -> str:
    order = one(value)
    assert isinstance(order, Refused)
    return order.reason


def test_a_start() -> None:
    order = one({"task": "report", "recipients": ["a@example.com"], "variables": {"n": 1}})
    assert isinstance(order, Start)
    assert order.code == "report"
    assert order.said == {"recipients": ["a@example.com"], "variables": {"n": 1}}
    assert order.message.sent_at is not None
    assert order.message.sent_at.isoformat() == "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize("value", [{"task": "report"}, {"task": "report", "recipients": None, "variables": None}])
def test_what_is_left_out_is_the_task_s(value: Any) -> None:
    order = one(value)
    assert isinstance(order, Start)
    assert order.said == {}


def test_numbers_are_read_and_kept_as_they_were_written() -> None:
    # An element is kept by itself, to be replayed: neither 12.50 nor 1E400 may become another number by that.
    start, refused = read(b'[{"task": "a", "variables": {"price": 12.50}}, {"tusk": 1E400, "n": 0.10}]')
    assert isinstance(start, Start)
    assert isinstance(refused, Refused)
    assert str(start.said["variables"]["price"]) == "12.50"
    assert [start.message.value, refused.message.value] == [
        b'{"task":"a","variables":{"price":12.50}}',
        b'{"tusk":1E400,"n":0.10}',
    ]


def test_a_define() -> None:
    order = one({"define": TASK})
    assert isinstance(order, Define)
    assert (order.code, order.task.subject) == ("new", "Hello")


def test_many_faults_are_told_in_short() -> None:
    unknown = {f"f{number}": 1 for number in range(5000)}
    for value, first in (({"task": "a", **unknown}, "f0: "), ({"define": {**TASK, **unknown}}, "define.f0: ")):
        reason = refusal(value)
        assert reason.startswith(first)
        assert reason.endswith("; and 4980 more")
        assert len(reason) < 4000
    assert refusal({**unknown, "task": 7}).startswith("task: must be the code")


def test_an_array_is_many_of_both_and_each_fault_is_its_own() -> None:
    start, define, bad, number = read([{"task": "a"}, {"define": TASK}, {"tusk": "b"}, 3])
    assert isinstance(start, Start)
    assert isinstance(define, Define)
    assert isinstance(bad, Refused)
    assert isinstance(number, Refused)
    assert [order.message.element for order in (start, define, bad, number)] == [0, 1, 2, 3]
    assert bad.message.value == b'{"tusk":"b"}'
    assert len({order.message.position for order in (start, define, bad, number)}) == 4


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "no value (a tombstone)"),
        (b"", "not JSON: Expecting value, line 1 column 1"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8, at byte 0"),
        (b'{"task": "a", "task": "b"}', "the key 'task' stands twice"),
        (b'{"task": "a", "variables": {"n": NaN}}', "NaN"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "digits"),
        (b"x" * (messages.SIZE_LIMIT + 1), "at most 5242880 are read"),
        ([], "empty array"),
        ([[{"task": "a"}]], "must be an object"),
        ("text", "must be an object"),
        (17, "must be an object"),
        ({}, "task: is required"),
        ({"task": None}, "task: must be the code"),
        ({"task": "Not A Code"}, "task: must be the code"),
        ({"task": "a\n"}, "task: must be the code"),
        ({"task": "a", "recipient": ["x"]}, "recipient: is not a field here; did you mean 'recipients'?"),
        ({"tsk": "a"}, "did you mean 'task'?"),
        ({"task": "a", "id": ""}, "id: must be text of 1 to 200"),
        ({"task": "a", "id": True}, "id: must be text"),
        ({"task": "a", "id": 1.5}, "id: must be text"),
        ({"task": "a", "id": "x" * 201}, "id: must be text"),
        (b'{"task": "a", "id": "\\ud800"}', "id: must be text"),
        ({"define": TASK, "task": "a"}, "task: cannot stand beside define"),
        ({"define": None}, "define.(document): must be a mapping"),
        ({"define": {**TASK, "subject": 1}}, "define.subject: must be text"),
        ({"define": {**TASK, "recipients": ["nobody"]}}, "define.recipients[0].to: 'nobody' is not a mail address"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(value: Any, says: str) -> None:
    assert says in refusal(value)


@pytest.mark.parametrize(
    ("value", "code"),
    [({"task": "a", "x": 1}, "a"), ({"define": {"code": "c"}}, "c"), ({"task": 3}, None), ([1], None)],
)
def test_a_refusal_says_which_task_it_speaks_of(value: Any, code: str | None) -> None:
    order = one(value)
    assert isinstance(order, Refused)
    assert order.code == code


def test_an_element_nested_as_deeply_as_can_just_be_read_raises_nothing() -> None:
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 10):
        orders = read(b'[{"task": "a"}, ' + b"[" * depth + b"]" * depth + b"]")
        assert isinstance(orders[-1], Refused)


def test_a_message_that_nobody_thought_of_is_refused_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def parse_all_but_one(document: Any) -> Any:
        if document["code"] == "odd":
            raise KeyError("unheard of")
        return parse(document)

    monkeypatch.setattr(messages, "parse", parse_all_but_one)
    odd = {"define": {**TASK, "code": "odd"}}
    orders = read([{"task": "a"}, odd, {"define": TASK}, odd])
    assert [type(order) for order in orders] == [Start, Refused, Define, Refused]
    assert isinstance(orders[1], Refused)
    assert orders[1].reason.endswith(": KeyError: 'unheard of'")
    assert caplog.text.count("Traceback") == 1


def test_a_byte_order_mark_does_no_harm() -> None:
    assert isinstance(one(b'\xef\xbb\xbf{"task": "a"}'), Start)


def keys(value: Any, **place: Any) -> set[Any]:
    return {order.key for order in read(value, **place) if not isinstance(order, Refused)}


@pytest.mark.parametrize(
    "place", [{"topic": "u"}, {"partition": 1}, {"offset": 8}, {"timestamp": 5}, {"timestamp": None}]
)
def test_a_message_is_known_by_its_place(place: Any) -> None:
    assert keys({"task": "a"}) == keys({"task": "a"})
    assert keys({"task": "a"}) != keys({"task": "a"}, **place)


def test_a_topic_that_was_made_anew_brings_new_messages() -> None:
    assert keys({"task": "a", "variables": {"n": 1}}) != keys({"task": "a", "variables": {"n": 2}})


def test_an_id_is_known_wherever_it_stands_but_in_its_task_alone() -> None:
    assert keys({"task": "a", "id": "x"}) == keys({"task": "a", "id": "x", "variables": {"n": 1}}, offset=99)
    assert keys({"task": "a", "id": 7}) == keys({"task": "a", "id": "7"}, topic="other")
    assert keys({"task": "a", "id": "x"}) != keys({"task": "b", "id": "x"})
    # The two parts cannot run into each other.
    assert keys({"task": "a", "id": "b\nc"}) != keys({"task": "a", "id": "b"})


def test_a_rejected_message_is_read_again_as_the_same() -> None:
    for order in read([{"task": "a"}, {"define": TASK}, 3]) + read({"task": "a"}) + read(None) + read(b"{"):
        assert messages.orders(order.message) == [order]


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ([40] * 2500, [1000, 1000, 500]),  # small ones: so many orders as one portion may have
        ([1 << 20] * 5, [2, 2, 1]),
        ([2000] * 2500, [1000, 1000, 500]),  # just below
        ([3 << 20, 40, 40, 5 << 20, 40], [1, 3, 1]),  # none is divided
        ([None, 40], [2]),
        ([], []),
    ],
)
def test_a_portion_ends_with_so_many_orders_or_bytes(sizes: list[int | None], counts: list[int]) -> None:
    values = [None if size is None else b'{"task": "a"}'.ljust(size) for size in sizes]
    records = [Record("t", 0, offset, 1, value) for offset, value in enumerate(values)]
    portions = list(messages.portions(records, 1000))
    assert [(count, len(orders)) for count, orders in portions] == [(count, count) for count in counts]
    assert [order.message.offset for _, orders in portions for order in orders] == list(range(len(sizes)))


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
forms = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("task", "define", "recipients", "variables", "id", "code", "schedule"), documents),
)


@given(documents | forms | st.lists(forms, max_size=3))
def test_no_document_raises(document: Any) -> None:
    raw = json.dumps(document).encode()
    found = messages.read("t", 0, 0, raw, timestamp=None)
    assert found
    for order in found:
        assert messages.orders(order.message) == [order]


@given(st.binary(max_size=200), st.integers(-(2**63), 2**63 - 1) | st.none())
def test_no_bytes_raise(raw: bytes, timestamp: int | None) -> None:
    assert messages.read("t", 0, 0, raw, timestamp=timestamp)
