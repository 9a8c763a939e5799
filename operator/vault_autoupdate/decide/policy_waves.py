"""Who goes first: a wave begins when the one before it has proved itself; nothing new while too much fails. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vault_autoupdate.decide.policy_selection import tag_of
from vault_autoupdate.model.estate import Child, ChildState, FoundVault
from vault_autoupdate.model.policy import Limits, Waves

TRIAL = timedelta(days=1)
"""How long a resource counts as new. After that, being Ready again after a moment's drift is enough."""

__all__ = ["TRIAL", "Rollout", "roll_out", "wave_of"]


@dataclass(frozen=True)
class Rollout:
    """Where the waves stand."""

    number: int = 1
    """The wave that is open, from 1: it and those before it may get resources."""
    total: int = 1
    name: str = ""
    """The value of its tag."""
    failed: int = 0
    """Resources that have failed, whatever their wave."""
    allowed: int = 0
    paused: bool = False


def wave_of(waves: Waves | None, vault: FoundVault) -> int:
    """The number of a vault's wave, from 0."""
    if waves is None:
        return 0
    value = tag_of(vault, waves.tag)
    if value and value in waves.order:
        return waves.order.index(value)
    return waves.order.index("") if "" in waves.order else len(waves.order)


def roll_out(
    limits: Limits, vaults: Iterable[FoundVault], own: Mapping[str, Child], waiting: frozenset[str], now: datetime
) -> Rollout:
    """Say which wave is open, and whether anything new may begin.

    Args:
        limits: of the policy.
        vaults: those that it means.
        own: its resources, by vault.
        waiting: vaults that can have no resource for now, such as those without an account: nobody waits for them.
        now: the present.
    """
    names = _names(limits.waves)
    members: list[list[FoundVault]] = [[] for _ in names]
    for vault in vaults:
        members[wave_of(limits.waves, vault)].append(vault)
    begun = [own[vault.key] for wave in members for vault in wave if vault.key in own]
    failed = sum(child.state is ChildState.FAILED for child in begun)
    allowed = limits.max_failures.of(len(begun))
    paused = failed > allowed
    last = len(names) - 1
    number = next((n for n in range(last) if paused or not _is_over(limits, members[n], own, waiting, now)), last)
    return Rollout(number + 1, len(names), names[number], failed, allowed, paused)


def _names(waves: Waves | None) -> Sequence[str]:
    if waves is None:
        return ("",)
    return waves.order if "" in waves.order else (*waves.order, "")


def _is_over(
    limits: Limits, wave: Iterable[FoundVault], own: Mapping[str, Child], waiting: frozenset[str], now: datetime
) -> bool:
    """Whether all resources of a wave are there and have been Ready for long enough; failures are counted elsewhere."""
    for vault in wave:
        child = own.get(vault.key)
        if child is None:
            if vault.key not in waiting:
                return False
        elif child.state is not ChildState.FAILED and not _has_proved_itself(limits, child, now):
            return False
    return True


def _has_proved_itself(limits: Limits, child: Child, now: datetime) -> bool:
    if child.state is not ChildState.READY:
        return child.state is ChildState.EXCUSED
    if now - child.created_at >= max(TRIAL, 2 * limits.min_success_time):
        return True
    return child.ready_since is not None and now - child.ready_since >= limits.min_success_time
