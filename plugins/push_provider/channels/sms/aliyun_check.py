"""Whether an Aliyun account can send: its key, its signature and its template, by calls that send nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from push_provider.channels.codes import Fault
from push_provider.channels.sms.aliyun_account import APPROVED_TEMPLATE, ask, placeholders, refusal, template_kind
from push_provider.channels.sms.aliyun_client import SIGNS_PAGE
from push_provider.channels.sms.aliyun_codes import is_permission, meaning
from push_provider.channels.sms.aliyun_config import TemplateKind
from push_provider.connections.aliyun import OK

if TYPE_CHECKING:
    from push_provider.channels.sms.aliyun_client import AliyunClient

APPROVED_SIGN = "AUDIT_STATE_PASS"
_SIGN_PAGES = 20
"""Pages of signatures that are looked at: a thousand signatures."""
_TEST_SECONDS = 15.0
"""For the list of signatures, for which somebody waits."""


class Check(NamedTuple):
    """What was found of one part of a configuration."""

    text: str
    ok: bool


def check_sign(client: AliyunClient) -> tuple[Check, Check | None]:
    """The access key, which every call needs, and the signature, which a list of all shows."""
    wanted = client.config.sign_name
    states: dict[str, str] = {}
    end = time.monotonic() + _TEST_SECONDS
    for page in range(1, _SIGN_PAGES + 1):
        if time.monotonic() > end:
            why = f"Signature: not checked, the list of all did not come in {_TEST_SECONDS:g} s."
            return Check("Access key: accepted.", ok=True), Check(why, ok=False)
        answer = ask(client, client.signs, page)
        if is_permission(answer.code):
            key = Check("Access key: accepted.", ok=True)
            why = f"Signature: not checked, this key may not list signatures ({answer.code})."
            return key, Check(why, ok=True)
        if not answer.ok:
            concerns_key = meaning(answer.code, answer.message).fault is Fault.ACCOUNT
            what = "Access key: refused." if concerns_key else "Aliyun cannot say."
            return Check(f"{what} {refusal(client.config, answer)}", ok=False), None
        listed = (answer.body.sms_sign_list or [])[:SIGNS_PAGE]
        states |= {sign.sign_name: sign.audit_status for sign in listed}
        if wanted is None or wanted in states or len(listed) < SIGNS_PAGE:
            break
    key = Check("Access key: accepted.", ok=True)
    if wanted is None:
        return key, Check("Signature: none entered; each push task must name its own.", ok=True)
    if wanted not in states:
        known = ", ".join(sorted(states)[:5]) or "none"
        return key, Check(f"Signature {wanted!r}: this account has no such one; it has: {known}.", ok=False)
    if states[wanted] != APPROVED_SIGN:
        return key, Check(f"Signature {wanted!r}: not approved ({states[wanted]}).", ok=False)
    return key, Check(f"Signature {wanted!r}: approved.", ok=True)


def check_template(client: AliyunClient) -> Check:
    """The template, and which parameters it has."""
    code = client.config.template_code
    if code is None:
        return Check("Template: none entered; each push task must name its own.", ok=True)
    answer = ask(client, client.template, code)
    if is_permission(answer.code):
        return Check(f"Template {code}: not checked, this key may not ask for it ({answer.code}).", ok=True)
    if answer.code != OK:
        return Check(f"Template {code}: not usable ({answer.code}: {answer.message[:200]}).", ok=False)
    if str(answer.body.template_status) != APPROVED_TEMPLATE:
        return Check(f"Template {code}: not approved (status {answer.body.template_status}).", ok=False)
    names = ", ".join(sorted(placeholders(answer.body.template_content or ""))) or "none"
    kind = template_kind(answer) or client.config.template_kind or TemplateKind.MAINLAND
    return Check(f"Template {code}: approved ({kind}); parameters: {names}.", ok=True)
