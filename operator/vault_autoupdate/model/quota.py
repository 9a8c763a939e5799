"""What Azure counts calls by, and who makes them: the words in which budgets and turns are kept."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

_REGION: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)

__all__ = ["Caller", "QuotaScope", "is_region"]


def is_region(text: str) -> bool:
    """Whether ``text`` can be the name of a region, as ``westeurope`` is, which may be a label and have a budget."""
    return _REGION.fullmatch(text) is not None


@dataclass(frozen=True)
class QuotaScope:
    """What shares the limits of Site Recovery: the vaults of a subscription in one region."""

    subscription: str
    """In lower case."""
    region: str = ""
    """Empty while it is not known, and where the limits are kept for the subscription as a whole."""

    @property
    def label(self) -> str:
        """Stands for the subscription in metrics, which need not hold its id: the same in every process and cluster.

        The first 8 digits of the id's SHA-256. What has another name than a region can have counts as a subscription of
        its own, since it has no label of its own.
        """
        is_odd = self.region and not is_region(self.region)
        text = f"{self.subscription}/{self.region}" if is_odd else self.subscription
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Caller:
    """On whose behalf a call is made, as far as budgets and turns go."""

    scope: QuotaScope
    namespace: str
    """Of the resource; empty for calls that are about none. Budgets are shared fairly between namespaces."""
    key: str
    """What takes turns within a namespace: the vault."""
