"""The schedules of all accounts, and what Site Recovery does with those that it has made."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from asr_simulator.accounts import RUNBOOK, Account, Accounts, Run
from asr_simulator.generate import make_ailment
from asr_simulator.ids import guid
from asr_simulator.mapping import AutoUpdate, ContainerMapping
from asr_simulator.scenario import Schedules
from asr_simulator.schedules import Schedule, default_schedule, runs_between
from asr_simulator.vault import Vault

_LASTED = timedelta(seconds=60)
_MOST_RUNS = 10_000

__all__ = ["ScheduleBook"]


class ScheduleBook:
    """Finds, makes and keeps schedules. Those that mappings name are there from the beginning, until one is deleted."""

    def __init__(
        self,
        accounts: Accounts,
        behaviour: Schedules,
        *,
        vaults: Callable[[], Iterable[Vault]],
        now: Callable[[], datetime],
        real_seconds: Callable[[float], float],
    ) -> None:
        self.behaviour = behaviour
        self._accounts = accounts
        self._vaults = vaults
        self._now = now
        self._real_seconds = real_seconds

    def of(self, account: Account) -> Iterator[Schedule]:
        """Yield the schedules of an account: those that mappings name, in the order of these, and then all others."""
        named = {name.lower(): name for name in self._named(account)}
        others = {key: each.name for key, each in account.schedules.items() if key not in named}
        for name in (*named.values(), *others.values()):
            if (schedule := self._known(account, name, is_named=name.lower() in named)) is not None:
                yield schedule

    def find(self, account: Account, name: str) -> Schedule | None:
        """Find a schedule by name, in any letter case."""
        named = next((each for each in self._named(account) if each.lower() == name.lower()), None)
        return self._known(account, named or name, is_named=named is not None)

    def _known(self, account: Account, name: str, *, is_named: bool) -> Schedule | None:
        """A schedule that is known, or that a mapping names: that one is made when it is first asked for."""
        key, now = name.lower(), self._now()
        known = account.schedules.get(key)
        if key in account.deleted or not (is_named or (known and known.is_foreign)):
            return None
        if known is None:
            known = account.schedules[key] = default_schedule(name, self.behaviour.default_zone, now)
        if known.edited_at is not None and self.behaviour.reverts_after is not None:
            due = known.edited_at + timedelta(seconds=self._real_seconds(self.behaviour.reverts_after))
            if due <= now:
                known = account.schedules[key] = self._reset(known, now)
        return known

    def store(self, account: Account, schedule: Schedule) -> None:
        """Keep a schedule that somebody has changed."""
        key = schedule.name.lower()
        account.deleted.discard(key)
        account.schedules[key] = schedule
        if self.behaviour.edit_is_unhealthy and schedule.edited_at == schedule.modified:
            for mapping in self._mappings(account, key):
                mapping.ailment = make_ailment(random.Random(key), schedule.modified.isoformat(), curable=True)
                mapping.changed()

    def reset(self, account: Account, name: str) -> None:
        """Set a schedule back to the time that Site Recovery gives."""
        if (known := self.find(account, name)) is not None:
            account.schedules[name.lower()] = self._reset(known, self._now())

    def named_for(self, mapping: ContainerMapping, wanted: AutoUpdate, vault: Vault) -> AutoUpdate:
        """Give a mapping that is being enabled its schedule and job schedule, as `Schedules.after_repair` says."""
        before, way = mapping.auto_update, self.behaviour.after_repair
        new = f"{mapping.name}_{guid(vault.rng)}"
        if self.behaviour.shared_by != "mapping":
            new = self._shared_name(vault, wanted.account or "")
        account = self._accounts.find(wanted.account)
        known = self.find(account, before.schedule) if account is not None and before.schedule else None
        same_account = (before.account or "").lower() == (wanted.account or "").lower()
        if way.startswith("same_name") and before.schedule and same_account:
            new = before.schedule
        if account is not None:
            account.deleted.discard(new.lower())
            if known is not None and same_account and way in ("same_name_keep", "new_name_copy"):
                account.schedules[new.lower()] = replace(known, name=new, edited_at=None)
            elif way == "same_name_reset":
                account.schedules.pop(new.lower(), None)
        return replace(wanted, schedule=new, job_schedule=guid(vault.rng))

    def share(self, vault: Vault) -> None:
        """Let mappings of a new vault name one schedule, where that is how it is."""
        if self.behaviour.shared_by != "mapping":
            for mapping in vault.ordered:
                if mapping.auto_update.schedule is not None:
                    name = self._shared_name(vault, mapping.auto_update.account or "")
                    mapping.auto_update = replace(mapping.auto_update, schedule=name)
                    mapping.changed()

    def run(self, account: Account) -> None:
        """Let everything run that was due until now: that is a job of the account."""
        now = self._now()
        since, account.ran_until = account.ran_until or now, now
        if since < now:
            due = sorted(self.due(account, since, now), key=lambda run: run[0], reverse=True)
            new = tuple(
                Run(str(uuid5(NAMESPACE_URL, f"{name}{at}")), RUNBOOK, "Completed", at, at, at + _LASTED)
                for at, name in due
            )
            account.runs = (*new, *account.runs)[:_MOST_RUNS]

    def due(self, account: Account, after: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
        """Yield when which schedule starts the update runbook, after ``after`` and no later than ``until``."""
        bound = {
            link.schedule.lower() for link in self._accounts.links(account, self._vaults()) if link.runbook == RUNBOOK
        }
        for schedule in self.of(account):
            if schedule.is_enabled and schedule.name.lower() in bound:
                yield from ((at, schedule.name) for at in runs_between(schedule, after, until))

    def _named(self, account: Account) -> Iterator[str]:
        bindings = self._accounts.bindings(account, self._vaults())
        return (binding.schedule for binding in bindings if binding.schedule is not None)

    def _mappings(self, account: Account, key: str) -> list[ContainerMapping]:
        bindings = self._accounts.bindings(account, self._vaults())
        return [each.mapping for each in bindings if (each.schedule or "").lower() == key]

    def _shared_name(self, vault: Vault, account: str) -> str:
        """Name of the schedule that all mappings of a vault, or of an account, have together."""
        owner = account if self.behaviour.shared_by == "account" else vault.id
        return f"{owner.rpartition('/')[2].lower()}_{uuid5(NAMESPACE_URL, owner.lower())}"

    def _reset(self, known: Schedule, now: datetime) -> Schedule:
        fresh = default_schedule(known.name, self.behaviour.default_zone, now)
        return replace(fresh, created=known.created, is_enabled=known.is_enabled)
