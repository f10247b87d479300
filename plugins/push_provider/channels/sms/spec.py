"""The SMS channel, in short: its name, its parts, and the form of its accounts at Aliyun."""

from __future__ import annotations

from typing import Any

from push_provider.channels.aliyun_form import BEHAVIOUR, account_fields
from push_provider.channels.sms import aliyun_config
from push_provider.channels.spec import STANDING, ChannelSpec, form_field


def _push_aliyun_sms() -> dict[str, Any]:
    return {
        "connection-type": "push_aliyun_sms",
        "hook-class-name": "push_provider.hooks.aliyun_sms.PushAliyunSmsHook",
        "hook-name": "Push Aliyun SMS",
        "conn-fields": {
            "sign_name": form_field(
                "Signature (签名)",
                "The approved signature, without 【】. A push task may name another one.",
                kind="string",
            ),
            "template_code": form_field(
                "Template code (模板 CODE)",
                "Of the approved template, like SMS_154950909. A push task may name another one.",
                kind="string",
            ),
            "template_kind": form_field(
                "Kind of the templates (模板类型)",
                "Only for keys that may not ask Aliyun for a template: 'international' ones are for numbers outside "
                "mainland China. Empty: what Aliyun says of the template, else mainland.",
                kind="string",
                enum=["", *(one.value for one in aliyun_config.TemplateKind)],
            ),
            "params_note": form_field(
                "Note on the parameters (参数说明)",
                "For people: which parameters the template has and what belongs there.",
                kind="string",
            ),
            **account_fields(
                regions=": cn-hangzhou for mainland China, ap-southeast-1 for Singapore",
                unanswered="never made again by itself",
            ),
            **STANDING,
        },
        "ui-field-behaviour": BEHAVIOUR,
    }


SMS = ChannelSpec(
    name="sms",
    label="SMS",
    task="push_provider.channels.sms.task:SmsTask",
    content="push_provider.channels.sms.content:Parameters",
    sender="push_provider.channels.sms.sender:SmsChannel",
    operator="push_provider.operators.push:SmsPushOperator",
    connection_types=(_push_aliyun_sms(),),
    warm=("alibabacloud_dysmsapi20170525.client", "push_provider.channels.sms.aliyun_account"),
)
