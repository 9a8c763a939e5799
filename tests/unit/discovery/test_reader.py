"""What a discovery makes of what Azure answers: an error is a part of what was found, and never an empty list."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from tests.unit.builders import NOW
from tests.unit.decide.policy_builders import SUBSCRIPTIONS, account_of, estate_of, policy_of, vault_of
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.discovery import ITEM_ROWS, TENANT_SCOPE, VAULT_ROWS, Query
from vault_autoupdate.decide.policy_discovery import GraphPage
from vault_autoupdate.discovery.reader import AT_ONCE, EstateReader
from vault_autoupdate.model.arm_id import ArmId, parse_vault_id
from vault_autoupdate.model.errors import ArmError, Disposition, Unreachable
from vault_autoupdate.model.estate import Estate, FoundAccount, FoundVault, Verdict

CONTEXT = CallContext(TENANT_SCOPE, "platform", "policy", run_id="run")
T = TypeVar("T")
OTHER = "0000000f-0000-4000-8000-000000000000"


def _given(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _refused(status: int = 403, code: str = "AuthorizationFailed") -> ArmError:
    return ArmError(status, code, "words", disposition=Disposition.STALL)


@dataclass
class Azure:
    """Answers as it is told to. Implements what is used of `ArmDiscovery`."""

    states: dict[str, str] | Exception = field(default_factory=lambda: dict.fromkeys(SUBSCRIPTIONS, "Enabled"))
    groups: set[str] | Exception = field(default_factory=lambda: set(SUBSCRIPTIONS))
    lists: dict[str, list[FoundVault] | Exception] = field(default_factory=dict)
    account_lists: dict[str, list[FoundAccount] | Exception] = field(default_factory=dict)
    single: dict[str, FoundVault | Exception] = field(default_factory=dict)
    busy: bool | Exception = True
    rows: Query | Exception = field(default_factory=lambda: Unreachable("no graph"))
    account_rows: Query = field(default_factory=lambda: Query([], (GraphPage(0, ()),)))
    item_rows: Query = field(default_factory=lambda: Query([], (GraphPage(0, ()),)))
    listed: list[str] = field(default_factory=list)
    """Subscriptions whose accounts were listed."""
    asked: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def subscriptions(self, _: CallContext) -> dict[str, str]:
        return _given(self.states)

    async def descendants(self, _: CallContext, group: str) -> set[str]:
        return _given(self.groups)

    async def vaults(self, _: CallContext, subscription: str) -> list[FoundVault]:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return _given(self.lists.get(subscription, []))

    async def accounts(self, _: CallContext, subscription: str) -> list[FoundAccount]:
        self.listed.append(subscription)
        return _given(self.account_lists.get(subscription, [account_of(subscription=subscription)]))

    async def vault(self, _: CallContext, vault: ArmId) -> FoundVault:
        return _given(self.single[vault.key])

    async def replicates(self, _: CallContext, vault: ArmId) -> bool:
        self.asked.append(vault.name)
        return _given(self.busy)

    async def query(self, _: CallContext, text: str, subscriptions: Sequence[str]) -> Query:
        rows = _given(self.rows)
        return {VAULT_ROWS: rows, ITEM_ROWS: self.item_rows}.get(text, self.account_rows)


def _read(
    azure: Azure,
    *,
    graph: bool = False,
    previous: Estate | None = None,
    accounts: Mapping[str, tuple[FoundAccount, ...]] | None = None,
    **spec: Any,
) -> Estate:
    reader = EstateReader(cast("Any", azure), lambda: NOW)
    reading = reader.read(policy_of(**spec).spec, CONTEXT, previous, with_graph=graph, accounts=accounts or {})
    return asyncio.run(reading)


def _row(vault: FoundVault) -> dict[str, Any]:
    return {"id": vault.id.text, "location": vault.location, "tags": dict(vault.tags)}


def test_what_all_lists_show_is_a_complete_estate() -> None:
    vault = vault_of()

    estate = _read(Azure(lists={SUBSCRIPTIONS[0]: [vault]}))

    assert (estate.source, estate.is_complete, list(estate.vaults)) == ("List", True, [vault.key])
    assert estate.read == frozenset(SUBSCRIPTIONS)


def test_a_list_that_fails_makes_its_subscription_unreachable_and_leaves_the_others() -> None:
    vault = vault_of(1, SUBSCRIPTIONS[1])

    estate = _read(Azure(lists={SUBSCRIPTIONS[0]: _refused(), SUBSCRIPTIONS[1]: [vault]}))

    assert {key: each.code for key, each in estate.unreachable.items()} == {SUBSCRIPTIONS[0]: "AuthorizationFailed"}
    assert (estate.is_complete, list(estate.vaults)) == (False, [vault.key])
    assert SUBSCRIPTIONS[0] not in estate.read


def test_accounts_that_could_not_be_read_are_unknown_and_not_none() -> None:
    estate = _read(Azure(account_lists={SUBSCRIPTIONS[0]: _refused(), SUBSCRIPTIONS[1]: []}))

    assert SUBSCRIPTIONS[0] not in estate.accounts
    assert estate.accounts[SUBSCRIPTIONS[1]] == ()


def test_a_subscription_that_is_not_visible_is_unreachable_and_one_that_is_not_enabled_is_disabled() -> None:
    estate = _read(Azure(states={SUBSCRIPTIONS[0]: "Enabled", SUBSCRIPTIONS[1]: "Disabled"}))

    assert {key: each.code for key, each in estate.unreachable.items()} == {SUBSCRIPTIONS[2]: "SubscriptionNotVisible"}
    assert estate.disabled == frozenset({SUBSCRIPTIONS[1]})
    assert not estate.is_complete


def test_subscriptions_that_cannot_be_listed_at_all_leave_nothing_readable() -> None:
    estate = _read(Azure(states=_refused()))

    assert ([each.code for each in estate.doubts], estate.read) == (["AuthorizationFailed"], frozenset())
    assert estate.unreachable.keys() == set(SUBSCRIPTIONS)


def test_a_group_that_cannot_be_read_has_what_it_had_and_is_doubted() -> None:
    scope = {"managementGroups": ["mg"]}

    without = _read(Azure(groups=_refused()), scope=scope)
    known = _read(Azure(groups=_refused()), scope=scope, previous=estate_of([]))

    assert (without.expected, without.is_complete, without.scope_is_known) == (frozenset(), False, False)
    assert known.scope_is_known
    assert (known.expected, known.is_complete) == (frozenset(SUBSCRIPTIONS), False)


def test_what_the_policy_excludes_is_not_looked_into() -> None:
    scope = {"managementGroups": ["mg"], "excludeSubscriptions": [SUBSCRIPTIONS[0].upper()]}

    assert _read(Azure(groups={*SUBSCRIPTIONS, OTHER}), scope=scope).expected == {*SUBSCRIPTIONS[1:], OTHER}


def test_resource_graph_is_believed_where_its_pages_add_up_and_doubted_where_not() -> None:
    vault = vault_of()
    whole = Query([_row(vault)], (GraphPage(1, (vault.id.text,)),))
    part = Query([_row(vault)], (GraphPage(2, (vault.id.text,)),))

    believed, doubted = _read(Azure(rows=whole), graph=True), _read(Azure(rows=part), graph=True)

    assert (believed.source, believed.is_complete, list(believed.vaults)) == ("Graph", True, [vault.key])
    assert (doubted.is_complete, [each.code for each in doubted.doubts]) == (False, ["RowsMissing"])


def test_resource_graph_says_where_accounts_have_changed_and_lists_say_how() -> None:
    first, second = account_of("aa-1", tag="x"), account_of("aa-2")
    one, two = SUBSCRIPTIONS[:2]
    known = {one: (second, first), two: (), SUBSCRIPTIONS[2]: ()}
    rows = [{"id": each.id.text.upper(), "tags": dict(each.tags)} for each in (first, second)]
    azure = Azure(
        rows=Query([], (GraphPage(0, ()),)),
        account_rows=Query(rows, (GraphPage(2, ("1", "2")),)),
        account_lists={one: [first, second], two: _refused()},
    )

    unchanged = _read(azure, graph=True, accounts=known)
    listed_then = list(azure.listed)
    azure.account_rows = Query(rows[:1], (GraphPage(1, ("1",)),))
    half = _read(azure, graph=True, accounts=known)
    unknown = _read(azure, graph=True)

    assert (unchanged.source, listed_then) == ("Graph", [])
    assert [each.id.key for each in unchanged.accounts[one]] == [second.id.key, first.id.key]
    assert [each.id.key for each in half.accounts[one]] == [first.id.key, second.id.key]
    assert (half.accounts[two], two in unknown.accounts) == ((), False)


def test_where_resource_graph_fails_the_lists_are_read() -> None:
    estate = _read(Azure(lists={SUBSCRIPTIONS[0]: [vault_of()]}), graph=True)

    assert (estate.source, estate.is_complete, len(estate.vaults)) == ("List", True, 1)


def test_whether_a_vault_replicates_is_asked_where_it_matters_and_once() -> None:
    idle, known = vault_of(1), vault_of(2)
    azure = Azure(lists={SUBSCRIPTIONS[0]: [idle, known]}, busy=False)
    before = _read(Azure(lists={SUBSCRIPTIONS[0]: [known]}), vaultSelector={"replication": "Present"})

    estate = _read(azure, previous=before, vaultSelector={"replication": "Present"})

    assert {key: each.replicates for key, each in estate.vaults.items()} == {idle.key: False, known.key: True}
    assert azure.asked == ["dr-1"]
    assert _read(Azure(lists={SUBSCRIPTIONS[0]: [idle]}, busy=_refused())).vaults[idle.key].replicates is None


def test_a_vault_in_a_group_with_other_letters_replicates_by_whichever_way_that_is_seen() -> None:
    text = vault_of().id.text.replace("/rg/", "/RG-Größe-Ö/")
    vault = FoundVault(parse_vault_id(text))
    row = {"id": f"{text}/replicationFabrics/f/replicationProtectionContainers/c/replicationProtectedItems/i"}
    azure = Azure(
        rows=Query([_row(vault)], (GraphPage(1, (text,)),)), item_rows=Query([row], (GraphPage(1, (row["id"],)),))
    )

    estate = _read(azure, graph=True, vaultSelector={"replication": "Present"})

    assert (estate.source, [each.replicates for each in estate.vaults.values()]) == ("Graph", [True])


def test_many_subscriptions_are_read_a_few_at_a_time() -> None:
    many = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(100)]
    azure = Azure(states=dict.fromkeys(many, "Enabled"))

    _read(azure, scope={"subscriptions": many})

    assert azure.most == AT_ONCE


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (vault_of(), Verdict.THERE),
        (_refused(404, "ResourceNotFound"), Verdict.GONE),
        (_refused(404, "SubscriptionNotFound"), Verdict.UNREACHABLE),
        (_refused(), Verdict.UNREACHABLE),
        (Unreachable("no answer"), Verdict.UNREACHABLE),
    ],
)
def test_a_look_tells_what_is_there_gone_or_not_to_be_seen(answer: FoundVault | Exception, verdict: Verdict) -> None:
    vault = vault_of()
    reader = EstateReader(cast("Any", Azure(single={vault.key: answer})), lambda: NOW)

    looks = asyncio.run(reader.looks(CONTEXT, [vault]))

    assert {key: (look.verdict, look.at) for key, look in looks.items()} == {vault.key: (verdict, NOW)}
