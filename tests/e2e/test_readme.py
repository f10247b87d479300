"""The commands of README and docs, run on the running platform, and what they promise."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# With --import-mode=importlib the modules of other folders are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

import pages


class Reader:
    """Somebody who types the commands of README and docs.

    :param platform: where they run.
    :param folder: where the reader saves the push tasks of README and docs.
    """

    def __init__(self, platform: Any, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        for block in pages.ENGLISH.blocks("yaml"):
            code = re.search(r"^code: (.+)$", block, re.MULTILINE)
            assert code
            (folder / f"{code[1]}.yaml").write_text(block, encoding="utf-8")

    def airflow(self, arguments: list[str]) -> str:
        """Run one of their ``./scripts/airflow`` commands; its output."""
        real = [str(self.folder / word) if word.endswith(".yaml") else word for word in arguments]
        result: subprocess.CompletedProcess[str] = self.platform.airflow(*real)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def push(self, *words: str) -> list[str]:
        """Run every ``airflow push`` command that begins with these words; the output of each."""
        calls = [call for call in commands() if call[: len(words) + 1] == ["push", *words]]
        assert calls, f"no page has 'airflow push {' '.join(words)}'"
        return [self.airflow(call) for call in calls]

    def mails(self, to: str, count: int) -> list[str]:
        """Wait for ``count`` mails to somebody; their subjects, sorted."""
        self.platform.eventually(lambda: len(self.platform.mails(to=to)) >= count or None, f"{count} mails to {to}")
        return sorted(mail["subject"] for mail in self.platform.mails(to=to))


def commands() -> list[list[str]]:
    """The calls of ``./scripts/airflow`` on all pages."""
    return pages.ENGLISH.airflow_arguments(programs=("./scripts/airflow",))


@pytest.fixture(scope="module")
def reader(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader whose push task has been applied, and whose DAG is there."""
    reader = Reader(platform, tmp_path_factory.mktemp("docs"))
    dry, *applied = reader.push("apply")
    assert "created (dry run)" in dry
    assert len(applied) == 4
    for output in applied:
        assert "created" in output
        assert "dry run" not in output
    for code in ("stock-report", "delivery-notice", "parcel", "parcel-fcm", "order-notice"):
        platform.await_dag(code)
    yield reader
    # It must not fire at minute 45 of somebody else's test.
    assert "cancelled" in reader.push("cancel")[0]


def test_the_first_mail_is_in_the_mailbox(platform: Any) -> None:
    message = platform.await_mail("you@example.com")
    assert message["Subject"] == "Welcome, 李雷! Your first push has arrived / 您的第一封推送已送达"


def test_tasks_are_shown(reader: Reader) -> None:
    assert "stock-report" in reader.push("show")[0]
    (tasks,) = reader.push("tasks")
    examples = ("welcome", "order-notice", "daily-report", "shipping-sms", "order-live", "order-push", "dag-failed")
    assert all(code in tasks for code in (*examples, "stock-report", "delivery-notice"))


def test_triggers_on_the_command_line(reader: Reader) -> None:
    before = len(reader.platform.mails(to="buyer@example.com"))
    outputs = reader.push("trigger")
    assert len(outputs) == 5
    assert reader.mails("lilei@example.com", 1) == ["Stock of Hangzhou, no. 1"]
    text = reader.platform.await_mail("lilei@example.com").get_body(("plain",)).get_content()
    assert text.startswith("Dear Li Lei,")
    assert "5 articles in Hangzhou" in text.replace("**", "")
    subjects = reader.mails("buyer@example.com", before + 2)
    assert "Order A-1002 / 订单 A-1002：Shipped / 已发货" in subjects
    # The same key again begins no second execution.
    (keyed,) = [call for call in commands() if "--key" in call]
    assert json.loads(reader.airflow([*keyed, "--output", "json"]))[0]["new"] == "False"


def test_sms(reader: Reader) -> None:
    platform = reader.platform
    platform.await_runs("delivery-notice", 1)
    (sent,) = reader.push("deliveries", "--task", "delivery-notice")
    assert "13800138000" in sent
    texts = {sms["phone"]: sms["content"] for sms in platform.sms(to="1390013900") + platform.sms(to="13800138000")}
    assert texts == {
        "13800138000": "【推送平台】尊敬的顾客，您的订单B-2001已发货。",
        "13900139000": "【推送平台】尊敬的韩梅梅，您的订单B-2002已发货。",
    }


def test_app(reader: Reader) -> None:
    reader.platform.await_runs("parcel", 1)
    (sent,) = reader.push("deliveries", "--task", "parcel")
    assert len(re.findall(r"[0-9a-f]{32} \| sent ", sent)) == 2


def test_fcm(reader: Reader) -> None:
    reader.platform.await_runs("parcel-fcm", 1)
    (sent,) = reader.push("deliveries", "--task", "parcel-fcm")
    assert re.search(r"fGx3k2Qm:APA91bExample +\| sent ", sent)
    assert re.search(r"gone-dYt8vR1:APA91bExample +\| failed .*UNREGISTERED", sent)


def test_devices_that_are_gone(reader: Reader) -> None:
    reader.platform.await_runs("parcel-fcm", 1)
    (listed,) = reader.push("suppressions")
    (number,) = re.findall(r"(?m)^(\d+) +\| app +\| gone-dYt8vR1:APA91bExample ", listed)
    (call,) = [call for call in commands() if call[:2] == ["push", "unsuppress"]]
    assert "gone-dYt8vR1" in reader.airflow([*call[:2], number])
    assert "gone-dYt8vR1" not in reader.push("suppressions")[0]


def test_trigger_by_curl(reader: Reader) -> None:
    bash, curl = shutil.which("bash"), shutil.which("curl")
    if not (bash and curl):
        pytest.skip("curl is not installed")
    (block,) = [block for block in pages.ENGLISH.blocks("bash") if "/api/v2/" in block]
    script = block.replace("http://127.0.0.1:8080", reader.platform.url)
    assert script.count(reader.platform.url) == 2
    result = subprocess.run([bash, "-euc", script], capture_output=True, text=True, check=True, timeout=300)
    answer = json.loads(result.stdout)
    assert answer["dag_id"] == "push__order-notice"
    subject = "Order A-1003 / 订单 A-1003：Shipped / 已发货"
    reader.platform.eventually(
        lambda: reader.platform.mails(to="buyer@example.com", subject=subject) or None, "curl's mail"
    )


def test_kafka(reader: Reader) -> None:
    (produced,) = reader.push("produce")
    assert "task.push.info" in produced
    assert reader.mails("shopper@example.com", 1) == ["Order A-1004 / 订单 A-1004：Shipped / 已发货"]
    (block,) = pages.ENGLISH.blocks("json")
    reader.airflow(["push", "produce", block])
    reader.mails("shopper@example.com", 2)
    reader.mails("han@example.com", 1)
    reader.platform.await_dag("flash-sale")

    # What it says of rejected messages: list them, mend the cause, try again.
    reader.airflow(["push", "produce", '{"task": "late", "recipients": ["late@example.com"]}'])
    listed = reader.platform.eventually(
        lambda: next((rows for rows in reader.push("rejected") if "late" in rows), None), "the rejected message"
    )
    assert "There is no push task" in " ".join(listed.split())
    late = {"code": "late", "name": "Late", "subject": "Late", "content": "x", "schedule": {"kind": "manual"}}
    reader.platform.apply({**late, "execution": {"type": "loop"}})
    reader.platform.await_dag("late")
    assert "taken" in reader.push("replay")[0]
    assert reader.mails("late@example.com", 1) == ["Late"]


def test_the_rest_api_by_curl(reader: Reader) -> None:
    bash, curl = shutil.which("bash"), shutil.which("curl")
    if not (bash and curl):
        pytest.skip("curl is not installed")
    (block,) = [block for block in pages.ENGLISH.blocks("bash") if "/push/v1" in block]
    lines = block.replace("http://127.0.0.1:8080", reader.platform.url).splitlines()
    starts = [number for number, line in enumerate(lines) if not line.startswith(" ")] + [len(lines)]
    token, inject, trigger, executions, deliveries = ("\n".join(lines[a:b]) for a, b in itertools.pairwise(starts))

    def run(command: str) -> Any:
        done = subprocess.run(
            [bash, "-euc", f"{token}\n{command}"], capture_output=True, text=True, check=True, timeout=300
        )
        return json.loads(done.stdout)

    assert run(inject)["dag_id"] == "push__price-alarm"
    begun = run(trigger)
    assert (begun["number"], begun["recipients"]) == (1, 1)
    assert run(trigger) == begun
    assert reader.mails("hanmeimei@example.com", 1) == ["Tea is cheaper"]
    reader.platform.await_runs("price-alarm", 1)
    (execution,) = run(executions)["items"]
    assert (execution["id"], execution["state"], execution["sent"]) == (begun["execution"], "succeeded", 1)
    (delivery,) = run(deliveries)["items"]
    assert (delivery["recipient"], delivery["state"]) == ("hanmeimei@example.com", "sent")


def test_who_got_what(reader: Reader) -> None:
    reader.mails("lilei@example.com", 1)
    reader.platform.await_runs("stock-report", 1)
    (executions,) = reader.push("executions")
    assert "succeeded" in executions
    (by_task,) = reader.push("deliveries", "--task", "stock-report")
    (by_recipient,) = reader.push("deliveries", "--recipient")
    assert "lilei@example.com" in by_task
    assert "ops@example.com" in by_task
    rows = json.loads(by_recipient)
    assert rows
    assert {row["state"] for row in rows} == {"sent"}
    assert {row["recipient"] for row in rows} == {"buyer@example.com"}
    assert all(row["message_id"] for row in rows)


def test_mail_accounts(reader: Reader) -> None:
    added = [call for call in commands() if call[:2] == ["connections", "add"]]
    for call in added:
        reader.airflow(call)
    # All of them in one call; "connections list" leaves the port out.
    stored = json.loads(reader.airflow(["connections", "export", "-", "--file-format", "json"]))
    for call in added:
        assert stored[call[2]]["conn_type"] == call[call.index("--conn-type") + 1]
        assert str(stored[call[2]]["port"]) == call[call.index("--conn-port") + 1]
    shown, made = reader.push("default")
    assert "push_email_default" in shown
    assert "push_aliyun_sms_default" in shown
    assert "push_email_default" in made


def test_a_conf_of_the_wrong_shape_is_refused_at_once(reader: Reader) -> None:
    status, answer = reader.platform.trigger("order-notice", {"recipients": "buyer@example.com"})
    assert status == 400
    assert "recipients" in json.dumps(answer)
