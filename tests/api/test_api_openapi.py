"""The OpenAPI description is one that clients can be made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from outages import Switch

from push_provider.api import problems
from push_provider.exceptions import UnknownMessage

if TYPE_CHECKING:
    from api_server import ApiServer

    from sandbox.postgres import PostgresServer

# What generated clients call their methods: a change of one breaks them.
OPERATIONS = {
    "list_tasks",
    "create_task",
    "create_tasks",
    "get_task",
    "change_task",
    "delete_task",
    "trigger_task",
    "pause_task",
    "resume_task",
    "cancel_task",
    "preview_message",
    "list_next_executions",
    "list_executions",
    "get_execution",
    "redrive_execution",
    "list_deliveries",
    "list_configs",
    "make_default_config",
    "test_config",
    "list_email_services",
    "get_stats",
    "get_me",
    "list_help",
    "get_help",
    "list_rejected",
    "get_rejected",
    "replay_rejected",
    "list_suppressions",
    "delete_suppression",
    "list_channels",
    "acknowledge_message",
    "mint_websocket_token",
}
INPUTS = (
    "PushTask",
    "PushTaskPatch",
    "Trigger",
    "Outlook",
    "TokenRequest",
    "PreviewOfTask",
    "PreviewOfCode",
    "Redrive",
    "Recipient",
    "Loop",
    "At",
)


@pytest.fixture(scope="module")
def description(server: ApiServer) -> Any:
    return server.call("GET", "/push/openapi.json").json


def operations(description: Any) -> Iterator[Any]:
    for path in description["paths"].values():
        yield from path.values()


def test_operations_are_called_as_in_other_versions(description: Any) -> None:
    found = [operation["operationId"] for operation in operations(description)]
    assert sorted(found) == sorted(OPERATIONS)


def test_every_tag_is_described(description: Any) -> None:
    used = {tag for operation in operations(description) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in description["tags"] if tag["description"]}


@pytest.mark.parametrize("name", INPUTS)
def test_what_may_be_left_out_has_no_default(description: Any, name: str) -> None:
    schema = description["components"]["schemas"][name]
    assert schema["title"] == name if "title" in schema else True
    for field, said in schema["properties"].items():
        assert "default" not in said, field


def test_a_default_is_said_in_words(description: Any) -> None:
    fields = description["components"]["schemas"]["PushTask"]["properties"]
    assert fields["retries"]["description"].endswith("Left out: `3`")
    assert fields["schedule"]["description"].endswith('Left out: `{"kind": "now"}`')
    (limit,) = [one for one in description["paths"]["/v1/tasks"]["get"]["parameters"] if one["name"] == "limit"]
    assert limit["description"] == "Entries of a page. Left out: `100`"


def test_parameters_are_never_null(description: Any) -> None:
    for operation in operations(description):
        for parameter in operation.get("parameters", []):
            assert "anyOf" not in parameter["schema"], (operation["operationId"], parameter["name"])
            assert "default" not in parameter["schema"], (operation["operationId"], parameter["name"])


def test_a_patch_takes_null_for_every_field(description: Any) -> None:
    validator = Draft202012Validator({"$ref": "#/components/schemas/PushTaskPatch", **description})
    for field in description["components"]["schemas"]["PushTask"]["properties"]:
        assert validator.is_valid({field: None}), field
    assert validator.is_valid({"schedule": {"minute": 5, "timezone": None}, "execution": {"max_executions": None}})
    assert not validator.is_valid({"schedule": {"kind": None}})
    assert not validator.is_valid({"schedule": {"minutes": 5}})


def test_what_is_answered_is_typed(description: Any) -> None:
    schemas = description["components"]["schemas"]
    assert schemas["TaskDetail"]["properties"]["task"]["$ref"] == "#/components/schemas/PushTask"
    for name in ("TaskAnswer", "TaskDetail"):
        assert schemas[name]["properties"]["schedule"]["$ref"] == "#/components/schemas/Schedule"
    for name in ("ExecutionAnswer", "DeliveryAnswer"):
        assert schemas[name]["properties"]["id"]["format"] == "int64"
    for name in ("ProblemDetails", "BulkEntry"):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"])


def test_headers_of_answers(description: Any) -> None:
    for operation in operations(description):
        for status, header in (("401", "WWW-Authenticate"), ("429", "Retry-After"), ("503", "Retry-After")):
            if status in operation["responses"]:
                assert header in operation["responses"][status]["headers"], operation["operationId"]
    created = description["paths"]["/v1/tasks"]["post"]["responses"]["201"]
    assert set(created["headers"]) == {"Location", "Idempotency-Replayed"}


BODIES: dict[str, Any] = {
    "create_tasks": {"tasks": []},
    "change_task": {"subject": "Other"},
    "create_task": {"name": "T"},
    "list_next_executions": {},
    "mint_websocket_token": {"user": "lilei"},
}

ASKING_THE_LEDGER = {
    "list_tasks",
    "get_task",
    "change_task",
    "delete_task",
    "trigger_task",
    "cancel_task",
    "list_executions",
    "get_execution",
    "redrive_execution",
    "list_deliveries",
    "list_rejected",
    "get_rejected",
    "replay_rejected",
    "list_suppressions",
    "get_stats",
}


@pytest.mark.slow
def test_what_is_answered_without_a_ledger_is_described(
    server: ApiServer, postgres: PostgresServer, description: Any
) -> None:
    code = server.create()
    values = {
        **dict.fromkeys(("execution", "message", "suppression"), 1),
        "code": code,
        "config": "no-such",
        "page": "concepts",
        "token": "A" * 32,
    }
    database = server.ledger.url.database
    assert database is not None
    switch = Switch(f"host={postgres.socket} user=postgres dbname=postgres", database)
    answers = {}
    switch.off()
    try:
        for path, methods in description["paths"].items():
            for method, operation in methods.items():
                name = operation["operationId"]
                body = BODIES.get(name, {"code": code} if name == "preview_message" else None)
                answers[name] = server.call(method.upper(), f"/push{path.format(**values)}", body)
    finally:
        switch.on()
        server.ledger.dispose()
    assert answers.keys() == OPERATIONS
    described = {operation["operationId"]: operation["responses"] for operation in operations(description)}
    for name, answer in answers.items():
        assert str(answer.status) in described[name], (name, answer)
        assert "503" in described[name], name
    for name in ASKING_THE_LEDGER:
        assert (answers[name].status, answers[name].json["code"]) == (503, "ledger-unavailable"), name
    server.await_dag(server.create())


def test_what_is_answered_by_a_replay_is_described(description: Any) -> None:
    """Topics' rules that cannot be read, and a message that leaves the ledger between two looks at it."""
    gone = problems.of_error(UnknownMessage(7))
    assert (gone.status, gone.code) == (404, "unknown-message")
    assert {"404", "409", "503"} <= description["paths"]["/v1/rejected/{message}/replay"]["post"]["responses"].keys()


def test_login_is_what_the_server_takes(description: Any) -> None:
    (login,) = [description["components"]["securitySchemes"][name] for one in description["security"] for name in one]
    assert (login["type"], login["scheme"]) == ("http", "bearer")
    others = {op["operationId"]: op["security"] for op in operations(description) if "security" in op}
    assert others == {"acknowledge_message": []}


def test_examples_are_valid(description: Any) -> None:
    found = list(examples(description))
    assert len(found) > 60
    for schema, example in found:
        Draft202012Validator({**schema, "components": description["components"]}).validate(example)


def examples(node: Any) -> Iterator[tuple[Any, Any]]:
    """Each example, with its schema."""
    if isinstance(node, list):
        for one in node:
            yield from examples(one)
    elif isinstance(node, dict):
        if "example" in node:
            yield node["schema"], node["example"]
        if isinstance(node.get("examples"), list):
            yield from ((node, example) for example in node["examples"])
        for name, one in node.items():
            if name not in ("example", "examples"):
                yield from examples(one)
