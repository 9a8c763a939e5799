"""Contract: Microsoft's own client library reads Automation accounts from the simulator, as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.automation import AutomationClient, models
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient

from asr_simulator import SimulatorThread
from asr_simulator.accounts import RUNBOOK
from tests.simulator.helpers import ACCOUNT, GROUP, VAULT, update

_HTTP: dict[str, Any] = {"enforce_https": False}
_NAME = ACCOUNT.rpartition("/")[2]


def test_the_account_is_read(sim: SimulatorThread, automation: AutomationClient) -> None:
    found = automation.automation_account.get(GROUP, _NAME, **_HTTP)
    assert (found.id, found.location) == (ACCOUNT, "westeurope")
    assert found.properties is not None
    assert found.properties.state == models.AutomationAccountState.OK
    assert found.identity is not None
    assert found.identity.type == models.ResourceIdentityType.SYSTEM_ASSIGNED
    assert found.identity.principal_id
    sim.control.set_account(_NAME, state="Suspended", identity="None")
    found = automation.automation_account.get(GROUP, _NAME, **_HTTP)
    assert found.properties is not None
    assert found.identity is not None
    assert (found.properties.state, found.identity.type) == ("Suspended", "None")


def test_an_account_that_is_gone_is_not_found(sim: SimulatorThread, automation: AutomationClient) -> None:
    sim.control.delete_account(_NAME)
    with pytest.raises(ResourceNotFoundError) as refused:
        automation.automation_account.get(GROUP, _NAME, **_HTTP)
    assert refused.value.error is not None
    assert refused.value.error.code == "ResourceNotFound"


def test_schedules_are_listed_and_read(automation: AutomationClient) -> None:
    listed = list(automation.schedule.list_by_automation_account(GROUP, _NAME, **_HTTP))
    assert len(listed) == 2, "of the two mappings that are enabled"
    for schedule in listed:
        single = automation.schedule.get(GROUP, _NAME, str(schedule.name), **_HTTP)
        assert single.properties is not None
        assert single.properties.is_enabled is True
        assert single.properties.frequency == models.ScheduleFrequency.DAY
        assert single.properties.next_run is not None
        assert timedelta(0) < single.properties.next_run - datetime.now(UTC) <= timedelta(days=1)
    with pytest.raises(ResourceNotFoundError):
        automation.schedule.get(GROUP, _NAME, "none", **_HTTP)


def test_job_schedules_bind_schedules_to_the_runbook(automation: AutomationClient) -> None:
    schedules = {item.name for item in automation.schedule.list_by_automation_account(GROUP, _NAME, **_HTTP)}
    listed = [item.properties for item in automation.job_schedule.list_by_automation_account(GROUP, _NAME, **_HTTP)]
    assert {item.schedule.name for item in listed if item and item.schedule} == schedules
    assert {item.runbook.name for item in listed if item and item.runbook} == {RUNBOOK}
    assert listed[0] is not None
    single = automation.job_schedule.get(GROUP, _NAME, str(listed[0].job_schedule_id), **_HTTP)
    assert single.properties is not None
    assert single.properties.schedule == listed[0].schedule
    with pytest.raises(ResourceNotFoundError):
        automation.job_schedule.get(GROUP, _NAME, "none", **_HTTP)


def test_an_update_of_a_mapping_makes_what_it_names(
    client: SiteRecoveryManagementClient, automation: AutomationClient
) -> None:
    mappings = client.replication_protection_container_mappings
    fabric = "asr-a2a-default-eastus"
    updating = mappings.begin_update(GROUP, VAULT, fabric, f"{fabric}-container", "alpha", update(), **_HTTP)
    updated: Any = updating.result(timeout=20)
    details = updated.properties.provider_specific_details
    assert automation.schedule.get(GROUP, _NAME, details.schedule_name, **_HTTP).name == details.schedule_name
    bound = automation.job_schedule.get(GROUP, _NAME, details.job_schedule_name, **_HTTP)
    assert bound.properties is not None
    assert bound.properties.schedule is not None
    assert bound.properties.schedule.name == details.schedule_name


def test_jobs_are_listed_with_their_statuses(sim: SimulatorThread, automation: AutomationClient) -> None:
    runs = [{"status": "Running", "ago": 5, "lasted": None}, {"status": "Failed"}, {"runbook": "mine"}]
    sim.control.set_account(_NAME, runs=runs)
    listed = list(automation.job.list_by_automation_account(GROUP, _NAME, **_HTTP))
    assert [item.properties.status for item in listed] == [
        models.JobStatus.RUNNING,
        models.JobStatus.FAILED,
        models.JobStatus.COMPLETED,
    ]
    assert listed[0].properties.end_time is None
    assert listed[1].properties.start_time is not None
    assert listed[1].properties.end_time == listed[1].properties.start_time + timedelta(minutes=1)
    text = f"properties/runbook/name eq '{RUNBOOK}'"
    assert len(list(automation.job.list_by_automation_account(GROUP, _NAME, filter=text, **_HTTP))) == 2


def test_the_output_of_a_job_is_nowhere(sim: SimulatorThread, automation: AutomationClient) -> None:
    sim.control.set_account(_NAME, runs=[{}])
    (job,) = automation.job.list_by_automation_account(GROUP, _NAME, **_HTTP)
    with pytest.raises(ResourceNotFoundError):
        automation.job.get_output(GROUP, _NAME, str(job.name), **_HTTP)


def test_minutes_are_told(sim: SimulatorThread, automation: AutomationClient) -> None:
    sim.control.set_account(_NAME, minutes_used=123.5)
    usages = list(automation.usages.list_by_automation_account(GROUP, _NAME, **_HTTP))
    assert {item.name.value: (item.current_value, item.limit, item.unit) for item in usages if item.name} == {
        "AccountUsage": (123.5, 500, "Minute"),
        "SubscriptionUsage": (123.5, 500, "Minute"),
    }


def test_lists_are_read_through_all_pages(sim: SimulatorThread, automation: AutomationClient) -> None:
    sim.control.set_account(_NAME, runs=[{"ago": number} for number in range(250)])
    listed = list(automation.job.list_by_automation_account(GROUP, _NAME, **_HTTP))
    assert len({item.name for item in listed}) == 250
    assert len(sim.control.requests(kind="automation_jobs")) == 3


def test_a_limit_is_the_right_exception(sim: SimulatorThread, automation: AutomationClient) -> None:
    sim.control.settings(throttle={"arm": {"reads": 1, "reads_per_second": 0.001}})
    automation.automation_account.get(GROUP, _NAME, **_HTTP)
    with pytest.raises(HttpResponseError) as refused:
        automation.automation_account.get(GROUP, _NAME, **_HTTP)
    assert refused.value.status_code == 429
