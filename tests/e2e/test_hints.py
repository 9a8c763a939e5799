"""Hints end to end: 200 vaults of one subscription, drift in one of them, and an activity log of every sort."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.controller.hints import HintPoll, LogState
from vault_autoupdate.decide.hints import Meaning
from workbench.core import SUBSCRIPTION, Azure
from workbench.local_operator import LocalOperator, local_operator, object_of

SCALE: Final = 100.0
ANN: Final = "ann@example.com"
EVEN: Final[dict[str, Any]] = {"lag": {"min": 60, "max": 90}, "tail_share": 0}
GROUP: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dr/providers"


def vault_id(number: int) -> str:
    return f"{GROUP}/Microsoft.RecoveryServices/vaults/dr-{number:03}"


def account_id(number: int) -> str:
    return f"{GROUP}/Microsoft.Automation/automationAccounts/aa-{number % 10}"


def vaults(count: int) -> list[dict[str, Any]]:
    return [
        {
            "subscription": SUBSCRIPTION,
            "resource_group": "rg-dr",
            "name": f"dr-{number:03}",
            "automation_account": account_id(number),
            "mix": {"enabled_compliant": 2},
        }
        for number in range(count)
    ]


@asynccontextmanager
async def fleet(
    azure: AzureFactory, count: int, *, hints: str = "on", settings: dict[str, str] | None = None, **scenario: Any
) -> AsyncIterator[tuple[Azure, LocalOperator]]:
    """So many vaults of one subscription, all as declared."""
    scenario = {"activity_log": EVEN, "vaults": vaults(count), **scenario}
    arm = azure(
        settings={"hints": hints, "agent_interval": "0s", **(settings or {})},
        **scenario,
    )
    objects = [
        object_of(
            f"dr-{number:03}",
            vaultResourceId=vault_id(number),
            autoUpdate="Enabled",
            automationAccountResourceId=account_id(number),
        )
        for number in range(count)
    ]
    async with local_operator(arm.core, objects) as running:
        await running.settle()
        yield arm, running


def now(arm: Azure) -> float:
    return arm.control.state()["simulated"]


async def until(condition: Callable[[], object], *, what: str, seconds: float = 120) -> None:
    """Wait until something is so, by the clock on the wall."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:g} s")


async def pass_time(arm: Azure, simulated: float) -> None:
    """Let so much simulated time go by, as it does by itself."""
    until_then = now(arm) + simulated
    await until(lambda: now(arm) >= until_then, what="the time")


def reads(arm: Azure) -> list[Any]:
    return [each for each in arm.requests("GET") if each["kind"] != "token"]


async def first_patch(arm: Azure, *, within: float) -> float:
    """The simulated time of the first PATCH."""
    latest = now(arm) + within
    await until(lambda: arm.requests("PATCH") or now(arm) > latest, what="a PATCH")
    patches = arm.requests("PATCH")
    assert patches, f"no PATCH within {within:g} simulated seconds"
    return patches[0]["simulated"]


def shown_at(arm: Azure) -> float:
    """When the log shows the first entry of a call that was let through."""
    entries = arm.control.activity(SUBSCRIPTION)
    return min(each["shows_at"] for each in entries if each["status"] in {"Accepted", "Succeeded"})


async def test_an_hour_of_hints_for_200_vaults_of_a_subscription_costs_under_40_calls(azure: AzureFactory) -> None:
    async with fleet(azure, 200) as (arm, _):
        before = len(reads(arm))
        await pass_time(arm, 3600)
        assert 30 <= len(reads(arm)) - before < 40, "of an hour in which nothing happens, all are extra"


async def test_drift_in_one_of_200_vaults_is_repaired_within_two_minutes_of_showing_in_the_log(
    azure: AzureFactory,
) -> None:
    async with fleet(azure, 200, time_scale=20) as (arm, running):
        arm.control.drift("disable", vault="dr-123", count=1, caller=ANN)
        patched = await first_patch(arm, within=600)
        assert 0 <= patched - shown_at(arm) <= 120
        assert running.kept.woken <= 2
        await running.settle()


async def test_with_hints_lost_altogether_drift_is_found_at_the_interval(azure: AzureFactory) -> None:
    async with fleet(azure, 3, activity_log=EVEN | {"lost_share": 1}) as (arm, running):
        arm.control.drift("disable", vault="dr-001", count=1, caller=ANN)
        await pass_time(arm, 1200)
        assert not arm.requests("PATCH")
        for tracked in running.controller.resources.values():
            assert tracked.state.settled_until is not None, "its next look stands as without hints"


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ({"doubled_share": 1}, "doubled"),
        ({"stores": {"US1": 0, "EU1": 300}}, "out of order"),
        ({"noise_per_hour": 300}, "among backups"),
        ({"request_ids": "guids"}, "without our request ids"),
    ],
)
async def test_however_the_log_is_drift_is_repaired_once_and_nothing_else_is_changed(
    azure: AzureFactory, log: dict[str, Any], name: str
) -> None:
    async with fleet(azure, 3, activity_log=EVEN | log) as (arm, running):
        arm.control.drift("disable", vault="dr-001", count=1, caller=ANN)
        await first_patch(arm, within=900)
        await running.settle()
        await pass_time(arm, 400)
        assert sum(arm.patched().values()) == 1
        assert running.kept.woken <= 2, "once when it was let through, once when it had ended"


async def test_the_operators_own_changes_wake_nobody(azure: AzureFactory) -> None:
    async with fleet(azure, 3) as (arm, running):
        arm.control.drift("disable", vault="dr-001", count=1, caller=ANN)
        await first_patch(arm, within=600)
        await running.settle()
        woken = running.kept.woken
        await until(lambda: running.kept.meanings[Meaning.OWN] >= 2, what="its own entries")
        assert running.kept.woken == woken


async def test_made_up_hints_cost_looks_and_change_nothing(azure: AzureFactory) -> None:
    operation = (
        "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
        "/replicationProtectionContainerMappings/write"
    )
    log = EVEN | {"lag": {"min": 0, "max": 0}, "log_page_size": 50}
    async with fleet(azure, 3, activity_log=log) as (arm, running):
        before = len(reads(arm))
        for number in range(200):
            arm.control.add_activity(f"{vault_id(1)}/replicationFabrics/f{number}", operation)
        await pass_time(arm, 600)
        assert not arm.requests("PATCH")
        looks = [each for each in reads(arm)[before:] if each["kind"] == "mappings"]
        assert 1 <= len(looks) <= 10, "once a minute at the most"
        assert running.kept.readings[HintPoll.CUT_OFF] >= 1


async def test_an_endless_log_is_read_five_pages_at_a_time(azure: AzureFactory) -> None:
    log = EVEN | {"noise_per_hour": 2000, "log_page_size": 50}
    async with fleet(azure, 3, activity_log=log) as (arm, running):
        await until(lambda: running.kept.readings[HintPoll.CUT_OFF], what="more pages than are read")
        readings = sum(running.kept.readings.values())
        assert len(arm.requests("GET", kind="activity_log")) <= 5 * (readings + 1)


async def test_how_the_last_reading_of_each_log_went_is_known(azure: AzureFactory) -> None:
    async with fleet(azure, 3) as (arm, running):
        await until(lambda: running.hints.logs()[LogState.READ] == 1, what="a reading")
        fault = arm.control.add_fault("status", status=500, code="InternalServerError", forever=True)
        await until(lambda: running.hints.logs()[LogState.FAILING] == 1, what="a reading that fails")
        arm.control.remove_fault(fault)
        await until(lambda: running.hints.logs()[LogState.READ] == 1, what="one that goes well again")
    async with fleet(azure, 3, hints="off") as (_, running):
        assert set(running.hints.logs().values()) == {0}


async def test_without_the_right_it_is_said_once_and_left_for_an_hour(
    azure: AzureFactory, caplog: pytest.LogCaptureFixture
) -> None:
    denied = [{"action": "microsoft.insights/*"}]
    async with fleet(azure, 3, identity={"identities": [{"client_id": "a", "denied": denied}]}) as (arm, running):
        await until(lambda: running.kept.readings[HintPoll.FORBIDDEN], what="a refusal")
        await pass_time(arm, 600)
        assert len(arm.requests("GET", kind="activity_log")) == 1
        assert running.hints.logs() == {**dict.fromkeys(LogState, 0), LogState.FORBIDDEN: 1}
    said = [record.getMessage() for record in caplog.records if "no hints" in record.getMessage()]
    assert len(said) == 1
    assert "Microsoft.Insights/eventtypes/values/read" in said[0]


@pytest.mark.parametrize(("hints", "count", "is_read"), [("off", 3, False), ("auto", 2, False), ("auto", 3, True)])
async def test_logs_are_read_only_where_that_is_wanted(
    azure: AzureFactory, hints: str, count: int, is_read: bool
) -> None:
    async with fleet(azure, count, hints=hints) as (arm, _):
        await pass_time(arm, 300)
        assert bool(arm.requests("GET", kind="activity_log")) is is_read


async def test_a_change_of_the_account_has_it_looked_at(azure: AzureFactory) -> None:
    settings = {"agent_interval": "6h"}
    async with fleet(azure, 3, settings=settings) as (arm, _):
        before = len(arm.requests("GET", kind="automation_account"))
        arm.control.set_account("aa-1", identity="None")
        arm.control.add_activity(account_id(1), "Microsoft.Automation/automationAccounts/write")
        await until(lambda: len(arm.requests("GET", kind="automation_account")) > before, what="a look at an account")
        asked = {each["path"].rpartition("/")[2] for each in arm.requests("GET", kind="automation_account")[before:]}
        assert asked == {"aa-1"}
