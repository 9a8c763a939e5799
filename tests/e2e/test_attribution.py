"""Drift is named with whoever caused it, as the activity log has it; the operator itself never is."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
import requests

from tests.e2e.conftest import AzureFactory
from vault_autoupdate.core import utc_now
from vault_autoupdate.decide.attribution import Standing
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.restore import restore
from workbench.core import SUBSCRIPTION, VAULT, Azure, resource

HEALTHY: dict[str, Any] = {"mix": {"enabled_compliant": 3}}
AT_ONCE: dict[str, Any] = {"lag": {"min": 0, "max": 0}, "tail_share": 0}
LATE: dict[str, Any] = {"lag": {"min": 1000, "max": 1000}, "tail_share": 0}
ANN = "ann@example.com"


def wanted(attribution: str = "Caller", **changes: Any) -> Any:
    return resource(drift={"attribution": attribution}, automationAccountChecks=False, **changes)


async def look(arm: Azure, state: VaultState, **changes: Any) -> dict[str, Any]:
    """One look at the vault; returns what the status says of the last drift."""
    state.settled_until = None
    of = wanted(**changes)
    outcome = await arm.reconcile(of, state)
    status = build_status(of, state, outcome.readiness, {}, utc_now())
    found: dict[str, Any] = status.get("lastDrift", {})
    return found


def log_reads(arm: Azure) -> int:
    return len(arm.requests("GET", kind="activity_log"))


def later(arm: Azure, minutes: int) -> None:
    """Let the operator's clock be ahead."""
    arm.core.reconciler._now = lambda: utc_now() + timedelta(minutes=minutes)


async def test_drift_by_a_user_is_named_with_time_operation_and_correlation_id(
    azure: AzureFactory, caplog: pytest.LogCaptureFixture
) -> None:
    arm, state = azure(**HEALTHY, activity_log=AT_ONCE), VaultState()
    assert await look(arm, state) == {}
    name = arm.control.drift("disable", count=1, caller=ANN)[0]
    with caplog.at_level(logging.INFO):
        told = await look(arm, state)
    entry = next(each for each in arm.control.activity(SUBSCRIPTION) if each["caller"] == ANN)
    assert told["attribution"] == "Named"
    change = told["changes"][0]
    assert change["mapping"].endswith(f"/{name}")
    assert (change["caller"], change["correlationId"]) == (ANN, entry["correlation_id"])
    assert change["operation"] == entry["operation"]
    assert change["changedAt"][:16] == entry["time"][:16]
    assert change["found"] == "auto-update is Disabled, declared Enabled"
    assert ANN in told["message"]
    assert [record for record in caplog.records if ANN in record.getMessage()]
    assert arm.patched() == {name: 1}, "and it was changed back"


async def test_drift_by_another_client_is_named_by_the_object_id_of_its_identity(azure: AzureFactory) -> None:
    people = [{"client_id": "operator", "object_id": "o-operator"}, {"client_id": "script", "object_id": "o-script"}]
    arm, state = azure(**HEALTHY, activity_log=AT_ONCE, identity={"identities": people}), VaultState()
    await look(arm, state)
    mapping = arm.control.mappings()[0]
    patch_as(arm, "script", mapping["id"])
    told = await look(arm, state, attribution="ObjectId")
    assert told["changes"][0]["objectId"] == "o-script"
    assert told["changes"][0]["applicationId"] == "script"
    assert "caller" not in told["changes"][0]


@pytest.mark.parametrize("request_ids", ["all", "guids"])
async def test_the_operator_itself_is_never_named(azure: AzureFactory, request_ids: str) -> None:
    """Its own changes are in the log, and would be the last ones in the time that is asked about."""
    arm, state = azure(**HEALTHY, activity_log=AT_ONCE | {"request_ids": request_ids}), VaultState()
    await look(arm, state)
    for _ in range(3):
        state.looked_at = utc_now() - timedelta(hours=1)
        arm.control.drift("disable", count=1)
        told = await look(arm, state)
        assert told["attribution"] == "Waiting"
        assert "caller" not in told["changes"][0]
    assert len(arm.control.activity(SUBSCRIPTION)) == 9, "three for each change"


async def test_after_a_restart_the_changes_of_the_process_before_are_known_by_the_run(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY, activity_log=AT_ONCE), VaultState()
    await look(arm, state)
    arm.control.drift("disable", count=1)
    await look(arm, state)
    of = wanted()
    status = build_status(of, state, (await arm.reconcile(of, state)).readiness, {}, utc_now())
    arm.core.site_recovery.client.own_writes._ids.clear()
    restored = restore(status, parse_vault_id(VAULT), utc_now())
    assert restored.drift is not None
    await look(arm, restored)
    restored.looked_at = utc_now() - timedelta(hours=1)
    arm.control.drift("disable", count=1)
    arm.core.site_recovery.client.own_writes._ids.clear()
    told = await look(arm, restored)
    assert told["attribution"] == "Waiting"
    assert "caller" not in told["changes"][0]


async def test_an_entry_that_is_late_is_waited_for_and_never_guessed_and_the_repair_does_not_wait(
    azure: AzureFactory,
) -> None:
    arm, state = azure(**HEALTHY, activity_log=LATE), VaultState()
    await look(arm, state)
    name = arm.control.drift("disable", count=1, caller=ANN)[0]
    told = await look(arm, state)
    assert arm.patched() == {name: 1}
    assert told["attribution"] == "Waiting"
    assert "20 minutes late" in told["message"]
    arm.control.advance(1000)
    later(arm, 3)
    told = await look(arm, state)
    assert (told["attribution"], told["changes"][0]["caller"]) == ("Named", ANN)


async def test_what_never_shows_is_said_to_be_in_no_log(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY, activity_log=AT_ONCE), VaultState()
    await look(arm, state)
    arm.control.drift("disable", count=1)
    await look(arm, state)
    for minutes in (3, 7, 21):
        later(arm, minutes)
        await look(arm, state)
    assert state.drift is not None
    assert state.drift.standing is Standing.NOT_IN_LOG
    before = log_reads(arm)
    told = await look(arm, state)
    assert log_reads(arm) == before == 4, "bounded"
    assert "shows no change by others" in told["message"]


async def test_without_the_right_the_action_to_grant_is_told_once_and_the_repair_goes_on(azure: AzureFactory) -> None:
    denied = [{"action": "microsoft.insights/*"}]
    arm = azure(**HEALTHY, identity={"identities": [{"client_id": "a", "denied": denied}]})
    state = VaultState()
    await look(arm, state)
    name = arm.control.drift("disable", count=1, caller=ANN)[0]
    told = await look(arm, state)
    assert arm.patched() == {name: 1}
    assert told["attribution"] == "NotReadable"
    assert f"Microsoft.Insights/eventtypes/values/read on /subscriptions/{SUBSCRIPTION}" in told["message"]
    await look(arm, state)
    assert log_reads(arm) == 1


FAULTS: dict[str, dict[str, Any]] = {
    "status": {"status": 503},
    "throttle": {"retry_after": 30},
    "unauthorized": {},
    "reset_before": {},
    "hang": {"seconds": 60},
    "html": {"status": 200},
    "truncated_json": {},
    "wrong_shape": {"body": {"value": [1, {}, None]}},
    "empty_body": {},
    "redirect": {"url": "http://127.0.0.1:1/"},
    "next_link_loop": {},
    "next_link_host": {"url": "http://127.0.0.1:1"},
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_whatever_the_log_answers_drift_is_repaired_and_nobody_is_named(
    azure: AzureFactory, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault_autoupdate.reconcile.attribution._PATIENCE", 1.0)
    arm, state = azure(**HEALTHY, settings={"request_timeout": "0.3s"}, activity_log=LATE), VaultState()
    await look(arm, state)
    arm.control.add_fault(kind, route="activity_log", forever=True, **FAULTS[kind])
    name = arm.control.drift("disable", count=1, caller=ANN)[0]
    told = await look(arm, state)
    assert arm.patched() == {name: 1}
    assert told["attribution"] in {"Waiting", "NotReadable"}
    assert "caller" not in told["changes"][0]


async def test_unless_it_is_wanted_the_log_is_not_asked(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY, activity_log=AT_ONCE), VaultState()
    for _ in range(2):
        assert await look(arm, state, attribution="Disabled") == {}
        arm.control.drift("disable", count=1, caller=ANN)
    assert log_reads(arm) == 0


async def test_what_was_never_as_declared_was_changed_by_nobody(azure: AzureFactory) -> None:
    arm, state = azure(mix={"disabled": 3}, activity_log=AT_ONCE), VaultState()
    assert await look(arm, state) == {}
    arm.control.add_mappings(disabled=1)
    assert await look(arm, state) == {}
    assert log_reads(arm) == 0


async def test_in_audit_it_is_told_too(azure: AzureFactory) -> None:
    arm, state = azure(**HEALTHY, activity_log=AT_ONCE), VaultState()
    await look(arm, state, mode="Audit")
    arm.control.drift("disable", count=3, caller=ANN)
    told = await look(arm, state, mode="Audit")
    assert (told["mappings"], [each["caller"] for each in told["changes"]]) == (3, [ANN] * 3)
    assert not arm.patched()


def patch_as(arm: Azure, client_id: str, mapping_id: str) -> None:
    """Switch auto-update of a mapping off, as another client does it."""
    token = requests.get(
        f"{arm.sim.url}/msi/token",
        params={"api-version": "2019-08-01", "resource": "https://management.azure.com/", "client_id": client_id},
        headers={"X-IDENTITY-HEADER": arm.sim.scenario.identity.secret},
        timeout=10,
    ).json()["access_token"]
    answer = requests.patch(
        f"{arm.sim.url}{mapping_id}?api-version=2025-08-01",
        json={"properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Disabled"}}},
        headers={"Authorization": f"Bearer {token}", "x-ms-client-request-id": "0b1ec700-0000-4000-8000-000000000009"},
        timeout=10,
    )
    assert answer.status_code == 202, answer.text
    arm.control.advance(60)
