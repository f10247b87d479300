"""Deliveries by part of an address: those that upkeep has been through, and those that it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import LOOP, Desk
from sqlalchemy import text

from push_provider.channels.base import Result
from push_provider.exceptions import InvalidTask
from push_provider.ledger import deliveries, dropping, known_addresses, tasks

if TYPE_CHECKING:
    from sqlalchemy import Engine

PEOPLE = ["Li.Lei@shop.example", "lilei@corp.example", "han_meimei@corp.example", "jim%green@shop.example"]


@pytest.fixture
def desk(ledger: Engine) -> Desk:
    """In a ledger of its own: whoever is in another one would be found."""
    desk = Desk(ledger)
    desk.apply(recipients=PEOPLE, execution=LOOP)
    return desk


def age(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE push_delivery SET created_at = created_at - interval '11 minutes'"))


def note(engine: Engine, limit: int = 100) -> list[int]:
    """How many each portion has gone through."""
    done = []
    while count := known_addresses.note(engine, limit):
        done.append(count)
    return done


def known(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(text("SELECT address FROM push_address")))


def search(desk: Desk, part: str, **filters: Any) -> list[str]:
    """The addresses of deliveries, newest first, as the list, the count and the stream all have them."""
    rows = deliveries.find(desk.engine, search=part, **filters)
    assert deliveries.count(desk.engine, cap=100, search=part, **filters) == len(rows)
    with deliveries.Stream(desk.engine, search=part, **filters) as stream:
        assert [row for some in stream for row in some] == rows
    assert [row.id for row in rows] == sorted((row.id for row in rows), reverse=True)
    return [row.recipient for row in rows]


@pytest.mark.parametrize("gone_through", [False, True])
@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("lei@", [1, 0]),
        ("LEI@SHOP", [0]),
        ("corp.example", [2, 1]),
        ("n_m", [2]),
        ("i.l", [0]),
        ("m%g", [3]),
        ("%lei%", []),
        ("nobody", []),
    ],
)
def test_what_a_part_finds(desk: Desk, part: str, found: list[int], gone_through: bool) -> None:
    desk.plan()
    if gone_through:
        age(desk.engine)
        assert note(desk.engine) == [4]
        assert known(desk.engine) == set(PEOPLE)
    assert search(desk, part) == [PEOPLE[place] for place in found]


def test_what_is_new_is_found_with_what_is_old(desk: Desk) -> None:
    first = desk.plan()
    age(desk.engine)
    note(desk.engine)
    second = desk.plan()
    assert note(desk.engine) == []  # it may be about to be planned
    assert search(desk, "meimei") == ["han_meimei@corp.example"] * 2
    assert search(desk, "meimei", execution=first.id) == ["han_meimei@corp.example"]
    assert search(desk, "meimei", execution=second.id) == ["han_meimei@corp.example"]
    desk.run(second, Result.SENT, Result.SENT, Result.FAILED, Result.SENT)
    assert search(desk, "meimei", state="failed") == ["han_meimei@corp.example"]
    assert search(desk, "meimei", codes={"another"}) == []
    assert search(desk, "meimei", codes={desk.code}, task=desk.code) == ["han_meimei@corp.example"] * 2


def test_portions(desk: Desk) -> None:
    for _ in range(3):
        desk.plan()
    age(desk.engine)
    assert note(desk.engine, 5) == [5, 5, 2]
    assert known(desk.engine) == set(PEOPLE)


def test_two_at_once_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.plan()
    age(desk.engine)
    known_addresses.note(desk.engine, 1)
    with desk.engine.begin() as other:
        other.execute(text("SELECT FROM push_upkeep FOR UPDATE"))
        assert known_addresses.note(desk.engine, 10) == 0
    assert known_addresses.note(desk.engine, 10) == 3


def test_nobody_stays_known_of_whom_no_delivery_is_left(desk: Desk) -> None:
    desk.run(desk.plan(), *[Result.SENT] * 4)
    other = Desk(desk.engine)
    other.apply(recipients=PEOPLE[:1])
    other.plan()
    age(desk.engine)
    note(desk.engine)
    tasks.delete(desk.engine, desk.code, purge=True)
    while dropping.clear(desk.engine, 3):
        pass
    assert known(desk.engine) == set(PEOPLE[:1])
    assert search(desk, "lei@") == PEOPLE[:1]


def test_a_part_of_too_many_is_refused(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO push_address SELECT n || '@many.example' FROM generate_series(1, 1001) AS n")
        )
    with pytest.raises(InvalidTask, match="search: is part of more than 1000 addresses"):
        deliveries.find(desk.engine, search="@many")
    assert search(desk, "777@many") == []


def test_a_page_of_a_stream_goes_on_where_the_last_one_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        desk.plan()
    age(desk.engine)
    note(desk.engine, 7)
    monkeypatch.setattr(deliveries, "_BATCH", 2)
    assert search(desk, "example") == PEOPLE[::-1] * 3


def test_many_addresses_and_few_are_found_alike(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        desk.plan()
    age(desk.engine)
    note(desk.engine, 6)
    found = search(desk, "example")
    monkeypatch.setattr(deliveries, "_APART", 1)
    assert search(desk, "example") == found == PEOPLE[::-1] * 2
