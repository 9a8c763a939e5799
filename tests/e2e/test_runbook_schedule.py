"""Site Recovery's schedules run when the resource says, and nothing but those is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.core import utc_now
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.document import build_status
from workbench.core import ACCOUNT, Azure, resource

NIGHTLY: dict[str, Any] = {"time": "02:30", "timeZone": "Europe/Berlin"}
THREE: dict[str, Any] = {"mix": {"enabled_compliant": 3}}


def wanted(schedule: dict[str, Any] | None = None, **changes: Any) -> Any:
    return resource(runbookSchedule=NIGHTLY if schedule is None else schedule, **changes)


def condition(state: VaultState, outcome: Outcome, **changes: Any) -> dict[str, Any]:
    status = build_status(wanted(**changes), state, outcome.readiness, {}, utc_now())
    return next((each for each in status["conditions"] if each["type"] == "RunbookScheduleInSync"), {})


def wall_times(arm: Azure, zone: str = "Europe/Berlin") -> list[str]:
    runs = arm.control.due_runs(ACCOUNT, hours=24)
    return [f"{datetime.fromisoformat(run['at']).astimezone(ZoneInfo(zone)):%H:%M}" for run in runs]


def writes(arm: Azure) -> list[str]:
    """What was written, PATCHes of mappings aside."""
    return [
        f"{each['method']} {each['kind']}"
        for each in arm.requests()
        if each["method"] not in ("GET", "PATCH") and each["kind"] not in ("token", "oauth_token")
    ]


async def test_schedules_are_moved_to_the_declared_time_once(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    outcome = await arm.reconcile(wanted(), state)
    assert outcome.readiness.ready == "True"
    assert wall_times(arm) == ["02:30"] * 3
    assert writes(arm) == ["PUT schedules"] * 3
    assert condition(state, outcome)["status"] == "True"
    state.schedules.look.due = None
    await arm.reconcile(wanted(), state)
    assert writes(arm) == ["PUT schedules"] * 3
    assert [(each.was, each.schedules) for each in state.schedules.replaced] == [("every day at 00:00 Etc/UTC", 3)]


async def test_audit_says_old_and_new_and_writes_nothing(azure: AzureFactory) -> None:
    arm, state = azure(**THREE), VaultState()
    outcome = await arm.reconcile(wanted(mode="Audit"), state)
    said = condition(state, outcome, mode="Audit")
    assert (said["status"], said["reason"]) == ("False", "SchedulesDiffer")
    assert "every day at 00:00 Etc/UTC → every day at 02:30 Europe/Berlin" in said["message"]
    assert not writes(arm)
