"""How long renderings that exceed their limits may hold an execution up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from push_provider.channels.email.content import Content
from push_provider.channels.reading import parse
from push_provider.channels.sms.content import Parameters
from push_provider.content import jinja_scales
from push_provider.content.jinja_scales import Limits
from push_provider.content.patience import LOST_SECONDS, Patience
from push_provider.exceptions import ContentError, LimitExceeded

SLOW = (
    "{% if slow %}{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{% endif %}{{ to }}"
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_others_get_their_messages_until_too_much_time_is_lost() -> None:
    clock = Clock()
    patience = Patience(30, clock=clock)

    def render(seconds: float) -> str:
        clock.now += seconds
        if seconds >= 5:
            raise LimitExceeded("takes longer than 5 s")
        return "made"

    for _ in range(5):
        with pytest.raises(LimitExceeded, match="longer than 5 s"):
            patience.of(render, 5.0)
        for _ in range(100):  # what is slow within its limits costs no patience
            assert patience.of(render, 4.0) == "made"
    with pytest.raises(LimitExceeded, match="longer than 5 s"):
        patience.of(render, 5.0)
    for seconds in (5.0, 0.0):
        with pytest.raises(
            LimitExceeded, match=r"nothing more of this execution.* for 30 s; make the template simpler"
        ):
            patience.of(render, seconds)


def test_other_faults_cost_no_patience() -> None:
    clock = Clock()
    patience = Patience(1, clock=clock)

    def render() -> None:
        clock.now += 60
        raise ContentError("the variable 'name' is missing")

    for _ in range(3):
        with pytest.raises(ContentError, match="missing"):
            patience.of(render)


class Machine:
    """The clocks of a machine, of which a thread gets its part.

    :param part: of the processor's seconds that is the thread's.
    """

    def __init__(self, part: float) -> None:
        self._part = part
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 1
        return self._now

    def thread_time(self) -> float:
        return self.monotonic() * self._part


@pytest.mark.parametrize(("part", "refused"), [(0.01, False), (0.0, False), (0.9, True)])
def test_seconds_that_others_had_are_no_templates_fault(
    part: float, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "{% for i in range(40) %}{{ [i, to]|join }} {% endfor %}"
    task = {"code": "t", "name": "T", "channel": "email", "schedule": {"kind": "manual"}, "subject": "S"}
    mail = Content(parse({**task, "content": content}), {})
    monkeypatch.setattr(jinja_scales, "time", Machine(part))
    if refused:
        with pytest.raises(LimitExceeded, match="takes longer than 5 s"):
            mail.render("a@example.com", {})
    else:
        assert mail.render("a@example.com", {}).text.split()[-1] == "39a@example.com"


@pytest.mark.parametrize("channel", ["email", "sms"])
def test_a_template_that_is_at_fault_costs_its_time_a_few_times_and_not_for_everybody(channel: str) -> None:
    task: dict[str, Any] = {"code": "t", "name": "T", "channel": channel, "schedule": {"kind": "manual"}}
    limits = Limits(seconds=0.05)
    content: Content | Parameters
    if channel == "email":
        content = Content(parse({**task, "subject": "S", "content": SLOW}), {}, limits=limits)
    else:
        content = Parameters(parse({**task, "content": json.dumps({"name": SLOW})}), limits=limits)
    lost = content._patience = Patience(0.2)
    assert lost._left == 0.2
    assert LOST_SECONDS == 30
    told = []
    for number in range(1000):
        with pytest.raises(LimitExceeded) as refused:
            content.render(f"{number}@example.com", {"slow": True})
        told.append("longer than" in str(refused.value))
    assert 1 <= sum(told) <= 4  # of 0.05 s each
    assert not any(told[4:])
    with pytest.raises(LimitExceeded, match="nothing more of this execution is rendered"):
        content.render("a@example.com", {"slow": False})
