"""From what a policy says and what was found to what is to be done, in the order of the safeguards. Pure.

    1. Complete or nothing removed      `Estate.is_complete`, `policy_discovery`
    2. Positive evidence per vault      `policy_evidence`
    3. Leaving is not undoing           `wanted`: a setting comes from the template or a rule, for a vault that was seen
    4. Caps                             `policy_limits`
    5. Waves                            `policy_waves`
    6. Ownership                        `claims_of`
    7. No account, no resource          `choose_account`
    8. Trust of tags                    Audit and Keep by default, and everything counted

A plan is made twice in each pass: the first one says which vaults have to be looked at, the second one knows what the
looks have shown. What turns auto-update off is done only for a vault that a look has just confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from vault_autoupdate.decide.policy_account import AccountChoice, choose_account
from vault_autoupdate.decide.policy_children import (
    Claims,
    Wanted,
    child_name,
    claims_of,
    digest_of,
    is_ours,
    wanted,
    wants,
)
from vault_autoupdate.decide.policy_evidence import is_fresh, is_proved
from vault_autoupdate.decide.policy_limits import (
    Gate,
    change_gate,
    change_room,
    creation_room,
    plan_hash,
    removal_gate,
)
from vault_autoupdate.decide.policy_selection import select, standing_of
from vault_autoupdate.decide.policy_steps import Change, Creation, Facts, PolicyPlan, Removal
from vault_autoupdate.decide.policy_waves import TRIAL, Rollout, roll_out, wave_of
from vault_autoupdate.model.estate import Child, ChildState, FoundVault, Verdict
from vault_autoupdate.model.policy import OnUnmatched
from vault_autoupdate.model.resource import AutoUpdate, Mode, ResourceKey

LOOKS_AT_ONCE = 100
"""Vaults that have left the selection are looked at so many at a time: those longest not looked at first."""
MAPPINGS_AT_ONCE = 50
"""And mappings are read of so many vaults at a time, where the account is the one that they name."""

__all__ = ["LOOKS_AT_ONCE", "MAPPINGS_AT_ONCE", "make_plan"]


def make_plan(facts: Facts) -> PolicyPlan:
    """Decide what is to be done. What is only reported in mode Audit is in the plan as well, but not to be done."""
    draft = _Draft(facts)
    for key in draft.selection.selected:
        draft.consider(key)
    return draft.plan()


class _Draft:
    """A plan that is being made."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.policy = facts.policy
        self.selection = select(facts.policy.spec, facts.estate, facts.allows)
        self.own = _own_of(facts)
        self.missing: list[Creation] = []
        self.differing: list[Change] = []
        self.without_account: dict[str, str] = {}
        self.foreign: dict[str, Child] = {}
        self.conflicting: dict[str, ResourceKey] = {}
        self.earlier: set[str] = set()
        self.taken: dict[str, Child] = {}
        self.named = _named(facts)
        self.read_mappings: list[FoundVault] = []

    def consider(self, key: str) -> None:
        """Say what is to become of one vault that is selected."""
        vault = self.facts.estate.vaults[key]
        claims = claims_of(self.policy, self.facts.resources.get(key, ()), self.facts.policies)
        if self._belongs_to_somebody_else(key, claims):
            return
        rule = self.selection.selected[key].rule
        needs_account = self.policy.spec.setting_of(rule) is AutoUpdate.ENABLED
        choice = self._account(vault) if needs_account else AccountChoice()
        account = choice.account
        if account is None and needs_account:
            if choice.wants_current:
                self.read_mappings.append(vault)
            account = claims.own.spec.automation_account_resource_id if claims.own else None
            if account is None:
                self.without_account[key] = choice.why
                return
        want = wanted(self.policy, vault, rule, account)
        if claims.own is None:
            self._miss(vault, want)
        else:
            self._compare(claims.own, want)

    def _miss(self, vault: FoundVault, want: Wanted) -> None:
        wave = wave_of(self.policy.spec.limits.waves, vault)
        name = child_name(self.policy.key.name, vault.id)
        self.missing.append(Creation(name, vault, want, wave))
        there = self.named.get(name)
        if there and there.vault_key != vault.key:
            self.taken[name] = there

    def _compare(self, child: Child, want: Wanted) -> None:
        """Take note of what differs; of the mode also where somebody has set what the policy wants only by now."""
        fields, adopts, mode = wants(child, want), not is_ours(self.policy, child), want.spec.mode.value
        if fields or adopts or child.stamped_mode != mode:
            self.differing.append(Change(child, fields, mode, adopts))

    def _belongs_to_somebody_else(self, key: str, claims: Claims) -> bool:
        if claims.foreign:
            self.foreign[key] = claims.foreign
        elif claims.own is None and claims.others:
            other = self.conflicting[key] = ResourceKey(claims.others.ref.key.namespace, claims.others.policy)
            if other == self.policy.key:
                self.earlier.add(key)
        elif not (claims.own and is_ours(self.policy, claims.own)) and key in self.facts.rivals:
            self.conflicting[key] = self.facts.rivals[key]
        return key in self.foreign or key in self.conflicting

    def _account(self, vault: FoundVault) -> AccountChoice:
        facts = self.facts
        accounts = facts.estate.accounts.get(vault.subscription)
        return choose_account(self.policy.spec.automation_account, vault, accounts, facts.current, facts.allows)

    def plan(self) -> PolicyPlan:
        """The whole of it."""
        orphaned = self._orphaned()
        leaving = self._leaving(orphaned)
        changes, removals, name = self._gates(len(orphaned), leaving)
        create, rollout = self._begin()
        room = change_room(self.policy.spec.limits, changes, self.facts.changed, self.facts.now)
        draft = PolicyPlan(
            selection=self.selection,
            own=self.own,
            create=tuple(create),
            change=tuple(self._allowed(self.differing)[:room]),
            moving=tuple(each for each in self.own.values() if self._is_to_move(each)),
            remove=tuple(self._seen_to_go(leaving)) if removals.is_open else (),
            missing=tuple(self.missing),
            differing=tuple(self.differing),
            leaving=tuple(leaving),
            rollout=rollout,
            changes=changes,
            removals=removals,
            hash=name,
            read_mappings=tuple(self.read_mappings[:MAPPINGS_AT_ONCE]),
            without_account=self.without_account,
            foreign=self.foreign,
            conflicting=self.conflicting,
            earlier=frozenset(self.earlier),
            taken=self.taken,
            orphaned=orphaned,
        )
        return _only_confirmed(draft, self.facts)

    @property
    def _enforces(self) -> bool:
        return self.policy.spec.mode is Mode.ENFORCE and not self.policy.spec.suspend and not self.policy.deleting

    def _is_to_move(self, child: Child) -> bool:
        return self._enforces and is_ours(self.policy, child) and child.shard != self.policy.shard

    def _gates(self, orphaned: int, leaving: list[Removal]) -> tuple[Gate, Gate, str]:
        """What the limits say about changes and removals, and the name of what waits for approval."""
        steps = [f"change {each.child.vault_key} {digest_of(each.fields)}" for each in self.differing]
        removal_steps = [f"remove {each.child.vault_key}" for each in leaving]
        changes = self._change_gate(approved=False)
        removals = self._removal_gate(orphaned, len(leaving), approved=False)
        name = plan_hash(([] if changes.is_open else steps) + ([] if removals.is_open else removal_steps))
        if not name or name != self.policy.approved:
            return changes, removals, name
        return (
            changes if changes.is_open else self._change_gate(approved=True),
            removals if removals.is_open else self._removal_gate(orphaned, len(leaving), approved=True),
            "",
        )

    def _change_gate(self, *, approved: bool) -> Gate:
        return change_gate(self.policy.spec.limits, changes=len(self.differing), approved=approved)

    def _removal_gate(self, orphaned: int, leaving: int, *, approved: bool) -> Gate:
        if self.policy.spec.on_unmatched is not OnUnmatched.RELEASE:
            return Gate(is_open=True)
        return removal_gate(
            self.policy.spec.limits,
            managed=len(self.own),
            leaving=orphaned,
            proved=leaving,
            done=self.facts.removed,
            approved=approved,
            now=self.facts.now,
        )

    def _allowed(self, changes: Iterable[Change]) -> list[Change]:
        """Those that may be written at all: nothing is changed in a subscription that is not enabled."""
        disabled = self.facts.estate.disabled
        return [each for each in changes if self._enforces and _subscription(each.child) not in disabled]

    def _seen_to_go(self, leaving: Iterable[Removal]) -> list[Removal]:
        facts = self.facts
        keys = {key for key, look in facts.looks.items() if is_fresh(facts.evidence.get(key), look)}
        return [each for each in leaving if self._enforces and each.child.vault_key in keys]

    def _begin(self) -> tuple[list[Creation], Rollout]:
        """The resources to make now: of the waves that have begun, and no more than the limits allow."""
        facts, limits = self.facts, self.policy.spec.limits
        kept_out = frozenset({*self.without_account, *self.foreign, *self.conflicting})
        own = {key: child for key, child in self.own.items() if key not in self.foreign}
        vaults = [facts.estate.vaults[key] for key in self.selection.selected]
        rollout = roll_out(limits, vaults, own, kept_out, facts.now)
        on_the_way = sum(
            child.state is ChildState.WORKING and facts.now - child.created_at < TRIAL for child in self.own.values()
        )
        room = creation_room(
            limits, created=[each.created_at for each in self.own.values()], on_the_way=on_the_way, now=facts.now
        )
        if not self._enforces or rollout.paused:
            return [], rollout
        begun = [
            each
            for each in self.missing
            if each.wave < rollout.number
            and each.name not in self.taken
            and each.vault.subscription not in facts.estate.disabled
        ]
        return sorted(begun, key=lambda each: (each.wave, each.vault.key))[:room], rollout

    def _orphaned(self) -> dict[str, str]:
        """Its resources whose vault is not selected: never one of what could not be read."""
        estate, evidence = self.facts.estate, self.facts.evidence
        found = {}
        for key, child in self.own.items():
            subscription = _subscription(child)
            if key in self.selection.selected or key in self.selection.idle or self._is_out_of_sight(subscription):
                continue
            if known := evidence.get(key):
                found[key] = known.why
            elif subscription not in estate.expected:
                found[key] = "its subscription is no longer in scope, or no longer seen there"
            else:
                found[key] = self.selection.excluded.get(key) or "it is not among the vaults that were found and meant"
        return found

    def _is_out_of_sight(self, subscription: str) -> bool:
        """Whether a subscription could not be read, or may be in a group that could not be."""
        estate = self.facts.estate
        may_be_in_scope = not estate.scope_is_known and self.policy.spec.scope.declares(subscription)
        return subscription in estate.unreachable or (may_be_in_scope and subscription not in estate.expected)

    def _leaving(self, orphaned: Mapping[str, str]) -> list[Removal]:
        """What may be removed, as far as the first two safeguards go."""
        facts = self.facts
        if not facts.estate.is_complete or self.policy.spec.on_unmatched is not OnUnmatched.RELEASE:
            return []
        return [
            Removal(self.own[key], facts.evidence[key].why)
            for key in sorted(orphaned)
            if is_proved(facts.evidence.get(key)) and is_ours(self.policy, self.own[key]) and self._is_in_reach(key)
        ]

    def _is_in_reach(self, key: str) -> bool:
        """Whether the vault's subscription is in good order, or the policy's own words have taken it out."""
        subscription = _subscription(self.own[key])
        if subscription in self.facts.estate.disabled:
            return False
        return subscription in self.facts.estate.read or not self.policy.spec.scope.declares(subscription)


def _own_of(facts: Facts) -> dict[str, Child]:
    own = {}
    for key, resources in facts.resources.items():
        child = claims_of(facts.policy, resources, facts.policies).own
        if child is not None and (is_ours(facts.policy, child) or key in facts.estate.vaults):
            own[key] = child
    return own


def _named(facts: Facts) -> dict[str, Child]:
    """All resources of the policy's namespace, by name."""
    namespace = facts.policy.key.namespace
    return {
        child.ref.key.name: child
        for resources in facts.resources.values()
        for child in resources
        if child.ref.key.namespace == namespace
    }


def _subscription(child: Child) -> str:
    return child.spec.vault_resource_id.subscription.casefold()


def _only_confirmed(plan: PolicyPlan, facts: Facts) -> PolicyPlan:
    """Leave out what turns auto-update off where no look of this pass has confirmed it, and say what to look at."""
    unseen: list[FoundVault] = []

    def is_sure(key: str, *, turns_off: bool) -> bool:
        if turns_off and key not in facts.looks:
            unseen.append(facts.estate.vaults[key])
        return not turns_off or _is_confirmed(key, plan, facts)

    create = [
        each
        for each in plan.create
        if is_sure(each.vault.key, turns_off=each.want.spec.auto_update is AutoUpdate.DISABLED)
    ]
    change = [
        each
        for each in plan.change
        if is_sure(each.child.vault_key, turns_off=each.fields.get("autoUpdate") == AutoUpdate.DISABLED)
    ]
    return replace(plan, create=tuple(create), change=tuple(change), look_at=(*unseen, *_suspects(plan, facts)))


def _suspects(plan: PolicyPlan, facts: Facts) -> Iterable[FoundVault]:
    """Vaults that have left the selection and are to be looked at: what is about to go, and some of the rest."""
    going = {each.child.vault_key for each in plan.leaving if plan.removals.is_open}
    others = [key for key in plan.orphaned if key not in going]
    others.sort(key=lambda key: (facts.evidence[key].latest.timestamp() if key in facts.evidence else 0.0, key))
    keys = [key for key in (*sorted(going), *others[:LOOKS_AT_ONCE]) if key not in facts.looks]
    return [FoundVault(plan.own[key].spec.vault_resource_id) for key in keys]


def _is_confirmed(key: str, plan: PolicyPlan, facts: Facts) -> bool:
    """Whether a look of this pass has seen the vault, and the policy says the same about it as it is now."""
    look = facts.looks.get(key)
    if look is None or look.verdict is not Verdict.THERE or look.vault is None:
        return False
    now = standing_of(facts.policy.spec, replace(look.vault, replicates=facts.estate.vaults[key].replicates))
    return now.selected and now.rule == plan.selection.selected[key].rule
