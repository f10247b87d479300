"""What a page learns of the channels: enough to show every form, and nothing that Airflow's own forms say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from api_server import ApiServer

STANDARD = ["host", "login", "password", "port", "schema", "description"]
# As Airflow's page calls the connection's schema.
AIRFLOWS_NAMES = {"schema": "url_schema"}


@pytest.fixture(scope="module")
def channels(server: ApiServer) -> Any:
    page = server.push("GET", "/channels", role="viewer").json
    assert page["total_entries"] == len(page["items"])
    return {channel["name"]: channel for channel in page["items"]}


@pytest.mark.parametrize(
    ("channel", "label", "fields", "required"),
    [
        ("email", "Email", ["subject", "content", "content_type", "template", "attachments"], {"subject"}),
        ("sms", "SMS", ["content", "template_code", "sign_name"], set()),
        ("websocket", "WebSocket", ["title", "content", "format", "data", "ttl", "expect"], set()),
        (
            "app",
            "App push",
            [
                *("title", "content", "kind", "target", "data", "link", "ttl"),
                *("expect", "sound", "badge", "android_channel", "ios_interruption"),
            ],
            set(),
        ),
    ],
)
def test_fields_of_push_tasks(channels: Any, channel: str, label: str, fields: list[str], required: set[str]) -> None:
    assert channels[channel]["label"] == label
    assert [field["name"] for field in channels[channel]["fields"]] == fields
    assert {field["name"] for field in channels[channel]["fields"] if field["required"]} == required
    assert all(field["title"] and field["description"] for field in channels[channel]["fields"])


def test_what_is_required_is(server: ApiServer, channels: Any) -> None:
    """A task of the required fields, and of the ones that all tasks have, lacks none that it must have."""
    for channel in channels.values():
        fields = {field["name"]: "{}" for field in channel["fields"] if field["required"]}
        for left_out in [None, *fields]:
            task = {"name": "n", "channel": channel["name"], "schedule": {"kind": "manual"}, **fields}
            task.pop(left_out or "", None)
            answer = server.push("POST", "/tasks", task, dry_run="true")
            told = [] if answer.status == 200 else answer.fields
            assert (left_out in told) == (left_out is not None)
            assert set(told) - {left_out} <= {"content"}, "either content or template"


def test_schemas_stand_by_themselves(channels: Any) -> None:
    schemas = {field["name"]: field["schema"] for field in channels["email"]["fields"]}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    attachments = Draft202012Validator(schemas["attachments"])
    assert attachments.is_valid(["attachments/shared/a.pdf", {"name": "a.txt", "content_base64": "YQ=="}])
    assert not attachments.is_valid([{"name": "a.txt"}])
    assert schemas["content_type"]["enum"] == ["html", "markdown", "text"]


def test_forms_of_connections_are_those_of_airflow(server: ApiServer, channels: Any) -> None:
    airflows = {form["connection_type"]: form for form in server.call("GET", "/ui/connections/hook_meta").json}
    types = {kind["name"]: kind for channel in channels.values() for kind in channel["connection_types"]}
    assert list(types) == ["push_email", "push_aliyun_sms", "push_centrifugo", "push_aliyun_app", "push_fcm"]
    for name, kind in types.items():
        form = airflows[name]
        assert kind["label"] == form["hook_name"]
        fields = {field["name"]: field for field in kind["fields"]}
        assert list(fields)[: len(STANDARD)] == STANDARD
        assert [field for field in fields if fields[field]["extra"]] == list(form["extra_fields"])
        assert "enabled" in form["extra_fields"]
        for field in fields.values():
            Draft202012Validator.check_schema(field["schema"])
        for field in STANDARD:
            said = form["standard_fields"].get(AIRFLOWS_NAMES.get(field, field)) or {}
            assert (field in kind["hidden"]) == bool(said.get("hidden")), field
            assert kind["placeholders"].get(field) == (said.get("placeholder") or None), field
            assert kind["relabeling"].get(field) == (said.get("title") or None), field
            assert fields[field]["label"] == kind["relabeling"].get(field, field.capitalize())


def test_secrets_are_marked(channels: Any) -> None:
    secret = {
        (kind["name"], field["name"])
        for channel in channels.values()
        for kind in channel["connection_types"]
        for field in kind["fields"]
        if field["secret"]
    }
    assert secret == {
        ("push_email", "password"),
        ("push_aliyun_sms", "password"),
        ("push_centrifugo", "password"),
        ("push_centrifugo", "token_secret"),
        ("push_aliyun_app", "password"),
        ("push_fcm", "password"),
    }
