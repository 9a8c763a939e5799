"""All policies of a cluster at a glance: from their documents to rows, those first that need somebody most. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from vault_autoupdate.model.conditions import ConditionStatus, ConditionType
from vault_autoupdate.model.text import clean
from vault_autoupdate.report.values import read_count, read_entries, read_time

_WORDS: Final = 400

__all__ = ["PolicyRow", "policy_rows"]


@dataclass(frozen=True)
class PolicyRow:
    """One policy."""

    namespace: str
    name: str
    mode: str
    coverage: str
    """Vaults with a resource of the policy, of those that are meant: ``4812/4903``; empty before the first look."""
    not_ready: int
    orphaned: int
    unreachable: int
    """Subscriptions."""
    ready: str
    reason: str
    since: datetime | None
    """When ``ready`` came to be as it is."""
    action: str
    """What it says: a plan that waits for approval and a rollout that has stopped come first."""
    is_waiting: bool
    """Whether it goes on only when somebody does something."""

    @property
    def severity(self) -> int:
        """0 for what is worst; the numbers are those of `FleetRow`."""
        if self.is_waiting:
            return 0
        if self.ready == ConditionStatus.TRUE:
            return 5 if self.orphaned or self.not_ready else 6
        return 4 if self.ready == ConditionStatus.UNKNOWN else 2


def policy_rows(documents: Iterable[Mapping[str, Any]]) -> list[PolicyRow]:
    """The policies as rows; those first that need somebody most."""
    return sorted(map(_row, documents), key=lambda row: (row.severity, row.namespace, row.name))


def _row(document: Mapping[str, Any]) -> PolicyRow:
    metadata, spec, status = (_mapping(document.get(part)) for part in ("metadata", "spec", "status"))
    conditions = {each.get("type"): each for each in read_entries(status.get("conditions"))}
    ready, counts = conditions.get(ConditionType.READY, {}), _mapping(status.get("vaults"))
    waiting = [
        conditions[kind]
        for kind in (ConditionType.STALLED, ConditionType.REMOVALS_BLOCKED, ConditionType.ROLLOUT_PAUSED)
        if conditions.get(kind, {}).get("status") == ConditionStatus.TRUE
    ]
    subscriptions = _mapping(_mapping(status.get("discovery")).get("subscriptions"))
    said = (waiting[0] if waiting else ready).get("message") or "Not looked at yet: does the operator work on policies?"
    return PolicyRow(
        namespace=clean(metadata.get("namespace"), 63),
        name=clean(metadata.get("name"), 63),
        mode=clean(spec.get("mode") or "Audit", 20),
        coverage=clean(status.get("coverage"), 20),
        not_ready=read_count(counts.get("notReady")),
        orphaned=read_count(counts.get("orphaned")),
        unreachable=read_count(subscriptions.get("unreachable")),
        ready=clean(ready.get("status") or ConditionStatus.UNKNOWN, 20),
        reason=clean(ready.get("reason"), 128),
        since=read_time(ready.get("lastTransitionTime")),
        action=clean(said, _WORDS),
        is_waiting=bool(waiting),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
