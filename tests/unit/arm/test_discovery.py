"""The calls by which vaults are found: what goes out, what is believed of the answers, and the role that they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.unit.builders import ACCOUNT_ID, VAULT, VAULT_ID
from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.discovery import TENANT_SCOPE, VAULT_ROWS, ArmDiscovery, is_gone
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.model.errors import ArmError, Disposition, MalformedReply, UntrustedLink
from vault_autoupdate.model.quota import QuotaScope
from workbench.azure.role import POLICY_ROLE, action_of

SUBSCRIPTION: Final = VAULT.subscription
CONTEXT: Final = CallContext(TENANT_SCOPE, "platform", "policy platform/estate", run_id="run")
NAMED_BUT_NOT_CALLED: Final = {
    "Microsoft.Management/managementGroups/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems/read",
}
"""A group's descendants are shown to who may read the group; Resource Graph shows rows of what may be read."""


@pytest.fixture
def arm() -> ScriptedArm:
    return ScriptedArm()


@pytest.fixture
def discovery(arm: ScriptedArm) -> Iterator[ArmDiscovery]:
    lists, graph = arm.client(), arm.client()
    yield ArmDiscovery(lists, graph)
    lists.close()
    graph.close()


def _page(*items: dict[str, Any], link: str = "") -> ArmReply:
    return json_reply({"value": list(items)} | ({"nextLink": link} if link else {}))


def _rows(*ids: str, total: int, token: str = "") -> ArmReply:
    rows = [{"id": each} for each in ids]
    document: dict[str, Any] = {"totalRecords": total, "count": len(rows), "resultTruncated": "false", "data": rows}
    return json_reply(document | ({"$skipToken": token} if token else {}))


def _url(path: str) -> str:
    return f"https://management.azure.com{path}"


async def test_subscriptions_of_all_pages_come_with_their_states(arm: ScriptedArm, discovery: ArmDiscovery) -> None:
    more = _url("/subscriptions?api-version=2022-12-01&$skiptoken=x")
    arm.answer_in_turn(
        _page({"subscriptionId": "A", "state": "Enabled"}, link=more),
        _page({"subscriptionId": "b", "state": "Disabled"}),
    )

    assert await discovery.subscriptions(CONTEXT) == {"a": "Enabled", "b": "Disabled"}
    assert [call.method for call in arm.calls] == ["GET", "GET"]


async def test_null_in_a_list_is_nothing_and_does_not_stop_a_search(arm: ScriptedArm, discovery: ArmDiscovery) -> None:
    arm.answer_in_turn(
        json_reply({"value": None, "nextLink": _url("/subscriptions?$skipToken=2")}),
        json_reply({"value": [None, {"subscriptionId": "b", "state": None}]}),
    )
    assert await discovery.subscriptions(CONTEXT) == {"b": ""}

    arm.answer_in_turn(json_reply({"value": [None, {"id": VAULT_ID, "location": None, "tags": {"a": None}}]}))
    (found,) = await discovery.vaults(CONTEXT, VAULT.subscription)
    assert (found.location, found.tags) == ("", {"a": ""})


async def test_of_what_is_in_a_group_only_subscriptions_count(arm: ScriptedArm, discovery: ArmDiscovery) -> None:
    arm.answer_in_turn(
        _page(
            {"type": "/subscriptions", "name": "A"},
            {"type": "Microsoft.Management/managementGroups", "name": "child"},
        )
    )

    assert await discovery.descendants(CONTEXT, "mg") == {"a"}


async def test_vaults_are_counted_for_their_subscription_and_no_link_leads_out_of_it(
    arm: ScriptedArm, discovery: ArmDiscovery
) -> None:
    elsewhere = _url("/subscriptions/00000000-0000-4000-8000-00000000000f/providers/Microsoft.RecoveryServices/vaults")
    arm.answer_in_turn(_page({"id": VAULT_ID, "location": "westeurope", "tags": {"Dr": "gold"}}), _page(link=elsewhere))

    (vault,) = await discovery.vaults(CONTEXT, SUBSCRIPTION.upper())
    assert (vault.key, vault.location, vault.tags) == (VAULT.key, "westeurope", {"Dr": "gold"})
    assert arm.operations == ["list_vaults"]
    with pytest.raises(UntrustedLink):
        await discovery.vaults(CONTEXT, SUBSCRIPTION)


async def test_an_answer_about_another_vault_says_nothing_about_this_one(
    arm: ScriptedArm, discovery: ArmDiscovery
) -> None:
    arm.answer_in_turn(json_reply({"id": VAULT_ID.replace("rg-dr", "rg-other")}))

    with pytest.raises(MalformedReply):
        await discovery.vault(CONTEXT, VAULT)


async def test_a_query_is_paged_with_the_same_words_and_no_text_of_anybodys(
    arm: ScriptedArm, discovery: ArmDiscovery
) -> None:
    arm.answer_in_turn(_rows("a", total=2, token="next"), _rows("b", total=2))

    found = await discovery.query(CONTEXT, VAULT_ROWS, [SUBSCRIPTION])

    bodies = [call.body or {} for call in arm.calls]
    assert [row["id"] for row in found.rows] == ["a", "b"]
    assert [page.total for page in found.pages] == [2, 2]
    assert {body["query"] for body in bodies} == {VAULT_ROWS}
    assert [body["options"].get("$skipToken") for body in bodies] == [None, "next"]
    assert {body["options"]["allowPartialScopes"] for body in bodies} == {False}


@pytest.mark.parametrize("again", [_rows("b", total=3, token="next"), _rows(total=3, token="other")])
async def test_a_query_whose_pages_lead_nowhere_ends_at_once(
    arm: ScriptedArm, discovery: ArmDiscovery, again: ArmReply
) -> None:
    arm.answer_in_turn(_rows("a", total=3, token="next"), again, _rows("c", total=3))

    with pytest.raises(MalformedReply):
        await discovery.query(CONTEXT, VAULT_ROWS, [SUBSCRIPTION])
    assert len(arm.calls) == 2


async def test_a_tag_without_a_value_has_an_empty_one(arm: ScriptedArm, discovery: ArmDiscovery) -> None:
    arm.answer_in_turn(_page({"id": VAULT_ID, "tags": {"dr": None, "Größe": "é" * 256}}))

    (vault,) = await discovery.vaults(CONTEXT, SUBSCRIPTION)

    assert vault.tags == {"dr": "", "Größe": "é" * 256}


@pytest.mark.parametrize(
    ("status", "code", "gone"),
    [
        (404, "ResourceNotFound", True),
        (404, "resourcegroupnotfound", True),
        (404, "SubscriptionNotFound", False),
        (404, "InvalidResourceNamespace", False),
        (404, "", False),
        (403, "ResourceNotFound", False),
        (410, "ResourceNotFound", False),
        (500, "ResourceNotFound", False),
    ],
)
def test_only_an_unmistakable_answer_is_evidence_that_a_vault_is_gone(status: int, code: str, gone: bool) -> None:
    error = ArmError(status, code, "words", disposition=Disposition.STALL)

    assert is_gone(error) is gone


def _any_answer(call: ArmCall) -> ArmReply:
    """Something that each call takes for an answer."""
    if "ResourceGraph" in call.target:
        return _rows(total=0)
    return json_reply({"id": VAULT_ID, "value": []})


async def test_the_role_has_the_rights_for_all_calls_and_no_others(arm: ScriptedArm, discovery: ArmDiscovery) -> None:
    arm.answer = _any_answer
    await discovery.subscriptions(CONTEXT)
    await discovery.descendants(CONTEXT, "mg")
    await discovery.vaults(CONTEXT, SUBSCRIPTION)
    await discovery.accounts(CONTEXT, SUBSCRIPTION)
    await discovery.vault(CONTEXT, VAULT)
    await discovery.replicates(CONTEXT, VAULT)
    await discovery.query(CONTEXT, VAULT_ROWS, [SUBSCRIPTION])
    client = arm.client()
    await SiteRecovery(client).mappings(CallContext(QuotaScope("s"), "", VAULT.key, "run"), VAULT)
    client.close()
    calls = {name for name in dir(ArmDiscovery) if not name.startswith("_")}

    assert calls == {"subscriptions", "descendants", "vaults", "accounts", "vault", "replicates", "query"}
    needed = {action_of(call.method, call.target) for call in arm.calls}
    assert needed | NAMED_BUT_NOT_CALLED == set(POLICY_ROLE["Actions"])
    assert not [action for action in POLICY_ROLE["Actions"] if not action.endswith("/read")]


async def test_an_account_that_is_none_is_not_believed(arm: ScriptedArm, discovery: ArmDiscovery) -> None:
    arm.answer_in_turn(_page({"id": ACCOUNT_ID, "tags": None}))

    (account,) = await discovery.accounts(CONTEXT, SUBSCRIPTION)
    assert (account.id.text, account.tags) == (ACCOUNT_ID, {})
    arm.answer = lambda _: _page({"id": VAULT_ID})
    with pytest.raises(MalformedReply):
        await discovery.accounts(CONTEXT, SUBSCRIPTION)
