"""When a resource may be removed: only on positive evidence about its very vault, seen twice. Pure.

A cloud index has returned a part of its rows, with success, for days, and an automation that deleted what was missing
deleted what was there (azure-powershell#12747). Lists are served from caches, and a lost right looks like an empty
list. So absence nominates and proves nothing; a GET of the vault itself decides, and only an unmistakable answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from vault_autoupdate.decide.policy_selection import standing_of
from vault_autoupdate.model.estate import Look, Verdict
from vault_autoupdate.model.policy import PolicySpec

LOOKS_APART = timedelta(hours=1)
"""The least time between two looks that prove something together: a gateway that mistakes itself does so for less."""

__all__ = ["LOOKS_APART", "Evidence", "Finding", "is_fresh", "is_proved", "learn"]


class Finding(StrEnum):
    """What the looks at a vault say about its resource."""

    GONE = "Gone"
    LEFT = "Left"
    """It is there, and as it is now the policy does not select it."""


@dataclass(frozen=True)
class Evidence:
    """What has been found out about a vault since it was no longer among the selected ones."""

    finding: Finding
    since: datetime
    """The first look that said so; all looks after it that said anything said the same."""
    latest: datetime
    why: str


def learn(known: Mapping[str, Evidence], looks: Mapping[str, Look], spec: PolicySpec) -> dict[str, Evidence]:
    """Add what looks have shown to what is known, by vault.

    A look that could not see the vault changes nothing; one that sees it selected ends all suspicion.
    """
    learned = dict(known)
    for key, look in looks.items():
        finding = _finding(look, spec)
        if finding is None:
            if look.verdict is Verdict.THERE:
                learned.pop(key, None)
            continue
        learned[key] = _added(learned.get(key), *finding, at=look.at)
    return learned


def _added(before: Evidence | None, kind: Finding, why: str, *, at: datetime) -> Evidence:
    if before and before.finding is kind:
        return replace(before, latest=max(before.latest, at), why=why)
    return Evidence(kind, at, at, why)


def is_proved(evidence: Evidence | None) -> bool:
    """Whether two looks, far enough apart, have said the same."""
    return evidence is not None and evidence.latest - evidence.since >= LOOKS_APART


def is_fresh(evidence: Evidence | None, look: Look | None) -> bool:
    """Whether the latest of the looks is that of this very moment: nothing is done on what was seen an hour ago."""
    return (
        evidence is not None
        and look is not None
        and look.verdict is not Verdict.UNREACHABLE
        and look.at == evidence.latest
    )


def _finding(look: Look, spec: PolicySpec) -> tuple[Finding, str] | None:
    if look.verdict is Verdict.GONE:
        return Finding.GONE, "the vault was deleted"
    if look.verdict is Verdict.THERE and look.vault is not None:
        standing = standing_of(spec, look.vault)
        if not standing.selected and not standing.idle:
            return Finding.LEFT, standing.why
    return None
