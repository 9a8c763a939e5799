"""Who goes first, and what has to be true before the next ones do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import NOW
from tests.unit.decide.policy_builders import ago, child_of, policy_of, vault_of
from vault_autoupdate.decide.policy_waves import Rollout, roll_out, wave_of
from vault_autoupdate.model.estate import Child, ChildState, FoundVault
from vault_autoupdate.model.policy import Limits

CANARY, EARLY, OTHER = vault_of(1, ring="canary"), vault_of(2, ring="early"), vault_of(3)
READY: dict[str, Any] = {"created_at": ago(hours=23), "ready_since": ago(hours=1)}


def limits(*order: str, **fields: Any) -> Limits:
    waves = {"waves": {"tag": "Ring", "order": list(order)}} if order else {}
    return policy_of(limits=waves | fields).spec.limits


def stands(
    of: Limits, *vaults: FoundVault, own: Iterable[Child] = (), waiting: frozenset[str] = frozenset()
) -> Rollout:
    return roll_out(of, vaults, {child.vault_key: child for child in own}, waiting, NOW)


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ((), (0, 0, 0)),
        (("canary", "early"), (0, 1, 2)),
        (("early",), (1, 0, 1)),
        (("", "canary"), (1, 0, 0)),
        (("early", "", "canary"), (2, 0, 1)),
    ],
)
def test_a_vault_is_in_the_wave_of_its_tag_or_with_all_others(order: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    assert tuple(wave_of(limits(*order).waves, vault) for vault in (CANARY, EARLY, OTHER)) == numbers


def test_without_waves_there_is_one_of_all() -> None:
    assert stands(limits(), CANARY, OTHER) == Rollout(1, 1, "", failed=0, allowed=2, paused=False)


@pytest.mark.parametrize(
    ("child", "number"),
    [
        (READY, 2),
        (READY | {"ready_since": ago(minutes=30)}, 2),
        (READY | {"ready_since": ago(minutes=29)}, 1),
        (READY | {"ready_since": None}, 1),
        ({"created_at": ago(hours=24), "ready_since": ago(minutes=1)}, 2),  # it is not new any more
        ({"created_at": ago(hours=24) + timedelta(seconds=1), "ready_since": ago(minutes=1)}, 1),
        ({"created_at": ago(hours=24), "state": ChildState.WORKING}, 1),
        (READY | {"state": ChildState.WORKING}, 1),
        (READY | {"state": ChildState.EXCUSED}, 2),
        (READY | {"state": ChildState.FAILED}, 2),  # it is counted, and nobody waits for it
    ],
)
def test_the_next_wave_begins_when_all_of_one_have_been_ready_for_long_enough(
    child: dict[str, Any], number: int
) -> None:
    failed = child.get("state") is ChildState.FAILED
    rollout = stands(
        limits("canary", "early", maxFailures=1), CANARY, EARLY, own=[child_of(CANARY, policy_of(), **child)]
    )
    assert rollout == Rollout(number, 3, ("canary", "early")[number - 1], failed=int(failed), allowed=1)


def test_who_is_to_be_ready_for_long_is_new_for_twice_that_time() -> None:
    of = limits("canary", minSuccessTime="20h")
    child = child_of(CANARY, policy_of(), created_at=ago(hours=39), ready_since=ago(hours=19))
    older = child_of(CANARY, policy_of(), created_at=ago(hours=40), ready_since=ago(hours=19))

    assert (stands(of, CANARY, OTHER, own=[child]).number, stands(of, CANARY, OTHER, own=[older]).number) == (1, 2)


def test_a_wave_without_vaults_and_one_that_only_waits_hold_nobody_up() -> None:
    of = limits("canary", "early")

    assert stands(of, OTHER) == Rollout(3, 3, "", failed=0, allowed=2)
    assert stands(of, CANARY, EARLY, waiting=frozenset({CANARY.key})).number == 2
    assert stands(of, CANARY, vault_of(9, ring="canary"), waiting=frozenset({CANARY.key})).number == 1


def test_what_fails_in_any_wave_counts_as_a_share_of_what_there_is_and_keeps_the_wave() -> None:
    vaults = [vault_of(number, ring="canary") for number in range(4)]
    policy, early = policy_of(), vault_of(9, ring="early")
    own = [
        child_of(vault, policy, state=ChildState.FAILED if number < 3 else ChildState.READY)
        for number, vault in enumerate(vaults)
    ]

    half = stands(limits("canary", "early", maxFailures="50%"), *vaults, early, own=own)
    most = stands(limits("canary", "early", maxFailures="75%"), *vaults, early, own=own)

    assert half == Rollout(1, 3, "canary", failed=3, allowed=2, paused=True)
    assert most == Rollout(2, 3, "early", failed=3, allowed=3, paused=False)
