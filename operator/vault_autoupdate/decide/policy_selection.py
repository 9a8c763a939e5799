"""Which vaults a policy means. Pure.

Names of tags are compared in any letter case, their values exactly: that is how Azure does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.estate import Estate, FoundVault
from vault_autoupdate.model.policy import Exclusion, PolicySpec, Replication, Rule, Selector

__all__ = ["Selection", "Standing", "matches_tags", "select", "standing_of", "tag_of"]


@dataclass(frozen=True)
class Standing:
    """What a policy says about one vault."""

    selected: bool
    why: str = ""
    """Why it is not selected, in words."""
    excluded: bool = False
    """Whether `PolicySpec.exclude` has taken it out: somebody wanted that."""
    idle: bool = False
    """Whether all that is missing is that it replicates something. That selects, but never removes."""
    rule: Rule | None = None
    """The first rule that fits, if it is selected; None for the template alone."""


@dataclass(frozen=True)
class Selection:
    """All vaults of an estate, by what the policy says of them."""

    selected: Mapping[str, Standing] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    """With the reason."""
    idle: frozenset[str] = frozenset()
    not_allowed: int = 0
    """Vaults that the policy's namespace may not name. Nothing else is told of them there."""


def select(spec: PolicySpec, estate: Estate, allows: Callable[[str], bool]) -> Selection:
    """Say of each vault that was found what the policy says of it.

    Args:
        spec: the policy.
        estate: what was found.
        allows: whether the policy's namespace may name a resource, by its id.
    """
    selected: dict[str, Standing] = {}
    excluded: dict[str, str] = {}
    idle: set[str] = set()
    not_allowed = 0
    for key, vault in estate.vaults.items():
        if not allows(vault.id.text):
            not_allowed += 1
            continue
        standing = standing_of(spec, vault)
        if standing.selected:
            selected[key] = standing
        elif standing.excluded:
            excluded[key] = standing.why
        elif standing.idle:
            idle.add(key)
    return Selection(selected, excluded, frozenset(idle), not_allowed)


def standing_of(spec: PolicySpec, vault: FoundVault) -> Standing:
    """Say what the policy says about one vault, as it was seen."""
    if not spec.scope.declares(vault.subscription):
        return Standing(selected=False, why="its subscription is not in spec.scope", excluded=True)
    if why := _excluded_by(spec.exclude, vault):
        return Standing(selected=False, why=why, excluded=True)
    if not _fits(spec.vault_selector, vault):
        return Standing(selected=False, why="spec.vaultSelector does not select it")
    if spec.vault_selector.replication is Replication.PRESENT and not vault.replicates:
        return Standing(selected=False, why="it replicates nothing, as far as is known", idle=True)
    return Standing(selected=True, rule=next((rule for rule in spec.rules if _fits(rule, vault)), None))


def matches_tags(wanted: Mapping[str, tuple[str, ...]], tags: Mapping[str, str]) -> bool:
    """Whether all names are there, each with one of its values."""
    present = {name.casefold(): value for name, value in tags.items()}
    return all(present.get(name.casefold()) in values for name, values in wanted.items())


def tag_of(vault: FoundVault, name: str) -> str:
    """The value of a tag; empty when the vault does not have it."""
    return next((value for each, value in vault.tags.items() if each.casefold() == name.casefold()), "")


def _fits(selector: Selector, vault: FoundVault) -> bool:
    return (
        matches_tags(selector.match_tags, vault.tags)
        and (not selector.locations or _in_one(selector.locations, vault))
        and (not selector.names or _named(selector.names, vault) is not None)
    )


def _excluded_by(exclude: Exclusion, vault: FoundVault) -> str:
    for name, values in exclude.match_tags.items():
        if (value := tag_of(vault, name)) in values and matches_tags({name: values}, vault.tags):
            return f"excluded by its tag {name}={value}"
    if _in_one(exclude.locations, vault):
        return f"excluded by its region {vault.location}"
    if pattern := _named(exclude.names, vault):
        return f"excluded by its name, which matches {pattern}"
    if vault.key in {each.key for each in exclude.vaults}:
        return "excluded by its id"
    return ""


def _in_one(locations: tuple[str, ...], vault: FoundVault) -> bool:
    return vault.location.casefold() in {each.casefold() for each in locations}


def _named(patterns: tuple[str, ...], vault: FoundVault) -> str | None:
    name = fold(vault.id.name)
    return next((pattern for pattern in patterns if fnmatchcase(name, fold(pattern))), None)
