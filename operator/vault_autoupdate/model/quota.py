"""What Azure counts calls by, and who makes them: the words in which budgets and turns are kept."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Caller", "QuotaScope"]


@dataclass(frozen=True)
class QuotaScope:
    """What shares the limits of Site Recovery: the vaults of a subscription in one region."""

    subscription: str
    """In lower case."""
    region: str = ""
    """Empty while it is not known, and where the limits are kept for the subscription as a whole."""


@dataclass(frozen=True)
class Caller:
    """On whose behalf a call is made, as far as budgets and turns go."""

    scope: QuotaScope
    namespace: str
    """Of the resource; empty on the command line. Budgets are shared fairly between namespaces."""
    key: str
    """What takes turns within a namespace: the vault."""
