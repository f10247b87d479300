"""The app that Airflow's API server mounts at ``/push``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.common.dagbag import create_dag_bag
from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool

from push_provider import __version__
from push_provider.api import (
    configs,
    deliveries,
    docs,
    email_services,
    executions,
    limits,
    preview,
    problems,
    stats,
    tasks,
    triggers,
)
from push_provider.exceptions import PushError
from push_provider.triggering import make_missing_runs

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
    "Statistics": "Counts over time",
}
_MISSING_RUNS_SECONDS = 60.0


def create_app() -> FastAPI:
    """The app, with all of its calls."""
    app = FastAPI(
        title="Push",
        version=__version__,
        description=_DESCRIPTION,
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        openapi_tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        # Clients call their methods by it, so it is that of the call's function and says nothing of its path.
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
        # Its own pages are open to all; ours ask who is there.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    rate = Depends(limits.RateLimit())
    for module in (tasks, triggers, executions, deliveries, preview, configs, email_services, stats):
        app.include_router(module.router, prefix="/v1", dependencies=[rate])
    app.include_router(docs.router)
    problems.register(app, login=docs.login)
    app.add_middleware(limits.BodyLimit)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Airflow's own dependencies look for these in the app that they are used in.
    app.state.auth_manager = get_auth_manager()
    app.state.dag_bag = create_dag_bag()
    upkeep = asyncio.create_task(_make_missing_runs(app))
    yield
    upkeep.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await upkeep


async def _make_missing_runs(app: FastAPI) -> None:
    """Now and then make the runs of executions whose process died before it could."""
    while True:
        try:
            await run_in_threadpool(make_missing_runs, triggers.starter(app, None))
        except PushError as error:
            log.warning("Executions that wait for a DAG run could not be looked for: %s", error)
        except Exception:
            log.exception("Executions that wait for a DAG run could not be looked for")
        await asyncio.sleep(_MISSING_RUNS_SECONDS)
