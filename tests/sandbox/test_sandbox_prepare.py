"""The sender configurations that a fresh platform gets, in a metadata database of Airflow's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from push_provider.exceptions import InvalidTask
from push_provider.ledger import tasks
from sandbox.app_account import APP_KEY
from sandbox.prepare import app_connection, apply_examples, email_connection, sms_connection
from sandbox.sms_account import SIGN_NAME, TEMPLATE_CODE
from sandbox.sms_signature import access_key

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# A process of its own: Airflow reads its settings once, and this one has none of a metadata database.
_PROGRAM = """
import json, sys
from pathlib import Path
from airflow.models.connection import Connection
from airflow.utils.session import create_session
from sandbox.prepare import app_connection, connect, email_connection, fcm_connection, sms_connection

for kind, change in json.load(sys.stdin):
    if kind == "connect":
        connect(email_connection(change["smtp"]))
        connect(sms_connection(change["sms"]))
    elif kind == "connect app":
        connect(app_connection(change["sms"]))
        connect(fcm_connection(change["sms"], Path(change["folder"])))
    else:
        with create_session() as session:
            connection = session.query(Connection).filter_by(conn_id=kind).one()
            for name, value in change.items():
                setattr(connection, name, value)
with create_session() as session:
    rows = session.query(Connection).order_by(Connection.conn_id).all()
    names = ("conn_id", "conn_type", "host", "port", "login", "password", "description")
    print(json.dumps([{**{n: getattr(r, n) for n in names}, "extra": r.extra_dejson} for r in rows]))
"""


@pytest.fixture(scope="module")
def run(postgres, tmp_path_factory):
    """Carries out steps on an empty metadata database, and returns its connections."""
    postgres.create_database("prepare")
    url = postgres.url("prepare")
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home")),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": url.replace("+psycopg:", "+psycopg_async:"),
    }

    def python(*arguments, steps="", **more):
        done = subprocess.run(
            [sys.executable, *arguments], input=steps, env={**env, **more}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    python(str(Path(sys.executable).with_name("airflow")), "db", "migrate")

    def carry_out(*steps, **more):
        with psycopg.connect(host=str(postgres.socket), user="postgres", dbname="prepare") as connection:
            connection.execute("DELETE FROM connection")
        return json.loads(python("-c", _PROGRAM, steps=json.dumps(steps), **more).splitlines()[-1])

    return carry_out


def test_a_fresh_platform_has_a_sender_for_mail_and_one_for_sms(run):
    sms, email = run(["connect", {"smtp": 1025, "sms": 8026}])
    assert {name: email[name] for name in email_connection(1025)} == email_connection(1025)
    assert {name: sms[name] for name in sms_connection(8026)} == sms_connection(8026)
    assert sms["extra"] == {
        "sign_name": SIGN_NAME,
        "template_code": TEMPLATE_CODE,
        "endpoint": "http://127.0.0.1:8026",
        "region": "cn-hangzhou",
        "enabled": True,
        "is_default": True,
    }


def test_of_two_vendors_of_app_push_one_is_the_default(run, tmp_path):
    aliyun, fcm = run(["connect app", {"sms": 8026, "folder": str(tmp_path)}])
    assert (aliyun["conn_id"], aliyun["extra"]["is_default"]) == ("push_aliyun_app_default", True)
    assert (fcm["conn_id"], fcm["extra"]["is_default"]) == ("push_fcm_sandbox", False)
    _, moved = run(*[["connect app", {"sms": port, "folder": str(tmp_path)}] for port in (8026, 8027)])
    assert moved["extra"]["endpoint"] == "http://127.0.0.1:8027"
    account, before = json.loads(moved["password"]), json.loads(fcm["password"])
    assert account == {**before, "token_uri": "http://127.0.0.1:8027/fcm/token"}


def test_the_sandboxs_own_senders_follow_its_ports_and_key_and_keep_the_rest(run):
    changed = json.dumps({**sms_connection(8026)["extra"], "template_code": "SMS_100000001"})
    sms, email = run(
        ["connect", {"smtp": 1025, "sms": 8026}],
        ["push_aliyun_sms_default", {"extra": changed, "password": "wrong"}],
        ["push_email_default", {"login": "me@example.com"}],
        ["connect", {"smtp": 1026, "sms": 8027}],
        PUSH_SANDBOX_SMS_KEY_ID="LTAI5tOther",
        PUSH_SANDBOX_SMS_KEY_SECRET="other",
    )
    assert (email["port"], email["login"]) == (1026, "me@example.com")
    assert (sms["port"], sms["login"], sms["password"]) == (8027, "LTAI5tOther", "other")
    assert sms["extra"] == {
        **sms_connection(8027)["extra"],
        "template_code": "SMS_100000001",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Ours"},
        {"extra": json.dumps({"endpoint": "dysmsapi.aliyuncs.com", "sign_name": "我们"})},
        {"extra": json.dumps({"sign_name": "我们"})},
    ],
)
def test_a_sender_that_people_made_their_own_stays_as_it_is(run, change):
    steps = (
        ["connect", {"smtp": 1025, "sms": 8026}],
        ["push_aliyun_sms_default", {"login": "LTAI5tReal", "password": "real", **change}],
    )
    before = run(*steps)[0]
    assert run(*steps, ["connect", {"smtp": 1025, "sms": 8027}])[0] == before


def test_a_sender_that_comes_back_takes_no_other_s_place_as_default(run):
    sms, email = run(
        ["connect", {"smtp": 1025, "sms": 8026}],
        ["push_email_default", {"conn_id": "mine", "description": "Mine"}],
        ["connect", {"smtp": 1025, "sms": 8026}],
    )[1:]
    assert (email["conn_id"], email["extra"]["is_default"]) == ("push_email_default", False)
    assert sms["extra"]["is_default"] is True


def test_the_example_tasks_are_looked_at_like_anybody_s(ledger, include):
    example = {"name": "n", "channel": "email", "recipients": ["a@example.com"], "content": "x"}
    sound = {**example, "code": "sound", "subject": "No. {{ push.execution }}"}
    broken = {**example, "code": "broken", "subject": "{{ push.nothing }}"}
    folder = include.parent / "tasks"
    folder.mkdir()
    (folder / "1.yaml").write_text(json.dumps(sound))
    apply_examples(folder)
    assert tasks.get(ledger, "sound").code == "sound"
    (folder / "2.yaml").write_text(json.dumps(broken))
    with pytest.raises(InvalidTask, match=r"2\.yaml: subject: .*'nothing' is missing"):
        apply_examples(folder)


def test_a_fresh_platform_has_an_app_to_push_to():
    wanted = app_connection(8026)
    assert (wanted["conn_type"], wanted["port"], wanted["login"]) == ("push_aliyun_app", 8026, access_key()[0])
    assert wanted["extra"] | {"app_key": str(APP_KEY), "endpoint": "http://127.0.0.1:8026"} == wanted["extra"]
