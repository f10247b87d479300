"""No field of a push task adds a header, a recipient or a command: through the contract, the content and the mail."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from push_provider.channels.base import Delivery
from push_provider.channels.email.content import Content
from push_provider.channels.email.mime import Message
from push_provider.channels.reading import parse
from push_provider.exceptions import ContentError, InvalidTask

BCC = "Bcc: eve@example.net"
# What some reader takes for the end of a line, or decodes to one.
ENDS = [
    "\r\n",
    "\n",
    "\r",
    "\n\n",
    "\r\n ",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
    "\0",
    "=?utf-8?Q?=0D=0A?=",
    "=?utf-8?B?DQo=?=",
    "%0d%0a",
    "\\r\\n",
    "\r\n.\r\nRCPT TO:<eve@example.net>\r\n",
]
HEADERS = {"Date", "From", "MIME-Version", "Auto-Submitted", "To", "Message-ID", "Subject", "Content-Type"}
HEADERS |= {"Content-Transfer-Encoding"}


def _fields(bad: str) -> dict[str, dict[str, Any]]:
    inline = {"content_base64": base64.b64encode(b"x").decode()}
    return {
        "subject": {"subject": bad},
        "subject, by a variable": {"subject": "Order {{ x }}", "variables": {"x": bad}},
        "subject, by a name": {"subject": "{{ push.name }}", "name": bad},
        "subject, by a set": {"subject": "{% set x %}{{ y }}{% endset %}{{ x }}", "variables": {"y": bad}},
        "name": {"name": bad},
        "code": {"code": bad},
        "app": {"app": bad},
        "owner": {"owner": bad},
        "config": {"config": bad},
        "recipient": {"recipients": [f"a@example.com{bad}"]},
        "recipient, before the at": {"recipients": [f"a{bad}@example.com"]},
        "recipient, as a name": {"recipients": [f"{bad} <a@example.com>"]},
        "attachment": {"attachments": [{"name": bad, **inline}]},
        "attachment, its ending": {"attachments": [{"name": f"a.pdf{bad}", **inline}]},
        "attachment, a path": {"attachments": [bad]},
        "template": {"template": bad, "content": None},
        "content": {"content": bad},
        "content, by a variable": {"content": "{{ x }}", "variables": {"x": bad}},
        "content_type": {"content_type": bad},
    }


@pytest.mark.parametrize("field", _fields(""))
@pytest.mark.parametrize("end", ENDS)
def test_a_field_stays_in_its_place(field: str, end: str, tmp_path: Path) -> None:
    document = {"code": "t", "name": "T", "channel": "email", "subject": "s", "content": "c"}
    document |= {"recipients": ["a@example.com"], "schedule": {"kind": "manual"}}
    document |= _fields(f"x{end}{BCC}")[field]
    try:
        task = parse({name: value for name, value in document.items() if value is not None})
        content = Content(task, {}, include=tmp_path, push={"name": task.name})
        mail = Message(content, sender="shop@example.com", sender_name="Shop", token="ab" * 16, date=datetime.now(UTC))
        (recipient,) = task.recipients
        filled = mail.fill(Delivery(1, recipient.to, task.variables), eightbit=True)
    except (ContentError, InvalidTask):
        return
    wire = filled.head + filled.tail
    lines = wire.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert b"." not in lines
    for rules in (policy.default, policy.compat32):
        parsed = message_from_bytes(wire, policy=rules)
        assert set(parsed.keys()) <= HEADERS
        assert len(parsed.keys()) == len(set(parsed.keys()))
        assert "eve" not in str(parsed["To"])
        for part in parsed.walk():
            assert {name for name in part if name.lower() == "bcc"} == set()
    assert filled.to == b"a@example.com"
