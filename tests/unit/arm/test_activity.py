"""The activity log: what is asked, how far it is read, and what is believed of what it says."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.builders import NOW, SUBSCRIPTION, VAULT, mapping_id_of
from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm.activity import READ_ACTION, ActivityLogs
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.own_writes import OwnWrites
from vault_autoupdate.arm.wire.activity import activity_page
from vault_autoupdate.arm.wire.errors import classify
from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.errors import ArmError, MalformedReply
from vault_autoupdate.model.quota import QuotaScope
from workbench.azure.role import action_of

DATA: Final = Path(__file__).parents[2] / "contract" / "data"
CONTEXT: Final = CallContext(scope=QuotaScope("s", "westeurope"), namespace="dr", key=VAULT.key, run_id="run")
MAPPING: Final = mapping_id_of("alpha")
LOG: Final = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"


def recorded(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def document(**fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "eventDataId": "e-1",
        "eventTimestamp": "2026-03-01T11:59:00.1234567Z",
        "operationName": {"value": "a/b/write", "localizedValue": "Write b"},
        "resourceId": MAPPING,
        "status": {"value": "Succeeded"},
    }
    return given | fields


def entry(**fields: Any) -> ActivityEntry:
    (found,) = activity_page({"value": [document(**fields)]})
    return found


async def test_one_resource_is_asked_about_in_a_span_of_time_and_who_it_was_is_selected() -> None:
    arm = ScriptedArm()
    arm.answer_in_turn(json_reply({"value": [document()]}))
    client = arm.client()
    read = await ActivityLogs(client).of_resource(CONTEXT, MAPPING, NOW - timedelta(hours=1), NOW)
    client.close()
    (call,) = arm.calls
    query = parse_qs(urlsplit(call.target).query)
    assert urlsplit(call.target).path == LOG
    between = "eventTimestamp ge '2026-03-01T11:00:00.000000Z' and eventTimestamp le '2026-03-01T12:00:00.000000Z'"
    assert query["$filter"] == [f"{between} and resourceUri eq '{MAPPING}'"]
    assert "claims" in query["$select"][0].split(",")
    assert "properties" not in query["$select"][0]
    assert [each.id for each in read.entries] == ["e-1"]
    assert action_of(call.method, call.target) == READ_ACTION


async def test_of_a_provider_nobody_is_asked_for_by_name() -> None:
    arm = ScriptedArm()
    arm.answer_in_turn(json_reply({"value": []}))
    client = arm.client()
    read = await ActivityLogs(client).of_provider(CONTEXT, SUBSCRIPTION, "Microsoft.Automation", NOW, NOW, most=3)
    client.close()
    query = parse_qs(urlsplit(arm.calls[0].target).query)
    assert query["$filter"][0].endswith("resourceProvider eq 'Microsoft.Automation'")
    assert "claims" not in query["$select"][0]
    assert (read.entries, read.cut_off, read.pages) == ((), False, 1)


@pytest.mark.parametrize(("there", "read", "cut_off"), [(1, 1, False), (3, 3, False), (4, 3, True), (9, 3, True)])
async def test_no_more_pages_are_read_than_may_be_and_it_is_said_where_there_were_more(
    there: int, read: int, cut_off: bool
) -> None:
    arm = ScriptedArm()
    pages: list[Any] = [
        {"value": [document(eventDataId=f"e-{number}")], "nextLink": f"{LOG}?$skipToken=US1:{number}:00000000"}
        for number in range(there)
    ]
    del pages[-1]["nextLink"]
    arm.answer_in_turn(*map(json_reply, pages))
    client = arm.client()
    found = await ActivityLogs(client).of_provider(CONTEXT, SUBSCRIPTION, "P", NOW, NOW, most=3)
    client.close()
    assert (len(arm.calls), len(found.entries), found.cut_off) == (read, read, cut_off)
    assert "api-version=2015-04-01" in arm.calls[-1].target


async def test_without_the_right_the_action_to_grant_is_named() -> None:
    arm = ScriptedArm()
    arm.answer_in_turn(classify(403, b'{"error":{"code":"AuthorizationFailed","message":"no"}}', {}))
    client = arm.client()
    with pytest.raises(ArmError) as refused:
        await ActivityLogs(client).of_resource(CONTEXT, MAPPING, NOW, NOW)
    client.close()
    place = f"/subscriptions/{SUBSCRIPTION}"
    assert refused.value.recommended_action == f"Grant the calling identity the action {READ_ACTION} on {place}."


def test_a_recorded_page_is_read() -> None:
    found = activity_page(recorded("recorded_activity_page.json"))
    assert [(each.operation, each.status) for each in found] == [
        ("Microsoft.Authorization/roleAssignments/write", "Succeeded"),
        ("Microsoft.Authorization/roleAssignments/write", "Started"),
        ("Microsoft.Authorization/roleAssignments/delete", "Succeeded"),
    ]
    assert found[0].correlation_id == found[1].correlation_id
    assert found[0].request_id == "00000000-0000-0000-0000-000000000014"
    assert found[2].request_id == "", "a consequence of another call has none"
    assert (found[0].is_done, found[1].is_done) == (True, False)
    assert found[0].application_id == "00000000-0000-0000-0000-000000000011"
    assert f"{found[0].at:%Y-%m-%dT%H:%M:%S}" == "2020-09-07T08:59:56"


def test_the_errors_of_the_log_have_no_envelope_and_are_read() -> None:
    error = classify(400, (DATA / "recorded_activity_error.json").read_bytes(), {})
    assert (error.code, error.message) == (
        "BadRequest",
        "The start time cannot be more than 90 days in the past.",
    )


CLAIMS = {
    "http://schemas.microsoft.com/identity/claims/objectidentifier": "o-1",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "ann@example.com",
    "appid": "a-1",
    "ipaddr": "192.0.2.1",
    "groups": ["g"],
}


def test_who_it_was_is_read_of_the_claims_where_the_caller_is_not_given() -> None:
    found = entry(claims=CLAIMS)
    assert (found.caller, found.object_id, found.application_id) == ("ann@example.com", "o-1", "a-1")
    assert entry(claims=CLAIMS, caller="bob@example.com").caller == "bob@example.com"


def test_an_application_goes_by_its_object_id() -> None:
    found = entry(claims={name: text for name, text in CLAIMS.items() if "upn" not in name})
    assert (found.caller, found.object_id) == ("o-1", "o-1")


def test_nobody_is_nobody() -> None:
    found = entry(claims=None, httpRequest=None, correlationId=None)
    assert (found.caller, found.object_id, found.application_id, found.request_id) == ("", "", "", "")


@pytest.mark.parametrize(
    "odd",
    [{"eventTimestamp": "yesterday"}, {"eventTimestamp": "9999-12-31T23:59:59Z"}, {"eventDataId": ""}, {"claims": []}],
)
def test_an_entry_that_cannot_be_read_is_left_out(odd: dict[str, Any]) -> None:
    assert [each.id for each in activity_page({"value": [document(**odd), document(eventDataId="e-2")]})] == ["e-2"]


def test_what_is_no_page_is_refused() -> None:
    with pytest.raises(MalformedReply):
        activity_page({"entries": []})


def test_texts_are_fit_for_people() -> None:
    assert entry(caller="ann\x1b[31m\n").caller.isprintable()


def test_own_writes_are_known_by_either_id_in_any_letter_case() -> None:
    own = OwnWrites()
    for each in ("Run/ABC", "C-1", ""):
        own.note(each)
    assert own.made(entry(httpRequest={"clientRequestId": "run/abc"}))
    assert own.made(entry(correlationId="c-1"))
    assert not own.made(entry(httpRequest={"clientRequestId": "run/other"}, correlationId="c-2"))
    assert not own.made(entry())


def test_own_writes_are_forgotten_in_time() -> None:
    own = OwnWrites()
    for number in range(20_001):
        own.note(str(number))
    assert not own.made(entry(correlationId="0"))
    assert own.made(entry(correlationId="1"))
