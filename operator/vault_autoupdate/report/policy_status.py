"""The status of a policy, as it is written. Pure. Only counts and a few samples of each trouble: thousands of ids would
not fit into an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from vault_autoupdate.decide.policy_evidence import Evidence
from vault_autoupdate.decide.policy_limits import Tally
from vault_autoupdate.decide.policy_steps import PolicyPlan
from vault_autoupdate.model import bounds
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType
from vault_autoupdate.model.estate import ChildState, Estate
from vault_autoupdate.model.text import clean
from vault_autoupdate.report.policy_readiness import PolicyStanding
from vault_autoupdate.report.policy_report import whose
from vault_autoupdate.report.readiness import Readiness

_FINE: Final = frozenset({ChildState.READY, ChildState.EXCUSED})

__all__ = ["build_policy_status", "counts_of", "samples_of"]


def build_policy_status(
    before: Mapping[str, Any],
    standing: PolicyStanding,
    now: datetime,
    *,
    generation: int,
    estate: Estate | None = None,
    plan: PolicyPlan | None = None,
    evidence: Mapping[str, Evidence] | None = None,
    last_complete_at: datetime | None = None,
    removed: Tally | None = None,
    changed: Tally | None = None,
    handled: str | None = None,
) -> dict[str, Any]:
    """Put together the whole status.

    Args:
        before: as it was.
        standing: where the policy stands.
        now: the present.
        generation: of the policy that this is about.
        estate: the last discovery; None leaves what was said of it.
        plan: the last plan, likewise.
        evidence: by vault.
        last_complete_at: when the last discovery began that could read everything.
        removed: what was removed lately.
        changed: what was changed lately.
        handled: the value of ``requestedAt`` that is answered.
    """
    status = dict(before) | {
        "observedGeneration": generation,
        "conditions": _conditions(before, standing, now, generation),
    }
    if handled is not None:
        status["lastHandledReconcileAt"] = handled
    if estate is not None and plan is not None:
        counts = counts_of(estate, plan)
        status |= {
            "coverage": f"{counts['managed']}/{counts['selected']}",
            "vaults": counts,
            "discovery": _discovery(estate, last_complete_at),
            "pending": _pending(plan),
            "rollout": _rollout(plan),
            "samples": list(samples_of(estate, plan, evidence or {})),
        }
    for name, tally in (("removals", removed), ("changes", changed)):
        if tally is not None and tally.latest is not None:
            status[name] = {"latest": _time(tally.latest), "count": tally.count}
    return status


def counts_of(estate: Estate, plan: PolicyPlan) -> dict[str, int]:
    """How many vaults there are of each kind. Vaults that the namespace may not name are counted, and no more."""
    managed = [plan.own[key] for key in plan.selection.selected if key in plan.own and key not in plan.foreign]
    ready = sum(child.state in _FINE for child in managed)
    return {
        "found": len(estate.vaults) - plan.selection.not_allowed,
        "selected": len(plan.selection.selected),
        "managed": len(managed),
        "excluded": len(plan.selection.excluded),
        "notAllowed": plan.selection.not_allowed,
        "withoutReplication": len(plan.selection.idle),
        "withoutAccount": len(plan.without_account),
        "foreign": len(plan.foreign),
        "conflicting": len(plan.conflicting),
        "orphaned": len(plan.orphaned),
        "ready": ready,
        "notReady": len(managed) - ready,
    }


def samples_of(
    estate: Estate, plan: PolicyPlan, evidence: Mapping[str, Evidence], most: int = bounds.SAMPLES
) -> Iterator[dict[str, Any]]:
    """Examples of each trouble, with what is known of it."""
    unreachable = ((key, f"{each.code}: {each.action}") for key, each in sorted(estate.unreachable.items()))
    yield from islice((_sample("Unreachable", *each) for each in unreachable), most)
    for kind, found in (
        ("WithoutAccount", plan.without_account.items()),
        ("Conflicting", ((key, whose(plan, key)) for key in plan.conflicting)),
        ("Foreign", ((key, f"{each.ref.key} was written by hand") for key, each in plan.foreign.items())),
    ):
        yield from islice((_sample(kind, key, why) for key, why in _sorted(found)), most)
    for key, why in islice(_sorted(plan.orphaned.items()), most):
        since = {"since": _time(evidence[key].since)} if key in evidence else {}
        yield _sample("Orphaned", key, why) | since


def _sorted(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return iter(sorted(found))


def _sample(kind: str, name: str, why: str) -> dict[str, Any]:
    return {"kind": kind, "name": clean(name, bounds.SAMPLE), "why": clean(why, bounds.EXPLANATION)}


def _discovery(estate: Estate, last_complete_at: datetime | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "source": estate.source,
        "startedAt": _time(estate.started_at),
        "completedAt": _time(estate.completed_at),
        "subscriptions": {
            "expected": len(estate.expected),
            "read": len(estate.read),
            "unreachable": len(estate.unreachable),
            "disabled": len(estate.disabled),
        },
    }
    if last_complete_at is not None:
        document["lastCompleteAt"] = _time(last_complete_at)
    return document


def _pending(plan: PolicyPlan) -> dict[str, Any]:
    pending: dict[str, Any] = {
        "create": len(plan.missing),
        "update": len(plan.differing),
        "remove": len(plan.leaving),
    }
    return pending | ({"planHash": plan.hash} if plan.hash else {})


def _rollout(plan: PolicyPlan) -> dict[str, Any]:
    rollout = plan.rollout
    return {"wave": rollout.name, "number": rollout.number, "total": rollout.total, "failed": rollout.failed}


def _conditions(
    before: Mapping[str, Any], standing: PolicyStanding, now: datetime, generation: int
) -> list[dict[str, Any]]:
    """All conditions; `Reconciling` and `Stalled` only while they hold."""
    ready = standing.ready
    wanted: list[tuple[str, Readiness]] = [(ConditionType.READY, ready)]
    if ready.reconciling:
        wanted.append((ConditionType.RECONCILING, Readiness(ConditionStatus.TRUE, ready.reason, ready.message)))
    if ready.stalled:
        wanted.append((ConditionType.STALLED, Readiness(ConditionStatus.TRUE, ready.reason, ready.message)))
    for name, each in (
        (ConditionType.DISCOVERY_COMPLETE, standing.complete),
        (ConditionType.ROLLOUT_PAUSED, standing.paused),
        (ConditionType.REMOVALS_BLOCKED, standing.blocked),
    ):
        if each is not None:
            wanted.append((name, each))
    known = {condition.get("type"): condition for condition in before.get("conditions") or ()}
    return [_condition(name, each, known.get(name), now, generation) for name, each in wanted]


def _condition(
    name: str, each: Readiness, before: Mapping[str, Any] | None, now: datetime, generation: int
) -> dict[str, Any]:
    same = before is not None and before.get("status") == each.ready
    return {
        "type": str(name),
        "status": str(each.ready),
        "reason": str(each.reason),
        "message": each.message,
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if same and before else _time(now),
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
