"""All resources of a cluster at a glance: from their documents to rows, the worst first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from vault_autoupdate.model.conditions import ConditionStatus, ConditionType, Reason
from vault_autoupdate.model.text import clean, plural

_WORDS: Final = 400
_ACTION_WORDS: Final = 900
"""Room for a command with the id of a vault in it."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

__all__ = ["FleetRow", "document_of", "fleet_rows", "summary_of"]


@dataclass(frozen=True)
class FleetRow:
    """One resource."""

    namespace: str
    name: str
    vault: str
    desired: str
    mode: str
    region: str
    ready: str
    """``True``, ``False`` or ``Unknown``."""
    reason: str
    message: str
    since: datetime | None
    """When ``ready`` came to be as it is."""
    in_scope: int
    compliant: int
    failed: int
    jobs: int
    others_job: str
    """The oldest job that was begun elsewhere and is waited for: on which mapping, what it does, and since when."""
    behind: int | None
    """Machines for whose agent an update waits; None while that is not known."""
    agents: str
    """Why `AgentsCurrent` is not met, if waiting for an update is not all there is to it."""
    account: str
    """Why `AutomationAccountHealthy` is not met."""
    schedules: str
    """How many schedules of the update runbook run at the declared time, and why not all; empty where none is."""
    unscheduled: str
    """Why `RunbookScheduleInSync` is not met."""
    updates: str
    """Phase of the updates of agents in windows; empty where there are none."""
    next_window: datetime | None
    """When the next window for them opens."""
    stalled: bool
    worst_mapping: str
    worst_reason: str
    """Code or reason of the worst failure."""
    action: str
    """What to do, in Azure's words where it has any: about the worst failure, or about the vault as a whole; else
    about the Automation account or the agents."""
    next_try: datetime | None
    last_drift: datetime | None
    """When something was last found changed by others, where it is asked who it was."""
    changed_by: str
    """Who it was; else how far the question is."""

    @property
    def key(self) -> str:
        """How to name it to people."""
        return f"{self.namespace}/{self.name}"

    @property
    def severity(self) -> int:
        """0 for what is worst."""
        if self.ready == ConditionStatus.TRUE:
            return 5 if self.agents or self.account or self.unscheduled else 6
        if self.reason == Reason.SUSPENDED:
            return 4
        if self.stalled:
            return 0
        if self.failed:
            return 1
        return 3 if self.reason == Reason.PROGRESSING else 2


def fleet_rows(documents: Iterable[Mapping[str, Any]]) -> list[FleetRow]:
    """The resources as rows; those first that need somebody most."""
    rows = [_row(document) for document in documents]
    return sorted(rows, key=lambda row: (row.severity, -row.failed, row.since or _NEVER, row.namespace, row.name))


def summary_of(rows: Iterable[FleetRow]) -> str:
    """One line about all of them."""
    rows = list(rows)
    compliant, in_scope = sum(row.compliant for row in rows), sum(row.in_scope for row in rows)
    parts = [
        f"{sum(row.ready == 'True' for row in rows):,} of {plural(len(rows), 'resource')} Ready",
        f"{compliant:,} of {plural(in_scope, 'mapping')} as declared",
        f"{plural(sum(row.jobs for row in rows), 'job')} in flight",
    ]
    if failed := sum(row.failed for row in rows):
        parts.append(f"{failed:,} failed")
    return ", ".join(parts) + "."


def document_of(rows: Iterable[FleetRow]) -> list[dict[str, Any]]:
    """The rows for programs."""
    return [{_camel(name): _plain(value) for name, value in asdict(row).items()} for row in rows]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _row(document: Mapping[str, Any]) -> FleetRow:
    metadata, spec, status = (_mapping(document.get(part)) for part in ("metadata", "spec", "status"))
    conditions = {each.get("type"): each for each in _list(status.get("conditions"))}
    ready, counts = conditions.get(ConditionType.READY, {}), _mapping(status.get("mappings"))
    failures = _list(status.get("failures"))
    worst = failures[0] if failures else {}
    message = clean(ready.get("message") or "Not looked at yet: does the operator run?", _WORDS)
    is_ready = ready.get("status") == ConditionStatus.TRUE
    account, agents = (
        _unmet(conditions.get(ConditionType.AUTOMATION_ACCOUNT_HEALTHY)),
        _unmet(conditions.get(ConditionType.AGENTS_CURRENT)),
    )
    schedules = _unmet(conditions.get(ConditionType.RUNBOOK_SCHEDULE_IN_SYNC))
    updates, drift = _mapping(status.get("agentUpdates")), _mapping(status.get("lastDrift"))
    others = ("" if is_ready else message, account[1], schedules[1], agents[1])
    words = (worst.get("recommendedAction"), worst.get("message"), *others)
    return FleetRow(
        namespace=clean(metadata.get("namespace"), 63),
        name=clean(metadata.get("name"), 253),
        vault=clean(status.get("vaultName") or str(spec.get("vaultResourceId", "")).rpartition("/")[2], 64),
        desired=clean(spec.get("autoUpdate"), 20),
        mode=clean(spec.get("mode") or "Enforce", 20),
        region=clean(status.get("location"), 64),
        ready=clean(ready.get("status") or ConditionStatus.UNKNOWN, 20),
        reason=clean(ready.get("reason"), 128),
        message=message,
        since=_time(ready.get("lastTransitionTime")),
        in_scope=_count(counts.get("inScope")),
        compliant=_count(counts.get("compliant")),
        failed=_count(counts.get("failed")),
        others_job=_others_job(_list(status.get("operations"))),
        jobs=len(_list(status.get("operations"))) + _count(status.get("operationsOmitted")),
        behind=_count(status["agents"].get("behind")) if isinstance(status.get("agents"), Mapping) else None,
        agents=agents[0],
        account=account[0],
        schedules=_schedules(_mapping(status.get("runbookSchedule")), schedules[0]),
        unscheduled=schedules[0],
        updates=clean(updates.get("phase"), 20),
        next_window=_time(_mapping(updates.get("nextWindow")).get("opensAt")),
        stalled=ConditionType.STALLED in conditions,
        worst_mapping=clean(worst.get("mapping"), _WORDS),
        worst_reason=clean(worst.get("code") or worst.get("reason"), 128),
        action=next((said for each in words if (said := clean(each, _ACTION_WORDS))), ""),
        next_try=min((time for each in failures if (time := _time(each.get("nextAttemptAt")))), default=None),
        last_drift=_time(drift.get("foundAt")),
        changed_by=_changed_by(drift),
    )


def _schedules(fields: Mapping[str, Any], reason: str) -> str:
    if "schedules" not in fields:
        return reason
    return f"{_count(fields.get('inSync')):,}/{_count(fields.get('schedules')):,} {reason}".strip()


def _changed_by(drift: Mapping[str, Any]) -> str:
    """Everybody who is named, each once; without names, how far the question is."""
    changes = _list(drift.get("changes"))
    named = [clean(each.get("caller") or each.get("objectId"), 256) for each in changes if each.get("changedAt")]
    return ", ".join(dict.fromkeys(filter(None, named))) or clean(drift.get("attribution"), 20)


def _others_job(operations: Iterable[Mapping[str, Any]]) -> str:
    """The oldest of the jobs that were found running; the status has them in the order in which they began."""
    found = [each for each in operations if each.get("adopted") is True]
    if not found:
        return ""
    oldest = found[0]
    what = oldest.get("scenario") or oldest.get("jobId") or "a job"
    more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
    return clean(f"{oldest.get('mapping')}: {what} since {oldest.get('startedAt')}{more}", _WORDS)


def _unmet(condition: Mapping[str, Any] | None) -> tuple[str, str]:
    """Reason and message of a condition that is not met; empty texts if it is, or if waiting is enough."""
    if (
        condition is None
        or condition.get("status") != ConditionStatus.FALSE
        or condition.get("reason") == "UpdatesWaiting"
    ):
        return "", ""
    return clean(condition.get("reason"), 128), clean(condition.get("message"), _ACTION_WORDS)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
