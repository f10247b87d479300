"""The ledger against a model of it in memory: whatever happens in whatever order, both agree."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_desk import Desk

from push_provider.channels.base import Delivery, Result
from push_provider.channels.reading import parse_trigger
from push_provider.exceptions import ExecutionBusy, TaskClosed
from push_provider.ledger import closing, deliveries, executions, tasks

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.ledger.plans import Plan

ENDED = ("succeeded", "partial", "failed", "cancelled")
RECORDED = {Result.SENT: "sent", Result.FAILED: "failed", Result.RETRY: "pending", Result.UNKNOWN: "unknown"}


@dataclass
class Execution:
    """What the ledger should say of one execution."""

    plan: Plan
    states: list[str]
    state: str = "planned"
    claimed: list[Delivery] = field(default_factory=list)
    sent: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    """Those that may have arrived by an earlier try than the next, or the present one."""
    taken: ExitStack | None = None

    def move(self, before: str, after: str) -> None:
        self.states = [after if state == before else state for state in self.states]

    def reopen(self, before: str) -> None:
        self.doubtful |= {index for index, state in enumerate(self.states) if state == before}
        self.move(before, "pending")

    def settle(self, after: str) -> int:
        """Nothing pending is sent any more; returns how many are ``after``."""
        waiting = [index for index, state in enumerate(self.states) if state == "pending"]
        for index in waiting:
            self.states[index] = "unknown" if index in self.doubtful else after
        return len(set(waiting) - self.doubtful)

    def end(self) -> str:
        if "cancelled" in self.states and not {"failed", "unknown"} & set(self.states):
            return "cancelled"
        if set(self.states) == {"sent"}:
            return "succeeded"
        return "partial" if {"sent", "unknown"} & set(self.states) else "failed"


class Ledger(RuleBasedStateMachine):
    """One push task, and everything that may be done with it."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(self.engine)
        self.desk.apply(execution={"type": "loop", "max_executions": 2})
        self.limit: int | None = 2
        self.cancelled = False
        self.executions: list[Execution] = []
        self.keys: dict[str, Execution] = {}

    def teardown(self) -> None:
        for each in self.executions:
            if each.taken:
                each.taken.close()

    def one_taken(self, data: st.DataObject) -> Execution:
        return data.draw(st.sampled_from([each for each in self.executions if each.taken]))

    def any_taken(self) -> bool:
        return any(each.taken for each in self.executions)

    @rule(limit=st.none() | st.integers(1, 5), name=st.sampled_from("AB"))
    def apply(self, limit: int | None, name: str) -> None:
        execution = {"type": "loop", "max_executions": limit}
        if self.cancelled:
            with pytest.raises(TaskClosed):
                self.desk.apply(execution=execution, name=name)
            return
        unchanged = self.desk.apply(execution=execution, name=name).action == "unchanged"
        if not unchanged:
            self.limit = None if limit is None else max(limit, len(self.executions))

    @initialize(people=st.integers(2, 4))
    def begin(self, people: int) -> None:
        self.plan(people, None)

    @rule(people=st.integers(1, 4), key=st.none() | st.sampled_from(["k1", "k2"]))
    def plan_another(self, people: int, key: str | None) -> None:
        self.plan(people, key)

    def plan(self, people: int, key: str | None) -> None:
        trigger = parse_trigger({"recipients": [f"u{n}@example.com" for n in range(people)]}, channel="email")
        if key in self.keys:
            again = self.desk.plan(trigger=trigger, key=key)
            assert again == self.keys[key].plan._replace(new=False)  # type: ignore[index]
        elif self.cancelled or len(self.executions) == self.limit:
            with pytest.raises(TaskClosed):
                self.desk.plan(trigger=trigger, key=key)
        else:
            plan = self.desk.plan(trigger=trigger, key=key)
            assert (plan.number, plan.total) == (len(self.executions) + 1, people)
            self.executions.append(Execution(plan, ["pending"] * people))
            if key:
                self.keys[key] = self.executions[-1]

    @precondition(lambda self: self.executions)
    @rule(data=st.data(), on_unknown=st.sampled_from(["resend", "hold"]))
    def take(self, data: st.DataObject, on_unknown: str) -> None:
        """A process begins, retries or was cleared."""
        it = data.draw(st.sampled_from(self.executions))
        if it.taken:
            with pytest.raises(ExecutionBusy), self.desk.sending(it.plan):
                pytest.fail("taken twice")
            return
        it.taken = ExitStack()
        it.taken.enter_context(self.desk.sending(it.plan, on_unknown))
        it.claimed = []
        if self.cancelled:
            it.move("sending", "unknown")
            it.settle("cancelled")
            return
        if on_unknown == "resend":
            it.reopen("sending")
            it.reopen("unknown")
        it.move("sending", "unknown")
        if it.state in ("failed", "partial"):
            it.move("failed", "pending")
        it.state = "running"

    @precondition(any_taken)
    @rule(data=st.data(), limit=st.integers(1, 3))
    def claim(self, data: st.DataObject, limit: int) -> None:
        it = self.one_taken(data)
        waiting = [index for index, state in enumerate(it.states) if state == "pending"][:limit]
        got = self.desk.claim(it.plan, limit)
        assert [delivery.to for delivery in got] == [f"u{index}@example.com" for index in waiting]
        assert not it.sent & {delivery.id for delivery in got}
        it.claimed += got
        for index in waiting:
            it.states[index] = "sending"

    @precondition(lambda self: any(each.taken and each.claimed for each in self.executions))
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        it = data.draw(st.sampled_from([each for each in self.executions if each.taken and each.claimed]))
        results = data.draw(st.lists(st.sampled_from(Result), min_size=len(it.claimed), max_size=len(it.claimed)))
        self.desk.record(it.plan, it.claimed, *results)
        for delivery, result in zip(it.claimed, results, strict=True):
            it.states[int(delivery.to[1])] = RECORDED[result]
            if result is not Result.RETRY:
                it.doubtful.discard(int(delivery.to[1]))
            if result is Result.SENT:
                it.sent.add(delivery.id)
        it.claimed = []

    @precondition(any_taken)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """The process is gone, and nothing that it claimed is recorded."""
        it = self.one_taken(data)
        assert it.taken is not None
        it.taken.close()
        it.taken = None

    @precondition(any_taken)
    @rule(data=st.data(), final=st.booleans())
    def finish(self, data: st.DataObject, final: bool) -> None:
        it = self.one_taken(data)
        assert it.taken is not None
        counts = closing.finish(self.engine, it.plan.id, final=final)
        it.taken.close()
        it.taken = None
        if self.cancelled:
            it.settle("cancelled")
        if self.cancelled or final:
            it.move("sending", "unknown")
        if final:
            it.settle("failed")
        if not {"pending", "sending"} & set(it.states):
            it.state = it.end()
        assert counts.total == len(it.states)
        assert counts.total == counts.sent + counts.failed + counts.unknown + counts.cancelled + counts.pending
        assert counts.pending == 0 or not (final or self.cancelled)

    @rule()
    def cancel(self) -> None:
        expected = 0
        for it in self.executions:
            if it.state not in ENDED:
                expected += it.settle("cancelled")
            if it.state == "planned":
                it.state = "cancelled"
        assert tasks.cancel(self.engine, self.desk.code) == expected
        self.cancelled = True

    @invariant()
    def ledger_and_model_agree(self) -> None:
        row = tasks.get(self.engine, self.desk.code)
        assert (row.executions, row.max_executions) == (len(self.executions), self.limit)
        assert self.limit is None or row.executions <= self.limit
        assert row.status == self.status()
        listed = {each.id: each for each in executions.find(self.engine, task=self.desk.code)}
        assert len(listed) == len(self.executions)
        states: dict[int, list[str]] = {}
        for delivery in deliveries.find(self.engine, task=self.desk.code, limit=1000)[::-1]:
            states.setdefault(delivery.execution_id, []).append(delivery.state.value)
        for it in self.executions:
            known = listed[it.plan.id]
            assert (known.state, states[known.id]) == (it.state, it.states)
            assert (known.finished_at is not None) == (it.state in ENDED)
            if it.state in ENDED:
                assert not {"pending", "sending"} & set(it.states)
                assert known.total == known.sent + known.failed + known.unknown + known.cancelled

    def status(self) -> str:
        if self.cancelled:
            return "cancelled"
        if any(it.state not in ENDED for it in self.executions):
            return "running"
        if not self.executions:
            return "pending"
        if len(self.executions) != self.limit:
            return "active"
        return "finished" if self.executions[-1].state == "succeeded" else "failed"


@pytest.mark.slow
def test_the_ledger_agrees_with_its_model(shared: Engine) -> None:
    machine = type("LedgerModel", (Ledger,), {"engine": shared})
    bounded = settings(
        max_examples=60,
        stateful_step_count=25,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a failure is at most 25 steps long; to shorten it takes minutes
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=bounded)
