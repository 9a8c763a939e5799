"""Alerts about policies: vaults that nobody covers, and what keeps a policy from covering them."""

from __future__ import annotations

from tools.docs_build.alerts_promql import KEY, Alert, of_resource, series

_FINE = "Covered|WouldChange|Progressing|Uncovered|DiscoveryIncomplete|Suspended"
_LAST = of_resource(series("policy_last_complete_discovery_timestamp_seconds"))
_INTERVAL = of_resource(series("policy_discovery_interval_seconds"))
_UNCOVERED = (
    f"sum by ({KEY}) ("
    + of_resource(series("policy_vaults", 'standing=~"without_account|conflicting"'), "standing")
    + ") > 0"
)
_NAME = "VaultAutoUpdatePolicy {{ $labels.namespace }}/{{ $labels.name }}"


def _unless_suspended(expression: str) -> str:
    return f"({expression}) unless on ({KEY}) {of_resource(series('policy_suspended'))} == 1"


__all__ = ["POLICY_ALERTS"]

POLICY_ALERTS = (
    Alert(
        "PolicyNotWorking",
        _unless_suspended(of_resource(series("policy_ready", f'reason!~"{_FINE}"'), "reason") + " == 0"),
        "30m",
        "warning",
        "A policy cannot do its work.",
        f"{_NAME} is {{{{ $labels.reason }}}} and makes no resources for new vaults. Its Ready condition says what to do.",
        why="What is on its way, or only not covered yet, is not meant: for that there are other alerts.",
    ),
    Alert(
        "PolicyDiscoveryOld",
        _unless_suspended(f"time() - {_LAST} > 3 * {_INTERVAL}"),
        "15m",
        "warning",
        "A policy has not seen all of its scope for more than three intervals.",
        f"The last time that {_NAME} could read all that is in its scope was {{{{ $value | humanizeDuration }}}} ago. New "
        "vaults may be covered by nobody, and nothing is removed. The condition DiscoveryComplete says what is missing.",
        why="One discovery that misses something is nothing: the next one comes after an interval.",
    ),
    Alert(
        "PolicyUncovered",
        _unless_suspended(f"{_UNCOVERED} and on ({KEY}) {of_resource(series('policy_enforced'))} == 1"),
        "1h",
        "warning",
        "Vaults that are meant are covered by nobody.",
        f"{{{{ $value | humanize }}}} vaults that {_NAME} means get no resource: no Automation account was found for them, or "
        "another policy means them as well. status.samples names some.",
        why="Those that wait for their wave are not counted, nor those in mode Audit.",
    ),
    Alert(
        "PolicyRolloutPaused",
        _unless_suspended(f"{of_resource(series('policy_rollout_paused'))} == 1"),
        "15m",
        "warning",
        "A policy has stopped because too many of its resources failed.",
        f"{_NAME} makes no new resources: more have failed than limits.maxFailures allows. The condition RolloutPaused says "
        "how many.",
    ),
    Alert(
        "PolicyRemovalsBlocked",
        _unless_suspended(f"{of_resource(series('policy_removals_blocked'))} == 1"),
        "15m",
        "warning",
        "A policy would remove or change more than its limits allow.",
        f"{_NAME} waits for somebody to approve its plan, or to say that it is wrong. Until then nothing is removed. The "
        "condition RemovalsBlocked names the plan.",
        why="A selection that shrinks by much is a mistake more often than not.",
    ),
    Alert(
        "PolicyOrphans",
        _unless_suspended(f"{of_resource(series('policy_resources_orphaned'))} > 0"),
        "3d",
        "info",
        "Resources of a policy are about vaults that it does not mean any more.",
        f"{{{{ $value | humanize }}}} resources of {_NAME} are about vaults that are gone, excluded or no longer selected. They "
        "go on as they are until somebody decides.",
        why="With onUnmatched: Keep that is where every vault ends that leaves; with Release it passes within two looks.",
    ),
)
