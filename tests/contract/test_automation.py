"""Contract: Microsoft's own client library reads Automation accounts from the simulator, as it is."""

from __future__ import annotations

import json
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


def test_a_schedule_is_changed_under_its_name_as_recorded(automation: AutomationClient) -> None:
    name = "Schedule3"
    start = (datetime.now(UTC) + timedelta(days=2)).replace(second=30, microsecond=0)

    def put(**properties: Any) -> tuple[int, models.Schedule]:
        statuses: list[int] = []
        made = automation.schedule.create_or_update(
            GROUP,
            _NAME,
            name,
            models.ScheduleCreateOrUpdateParameters(
                name=name, properties=models.ScheduleCreateOrUpdateProperties(start_time=start, **properties)
            ),
            raw_response_hook=lambda answer: statuses.append(answer.http_response.status_code),
            **_HTTP,
        )
        assert made is not None
        return statuses[-1], made

    status, made = put(description="Hello", frequency="Day", interval=1)
    assert status == 201
    assert made.properties is not None
    assert (made.properties.time_zone, made.properties.expiry_time_offset_minutes) == ("Etc/UTC", 0)
    assert made.properties.start_time == start.replace(second=0), "seconds are cut"
    created = made.properties.creation_time

    days = models.AdvancedSchedule(week_days=["Saturday", "Sunday"])
    status, made = put(frequency="Week", interval=1, time_zone="UTC", advanced_schedule=days)
    assert status == 200, "changed, not made"
    found = automation.schedule.get(GROUP, _NAME, name, **_HTTP).properties
    assert found is not None
    assert found.advanced_schedule is not None
    assert (found.frequency, found.time_zone, found.creation_time) == ("Week", "Etc/UTC", created)
    assert found.advanced_schedule.week_days == ["Saturday", "Sunday"]
    assert found.is_enabled is True
    assert made.properties is not None
    assert found.last_modified_time is not None
    assert made.properties.last_modified_time is not None
    assert made.properties.last_modified_time < found.last_modified_time, "the answer has the old one"

    off = models.ScheduleUpdateParameters(
        name=name, properties=models.ScheduleUpdateProperties(is_enabled=False, description="Goodbye")
    )
    changed = automation.schedule.update(GROUP, _NAME, name, off, **_HTTP).properties
    assert changed is not None
    assert (changed.is_enabled, changed.description) == (False, "Goodbye")
    assert changed.next_run is not None, "filled, although it will not run"

    automation.schedule.delete(GROUP, _NAME, name, **_HTTP)
    with pytest.raises(ResourceNotFoundError) as refused:
        automation.schedule.get(GROUP, _NAME, name, **_HTTP)
    assert refused.value.response is not None
    assert json.loads(refused.value.response.text()) == {"code": "NotFound", "message": ""}, "without an envelope"


def test_a_start_that_is_too_near_is_refused_also_of_a_change(automation: AutomationClient) -> None:
    (name, *_) = (str(item.name) for item in automation.schedule.list_by_automation_account(GROUP, _NAME, **_HTTP))
    for schedule in ("new", name):
        wanted = models.ScheduleCreateOrUpdateParameters(
            name=schedule,
            properties=models.ScheduleCreateOrUpdateProperties(
                start_time=datetime.now(UTC) + timedelta(minutes=4), frequency="Day", interval=1
            ),
        )
        with pytest.raises(HttpResponseError, match="at least 5 minutes after") as refused:
            automation.schedule.create_or_update(GROUP, _NAME, schedule, wanted, **_HTTP)
        assert refused.value.status_code == 400


def test_the_instant_of_a_start_counts_and_is_shown_in_the_zone(automation: AutomationClient) -> None:
    start = datetime(2035, 10, 19, 10, 8, tzinfo=UTC)
    for zone, shown in (("UTC+08:00", 480), ("Europe/Berlin", 120)):
        wanted = models.ScheduleCreateOrUpdateParameters(
            name="zoned",
            properties=models.ScheduleCreateOrUpdateProperties(
                start_time=start, frequency="Day", interval=1, time_zone=zone
            ),
        )
        made = automation.schedule.create_or_update(GROUP, _NAME, "zoned", wanted, **_HTTP)
        assert made is not None
        assert made.properties is not None
        assert made.properties.start_time == start
        assert (made.properties.time_zone, made.properties.start_time_offset_minutes) == (zone, shown)
