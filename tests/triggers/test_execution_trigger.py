"""The trigger that waits for the end of an execution, on a real ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from other_dags import context, send

from push_provider.channels.base import Result
from push_provider.operators.begin import PushOperator
from push_provider.triggers.execution import PushExecutionTrigger

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.usefixtures("notice")


async def payload(trigger: PushExecutionTrigger) -> Any:
    return (await asyncio.wait_for(anext(trigger.run()), 30)).payload


def test_it_is_stored_and_made_again() -> None:
    path, arguments = PushExecutionTrigger(execution=4711, poll_seconds=0.5).serialize()
    assert path == "push_provider.triggers.execution.PushExecutionTrigger"
    assert PushExecutionTrigger(**arguments).serialize() == (path, arguments)


def test_it_fires_for_an_execution_that_is_gone() -> None:
    assert asyncio.run(payload(PushExecutionTrigger(execution=4711, poll_seconds=1))) == {"execution": 4711}


def test_it_waits_while_the_ledger_is_away(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = PushOperator(task_id="tell", push_task="notice", recipients=["a@example.com"]).execute(context())
    send(ledger, begun["execution"], Result.SENT)
    url = ledger.url.render_as_string(hide_password=False)

    async def away_and_back() -> Any:
        tried = asyncio.Semaphore(0)

        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            tried.release()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            monkeypatch.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", f"postgresql+psycopg://nobody@127.0.0.1:{port}/none")
            trigger = PushExecutionTrigger(execution=begun["execution"], poll_seconds=0.01)
            wait = asyncio.ensure_future(payload(trigger))
            for _ in range(3):
                await asyncio.wait_for(tried.acquire(), 30)
            assert not wait.done()
            monkeypatch.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", url)
            return await wait

    assert asyncio.run(away_and_back()) == {"execution": begun["execution"]}
