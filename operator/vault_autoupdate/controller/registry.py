"""All resources of the cluster, and who manages which vault. Whoever owns a vault is told without asking the others.

N resources may name one vault, by mistake or to be a nuisance: what happens to one of them must not cost work for
each of the others, or N of them cost N times N.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime

from vault_autoupdate.controller.changes import tell_of_change
from vault_autoupdate.controller.tracked import Declaration, TrackedResource
from vault_autoupdate.model.resource import ResourceKey

Claim = tuple[bool, bool, datetime, ResourceKey]
"""A claim to a vault; the least is the best one: the oldest, but what a policy made comes after what somebody wrote by
hand, and who is on the way out comes last.
"""

__all__ = ["Registry"]


class Registry:
    """Keeps all tracked resources, and their claims to vaults in order."""

    def __init__(self) -> None:
        self.resources: dict[ResourceKey, TrackedResource] = {}
        self._claims: dict[str, list[Claim]] = {}
        """By vault: the claims of those that may manage it, the best first."""

    def add(self, tracked: TrackedResource) -> None:
        """Begin to track an object."""
        self.resources[tracked.ref.key] = tracked
        self._enter(tracked.declaration)

    def update(self, tracked: TrackedResource, declaration: Declaration, now: datetime) -> None:
        """Bring up to date what a tracked object declares, and its claim with it."""
        if tell_of_change(tracked.declaration, declaration):
            tracked.changed_at = now
        self._withdraw(tracked.declaration)
        tracked.take_over(declaration)
        self._enter(declaration)

    def remove(self, tracked: TrackedResource) -> None:
        """Forget an object."""
        del self.resources[tracked.ref.key]
        self._withdraw(tracked.declaration)

    def owner(self, vault_key: str) -> ResourceKey | None:
        """Who manages a vault: of those that name it and may do so, and are not on their way out, the oldest that
        somebody wrote by hand; where there is none, the oldest that a policy made.

        Nobody gets hold of a vault by naming it from a namespace that may not. None where nobody may manage it.
        """
        claims = self._claims.get(vault_key)
        return claims[0][-1] if claims else None

    def claimants(self, vault_key: str) -> Iterator[TrackedResource]:
        """All that name a vault and may do so, the owner first."""
        for *_, key in self._claims.get(vault_key, ()):
            yield self.resources[key]

    def _enter(self, declaration: Declaration) -> None:
        if (claim := _claim(declaration)) is not None:
            insort(self._claims.setdefault(declaration.vault_key, []), claim)

    def _withdraw(self, declaration: Declaration) -> None:
        if (claim := _claim(declaration)) is None:
            return
        claims = self._claims[declaration.vault_key]
        del claims[bisect_left(claims, claim)]
        if not claims:
            del self._claims[declaration.vault_key]


def _claim(declaration: Declaration) -> Claim | None:
    resource = declaration.resource
    if resource is None or declaration.refusal is not None or declaration.elsewhere is not None:
        return None
    return (resource.deleting, bool(resource.policy), resource.created_at, declaration.ref.key)
