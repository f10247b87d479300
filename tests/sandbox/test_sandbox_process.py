"""Starting and ending the sandbox."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PORTS = ["--smtp-port", "0", "--sms-port", "0", "--http-port", "0", "--kafka-port", "0", "--centrifugo-port", "0"]


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(start_sandbox, tmp_path, number):
    with (
        start_sandbox(tmp_path) as running,
        running.smtp() as client,
        socket.create_connection(("127.0.0.1", running.http_port)),
        socket.create_connection(("127.0.0.1", running.sms_port)),
    ):
        assert client.ehlo()[0] == 250  # connections that are open must not hold it up
        assert running.stop(number) == 0
        for port in (running.smtp_port, running.sms_port, running.http_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
        client.close()


@pytest.mark.slow
def test_a_signal_while_it_starts_ends_it_cleanly(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "sandbox", "--folder", str(tmp_path)]
    with subprocess.Popen([*command, *PORTS], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        # Its own modules come after the handlers are in place: pydantic is one of the first of the page.
        for line in process.stderr:
            if "annotated_types" in line or "pydantic" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 0
    assert "Traceback" not in rest


@pytest.mark.parametrize("option", ["--smtp-port", "--http-port", "--sms-port", "--kafka-port", "--centrifugo-port"])
def test_a_port_in_use_is_one_line_that_names_port_and_option(tmp_path, option):
    others = [f"--{name}-port=0" for name in ("smtp", "http", "sms", "kafka", "centrifugo") if name not in option]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run("--folder", str(tmp_path), option, str(port), *others)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"Port {port} on 127.0.0.1" in done.stderr
    assert option in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
def test_only_loopback_addresses_are_listened_on(tmp_path, host):
    done = _run("--folder", str(tmp_path), "--host", host)
    assert done.returncode == 2
    assert "is not a loopback address" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUSH_SANDBOX_SMTP_PORT", "mail"),
        ("PUSH_SANDBOX_HTTP_PORT", "65536"),
        ("PUSH_SANDBOX_HTTP_PORT", "-1"),
        ("PUSH_SANDBOX_SMS_PORT", "sms"),
    ],
)
def test_a_wrong_port_in_the_environment_is_refused(tmp_path, name, value):
    done = _run("--folder", str(tmp_path), **{name: value})
    assert done.returncode == 2
    assert f"{value!r} is not a port" in done.stderr


@pytest.mark.parametrize("name", ["SMTP", "HTTP", "SMS", "KAFKA"])
def test_the_environment_sets_the_ports(tmp_path, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {f"PUSH_SANDBOX_{other}_PORT": "0" for other in ("SMTP", "HTTP", "SMS", "KAFKA")}
        done = _run("--folder", str(tmp_path), **{**ports, f"PUSH_SANDBOX_{name}_PORT": str(port)})
    assert f"Port {port} " in done.stderr


def test_two_sandboxes_cannot_share_a_folder(start_sandbox, tmp_path):
    with start_sandbox(tmp_path):
        done = _run("--folder", str(tmp_path), *PORTS)
    assert done.returncode == 2
    assert "Another sandbox uses the folder" in done.stderr


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    done = _run("--folder", str(tmp_path / "file" / "mails"), *PORTS)
    assert done.returncode == 2
    assert str(tmp_path / "file" / "mails") in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_mails_survive_a_restart_and_a_kill(start_sandbox, tmp_path: Path):
    with start_sandbox(tmp_path) as running:
        running.send("Subject: 你好\r\n\r\nfirst\r\n".encode(), to="ann@example.com")
        running.send(b"Subject: two\r\n\r\nsecond\r\n", to="bob@example.com")
        before = running.request("/api/mails").json()
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    with start_sandbox(tmp_path) as running:
        assert running.request("/api/mails").json() == before
        assert [item["subject"] for item in before["items"]] == ["two", "你好"]
        running.send(b"Subject: three\r\n\r\n.\r\n")
        assert running.request("/api/mails").json()["total_entries"] == 3


def test_only_the_newest_are_kept(start_sandbox, tmp_path):
    with start_sandbox(tmp_path, "--keep", "3") as running:
        with running.smtp() as client:
            for number in range(5):
                client.sendmail("a@example.com", ["b@example.com"], f"Subject: {number}\r\n\r\n")
        listed = running.request("/api/mails").json()
        assert [item["subject"] for item in listed["items"]] == ["4", "3", "2"]
        assert running.stop() == 0
    assert len(list(tmp_path.glob("*.eml"))) == 3


def test_a_full_disk_is_answered_452_and_leaves_nothing_behind(start_sandbox, tmp_path):
    # RLIMIT_FSIZE stands for the full disk: the kernel refuses to write more than this into one file.
    limit = ("prlimit", "--fsize=20000")
    with start_sandbox(tmp_path, prefix=limit) as running:
        with running.smtp() as client:
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: small\r\n\r\n")
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail(
                    "a@example.com", ["b@example.com"], b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" * 15000
                )
            assert refused.value.smtp_code == 452
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: small again\r\n\r\n")
        assert running.request("/api/mails").json()["total_entries"] == 2
    assert len(list(tmp_path.glob("*.eml"))) == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_an_index_that_cannot_grow_is_answered_452_and_stays_whole(start_sandbox, tmp_path):
    with start_sandbox(tmp_path, prefix=("prlimit", "--fsize=2000")) as running:
        accepted = 0
        with running.smtp() as client:
            client.ehlo()
            for _ in range(40):
                client.mail("a@example.com")
                client.rcpt("b@example.com")
                code, _text = client.data(b"Subject: x\r\n\r\n")
                assert code in (250, 452)
                accepted += code == 250
        assert 0 < accepted < 40
    assert len(list(tmp_path.glob("*.eml"))) == accepted
    with start_sandbox(tmp_path) as running:
        assert running.request("/api/mails").json()["total_entries"] == accepted
