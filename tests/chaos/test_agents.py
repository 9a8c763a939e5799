"""The checker of updates of agents: what it lets pass, and what not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.chaos.agents import MachineFact, UpdateFact, check_agents


def update(start: float, end: float, *, succeeded: bool = True) -> UpdateFact:
    return UpdateFact(f"job-{start:.0f}", start, end, succeeded)


def machine(*updates: UpdateFact, name: str = "vm", **more: Any) -> MachineFact:
    return MachineFact(name, updates, **{"aged": (), **more})


@pytest.mark.parametrize(
    "fact",
    [
        machine(),
        machine(update(1, 2)),
        machine(update(1, 2, succeeded=False), update(3, 4)),
        machine(update(1, math.inf, succeeded=False)),
        machine(update(1, 2), update(6, 7), aged=[(4, 5)]),
        machine(update(1, 4), update(6, 7), aged=[(3, 5)]),
    ],
    ids=["never", "once", "again after a failure", "never ends", "again when it is behind", "behind at about the end"],
)
def test_an_update_of_an_agent_that_is_behind_is_right(fact: MachineFact) -> None:
    assert check_agents([fact], 1) == []


@pytest.mark.parametrize(
    "fact",
    [
        machine(update(1, 2), update(3, 4)),
        machine(update(1, 6), update(7, 8), aged=[(4, 5)]),
        machine(update(1, 2, succeeded=False), update(3, 4), update(5, 6)),
    ],
    ids=["twice", "what fell behind in mid-update is updated with it", "again after a success"],
)
def test_an_update_of_an_agent_that_is_current_has_no_cause(fact: MachineFact) -> None:
    job = fact.updates[-1]
    assert check_agents([fact], 1) == [f"vm: job {job.name} of {job.start:.1f} updated an agent that was current"]


def test_an_update_while_another_one_runs_is_wrong_also_when_the_service_refuses_it() -> None:
    assert check_agents([machine(refused=1)], 1) == ["vm: 1 updates were asked for while one ran"]


def test_no_more_run_at_once_than_the_resource_allows() -> None:
    machines = [machine(update(start, start + 5), name=f"vm-{start}") for start in (1, 3, 5, 6)]

    assert check_agents(machines, 3) == []
    assert check_agents(machines, 2) == ["3 updates of agents at once: maxConcurrent is 2"]
