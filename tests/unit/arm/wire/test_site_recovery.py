"""ARM's JSON, in the shapes of the published examples and of recorded traffic (with names of ours)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT_ID, DISABLE, ENABLE, NOW
from vault_autoupdate.arm.wire import site_recovery as wire
from vault_autoupdate.decide.plan import Action, make_plan
from vault_autoupdate.model.azure import ContainerMapping, Machine, Vault
from vault_autoupdate.model.errors import MalformedReply
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import AutoUpdate, Goal

DATA = Path(__file__).parent / "data"
JOB = "535e25dd-a24d-4393-8f51-7a771ebf19bd"


def _data(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


def _mapping(**properties: Any) -> dict[str, Any]:
    return {"id": "/Subscriptions/x/m", "name": "m", "properties": properties}


def _job(**properties: Any) -> dict[str, Any]:
    return {"name": "j", "properties": properties}


# Mappings.


def test_a_page_of_mappings() -> None:
    seen = {mapping.name: mapping for mapping in wire.mappings_page(_data("mappings"))}

    assert list(seen) == ["disabled", "enabled", "without-details", "vmware"]
    off, on = seen["disabled"], seen["enabled"]
    assert (off.state, off.instance_type, off.auto_update_status) == ("Paired", "A2A", "Disabled")
    assert (off.automation_account_id, off.authentication_type, off.health_errors) == ("", "RunAsAccount", ())
    assert on.automation_account_id.endswith("/rg-automation/providers/Microsoft.Automation/automationAccounts/aa-dr")
    assert on.authentication_type == "SystemAssignedIdentity"
    assert (on.schedule_name, on.job_schedule_name) == (
        "enabled_0b9e63f5-1f1c-4a55-9d7a-4b7c1a1f0001",
        "0b9e63f5-1f1c-4a55-9d7a-4b7c1a1f0002",
    )
    assert (off.schedule_name, off.job_schedule_name) == ("", "")
    assert on.target_container_id.endswith(
        "/replicationFabrics/eastus2/replicationProtectionContainers/east2-container"
    )
    assert on.health_errors == (
        Explanation("151234", "The runbook could not reach the vault.", "The identity has no role.",
                    "Give it one.", category="AgentAutoUpdateInfra"),
        Explanation("7", "Only a summary."),
    )  # fmt: skip
    assert (seen["without-details"].state, seen["without-details"].instance_type) == ("Pairing", "")
    assert (seen["vmware"].instance_type, seen["vmware"].auto_update_status) == ("InMageRcm", "")


def test_ids_keep_their_spelling_and_compare_without_it() -> None:
    seen = wire.mappings_page(_data("mappings"))[0]

    assert seen.id.startswith("/Subscriptions/")
    assert seen.key.startswith("/subscriptions/")
    assert seen.path == "eastus/east-container/disabled"


def test_a_recorded_vault_that_is_disabled_as_azure_leaves_it_is_as_declared() -> None:
    plan = make_plan(DISABLE, wire.mappings_page(_data("mappings")), running={}, attempts={}, now=NOW)

    assert [decision.action for decision in plan.decisions] == [
        Action.KEEP, Action.PATCH, Action.IGNORE, Action.IGNORE,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"state": None, "providerSpecificDetails": None, "healthErrorDetails": None},
        {"providerSpecificDetails": {"instanceType": None}},
        {"providerSpecificDetails": {}, "healthErrorDetails": []},
        {"healthErrorDetails": [None]},
    ],
)
def test_what_is_missing_or_null_reads_as_empty(properties: dict[str, Any]) -> None:
    seen = wire.mapping(_mapping(**properties))

    assert (seen.state, seen.instance_type, seen.auto_update_status) == ("", "", "")
    assert (seen.automation_account_id, seen.authentication_type, seen.health_errors) == ("", "", ())
    assert (seen.schedule_name, seen.job_schedule_name, seen.target_container_id) == ("", "", "")


def test_health_errors_are_made_fit_to_be_shown() -> None:
    text = "a\nb https://h/x?sig=secret " + "é" * 1000
    seen = wire.mapping(_mapping(healthErrorDetails=[{"errorMessage": text, "errorCategory": "c" * 500}]))

    assert seen.health_errors[0].message.startswith("a b https://h/x?*** é")
    assert len(seen.health_errors[0].message.encode()) <= 600
    assert len(seen.health_errors[0].category) <= 120


# Pages.


@pytest.mark.parametrize("page", [{"value": []}, {"value": [], "nextLink": None}, {"value": [], "nextLink": ""}])
def test_the_last_page_has_no_link_a_null_one_or_an_empty_one(page: dict[str, Any]) -> None:
    assert wire.next_link(page) is None
    assert wire.mappings_page(page) == []


def test_a_link_to_the_next_page_is_kept_as_it_is() -> None:
    assert wire.next_link({"value": [], "nextLink": "https://h/p?skipToken=a%2Fb&x=1"}) == (
        "https://h/p?skipToken=a%2Fb&x=1"
    )


# Replicated items.

ITEM = "/Subscriptions/s/v/replicationFabrics/f/replicationProtectionContainers/c/replicationProtectedItems/i"


def _item(instance_type: str = "A2A", friendly_name: str | None = "vm-1", **details: Any) -> dict[str, Any]:
    return {
        "id": ITEM,
        "name": "i",
        "properties": {
            "friendlyName": friendly_name,
            "recoveryContainerId": "/Subscriptions/s/v/target",
            "providerSpecificDetails": {"instanceType": instance_type, **details},
        },
    }


def test_a_recorded_item_is_a_machine_whose_agent_never_expires() -> None:
    recorded = _data("item")
    machine = wire.machine(recorded)

    assert machine == Machine(
        id=recorded["id"],
        name="vm-east-1",
        target_container_id=recorded["properties"]["recoveryContainerId"],
        agent_version="9.55.6808.1",
        update_required=False,
        certificate_update_required=False,
        agent_expires_at=None,
    )
    assert machine.container_id.endswith("/replicationprotectioncontainers/container-east")


def test_all_that_an_item_may_say_of_its_agent_is_read() -> None:
    details: dict[str, Any] = {
        "agentVersion": "9.60.1.1",
        "isReplicationAgentUpdateRequired": True,
        "isReplicationAgentCertificateUpdateRequired": True,
        "agentExpiryDate": "2026-03-01T12:00:00.1234567",
        "agentCertificateExpiryDate": "2026-03-01T14:00:00+02:00",
        "isAgentUpgradeInProgress": True,
        "isAgentUpgradeRetryThresholdExhausted": True,
        "isAgentReinstallRequired": True,
        "reasonsBlockingReInstall": "only where there are no details",
        "reasonsBlockingReinstallDetails": [
            {"errorCode": 151137, "errorMessage": "No disk.", "possibleCauses": "ADE.", "recommendedAction": "Update."},
            {},
        ],
    }
    machine = wire.machine(_item(**details))

    assert machine.agent_expires_at == NOW.replace(microsecond=123456)
    assert machine.certificate_expires_at == NOW
    assert (machine.update_required, machine.certificate_update_required) == (True, True)
    assert (machine.upgrade_in_progress, machine.retries_exhausted, machine.reinstall_required) == (True, True, True)
    assert machine.blockers == (Explanation("151137", "No disk.", "ADE.", "Update."), Explanation())


def test_a_reason_without_details_is_a_blocker_in_its_own_words() -> None:
    machine = wire.machine(_item(reasonsBlockingReInstall="The root disk is encrypted."))

    assert machine.blockers == (Explanation(message="The root disk is encrypted."),)


def test_no_more_blockers_are_kept_than_anybody_reads() -> None:
    assert len(wire.machine(_item(reasonsBlockingReinstallDetails=[{"errorCode": 1}] * 500)).blockers) == 10


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"agentVersion": None, "agentExpiryDate": None, "agentCertificateExpiryDate": None},
        {"isReplicationAgentUpdateRequired": None, "isAgentUpgradeInProgress": None},
        {"reasonsBlockingReInstall": None, "reasonsBlockingReinstallDetails": None},
        {"reasonsBlockingReinstallDetails": [None]},
    ],
)
def test_what_an_item_does_not_say_is_not_known(details: dict[str, Any]) -> None:
    assert wire.machine(_item(**details)) == Machine(ITEM, "vm-1", "/Subscriptions/s/v/target")


@pytest.mark.parametrize("friendly_name", [None, "", " \n"])
def test_a_machine_without_a_name_for_people_has_that_of_its_item(friendly_name: str | None) -> None:
    assert wire.machine(_item(friendly_name=friendly_name)).name == "i"


@pytest.mark.parametrize(
    "date",
    [
        "9999-12-31T23:59:59.9999999",
        "9999-12-31T23:59:59.9999999-08:00",
        "9999-12-31T23:59:59Z",
        "1753-01-01T01:01:01Z",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+08:00",
        "next week",
        "2026-02-30T00:00:00Z",
        "",
    ],
)
def test_a_date_that_means_never_or_is_none_is_no_expiry(date: str) -> None:
    machine = wire.machine(_item(agentExpiryDate=date, agentCertificateExpiryDate=date))

    assert (machine.agent_expires_at, machine.certificate_expires_at) == (None, None)


def test_only_machines_that_are_replicated_between_azure_regions_are_listed() -> None:
    page = {
        "value": [
            _item("a2a"),
            _item("InMageRcm", agentVersion=["of", "another", "shape"]),
            {"properties": {"providerSpecificDetails": None}},
            _item("A2A", "vm-2"),
        ]
    }

    assert [machine.name for machine in wire.machines_page(page)] == ["vm-1", "vm-2"]


@pytest.mark.parametrize("page", [{"value": [{}]}, {"value": [_item(isReplicationAgentUpdateRequired="no idea")]}])
def test_a_page_of_items_of_another_shape_is_malformed(page: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply, match="not a replicated item"):
        wire.machines_page(page)


def test_an_update_of_an_agent_names_no_account() -> None:
    assert wire.update_agent_body() == {"properties": {}}


# Jobs.


def test_a_page_of_jobs() -> None:
    running, succeeded, failed = wire.jobs_page(_data("jobs"))

    assert (running.name, running.state) == ("1557d73f-6244-491e-8f0b-000000000001", "InProgress")
    assert running.started_at == datetime(2026, 3, 1, 11, 58, 57, 552016, tzinfo=UTC)
    assert (running.target_type, running.target_name) == ("ProtectionProfile", "disabled")
    assert running.target_id == "af095a1e-1f1b-5365-87c9-99162ebcfaf0"
    assert (succeeded.state, succeeded.state_description, succeeded.errors) == ("Succeeded", "Completed", ())
    assert failed.errors == (
        Explanation("28031", "The account is gone.", "Somebody deleted it.", "Name another one.", "a"),
        Explanation("95001", "Only the provider.", "", "Wait.", "fc8e9c8f-0e76-4b6b-8e7e-d37c1b31eba0"),
    )
    assert wire.next_link(_data("jobs")) is not None


@pytest.mark.parametrize(
    "properties",
    [{}, {"errors": None}, {"errors": [{}]}, {"errors": [None, {}]}, {"errors": [{"serviceErrorDetails": None}]}],
)
def test_a_job_that_says_nothing_is_read_all_the_same(properties: dict[str, Any]) -> None:
    job = wire.job(_job(state=None, startTime=None, **properties))

    assert (job.state, job.started_at, job.target_id, job.target_name) == ("", None, "", "")
    assert all(error == Explanation() for error in job.errors)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2022-12-23T08:07:57.5520164Z", datetime(2022, 12, 23, 8, 7, 57, 552016, tzinfo=UTC)),
        ("2017-04-27T12:46:11Z", datetime(2017, 4, 27, 12, 46, 11, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T12:00:00", NOW),
        ("9999-12-31T23:59:59.9999999", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999-08:00", None),
        ("0001-01-01T00:00:00+08:00", None),
        ("1753-01-01T01:01:01Z", datetime(1753, 1, 1, 1, 1, 1, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
    ],
)
def test_times_as_site_recovery_writes_them(text: str, time: datetime | None) -> None:
    assert wire.parse_time(text) == time


# The vault.


def test_a_vault_and_its_region_in_one_spelling() -> None:
    vault = wire.vault(_data("vault"))

    assert (vault.name, vault.location) == ("dr", "westeurope")
    assert wire.vault({"id": "i", "name": "n", "location": "westeurope"}) == Vault("i", "n", "westeurope")


# Wrong shapes.


@pytest.mark.parametrize(
    ("read", "document", "where"),
    [
        (wire.mappings_page, [], "the document"),
        (wire.mappings_page, None, "the document"),
        (wire.mappings_page, {}, "value"),
        (wire.mappings_page, {"value": {}}, "value"),
        (wire.mappings_page, {"value": [7]}, "the document"),
        (wire.next_link, {"value": [], "nextLink": 7}, "nextLink"),
        (wire.mapping, {"name": "m", "properties": {}}, "id"),
        (wire.mapping, {"id": "i", "name": "n"}, "properties"),
        (wire.mapping, {"id": "i", "name": "n", "properties": None}, "properties"),
        (wire.mapping, {"id": 7, "name": "n", "properties": {}}, "id"),
        (wire.mapping, _mapping(state=7), "properties.state"),
        (wire.mapping, _mapping(providerSpecificDetails="A2A"), "properties.providerSpecificDetails"),
        (
            wire.mapping,
            _mapping(providerSpecificDetails={"agentAutoUpdateStatus": True}),
            "properties.providerSpecificDetails.agentAutoUpdateStatus",
        ),
        (wire.mapping, _mapping(healthErrorDetails={}), "properties.healthErrorDetails"),
        (wire.mapping, _mapping(healthErrorDetails=["x"]), "properties.healthErrorDetails.0"),
        (wire.job, {"properties": {}}, "name"),
        (wire.job, {"name": "j"}, "properties"),
        (wire.job, _job(errors="x"), "properties.errors"),
        (wire.jobs_page, {"error": {"code": "x"}}, "value"),
        (wire.machine, {"name": "n", "properties": {}}, "id"),
        (wire.machine, {"id": "i", "properties": {}}, "name"),
        (wire.machine, _item(agentVersion=9), "properties.providerSpecificDetails.agentVersion"),
        (wire.machine, _item(agentExpiryDate=9), "properties.providerSpecificDetails.agentExpiryDate"),
        (
            wire.machines_page,
            {"value": [_item(reasonsBlockingReinstallDetails={})]},
            "properties.providerSpecificDetails.reasonsBlockingReinstallDetails",
        ),
        (wire.machines_page, {"value": ["x"]}, "the document"),
        (wire.vault, {"id": "i", "name": "n"}, "location"),
        (wire.vault, {"id": "i", "name": "n", "location": None}, "location"),
    ],
)
def test_a_wrong_shape_is_told_with_its_place(read: Any, document: Any, where: str) -> None:
    with pytest.raises(MalformedReply) as refused:
        read(document)

    assert f": {where}: " in refused.value.message
    assert "ARM's answer is not a" in refused.value.message
    assert not re.search(r"_\w|Document|[Ii]nput|instance", refused.value.message), "none of our classes"
    assert "VAULT_AUTOUPDATE_API_VERSION" in refused.value.recommended_action


_FOREIGN: list[Any] = [None, {}, {"id": None}, {"name": 7}, 7, "x", []]


@pytest.mark.parametrize("foreign", _FOREIGN)
@pytest.mark.parametrize(
    ("read", "ours"),
    [(wire.mappings_page, _mapping()), (wire.jobs_page, _job()), (wire.machines_page, _item())],
)
def test_one_entry_that_is_none_does_not_keep_the_others_from_being_read(
    read: Any, ours: Any, foreign: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(read({"value": [ours, foreign, ours]})) == 2
    if foreign is None or (foreign == {} and read is wire.machines_page):
        return
    assert any("entry 2 of a page of" in record.message for record in caplog.records) or read is wire.machines_page


def test_a_page_of_which_nothing_can_be_read_is_no_empty_one() -> None:
    for read in (wire.mappings_page, wire.machines_page):
        with pytest.raises(MalformedReply, match="Entry 1 of a page of"):
            read({"value": [7]})
    with pytest.raises(MalformedReply, match="Entry 1 of a page of jobs"):
        wire.jobs_page({"value": [7, 8]})
    assert wire.jobs_page({"value": [{"name": "somebody's"}]}) == []


@pytest.mark.parametrize("read", [wire.mappings_page, wire.jobs_page, wire.machines_page])
@pytest.mark.parametrize("value", [None, [], [None]])
def test_null_is_an_empty_page(read: Any, value: Any) -> None:
    assert read({"value": value}) == []


def test_a_mapping_without_a_name_has_that_of_its_id() -> None:
    assert wire.mapping({"id": "/a/b/m", "properties": {}}) == ContainerMapping("/a/b/m", "m", "")


_KEYS = [
    "value", "id", "name", "properties", "state", "errors", "location", "friendlyName", "providerSpecificDetails",
    "instanceType", "agentExpiryDate", "reasonsBlockingReinstallDetails",
]  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("read", [
    wire.mappings_page, wire.jobs_page, wire.machines_page, wire.mapping, wire.job, wire.machine, wire.vault,
])  # fmt: skip
@given(document=_JSON)
def test_any_document_at_all_is_read_or_refused(read: Any, document: Any) -> None:
    try:
        read(document)
    except MalformedReply as error:
        assert len(str(error)) < 1000  # noqa: PT017 - both outcomes are right


# What a 202 announces.


def test_the_job_of_an_accepted_change_is_the_guid_in_either_of_its_signed_links() -> None:
    headers = _data("accepted")["headers"]

    assert wire.job_id_of(headers) == JOB
    assert wire.job_id_of({"location": headers["location"]}) == JOB
    assert wire.job_id_of({"azure-asyncoperation": headers["azure-asyncoperation"]}) == JOB


@pytest.mark.parametrize(
    "link",
    [
        f"https://h/x/replicationOperationStatus/{JOB}",
        f"https://h/x/REPLICATIONOPERATIONSTATUS/{JOB}?t=1&s=signature",
        f"https://h/x/operationResults/{JOB}#signature",
        f"https://h/x/operationresults/{JOB}/signature",
        f"/x/operationresults/{JOB}?signature",
    ],
)
def test_nothing_but_the_guid_is_kept_of_a_link(link: str) -> None:
    assert wire.job_id_of({"location": link}) == JOB


@pytest.mark.parametrize(
    "headers",
    [{}, {"location": ""}, {"location": "https://h/x"}, {"location": "https://h/operationresults/"},
     {"content-location": f"https://h/operationresults/{JOB}"}],
)  # fmt: skip
def test_a_change_that_names_no_job_has_none(headers: dict[str, str]) -> None:
    assert wire.job_id_of(headers) == ""


@given(st.text(max_size=50))
def test_whatever_a_link_says_a_job_id_is_short_and_has_no_path_or_query(text: str) -> None:
    job_id = wire.job_id_of({"location": f"https://h/operationresults/{text}"})

    assert len(job_id.encode()) <= 64
    assert not set(job_id) & set("/?#")


# What a change sends.


def test_enabling_sends_the_whole_wanted_state_with_the_account_as_declared_and_its_system_assigned_identity() -> None:
    assert wire.patch_body(ENABLE) == {
        "properties": {
            "providerSpecificInput": {
                "instanceType": "A2A",
                "agentAutoUpdateStatus": "Enabled",
                "automationAccountArmId": ACCOUNT_ID,
                "automationAccountAuthenticationType": "SystemAssignedIdentity",
            }
        }
    }


@pytest.mark.parametrize("goal", [DISABLE, Goal(AutoUpdate.DISABLED, ENABLE.automation_account)])
def test_disabling_sends_the_status_alone(goal: Goal) -> None:
    body = wire.patch_body(goal)

    assert body == {
        "properties": {"providerSpecificInput": {"instanceType": "A2A", "agentAutoUpdateStatus": "Disabled"}}
    }
    assert json.loads(json.dumps(body)) == body


def test_whatever_people_may_see_of_mappings_jobs_and_vaults_is_fit_for_a_terminal() -> None:
    bad = "x\x1b]0;owned\x07\x9b2J\u202e\r\n[bold]y"
    properties = {
        "state": bad,
        "providerSpecificDetails": {
            "instanceType": bad,
            "agentAutoUpdateStatus": bad,
            "automationAccountArmId": bad,
            "automationAccountAuthenticationType": bad,
            "scheduleName": bad,
            "jobScheduleName": bad,
        },
        "targetProtectionContainerId": bad,
    }
    mapping = wire.mapping({"id": "/m", "name": bad, "properties": properties})
    blocker = {"errorCode": bad, "errorMessage": bad, "possibleCauses": bad, "recommendedAction": bad}
    machine = wire.machine(_item("A2A", bad, agentVersion=bad, reasonsBlockingReinstallDetails=[blocker]))
    job = wire.job({"name": bad, "properties": {"state": bad, "stateDescription": bad, "targetObjectName": bad}})
    vault = wire.vault({"id": bad, "name": bad, "location": bad})

    for text in (
        mapping.name, mapping.state, mapping.instance_type, mapping.auto_update_status, mapping.automation_account_id,
        mapping.authentication_type, mapping.schedule_name, mapping.job_schedule_name, mapping.target_container_id,
        machine.name, machine.agent_version, machine.blockers[0].code, machine.blockers[0].message,
        machine.blockers[0].possible_causes, machine.blockers[0].recommended_action,
        job.name, job.state, job.state_description, job.target_name, vault.id, vault.name, vault.location,
    ):  # fmt: skip
        assert text.isprintable()
