"""A controller that has heard of thousands of resources and works on none: what /metrics looks like, and costs, then.

``python -m workbench.prometheus.fleet --resources 5000 --metrics-port 9090 --health-port 8080`` serves both pages as
the operator does. A line on its standard input (``well``, ``refused``) says how all resources are from then on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.cluster.write_health import WriteHealth
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.hints import HintPoll, LogState
from vault_autoupdate.controller.policies import TrackedPolicy
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import AgentReport, Concern
from vault_autoupdate.decide.attribution import Change, ChangedMapping, Drift
from vault_autoupdate.decide.look import Subject
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.schedule_report import ScheduleReport
from vault_autoupdate.http_server import serve_health, serve_metrics
from vault_autoupdate.metrics.collector import StateCollector
from vault_autoupdate.metrics.counters import Metrics
from vault_autoupdate.model.conditions import ConditionStatus, Reason
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.policy import parse_policy
from vault_autoupdate.model.quota import Caller, QuotaScope
from vault_autoupdate.model.resource import ObjectRef, ResourceKey
from vault_autoupdate.reconcile.context import Timing
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.values import format_time
from vault_autoupdate.settings import Address, load_settings
from workbench.kube.resources import manifest, policy_manifest

MAPPINGS: Final = 20
"""In each vault."""
_TEAMS: Final = 25
_LANES: Final = 29
_SOME: Final = 20
"""Of so many vaults, one has agents that are behind, a time at which they are to be updated, and drift of late."""

_READINESS: Final = Readiness(ConditionStatus.TRUE, Reason.COMPLIANT, "")
_SECOND: Final = timedelta(seconds=1)
TIMING: Final = Timing(_SECOND, _SECOND, _SECOND, _SECOND, _SECOND, _SECOND, _SECOND, _SECOND, 1)
"""Of a controller that works on nothing: any will do."""

__all__ = ["MAPPINGS", "TIMING", "Fleet", "Mood", "idle_controller", "make_fleet"]


class Mood(StrEnum):
    """How all resources are."""

    WELL = "well"
    REFUSED = "refused"
    """Azure refuses the identity."""


def idle_controller(metrics: Metrics, now: Callable[[], datetime]) -> Controller:
    """A controller that hears of resources and works on none."""
    unused: Any = None
    return Controller(
        reconciler=unused,
        writer=unused,
        timing=TIMING,
        observer=metrics,
        wake=lambda *_: None,
        startup_spread=timedelta(),
        paused_for=lambda *_: timedelta(),
        now=now,
    )


class Fleet:
    """Resources as the watch would bring them, and what looks at their vaults would have found."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._mood = Mood.WELL
        self.metrics = Metrics()
        self.metrics.leading_when(lambda: True)
        self.controller = idle_controller(self.metrics, _now)
        self.throttle = Throttle({CallKind.WRITE: [Limit(200, 60)], CallKind.READ: [Limit(10_000, 3600)]})
        policy = parse_policy(policy_manifest(namespace="team-00", mode="Enforce"))
        self.policy = TrackedPolicy(ObjectRef(policy.key, "uid"), 1, policy, None, {})
        """One that has made all the resources."""

    def become(self, mood: Mood, *, looked: bool = True, since: timedelta = timedelta()) -> None:
        """Let all resources be like that.

        Args:
            mood: how they are.
            looked: whether this process has looked at their vaults; else it knows what their status says.
            since: how long ago that began.
        """
        self._mood = mood
        self.policy.status = _policy_status(mood, self._count, since)
        for number in range(self._count):
            self.controller.on_change(_object(number, mood, since))
            if looked and mood is Mood.WELL:
                self._look(number)

    def _look(self, number: int) -> None:
        state = self.controller.resources[_key(number)].state
        state.looked = True
        state.actions = {f"mapping-{n}": Action.KEEP if n else Action.IGNORE for n in range(MAPPINGS + 1)}
        behind = 2 if number % _SOME == 0 else 0
        concerns = {Concern.UPDATE_REQUIRED: behind} if behind else {}
        state.agents.report = AgentReport(30, behind, concerns=concerns, versions=(("9.66.7000.1", 30 - behind),))
        account = AccountReport("aa", healthy=True, next_run=_now() + timedelta(hours=6), minutes_used=40.0)
        state.account.report = account
        state.agents.at = state.account.at = _now()
        if number % _SOME == 0:
            state.schedules.look.report = ScheduleReport("Saturdays at 22:00", total=1, in_sync=1)
            state.schedules.look.at = _now()
            change = Change(_now(), "Update", "", caller="somebody@example.com")
            state.drift = Drift(_now(), _now(), 1, (ChangedMapping("mapping-1", "Disabled", change),))

    def beat(self) -> None:
        """A second of work, as it is counted: looks, their calls, what activity logs bring."""
        well = self._mood is Mood.WELL
        self.metrics.call_waited(CallKind.READ, 0.1)
        for operation in ("list_mappings", "list_items", "get_account"):
            self.metrics.call_finished(operation, "200" if well else "403", 0.3)
        self.metrics.hints_read(HintPoll.SUCCESS if well else HintPoll.FORBIDDEN, {})
        self.metrics.hinted(woken=int(well), postponed=0)
        self.metrics.pass_ended(Outcome(_READINESS, None if well else AzureError("refused")), 0.5)
        self.metrics.token_fetched(_now().timestamp() + 3600)
        self.metrics.kube_call_finished("write_status", "200")

    def _logs(self) -> dict[LogState, int]:
        """How activity logs were read, one for each scope."""
        now = LogState.READ if self._mood is Mood.WELL else LogState.FORBIDDEN
        return {**dict.fromkeys(LogState, 0), now: _LANES}

    async def meet_scopes(self) -> None:
        """Make a call in each of the scopes that a fleet of that size has, so that they have series."""
        for number in range(_LANES):
            scope = QuotaScope(f"{number:08}-0000-4000-8000-000000000000", "westeurope")
            for kind in CallKind:
                async with self.throttle.call(Caller(scope, "team-00", "vault"), kind):
                    pass

    def standing(self) -> StateCollector:
        """What reads how things stand, as the operator has it."""
        queue: WorkQueue[ResourceKey] = WorkQueue()
        health = WatchHealth()
        health.ready.set()
        health.contact("team-00")
        policies = {self.policy.ref.key: self.policy}
        return StateCollector(
            self.controller, queue, self.throttle, health, WriteHealth(),
            now=_now, policies=policies, look_intervals=dict.fromkeys(Subject, timedelta(hours=6)), logs=self._logs,
        )  # fmt: skip


def make_fleet(count: int) -> Fleet:
    """A fleet of ``count`` resources that nobody has heard of yet."""
    return Fleet(count)


def _now() -> datetime:
    return datetime.now(UTC)


def _key(number: int) -> ResourceKey:
    return ResourceKey(f"team-{number % _TEAMS:02}", f"vault-{number:04}")


def _object(number: int, mood: Mood, since: timedelta) -> dict[str, Any]:
    key = _key(number)
    group = f"/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-{number:012}/resourceGroups/rg-dr/providers"
    document = manifest(
        key.name,
        namespace=key.namespace,
        vaultResourceId=f"{group}/Microsoft.RecoveryServices/vaults/{key.name}",
        automationAccountResourceId=f"{group}/Microsoft.Automation/automationAccounts/aa-{key.name}",
    )
    document["metadata"] |= {"uid": f"uid-{number}", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {**document, "status": _status(mood, since)}


def _status(mood: Mood, since: timedelta) -> dict[str, Any]:
    at = (_now() - since).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {
        Mood.WELL: {"Ready": ("True", "Compliant"), "AgentsCurrent": ("True", "AgentsCurrent")},
        Mood.REFUSED: {"Ready": ("False", "AuthorizationFailed"), "Stalled": ("True", "AuthorizationFailed")},
    }[mood]
    return {
        "observedGeneration": 1,
        "lastSuccessTime": at,
        "mappings": {"total": 21, "inScope": 20, "compliant": 20, "ignored": 1},
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": at}
            for kind, (status, reason) in said.items()
        ],
    }


def _policy_status(mood: Mood, count: int, since: timedelta) -> dict[str, Any]:
    """Of a policy that has made all resources; without rights it sees none, and a few vaults more have no account."""
    at, is_well = _now() - since, mood is Mood.WELL
    ready = ("True", "Covered") if is_well else ("False", "NothingReadable")
    conditions = {"Ready": ready, "DiscoveryComplete": (str(is_well), "Complete" if is_well else "AuthorizationFailed")}
    subscriptions, without_account = max(1, count // 25), 0 if is_well else max(1, count // 50)
    return {
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": ""}
            for kind, (status, reason) in conditions.items()
        ],
        "vaults": {
            "found": count + without_account, "selected": count + without_account, "managed": count,
            "withoutAccount": without_account,
            "notReady": 0 if is_well else count,
        },
        "pending": {"create": 0, "update": 0, "remove": 0},
        "discovery": {
            "startedAt": format_time(at),
            "completedAt": format_time(at + timedelta(seconds=4)),
            "lastCompleteAt": format_time(at),
            "subscriptions": {
                "expected": subscriptions,
                "read": subscriptions if is_well else 0,
                "unreachable": 0 if is_well else subscriptions,
            },
        },
    }  # fmt: skip


async def _serve(chosen: argparse.Namespace) -> None:
    fleet = make_fleet(chosen.resources)
    since = timedelta(seconds=chosen.since or 0)
    fleet.become(Mood(chosen.mood), looked=chosen.since is None, since=since)
    await fleet.meet_scopes()
    settings = load_settings({"metrics_address": f"127.0.0.1:{chosen.metrics_port}"}, {})
    async with (
        serve_health(
            Address("127.0.0.1", chosen.health_port),
            overdue=lambda: 0.0,
            writes_refused=lambda: 0.0,
            ready=lambda: True,
            not_watched=tuple,
        ),
        serve_metrics(settings, fleet.metrics.page(fleet.standing().snapshot)),
    ):
        work = asyncio.create_task(_work(fleet))
        while line := await asyncio.to_thread(sys.stdin.readline):
            fleet.become(Mood(line.strip()))
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def _work(fleet: Fleet) -> None:
    while True:
        fleet.beat()
        await asyncio.sleep(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m workbench.prometheus.fleet", description=__doc__)
    parser.add_argument("--resources", type=int, required=True)
    parser.add_argument("--metrics-port", type=int, required=True)
    parser.add_argument("--health-port", type=int, required=True)
    parser.add_argument("--mood", default=Mood.WELL, choices=[str(mood) for mood in Mood])
    parser.add_argument("--since", type=float, help="seconds since that began; the process has not looked itself yet")
    asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
