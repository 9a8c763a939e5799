"""Back from what stands in the cluster: how a resource fares, and what a policy has counted. Pure.

Nothing here raises: a status may have been written by anybody, and a resource may be older than a rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from vault_autoupdate.decide.policy_limits import Tally
from vault_autoupdate.model.conditions import ConditionStatus, ConditionType, Reason
from vault_autoupdate.model.estate import Child, ChildState
from vault_autoupdate.model.policy import ADOPT, POLICY_UID, STAMPED_MODE
from vault_autoupdate.model.resource import LONG_AGO, POLICY_LABEL, Mode, ObjectRef, ResourceKey, Spec
from vault_autoupdate.report.shard_claim import shard_of
from vault_autoupdate.report.values import read_time

__all__ = ["read_child", "read_tally"]


def read_child(body: Mapping[str, Any]) -> Child | None:
    """A VaultAutoUpdate as the API server has it; None if it cannot be acted on, so that it has no vault either."""
    metadata = body["metadata"]
    try:
        spec = Spec.model_validate(body.get("spec"))
    except ValidationError:
        return None
    annotations = metadata.get("annotations") or {}
    ready = _condition(body, ConditionType.READY)
    state = _state_of(body, spec, ready)
    return Child(
        ref=ObjectRef(ResourceKey(metadata["namespace"], metadata["name"]), metadata.get("uid", "")),
        spec=spec,
        policy=(metadata.get("labels") or {}).get(POLICY_LABEL, ""),
        policy_uid=annotations.get(POLICY_UID, ""),
        stamped_mode=annotations.get(STAMPED_MODE, ""),
        adopt=annotations.get(ADOPT) == "true",
        state=state,
        ready_since=read_time(ready.get("lastTransitionTime")) if state is ChildState.READY else None,
        created_at=read_time(metadata.get("creationTimestamp")) or LONG_AGO,
        deleting=metadata.get("deletionTimestamp") is not None,
        shard=shard_of(body),
    )


def read_tally(value: object) -> Tally:
    """What was counted, from a status."""
    if not isinstance(value, Mapping):
        return Tally()
    latest, count = read_time(value.get("latest")), value.get("count")
    return Tally(latest, count) if latest and isinstance(count, int) and count > 0 else Tally()


def _state_of(body: Mapping[str, Any], spec: Spec, ready: Mapping[str, Any]) -> ChildState:
    if ready.get("observedGeneration") != body["metadata"].get("generation"):
        return (
            ChildState.EXCUSED if spec.suspend else ChildState.WORKING
        )  # it says nothing about how it is declared now
    if ready.get("status") == ConditionStatus.TRUE:
        return ChildState.READY
    if spec.suspend or (spec.mode is Mode.AUDIT and ready.get("reason") == Reason.DRIFT_DETECTED):
        return ChildState.EXCUSED
    if _condition(body, ConditionType.STALLED).get("status") == ConditionStatus.TRUE:
        return ChildState.FAILED
    if _condition(body, ConditionType.RECONCILING).get("status") == ConditionStatus.TRUE:
        return ChildState.WORKING
    return ChildState.FAILED if ready.get("status") == ConditionStatus.FALSE else ChildState.WORKING


def _condition(body: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    status = body.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    of_kind = (
        condition
        for condition in (conditions if isinstance(conditions, list) else ())
        if isinstance(condition, Mapping) and condition.get("type") == kind
    )
    return next(of_kind, {})
