"""Push tasks from files: everything that can be read is read, and every fault is reported with its place."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from push_provider import written
from push_provider.channels.reading import parse_stored
from push_provider.cli import documents
from push_provider.exceptions import InvalidTask
from push_provider.rendering import compile_content

FIELDS = {"name": "N", "channel": "email", "subject": "S", "content": "C", "recipients": ["a@example.com"]}


def one(code: str, **fields: Any) -> str:
    """A task in YAML's flow style."""
    return json.dumps({"code": code, **FIELDS, **fields})


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(content: str | bytes, name: str = "tasks.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def faults(*paths: str) -> list[str]:
    with pytest.raises(InvalidTask) as caught:
        documents.read(paths)
    return [str(error) for error in caught.value.errors]


BLOCK = """\
code: weekly
name: 周报
channel: email
schedule: {kind: daily, time: 09:30}
execution: {type: loop}
subject: Report
content: |
  <p>Hello {{ name }}</p>
recipients:
  - a@example.com
  - {to: b@example.com, variables: {name: Bo}}
"""


@pytest.mark.parametrize(
    ("content", "name", "codes"),
    [
        (one("a"), "t.yaml", ["a"]),
        (one("a"), "t.json", ["a"]),
        (f"{BLOCK}---\n{one('b')}\n---\n", "t.yaml", ["weekly", "b"]),
        (f"---\n---\n{one('b')}\n...\n", "t.yaml", ["b"]),
        (f"- {one('a')}\n- {one('b')}\n---\n{one('c')}\n", "t.yaml", ["a", "b", "c"]),
        (f"[{one('a')}, {one('b')}]", "t.json", ["a", "b"]),
        (f"\ufeff[{one('a')}]", "t.json", ["a"]),
        (f"\ufeff{BLOCK}", "t.yaml", ["weekly"]),
        (f"{{code: a, {json.dumps(FIELDS)[1:]}", "t.yaml", ["a"]),
    ],
)
def test_what_a_file_may_hold(file: Any, content: str, name: str, codes: list[str]) -> None:
    assert [task.code for task in documents.read([file(content, name)])] == codes


def test_what_is_written_is_what_is_read(file: Any) -> None:
    (task,) = documents.read([file(BLOCK)])
    assert (task.name, task.content, task.schedule.kind) == ("周报", "<p>Hello {{ name }}</p>\n", "daily")
    assert [(r.to, r.variables) for r in task.recipients] == [
        ("a@example.com", {}),
        ("b@example.com", {"name": "Bo"}),
    ]


HEAD = "code: t\nname: N\nchannel: email\nsubject: S\ncontent: C\nrecipients: [a@example.com]\n"
HELD = HEAD.replace("C\n", "'{{ time }} {{ room }} {{ country }} {{ price }} {{ n + 1 }} {{ price * 2 }}'\n")


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ("variables: {time: 14:30, room: 0305, country: NO, price: 12.50, n: 3}", "14:30 0305 NO 12.50 4 25.0"),
        ("variables: {time: 2026-07-01, room: 1e3, country: on, price: 0.10, n: -3}", "2026-07-01 1e3 on 0.10 -2 0.2"),
    ],
)
def test_a_message_says_what_the_file_says(file: Any, variables: str, sent: str) -> None:
    (task,) = documents.read([file(HELD + variables)])
    kept = parse_stored(written.loads(written.dumps(task.spec())))
    assert compile_content(kept, {}).render("a@example.com", {}).text == sent


def test_json_in_a_file_says_the_same(file: Any) -> None:
    for name in ("t.json", "t.yaml"):
        (task,) = documents.read([file(one("a", variables={"price": 0})[:-2] + ".50}}", name)])
        assert str(task.variables["price"]) == "0.50"


def test_a_code_of_an_sms_keeps_its_zero(file: Any) -> None:
    sms = "name: N\nchannel: sms\ntemplate_code: SMS_154950909\nvariables: {code: 012345, price: 12.50}\n"
    (task,) = documents.read([file(sms + 'recipients: ["13900030001"]')])
    assert compile_content(task, {}).render("13900030001", {}) == {"code": "012345", "price": "12.50"}


LOOP = "execution: {type: loop}\n"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("schedule: {kind: daily, time: 900}", 'schedule.time: must be a time of day .*"09:00", in quotes'),
        ("schedule: {kind: daily, time: 0700}", 'schedule.time: must be a time of day .*"09:00", in quotes'),
        ("schedule: {kind: hourly, minute: 08}", "schedule.minute: must be a whole number, .*leading zeros"),
        ("schedule: {kind: hourly, minute: 010}", "schedule.minute: must be a whole number, .*leading zeros"),
        ("schedule: {kind: at, at: 2026-07-01}", "schedule.at: must be a moment"),
        ("retry_delay: 1:00", "retry_delay: must be a number of seconds"),
        ("retries: 1_0", "retries: must be a whole number"),
        ("owner: 0123\napp: 123", "app: must be text; put it in quotes"),
        ("schedule:\n  kind: cron\n  cron: */5 * * * *", "line 10; put a text that begins with '[*]' in quotes"),
    ],
)
def test_what_is_no_number_or_no_text_is_refused_with_the_remedy(file: Any, lines: str, says: str) -> None:
    assert any(re.search(says, fault) for fault in faults(file(HEAD + LOOP + lines)))


def test_a_number_without_quotes_is_no_recipient_and_the_remedy_is_named(file: Any) -> None:
    sms = "name: N\nchannel: sms\nrecipients:\n  - 13800138000\n  - {to: 13900139000}\n"
    assert [fault.partition(": ")[2] for fault in faults(file(sms))] == [
        "recipients[0]: must be an address, in quotes if it is a number, or {to, variables}",
        "recipients[1].to: must be text; put it in quotes",
    ]


def test_an_unquoted_moment_is_read(file: Any) -> None:
    (task,) = documents.read([file(HEAD + "schedule: {kind: at, at: 2030-07-01T09:00:00+08:00}")])
    assert task.spec()["schedule"]["at"] == "2030-07-01T09:00:00+08:00"


@pytest.mark.parametrize(
    ("content", "name"),
    [(BLOCK, "周报"), (one("a", name="😀\t"), "😀"), ('{\n\t"code": "a",' + json.dumps(FIELDS)[1:], "N")],
)
def test_stdin(monkeypatch: pytest.MonkeyPatch, content: str, name: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode()), encoding="ascii"))
    (task,) = documents.read(["-"])
    assert task.name == name


def test_faults_of_stdin_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert faults("-") == ["stdin: is not UTF-8"]


@pytest.mark.parametrize("stdin", [True, False])
def test_too_large_is_refused_and_not_cut_off(
    monkeypatch: pytest.MonkeyPatch,
    file: Any,
    stdin: bool,
) -> None:
    content = f"{one('a')}\n---\n{one('b')}\n"
    monkeypatch.setattr(documents, "SIZE_LIMIT", len(one("a")) + 1)  # the cut would lie between two tasks
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    (fault,) = faults("-" if stdin else file(content))
    assert "is larger than" in fault


def test_every_fault_of_every_file_is_reported(file: Any, tmp_path: Path) -> None:
    first = file(f"{one('a', subject='', sender='x')}\n---\n{one('b')}\n", "1.yaml")
    broken = file("code: [a\n", "2.yaml")
    binary = file(b"code: \xff", "3.yaml")
    missing = str(tmp_path / "4.yaml")
    last = file(one("B", recipients=["nobody"]), "5.json")
    found = faults(first, broken, binary, missing, str(tmp_path), last)
    expected = [
        rf"{re.escape(first)}, task 1 \(a\): sender: ",
        rf"{re.escape(broken)}: is not YAML: .*line 2",
        rf"{re.escape(binary)}: is not UTF-8",
        rf"{re.escape(missing)}: cannot be read: No such file",
        rf"{re.escape(str(tmp_path))}: cannot be read: Is a directory",
        rf"{re.escape(last)}: code: takes lower-case",
        rf"{re.escape(last)}: recipients\[0\]\.to: 'nobody' is not a mail address",
    ]
    assert len(found) >= len(expected)
    for pattern in expected:
        assert any(re.match(pattern, fault) for fault in found), (pattern, found)


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("", "t.yaml", "holds no push task"),
        ("# only a comment\n", "t.yaml", "holds no push task"),
        ("---\n---\n", "t.yaml", "holds no push task"),
        ("[]", "t.json", "holds no push task"),
        ("hello", "t.yaml", r"\(document\): "),
        ("null", "t.json", r"\(document\): "),
        ("- 1\n- [2]\n", "t.yaml", r"task 2: \(document\): "),
        ('{"code": }', "t.json", "is not JSON: .*, line 1"),
        ("", "t.json", "is not JSON: .*, line 1"),
        ("a: b: c\n", "t.yaml", "is not YAML: .*, line 1"),
        ("a: \x00", "t.yaml", "cannot be read|is not YAML"),
        ("a: 2026-13-45\n", "t.yaml", "a: is not a field here"),
        ("a: " + "9" * 5000, "t.yaml", "cannot be read: .*digits"),
        ('{"a": ' + "9" * 5000 + "}", "t.json", "cannot be read: .*digits"),
        (
            "x: !!python/object/apply:os.system ['touch PROOF']\n",
            "t.yaml",
            "is not YAML: .*python/object.*, line 1",
        ),
        ("x: !!python/name:os.system\n", "t.yaml", "is not YAML: .*python/name"),
        ("x: !secret a\n", "t.yaml", "is not YAML: .*!secret"),
        ("name: A\nname: B\n", "t.yaml", "the key 'name' stands twice in one mapping, line 2"),
        ('{"name": "A", "x": {"y": 1, "y": 2}}', "t.json", "the key 'y' stands twice"),
        ('{"name": "A", "name": "B"}', "t.yaml", "the key 'name' stands twice"),
        ("? [a, b]\n: 1\n", "t.yaml", "is not YAML: a key must be text"),
    ],
)
def test_what_a_file_may_not_hold(
    file: Any, content: str, name: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = faults(path := file(content, name))
    assert all(fault.startswith(path) for fault in found)
    assert any(re.search(says, fault) for fault in found), found
    assert not (tmp_path / "PROOF").exists()


def bomb() -> str:
    """Nine lines that stand for a billion strings."""
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return one("a")[:-1] + ', "variables": {' + ",\n".join(lines) + "}}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bomb(), r"the alias \*a0 is not followed; write the value out, line 2"),
        ("&a [*a]", r"the alias \*a is not followed"),
        (f"- &t {one('a')}\n- <<: *t\n  code: b\n", r"the alias \*t is not followed.*line 2"),
        ("[" * 200_000, "nested deeper than 100 levels"),
        ("[" * 200_000 + "]" * 200_000, "nested deeper than 100 levels"),
        ("{a: " * 500, "nested deeper than 100 levels"),
        ("- " * 500 + "x", "nested deeper than 100 levels"),
    ],
    ids=["billion laughs", "itself", "merged", "lists", "closed lists", "mappings", "block"],
)
def test_traps_are_refused_at_once(file: Any, content: str, says: str) -> None:
    began = time.process_time()
    (fault,) = faults(file(content))
    assert re.search(says, fault)
    assert time.process_time() - began < 20  # followed, they take for ever


def test_deep_json_is_refused(file: Any) -> None:
    (fault,) = faults(file("[" * 200_000 + "]" * 200_000, "t.json"))
    assert "is nested too deeply" in fault


def test_a_code_that_stands_twice(file: Any) -> None:
    first, second = file(f"[{one('a')}, {one('b')}]", "1.json"), file(one("b"), "2.json")
    assert faults(first, second) == [f"{second}: code: 'b' stands in {first}, task 2 (b) already"]
    (twice,) = faults(second, second)
    assert "'b' stands in" in twice


def test_many_faults_are_told_in_short(file: Any) -> None:
    tasks = "\n---\n".join(one(f"t{number}", colour="red", size=number) for number in range(30))
    paths = [file(tasks), file("{", "broken.json")]
    with pytest.raises(InvalidTask) as caught:
        documents.read(paths)
    errors = caught.value.errors
    assert (len(errors), errors.more) == (20, 41)
    assert errors[0].field == f"{paths[0]}, task 1 (t0): colour"
    assert errors.told("\n").splitlines()[-1] == "and 41 more"
