"""``spec.runbookSchedule``, as the command line reads it."""

from __future__ import annotations

import json
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from vault_autoupdate.model.resource import InvalidSpec
from vault_autoupdate.model.runbook_schedule import RunbookScheduleSpec, WallSchedule, Weekday
from workbench.core import resource

NIGHTLY = {"time": "02:30", "timeZone": "Europe/Berlin"}


def declared(**fields: Any) -> RunbookScheduleSpec:
    found = resource(runbookSchedule={**NIGHTLY, **fields}).spec.runbook_schedule
    assert found is not None
    return found


def test_all_fields_are_read() -> None:
    found = declared(days=["SUN", "SAT"], spread="1h30m")
    assert (found.time, found.time_zone, found.days) == (
        time(2, 30),
        "Europe/Berlin",
        (Weekday.SUNDAY, Weekday.SATURDAY),
    )
    assert found.spread == timedelta(minutes=90)
    assert str(found) == "SAT, SUN at 02:30 Europe/Berlin, spread over 1h30m"
    assert str(declared()) == "every day at 02:30 Europe/Berlin"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"time": "2:30"}, "runbookSchedule.time: write hours and minutes in quotes"),
        ({"time": "24:00"}, "runbookSchedule.time: write hours and minutes in quotes"),
        (
            {"time": 1350},
            "runbookSchedule.time: write hours and minutes in quotes",
        ),  # 22:30 in YAML 1.1
        ({"time": "02:30\n"}, "runbookSchedule.time: write hours and minutes in quotes"),
        (
            {"timeZone": "W. Europe Standard Time"},
            "runbookSchedule.timeZone: 'W. Europe Standard Time' is not",
        ),
        ({"timeZone": "../etc/passwd"}, "is not a time zone"),
        ({"days": []}, "runbookSchedule.days: "),
        ({"days": ["SAT", "SAT"]}, "runbookSchedule.days: names a day twice"),
        ({"days": ["Saturday"]}, "runbookSchedule.days.0: "),
        ({"spread": "30s"}, "runbookSchedule.spread: 30s is out of bounds: at least 1m, at most 24h"),
        ({"spread": "25h"}, "runbookSchedule.spread: 25h is out of bounds: at least 1m, at most 24h"),
        ({"cron": "0 2 * * *"}, "runbookSchedule.cron: unknown field"),
    ],
)
def test_what_cannot_be_acted_on_is_told_with_its_field(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        declared(**fields)
    assert problem in str(refused.value)


def test_site_recovery_has_no_schedule_when_auto_update_is_disabled() -> None:
    with pytest.raises(InvalidSpec, match=r"spec.runbookSchedule: Site Recovery has no schedule"):
        resource(autoUpdate="Disabled", automationAccountResourceId=None, runbookSchedule=NIGHTLY)


def test_the_zone_has_no_default() -> None:
    with pytest.raises(InvalidSpec, match=r"runbookSchedule.timeZone: required"):
        resource(runbookSchedule={"time": "02:30"})


def test_the_right_to_move_schedules_is_no_part_of_the_role_and_has_one_of_its_own() -> None:
    docs = Path(__file__).parents[3] / "docs"
    write = "Microsoft.Automation/automationAccounts/schedules/write"
    roles = {path.name: json.loads(path.read_text())["Actions"] for path in docs.glob("azure-*role.json")}
    assert [name for name, actions in roles.items() if write in actions] == ["azure-schedule-role.json"]
    assert not [
        action for action in roles["azure-schedule-role.json"] if action.endswith(("delete", "jobSchedules/write"))
    ]


@pytest.mark.parametrize(
    "fields",
    [{}, {"days": ["SUN", "SAT"]}, {"spread": "1h30m"}, {"days": ["MON"], "spread": "24h"}],
)
def test_a_schedule_is_written_as_it_is_read(fields: dict[str, Any]) -> None:
    found = declared(**fields)

    assert found.as_manifest() == NIGHTLY | fields
    assert declared(**found.as_manifest()) == found
    assert found.wall == WallSchedule(time(2, 30), "Europe/Berlin", frozenset(found.days or ()))


def test_days_are_those_of_azure_and_of_the_calendar() -> None:
    assert [day.number for day in Weekday] == list(range(7))
    assert Weekday.MONDAY.azure_name == "Monday"


def test_a_time_that_was_read_is_taken_as_it_is() -> None:
    assert declared(time=time(3, 15)).time == time(3, 15)
    for text in ("00:00", "23:59"):
        assert f"{declared(time=text).time:%H:%M}" == text
    with pytest.raises(InvalidSpec, match=r'write hours and minutes in quotes, from "00:00" to "23:59"$'):
        declared(time="25:00")
