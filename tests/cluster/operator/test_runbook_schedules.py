"""A fleet of mappings on one account, kept at its hour by an operator process, whatever Azure does with schedules."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from tests.cluster.operator.conftest import SiteFactory
from workbench.process.waiting import wait_until
from workbench.site import Site, condition

FLEET: Final = 200
SCHEDULE: Final = {"time": "23:30", "timeZone": "Europe/Berlin", "spread": "1h"}
IN_SYNC: Final = "RunbookScheduleInSync"
BEHAVIOURS: Final[list[dict[str, Any]]] = [
    {},
    {"put_when_disabled": "enable", "enabled_in_put": "obeyed", "week_to_day": "kept"},
    {"after_repair": "same_name_reset", "default_zone": "Asia/Kolkata"},
    {"after_repair": "same_name_keep"},
    {"after_repair": "new_name_copy"},
    {"shared_by": "vault"},
]


def _writes(site: Site) -> Counter[str]:
    """By path: what was written, logins and changes of mappings aside."""
    return Counter(
        f"{each['method']} {each['path'].lower()}"
        for each in site.sim.control.requests(limit=20_000)
        if each["method"] != "GET" and each["kind"] not in {"token", "oauth_token", "mapping"}
    )


def _minutes(site: Site) -> list[int]:
    """Of each run within a day: how many minutes after 23:30 it is."""
    at = [datetime.fromisoformat(run["at"]).astimezone(ZoneInfo("Europe/Berlin")) for run in _due(site)]
    return [(each.hour * 60 + each.minute - (23 * 60 + 30)) % (24 * 60) for each in at]


def _due(site: Site) -> list[Any]:
    (account,) = site.sim.control.accounts()
    return list(site.sim.control.due_runs(account["id"], hours=24))


def _names(site: Site) -> set[str]:
    (account,) = site.sim.control.accounts()
    return {str(each["schedule"]).lower() for each in account["schedules"]}


def _wait_in_sync(site: Site, schedules: int) -> dict[str, Any]:
    return site.wait(
        lambda status: (
            condition(status, IN_SYNC).get("status") == "True"
            and status["runbookSchedule"].get("inSync") == schedules
            and condition(status).get("status") == "True"
        ),
        within=60,
    )


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=str)
def test_a_fleet_runs_within_its_hour_also_after_a_repair(own_site: SiteFactory, behaviour: dict[str, Any]) -> None:
    site = own_site({"enabled_compliant": FLEET}, schedules=behaviour)
    schedules = 1 if behaviour.get("shared_by") == "vault" else FLEET
    site.operator.start()
    site.create(runbookSchedule=SCHEDULE)
    _wait_in_sync(site, schedules)
    named = _names(site)
    assert len(named) == schedules
    minutes = _minutes(site)
    assert len(minutes) == schedules
    assert all(0 <= each < 60 for each in minutes)
    if schedules == FLEET:
        assert len(set(minutes)) > 50
        assert max(Counter(minutes).values()) <= 10, "an account runs 5 to 50 jobs at once"

    site.sim.control.drift("health_error", count=20)
    site.request_and_wait(within=60)
    _wait_in_sync(site, schedules)
    named |= _names(site)
    assert all(0 <= each < 60 for each in _minutes(site))
    writes = _writes(site)
    assert {each.partition("/schedules/")[0].split("/")[0] for each in writes} == {"PUT "}
    assert {each.partition("/schedules/")[2] for each in writes} <= named
    assert max(writes.values()) <= 2


def test_a_fleet_that_is_set_back_again_and_again_is_moved_twice_also_over_kills(own_site: SiteFactory) -> None:
    site = own_site({"enabled_compliant": 20}, schedules={"reverts_after": 50})
    site.operator.start()
    site.create(runbookSchedule=SCHEDULE)
    for _ in range(4):
        site.request_and_wait(within=60)
        site.operator.kill()
        site.operator.start()

    def keeps_changing() -> bool:
        status = site.request_and_wait(within=60)
        return bool(condition(status, IN_SYNC).get("reason") == "ScheduleKeepsChanging")

    wait_until(keeps_changing, within=60, what="the schedules to be set back once more, and left so", every=0.5)
    assert list(_writes(site).values()) == [2] * 20
    assert site.status()["runbookSchedule"]["differing"]


def test_an_edit_that_makes_mappings_unhealthy_ends_some_day(own_site: SiteFactory) -> None:
    site = own_site({"enabled_compliant": 5}, schedules={"edit_is_unhealthy": True})
    site.operator.start()
    site.create(runbookSchedule=SCHEDULE)
    for _ in range(8):
        site.request_and_wait(within=60)
    moves = Counter(path.rpartition("_")[0] for path in _writes(site).elements())
    assert max(moves.values()) <= 4, "of all schedules that one mapping has had"
