"""The list of well-known services: what it holds, and how a service is found in it."""

from __future__ import annotations

import dataclasses

import pytest

from push_provider.channels.email.services import (
    Service,
    find_service,
    service_for_address,
    service_names,
    similar_services,
)


def test_the_whole_list_is_there_in_its_order() -> None:
    names = service_names()

    assert len(names) == 47
    assert len({name.casefold() for name in names}) == 47
    assert names[:4] == ["1und1", "AOL", "DebugMail", "DynectEmail"]
    assert names[-6:] == [
        "One",
        "DREAMHOST-SUB-0",
        "DREAMHOST-SUB-3",
        "DREAMHOST-SUB-4",
        "DREAMHOST-SUB-5",
        "DREAMHOST-MASTER",
    ]


def test_no_name_leads_to_two_services() -> None:
    owners: dict[str, set[str]] = {}
    for name in service_names():
        service = find_service(name)
        assert service is not None
        assert service.name == name
        for other in (service.name, *service.aliases, *service.domains):
            owners.setdefault(other.replace(" ", "").lower(), set()).add(name)

    assert {name: owner for name, owner in owners.items() if len(owner) > 1} == {}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("gmail", "Gmail"),
        ("Google Mail", "Gmail"),
        ("GOOGLEMAIL", "Gmail"),
        ("googlemail.com", "Gmail"),
        (" qq enterprise ", "QQex"),
        ("q q", "QQ"),
        ("\tQQ\u3000", "QQ"),  # a space as a Chinese keyboard makes it
        ("exmail.qq.com", "QQex"),
        ("Outlook", "Hotmail"),
        ("outlook.com", "Hotmail"),
        ("me", "iCloud"),
        ("OMB", "OpenMailBox"),
        ("163", "163"),
        ("Qiye.Aliyun", "qiye.aliyun"),
        ("dreamhost-sub-3", "DREAMHOST-SUB-3"),
    ],
)
def test_a_service_is_found_by_key_alias_and_domain(name: str, key: str) -> None:
    service = find_service(name)

    assert service is not None
    assert service.name == key


@pytest.mark.parametrize("name", ["", " ", "nonesuch", "qq.co", "gmail.com.example.org", "me@qq.com", "[object]"])
def test_what_is_no_name_finds_nothing(name: str) -> None:
    assert find_service(name) is None


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("me@qq.com", "QQ"),
        ("Me@QQ.COM ", "QQ"),
        ('"a@b"@gmail.com', "Gmail"),
        ("me@exmail.qq.com", "QQex"),
        ("me@mail.ru", "Mail.ru"),  # the key is the domain
        ("me@hot.ee", "hot.ee"),
        ("me@sub.qq.com", None),
        ("me@shop.example", None),
        ("me@me", None),  # "Me" is an alias, not a domain
        ("qq.com", None),
        ("@qq.com", None),
        ("me@", None),
        ("", None),
    ],
)
def test_an_address_has_the_service_of_its_domain(address: str, key: str | None) -> None:
    service = service_for_address(address)

    assert (service and service.name) == key


def test_a_port_given_as_text_is_a_number() -> None:
    service = find_service("qiye.aliyun")

    assert service is not None
    assert service.port == 465


def test_what_an_entry_does_not_say_is_none() -> None:
    hot, maildev, hotmail = find_service("hot.ee"), find_service("Maildev"), find_service("Hotmail")

    assert hot == Service(name="hot.ee", host="mail.hot.ee")
    assert maildev == Service(name="Maildev", port=1025, ignore_tls=True)
    assert hotmail is not None
    assert (hotmail.secure, hotmail.ciphers) == (None, "SSLv3")


def test_a_service_cannot_be_changed() -> None:
    service = find_service("QQ")

    with pytest.raises(dataclasses.FrozenInstanceError):
        service.port = 25  # type: ignore[misc, union-attr]


@pytest.mark.parametrize(
    ("text", "best"),
    [("gmial", "Gmail"), ("outlok", "Hotmail"), ("163.com", "163"), ("SES-EU-WEST-2", "SES-EU-WEST-1")],
)
def test_somebody_who_mistypes_is_helped(text: str, best: str) -> None:
    assert best in similar_services(text)
    assert len(similar_services(text)) <= 3


def test_what_resembles_nothing_gets_no_help() -> None:
    assert similar_services("完全不同") == []
