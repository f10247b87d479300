"""The calls of the docs, and some more, with a client of openapi-python-client; prints what was asked and seen.

Its arguments are the address of the API and a token.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

from push_client.api.caller import get_me
from push_client.api.channels import list_channels
from push_client.api.deliveries import list_deliveries
from push_client.api.executions import list_executions
from push_client.api.help_ import get_help
from push_client.api.rejected_messages import list_rejected
from push_client.api.tasks import (
    cancel_task,
    change_task,
    create_task,
    create_tasks,
    delete_task,
    list_next_executions,
    preview_message,
    trigger_task,
)
from push_client.client import AuthenticatedClient
from push_client.models import (
    Begun,
    BulkAnswer,
    Channels,
    DeliveryPage,
    DryRun,
    ExecutionPage,
    ExecutionPatch,
    GetHelpLanguage,
    HelpPage,
    Hourly,
    Loop,
    Manual,
    Me,
    NextExecutions,
    Outlook,
    PreviewAnswer,
    PreviewOfCode,
    PreviewOfCodeVariables,
    PreviewOfTask,
    PreviewOfTaskVariables,
    ProblemDetails,
    PushTask,
    PushTaskChannel,
    PushTaskPatch,
    PushTasks,
    RejectedPage,
    Right,
    SchedulePatch,
    SchedulePatchKind,
    TaskAnswer,
    TaskDetail,
    Trigger,
    TriggerVariables,
)

if TYPE_CHECKING:
    import httpx

Model = TypeVar("Model")
requests: list[Any] = []


def record(request: httpx.Request) -> None:
    key = request.headers.get("Idempotency-Key")
    requests.append(
        [request.method, request.url.raw_path.decode(), key, json.loads(request.content) if request.content else None]
    )


def must(kind: type[Model], answer: object) -> Model:
    assert isinstance(answer, kind), answer
    return answer


def trigger(client: AuthenticatedClient) -> Begun:
    deadline = time.monotonic() + 60
    while True:
        answer = trigger_task.sync_detailed(
            "price-alarm",
            client=client,
            idempotency_key="tea-12",
            body=Trigger(
                recipients=["hanmeimei@example.com"],
                variables=TriggerVariables.from_dict({"article": "Tea", "price": 12}),
            ),
        )
        # The DAG of a new task takes a moment; the same key begins nothing twice.
        if answer.status_code != 503 or time.monotonic() > deadline:
            return must(Begun, answer.parsed)


def task(subject: str = "{{ article }} is cheaper", channel: PushTaskChannel = PushTaskChannel.EMAIL) -> PushTask:
    return PushTask(
        code="price-alarm",
        name="Price alarm",
        channel=channel,
        schedule=Manual(kind="manual"),
        execution=Loop(type_="loop"),
        subject=subject,
        content="{{ article }} costs {{ price }} now.",
        recipients=["buyer@example.com"],
    )


url, token = sys.argv[1:]
recorded = AuthenticatedClient(url, token, httpx_args={"event_hooks": {"request": [record]}})
created = create_task.sync_detailed(client=recorded, idempotency_key="price-alarm", body=task())
begun = trigger(recorded)
executions = must(ExecutionPage, list_executions.sync(client=recorded, task="price-alarm"))
deliveries = must(DeliveryPage, list_deliveries.sync(client=recorded, task="price-alarm"))

client = AuthenticatedClient(url, token)
patch = PushTaskPatch(
    subject="Cheaper",
    schedule=SchedulePatch(kind=SchedulePatchKind.HOURLY, minute=45),
    execution=ExecutionPatch(max_executions=24),
)
patched = must(TaskDetail, change_task.sync("price-alarm", client=client, body=patch))
by_code = PreviewOfCode("price-alarm", variables=PreviewOfCodeVariables.from_dict({"article": "Tea", "price": 9}))
by_task = PreviewOfTask(task("New"), variables=PreviewOfTaskVariables.from_dict({"article": "Tea", "price": 9}))
of_code, of_task = (must(PreviewAnswer, preview_message.sync(client=client, body=body)) for body in (by_code, by_task))
sms = PushTask("Dry", PushTaskChannel.SMS, recipients=["13800138000"], content='{"name": "Wei"}')
dry = must(PreviewAnswer, must(DryRun, create_task.sync(client=client, body=sms, dry_run=True)).preview)
bulk = must(BulkAnswer, create_tasks.sync(client=client, body=PushTasks([task(channel=PushTaskChannel.SMS)])))
csv = client.get_httpx_client().get("/v1/deliveries?task=price-alarm", headers={"Accept": "text/csv"}).text
wrong = PushTask("Wrong", PushTaskChannel.EMAIL, recipients=["nobody"])
refused = must(ProblemDetails, create_task.sync(client=client, body=wrong))
me = must(Me, get_me.sync(client=client))
channels = must(Channels, list_channels.sync(client=client))
outlook = Outlook(schedule=Hourly(kind="hourly", minute=45), execution=Loop(type_="loop"), count=2)
following = must(NextExecutions, list_next_executions.sync(client=client, body=outlook))
rejected = must(RejectedPage, list_rejected.sync(client=client, task="price-alarm"))
page = must(HelpPage, get_help.sync("sms", client=client, language=GetHelpLanguage.ZH_CN))
cancel_task.sync("price-alarm", client=client)
deleted = delete_task.sync_detailed("price-alarm", client=client, purge=True)

print(
    json.dumps(
        {
            "requests": requests,
            "seen": {
                "created": created.status_code,
                "code": must(TaskAnswer, created.parsed).code,
                "number": begun.number,
                "executions": [[one.id == begun.execution, one.source, one.total] for one in executions.items],
                "deliveries": [[one.recipient, one.state] for one in deliveries.items],
                "patched": [patched.subject, must(Hourly, patched.task.schedule).minute, patched.max_executions],
                "previews": [of_code.subject, of_task.subject, of_task.html],
                "dry": dry.to_dict()["parameters"],
                "bulk": [
                    [one.status, [error.field for error in must(ProblemDetails, one.problem).errors]]
                    for one in bulk.items
                ],
                "csv": csv.split("\r\n")[1].split(",")[3],
                "refused": [refused.status, [error.field for error in refused.errors]],
                "may": Right.EDIT in me.rights,
                "channels": [
                    [one.name, one.fields[0].name, one.connection_types[0].fields[0].secret] for one in channels.items
                ],
                "next": [len(following.items), following.ends],
                "rejected": len(rejected.items),
                "help": page.title,
                "deleted": deleted.status_code,
            },
        }
    )
)
