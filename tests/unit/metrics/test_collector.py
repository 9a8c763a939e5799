"""What is counted of the operator itself: passes that do not end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.unit.builders import NOW, resource
from vault_autoupdate.decide.schedule import longest_pass
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.metrics.collector import StateCollector
from vault_autoupdate.model.resource import ResourceKey, VaultAutoUpdate

TIMEOUT = timedelta(minutes=160)
LONGEST = longest_pass(TIMEOUT, 0).total_seconds()


@dataclass
class Tracked:
    resource: VaultAutoUpdate | None = field(default_factory=resource)
    state: VaultState = field(default_factory=VaultState)


@dataclass
class Stand:
    """As much of a queue and a controller as is asked."""

    resources: dict[ResourceKey, Tracked]
    seconds: dict[ResourceKey, float]

    def running_for(self) -> dict[ResourceKey, float]:
        return self.seconds


@pytest.mark.parametrize(
    ("seconds", "tracked", "overrun"),
    [
        ([], Tracked(), 0.0),
        ([LONGEST], Tracked(), 0.0),
        ([LONGEST + 60], Tracked(), 60.0),
        ([5.0, LONGEST + 60, LONGEST + 10], Tracked(), 60.0),
        ([LONGEST + 60], Tracked(resource=None), 0.0),
    ],
)
def test_the_slowest_pass_tells_how_far_it_is_beyond_what_any_could_take(
    seconds: list[float], tracked: Tracked, overrun: float
) -> None:
    keys = [ResourceKey("asr", str(number)) for number in range(len(seconds))]
    stand = cast("Any", Stand(dict.fromkeys(keys, tracked), dict(zip(keys, seconds, strict=True))))
    collector = StateCollector(stand, stand, stand, stand, stand, now=lambda: NOW)

    assert collector._overrun() == pytest.approx(overrun)
