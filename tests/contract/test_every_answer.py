"""Contract: every JSON that the simulator sends is exactly what Microsoft's models say, whatever is in the vault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr_simulator import Scenario, parse_scenario
from asr_simulator.api_versions import AUTOMATION_VERSIONS
from asr_simulator.routes import AUTHORIZATION, DIRECTORY, LOGIN, TENANT_WIDE, RouteKind
from tests.contract.answers import ITEMS, LISTS, Watcher
from tests.simulator.helpers import (
    ACCOUNT,
    API_VERSION,
    MAPPINGS,
    SUBSCRIPTION,
    VAULT_PATH,
    Arm,
    open_arm,
    update,
    vault,
)

_SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION}"
_GROUP = VAULT_PATH.partition("/providers/")[0]
_JOBS = f"{VAULT_PATH}/replicationJobs"
_ITEMS = f"{VAULT_PATH}/replicationProtectedItems"
_BOTH = "SystemAssigned, UserAssigned"
_AUTOMATION = f"api-version={AUTOMATION_VERSIONS[-1]}"
_AGENT_UPDATE: dict[str, Any] = {"properties": {}}
_KINDS = (
    "enabled_compliant",
    "enabled_other_case",
    "disabled",
    "enabled_other_account",
    "run_as_account",
    "enabled_unhealthy",
    "unpaired",
    "missing_details",
    "other_provider",
)


@contextmanager
def _watched(of: Scenario) -> Iterator[tuple[Arm, Watcher]]:
    arm, watcher = open_arm(of), Watcher()
    watcher.watch(arm)
    try:
        yield arm, watcher
    finally:
        arm.close()
        arm.sim.stop()


def _scenario(**changes: Any) -> Scenario:
    document: dict[str, Any] = {
        "vaults": [
            vault(
                mix=dict.fromkeys(_KINDS, 3),
                items_per_mapping=2,
                outdated_agent_share=0.5,
                initial_replication_share=0.5,
            )
        ],
        "jobs": {"duration": {"min": 30, "max": 60}},
        "throttle": {"enabled": False, "arm": {"enabled": False}},
    }
    return parse_scenario(document | changes)


def _look_at_everything(arm: Arm) -> None:
    """Call every route that can be read, for everything that is there."""
    for path in (
        VAULT_PATH,
        f"{_SUBSCRIPTION}/providers/Microsoft.RecoveryServices/vaults",
        f"{_GROUP}/providers/Microsoft.RecoveryServices/vaults",
        f"{VAULT_PATH}/replicationVaultHealth",
        f"{VAULT_PATH}/replicationVaultSettings",
        f"{VAULT_PATH}/replicationVaultSettings/default",
    ):
        assert arm.get(path).ok
    mappings = [item["id"] for page in arm.pages(VAULT_PATH + MAPPINGS) for item in page]
    for mapping in mappings:
        assert arm.get(mapping).ok
    for container in {mapping.partition(MAPPINGS)[0] for mapping in mappings}:
        arm.pages(container + MAPPINGS)
        arm.pages(f"{container}/replicationProtectedItems")
    items = [item["id"] for page in arm.pages(_ITEMS) for item in page]
    for item in items[:10]:
        assert arm.get(item).ok
    _look_at_jobs(arm)
    _look_at_accounts(arm)


def _look_at_accounts(arm: Arm) -> None:
    for account in (each["id"] for each in arm.sim.control.accounts()):
        assert arm.get(f"{account}?{_AUTOMATION}").ok
        for path in ("schedules", "jobSchedules"):
            for item in (item for page in arm.pages(f"{account}/{path}?{_AUTOMATION}") for item in page):
                assert arm.get(f"{item['id']}?{_AUTOMATION}").ok
        for path in ("jobs", "usages"):
            arm.pages(f"{account}/{path}?{_AUTOMATION}")


def _look_at_jobs(arm: Arm) -> None:
    for page in arm.pages(_JOBS):
        for job in page:
            assert arm.get(job["id"]).ok


def _update_agents(arm: Arm) -> list[tuple[str, str]]:
    """Update the agents of a page of machines; returns the operation URLs of those that were taken."""
    items = arm.get(_ITEMS).json()["value"][:10]
    answers = [arm.call("POST", f"{item['id']}/updateMobilityService", json=_AGENT_UPDATE) for item in items]
    return [
        (answer.headers["Azure-AsyncOperation"], answer.headers["Location"])
        for answer in answers
        if answer.status_code == 202
    ]


def _patch_everything(arm: Arm, status: str) -> list[tuple[str, str]]:
    """PATCH all mappings; returns the operation URLs of those that were taken."""
    answers = [
        arm.call("PATCH", item["id"], json=update(status)) for page in arm.pages(VAULT_PATH + MAPPINGS) for item in page
    ]
    return [
        (answer.headers["Azure-AsyncOperation"], answer.headers["Location"])
        for answer in answers
        if answer.status_code == 202
    ]


def test_every_route_has_a_model() -> None:
    """But for the operation status, which has none, the settings, which have two forms, and updates, without a body."""
    others = {RouteKind.OPERATION_STATUS, RouteKind.VAULT_SETTINGS, RouteKind.UPDATE_AGENT, RouteKind.UNKNOWN}
    others |= {
        *TENANT_WIDE,
        *DIRECTORY,
        RouteKind.AUTOMATION_ACCOUNTS,
        RouteKind.ACTIVITY_LOG,
        RouteKind.REPLICATION_USAGES,
    }  # test_discovery_sdk
    others |= AUTHORIZATION  # test_authorization
    assert {*LISTS, *ITEMS, *others, *LOGIN} == set(RouteKind)


def test_everything_in_every_state_is_as_the_models_say() -> None:
    jobs = {
        "duration": {"min": 30, "max": 60},
        "failed_share": 0.2,
        "partially_succeeded_share": 0.15,
        "completed_with_information_share": 0.15,
        "cancelled_share": 0.15,
        "suspended_share": 0.15,
        "not_started_share": 0.3,
        "background_per_hour": 60,
    }
    accounts = [
        {"id": f"{ACCOUNT}-{run}", "state": state, "identity": identity, "runs": [{"status": run, "lasted": None}]}
        for state, identity, run in (
            ("Ok", "None", "New"),
            ("Unavailable", "UserAssigned", "Running"),
            ("Suspended", _BOTH, "Failed"),
        )
    ]
    of = _scenario(jobs=jobs, seed=3, agent_updates={"reboot_pending": ["*"]}, automation_accounts=accounts)
    with _watched(of) as (arm, watcher):
        _look_at_everything(arm)
        arm.sim.control.release_agent("9.60.1.1")
        arm.sim.control.set_items(
            None, "*-00", blockers=[{"code": "1", "message": "m"}], expires_at="2027-01-01T00:00Z"
        )
        arm.sim.control.set_schedule("aa-dr", "*", enabled=False)
        for status in ("Enabled", "Disabled"):
            urls = _patch_everything(arm, status) + _update_agents(arm)
            arm.pages(_ITEMS)
            for _ in range(8):
                for both in urls:
                    for url in both:
                        arm.get(url)
                _look_at_jobs(arm)
                arm.time.advance(9)
            _look_at_everything(arm)
        suspended = [
            job["id"] for page in arm.pages(_JOBS) for job in page if job["properties"]["allowedActions"] == ["Cancel"]
        ]
        assert arm.call("POST", f"{suspended[0]}/cancel").ok
        assert arm.call("POST", f"{suspended[0]}/cancel").status_code == 400
        _look_at_jobs(arm)
    assert watcher.problems == []
    assert watcher.seen["job"] == {
        "NotStarted NotStarted",
        "InProgress InProgress",
        "Succeeded Completed",
        "Succeeded PartiallySucceeded",
        "Succeeded CompletedWithInformation",
        "Failed Failed",
        "Cancelling Cancelling",
        "Cancelled Cancelled",
        "Suspended Suspended",
    }
    assert watcher.seen["job error"] == {"True", "False"}
    assert watcher.seen["status"] >= {"InProgress", "Succeeded", "Failed", "Cancelled", "PartiallySucceeded"}
    assert watcher.seen["mapping"] == {"A2A Enabled", "A2A Disabled", "None None", "InMageRcm None", "VMwareCbt None"}
    assert watcher.seen["mapping health"] == {"Normal", "Warning", "Critical"}
    assert watcher.seen["mapping state"] == watcher.seen["agent"] == {"True", "False"}
    assert watcher.seen["item"] == {"InitialReplicationInProgress", "Protected"}
    assert watcher.seen["upgrade"] == watcher.seen["blocked"] == watcher.seen["schedule"] == {"True", "False"}
    assert watcher.seen["account"] == {
        "Ok SystemAssigned",
        "Ok None",
        "Unavailable UserAssigned",
        f"Suspended {_BOTH}",
    }
    assert watcher.seen["run"] == {"New", "Running", "Failed"}
    answered = {kind for kind, status in watcher.routes if status == 200}
    assert answered == {*LISTS, *ITEMS, RouteKind.OPERATION_STATUS, RouteKind.VAULT_SETTINGS}


def _refuse_tokens(arm: Arm) -> None:
    for header in ("", "Basic YTpi", "Bearer a.b.c"):
        arm.get(VAULT_PATH, headers={"Authorization": header})
    good = arm.token
    arm.token = arm.get_token("https://vault.azure.net").json()["access_token"]
    arm.get(VAULT_PATH + MAPPINGS)
    arm.token = arm.get_token(client_id="stranger").json()["access_token"]
    arm.get(VAULT_PATH + MAPPINGS)
    arm.token = arm.get_token(client_id="reader").json()["access_token"]
    arm.get(VAULT_PATH)
    arm.patch("alpha")
    arm.time.advance(90_000)
    arm.get(VAULT_PATH)
    arm.token = good
    arm.token = arm.get_token().json()["access_token"]


def _refuse_places(arm: Arm) -> None:
    for version in (None, "2020-02-30"):
        arm.get(VAULT_PATH, version=version)
    for path in (
        VAULT_PATH.replace(SUBSCRIPTION, "none"),
        VAULT_PATH.replace("rg-dr", "none"),
        f"{VAULT_PATH}-none",
        f"{VAULT_PATH}-none{MAPPINGS}",
        f"{VAULT_PATH}/replicationRecoveryPlans",
        f"{arm.mapping_path('alpha')}-none",
        f"{_JOBS}/none",
        f"{VAULT_PATH}/replicationFabrics/f/replicationProtectionContainers/c/replicationProtectedItems/none",
        f"{VAULT_PATH}/replicationOperationStatus/none",
        f"{_JOBS}?$filter=jobStatus%20ne%20'Failed'",
        f"{_ITEMS}?$filter=colour%20eq%20'red'",
        f"{VAULT_PATH}{MAPPINGS}?skipToken=none",
        f"{ACCOUNT}-none?{_AUTOMATION}",
        f"{ACCOUNT}/schedules/none?{_AUTOMATION}",
        f"{ACCOUNT}/schedules?{_AUTOMATION}&$skip=none",
        f"{ACCOUNT}/jobs/none/output?{_AUTOMATION}",
    ):
        arm.get(path)
    arm.call("DELETE", VAULT_PATH)
    arm.call("DELETE", f"{ACCOUNT}?{_AUTOMATION}")


def _refuse_updates(arm: Arm) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"agentAutoUpdateStatus": "Perhaps"},
        {"automationAccountArmId": None},
        {"automationAccountAuthenticationType": "Perhaps"},
        {"instanceType": "InMageRcm"},
        {"instanceType": 7},
    )
    for body in (*(update(**changes) for changes in wrong), {}, []):
        arm.call("PATCH", arm.mapping_path("alpha"), json=body)
    url = arm.patch("alpha").headers["Azure-AsyncOperation"]
    arm.patch("alpha")
    arm.get(url.partition("&t=")[0])
    arm.sim.control.settings(patch_failure_share=1)
    arm.patch("beta")
    arm.sim.control.settings(patch_failure_share=0)
    arm.sim.control.drift("unpair", mappings=["gamma"])
    arm.patch("gamma")
    arm.sim.control.add_fault("fail_job")
    location = arm.patch("beta").headers["Location"]
    arm.time.advance(100)
    arm.get(location)
    item = arm.below("/replicationProtectedItems").json()["value"][0]["id"]
    for body in ({}, [], _AGENT_UPDATE, _AGENT_UPDATE):
        arm.call("POST", f"{item}/updateMobilityService", json=body)
    arm.call("POST", f"{item}-none/updateMobilityService", json=_AGENT_UPDATE)


def _refuse_pace(arm: Arm) -> None:
    arm.sim.control.settings(throttle={"reads": "1/60s", "arm": {"enabled": False}})
    for _ in range(3):
        arm.get(VAULT_PATH + MAPPINGS)
    arm.sim.control.settings(throttle={"arm": {"reads": 1, "reads_per_second": 0.1}})
    for _ in range(3):
        arm.get(VAULT_PATH)
        arm.get(f"{ACCOUNT}?{_AUTOMATION}")


REFUSE: tuple[Callable[[Arm], None], ...] = (_refuse_tokens, _refuse_places, _refuse_updates, _refuse_pace)


def test_every_refusal_is_as_the_models_say() -> None:
    identities = [
        {"client_id": "writer"},
        {"client_id": "reader", "denied": [{"action": "*/write"}]},
        {"client_id": "stranger", "tenant_id": "elsewhere"},
    ]
    with _watched(_scenario(identity={"identities": identities})) as (arm, watcher):
        arm.token = arm.get_token().json()["access_token"]
        for refuse in REFUSE:
            refuse(arm)
    assert watcher.problems == []
    assert watcher.seen["code"] == {
        "AuthenticationFailed",
        "AuthenticationFailedInvalidHeader",
        "AuthorizationFailed",
        "BadRequest",
        "Conflict",
        "ExpiredAuthenticationToken",
        "InternalServerError",
        "InvalidApiVersionParameter",
        "InvalidAuthenticationToken",
        "InvalidAuthenticationTokenAudience",
        "InvalidAuthenticationTokenTenant",
        "InvalidFilterInQueryString",
        "InvalidOperationUrlSignature",
        "InvalidRequestContent",
        "InvalidResourceType",
        "InvalidSkipToken",
        "MethodNotAllowed",
        "MissingApiVersionParameter",
        "NotFound",
        "ResourceGroupNotFound",
        "ResourceNotFound",
        "SubscriptionNotFound",
        "SubscriptionRequestsThrottled",
        "TooManyRequests",
    }


_share = st.sampled_from([0.0, 0.15])
_scenarios = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "mappings_page_size": st.integers(1, 5),
        "jobs_page_size": st.integers(1, 5),
        "items_page_size": st.integers(1, 5),
        "explicit_null_next_link": st.booleans(),
        "signed_operation_urls": st.booleans(),
        "vaults": st.tuples(
            st.builds(
                vault,
                mix=st.fixed_dictionaries({}, optional=dict.fromkeys(_KINDS, st.integers(1, 2))),
                items_per_mapping=st.integers(0, 2),
                outdated_agent_share=st.sampled_from([0, 0.5, 1]),
                initial_replication_share=st.sampled_from([0, 0.5, 1]),
            )
        ),
        "jobs": st.fixed_dictionaries(
            {
                "duration": st.just({"min": 0, "max": 60}),
                "failed_share": _share,
                "partially_succeeded_share": _share,
                "completed_with_information_share": _share,
                "cancelled_share": _share,
                "suspended_share": _share,
                "never_ending_share": _share,
                "not_started_share": _share,
                "target": st.sampled_from(["mapping", "policy"]),
                "background_per_hour": st.sampled_from([0, 600]),
            }
        ),
        "automation_page_size": st.integers(1, 5),
        "agent_updates": st.fixed_dictionaries(
            {
                "auto_update_after": st.sampled_from([None, 0, 30]),
                "failed_share": st.sampled_from([0, 0.5, 1]),
                "reboot_pending": st.sampled_from([[], ["*"]]),
            }
        ),
    }
)


@given(document=_scenarios, wait=st.integers(0, 70))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_vault_at_any_moment_is_as_the_models_say(document: dict[str, Any], wait: int) -> None:
    with _watched(_scenario(**document)) as (arm, watcher):
        arm.sim.control.release_agent("9.60.1.1")
        for url in (each for both in _patch_everything(arm, "Enabled") + _update_agents(arm) for each in both):
            arm.get(url)
        arm.time.advance(wait)
        _look_at_everything(arm)
    assert watcher.problems == []


@pytest.mark.parametrize("version", ["2021-12-01", API_VERSION, "2026-01-01"])
def test_what_is_sent_at_other_versions_fits_too(version: str) -> None:
    with _watched(_scenario()) as (arm, watcher):
        for path in (VAULT_PATH + MAPPINGS, _JOBS, _ITEMS, f"{VAULT_PATH}/replicationVaultHealth"):
            assert arm.get(path, version=version).ok
    assert watcher.problems == []
