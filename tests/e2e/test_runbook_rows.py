"""What Microsoft's runbook does, step by step, done by the core against a simulated Azure over HTTP.

Each test's name begins with the step of the runbook that it is about. What the runbook checks before it calls
anything is in ``tests/unit/model/test_arm_id.py``; which mappings it keeps is in
``tests/unit/decide/test_plan.py`` too.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.decide.attempts import FailureReason
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.resource import InvalidSpec
from workbench.core import ACCOUNT, resource


@pytest.mark.parametrize(
    "spec",
    [
        {"vaultResourceId": "subscriptions/x"},
        {"vaultResourceId": "/subscriptions/a/b"},
        {"vaultResourceId": "/subscriptions/a/resourceGroups/b"},
        {"automationAccountResourceId": None},
    ],
)
async def test_validation_anything_else_than_a_vault_id_is_an_error_and_nothing_is_called(
    azure: AzureFactory, spec: dict[str, str | None]
) -> None:
    arm = azure()
    with pytest.raises(InvalidSpec):
        await arm.reconcile(resource(**spec))
    assert arm.requests() == []


async def test_constants_the_clients_request_id_begins_with_the_run_and_the_api_version_is_the_configured_one(
    azure: AzureFactory,
) -> None:
    arm, state = azure(), VaultState()
    await arm.reconcile(resource(), state)
    assert state.run
    patches = arm.requests("PATCH")
    assert len(patches) == 3
    for request in patches:
        assert re.fullmatch(rf"{re.escape(state.run.id)}/[0-9a-f-]{{36}}", request["client_request_id"])
    assert len({request["client_request_id"] for request in arm.requests()}) == len(arm.requests())


async def test_token_comes_from_the_managed_identity_endpoint_and_is_fetched_once_not_before_every_call(
    azure: AzureFactory,
) -> None:
    arm = azure(mix={"disabled": 20})
    await arm.reconcile(resource())
    assert arm.control.state()["tokens_issued"] == 1


async def test_list_reads_the_mappings_of_the_vault_on_all_pages(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 7}, mappings_page_size=2)
    plan = await arm.plan(resource())
    assert len(plan.actionable) == 7
    assert len(arm.requests("GET", "mappings")) == 4


async def test_keep_only_paired_a2a_mappings_that_are_not_as_wanted_or_have_health_errors(azure: AzureFactory) -> None:
    arm = azure(
        mix={
            "enabled_compliant": 4,
            "enabled_other_case": 2,
            "disabled": 3,
            "enabled_other_account": 2,
            "run_as_account": 1,
            "enabled_unhealthy": 2,
            "unpaired": 2,
            "missing_details": 2,
            "other_provider": 2,
        }
    )
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.ready == "True"
    wanted = {m["name"] for m in arm.control.mappings() if m["provider"] == "A2A" and m["state"] == "Paired"}
    assert sum(arm.patched().values()) == 3 + 2 + 1 + 2
    assert set(arm.patched()) <= wanted
    assert set(arm.patched().values()) == {1}


async def test_keep_when_disabling_takes_every_paired_a2a_mapping_that_is_not_disabled_yet(azure: AzureFactory) -> None:
    arm = azure(mix={"enabled_compliant": 3, "enabled_unhealthy": 1, "disabled": 5})
    outcome = await arm.reconcile(resource(autoUpdate="Disabled"))
    assert outcome.readiness.ready == "True"
    assert len(arm.patched()) == 4  # the runbook would patch the five that are disabled already, too
    assert {m["status"] for m in arm.control.mappings()} == {"Disabled"}


async def test_nothing_kept_is_a_success_without_a_single_patch_or_look_at_jobs(azure: AzureFactory) -> None:
    arm = azure(mix={"enabled_compliant": 3, "unpaired": 1})
    outcome = await arm.reconcile(resource())
    assert outcome.readiness.reason == "Compliant"
    assert arm.requests("PATCH") == []
    assert arm.requests("GET", "jobs") == []


async def test_patch_sends_the_whole_wanted_state_once_for_each_mapping(azure: AzureFactory) -> None:
    arm = azure(mix={"disabled": 4})
    await arm.reconcile(resource())
    assert list(arm.patched().values()) == [1, 1, 1, 1]
    for mapping in arm.control.mappings():
        assert mapping["status"] == "Enabled"
        assert mapping["authentication"] == "SystemAssignedIdentity"
        assert (mapping["account"] or "").casefold() == ACCOUNT.casefold()


async def test_patch_is_tried_again_three_times_then_counts_as_failed_to_start_and_the_next_one_goes_on(
    azure: AzureFactory,
) -> None:
    arm, state = azure(vault={"mappings": [{"name": "bad"}, {"name": "good"}]}), VaultState()
    arm.control.add_fault("status", method="PATCH", mapping="bad", status=500, forever=True)
    await arm.reconcile(resource(), state)
    assert state.run
    assert (state.run.succeeded, state.run.failed_to_start) == (1, 1)
    assert len([r for r in arm.requests("PATCH") if r["mapping"] == "bad"]) == 4
    assert arm.patched() == {"good": 1}


@pytest.mark.parametrize("share", ["partially_succeeded_share", "completed_with_information_share"])
async def test_track_partially_succeeded_and_completed_with_information_are_successes(
    azure: AzureFactory, share: str
) -> None:
    arm, state = azure(jobs={"duration": {"min": 5, "max": 5}, share: 1.0}), VaultState()
    await arm.reconcile(resource(), state)
    assert state.run
    assert (state.run.succeeded, state.run.failed) == (3, 0)


async def test_track_a_failed_job_is_counted_and_explained_with_its_recommended_action(azure: AzureFactory) -> None:
    arm, state = azure(vault={"mappings": [{"name": "bad"}, {"name": "good"}]}), VaultState()
    arm.control.add_fault(
        "fail_job",
        mapping="bad",
        code="150999",
        message="The runbook could not be linked.",
        possible_causes="The account is gone.",
        recommended_action="Make the account anew.",
    )
    outcome = await arm.reconcile(resource(), state)
    assert state.run
    assert (state.run.succeeded, state.run.failed) == (1, 1)
    (attempt,) = state.attempts.values()
    assert attempt.reason is FailureReason.JOB_FAILED
    assert attempt.explanation.code == "150999"
    assert attempt.explanation.possible_causes == "The account is gone."
    assert outcome.readiness.reason == "MappingsFailed"
    for part in ("The runbook could not be linked.", "Make the account anew.", "bad"):
        assert part in outcome.readiness.message


async def test_track_a_cancelled_job_is_a_failure(azure: AzureFactory) -> None:
    arm, state = azure(jobs={"duration": {"min": 5, "max": 5}, "cancelled_share": 1.0}), VaultState()
    await arm.reconcile(resource(), state)
    assert state.run
    assert state.run.failed == 3


async def test_track_a_look_that_fails_leaves_the_jobs_for_the_next_round(azure: AzureFactory) -> None:
    arm, state = azure(), VaultState()
    arm.control.add_fault("status", method="GET", route="jobs", status=503, skip=1, times=6)
    outcome = await arm.reconcile(resource(), state)
    assert outcome.readiness.ready == "True"
    assert state.run
    assert state.run.succeeded == 3
    assert set(arm.patched().values()) == {1}


async def test_time_out_jobs_that_are_left_count_as_timed_out(azure: AzureFactory) -> None:
    arm, state = azure(vault={"mappings": [{"name": "hangs"}, {"name": "good"}]}), VaultState()
    arm.control.add_fault("job_never_ends", mapping="hangs")
    wanted = resource()
    shorter = wanted.spec.model_copy(update={"job_timeout": wanted.spec.job_timeout / 160 / 60})  # one second
    outcome = await arm.reconcile(type(wanted)(key=wanted.key, spec=shorter, generation=1), state)
    assert state.run
    assert (state.run.succeeded, state.run.timed_out) == (1, 1)
    (attempt,) = state.attempts.values()
    assert attempt.reason is FailureReason.TIMED_OUT
    assert outcome.readiness.ready == "False"


async def test_end_gives_the_four_counts_and_is_an_error_if_not_all_succeeded(azure: AzureFactory) -> None:
    arm, state = azure(vault={"mappings": [{"name": n} for n in ("fails", "refused", "good")]}), VaultState()
    arm.control.add_fault("fail_job", mapping="fails")
    arm.control.add_fault("status", method="PATCH", mapping="refused", status=400, code="BadRequest", forever=True)
    outcome = await arm.reconcile(resource(), state)
    assert state.run
    assert (state.run.succeeded, state.run.failed, state.run.failed_to_start, state.run.timed_out) == (1, 1, 1, 0)
    assert outcome.readiness.ready == "False"
    assert json.dumps(sorted(str(attempt.reason) for attempt in state.attempts.values())) == (
        '["FailedToStart", "JobFailed"]'
    )
