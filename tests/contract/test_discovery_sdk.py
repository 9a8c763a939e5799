"""Contract: Microsoft's own libraries find subscriptions, management groups, vaults and accounts on the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.automation import AutomationClient
from azure.mgmt.managementgroups import ManagementGroupsMgmtClient
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.resource.subscriptions import SubscriptionClient
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

from asr_simulator import SimulatorThread
from asr_simulator.resource_graph import QUERIES
from tests.simulator.helpers import GROUP, SUBSCRIPTION, VAULT, scenario, vault

_HTTP: dict[str, Any] = {"enforce_https": False}
_OTHER = "22222222-2222-4333-8444-555555555555"
_VAULTS = next(iter(QUERIES))


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    """Two subscriptions, one of them in a group below another one; five vaults, two to a page."""
    of = scenario(
        vault(tags={"dr": "gold"}, mix={"enabled_compliant": 1}, items_per_mapping=2),
        *(vault(subscription=_OTHER, name=f"other-{number}", mappings=[]) for number in range(4)),
        management_groups=[{"name": "mg-a", "display_name": "A"}, {"name": "mg-b", "parent": "mg-a"}],
        subscriptions=[
            {"id": SUBSCRIPTION, "name": "Production", "management_group": "mg-a", "tags": {"env": "prod"}},
            {"id": _OTHER, "state": "Disabled", "management_group": "mg-b"},
        ],
        vaults_page_size=2,
        graph={"page_size": 2},
    )
    with SimulatorThread(of) as running:
        for name, value in running.identity_env.items():
            monkeypatch.setenv(name, value)
        yield running


def test_subscriptions_are_listed_with_their_states(
    sim: SimulatorThread, credential: ManagedIdentityCredential
) -> None:
    with SubscriptionClient(credential, base_url=sim.url) as client:
        found = {each.subscription_id: each for each in client.subscriptions.list(**_HTTP)}
        one = client.subscriptions.get(SUBSCRIPTION, **_HTTP)

    assert {key: each.state for key, each in found.items()} == {SUBSCRIPTION: "Enabled", _OTHER: "Disabled"}
    assert (one.display_name, one.tags) == ("Production", {"env": "prod"})


def test_what_is_in_a_management_group_is_listed_through_all_pages(
    sim: SimulatorThread, credential: ManagedIdentityCredential
) -> None:
    with ManagementGroupsMgmtClient(credential, base_url=sim.url) as client:
        found = list(client.management_groups.get_descendants("mg-a", top=1, **_HTTP))
        with pytest.raises(HttpResponseError, match="cannot be found"):
            list(client.management_groups.get_descendants("nowhere", **_HTTP))

    assert {(each.type, each.name) for each in found} == {
        ("Microsoft.Management/managementGroups", "mg-b"),
        ("/subscriptions", SUBSCRIPTION),
        ("/subscriptions", _OTHER),
    }
    assert {each.parent.id.rpartition("/")[2] for each in found if each.parent} == {"mg-a", "mg-b"}


def test_vaults_of_a_subscription_are_listed_through_all_pages(
    sim: SimulatorThread, credential: ManagedIdentityCredential
) -> None:
    with RecoveryServicesClient(credential, _OTHER, base_url=sim.url) as client:
        assert len(list(client.vaults.list_by_subscription_id(**_HTTP))) == 4
    with RecoveryServicesClient(credential, SUBSCRIPTION, base_url=sim.url) as client:
        (found,) = client.vaults.list_by_subscription_id(**_HTTP)
        (usage,) = client.replication_usages.list(GROUP, VAULT, **_HTTP)

    assert (found.name, found.tags) == (VAULT, {"dr": "gold"})
    assert usage.protected_item_count == 8
    assert len(sim.control.requests(kind="vaults")) == 3


def test_accounts_of_a_subscription_are_listed(sim: SimulatorThread, credential: ManagedIdentityCredential) -> None:
    with AutomationClient(credential, SUBSCRIPTION, base_url=sim.url) as client:
        assert [each.name for each in client.automation_account.list(**_HTTP)] == ["aa-dr"]


class TestResourceGraph:
    @pytest.fixture
    def graph(self, sim: SimulatorThread, credential: ManagedIdentityCredential) -> Iterator[ResourceGraphClient]:
        with ResourceGraphClient(credential, base_url=sim.url, retry_total=0) as found:
            yield found

    def test_rows_come_in_pages_by_tokens_and_flags_are_texts(self, graph: ResourceGraphClient) -> None:
        ids: list[str] = []
        token = None
        while True:
            options = QueryRequestOptions(skip_token=token)
            answer = graph.resources(QueryRequest(query=_VAULTS, management_groups=["mg-a"], options=options), **_HTTP)
            rows: Any = answer.data
            ids += [row["id"] for row in rows]
            assert (answer.total_records, answer.result_truncated) == (5, "false")
            token = answer.skip_token
            if not token:
                break

        assert (len(ids), len(set(ids))) == (5, 5)
        assert ids == sorted(ids)

    def test_a_query_that_nobody_understands_is_refused_with_the_truth_in_details(
        self, graph: ResourceGraphClient
    ) -> None:
        with pytest.raises(HttpResponseError) as refusal:
            graph.resources(QueryRequest(query="where where", subscriptions=[SUBSCRIPTION]), **_HTTP)

        assert refusal.value.error is not None
        assert (refusal.value.status_code, refusal.value.error.code) == (400, "BadRequest")
        assert [each.code for each in refusal.value.error.details or ()] == ["InvalidQuery"]

    def test_a_group_by_its_display_name_is_refused(self, graph: ResourceGraphClient) -> None:
        with pytest.raises(HttpResponseError, match="ManagementGroupsContainInvalidIds"):
            graph.resources(QueryRequest(query=_VAULTS, management_groups=["Tenant Root Group"]), **_HTTP)

    def test_whoever_asks_too_often_is_told_to_wait(self, graph: ResourceGraphClient) -> None:
        request = QueryRequest(query=_VAULTS, subscriptions=[SUBSCRIPTION])
        headers: list[Any] = []
        for _ in range(15):
            graph.resources(
                request, raw_response_hook=lambda answer: headers.append(answer.http_response.headers), **_HTTP
            )

        with pytest.raises(HttpResponseError, match="RateLimiting") as refusal:
            graph.resources(request, **_HTTP)

        assert [each["x-ms-user-quota-remaining"] for each in headers] == [str(left) for left in range(14, -1, -1)]
        assert refusal.value.status_code == 429
        response: Any = refusal.value.response
        assert response.headers["x-ms-user-quota-resets-after"].startswith("00:00:0")
