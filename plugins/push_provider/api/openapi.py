"""The OpenAPI description: the contract's own schemas for what comes in, problem details for all that goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from push_provider.api.guards import declared, needs_login
from push_provider.api.problems import MEDIA_TYPE, ProblemDetails
from push_provider.channels import registry
from push_provider.channels.websocket.tokens import TokenRequest
from push_provider.contract import CODE_PATTERN, Outlook, PushTask, Trigger
from push_provider.exceptions import FieldError

_REF = "#/components/schemas/{model}"
_ERRORS = {
    400: "The body is no JSON",
    401: "Nobody is logged in",
    403: "The caller's role does not allow it",
    404: "There is none of this name",
    409: "As things stand it cannot be done; `detail` says why, and `code` says it to programs",
    413: "The body is too large",
    415: "The body is of another type",
    422: "A field or parameter is broken; `errors` names each",
    429: "Too many requests, exports or open tasks; `Retry-After` says when to come back",
    503: "The database, or the task's DAG, is not there just now, and nothing was done; come back after `Retry-After`",
}
_EXAMPLES = {
    401: (
        "not-authenticated",
        "Not authenticated. Get a token with POST /auth/token, and send it as 'Authorization: Bearer …'.",
    ),
    403: ("forbidden", "Your role may not trigger push task 'stock-report'."),
    404: ("unknown-task", "There is no push task 'stock-report'."),
    409: ("task-paused", "Push task 'stock-report' is paused: it takes no execution. Resume it first."),
    422: ("invalid", "subject: an email needs one"),
    429: ("too-many-requests", "You make more than 300 requests a second. Wait, and use the bulk call for many tasks."),
}
_HEADERS: dict[str, dict[str, Any]] = {
    "Location": {"description": "The path of what was created", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true`: the answer that this Idempotency-Key got before, once more; nothing was done",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {
        "description": "Seconds after which the same request may succeed",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to log in", "schema": {"type": "string"}},
}
_HEADERS_OF_ERRORS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
_LOGIN = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A token of Airflow's: `POST /auth/token` with `username` and `password` gives one.",
}
TASK_EXAMPLE: dict[str, Any] = {
    "code": "stock-report",
    "name": "Stock report",
    "channel": "email",
    "execution": {"type": "loop", "max_executions": 24},
    "schedule": {"kind": "hourly", "minute": 45, "timezone": "Asia/Shanghai"},
    "subject": "Stock of {{ warehouse }}",
    "content": "<p>Dear {{ name | default('colleague') }}, {{ items }} articles are running low.</p>",
    "variables": {"warehouse": "Hangzhou", "items": 3},
    "recipients": ["ops@example.com", {"to": "lilei@example.com", "variables": {"name": "Li Lei", "items": 5}}],
}
TRIGGER_EXAMPLE: dict[str, Any] = {"recipients": ["buyer@example.com"], "variables": {"order": "A-1002"}}
_FIELDS = {
    "code": "Lower-case letters, digits, - and _. The DAG is `push__<code>`. Left out, one is made",
    "name": "Shown to people, in any language",
    "channel": "How it is sent",
    "config": "Connection id of a sender configuration that you may read, or that names the task's `app`; without it, "
    "the channel's default one",
    "execution": "Once, or in a loop; a loop without `max_executions` goes on until it is cancelled",
    "schedule": "When; a schedule begins with its next period",
    "missed": "Times that passed while nothing ran. Without it: `latest` for kinds `now` and `at`, else `skip`",
    "max_active_runs": "Executions of this task at the same time",
    "recipients": "Addresses or mobile numbers, or those with variables of their own. May be empty only for schedule "
    "kind `manual`",
    "variables": "For the templates. A recipient's win over a trigger's, and those over the task's",
    "category": "`service`: somebody waits for it. `marketing`: it may wait, and runs in a pool of its own, so that "
    "the others never wait for it",
    "on_unknown": "What the next try does with deliveries that may or may not have arrived",
    "app": "The application that this is for. Over REST, the caller if left out",
    "owner": "The person that this is for. Over REST, the caller if left out",
    "retries": "Airflow retries of an execution",
    "retry_delay": "Seconds before the first retry; each further one waits longer. Where the provider says how long to "
    "wait, that holds",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a call, for FastAPI's ``responses``."""
    return {status: _error(status) for status in statuses}


def answer(description: str, *headers: str) -> dict[str, Any]:
    """A good answer's description and its headers, for FastAPI's ``responses``."""
    return {"description": description, "headers": {name: _HEADERS[name] for name in headers}}


def _error(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model="ProblemDetails")}}
    if status in _EXAMPLES:
        from push_provider.api.problems import Problem, invalid

        code, detail = _EXAMPLES[status]
        problem = (
            Problem(status, code, detail) if status != 422 else invalid(FieldError("subject", "an email needs one"))
        )
        content["example"] = problem.body()
    headers = [_HEADERS_OF_ERRORS[status]] if status in _HEADERS_OF_ERRORS else []
    return {**answer(_ERRORS[status], *headers), "content": {MEDIA_TYPE: content}}


def body(schema: str, *types: str, required: bool = True) -> dict[str, Any]:
    """The body of a call that reads it through the contract, for FastAPI's ``openapi_extra``."""
    content = {"schema": {"$ref": _REF.format(model=schema)}}
    return {"requestBody": {"required": required, "content": dict.fromkeys(types or ("application/json",), content)}}


def matches(pattern: str, text: str) -> bool:
    """Whether a text has the form that a schema asks for."""
    return re.search(pattern.removesuffix("$") + r"\Z", text) is not None


def describe(app: FastAPI, prefix: str) -> dict[str, Any]:
    """The description of the app.

    :param prefix: where it is mounted, such as ``/push``.
    """
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": prefix}],
        tags=app.openapi_tags,
        license_info=app.license_info,
    )
    open_: list[dict[str, Any]] = []
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods:
                schema["paths"][route.path][method.lower()] |= declared(route.endpoint)
                if not needs_login(route.endpoint):
                    open_.append(schema["paths"][route.path][method.lower()])
    components = schema["components"]
    components["schemas"] |= _contract()
    for model, field, what in (
        ("TaskAnswer", "schedule", "Schedule"),
        ("TaskDetail", "schedule", "Schedule"),
        ("TaskDetail", "task", "PushTask"),
    ):
        said = components["schemas"][model]["properties"][field].get("description")
        components["schemas"][model]["properties"][field] = _ref(what) | ({"description": said} if said else {})
    # Airflow also names OAuth 2's password flow, whose fields its /auth/token refuses.
    components["securitySchemes"] = {"bearer": _LOGIN}
    schema["security"] = [{"bearer": []}]
    for path in schema["paths"].values():
        for operation in path.values():
            operation.pop("security", None)
            # Whoever asks, it is looked up how much they may, which takes the ledger.
            operation["responses"].setdefault("503", _error(503))
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _never_null(parameter["schema"])
                _say_default(parameter, parameter["schema"], required=parameter["required"])
            for content in _contents(operation):
                # A problem has a type of its own, and no other answer has.
                if MEDIA_TYPE in content:
                    content.pop("application/json", None)
    for operation in open_:
        operation["security"] = []
    return schema


def _contents(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [answer.get("content", {}) for answer in operation["responses"].values()]


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter, which is left out and never null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != _NULL]
    if len(kinds) != 1:
        return schema
    return {**kinds[0], **{name: value for name, value in schema.items() if name != "anyOf"}}


def _contract() -> dict[str, Any]:
    """The schemas of what comes in, all derived from the contract."""
    schemas: dict[str, Any] = {}

    def add(model: Any) -> dict[str, Any]:
        schema: dict[str, Any] = model.model_json_schema(ref_template=_REF)
        schemas.update(schema.pop("$defs", {}))
        return schema

    task = _all_tasks(add)
    task["examples"] = [TASK_EXAMPLE]
    trigger = add(Trigger)
    del trigger["properties"]["execution"]  # for DAG runs of executions that were planned before
    trigger["description"] = "Recipients and variables of this execution; left out, the task's own."
    trigger["examples"] = [TRIGGER_EXAMPLE]
    outlook = add(Outlook)
    for name in ("schedule", "execution"):
        outlook["properties"][name]["description"] = _FIELDS[name]
    outlook["properties"]["count"]["description"] = "How many times are wanted"
    outlook["examples"] = [{"schedule": TASK_EXAMPLE["schedule"], "execution": TASK_EXAMPLE["execution"]}]
    token = add(TokenRequest)
    token["examples"] = [{"user": "lilei", "seconds": 600}]
    for model in (*schemas.values(), task, trigger, outlook, token):
        _say_defaults(model)
    schemas["JsonValue"] = {"description": "Any JSON"}
    schemas["Schedule"] = _lift(task["properties"], "schedule")
    _lift(outlook["properties"], "schedule")
    schemas |= {
        "PushTask": task,
        "PushTasks": _object(
            {"tasks": {"type": "array", "minItems": 1, "maxItems": 1000, "items": _ref("PushTask")}}, "tasks"
        ),
        "PushTaskPatch": _patch(task),
        "ExecutionPatch": _partial(_variants(schemas, task["properties"]["execution"]), "type"),
        "SchedulePatch": _partial(_variants(schemas, schemas["Schedule"]), "kind"),
        "Trigger": trigger,
        "Outlook": outlook,
        "TokenRequest": token,
        "PreviewOfTask": _object({"task": _ref("PushTask"), **deepcopy(trigger["properties"])}, "task"),
        "PreviewOfCode": _object({"code": _CODE, **deepcopy(trigger["properties"])}, "code"),
        "PreviewRequest": {
            "oneOf": [_ref("PreviewOfTask"), _ref("PreviewOfCode")],
            "examples": [{"code": "order-notice", **TRIGGER_EXAMPLE}],
        },
        "Redrive": _object({"unknown": {"type": ["boolean", "null"], "description": _UNKNOWN}}),
        "ProblemDetails": ProblemDetails.model_json_schema(mode="serialization", ref_template=_REF),
    }
    schemas |= schemas["ProblemDetails"].pop("$defs")
    schemas["Redrive"]["examples"] = [{"unknown": False}]
    return schemas


def _all_tasks(add: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """One object with the fields of all channels: a document is flat, and ``channel`` says which of them it may have.

    :param add: gives a model's schema, and keeps those that it refers to.
    """
    task = add(PushTask)
    properties = task["properties"]
    for name, field in properties.items():
        field["description"] = _FIELDS[name]
    properties["channel"] |= {"enum": list(registry.names())}
    own: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for channel, spec in registry.specs().items():
        names = registry.own_fields(channel)
        schema = add(registry.task_model(channel)) if names else {}
        for name in names:
            own.setdefault(name, []).append((spec.label, schema["properties"][name]))
    for name, fields in own.items():
        said = [f"{label}: {field.pop('description')}" for label, field in fields if "description" in field]
        kinds: list[dict[str, Any]] = []
        for _, field in fields:
            if field not in kinds:
                kinds.append(field)
        properties[name] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        if said:
            properties[name] = {**properties[name], "description": ". ".join(said)}
    return task


_NULL = {"type": "null"}
_CODE = {"type": "string", "pattern": CODE_PATTERN, "description": "Of a push task that exists"}
_UNKNOWN = "Whether deliveries in doubt are sent again, too. Left out, the task's `on_unknown` says it"


def _say_defaults(model: dict[str, Any]) -> None:
    """Do so with every field."""
    for name, field in model.get("properties", {}).items():
        _say_default(field, field, required=name in model.get("required", ()))


def _say_default(described: dict[str, Any], schema: dict[str, Any], *, required: bool) -> None:
    """Move the default of what comes in from its schema into words.

    To openapi-typescript a field with a default is one that is always there, and openapi-python-client leaves out a
    model that has an object for a default, and sends what today is the default of a parameter.
    """
    default = schema.pop("default", None)
    if default not in (None, [], {}) and not required:
        said = f"{described['description']}. " if "description" in described else ""
        described["description"] = f"{said}Left out: `{json.dumps(default)}`"


def _lift(properties: dict[str, Any], name: str) -> dict[str, Any]:
    """Take the schema of a field out, so that it has a name of its own."""
    schema: dict[str, Any] = properties[name]
    properties[name] = {**_ref(schema["title"]), "description": schema.pop("description")}
    return schema


def _ref(model: str) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model)}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}


def _patch(task: dict[str, Any]) -> dict[str, Any]:
    """Any fields of a task; null takes one back to its default."""
    patch = deepcopy(task)
    del patch["required"]
    patch["properties"] = {name: _nullable(field) for name, field in patch["properties"].items()}
    for name, schema in (("execution", "ExecutionPatch"), ("schedule", "SchedulePatch")):
        patch["properties"][name]["anyOf"] = [_ref(schema), _NULL]  # merged, so that parts of one are enough
    return {
        **patch,
        "title": "PushTaskPatch",
        "description": "A JSON Merge Patch (RFC 7396) of a push task: what is named is replaced, null is the default.",
        "examples": [{"subject": "Stock of {{ warehouse }}, again", "schedule": {"minute": 15}}],
    }


def _nullable(field: dict[str, Any]) -> dict[str, Any]:
    """A field that may also be null."""
    if _NULL in field.get("anyOf", ()):
        return field
    said = {"title", "description"}
    kind = {name: value for name, value in field.items() if name not in said}
    return {**{name: field[name] for name in field.keys() & said}, "anyOf": [kind, _NULL]}


def _variants(schemas: dict[str, Any], union: dict[str, Any]) -> list[dict[str, Any]]:
    return [schemas[one["$ref"].rpartition("/")[2]] for one in union["oneOf"]]


def _partial(variants: Iterable[dict[str, Any]], tag: str) -> dict[str, Any]:
    """The merge patch of a union: any fields of any of its variants.

    :param tag: the field that tells the variants, which cannot be taken away.
    """
    properties: dict[str, Any] = {}
    kinds = []
    for variant in variants:
        for name, field in deepcopy(variant["properties"]).items():
            if name == tag:
                kinds.append(field["const"])
            else:
                properties.setdefault(name, _nullable(field))
    return _object({tag: {"type": "string", "enum": kinds}, **properties})
