"""Automation accounts: what they are, and the schedules in them by which mappings have agents updated.

A schedule, and the job schedule that binds it to the runbook, follow from the setting of the mapping to which they
belong. An account only keeps what somebody has done to them: deleted or changed them, or bound another runbook to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from asr_simulator.mapping import ENABLED, MANAGED_IDENTITY, ContainerMapping
from asr_simulator.scenario import AccountSpec, IdentityType, RunSpec, Scenario
from asr_simulator.schedules import Schedule
from asr_simulator.vault import Vault

RUNBOOK = "MS-SR-Update-MobilityServiceForA2AVirtualMachines"
"""The runbook that updates agents, as users report its name; it is not listed among the account's own."""
SYSTEM_ASSIGNED = ("SystemAssigned", "SystemAssigned, UserAssigned")

__all__ = ["RUNBOOK", "SYSTEM_ASSIGNED", "Account", "Accounts", "Binding", "Link", "Run", "make_runs"]


@dataclass(frozen=True, slots=True)
class Run:
    """A job of the account, which has run a runbook."""

    name: str
    runbook: str
    status: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Link:
    """A job schedule: it binds a schedule to a runbook."""

    id: str
    schedule: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What a mapping has in its account. Either half may be gone."""

    mapping: ContainerMapping
    schedule: str | None
    job_schedule: str | None


@dataclass(slots=True, eq=False)
class Account:
    """An Automation account."""

    id: str
    location: str
    state: str = "Ok"
    identity: IdentityType = "SystemAssigned"
    minutes_used: float = 0.0
    minutes_limit: int = 500
    runs: tuple[Run, ...] = ()
    deleted: set[str] = field(default_factory=set)
    """Names of schedules and ids of job schedules, in lower case."""
    schedules: dict[str, Schedule] = field(default_factory=dict)
    """By name in lower case: those that were read or changed."""
    foreign: list[Link] = field(default_factory=list)
    """Job schedules that Site Recovery has not made."""
    ran_until: datetime | None = None
    """Runs of its schedules are in `runs` up to then."""
    tags: dict[str, str] = field(default_factory=dict)
    identities_made: int = 0
    """How often its own identity was made anew."""

    @property
    def principal(self) -> str:
        """Object id of its own identity, which is another one each time that it is switched on; empty without one."""
        if self.identity not in SYSTEM_ASSIGNED:
            return ""
        anew = f"#{self.identities_made}" if self.identities_made else ""
        return str(uuid5(NAMESPACE_URL, f"{self.id.lower()}{anew}"))

    def set_identity(self, identity: IdentityType) -> None:
        """Switch identities on and off. What was off is another one when it is on again."""
        self.identities_made += identity in SYSTEM_ASSIGNED and self.identity not in SYSTEM_ASSIGNED
        self.identity = identity

    @property
    def name(self) -> str:
        """Name of the account."""
        return self.id.rpartition("/")[2]

    @property
    def subscription(self) -> str:
        """Subscription, in lower case."""
        return self.id.split("/")[2].lower()

    @property
    def can_run(self) -> bool:
        """Whether the runbook could do its work."""
        return self.state == "Ok" and self.identity in SYSTEM_ASSIGNED

    def binding(self, mapping: ContainerMapping) -> Binding:
        """Tell what is here of a mapping that uses this account."""
        setting = mapping.auto_update
        schedule, job_schedule = setting.schedule, setting.job_schedule
        return Binding(
            mapping,
            None if schedule is None or schedule.lower() in self.deleted else schedule,
            None if job_schedule is None or job_schedule.lower() in self.deleted else job_schedule,
        )


class Accounts:
    """All Automation accounts: those that vaults name, and those of the scenario."""

    def __init__(self, scenario: Scenario, now: datetime) -> None:
        self._accounts: dict[str, Account] = {}
        self._deleted: dict[str, Account] = {}
        for vault in scenario.vaults:
            self._accounts.setdefault(
                vault.automation_account.lower(), Account(vault.automation_account, vault.location)
            )
        for spec in scenario.automation_accounts:
            self._accounts[spec.id.lower()] = _described(spec, now)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def find_by_name(self, reference: str) -> Account | None:
        """Find an account by its ARM id, or by its name where no other one has it, in any letter case."""
        if by_id := self.find(reference):
            return by_id
        named = [each for each in self if reference.lower() == each.name.lower()]
        return named[0] if len(named) == 1 else None

    def find(self, account_id: str | None) -> Account | None:
        """Find an account by its ARM id, in any letter case."""
        return self._accounts.get((account_id or "").lower())

    def delete(self, account: Account) -> None:
        """Delete an account with all that is in it."""
        self._deleted[account.id.lower()] = self._accounts.pop(account.id.lower())

    def restore(self, reference: str) -> Account | None:
        """Bring back a deleted account, by name or ARM id, with all that was in it."""
        for key, account in self._deleted.items():
            if reference.lower() in (key, account.name.lower()):
                self._accounts[key] = self._deleted.pop(key)
                return account
        return None

    def bindings(self, account: Account, vaults: Iterable[Vault]) -> Iterator[Binding]:
        """Yield what the mappings of all vaults have in an account."""
        wanted = account.id.lower()
        for vault in vaults:
            for mapping in vault.ordered:
                setting = mapping.auto_update
                if setting.status == ENABLED and (setting.account or "").lower() == wanted:
                    yield account.binding(mapping)

    def links(self, account: Account, vaults: Iterable[Vault]) -> Iterator[Link]:
        """Yield all job schedules of an account."""
        for binding in self.bindings(account, vaults):
            if binding.job_schedule is not None:
                yield Link(binding.job_schedule, binding.mapping.auto_update.schedule or "", RUNBOOK)
        yield from (link for link in account.foreign if link.id.lower() not in account.deleted)

    def can_update(self, mapping: ContainerMapping) -> bool:
        """Tell whether the VMs of a mapping would get updates by themselves (inferred from what each part is for)."""
        setting = mapping.auto_update
        if setting.status != ENABLED or setting.authentication != MANAGED_IDENTITY or mapping.is_unhealthy:
            return False
        account = self.find(setting.account)
        if account is None or not account.can_run:
            return False
        binding = account.binding(mapping)
        if binding.schedule is None or binding.job_schedule is None:
            return False
        schedule = account.schedules.get(binding.schedule.lower())
        return schedule is None or schedule.is_enabled


def make_runs(specs: Iterable[RunSpec], account_id: str, now: datetime) -> tuple[Run, ...]:
    """Make the runs of an account, which are told relative to ``now``."""
    return tuple(_run(spec, f"{account_id.lower()}/{number}", now) for number, spec in enumerate(specs))


def _described(spec: AccountSpec, now: datetime) -> Account:
    return Account(
        spec.id,
        spec.location,
        state=spec.state,
        identity=spec.identity,
        tags=dict(spec.tags),
        minutes_used=spec.minutes_used,
        minutes_limit=spec.minutes_limit,
        runs=make_runs(spec.runs, spec.id, now),
    )


def _run(spec: RunSpec, seed: str, now: datetime) -> Run:
    created = now - timedelta(seconds=spec.ago)
    started = None if spec.status in ("New", "Activating") else created
    ended = None if started is None or spec.lasted is None else started + timedelta(seconds=spec.lasted)
    name = str(uuid5(NAMESPACE_URL, f"{seed} {created}"))
    return Run(name, spec.runbook or RUNBOOK, spec.status, created, started, ended)
