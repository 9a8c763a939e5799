"""A new release comes out, a window opens: the canaries first, then the rest, never too many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.decide.rollout import Phase
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.model.resource import UPDATE_AGENTS_NOW, VaultAutoUpdate
from vault_autoupdate.reconcile.reconciler import Outcome, Reconciler
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore
from workbench.core import SCALE, VAULT, Azure, resource

OLD, NEW = "9.60.0.1", "9.61.0.1"
VAULT_WITH_CANARIES: dict[str, Any] = {
    "mix": {"disabled": 4},
    "items_per_mapping": 4,
    "roles": ["canary", "web", "web", "db"],
    "vm_name": "{role}-{mapping:02}-{index}",
}
SATURDAYS: dict[str, Any] = {
    "schedule": "0 2 * * 6",
    "timeZone": "Europe/Amsterdam",
    "duration": "3h",
    "maxConcurrent": 3,
    "maxFailures": 2,
    "order": ["canary-*"],
}
FRIDAY_EVENING = datetime(2026, 5, 15, 20, 0, tzinfo=UTC)
OPENS_AT = datetime(2026, 5, 16, 0, 0, tzinfo=UTC)
"""Two in the morning in Amsterdam."""


def wanted(*, now: str | None = None, mode: str = "Enforce", **changes: Any) -> VaultAutoUpdate:
    return resource(
        autoUpdate="Disabled",
        automationAccountResourceId=None,
        mode=mode,
        agentUpdates=SATURDAYS | changes,
        annotations={} if now is None else {UPDATE_AGENTS_NOW: now},
    )


@dataclass
class Site:
    """A vault whose resource is worked on by passes, one after the other, at a time of the test's choice."""

    arm: Azure
    now: datetime = FRIDAY_EVENING
    state: VaultState = field(default_factory=VaultState)
    reconciler: Reconciler = field(init=False)
    last: Outcome = field(init=False)
    passes: int = 0
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._began = asyncio.get_running_loop().time()
        core = self.arm.core
        self.reconciler = Reconciler(
            core.site_recovery, core.timing, self.arm.recorder, scope=core.settings.quota_scope, now=self.clock
        )

    def clock(self) -> datetime:
        """The time of the test, which goes on as the simulator's does."""
        return self.now + timedelta(seconds=(asyncio.get_running_loop().time() - self._began) * SCALE)

    def set_clock(self, now: datetime) -> None:
        """Go to another time."""
        self.now, self._began = now, asyncio.get_running_loop().time()

    async def step(self, declared: VaultAutoUpdate) -> Outcome:
        """One pass."""
        self.last = await self.reconciler.reconcile(declared, self.state, _nobody, asyncio.Event())
        self.passes += 1
        return self.last

    def restart(self, declared: VaultAutoUpdate) -> None:
        """Forget all that is not in the status."""
        self.state = restore(self.status(declared), parse_vault_id(VAULT), self.clock())

    def status(self, declared: VaultAutoUpdate) -> dict[str, Any]:
        """The status after the last pass."""
        return build_status(declared, self.state, self.last.readiness, {}, self.clock())

    async def run(self, declared: VaultAutoUpdate, until: Callable[[], object], *, restarts: bool = False) -> None:
        """Make passes, each when the one before says that it is due, until ``until`` holds."""
        async with asyncio.timeout(30):
            while True:
                await self.step(declared)
                if until():
                    return
                if restarts:
                    self.restart(declared)
                again = self.last.requeue_after
                assert again is not None, f"nothing is due, and yet: {self.state.rollout_decision}"
                await asyncio.sleep(min(again.total_seconds() / SCALE, 0.2))

    @property
    def phase(self) -> Phase | None:
        """Where the rollout stands."""
        return self.state.rollout_decision.phase if self.state.rollout_decision else None

    def versions(self, pattern: str = "*") -> set[str]:
        """Versions of the agents of machines whose names match."""
        return {item["version"] for item in self.arm.control.items() if fnmatchcase(item["vm_name"], pattern)}

    def posts(self) -> list[str]:
        """Machines whose update was asked for, in the order in which Azure was asked."""
        names = {item["id"].rpartition("/")[2].lower(): item["vm_name"] for item in self.arm.control.items()}
        asked = self.arm.requests("POST", kind="update_agent")
        return [names[record["path"].lower().split("/")[-2]] for record in asked]


async def _nobody(_: Readiness) -> None:
    return


@pytest.fixture
def site(azure: AzureFactory) -> Callable[..., Site]:
    def make(**scenario: Any) -> Site:
        scenario = {"vault": VAULT_WITH_CANARIES} | scenario
        arm = azure(settings={"api_version": "2025-08-01"}, **scenario)
        arm.control.release_agent(NEW)
        return Site(arm)

    return make


async def test_canaries_go_first_then_the_rest_within_the_bound_and_only_in_the_window(
    site: Callable[..., Site],
) -> None:
    vault = site()
    declared = wanted()
    await vault.step(declared)
    assert (vault.phase, vault.posts()) == (Phase.CLOSED, [])
    assert vault.state.agents.report is not None
    assert vault.state.agents.report.behind == 16
    assert vault.last.requeue_after is not None
    assert abs(vault.last.requeue_after - (OPENS_AT - vault.clock())) < timedelta(minutes=1)
    assert vault.state.next_window is not None
    assert vault.state.next_window.opens_at == OPENS_AT

    vault.set_clock(OPENS_AT + timedelta(seconds=1))
    await vault.run(declared, lambda: vault.phase is Phase.DONE)

    asked = vault.posts()
    assert len(asked) == len(set(asked)) == 16, "each machine once"
    assert all(name.startswith("canary") for name in asked[:4])
    assert vault.versions() == {NEW}
    assert max(item["most_running_in_vault"] for item in vault.arm.control.items()) == 3
    assert vault.arm.recorder.agent_outcomes == {"succeeded": 16}
    assert vault.state.agents.report.behind == 0
    assert vault.last.readiness.ready == "True"
    status = vault.status(declared)
    assert status["agentUpdates"]["phase"] == "Done"
    assert (status["agentUpdates"]["started"], status["agentUpdates"]["succeeded"]) == (16, 16)
    assert {"type": "AgentsCurrent", "status": "True"}.items() <= status["conditions"][-1].items()


async def test_no_machine_of_the_rest_starts_before_all_canaries_have_ended(site: Callable[..., Site]) -> None:
    vault = site(agent_updates={"never_ending": ["canary-01-*"]})
    vault.set_clock(OPENS_AT)
    await vault.run(wanted(), lambda: len(vault.posts()) == 4)
    for _ in range(5):
        await vault.step(wanted())
    assert {name.partition("-")[0] for name in vault.posts()} == {"canary"}


async def test_a_failing_rollout_stops_at_max_failures(site: Callable[..., Site]) -> None:
    vault = site(agent_updates={"failing": ["web-*"]})
    vault.set_clock(OPENS_AT)
    declared = wanted()

    def is_stopped() -> bool:
        return vault.phase is Phase.STOPPED and vault.state.rollout is not None and not vault.state.rollout.updates

    await vault.run(declared, is_stopped)

    rollout = vault.state.rollout
    assert rollout is not None
    assert 2 <= rollout.failed <= 4, "those under way when the second failed came to their end"
    started = len(vault.posts())
    await vault.step(declared)
    assert len(vault.posts()) == started < 16
    failures = vault.status(declared)["agentUpdates"]["failures"]
    assert failures[0]["recommendedAction"]
    assert "maxFailures" in vault.status(declared)["agentUpdates"]["message"]


async def test_a_restart_after_every_step_starts_nothing_twice_and_loses_nothing(site: Callable[..., Site]) -> None:
    vault = site()
    vault.set_clock(OPENS_AT)
    declared = wanted()
    await vault.run(declared, lambda: vault.phase is Phase.DONE, restarts=True)
    asked = vault.posts()
    assert len(asked) == len(set(asked)) == 16
    assert vault.versions() == {NEW}
    assert max(item["most_running_in_vault"] for item in vault.arm.control.items()) == 3


async def test_the_steps_of_a_rollout_do_not_read_the_mappings_before_their_next_look_is_due(
    site: Callable[..., Site],
) -> None:
    vault = site(agent_updates={"never_ending": ["*"]})
    vault.set_clock(OPENS_AT)
    await vault.step(wanted())
    assert len(vault.posts()) == 3
    vault.state.settled_until = vault.clock() + timedelta(minutes=30)
    read = len(vault.arm.requests("GET", kind="mappings"))
    for _ in range(3):
        outcome = await vault.step(wanted())
        assert outcome.readiness.ready == "True"
    assert len(vault.arm.requests("GET", kind="mappings")) == read
    vault.set_clock(vault.clock() + timedelta(minutes=31))
    await vault.step(wanted())
    assert len(vault.arm.requests("GET", kind="mappings")) == read + 1


async def test_what_runs_when_the_window_closes_is_tracked_to_its_end_and_nothing_more_starts(
    site: Callable[..., Site],
) -> None:
    vault = site()
    declared = wanted()
    vault.set_clock(OPENS_AT + timedelta(hours=2))
    await vault.run(declared, lambda: len(vault.posts()) == 3)
    vault.set_clock(OPENS_AT + timedelta(hours=3))
    await vault.run(declared, lambda: vault.state.rollout and not vault.state.rollout.updates)
    await vault.step(declared)
    assert vault.phase is Phase.CLOSED
    assert len(vault.posts()) == 3
    assert vault.state.rollout is not None
    assert vault.state.rollout.succeeded == 3


async def test_audit_shows_what_the_next_window_would_do_and_does_nothing(site: Callable[..., Site]) -> None:
    vault = site()
    declared = wanted(mode="Audit")
    vault.set_clock(OPENS_AT)
    await vault.step(declared)
    status = vault.status(declared)["agentUpdates"]
    assert (status["phase"], status["waiting"], vault.posts()) == ("Audit", 16, [])
    assert status["planned"][0].startswith("canary")


async def test_the_annotation_opens_a_window_at_once_and_once(site: Callable[..., Site]) -> None:
    vault = site()
    declared = wanted(now="please", maxConcurrent=16)
    await vault.run(declared, lambda: vault.phase is Phase.DONE)
    assert vault.versions() == {NEW}
    assert vault.status(declared)["lastHandledUpdateAgentsNow"] == "please"
    vault.arm.control.release_agent("9.62.0.1")
    vault.set_clock(FRIDAY_EVENING + timedelta(hours=3, minutes=30))
    await vault.step(declared)
    assert len(vault.posts()) == 16


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"autoUpdate": "Enabled"}, "Site Recovery updates the agents by itself"),
        ({"autoUpdate": "Disabled", "automationAccountResourceId": None}, "there is no spec.agentUpdates"),
    ],
)
async def test_the_annotation_without_windows_is_answered_at_once_with_why_and_opens_none_later(
    site: Callable[..., Site], spec: dict[str, Any], why: str
) -> None:
    vault = site()
    asked = resource(**spec, annotations={UPDATE_AGENTS_NOW: "in march"})
    outcome = await vault.step(asked)
    assert outcome.refusal is not None
    assert outcome.refusal.reason == "UpdateAgentsRefused"
    assert why in outcome.refusal.message
    assert outcome.refusal.message in outcome.readiness.message
    status = vault.status(asked)
    assert status["lastHandledUpdateAgentsNow"] == "in march"
    assert "agentUpdates" not in status

    assert (await vault.step(asked)).refusal is None
    vault.restart(asked)
    assert (await vault.step(asked)).refusal is None

    await vault.step(wanted(now="in march"))
    assert vault.phase is Phase.CLOSED
    assert vault.posts() == []
    await vault.step(wanted(now="in november"))
    assert vault.posts() != []


async def test_the_status_of_updates_goes_with_their_declaration(site: Callable[..., Site]) -> None:
    """Once the annotation had been used it stayed for ever, saying when the next window opens."""
    vault = site()
    declared = wanted(now="please", maxConcurrent=16)
    await vault.run(declared, lambda: vault.phase is Phase.DONE)
    before = vault.status(declared)
    assert before["agentUpdates"]["phase"] == "Done"

    without = wanted(now="please")
    without = replace(without, spec=without.spec.model_copy(update={"agent_updates": None}))
    for restarted in (False, True):
        if restarted:
            vault.state = restore(before, parse_vault_id(VAULT), vault.clock())
        await vault.step(without)
        status = build_status(without, vault.state, vault.last.readiness, before, vault.clock())
        assert "agentUpdates" not in status
        assert status["lastHandledUpdateAgentsNow"] == "please"


async def test_updates_that_run_when_their_declaration_goes_stay_in_the_status_to_their_end(
    site: Callable[..., Site],
) -> None:
    vault = site(jobs={"duration": {"min": 100, "max": 100}})
    declared = wanted(now="please")
    await vault.step(declared)
    without = replace(declared, spec=declared.spec.model_copy(update={"agent_updates": None}))
    await vault.step(without)
    assert len(vault.status(without)["agentUpdates"]["operations"]) == 3
    await vault.run(without, lambda: vault.state.rollout and not vault.state.rollout.updates)
    await vault.step(without)
    assert "agentUpdates" not in vault.status(without)


async def test_what_was_updated_is_not_updated_again_when_the_first_look_of_the_next_window_fails(
    site: Callable[..., Site],
) -> None:
    vault = site(agent_updates={"never_ending": ["db-*"]})
    first, second = (wanted(now=request, maxConcurrent=16) for request in ("please", "once more"))
    await vault.run(first, lambda: vault.state.rollout and vault.state.rollout.succeeded == 12)
    fault = vault.arm.control.add_fault("empty_body", route="protected_items", forever=True)
    await vault.step(second)
    assert vault.status(second)["agentUpdates"]["message"].startswith("MalformedReply")
    vault.arm.control.remove_fault(fault)
    await vault.step(second)
    assert vault.status(second)["agentUpdates"]["phase"] == "Rolling"
    assert len(vault.posts()) == len(set(vault.posts())) == 16


async def test_when_the_machines_cannot_be_read_any_more_the_rollout_does_not_take_it_that_there_are_none(
    site: Callable[..., Site],
) -> None:
    vault = site()
    declared = wanted(mode="Audit")
    vault.set_clock(OPENS_AT)
    await vault.step(declared)
    assert vault.status(declared)["agentUpdates"]["waiting"] == 16
    vault.arm.control.add_fault(
        "status", route="protected_items", status=403, code="AuthorizationFailed", message="No.", forever=True
    )
    vault.state.agents.due = vault.clock()
    await vault.step(declared)
    assert vault.status(declared)["agentUpdates"]["message"].startswith("AuthorizationFailed: No.")


async def test_a_machine_that_needs_a_reboot_is_done_with_a_note(site: Callable[..., Site]) -> None:
    vault = site(agent_updates={"reboot_pending": ["db-*"]})
    vault.set_clock(OPENS_AT)
    await vault.run(wanted(maxConcurrent=16), lambda: vault.phase is Phase.DONE)
    assert vault.versions() == {NEW}
    assert vault.state.rollout is not None
    assert (vault.state.rollout.reboots, vault.state.rollout.failed) == (4, 0)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset_after"},
        {"kind": "reset_before"},
        {"kind": "status", "status": 503},
        {"kind": "throttle", "retry_after": 5},
    ],
    ids=str,
)
async def test_an_update_whose_answer_is_lost_is_not_sent_again_while_it_runs(
    site: Callable[..., Site], fault: dict[str, Any]
) -> None:
    vault = site(jobs={"duration": {"min": 60, "max": 60}})
    vault.arm.control.add_fault(route="update_agent", times=1, **fault)
    vault.set_clock(OPENS_AT)
    await vault.run(wanted(maxConcurrent=16), lambda: vault.phase is Phase.DONE)
    assert vault.versions() == {NEW}
    assert {item["updates_accepted"] for item in vault.arm.control.items()} == {1}
    assert vault.state.rollout is not None
    assert vault.state.rollout.failed == 0


async def test_without_the_right_to_update_agents_the_vault_is_ready_and_the_status_says_what_to_grant(
    site: Callable[..., Site],
) -> None:
    vault = site()
    message = (
        "The client 'c' with object id 'o' does not have authorization to perform action 'Microsoft.RecoveryServices/"
        "vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems/updateMobilityService/"
        "action' over scope '/subscriptions/s' or the scope is invalid."
    )
    vault.arm.control.add_fault(
        "status", route="update_agent", status=403, code="AuthorizationFailed", message=message, forever=True
    )
    vault.set_clock(OPENS_AT)
    outcome = await vault.step(wanted())
    assert outcome.readiness.ready == "True"
    said = vault.status(wanted())["agentUpdates"]["message"]
    assert "AuthorizationFailed" in said
    assert "updateMobilityService/action" in said


async def test_of_two_machines_of_one_name_whose_answer_was_lost_each_keeps_its_own_job(
    site: Callable[..., Site],
) -> None:
    """The answer to one POST is lost before it got there: the job of its namesake is not taken for its own."""
    namesakes = {"mix": {"disabled": 2}, "items_per_mapping": 1, "vm_name": "web-1"}
    vault = site(vault=namesakes, jobs={"duration": {"min": 60, "max": 60}})
    assert {item["vm_name"] for item in vault.arm.control.items()} == {"web-1"}
    vault.arm.control.add_fault("reset_before", route="update_agent", times=1)
    vault.set_clock(OPENS_AT)
    await vault.run(wanted(maxConcurrent=16, order=[]), lambda: vault.phase is Phase.DONE)

    assert vault.versions() == {NEW}
    assert [item["updates_accepted"] for item in vault.arm.control.items()] == [1, 1]
    assert vault.state.rollout is not None
    assert (vault.state.rollout.succeeded, vault.state.rollout.failed) == (2, 0)
