"""The app that Airflow's API server mounts at ``/push``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.common.dagbag import create_dag_bag
from fastapi import Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from push_provider import __version__, default_configs
from push_provider.api import (
    access_log,
    changing,
    channels,
    configs,
    deliveries,
    docs,
    email_services,
    executions,
    help_pages,
    injecting,
    large_bodies,
    limits,
    me,
    next_executions,
    page,
    perimeter,
    preview,
    problems,
    receipts,
    rejected,
    stats,
    suppressions,
    tasks,
    triggers,
    websocket_tokens,
)
from push_provider.api.guards import sessions
from push_provider.api.second_server import PassedOn, SecondServer
from push_provider.exceptions import PushError
from push_provider.intake.server_runs import make_missing_runs
from push_provider.ledger.engine import get_engine
from push_provider.reconciling.reconciler import Reconciler
from push_provider.rendering import workers
from push_provider.unforeseen import traceback_of

log = logging.getLogger(__name__)

_DESCRIPTION = """
Push tasks, their executions and their deliveries.

Log in with `POST /auth/token`, and send the token as `Authorization: Bearer …`; in a browser, Airflow's own login
serves as well. You see and change what your role lets you see and change of the tasks' DAGs (`push__<code>`).
Errors are problem details (RFC 9457), and name each broken field.
"""
_TAGS = {
    "Tasks": "Push tasks: what is sent, to whom, when and how often",
    "Executions": "The times that a push task is carried out",
    "Deliveries": "The recipients of executions: who got what",
    "Configurations": "The accounts that send",
    "Rejected messages": "Kafka messages that could not be used",
    "Suppressions": "Addresses that are gone, and get nothing more",
    "Receipts": "Those who got a message say so",
    "WebSocket": "Tokens by which pages and apps connect",
    "Channels": "How messages reach people, and what each channel's forms ask for",
    "Statistics": "Counts over time",
    "Help": "The documentation's pages",
    "Caller": "Who asks, and what they may do",
}
_MISSING_RUNS_SECONDS = 60.0
_RECONCILE_SECONDS = 2.0
_SECOND_SERVER_SECONDS = 60.0
"""After the start, which has more urgent things to do."""
_DEFAULTS_SECONDS = 2.0
"""After which a connection that was marked as the default is the default."""


def create_app(*, second: bool = False) -> FastAPI:
    """The app, with all of its calls.

    :param second: it is that of the second server, which does nothing but answer.
    """
    app = FastAPI(
        title="Push",
        version=__version__,
        description=_DESCRIPTION,
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        openapi_tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        # Clients call their methods by it, so it is that of the call's function and says nothing of its path.
        generate_unique_id_function=lambda route: route.name,
        lifespan=_second_lifespan if second else _lifespan,
        # Its own pages are open to all; ours ask who is there.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    # What the second server is asked was counted by the first one.
    rate = [] if second else [Depends(limits.RateLimit())]
    for module in (
        injecting,
        tasks,
        changing,
        triggers,
        executions,
        deliveries,
        preview,
        next_executions,
        configs,
        email_services,
        channels,
        rejected,
        suppressions,
        stats,
        me,
        help_pages,
        websocket_tokens,
    ):
        app.include_router(module.router, prefix="/v1", dependencies=rate)
    app.include_router(receipts.router, prefix="/v1")  # who acknowledges is not logged in
    app.include_router(docs.router)
    app.include_router(page.router)
    problems.register(app, login=docs.login)
    app.add_exception_handler(PassedOn, _passed_on)
    app.add_middleware(limits.BodyLimit)
    app.add_middleware(access_log.PrivateQuery)
    app.add_middleware(perimeter.OwnOrigin)
    app.add_middleware(perimeter.ForEverySite)
    return app


async def _passed_on(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PassedOn)
    return error.response


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    second = app.state.second_server = SecondServer()

    def missing_runs() -> None:
        """Of executions whose process died before it could make them."""
        make_missing_runs(get_engine(), triggers.runs(app))

    async def second_server() -> None:
        await asyncio.sleep(_SECOND_SERVER_SECONDS)
        large_bodies.keep_what_is_there()  # by now also what only the first requests have imported
        await run_in_threadpool(second.start)

    upkeep = (
        _repeat(_MISSING_RUNS_SECONDS, "Executions that wait for a DAG run", missing_runs),
        _repeat(_DEFAULTS_SECONDS, "The default configurations", default_configs.Watch(sessions)),
        _repeat(_RECONCILE_SECONDS, "Differences between Airflow and the ledger", Reconciler(get_engine, sessions)),
        second_server(),
    )
    async with _second_lifespan(app):
        works = [asyncio.create_task(work) for work in upkeep]
        yield
        for work in works:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
        await second.close()


@contextlib.asynccontextmanager
async def _second_lifespan(app: FastAPI) -> AsyncIterator[None]:
    large_bodies.take_short_turns()
    # Airflow's own dependencies look for these in the app that they are used in.
    app.state.auth_manager = get_auth_manager()
    app.state.dag_bag = create_dag_bag()
    await run_in_threadpool(workers.start)
    large_bodies.keep_what_is_there()
    yield
    await run_in_threadpool(workers.close)


async def _repeat(seconds: float, what: str, work: Callable[[], object]) -> None:
    """Do something now and then, in a thread.

    :param what: is looked for; it is said once if it cannot be, and for what reason.
    """
    said = ""
    while True:
        try:
            await run_in_threadpool(work)
            said = ""
        except PushError as error:
            if str(error) != said:
                log.warning("%s could not be looked for: %s", what, error)
            said = str(error)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            if repr(error) != said:
                log.error("%s could not be looked for:\n%s", what, traceback_of(error))
            said = repr(error)
        await asyncio.sleep(seconds)
