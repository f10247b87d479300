"""The folder of received mails."""

from __future__ import annotations

import os

import pytest

from push_provider.exceptions import ConfigurationError
from sandbox.mailbox import Mailbox


def _add(mailbox, subject="x", to=("ann@example.com",), sender="push@example.com"):
    return mailbox.add(f"Subject: {subject}\r\n\r\n".encode(), mail_from=sender, rcpt_to=to)


@pytest.fixture
def mailbox(tmp_path):
    with Mailbox(tmp_path / "mails", keep=100) as opened:
        yield opened


@pytest.mark.parametrize(
    ("filters", "subjects"),
    [
        ({}, ["Zwei", "你好", "One"]),
        ({"to": "ANN"}, ["你好", "One"]),
        ({"subject": "one"}, ["One"]),
        ({"to": "ann", "subject": "你"}, ["你好"]),
        ({"text": "example.org"}, ["Zwei"]),
        ({"text": "zw"}, ["Zwei"]),
        ({"text": "shop@"}, ["One"]),
        ({"text": "nobody"}, []),
    ],
)
def test_find(mailbox, filters, subjects):
    _add(mailbox, "One", sender="shop@example.com")
    _add(mailbox, "你好", to=("bob@example.com", "Ann@example.com"))
    _add(mailbox, "Zwei", to=("carl@example.org",))
    found, total = mailbox.find(**filters)
    assert [mail.subject for mail in found] == subjects
    assert total == len(subjects)


def test_find_pages(mailbox):
    for number in range(10):
        _add(mailbox, str(number))
    found, total = mailbox.find(limit=3, offset=4)
    assert ([mail.subject for mail in found], total) == (["5", "4", "3"], 10)


def test_the_version_changes_with_every_change(mailbox):
    versions = [mailbox.version]
    _add(mailbox)
    versions.append(mailbox.version)
    mailbox.clear()
    versions.append(mailbox.version)
    assert len(set(versions)) == 3


def test_the_index_does_not_grow_without_end(tmp_path):
    with Mailbox(tmp_path, keep=10) as mailbox:
        for number in range(2500):
            _add(mailbox, str(number))
        assert len((tmp_path / "index.jsonl").read_text().splitlines()) < 1100
    assert len(list(tmp_path.glob("*.eml"))) == 10


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda index: index.unlink(), id="gone"),
        pytest.param(lambda index: os.truncate(index, index.stat().st_size - 20), id="last line cut off"),
        pytest.param(lambda index: index.write_bytes(b"\xff\0[]\n{}\n1\n"), id="not an index"),
    ],
)
def test_a_damaged_index_loses_no_mail(tmp_path, damage):
    with Mailbox(tmp_path) as mailbox:
        for number in range(3):
            mailbox.add(
                b"From: Push <push@example.com>\r\nTo: Ann <ann@example.com>\r\nSubject: %d\r\n\r\n" % number,
                mail_from="push@example.com",
                rcpt_to=["ann@example.com"],
            )
    damage(tmp_path / "index.jsonl")
    with Mailbox(tmp_path) as mailbox:
        mails, total = mailbox.find()
        assert total == 3
        assert {mail.subject for mail in mails} == {"0", "1", "2"}
        assert {(mail.mail_from, mail.rcpt_to) for mail in mails} == {("push@example.com", ("ann@example.com",))}
        assert _add(mailbox).id not in {mail.id for mail in mails}


def test_half_a_mail_of_a_killed_process_is_removed(tmp_path):
    (tmp_path / "20260101T000000-000001.part").write_bytes(b"Subj")
    with Mailbox(tmp_path) as mailbox:
        assert len(mailbox) == 0
    assert not list(tmp_path.glob("*.part"))


def test_deleted_mails_stay_deleted(tmp_path):
    with Mailbox(tmp_path) as mailbox:
        _add(mailbox)
        _add(mailbox)
        assert mailbox.clear() == 2
        kept = _add(mailbox, "after")
    with Mailbox(tmp_path) as mailbox:
        assert mailbox.find()[0] == [kept]
    assert [path.name for path in tmp_path.glob("*.eml")] == [f"{kept.id}.eml"]


def test_a_folder_is_used_by_one_at_a_time(tmp_path):
    with Mailbox(tmp_path), pytest.raises(ConfigurationError, match="Another sandbox"):
        Mailbox(tmp_path)
    Mailbox(tmp_path).close()
