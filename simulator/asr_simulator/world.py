"""Everything that exists in a simulated cloud."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from asr_simulator.accounts import Account, Accounts
from asr_simulator.activity_log import ActivityLog
from asr_simulator.clock import Clock
from asr_simulator.faults import FaultBook
from asr_simulator.graph_index import GraphIndex, Row
from asr_simulator.identity import TokenAuthority
from asr_simulator.mapping import ContainerMapping
from asr_simulator.oauth import OAuthEndpoint
from asr_simulator.protected_items import count_items
from asr_simulator.request_log import RequestLog
from asr_simulator.roles import RoleBook
from asr_simulator.routes import Route
from asr_simulator.scenario import AgentUpdates, Jobs, Scenario, VaultSpec
from asr_simulator.schedule_book import ScheduleBook
from asr_simulator.signing import Signer
from asr_simulator.tenant import Tenant
from asr_simulator.throttle import Throttle
from asr_simulator.vault import Vault

_UPDATE_AGENT = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems"
    "/updateMobilityService/action"
)

__all__ = ["World"]


class World:
    """The state behind one simulator."""

    def __init__(self, scenario: Scenario, clock: Clock | None = None) -> None:
        self.scenario = scenario
        self.clock = clock or Clock(scenario.time_scale)
        self.rng = random.Random(scenario.seed)
        self.ids = random.Random(f"{scenario.seed} request ids")
        self.signer = Signer(scenario.seed)
        self.tokens = TokenAuthority(scenario.identity, self.signer, self.clock.wall)
        self.oauth = OAuthEndpoint(scenario.identity, self.tokens, self.clock.wall)
        self.throttle = Throttle(scenario.throttle)
        self.faults = FaultBook(random.Random(f"{scenario.seed} faults"))
        self.log = RequestLog(scenario.request_log_size)
        self.responses: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.job_settings = scenario.jobs
        self.agent_updates = scenario.agent_updates
        self.latency = scenario.latency
        self.patch_failure_share = scenario.patch_failure_share
        self.accounts = Accounts(scenario, datetime.fromtimestamp(self.clock.wall(), UTC))
        self.vaults: dict[tuple[str, str, str], Vault] = {}
        self._vaults_by_subscription: dict[str, dict[tuple[str, str, str], Vault]] = {}
        self.schedules = ScheduleBook(
            self.accounts,
            scenario.schedules,
            vaults=self.vaults.values,
            now=lambda: datetime.fromtimestamp(self.clock.wall(), UTC),
            real_seconds=self.clock.real_seconds,
        )
        self.groups: dict[str, set[str]] = {}
        """Resource groups by subscription, all in lower case."""
        self.activity = ActivityLog(scenario.activity_log, random.Random(f"{scenario.seed} activity"))
        self.tenant = Tenant(scenario)
        self.roles = RoleBook(scenario.roles, self.tenant, self.accounts.find_by_name)
        naming = _subscriptions_by_account(scenario)
        self.roles.load((account, _subscriptions_of(account, naming)) for account in self.accounts)
        self.index = GraphIndex(scenario.graph, random.Random(f"{scenario.seed} lags"))
        for account in self.accounts:
            self.groups.setdefault(account.subscription, set()).add(account.id.split("/")[4].lower())
        for subscription in self.tenant.subscriptions:
            self.groups.setdefault(subscription, set())
        for spec in scenario.vaults:
            self._make_vault(spec)
        for vault in self.vaults.values():
            for row in _rows_of(vault):
                self.index.load(row)
        for account in self.accounts:
            self.index.load(_account_row(account))

    def _make_vault(self, spec: VaultSpec) -> Vault:
        scenario = self.scenario
        vault = self.vaults[spec.key] = Vault(
            spec,
            self.clock,
            random.Random(f"{scenario.seed} {spec.key}"),
            background_per_hour=self.job_settings.background_per_hour,
            auto_update_after=self.agent_updates.auto_update_after,
            can_update=lambda mapping: self._can_update(spec, mapping),
            name_schedule=self.schedules.named_for,
        )
        self._vaults_by_subscription.setdefault(spec.key[0], {})[spec.key] = vault
        self.schedules.share(vault)
        self.groups.setdefault(spec.key[0], set()).add(spec.key[1])
        return vault

    def _can_update(self, spec: VaultSpec, mapping: ContainerMapping) -> bool:
        """Tell whether the VMs of a mapping would get updates by themselves.

        Which actions the runbook needs is not published: the one that updates an agent is the least.
        """
        account = self.accounts.find(mapping.auto_update.account)
        if account is None or not self.accounts.can_update(mapping):
            return False
        return self.roles.is_allowed(account.principal, _UPDATE_AGENT, spec.id, self.clock.now())

    def add_vault(self, spec: VaultSpec) -> Vault:
        """Make a vault; Resource Graph shows it later."""
        self.tenant.add(spec.subscription)
        vault = self._make_vault(spec)
        for row in _rows_of(vault):
            self.index.change(row["id"], row, self.clock.now())
        return vault

    def delete_vault(self, vault: Vault) -> None:
        """Delete a vault; Resource Graph shows it for a while."""
        del self.vaults[vault.spec.key]
        del self._vaults_by_subscription[vault.spec.key[0]][vault.spec.key]
        for row in _rows_of(vault):
            self.index.change(row["id"], None, self.clock.now())

    def tag_vault(self, vault: Vault, tags: dict[str, str]) -> None:
        """Give a vault other tags; Resource Graph shows the old ones for a while."""
        vault.tags = dict(tags)
        self.index.change(vault.id, _vault_row(vault), self.clock.now())

    def find(self, route: Route, now: float) -> Vault | None:
        """Find the vault that a path names, up to date."""
        vault = self.vaults.get((route.subscription.lower(), route.resource_group.lower(), route.vault.lower()))
        if vault is not None:
            vault.settle(now)
        return vault

    def vaults_of(self, subscription: str, resource_group: str) -> list[Vault]:
        """The vaults of a subscription, or of one of its resource groups if that is not empty; both in lower case."""
        found = self._vaults_by_subscription.get(subscription, {})
        return [vault for key, vault in found.items() if resource_group in ("", key[1])]

    def find_account(self, route: Route) -> Account | None:
        """Find the Automation account that a path names."""
        return self.accounts.find(route.account_id)

    def settle(self) -> float:
        """Bring everything up to date; returns the simulated time."""
        now = self.clock.now()
        for vault in self.vaults.values():
            vault.settle(now)
        return now

    def set_jobs(self, jobs: Jobs) -> None:
        """Let jobs that start from now on run otherwise."""
        self.job_settings = jobs
        for vault in self.vaults.values():
            vault.background_per_hour = jobs.background_per_hour

    def set_agent_updates(self, settings: AgentUpdates) -> None:
        """Let updates of agents that start from now on go otherwise."""
        self.agent_updates = settings
        for vault in self.vaults.values():
            vault.agents.auto_update_after = settings.auto_update_after


def _subscriptions_by_account(scenario: Scenario) -> Mapping[str, Sequence[str]]:
    """By the id of an account in lower case: the subscriptions of the vaults that name it."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in scenario.vaults:
        found[each.automation_account.lower()].append(each.subscription)
    return found


def _subscriptions_of(account: Account, naming: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """The subscriptions of the vaults that name an account, and its own."""
    named = naming.get(account.id.lower(), ())
    return {each.lower(): each for each in (*named, account.id.split("/")[2])}.values()


def _rows_of(vault: Vault) -> list[Row]:
    """What Resource Graph has of a vault: itself, and of what it replicates one item, which is enough to tell that."""
    rows = [_vault_row(vault)]
    if count_items(vault):
        item = f"{vault.id}/replicationFabrics/f/replicationProtectionContainers/c/replicationProtectedItems/first"
        kind = (
            "microsoft.recoveryservices/vaults/replicationfabrics/replicationprotectioncontainers"
            "/replicationprotecteditems"
        )
        rows.append({"id": item, "type": kind, "subscriptionId": vault.spec.subscription})
    return rows


def _vault_row(vault: Vault) -> Row:
    return {
        "id": vault.id,
        "name": vault.spec.name,
        "type": "microsoft.recoveryservices/vaults",
        "location": vault.spec.location,
        "resourceGroup": vault.spec.resource_group,
        "subscriptionId": vault.spec.subscription,
        "tags": dict(vault.tags),
    }


def _account_row(account: Account) -> Row:
    return {
        "id": account.id,
        "name": account.name,
        "type": "microsoft.automation/automationaccounts",
        "location": account.location,
        "subscriptionId": account.id.split("/")[2],
        "tags": dict(account.tags),
        "identity": {"type": account.identity},
    }
