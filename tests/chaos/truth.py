"""Whether a resource that called itself Ready told the truth. Pure.

A status that is written with Ready=True says that, at the last look, every mapping in scope was as declared. The look
came after the generation that it speaks of was declared, and after the status before it was written. So each mapping
must have been right at some moment between that and the moment when we saw the claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.accounting import Goal, MappingFact, replay
from tests.chaos.history import Version

SLACK: Final = 150.0
"""Simulated seconds (three real ones) by which we may have seen the status before late."""

__all__ = ["Claim", "Declaration", "check_claims", "claims_of"]


@dataclass(frozen=True)
class Declaration:
    """A generation of a resource, and since when it has been there."""

    generation: int
    at: float
    goal: Goal


@dataclass(frozen=True)
class Claim:
    """A resource said that it was Ready at some moment between two."""

    resource: str
    goal: Goal
    since: float
    until: float


def claims_of(history: Sequence[Version], declarations: Sequence[Declaration]) -> list[Claim]:
    """The claims in the history of one resource."""
    claims: list[Claim] = []
    written_at, status = float("-inf"), None
    for version in history:
        if version.gap:
            written_at = float("-inf")
        if version.status == status:
            continue
        known = [each for each in declarations if each.generation <= version.status.get("observedGeneration", 0)]
        if known and version.conditions.get("Ready", {}).get("status") == "True":
            declared = max(known, key=lambda each: (each.generation, -each.at))
            claims.append(Claim(version.name, declared.goal, max(declared.at, written_at - SLACK), version.at))
        written_at, status = version.at, version.status
    return claims


def check_claims(claims: Iterable[Claim], mappings: Sequence[MappingFact]) -> list[str]:
    """The mappings of a vault that a claim about it was wrong about."""
    always = [each for each in mappings if each.always_in_scope]
    told = {each.name: replay(each) for each in always}
    return [
        f"{claim.resource} said at {claim.until:.1f} that it was Ready, but since {claim.since:.1f} {mapping.name} was "
        f"not once as declared ({claim.goal})"
        for claim in claims
        for mapping in always
        if mapping.since <= claim.since
        and (stretches := told[mapping.name]) is not None
        and not any(
            stretch.since <= claim.until and stretch.until >= claim.since and stretch.setting.satisfies(claim.goal)
            for stretch in stretches
        )
    ]
