"""Where a policy stands, in words: whether everything is covered, and if not what, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vault_autoupdate.decide.policy_steps import PolicyPlan
from vault_autoupdate.decide.tenancy import Refusal
from vault_autoupdate.model import bounds
from vault_autoupdate.model.conditions import ConditionStatus, PolicyReason, Reason
from vault_autoupdate.model.estate import ChildState, Estate
from vault_autoupdate.model.policy import APPROVE, VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import InvalidSpec, Mode
from vault_autoupdate.model.text import clean, plural
from vault_autoupdate.report.readiness import Readiness

__all__ = [
    "PolicyStanding",
    "invalid_policy",
    "is_alarming",
    "refused_policy",
    "standing_of_policy",
    "suspended_policy",
]


@dataclass(frozen=True)
class PolicyStanding:
    """All conditions of a policy."""

    ready: Readiness
    complete: Readiness | None = None
    paused: Readiness | None = None
    blocked: Readiness | None = None


def invalid_policy(error: InvalidSpec) -> PolicyStanding:
    """The policy cannot be acted on."""
    return PolicyStanding(
        Readiness(
            ConditionStatus.FALSE, Reason.INVALID_SPEC, clean(f"Nothing is done: {error}", bounds.MESSAGE), stalled=True
        )
    )


def refused_policy(refusal: Refusal) -> PolicyStanding:
    """The operator's settings do not let the policy's namespace have this done."""
    return PolicyStanding(
        Readiness(ConditionStatus.FALSE, refusal.reason, clean(refusal.message, bounds.MESSAGE), stalled=True)
    )


def suspended_policy() -> PolicyStanding:
    """``spec.suspend`` is set."""
    message = (
        "Nothing is looked for, made, changed or removed; the resources that there are go on. Set spec.suspend to "
    )
    return PolicyStanding(Readiness(ConditionStatus.UNKNOWN, Reason.SUSPENDED, f"{message}false to go on."))


def is_alarming(event: Readiness) -> bool:
    """Whether somebody may have to act: not on what mode Audit is for, nor on vaults whose turn comes."""
    is_usual = event.reason == PolicyReason.WOULD_CHANGE or (
        event.reason == PolicyReason.UNCOVERED and event.reconciling
    )
    return event.is_warning and not is_usual


def standing_of_policy(
    policy: VaultAutoUpdatePolicy, estate: Estate, plan: PolicyPlan, not_written: Mapping[str, str]
) -> PolicyStanding:
    """Say where a policy stands after a pass."""
    return PolicyStanding(
        _ready(policy, estate, plan, not_written), _complete(estate), _paused(policy, plan), _blocked(policy, plan)
    )


def _ready(
    policy: VaultAutoUpdatePolicy, estate: Estate, plan: PolicyPlan, not_written: Mapping[str, str]
) -> Readiness:
    selected = len(plan.selection.selected)
    missing = [
        _part(len(plan.missing), "vault has no resource yet", "vaults have no resource yet"),
        _part(len(plan.without_account), "vault has no account", "vaults have no account"),
        _part(len(plan.conflicting), "vault belongs to another policy", "vaults belong to another policy"),
    ]
    own = [plan.own[key].state for key in plan.selection.selected if key in plan.own and key not in plan.foreign]
    failed, working = own.count(ChildState.FAILED), own.count(ChildState.WORKING)
    troubles = [part for part in missing if part]
    if failed:
        troubles.append(_part(failed, "resource has failed", "resources have failed"))
    if not_written:
        name, why = next(iter(sorted(not_written.items())))
        message = f"{plural(len(not_written), 'resource')} could not be written, among them {name}: {why}"
        return Readiness(
            ConditionStatus.FALSE, PolicyReason.NOT_WRITTEN, clean(message, bounds.MESSAGE), reconciling=True
        )
    if not estate.read:
        return Readiness(
            ConditionStatus.FALSE, PolicyReason.NOTHING_READABLE, _nothing_readable(estate), reconciling=True
        )
    if policy.spec.mode is Mode.AUDIT:
        if plan.missing or plan.differing or plan.leaving:
            return Readiness(ConditionStatus.FALSE, PolicyReason.WOULD_CHANGE, _would(plan))
    elif plan.missing or plan.differing or working:
        waits = plan.rollout.paused or plan.hash
        if working and not troubles:
            troubles.append(_part(working, "resource is being worked on", "resources are being worked on"))
        if plan.differing and not troubles:
            troubles.append(_part(len(plan.differing), "resource is to be changed", "resources are to be changed"))
        return Readiness(
            ConditionStatus.FALSE,
            PolicyReason.UNCOVERED if plan.missing else Reason.PROGRESSING,
            _listed(troubles),
            reconciling=not waits,
        )
    if troubles:
        return Readiness(
            ConditionStatus.FALSE, PolicyReason.UNCOVERED, f"{_listed(troubles)} status.samples has examples."
        )
    if not estate.is_complete:
        return Readiness(
            ConditionStatus.FALSE,
            PolicyReason.DISCOVERY_INCOMPLETE,
            "All vaults that could be seen are covered, but not all could.",
        )
    return Readiness(
        ConditionStatus.TRUE,
        PolicyReason.COVERED,
        f"Every vault that is meant is covered: {plural(selected, 'vault')}.{_left_over(len(plan.orphaned))}",
    )


def _complete(estate: Estate) -> Readiness:
    if estate.is_complete:
        found = f"{plural(len(estate.vaults), 'vault')} in {plural(len(estate.read), 'subscription')}"
        return Readiness(ConditionStatus.TRUE, PolicyReason.COMPLETE, f"All of the scope could be read: {found}.")
    troubles = [*estate.doubts, *(estate.unreachable[key] for key in sorted(estate.unreachable))]
    if not troubles:
        return Readiness(
            ConditionStatus.FALSE,
            PolicyReason.NOTHING_IN_SCOPE,
            "No subscription could be seen in spec.scope. Nothing is removed because of it. Check the names, and that "
            "the identity has a role there.",
        )
    lost = f"{plural(len(estate.unreachable), 'subscription')} could not be read. " if estate.unreachable else ""
    message = f"{lost}{troubles[0].action} What could not be seen keeps its resources."
    return Readiness(ConditionStatus.FALSE, troubles[0].code, clean(message, bounds.MESSAGE))


def _paused(policy: VaultAutoUpdatePolicy, plan: PolicyPlan) -> Readiness:
    rollout = plan.rollout
    if policy.spec.mode is Mode.AUDIT or not rollout.paused:
        return Readiness(ConditionStatus.FALSE, PolicyReason.WITHIN_LIMITS, "Nothing keeps the rollout.")
    return Readiness(
        ConditionStatus.TRUE,
        PolicyReason.TOO_MANY_FAILURES,
        f"{plural(rollout.failed, 'resource')} failed; limits.maxFailures allows {rollout.allowed}. "
        "No new ones are made. Mend them (kubectl get vau says why), suspend those that are to stay so, or raise "
        "limits.maxFailures.",
    )


def _blocked(policy: VaultAutoUpdatePolicy, plan: PolicyPlan) -> Readiness:
    if policy.spec.mode is Mode.AUDIT or (plan.removals.is_open and plan.changes.is_open):
        return Readiness(ConditionStatus.FALSE, PolicyReason.WITHIN_LIMITS, "Nothing waits for approval.")
    parts = []
    if not plan.removals.is_open:
        parts.append(
            f"{plural(len(plan.orphaned), 'resource')} would leave, of which {len(plan.leaving)} with proof; "
            f"limits.maxRemovals allows {plan.removals.limit} in a day"
        )
    if not plan.changes.is_open:
        parts.append(f"{plural(len(plan.differing), 'resource')} would be changed; {plan.changes.limit} are allowed")
    how = f" To approve exactly that, set the annotation {APPROVE}={plan.hash}." if plan.hash else ""
    where = f"vault-autoupdate policy plan -n {policy.key.namespace} {policy.key.name} lists it."
    return Readiness(ConditionStatus.TRUE, PolicyReason.ABOVE_LIMITS, f"{'. '.join(parts)}.{how} {where}")


def _would(plan: PolicyPlan) -> str:
    parts = [
        _part(len(plan.missing), "resource would be made", "resources would be made"),
        _part(len(plan.differing), "would be changed", "would be changed"),
        _part(len(plan.leaving), "would be removed", "would be removed"),
    ]
    return f"{_listed([part for part in parts if part])} Set spec.mode to Enforce to have it done."


def _nothing_readable(estate: Estate) -> str:
    trouble = next(iter((*estate.doubts, *estate.unreachable.values())), None)
    return clean(
        f"No subscription in scope could be read: nothing is known, and nothing is changed. "
        f"{trouble.action if trouble else 'Check spec.scope and the roles of the identity.'}",
        bounds.MESSAGE,
    )


def _left_over(orphaned: int) -> str:
    """That there are resources whose vault was not found, or is not meant: perhaps a list did not have all."""
    one, many = "resource is for a vault that was", "resources are for vaults that were"
    return f" {_part(orphaned, one, many)} not found, or not meant." if orphaned else ""


def _part(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}" if count else ""


def _listed(parts: list[str]) -> str:
    return f"{', '.join(parts)}."
