"""What is told of a look that waits behind a pause of Azure: once a pause, and only where somebody waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.unit.builders import NOW, resource
from vault_autoupdate.controller.looking import Looking
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.report.readiness import Readiness, pause_until
from vault_autoupdate.report.values import format_time

READY = [{"type": "Ready", "status": "True", "reason": "Compliant", "message": "All is well."}]


@dataclass
class Tracked:
    """As much of a resource as is asked."""

    generation: int = 1
    requested_at: str | None = None
    status: dict[str, Any] = field(default_factory=dict)
    state: VaultState = field(default_factory=VaultState)


@dataclass
class Told:
    """What was told, and the pause that there is."""

    words: list[Readiness] = field(default_factory=list)
    pause: timedelta = timedelta()

    async def tell_progress(self, tracked: Tracked, current: Readiness, *, emit: bool) -> None:
        assert not emit, "no Event about it"
        self.words.append(current)
        tracked.status["observedGeneration"] = tracked.generation


def looking(tracked: Tracked, told: Told) -> Looking:
    publisher = cast("Any", told)
    return Looking(cast("Any", tracked), resource(), publisher, lambda *_: told.pause, lambda: NOW)


async def test_of_a_new_generation_it_is_said_that_its_vault_is_read_and_of_each_pause_once() -> None:
    told = Told()
    look = looking(Tracked(), told)
    await look.tell()
    await look.tell()
    assert [word.message for word in told.words] == ["Reading the mappings of vault dr."]

    told.pause = timedelta(seconds=30)
    await look.tell()
    told.pause = timedelta(seconds=28)  # the clock of the pause and that of the wall need not agree to the second
    await look.tell()
    told.pause = timedelta()
    await look.tell()
    told.pause = timedelta(seconds=59)
    await look.tell()
    assert [word.message for word in told.words[1:]] == [
        f"Reading the mappings of vault dr. Azure wants to be left alone until {format_time(NOW + pause)}."
        for pause in (timedelta(seconds=30), timedelta(seconds=59))
    ]
    assert all(word.reconciling for word in told.words)


async def test_of_a_look_that_was_asked_for_a_pause_is_said_beside_what_stands_already() -> None:
    told = Told()
    tracked = Tracked(requested_at="now", status={"observedGeneration": 1, "conditions": READY})
    look = looking(tracked, told)
    await look.tell()
    assert told.words == []
    told.pause = timedelta(seconds=30)
    await look.tell()
    (word,) = told.words
    assert (word.ready, word.reason, word.reconciling) == ("True", "Compliant", False)
    assert word.message == f"All is well. {pause_until(NOW + told.pause)}"

    tracked.status["conditions"] = [{**READY[0], "message": word.message}]
    told.pause = timedelta(seconds=50)
    await look.tell()
    assert told.words[1].message == f"All is well. {pause_until(NOW + told.pause)}", "the pause before it is over"


@pytest.mark.parametrize("pause", [timedelta(), timedelta(seconds=30)])
async def test_a_look_that_nobody_waits_for_says_nothing(pause: timedelta) -> None:
    told = Told(pause=pause)
    await looking(Tracked(status={"observedGeneration": 1, "conditions": READY}), told).tell()
    assert told.words == []
