"""What importing the package costs: every Airflow process imports the modules that Airflow itself looks up."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Airflow's modules that each one stands on, and all of ours that it may bring along.
LOOKED_UP = {
    "push_provider.provider": (
        (),
        {
            *("channels", "channels.email", "channels.email.spec", "channels.registry", "channels.sms"),
            *("channels.email.services", "channels.email.smtp_config", "channels.sms.aliyun_config"),
            *("channels.aliyun_form", "channels.sms.spec", "channels.spec", "exceptions", "provider", "visible"),
            *("connections", "connections.aliyun_account"),
            *("channels.app", "channels.app.fcm_config", "channels.app.spec"),
            *("channels.websocket", "channels.websocket.centrifugo_config", "channels.websocket.spec"),
        },
    ),
    "push_provider.plugin": (("airflow.plugins_manager",), {"plugin"}),
    "push_provider.cli.definition": (("airflow.cli.cli_config",), {"cli", "cli.definition"}),
}
HEAVY = {
    "aiosmtpd",
    "alembic",
    "alibabacloud_dysmsapi20170525",
    "alibabacloud_push20160801",
    "alibabacloud_tea_openapi",
    "confluent_kafka",
    "darabonba",
    "croniter",
    "email_validator",
    "jinja2",
    "markdown_it",
    "psycopg",
    "phonenumbers",
    "pydantic",
    "requests",
    "smtplib",
    "sqlalchemy",
    "ssl",
}
SCRIPT = """
import importlib, json, sys
*before, module = sys.argv[1:]
for name in before:
    importlib.import_module(name)
known = set(sys.modules)
importlib.import_module(module)
print("RESULT" + json.dumps(sorted(set(sys.modules) - known)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", LOOKED_UP)
def test_what_airflow_looks_up_is_light(module: str) -> None:
    before, own = LOOKED_UP[module]
    command = [sys.executable, "-c", SCRIPT, *before, module]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    brought = json.loads(done.stdout.rpartition("RESULT")[2])
    assert module in brought
    ours = {name.removeprefix("push_provider.") for name in brought if name.startswith("push_provider.")}
    assert ours <= own
    assert {name.partition(".")[0] for name in brought} & HEAVY == set()
