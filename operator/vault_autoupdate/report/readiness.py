"""Where a resource stands, as one (status, reason, message): the source of its conditions and Events. Pure.

Steps never set conditions. They leave facts in the `VaultState`; the functions here turn facts into words, in one
place, so that the same state always reads the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.decide.tenancy import Refusal
from vault_autoupdate.model import bounds
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType, Reason
from vault_autoupdate.model.errors import AzureError, Disposition
from vault_autoupdate.model.resource import AutoUpdate, InvalidSpec, Mode, ResourceKey, VaultAutoUpdate
from vault_autoupdate.model.text import clean, plural
from vault_autoupdate.report.values import format_time, read_entries, read_text

_PAUSE: Final = "Azure wants to be left alone until "
_PAUSE_TOLD: Final = re.compile(f"{_PAUSE}[^ ]+$")

__all__ = [
    "Readiness",
    "agents_not_updated",
    "already_managed",
    "failing",
    "invalid",
    "looking",
    "not_allowed",
    "not_held",
    "pause_until",
    "settled",
    "severity_key",
    "suspended",
    "told_before",
    "updating_agents",
    "with_note",
    "working",
]


@dataclass(frozen=True)
class Readiness:
    """What the conditions say."""

    ready: str
    """A `ConditionStatus`."""
    reason: str
    message: str
    reconciling: bool = False
    """Work is going on or will go on by itself."""
    stalled: bool = False
    """Nothing goes on until somebody changes something."""
    related: ResourceKey | None = None
    """Another resource that has to do with it."""

    @property
    def is_warning(self) -> bool:
        """Whether an Event about it is a warning."""
        return (
            self.ready != ConditionStatus.TRUE
            and not (self.reconciling and self.reason == Reason.PROGRESSING)
            and not self.is_pause
        )

    @property
    def is_pause(self) -> bool:
        """Whether somebody wanted it like this."""
        return self.reason == Reason.SUSPENDED


def invalid(error: InvalidSpec) -> Readiness:
    """The resource cannot be acted on."""
    return Readiness(
        ConditionStatus.FALSE, Reason.INVALID_SPEC, clean(f"Nothing is done: {error}", bounds.MESSAGE), stalled=True
    )


def already_managed(owner: ResourceKey, *, yields: bool = False) -> Readiness:
    """Another resource names the same vault: an older one, or one written by hand, to which that of a policy yields."""
    why = "was written by hand" if yields else "is older"
    return Readiness(
        ConditionStatus.FALSE,
        Reason.VAULT_ALREADY_MANAGED,
        f"VaultAutoUpdate {owner} {why} and manages this vault. Delete one of the two.",
        stalled=True,
        related=owner,
    )


def not_allowed(refusal: Refusal) -> Readiness:
    """The operator's settings do not let the resource's namespace have this done."""
    return Readiness(ConditionStatus.FALSE, refusal.reason, clean(refusal.message, bounds.MESSAGE), stalled=True)


def not_held(why: str) -> Readiness:
    """The finalizer that ``deletionPolicy: Disable`` needs cannot be set."""
    return Readiness(
        ConditionStatus.FALSE,
        Reason.FINALIZER_NOT_SET,
        clean(
            f"Nothing is done: the finalizer for deletionPolicy Disable could not be set ({why}). Allow the operator "
            "to patch vaultautoupdates (rbac.finalizers in the chart), or set spec.deletionPolicy to Retain.",
            bounds.MESSAGE,
        ),
        stalled=True,
    )


def suspended(state: VaultState) -> Readiness:
    """``spec.suspend`` is set."""
    seen = f" When last seen, {_compliant(state)}." if state.actions else ""
    return Readiness(
        ConditionStatus.UNKNOWN, Reason.SUSPENDED, f"The vault is left alone.{seen} Set spec.suspend to false to go on."
    )


def failing(error: AzureError, state: VaultState, *, deleting: bool = False) -> Readiness:
    """A call without which nothing can be done has failed."""
    waiting = error.will_pass
    tracked = f" {plural(len(state.operations), 'job')} in flight." if state.operations else ""
    if deleting:
        tracked += " To delete the resource without switching auto-update off, set spec.deletionPolicy to Retain."
    return Readiness(
        ConditionStatus.UNKNOWN if waiting else ConditionStatus.FALSE,
        Reason.THROTTLED if error.disposition is Disposition.WAIT else error.reason,
        clean(error, bounds.MESSAGE - len(tracked)) + tracked,
        reconciling=waiting,
        stalled=not waiting,
    )


def working(resource: VaultAutoUpdate, state: VaultState, *, note: str = "") -> Readiness:
    """A run goes on."""
    counts = state.counts
    left = counts[Action.PATCH] + counts[Action.REPAIR]
    parts = [plural(len(state.operations), "job") + " in flight", f"{left:,} to start"]
    if counts[Action.WAIT]:
        parts.append(f"{counts[Action.WAIT]:,} failed")
    what = "Disabling auto-update before the resource goes" if resource.deleting else "Setting auto-update"
    said = f"{what}: {_compliant(state)}; {', '.join(parts)}. {_begun_elsewhere(state)}{note}".strip()
    return Readiness(ConditionStatus.FALSE, Reason.PROGRESSING, clean(said, bounds.MESSAGE), reconciling=True)


def updating_agents(state: VaultState) -> Readiness:
    """Updates of agents that were asked for on the command line: how far they are."""
    rollout, decision = state.rollout, state.rollout_decision
    if rollout is None or decision is None:
        return Readiness(
            ConditionStatus.UNKNOWN, Reason.PROGRESSING, "Reading the machines of the vault.", reconciling=True
        )
    failed = rollout.failed + rollout.timed_out
    parts = [
        f"{rollout.succeeded:,} updated",
        f"{len(rollout.updates):,} under way",
        f"{len(decision.waiting):,} to go",
    ]
    if failed:
        parts.append(f"{failed:,} failed")
    message = clean(f"{', '.join(parts)}. {decision.reason}".strip(), bounds.MESSAGE)
    if rollout.updates or decision.phase is Phase.ROLLING:
        return Readiness(ConditionStatus.FALSE, Reason.PROGRESSING, message, reconciling=True)
    if failed or decision.phase is not Phase.DONE:
        return Readiness(
            ConditionStatus.FALSE, Reason.AGENT_UPDATES_FAILED if failed else Reason.AGENT_UPDATES_WAITING, message
        )
    return Readiness(ConditionStatus.TRUE, Reason.AGENTS_UPDATED, message)


def looking(resource: VaultAutoUpdate) -> Readiness:
    """A generation of the resource is looked at for the first time."""
    return Readiness(
        ConditionStatus.UNKNOWN,
        Reason.PROGRESSING,
        f"Reading the mappings of vault {resource.spec.vault_resource_id.name}.",
        reconciling=True,
    )


def told_before(status: Mapping[str, Any]) -> Readiness:
    """What a status says, to be said again with something more."""
    told = {str(each.get("type")): each for each in read_entries(status.get("conditions"))}
    ready = told.get(ConditionType.READY, {})
    return Readiness(
        read_text(ready.get("status")) or ConditionStatus.UNKNOWN,
        read_text(ready.get("reason")) or Reason.PROGRESSING,
        _PAUSE_TOLD.sub("", read_text(ready.get("message"))).strip(),
        reconciling=ConditionType.RECONCILING in told,
        stalled=ConditionType.STALLED in told,
    )


def settled(resource: VaultAutoUpdate, state: VaultState) -> Readiness:
    """A pass is over and no job is left."""
    counts = state.counts
    in_scope = sum(counts.values()) - counts[Action.IGNORE]
    differing = counts[Action.PATCH] + counts[Action.REPAIR]
    only_reported = resource.spec.mode is Mode.AUDIT and not resource.deleting
    if only_reported and differing + counts[Action.WAIT] + counts[Action.TRACK]:
        examples = "; ".join(f"{path}: {reason}" for path, reason in state.samples.items())
        return Readiness(
            ConditionStatus.FALSE,
            Reason.DRIFT_DETECTED,
            clean(
                f"{plural(differing + counts[Action.WAIT], 'mapping')} of {in_scope:,} would be changed. "
                f"Mode Audit changes nothing; set spec.mode to Enforce to mend it. {examples}",
                bounds.MESSAGE,
            ),
        )
    if counts[Action.WAIT]:
        return _some_failed(state, in_scope)
    if differing or counts[Action.TRACK]:
        return working(resource, state)
    wanted = AutoUpdate.DISABLED if resource.deleting else resource.spec.auto_update
    if not in_scope:
        none = "The vault has no paired Azure-to-Azure mapping, so there is nothing to set."
        return Readiness(ConditionStatus.TRUE, Reason.COMPLIANT, f"{none} New ones are found at the interval.")
    return Readiness(
        ConditionStatus.TRUE,
        Reason.COMPLIANT,
        f"Auto-update is {wanted} in all {plural(in_scope, 'mapping')} in scope.",
    )


def pause_until(end: datetime) -> str:
    """What keeps everybody waiting, as a note."""
    return f"{_PAUSE}{format_time(end)}."


def with_note(stands: Readiness, note: str) -> Readiness:
    """The same, with something more to say."""
    return replace(stands, message=clean(f"{stands.message} {note}", bounds.MESSAGE))


def agents_not_updated(resource: VaultAutoUpdate) -> Readiness:
    """The annotation ``updateAgentsNow`` was set where no windows are declared. For an Event, and as a note."""
    why = (
        "spec.autoUpdate is Enabled, so Site Recovery updates the agents by itself."
        if resource.spec.auto_update is AutoUpdate.ENABLED
        else "there is no spec.agentUpdates. Declare it, then set the annotation to another value."
    )
    said = f"The annotation updateAgentsNow ({resource.update_agents_now}) is answered, and updates nothing: {why}"
    return Readiness(ConditionStatus.FALSE, Reason.UPDATE_AGENTS_REFUSED, clean(said, bounds.MESSAGE))


def severity_key(attempt: Attempt) -> tuple[bool, float]:
    """Order of failures: those of Azure before those that are only slow, the newest first."""
    return (attempt.reason is FailureReason.STILL_DIFFERS, -attempt.last_at.timestamp())


def _some_failed(state: VaultState, in_scope: int) -> Readiness:
    waiting = {key: attempt for key, attempt in state.attempts.items() if state.actions.get(key) is Action.WAIT}
    if not waiting:
        return Readiness(
            ConditionStatus.FALSE, Reason.MAPPINGS_FAILED, "Some mappings could not be set.", reconciling=True
        )
    key, worst = min(waiting.items(), key=lambda item: severity_key(item[1]))
    explanation = worst.explanation
    said = " ".join(text for text in (explanation.code, explanation.message) if text) or str(worst.reason)
    action = f" Recommended: {explanation.recommended_action}" if explanation.recommended_action else ""
    action += f" Activity id {explanation.activity_id}." if explanation.activity_id else ""
    soonest = min(attempt.next_at for attempt in waiting.values())
    return Readiness(
        ConditionStatus.FALSE,
        Reason.MAPPINGS_FAILED,
        clean(
            f"{len(waiting):,} of {plural(in_scope, 'mapping')} in scope failed. "
            f"{state.paths.get(key, key)}: {said.rstrip('.')}.{action} Next try at {soonest:%Y-%m-%dT%H:%M:%SZ}.",
            bounds.MESSAGE,
        ),
        reconciling=True,
    )


def _begun_elsewhere(state: VaultState) -> str:
    """The oldest job of others that is waited for, in a sentence; empty where there is none."""
    of_others = [each for each in state.operations.values() if each.adopted]
    if not of_others:
        return ""
    oldest = min(of_others, key=lambda each: (each.started_at, each.key))
    more = f" (and {len(of_others) - 1:,} more of others)" if len(of_others) > 1 else ""
    return f"{oldest.label}: {oldest.in_words}{more}. "


def _compliant(state: VaultState) -> str:
    counts = state.counts
    in_scope = sum(counts.values()) - counts[Action.IGNORE]
    return f"{counts[Action.KEEP]:,} of {plural(in_scope, 'mapping')} as declared"
