"""The table of calls, roles and statuses, and how each call is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api_server import task

if TYPE_CHECKING:
    from api_server import Answer, ApiServer

ROLES = ("nobody", "viewer", "user", "op", "admin")
READS = (401, 200, 200, 200, 200)
# By role: nobody, viewer, user, op, admin. What a role may do is Airflow's own rule for DAGs and connections.
CALLS: dict[str, tuple[int, ...]] = {
    "GET /tasks": READS,
    "POST /tasks": (401, 403, 201, 201, 201),
    "POST /tasks?dry_run=true": (401, 403, 200, 200, 200),
    "POST /tasks/bulk": (401, 403, 200, 200, 200),
    "GET /tasks/{code}": READS,
    "PATCH /tasks/{code}": (401, 403, 200, 200, 200),
    "DELETE /tasks/{code}": (401, 403, 204, 204, 204),
    "POST /tasks/{code}/trigger": (401, 403, 202, 202, 202),
    "POST /tasks/{code}/pause": (401, 403, 200, 200, 200),
    "POST /tasks/{code}/resume": (401, 403, 200, 200, 200),
    "POST /tasks/{code}/cancel": (401, 403, 200, 200, 200),
    "GET /executions": READS,
    "GET /executions/{execution}": READS,
    "POST /executions/{execution}/redrive": (401, 403, 409, 409, 409),  # it is still under way
    "GET /deliveries": READS,
    "GET /deliveries (csv)": READS,
    "POST /preview": READS,
    "GET /configs": (401, 403, 403, 200, 200),
    "PUT /configs/{config}/default": (401, 403, 403, 204, 204),
    "POST /configs/{config}/test": (401, 403, 403, 200, 200),
    "GET /email-services": READS,
    "GET /stats": READS,
    "GET /push/docs": READS,
    "GET /push/openapi.json": READS,
}
CONFIG = {
    "connection_id": "push_email_default",
    "conn_type": "push_email",
    "host": "127.0.0.1",
    "port": 1,
    "login": "push@example.com",
    "password": "open sesame",
    "extra": '{"ignore_tls": true, "from_name": "Push"}',
}


class Setting:
    """What the calls are made on.

    :param code: a task whose DAG is known, with an execution under way.
    :param execution: that execution.
    """

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.code = server.create(known=True)
        begun = server.push("POST", f"/tasks/{self.code}/trigger")
        assert begun.status == 202, begun
        self.execution = begun.json["execution"]
        server.call("POST", "/api/v2/connections", CONFIG)

    def call(self, name: str, role: str) -> Answer:
        method, path = name.removesuffix(" (csv)").split(" ", 1)
        if not path.startswith("/push"):
            path = f"/push/v1{path}"
        alone = ("PATCH", "DELETE", "cancel")
        code = self.server.create() if any(word in name for word in alone) else self.code
        path = path.format(code=code, execution=self.execution, config="push_email_default")
        body: Any = None
        if path.startswith("/push/v1/tasks/bulk"):
            body = {"tasks": [task()]}
        elif path.startswith("/push/v1/tasks?") or path.endswith("/tasks"):
            body = task() if method == "POST" else None
        elif method == "PATCH":
            body = {"subject": "Other"}
        elif "preview" in path:
            body = {"code": self.code}
        headers = {"Accept": "text/csv"} if "csv" in name else {}
        return self.server.call(method, path, body, role=None if role == "nobody" else role, headers=headers)
