"""All policies: when each is worked on, whom news wake, and what is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from tests.unit.builders import NOW, VAULT_ID
from tests.unit.decide.policy_builders import SUBSCRIPTIONS, estate_of, vault_of
from vault_autoupdate.controller import policies
from vault_autoupdate.controller.policies import PolicyController
from vault_autoupdate.decide.policy_steps import PolicyPlan
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.discovery.state import PolicyState
from vault_autoupdate.model.errors import CredentialError, NotLeading, NotWritten, ObjectGone
from vault_autoupdate.model.estate import Trouble
from vault_autoupdate.model.policy import APPROVE, VaultAutoUpdatePolicy
from vault_autoupdate.model.resource import POLICY_LABEL, REQUESTED_AT, SHARD_LABEL, ObjectRef, ResourceKey
from vault_autoupdate.report.readiness import Readiness
from workbench.kube.resources import manifest, policy_manifest

KEY = ResourceKey("platform", "estate")


@dataclass
class Reconciler:
    """Finds nothing, and does nothing. Implements what is used of `PolicyReconciler`."""

    discovered: list[str] = field(default_factory=list)
    planned: int = 0
    resources: list[int] = field(default_factory=list)
    others: frozenset[str] = frozenset()
    """Uids of other policies."""
    rivals: dict[str, dict[str, str]] = field(default_factory=dict)
    """By policy: vaults that an older one means, with its name."""
    estate: Any = field(default_factory=lambda: estate_of([]))
    meanwhile: Callable[[], None] = lambda: None
    """What happens while it writes."""
    wanted: list[bool] = field(default_factory=list)
    """Whether that was wanted before, and after."""

    async def discover(self, policy: VaultAutoUpdatePolicy, state: PolicyState, tokens: object) -> None:
        self.discovered.append(policy.key.name)
        state.estate = self.estate

    def context(self, policy: VaultAutoUpdatePolicy, tokens: object) -> None:
        return None

    async def plan(self, policy: Any, state: PolicyState, around: Any, context: Any, *, fresh: bool) -> PolicyPlan:
        self.planned += 1
        self.resources.append(sum(map(len, around().resources.values())))
        self.others = around().policies
        self.rivals[policy.key.name] = {vault: key.name for vault, key in around().rivals.items()}
        return state.plan

    async def apply(self, policy: Any, state: Any, children: Any, save: Any, is_wanted: Callable[[], bool]) -> int:
        self.wanted.append(is_wanted())
        self.meanwhile()
        self.wanted.append(is_wanted())
        return 0


@dataclass
class Cluster:
    """What is in the cluster, and what is written to it. Implements `ListingWriter` and `StatusWriter`."""

    listed_times: int = 0
    items: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Readiness] = field(default_factory=list)
    error: Exception | None = None

    async def pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        self.listed_times += 1
        yield self.items

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        if self.error:
            raise self.error
        self.statuses.append(status)

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int = 1) -> None:
        self.events.append(readiness)


@dataclass
class Stage:
    """A controller with nothing around it."""

    rules: TenancyRules = field(default_factory=TenancyRules)
    login: Exception | None = None
    reconciler: Reconciler = field(default_factory=Reconciler)
    cluster: Cluster = field(default_factory=Cluster)
    woken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        unused: Any = self.cluster
        self.controller = PolicyController(
            reconciler=cast("Any", self.reconciler),
            children=unused,
            writer=unused,
            wake=lambda key, _: self.woken.append(key.name),
            now=lambda: NOW,
            rules=self.rules,
            tokens_for=self._tokens,
        )

    async def _tokens(self, namespace: str, credential: object) -> None:
        if self.login:
            raise self.login

    def see(
        self, name: str = KEY.name, *, annotations: Mapping[str, str] | None = None, hour: int = 0, **spec: Any
    ) -> None:
        fields: dict[str, Any] = {"scope": {"subscriptions": list(SUBSCRIPTIONS)}} | spec
        body = policy_manifest(name, namespace=KEY.namespace, **fields)
        body["metadata"] |= {"uid": f"uid-{name}", "generation": 1, "annotations": dict(annotations or {})}
        body["metadata"]["creationTimestamp"] = f"2026-01-01T{hour:02}:00:00Z"
        if self.cluster.statuses and name == KEY.name:
            body["status"] = self.cluster.statuses[-1]
        self.controller.on_policy_change(body)

    def reasons(self) -> list[str]:
        return [status["conditions"][0]["reason"] for status in self.cluster.statuses]


def _resource(name: str, policy: str = "", **metadata: Any) -> dict[str, Any]:
    body = manifest(name, namespace=KEY.namespace, vaultResourceId=VAULT_ID)
    body["metadata"] |= {"uid": f"uid-{name}", "generation": 1, "labels": {POLICY_LABEL: policy} if policy else {}}
    body["metadata"] |= metadata
    return body


async def test_a_policy_is_discovered_once_in_an_interval_and_the_echo_of_its_status_wakes_nobody() -> None:
    stage = Stage()
    stage.see()
    delay = await stage.controller.work(KEY)
    stage.woken.clear()

    stage.see()

    assert delay is not None
    assert 0.85 * 3600 < delay <= 3600
    assert (stage.woken, stage.reconciler.discovered) == ([], ["estate"])
    assert await stage.controller.work(KEY)
    assert stage.reconciler.discovered == ["estate"]


@pytest.mark.parametrize("news", [{"annotations": {REQUESTED_AT: "now"}}, {"mode": "Enforce"}])
async def test_what_somebody_wants_wakes_it_and_a_request_is_answered(news: dict[str, Any]) -> None:
    stage = Stage()
    stage.see()
    await stage.controller.work(KEY)
    stage.woken.clear()

    fields = {key: value for key, value in news.items() if key != "annotations"}
    body = policy_manifest("estate", namespace=KEY.namespace, scope={"subscriptions": list(SUBSCRIPTIONS)}, **fields)
    body["metadata"] |= {"uid": "uid-estate", "generation": 2 if fields else 1, "annotations": news.get("annotations")}
    stage.controller.on_policy_change(body)
    await stage.controller.work(KEY)

    assert stage.woken[:1] == ["estate"]
    assert stage.reconciler.discovered == ["estate", "estate"]
    assert stage.cluster.statuses[-1].get("lastHandledReconcileAt") == (None if fields else "now")


@pytest.mark.parametrize(
    ("news", "goes_on"),
    [
        pytest.param(lambda stage: stage.see(), True, id="an echo of its own status"),
        pytest.param(lambda stage: stage.see(annotations={APPROVE: "0123"}), False, id="edited"),
        pytest.param(lambda stage: stage.controller.on_policy_delete(KEY, "uid-estate"), False, id="deleted"),
    ],
)
async def test_writing_ends_where_the_policy_is_edited_or_deleted_meanwhile(
    news: Callable[[Stage], None], goes_on: bool
) -> None:
    stage = Stage()
    stage.see()
    stage.reconciler.meanwhile = lambda: news(stage)

    await stage.controller.work(KEY)

    assert stage.reconciler.wanted == [True, goes_on]
    assert len(stage.cluster.statuses) == (1 if goes_on else 0), "nothing is told of what is declared otherwise by now"


async def test_whoever_is_told_of_other_policies_is_told_of_those_of_other_shards_too() -> None:
    stage = Stage()
    stage.see()
    stage.see("other")
    stage.controller.on_policy_change(
        {"metadata": {"name": "far", "namespace": "platform", "uid": "uid-far", "labels": {SHARD_LABEL: "b"}}}
    )

    await stage.controller.work(KEY)
    assert stage.reconciler.others == {"uid-other", "uid-far"}
    stage.controller.on_policy_delete(ResourceKey("platform", "far"), "uid-far")
    stage.see(annotations={REQUESTED_AT: "1"})
    await stage.controller.work(KEY)
    assert stage.reconciler.others == {"uid-other"}


async def test_a_younger_policy_that_comes_first_after_a_start_leaves_the_older_one_what_that_means() -> None:
    stage, gold, silver = Stage(), vault_of(1, dr="gold"), vault_of(2, dr="silver")
    stage.reconciler.estate = estate_of([gold, silver])
    stage.see(hour=2, mode="Enforce")
    stage.see("older", hour=1, mode="Enforce", vaultSelector={"matchTags": {"dr": ["gold"]}})
    stage.see("looks-only", hour=0, mode="Audit")

    await stage.controller.work(KEY)
    await stage.controller.work(ResourceKey(KEY.namespace, "older"))

    assert stage.reconciler.rivals == {"estate": {gold.key: "older"}, "older": {}}
    stage.see(annotations={REQUESTED_AT: "1"}, hour=2, mode="Enforce")
    await stage.controller.work(KEY)
    assert stage.reconciler.rivals["estate"] == {}, "by now it has looked, and says what it means"


async def test_before_the_first_plan_all_resources_are_known() -> None:
    stage = Stage()
    stage.cluster.items = [_resource("by-hand"), _resource("child", "estate")]
    stage.see()

    await stage.controller.work(KEY)

    assert (stage.cluster.listed_times, stage.reconciler.resources) == (1, [2])


async def test_what_was_deleted_while_the_watch_was_cut_is_known_at_the_next_discovery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    stage.see()
    stage.cluster.items = [_resource("one", "estate"), _resource("two", "estate")]
    await stage.controller.work(KEY)
    stage.cluster.items = [_resource("two", "estate")]

    stage.see(annotations={REQUESTED_AT: "1"})
    await stage.controller.work(KEY)
    monkeypatch.setattr(policies, "_LISTED_FOR", 0.0)
    stage.see(annotations={REQUESTED_AT: "2"})
    await stage.controller.work(KEY)

    assert stage.reconciler.resources == [2, 2, 1]
    assert stage.cluster.listed_times == 2, "one list does for a minute"


async def test_what_cannot_be_acted_on_says_so_and_nothing_is_looked_for() -> None:
    stage = Stage()
    stage.see(scope={"subscriptions": []})
    stage.see("off", suspend=True)

    assert await stage.controller.work(KEY) is None
    assert await stage.controller.work(ResourceKey(KEY.namespace, "off")) is None
    assert stage.reasons() == ["InvalidSpec", "Suspended"]
    assert stage.reconciler.discovered == []


async def test_a_credential_that_the_namespace_may_not_use_is_refused() -> None:
    stage = Stage()
    stage.see(template={"autoUpdate": "Enabled", "credential": {"secretName": "login"}})

    assert await stage.controller.work(KEY) is None
    assert (stage.reasons(), stage.reconciler.discovered) == (["CredentialNotAllowed"], [])


async def test_a_login_that_fails_is_told_and_tried_again() -> None:
    stage = Stage(login=CredentialError("no token"))
    stage.see()

    assert await stage.controller.work(KEY) == 60.0
    assert stage.reconciler.discovered == []
    assert stage.cluster.statuses[-1]["conditions"][0]["status"] == "False"


@pytest.mark.parametrize("error", [NotWritten("500"), NotLeading("another")])
async def test_a_status_that_cannot_be_written_is_tried_again(error: Exception) -> None:
    stage = Stage()
    stage.see()
    stage.cluster.error = error

    assert await stage.controller.work(KEY) == 5.0


async def test_a_policy_that_is_gone_is_forgotten() -> None:
    stage = Stage()
    stage.see()
    stage.cluster.error = ObjectGone("404")

    assert await stage.controller.work(KEY) is None
    assert stage.controller.policies == {}


async def test_a_later_namesake_begins_anew_and_the_news_of_the_old_ones_end_do_not_end_it() -> None:
    stage = Stage()
    stage.see()
    await stage.controller.work(KEY)
    body = policy_manifest("estate", namespace=KEY.namespace, scope={"subscriptions": list(SUBSCRIPTIONS)})
    body["metadata"] |= {"uid": "another", "generation": 1}

    stage.controller.on_policy_change(body)
    stage.controller.on_policy_delete(KEY, "uid-estate")

    assert stage.controller.policies[KEY].ref.uid == "another"
    assert stage.controller.policies[KEY].state.estate is None


def test_news_of_a_resource_wake_its_policy_and_those_of_one_by_hand_all_of_them() -> None:
    stage = Stage()
    stage.see()
    stage.see("other")
    stage.woken.clear()

    stage.controller.on_resource_change(_resource("child", "estate"))
    assert stage.woken == ["estate"]
    stage.woken.clear()
    stage.controller.on_resource_change(_resource("child", "estate"))
    assert stage.woken == [], "nothing has changed"
    stage.controller.on_resource_change(_resource("by-hand"))
    assert set(stage.woken) == {"estate", "other"}
    stage.woken.clear()
    stage.controller.on_resource_delete(ResourceKey(KEY.namespace, "child"), "uid-child")
    assert stage.woken == ["estate"]


async def test_events_are_told_of_what_changes_and_of_nothing_that_was_right_from_the_start() -> None:
    stage = Stage()
    stage.see()
    await stage.controller.work(KEY)
    first = [event.reason for event in stage.cluster.events]
    stage.cluster.events.clear()

    stage.see(annotations={REQUESTED_AT: "1"})
    await stage.controller.work(KEY)
    assert (first, stage.cluster.events) == ([], [])
    lost = {SUBSCRIPTIONS[2]: Trouble("AuthorizationFailed", "Grant it.")}
    stage.reconciler.estate = estate_of([], read=frozenset(SUBSCRIPTIONS[:2]), unreachable=lost)
    stage.see(annotations={REQUESTED_AT: "2"})
    await stage.controller.work(KEY)

    told = {event.reason: event.ready for event in stage.cluster.events}
    assert told == {"DiscoveryIncomplete": "False", "AuthorizationFailed": "False"}
