"""Reading an Automation account: which calls go out, what of the answers is believed, and what errors say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT_ID, NOW
from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm.automation import AutomationAccounts
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.arm.wire import automation as wire
from vault_autoupdate.arm.wire.errors import classify
from vault_autoupdate.model.arm_id import parse_automation_account_id
from vault_autoupdate.model.azure import RUNBOOK, Account, AccountFacts, RunbookRun, Schedule
from vault_autoupdate.model.errors import ArmError, AzureError, Disposition, MalformedReply, UntrustedLink
from vault_autoupdate.model.quota import QuotaScope

ACCOUNT = parse_automation_account_id(ACCOUNT_ID)
CONTEXT = CallContext(scope=QuotaScope("s"), namespace="", key="/the/vault", run_id="run")
JOB_SCHEDULE = "0FA462BA-3AA2-4138-83CA-9EBC3BC55CDC"
LISTS = ["", "/schedules", "/jobSchedules", "/jobs", "/usages"]


def _run(minute: int, status: str = "Completed", runbook: str | None = RUNBOOK) -> dict[str, Any]:
    at = f"2026-03-01T00:{minute:02}:00.123+00:00"
    properties = {"runbook": runbook and {"name": runbook}, "status": status, "creationTime": at, "startTime": at}
    return {"id": "/x", "name": "job", "properties": {**properties, "endTime": None}}


def _counter(name: str | None, used: float | None, limit: float | None, unit: str = "Minute") -> dict[str, Any]:
    return {"name": name and {"value": name}, "unit": unit, "currentValue": used, "limit": limit}


def _documents() -> dict[str, list[Any]]:
    """By path below the account: its pages, in the shapes of Microsoft's examples."""
    return {
        "": [{"name": "aa", "identity": {"type": "SystemAssigned"}, "properties": {"state": "Ok", "sku": {}}}],
        "/schedules": [
            {"value": [{"name": "Daily", "properties": {"isEnabled": True, "nextRun": "2026-03-01T12:00:00+00:00"}}]},
            {"value": [{"name": "off", "properties": {"isEnabled": False, "nextRun": None}}, {"name": "bare"}]},
        ],
        "/jobSchedules": [
            {"value": [{"properties": {"jobScheduleId": JOB_SCHEDULE, "schedule": {"name": "Daily"}}}]},
            {"value": [{"name": "B", "properties": {}}]},
        ],
        "/jobs": [{"value": [_run(2), _run(3, "Failed"), _run(4, runbook="Theirs"), _run(5, runbook=None)]}],
        "/usages": [{"value": [_counter("AccountUsage", 12.5, 500)]}],
    }


class Azure:
    """Answers for one Automation account."""

    def __init__(self) -> None:
        self.documents = _documents()
        self.errors: dict[str, AzureError] = {}
        self.replies: dict[str, ArmReply] = {}
        self.link = "https://h{account}{path}?page={page}"

    def answer(self, call: ArmCall) -> ArmReply | AzureError:
        parts = urlsplit(call.target)
        path = parts.path.removeprefix(ACCOUNT_ID)
        if path in self.errors:
            return self.errors[path]
        if path in self.replies:
            return self.replies[path]
        page = int(parse_qs(parts.query).get("page", ["0"])[0])
        document = dict(self.documents[path][page])
        if page + 1 < len(self.documents[path]):
            document["nextLink"] = self.link.format(account=ACCOUNT_ID, path=path, page=page + 1)
        return json_reply(document)


@pytest.fixture
def azure() -> Azure:
    return Azure()


@pytest.fixture
def arm(azure: Azure) -> ScriptedArm:
    arm = ScriptedArm()
    arm.answer = azure.answer
    return arm


@pytest.fixture
def accounts(arm: ScriptedArm) -> Iterator[AutomationAccounts]:
    client = arm.client()
    yield AutomationAccounts(client)
    client.close()


def _paths(arm: ScriptedArm) -> list[str]:
    return [urlsplit(call.target).path.removeprefix(ACCOUNT_ID) for call in arm.calls]


async def test_all_that_matters_of_an_account_is_read(arm: ScriptedArm, accounts: AutomationAccounts) -> None:
    facts = await accounts.facts(CONTEXT, ACCOUNT)
    third = datetime(2026, 3, 1, 0, 3, 0, 123000, tzinfo=UTC)

    assert facts == AccountFacts(
        account=Account("aa", "Ok", "SystemAssigned"),
        schedules={"daily": Schedule("Daily", True, NOW), "off": Schedule("off", False), "bare": Schedule("bare")},
        job_schedules={JOB_SCHEDULE.casefold(): "Daily", "b": ""},
        runs=(RunbookRun("Failed", third), RunbookRun("Completed", third.replace(minute=2))),
        minutes_used=12.5,
        minutes_limit=500.0,
    )
    assert arm.operations == [
        "get_account", "list_schedules", "list_schedules", "list_job_schedules", "list_job_schedules",
        "list_account_jobs", "list_usages",
    ]  # fmt: skip


async def test_nothing_is_changed_and_no_output_is_read(arm: ScriptedArm, accounts: AutomationAccounts) -> None:
    await accounts.facts(CONTEXT, ACCOUNT)

    assert {call.method for call in arm.calls} == {"GET"}
    assert set(_paths(arm)) == set(LISTS)


async def test_each_first_call_names_the_version_of_automation(arm: ScriptedArm, accounts: AutomationAccounts) -> None:
    await accounts.facts(CONTEXT, ACCOUNT)

    first = [query for call in arm.calls if "page" not in (query := parse_qs(urlsplit(call.target).query))]
    assert [query["api-version"] for query in first] == [["2024-10-23"]] * 5
    assert [query["$filter"] for query in first if "$filter" in query] == [[f"properties/runbook/name eq '{RUNBOOK}'"]]


async def test_only_the_last_few_runs_are_kept_and_no_more_pages_read(
    arm: ScriptedArm, azure: Azure, accounts: AutomationAccounts
) -> None:
    azure.documents["/jobs"] = [{"value": [_run(minute) for minute in range(10)]}, {"value": [_run(59)]}]
    runs = (await accounts.facts(CONTEXT, ACCOUNT)).runs

    assert [run.started_at.minute for run in runs if run.started_at] == [9, 8, 7, 6, 5]
    assert _paths(arm).count("/jobs") == 1


async def test_an_account_busy_with_other_runbooks_costs_three_pages_of_jobs_at_the_most(
    arm: ScriptedArm, azure: Azure, accounts: AutomationAccounts
) -> None:
    azure.documents["/jobs"] = [{"value": [_run(1, runbook="Theirs")]}] * 9

    assert (await accounts.facts(CONTEXT, ACCOUNT)).runs == ()
    assert _paths(arm).count("/jobs") == 3


async def test_a_run_that_has_not_begun_is_sorted_by_when_it_was_asked_for(
    azure: Azure, accounts: AutomationAccounts
) -> None:
    queued = _run(9, "New")
    queued["properties"]["startTime"] = None
    azure.documents["/jobs"] = [{"value": [_run(1), queued, {"properties": {"runbook": {"name": RUNBOOK.lower()}}}]}]
    runs = (await accounts.facts(CONTEXT, ACCOUNT)).runs

    assert [run.status for run in runs] == ["New", "Completed", ""]
    assert runs[0].started_at is None


# An account that is not there, or not to be read.


def _refused(status: int, code: str, message: str = "m") -> ArmError:
    return classify(status, json.dumps({"error": {"code": code, "message": message}}).encode(), {})


@pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceGroupNotFound"])
async def test_an_account_that_does_not_exist_is_no_error(
    arm: ScriptedArm, azure: Azure, accounts: AutomationAccounts, code: str
) -> None:
    azure.errors[""] = _refused(404, code)

    assert await accounts.facts(CONTEXT, ACCOUNT) == AccountFacts(None)
    assert _paths(arm) == [""]


@pytest.mark.parametrize("code", ["SubscriptionNotFound", "InvalidResourceType", ""])
async def test_another_404_does_not_mean_that_the_account_is_gone(
    azure: Azure, accounts: AutomationAccounts, code: str
) -> None:
    azure.errors[""] = _refused(404, code)
    with pytest.raises(ArmError) as refused:
        await accounts.facts(CONTEXT, ACCOUNT)

    assert "spec.automationAccountResourceId" in refused.value.recommended_action
    assert "vaultResourceId" not in refused.value.recommended_action


@pytest.mark.parametrize("path", LISTS[1:])
async def test_a_list_that_is_not_there_does_not_mean_that_the_account_is_gone(
    azure: Azure, accounts: AutomationAccounts, path: str
) -> None:
    azure.errors[path] = _refused(404, "ResourceNotFound")

    with pytest.raises(ArmError):
        await accounts.facts(CONTEXT, ACCOUNT)


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("", "automationAccounts/read"),
        ("/schedules", "automationAccounts/schedules/read"),
        ("/jobSchedules", "automationAccounts/jobSchedules/read"),
        ("/jobs", "automationAccounts/jobs/read"),
        ("/usages", "automationAccounts/usages/read"),
    ],
)
async def test_a_missing_right_is_named_also_where_arm_does_not(
    azure: Azure, accounts: AutomationAccounts, path: str, action: str
) -> None:
    azure.errors[path] = _refused(403, "Forbidden")
    with pytest.raises(ArmError) as refused:
        await accounts.facts(CONTEXT, ACCOUNT)

    assert f"the action Microsoft.Automation/{action} on {ACCOUNT_ID}" in refused.value.recommended_action
    assert "spec.automationAccountChecks: false" in refused.value.recommended_action


async def test_the_action_that_arm_names_is_the_one_to_grant(azure: Azure, accounts: AutomationAccounts) -> None:
    message = "No authorization to perform action 'Microsoft.Automation/x/y/read' over scope '/sub/z'."
    azure.errors["/jobs"] = _refused(403, "AuthorizationFailed", message)
    with pytest.raises(ArmError) as refused:
        await accounts.facts(CONTEXT, ACCOUNT)

    assert "the action Microsoft.Automation/x/y/read on /sub/z" in refused.value.recommended_action
    assert (refused.value.reason, refused.value.disposition) == ("AuthorizationFailed", Disposition.SLOW)


@pytest.mark.parametrize("path", LISTS)
async def test_a_cloud_that_does_not_know_the_version_is_told_as_such(
    azure: Azure, accounts: AutomationAccounts, path: str
) -> None:
    azure.errors[path] = _refused(400, "NoRegisteredProviderFound")
    with pytest.raises(ArmError) as refused:
        await accounts.facts(CONTEXT, ACCOUNT)

    assert "2024-10-23 of Microsoft.Automation" in refused.value.recommended_action
    assert "VAULT_AUTOUPDATE_API_VERSION" not in refused.value.recommended_action


@pytest.mark.parametrize("path", LISTS)
async def test_an_answer_of_another_shape_is_malformed(azure: Azure, accounts: AutomationAccounts, path: str) -> None:
    azure.replies[path] = ArmReply(200, {}, b"[]")
    with pytest.raises(MalformedReply) as refused:
        await accounts.facts(CONTEXT, ACCOUNT)

    assert "VAULT_AUTOUPDATE_API_VERSION" not in refused.value.recommended_action


async def test_an_account_that_is_throttled_does_not_silence_the_vault(
    azure: Azure, accounts: AutomationAccounts
) -> None:
    azure.errors["/jobs"] = classify(429, b"{}", {"retry-after": "3600"})
    with pytest.raises(ArmError):
        await accounts.facts(CONTEXT, ACCOUNT)

    throttle = accounts._calls._client.throttle
    assert throttle.paused_for(CONTEXT.scope, CallKind.READ) == 0
    assert [lane.scope for lane in throttle.states() if lane.paused_for > 0] == [
        QuotaScope(ACCOUNT.subscription, "automation")
    ]


# Links.


@pytest.mark.parametrize("path", LISTS[1:4])
@pytest.mark.parametrize(
    "link",
    [
        "https://h/subscriptions/x/resourceGroups/g/providers/Microsoft.Automation/automationAccounts/other{path}",
        "https://h{account}x{path}?page={page}",
        "https://h{account}/../other{path}?page={page}",
        "https://h{account}/%2e%2e/other{path}?page={page}",
        "https://h{account}/%252e%252e/other{path}?page={page}",
        "https://h{account}%2f..%2fother{path}?page={page}",
        "https://h{account}?page={page}",
        "https://[::1/x",
        "//elsewhere{account}{path}x/..",
    ],
)
async def test_a_link_that_leads_away_from_the_account_is_not_followed(
    arm: ScriptedArm, azure: Azure, accounts: AutomationAccounts, path: str, link: str
) -> None:
    azure.link = link
    for each in LISTS[1:4]:
        azure.documents[each] = [{"value": []}] * (2 if each == path else 1)
    with pytest.raises(UntrustedLink, match="leads away from the account aa"):
        await accounts.facts(CONTEXT, ACCOUNT)

    assert _paths(arm)[-1] == path
    assert _paths(arm).count(path) == 1


async def test_a_link_in_another_spelling_of_the_same_account_is_followed(
    arm: ScriptedArm, azure: Azure, accounts: AutomationAccounts
) -> None:
    second = json_reply({"value": [{"name": "second"}]})
    link = f"https://h{ACCOUNT_ID.upper()}/%73chedules?x=1"
    azure.replies = {urlsplit(link).path: second}
    azure.documents["/schedules"] = [{"value": [], "nextLink": link}]

    assert list((await accounts.facts(CONTEXT, ACCOUNT)).schedules) == ["second"]


async def test_pages_without_an_end_are_malformed(azure: Azure, accounts: AutomationAccounts) -> None:
    azure.documents["/schedules"] = [{"value": []}] * 60

    with pytest.raises(MalformedReply, match="More than 50 pages of list_schedules"):
        await accounts.facts(CONTEXT, ACCOUNT)


# Minutes.


@pytest.mark.parametrize(
    ("counters", "minutes"),
    [
        ([], (None, None)),
        ([_counter("AccountUsage", 3, 500)], (3.0, 500.0)),
        ([_counter("AccountUsage", 3, 500), _counter("SubscriptionUsage", 429, 500)], (429.0, 500.0)),
        ([_counter("SubscriptionUsage", 3, 500), _counter("AccountUsage", 4, 500)], (4.0, 500.0)),
        ([_counter("SubscriptionUsage", 700, -1), _counter("AccountUsage", 20, -1)], (20.0, None)),
        ([_counter("AccountUsage", 20, None)], (20.0, None)),
        ([_counter("AccountUsage", None, 500)], (None, None)),
        ([_counter("AccountUsage", 0, 0)], (0.0, None)),
        ([_counter(None, 5, 500, "minutes")], (5.0, 500.0)),
        ([_counter("DscSubscriptionUsage", 8, 5, "Count")], (None, None)),
        ([{}], (None, None)),
    ],
)
def test_of_the_counters_in_minutes_the_one_nearest_its_limit_counts(
    counters: list[dict[str, Any]], minutes: tuple[float | None, float | None]
) -> None:
    assert wire.minutes({"value": counters}) == minutes


# Anything at all.

_KEYS = [
    "value", "name", "properties", "identity", "type", "state", "isEnabled", "nextRun", "schedule", "jobScheduleId",
    "runbook", "creationTime", "startTime", "unit", "currentValue", "limit",
]  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([RUNBOOK, "Minute", "2026-03-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=8,
)
_READERS = [wire.account, wire.schedules_page, wire.job_schedules_page, wire.runs_page, wire.minutes]


@pytest.mark.parametrize("read", _READERS)
@given(document=_JSON | st.lists(_JSON, max_size=2).map(lambda entries: {"value": entries}))
def test_any_document_at_all_is_read_or_refused(read: Any, document: Any) -> None:
    try:
        read(document)
    except MalformedReply as error:
        assert len(str(error)) < 1000  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize(
    ("read", "document", "where"),
    [
        (wire.account, {"properties": {}}, "name"),
        (wire.account, {"name": "aa"}, "properties"),
        (wire.account, {"name": "aa", "properties": {"state": 7}}, "properties.state"),
        (wire.schedules_page, {"value": [{}]}, "name"),
        (wire.schedules_page, {"value": [{"name": "s", "properties": {"isEnabled": "x"}}]}, "properties.isEnabled"),
        (wire.job_schedules_page, {"value": [{"properties": {"schedule": "s"}}]}, "properties.schedule"),
        (wire.runs_page, {"value": [{"properties": {"runbook": "r"}}]}, "properties.runbook"),
        (wire.minutes, {"value": [{"currentValue": float("nan")}]}, "currentValue"),
        (wire.minutes, {"value": [{"limit": 10**400}]}, "limit"),
    ],
)
def test_a_wrong_shape_is_told_with_its_place(read: Any, document: Any, where: str) -> None:
    with pytest.raises(MalformedReply, match=f": {where}: "):
        read(document)


def test_whatever_people_may_see_of_an_account_is_fit_for_a_terminal() -> None:
    bad = "x\x1b]0;owned\x07\x9b2J\u202e\r\n[bold]y"
    account = wire.account({"name": bad, "identity": {"type": bad}, "properties": {"state": bad}})
    run = wire.runs_page({"value": [{"properties": {"runbook": {"name": RUNBOOK}, "status": bad}}]})[0].run
    schedules = wire.schedules_page({"value": [{"name": bad}]})

    for text in (account.name, account.state, account.identity_type, run.status, *(name for name, _ in schedules)):
        assert text.isprintable()


@pytest.mark.parametrize(
    ("there", "schedules", "job_schedules"),
    [
        ((), set(), set()),
        (("/schedules/a",), {"a", "b"}, set()),
        (("/jobSchedules/g",), set(), {"g"}),
    ],
)
async def test_what_the_lists_do_not_show_counts_as_gone_only_when_it_is_not_there_singly_either(
    arm: ScriptedArm,
    accounts: AutomationAccounts,
    there: tuple[str, ...],
    schedules: set[str],
    job_schedules: set[str],
) -> None:
    def answer(call: ArmCall) -> ArmReply | AzureError:
        is_there = urlsplit(call.target).path.removeprefix(ACCOUNT_ID) in there
        return json_reply({}) if is_there else classify(404, b'{"error": {"code": "NotFound"}}', {})

    arm.answer = answer
    facts = await accounts.confirm(
        CONTEXT, ACCOUNT, AccountFacts(Account("aa", "Ok")), schedules=["a", "b"], job_schedules=["g"]
    )
    assert set(facts.schedules) == schedules
    assert set(facts.job_schedules) == job_schedules


async def test_of_many_that_the_lists_do_not_show_only_some_are_asked_for(
    arm: ScriptedArm, accounts: AutomationAccounts
) -> None:
    arm.answer = lambda _: classify(404, b"", {})
    names = [f"s{number}" for number in range(1000)]
    facts = await accounts.confirm(CONTEXT, ACCOUNT, AccountFacts(None), schedules=names, job_schedules=[])
    assert facts.schedules == {}
    assert len(arm.calls) == 10


@pytest.mark.parametrize("name", ["../../x", "a/b", "?q", ""])
async def test_a_name_that_could_lead_elsewhere_is_not_asked_for_and_nothing_is_done_about_it(
    arm: ScriptedArm, accounts: AutomationAccounts, name: str
) -> None:
    facts = await accounts.confirm(CONTEXT, ACCOUNT, AccountFacts(None), schedules=[name], job_schedules=[])
    assert arm.calls == []
    assert name.casefold() in facts.schedules


async def test_what_was_read_for_one_vault_a_moment_ago_does_for_another_but_not_for_itself(
    arm: ScriptedArm, accounts: AutomationAccounts
) -> None:
    first = await accounts.facts(CONTEXT, ACCOUNT)
    calls = len(arm.calls)
    assert await accounts.facts(replace(CONTEXT, key="/another/vault"), ACCOUNT) == first
    assert len(arm.calls) == calls
    await accounts.facts(CONTEXT, ACCOUNT)
    assert len(arm.calls) == 2 * calls


class AnotherIdentity:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("theirs", 4_102_444_800)


async def test_what_one_identity_has_read_is_not_shown_to_another(
    arm: ScriptedArm, accounts: AutomationAccounts
) -> None:
    await accounts.facts(CONTEXT, ACCOUNT)
    calls = len(arm.calls)
    theirs = TokenSource(AnotherIdentity, "https://a/.default", failure_pause=1.0)
    await accounts.facts(replace(CONTEXT, key="/another/vault", tokens=theirs), ACCOUNT)
    assert len(arm.calls) == 2 * calls
