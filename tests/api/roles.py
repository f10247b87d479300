"""Calls, roles and effects: what each must answer follows from what the API declares, and how each call is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from api_server import task

if TYPE_CHECKING:
    from api_server import Answer, ApiServer

_VIEWER = {"read"}
_USER = _VIEWER | {"edit", "run", "delete"}
_OP = _USER | {"read configurations", "edit configurations", "test configurations"}
# What each of Airflow's roles may do to DAGs and connections; nobody is not even logged in.
_ANY = _OP | {"write any app", "make tokens"}
RIGHTS: dict[str, set[str] | None] = {"nobody": None, "viewer": _VIEWER, "user": _USER, "op": _OP, "admin": _ANY}
FAB_RIGHTS = RIGHTS | {"editor": {"read", "edit"}}
"""Airflow's FAB auth manager lets one make roles of one's own: an editor may edit every DAG, and run none."""
# Answers to those who may, where several are described, or things stand otherwise.
_GOOD = {
    "POST /tasks": 201,
    "POST /executions/{execution}/redrive": 409,  # it is still under way
    "POST /receipts/{token}": 404,  # a link that nobody made
    "GET /push/docs": 200,
    "GET /push/openapi.json": 200,
}
_VARIANTS = {
    "POST /tasks?dry_run=true": ("POST /tasks", 200),
    "GET /deliveries (csv)": ("GET /deliveries", 200),
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


CONNECTIONS = (
    CONFIG,
    # Airflow's own type, which nobody made for pushes, and one that is no mail account at all.
    {"connection_id": "ceo", "conn_type": "smtp", "host": "mail.example.com", "login": "ceo@example.com"},
    {"connection_id": "books", "conn_type": "postgres", "login": "books", "extra": '{"apps": "*"}'},
    {"connection_id": "shop-mail", "conn_type": "push_email", "extra": '{"apps": "shop, bi"}', "login": "s@shop.cn"},
    {
        "connection_id": "push_centrifugo_default",
        "conn_type": "push_centrifugo",
        "password": "key",
        "extra": '{"address": "https://live.example.com", "token_secret": "a secret of the tests, which is long"}',
    },
    {"connection_id": "crm-mail", "conn_type": "push_email", "extra": '{"apps": "crm"}', "login": "s@crm.cn"},
)


class Case(NamedTuple):
    """What a push task does, and who may have it done.

    :param fields: of the task.
    :param takes: right that it takes; None if everybody may who may make the call.
    """

    effect: str
    fields: dict[str, Any]
    takes: str | None = None
    refusal: int = 403


NOBODY = "a right that nobody has"
CASES = (
    Case("config", {}),
    Case("config", {"config": "ceo"}, "read configurations"),
    Case("config", {"config": "no-such"}, "read configurations"),
    Case("config", {"config": "books", "app": "shop"}, "read configurations"),
    Case("config", {"config": "crm-mail", "app": "shop"}, "read configurations"),
    Case("config", {"config": "shop-mail", "app": "shop"}),
    *(
        Case("attachments", {"app": "shop", "attachments": [path]}, NOBODY, 422)
        for path in ("attachments/crm/customers.csv", "templates/base.html", "tasks/welcome.yaml")
    ),
    Case("app", {"app": "crm"}, "write any app"),
    Case("owner", {"owner": "Li Lei"}, "write any app"),
    Case("begin", {"schedule": {"kind": "daily", "time": "09:00"}}, "run"),
)


class Call:
    """What one call takes and answers.

    :param rights: it takes all of them.
    :param effects: that are asked for.
    :param good: the status for those who may.
    :param login: whether anybody must be logged in.
    """

    def __init__(self, rights: list[str], effects: list[str], good: int, *, login: bool = True) -> None:
        self.login = login
        self.rights = set(rights)
        self.effects = set(effects)
        self.good = good

    def expected(self, rights: set[str] | None) -> int:
        """The status for somebody with these rights."""
        if not self.login:
            return self.good
        if rights is None:
            return 401
        return self.good if self.rights <= rights else 403


class Setting:
    """What the calls are made on.

    :param code: a task whose DAG is known, with an execution under way.
    :param execution: that execution.
    :param message: a rejected message that starts one.
    :param calls: all calls by their names, as the API declares them.
    """

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.code = server.create(known=True, app="shop")
        begun = server.push("POST", f"/tasks/{self.code}/trigger")
        assert begun.status == 202, begun
        self.execution = begun.json["execution"]
        self.message = server.reject({"task": self.code}, self.code)
        for connection in CONNECTIONS:
            server.call("POST", "/api/v2/connections", connection)
        self.calls = _declared(server)

    def deviations(self, rights: dict[str, set[str] | None]) -> dict[tuple[str, str], tuple[int, int]]:
        """Call and role of which the answer is not what is declared: what is, and what should be."""
        found = {}
        for name, call in self.calls.items():
            for role, theirs in rights.items():
                answer = self.call(name, role)
                if answer.status != call.expected(theirs):
                    found[name, role] = answer.status, call.expected(theirs)
                if answer.status >= 400:
                    assert answer.headers["content-type"] == "application/problem+json", (name, role)
                    assert answer.json["status"] == answer.status
        return found

    def rights_told(self, rights: dict[str, set[str] | None]) -> dict[str, tuple[set[str], set[str]]]:
        """Role whose rights are not told as they are: those told, and those that it has."""
        declared = set().union(*(call.rights for call in self.calls.values()))
        found = {}
        for role, theirs in rights.items():
            if theirs is None:
                continue
            me = self.server.push("GET", "/me", role=role).json
            assert me["name"] == role
            if set(me["rights"]) != theirs & declared:
                found[role] = set(me["rights"]), theirs & declared
        return found

    def deviations_of_effects(self, rights: dict[str, set[str] | None]) -> dict[tuple[str, str, str], tuple[int, int]]:
        """The same of call, role and what a task does, for all calls that bring tasks in."""
        found = {}
        for name, call in self.calls.items():
            if not call.effects:
                continue
            for role, theirs in rights.items():
                # A preview of a task that is none yet takes what injecting it takes.
                if theirs is None or not call.rights | {"edit"} <= theirs:
                    continue
                for case in CASES:
                    allowed = case.effect not in call.effects or case.takes is None or case.takes in theirs
                    expected = call.good if allowed else case.refusal
                    if (status := self.bring(name, role, case.fields)) != expected:
                        found[name, role, str(case)] = status, expected
        return found

    def bring(self, name: str, role: str, fields: dict[str, Any]) -> int:
        """Bring a task in by a call; the status, of a bulk call the task's own unless that is good."""
        method, path = name.split(" ", 1)
        body: dict[str, Any] = task(**fields)
        if "{code}" in path:
            path = path.format(code=self.server.create(app="shop"))
            body = fields
        elif "bulk" in path:
            body = {"tasks": [body]}
        elif "preview" in path:
            body = {"task": body}
        elif "{message}" in path:
            defined = {**body, "app": "shop", "owner": role, **fields}
            path, body = path.format(message=self.server.reject({"define": defined}, body["code"])), None
        answer = self.server.push(method, path, body, role=role)
        if "bulk" in path and (status := answer.json["items"][0]["status"]) != 201:
            return int(status)
        return answer.status

    def call(self, name: str, role: str) -> Answer:
        method, path = name.removesuffix(" (csv)").split(" ", 1)
        if not path.startswith("/push"):
            path = f"/push/v1{path}"
        alone = ("PATCH", "DELETE", "cancel")
        code = self.server.create(app="shop") if any(word in name for word in alone) else self.code
        path = path.format(
            code=code,
            execution=self.execution,
            config="push_email_default",
            message=self.message,
            suppression=self.server.suppress(self.code) if "{suppression}" in path else None,
            page="concepts",
            token="A" * 32,
        )
        body: Any = None
        if path.startswith("/push/v1/tasks/bulk"):
            body = {"tasks": [task()]}
        elif path.startswith("/push/v1/tasks?") or path.endswith("/tasks"):
            body = task() if method == "POST" else None
        elif method == "PATCH":
            body = {"subject": "Other"}
        elif "preview" in path:
            body = {"code": self.code}
        elif "next-executions" in path:
            body = {}
        elif "tokens" in path:
            body = {"user": "lilei"}
        headers = {"Accept": "text/csv"} if "csv" in name else {}
        return self.server.call(method, path, body, role=None if role == "nobody" else role, headers=headers)


def _declared(server: ApiServer) -> dict[str, Call]:
    undescribed = ("docs", "openapi.json", "v1/help/pictures/trigger.png")
    calls = {f"GET /push/{page}": Call([], [], 200) for page in undescribed}
    for path, methods in server.call("GET", "/push/openapi.json").json["paths"].items():
        for method, described in methods.items():
            name = f"{method.upper()} {path.removeprefix('/v1')}"
            good = _GOOD.get(name) or min(int(status) for status in described["responses"])
            login = described.get("security") != []
            calls[name] = Call(described["x-rights"], described["x-effects"], good, login=login)
    return calls | {
        name: Call([*calls[base].rights], [*calls[base].effects], good) for name, (base, good) in _VARIANTS.items()
    }
