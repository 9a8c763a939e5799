"""The API server takes and refuses ``spec.runbookSchedule``, in words that say what to write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.kube.kubectl import Kubectl
from workbench.kube.resources import manifest

NIGHTLY = {"time": "02:30", "timeZone": "Europe/Berlin"}


def _declared(**changes: Any) -> dict[str, Any]:
    fields = {name: value for name, value in (NIGHTLY | changes).items() if value is not None}
    return manifest(runbookSchedule=fields)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"time": "00:00", "timeZone": "UTC", "spread": "1m"},
        {"time": "23:59", "timeZone": "America/Argentina/Buenos_Aires", "spread": "24h"},
        {"days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]},
    ],
    ids=str,
)
def test_what_is_right_is_taken(kubectl: Kubectl, changes: dict[str, Any]) -> None:
    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(_declared(**changes))).check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": "2:30"}, 'must be hours and minutes, from "00:00" to "23:59"'),
        ({"time": "24:00"}, 'must be hours and minutes, from "00:00" to "23:59"'),
        ({"time": 150}, "must be of type string"),
        ({"time": None}, "runbookSchedule.time: Required value"),
        ({"timeZone": None}, "runbookSchedule.timeZone: Required value"),
        ({"timeZone": "W. Europe Standard Time"}, "must be the IANA name of a time zone"),
        ({"days": []}, "should have at least 1 items"),
        ({"days": ["SAT", "SAT"]}, "must not name a day twice"),
        ({"days": ["SATURDAY"]}, 'Unsupported value: "SATURDAY"'),
        ({"spread": "30s"}, "must be at least 1m"),
        ({"spread": "25h"}, "must be at most 24h: the schedules run every day"),
        ({"spread": "2 hours"}, "must be a duration of hours, minutes and seconds"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_and_says_why(kubectl: Kubectl, changes: dict[str, Any], message: str) -> None:
    result = kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(_declared(**changes)))
    assert result.code == 1
    assert message in result.stderr


def test_without_auto_update_there_is_no_schedule_to_keep(kubectl: Kubectl) -> None:
    off = manifest(autoUpdate="Disabled", automationAccountResourceId=None, runbookSchedule=NIGHTLY)
    result = kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(off))
    assert result.code == 1
    assert "spec.runbookSchedule: Forbidden: Site Recovery has no schedule when autoUpdate is Disabled" in result.stderr
