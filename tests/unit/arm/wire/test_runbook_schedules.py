"""The body that moves a schedule."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest

from tests.unit.builders import NOW
from vault_autoupdate.arm.wire.runbook_schedules import schedule_body
from vault_autoupdate.model.azure import Schedule
from vault_autoupdate.model.runbook_schedule import WallSchedule

START = NOW + timedelta(hours=9)
NEVER = "9999-12-31T23:59:59.9999999+00:00"


def _properties(expiry: str | None) -> dict[str, Any]:
    read = Schedule("nightly", expiry=expiry, description="of somebody")
    body: dict[str, Any] = schedule_body(read, WallSchedule(time(2, 30), "Europe/Berlin"), START)
    properties: dict[str, Any] = body["properties"]
    return properties


@pytest.mark.parametrize("end", [START + timedelta(days=1), NEVER, "of no form that is known"])
def test_a_schedule_keeps_the_end_that_it_has(end: datetime | str) -> None:
    text = end if isinstance(end, str) else end.isoformat()

    assert _properties(text)["expiryTime"] == text


@pytest.mark.parametrize("end", [NOW - timedelta(days=300), NOW, NOW + timedelta(minutes=1), START])
def test_one_that_has_ended_or_would_before_it_begins_gets_none(end: datetime) -> None:
    assert _properties(end.isoformat())["expiryTime"] == NEVER


def test_where_no_end_was_told_none_is_sent() -> None:
    assert "expiryTime" not in _properties(None)
