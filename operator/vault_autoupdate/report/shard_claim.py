"""Back from an object of the cluster to what it says about the shards. Pure; nothing here raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vault_autoupdate.decide.shards import Claim
from vault_autoupdate.model.arm_id import InvalidResourceId, fold, parse_vault_id
from vault_autoupdate.model.conditions import ConditionType, Reason
from vault_autoupdate.model.resource import LONG_AGO, SHARD_LABEL, ResourceKey
from vault_autoupdate.report.values import read_text, read_time

__all__ = ["in_hands_of", "read_claim", "shard_of"]


def read_claim(body: Mapping[str, Any], allows: Callable[[str, str], bool], before: Claim | None = None) -> Claim:
    """What a VaultAutoUpdate says about the shards.

    Args:
        body: as the API server has it.
        allows: whether resources of a namespace may name an id; what may not be named is not claimed.
        before: what it said before. What it names cannot be changed.
    """
    metadata = body["metadata"]
    key, uid = ResourceKey(metadata["namespace"], metadata["name"]), metadata.get("uid", "")
    status = body.get("status") or {}
    run = status.get("lastRun") or {}
    is_known = before is not None and before.uid == uid and before.subscription
    return Claim(
        key=key,
        uid=uid,
        created_at=before.created_at
        if before and is_known
        else read_time(metadata.get("creationTimestamp")) or LONG_AGO,
        shard=shard_of(body),
        subscription=before.subscription if before and is_known else _subscription(body, key.namespace, allows),
        in_hands_of=in_hands_of(status),
        is_busy=bool(run) and not run.get("completedAt"),
    )


def shard_of(body: Mapping[str, Any]) -> str:
    """The shard that an object belongs to by its label; empty for the main one."""
    return read_text((body["metadata"].get("labels") or {}).get(SHARD_LABEL))


def in_hands_of(status: Mapping[str, Any]) -> str | None:
    """The shard that may be at work on a resource, as its status says; None where nobody is.

    Nobody is before the first look, and where the subscription is another shard's. Else it is in the hands of whoever
    has written the status, until that one hands it over.
    """
    for condition in status.get("conditions") or ():
        if condition.get("type") == ConditionType.READY:
            refused = condition.get("reason") == Reason.SUBSCRIPTION_IN_OTHER_SHARD
            return None if refused else read_text(status.get("shard"))
    return None


def _subscription(body: Mapping[str, Any], namespace: str, allows: Callable[[str, str], bool]) -> str:
    text = read_text((body.get("spec") or {}).get("vaultResourceId"))
    try:
        vault = parse_vault_id(text)
    except InvalidResourceId:
        return ""
    return fold(vault.subscription) if allows(namespace, text) else ""
