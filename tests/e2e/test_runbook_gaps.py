"""What Microsoft's runbook leaves open, closed: one test or more for each of its gaps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.report.restore import restore
from workbench.core import SCALE, VAULT, Azure, open_azure, resource


def status_of(wanted: VaultAutoUpdate, state: VaultState, readiness: Readiness) -> dict[str, object]:
    return build_status(wanted, state, readiness, {}, datetime.now(UTC))


async def interrupted_after(arm: Azure, wanted: VaultAutoUpdate, jobs: int) -> tuple[VaultState, Readiness]:
    """Run until so many jobs are in flight, then stop as a process does that is told to end."""
    state, superseded = VaultState(), asyncio.Event()

    def stop_in_mid_run(readiness: Readiness) -> None:
        if len(state.operations) >= jobs:
            superseded.set()

    outcome = await arm.reconcile(wanted, state, superseded=superseded, on_report=stop_in_mid_run)
    assert outcome.superseded
    return state, outcome.readiness


async def test_gap_one_page_only_a_mapping_on_the_last_page_is_patched_too(azure: AzureFactory) -> None:
    arm = azure(mix={"enabled_compliant": 50, "disabled": 30}, mappings_page_size=7, explicit_null_next_link=True)
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.message == "Auto-update is Enabled in all 80 mappings in scope."
    assert sum(arm.patched().values()) == 30


async def test_gap_retry_after_is_obeyed_by_the_whole_scope(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 30})
    arm.control.add_fault("throttle", method="PATCH", skip=5, retry_after=0.7)
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.ready == "True"
    patches = arm.requests("PATCH")
    refused = next(request for request in patches if request["status"] == 429)
    under_way = 32  # calls that had left before the refusal came back
    late = [r for r in patches if r["sequence"] > refused["sequence"] + under_way and r["real"] < refused["real"] + 0.7]
    assert late == []
    assert set(arm.patched().values()) == {1}


async def test_gap_retry_after_without_a_value_and_an_absurd_one_do_not_stop_the_run(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 3})
    arm.control.add_fault("throttle", method="PATCH")
    arm.control.add_fault("status", method="PATCH", status=429, headers={"Retry-After": "soon"})
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.ready == "True"


async def test_gap_no_window_is_ever_over_the_limit_and_the_server_never_refuses(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 450}, latency={"min": 0.0, "max": 0.01})
    await arm.reconcile(resource())
    (scope,) = arm.control.stats()["scopes"]
    assert scope["writes"]["served"] == 450
    assert scope["writes"]["peak_in_window"] <= 200
    assert scope["writes"]["throttled"] + scope["writes"]["throttled_by_arm"] == 0
    assert scope["reads"]["throttled"] + scope["reads"]["throttled_by_arm"] == 0


async def test_a_mapping_that_appears_when_replication_is_enabled_becomes_as_declared_at_the_next_look(
    azure: AzureFactory,
) -> None:
    arm, state = azure(mix={"enabled_compliant": 2}), VaultState()
    first = await arm.reconcile(resource(), state)
    assert not arm.patched()
    (new,) = arm.control.add_mappings(disabled=1)
    second = await arm.reconcile(resource(), state)
    assert arm.patched() == {new: 1}
    assert (first.readiness.ready, second.readiness.ready) == ("True", "True")
    assert state.settled_until is None, "when the next look is due is for the fleet to say: the interval"


async def test_gap_run_as_account_is_drift_though_all_else_is_right(azure: AzureFactory) -> None:
    arm = azure(mix={"run_as_account": 3, "enabled_compliant": 2})
    plan = await arm.plan(resource())
    assert {decision.reason for decision in plan.actionable} == {
        "authentication is RunAsAccount, declared SystemAssignedIdentity"
    }
    await arm.reconcile(resource())
    assert {mapping["authentication"] for mapping in arm.control.mappings()} == {"SystemAssignedIdentity"}


async def test_gap_failed_to_start_is_tried_again_when_its_time_has_come(azure: AzureFactory) -> None:
    arm, state = azure(settings={"retry_min": "2s"}), VaultState()
    arm.control.add_fault("status", method="PATCH", status=500, times=12)
    first = await arm.reconcile(resource(), state)
    assert first.readiness.reason == "MappingsFailed"
    due = max(attempt.next_at for attempt in state.attempts.values())
    await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
    second = await arm.reconcile(resource(), state)
    assert second.readiness.ready == "True"
    assert state.attempts == {}
    assert set(arm.patched().values()) == {1}


async def test_gap_a_mapping_that_failed_is_left_alone_until_its_time_has_come(azure: AzureFactory) -> None:
    arm, state = azure(), VaultState()
    arm.control.add_fault("fail_job", forever=True)
    await arm.reconcile(resource(), state)
    assert set(arm.patched().values()) == {1}
    again = await arm.reconcile(resource(), state)
    assert again.readiness.reason == "MappingsFailed"
    assert set(arm.patched().values()) == {1}


async def test_gap_an_error_that_a_patch_cannot_cure_is_not_patched_at_every_look(azure: AzureFactory) -> None:
    arm, state = azure(vault={"mix": {"enabled_unhealthy": 3}, "incurable_share": 1.0}), VaultState()
    for _ in range(4):
        outcome = await arm.reconcile(resource(), state)
    assert set(arm.patched().values()) == {1}
    assert outcome.readiness.reason == "MappingsFailed"
    waits = {attempt.next_at - attempt.last_at for attempt in state.attempts.values()}
    assert min(waits) >= timedelta(hours=1)


async def test_gap_persistence_a_restarted_process_tracks_the_jobs_of_the_one_before_it(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 40}, jobs={"duration": {"min": 60, "max": 60}}, settings={"status_interval": "0.01s"})
    state, readiness = await interrupted_after(arm, resource(), jobs=10)
    restored = restore(status_of(resource(), state, readiness), parse_vault_id(VAULT), datetime.now(UTC))
    assert restored.operations.keys() == state.operations.keys()
    outcome = await arm.reconcile(resource(), restored)
    assert outcome.readiness.ready == "True"
    assert set(arm.patched().values()) == {1}
    assert restored.run
    assert state.run
    assert restored.run.id == state.run.id
    assert restored.run.succeeded == 40


async def test_a_pass_that_is_to_end_asks_azure_nothing_more(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 4}, jobs={"duration": {"min": 60, "max": 60}}, settings={"status_interval": "0.01s"})
    await interrupted_after(arm, resource(), jobs=4)
    assert len(arm.requests("GET", kind="mappings")) == 1, "the vault was read again, for nobody"


async def test_gap_persistence_jobs_that_no_status_names_are_found_in_the_vaults_list(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 10}, jobs={"duration": {"min": 60, "max": 60}}, settings={"status_interval": "0.01s"})
    await interrupted_after(arm, resource(), jobs=10)
    outcome = await arm.reconcile(resource(), VaultState())
    assert outcome.readiness.ready == "True"
    assert set(arm.patched().values()) == {1}


async def test_gap_persistence_jobs_that_do_not_name_their_mapping_are_waited_for_after_a_kill(
    azure: AzureFactory,
) -> None:
    arm = azure(
        mix={"disabled": 10},
        jobs={"duration": {"min": 60, "max": 60}, "target": "policy"},
        settings={"status_interval": "0.01s"},
    )
    began = datetime.now(UTC) - timedelta(seconds=1)
    await interrupted_after(arm, resource(), jobs=10)
    knows_only_that_it_ran = VaultState(run=Run("killed", began), interrupted=True)
    outcome = await arm.reconcile(resource(), knows_only_that_it_ran)
    assert outcome.readiness.ready == "True"
    assert set(arm.patched().values()) == {1}


async def test_gap_persistence_a_job_that_is_forgotten_by_the_service_is_settled_by_the_mapping_itself(
    azure: AzureFactory,
) -> None:
    arm, state = azure(mix={"enabled_compliant": 1, "disabled": 1}), VaultState()
    for mapping in arm.control.mappings():
        operation = Operation(mapping["id"], "00000000-0000-4000-8000-000000000000", datetime.now(UTC), adopted=True)
        state.operations[operation.key] = operation
    await arm.reconcile(resource(), state)
    assert state.run
    assert (state.run.succeeded, state.run.failed) == (1, 1)


async def test_gap_persistence_a_job_that_was_never_named_is_over_when_nothing_runs_that_it_could_be(
    azure: AzureFactory,
) -> None:
    jobs = {"duration": {"min": 60, "max": 60}, "target": "policy", "failed_share": 1.0}
    arm, state = azure(mix={"disabled": 3}, jobs=jobs), VaultState()
    arm.control.add_fault("no_job_urls", times=1)
    outcome = await arm.reconcile(resource(), state)
    assert outcome.readiness.reason == "MappingsFailed", "without a name it would have been waited for until jobTimeout"
    assert state.operations == {}
    assert state.run
    assert (state.run.patched, state.run.failed) == (3, 3)
    assert {attempt.explanation.code for attempt in state.attempts.values()} >= {"JobNotFound"}
    assert set(arm.patched().values()) == {1}


@pytest.mark.parametrize("target", ["mapping", "policy"])
@pytest.mark.parametrize("incurable_share", [0.0, 1.0], ids=["cures", "does not cure"])
async def test_gap_persistence_a_repair_whose_job_was_never_named_is_not_over_while_its_job_may_run(
    azure: AzureFactory, target: str, incurable_share: float
) -> None:
    jobs = {"duration": {"min": 60, "max": 60}, "target": target}
    vault = {"incurable_share": incurable_share}
    arm, state = azure(mix={"enabled_unhealthy": 3}, vault=vault, jobs=jobs), VaultState()
    arm.control.add_fault("no_job_urls", times=3)
    await arm.reconcile(resource(), state)
    assert [record["running"] for record in arm.control.patches().values()] == [False] * 3
    assert set(arm.patched().values()) == {1}
    assert state.run
    assert (state.run.patched, state.run.succeeded, state.operations) == (3, 3, {})


async def test_gap_persistence_writes_of_the_process_before_still_count_against_the_limit(azure: AzureFactory) -> None:
    jobs = {"duration": {"min": 30, "max": 30}}
    arm = azure(mix={"disabled": 260}, jobs=jobs, time_scale=20, settings={"status_interval": "0.01s"})
    await interrupted_after(arm, resource(), jobs=150)
    with open_azure(arm.sim) as after_restart:
        outcome = await after_restart.reconcile(resource(), VaultState())
    assert outcome.readiness.ready == "True"
    (scope,) = arm.control.stats()["scopes"]
    assert scope["writes"]["peak_in_window"] <= 200
    assert scope["writes"]["throttled"] + scope["writes"]["throttled_by_arm"] == 0


async def test_a_job_of_somebody_else_is_tracked_and_its_mapping_not_patched_at_the_same_time(
    azure: AzureFactory,
) -> None:
    arm = azure(mix={"disabled": 1}, jobs={"duration": {"min": 60, "max": 60}}, settings={"status_interval": "0.01s"})
    await interrupted_after(arm, resource(), jobs=1)
    plan = await arm.plan(resource())
    assert [str(decision.action) for decision in plan.decisions] == ["track"]


@pytest.mark.parametrize("fault", ["reset_after", "hang"])
async def test_a_patch_whose_answer_is_lost_is_not_sent_again_while_its_job_runs(
    azure: AzureFactory, fault: str
) -> None:
    arm = azure(vault={"mappings": [{"name": "one"}]}, jobs={"duration": {"min": 100, "max": 100}})
    parameters = {"seconds": 5} if fault == "hang" else {}
    arm.control.add_fault(fault, method="PATCH", mapping="one", **parameters)
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.ready == "True"
    assert arm.patched() == {"one": 1}


async def test_a_patch_whose_answer_is_lost_is_not_sent_again_when_its_job_has_ended_meanwhile(
    azure: AzureFactory,
) -> None:
    arm = azure(vault={"mappings": [{"name": "one"}]}, jobs={"duration": {"min": 0.01, "max": 0.01}})
    arm.control.add_fault("reset_after", method="PATCH", mapping="one")
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.ready == "True"
    assert arm.patched() == {"one": 1}


async def test_the_run_takes_as_long_as_the_limit_asks_and_little_more(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 400})
    loop = asyncio.get_running_loop()
    began = loop.time()
    await arm.reconcile(resource())
    simulated = (loop.time() - began) * SCALE
    assert simulated >= 60.0  # two windows of 200 cannot be had faster
