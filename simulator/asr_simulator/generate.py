"""Builds the mappings of a vault from its scenario section, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from asr_simulator.ids import guid
from asr_simulator.mapping import ENABLED, MANAGED_IDENTITY, RUN_AS_ACCOUNT, Ailment, AutoUpdate, ContainerMapping
from asr_simulator.regions import REGIONS
from asr_simulator.scenario import MappingKind, MappingSpec, Mix, VaultSpec

_POLICIES = (
    "24-hour-retention-policy",
    "72-hour-retention-policy",
    "12-hour-retention-policy",
    "15-day-retention-policy",
)
_UNPAIRED_STATES = ("PairingInProgress", "PairingFailed", "UnpairingInProgress")
"""Invented: only ``Paired`` has been seen."""
_OTHER_PROVIDERS = ("InMageRcm", "VMwareCbt")

# category, level, summary, causes, advice: categories are published, texts are in our own words.
_AILMENTS = (
    (
        "AgentAutoUpdateRunAsAccount",
        "Critical",
        "The identity of the automation account cannot be used for automatic updates.",
        "The account's identity was removed, or has no access to the vault.",
        "Choose Repair to set up automatic updates again.",
    ),
    (
        "AgentAutoUpdateArtifactDeleted",
        "Critical",
        "The schedule for automatic updates is missing from the automation account.",
        "The schedule or its link to the runbook was deleted.",
        "Choose Repair to create it again.",
    ),
    (
        "AgentAutoUpdateInfra",
        "Warning",
        "Automatic updates could not run.",
        "The automation account was not available.",
        "Choose Repair. If the problem stays, contact support.",
    ),
    (
        "AgentAutoUpdateRunAsAccountExpired",
        "Critical",
        "The certificate of the Run As account has expired.",
        "The certificate was not renewed.",
        "Move the automation account to a managed identity, then choose Repair.",
    ),
)

__all__ = ["MappingFactory", "enabled", "make_ailment", "other_account"]


def make_ailment(rng: random.Random, since: str, *, curable: bool) -> Ailment:
    """Draw a health error."""
    category, level, summary, causes, advice = rng.choice(_AILMENTS)
    return Ailment(category, level, summary, causes, advice, curable, since)


def enabled(rng: random.Random, name: str, account: str, authentication: str = MANAGED_IDENTITY) -> AutoUpdate:
    """Make the setting of an enabled mapping; schedule names have the form of a published example."""
    return AutoUpdate(ENABLED, authentication, account, f"{name}_{guid(rng)}", guid(rng))


def other_account(account: str) -> str:
    """Name an automation account in the same resource group that is not ``account``."""
    return f"{account.rsplit('/', 1)[0]}/aa-former"


class MappingFactory:
    """Makes mappings of one vault; goes on where it left off, so that later ones get new names."""

    def __init__(self, spec: VaultSpec, vault_path: str, rng: random.Random, since: str) -> None:
        self._spec = spec
        self._vault_path = vault_path
        self._rng = rng
        self._since = since
        self._next_ordinal = 0
        self._places = self._endless_places()

    def initial(self) -> list[ContainerMapping]:
        """Make the mappings that the scenario asks for: the listed ones, then the mix in random order."""
        listed = [self._build(spec, curable=spec.curable) for spec in self._spec.mappings]
        return listed + self.generate(self._spec.mix or Mix(), taken={mapping.key for mapping in listed})

    def generate(self, mix: Mix, taken: Iterable[tuple[str, str, str]]) -> list[ContainerMapping]:
        """Make the mappings of a mix, kinds interleaved, with names that are not ``taken``."""
        kinds = [kind for kind, count in mix.counts().items() for _ in range(count)]
        self._rng.shuffle(kinds)
        used = set(taken)
        made = []
        for kind in kinds:
            source, target, name = next(self._places)
            while (mapping_key := _key(source, name)) in used:
                source, target, name = next(self._places)
            used.add(mapping_key)
            curable = self._rng.random() >= self._spec.incurable_share
            made.append(self._build(MappingSpec(name=name, kind=kind, source=source, target=target), curable=curable))
        return made

    def _endless_places(self) -> Iterator[tuple[str, str, str]]:
        """Yield source, target and mapping name, as the portal names them; numbered once all are used up."""
        pairs = [(source, target) for source in REGIONS for target in REGIONS if source != target]
        self._rng.shuffle(pairs)
        number = 1
        while True:
            suffix = "" if number == 1 else f"-{number}"
            for policy in _POLICIES:
                for source, target in pairs:
                    yield source, target, f"{source}-{target}-{policy}{suffix}"
            number += 1

    def _build(self, spec: MappingSpec, *, curable: bool) -> ContainerMapping:
        policy = next((policy for policy in _POLICIES if policy in spec.name), _POLICIES[0])
        mapping = ContainerMapping(
            ordinal=self._next_ordinal,
            vault_path=self._vault_path,
            fabric=spec.fabric or _fabric(spec.source),
            container=spec.container or f"{_fabric(spec.source)}-container",
            name=spec.name,
            source=spec.source,
            target=spec.target,
            policy=policy,
        )
        self._next_ordinal += 1
        self._apply_kind(mapping, spec.kind, curable=curable)
        return mapping

    def _apply_kind(self, mapping: ContainerMapping, kind: MappingKind, *, curable: bool) -> None:
        account = self._spec.automation_account
        match kind:
            case MappingKind.DISABLED:
                pass
            case MappingKind.UNPAIRED:
                mapping.state = self._rng.choice(_UNPAIRED_STATES)
            case MappingKind.MISSING_DETAILS:
                mapping.provider = None
            case MappingKind.OTHER_PROVIDER:
                mapping.provider = self._rng.choice(_OTHER_PROVIDERS)
            case MappingKind.ENABLED_OTHER_ACCOUNT:
                mapping.auto_update = enabled(self._rng, mapping.name, other_account(account))
            case MappingKind.ENABLED_OTHER_CASE:
                mapping.auto_update = enabled(self._rng, mapping.name, account.lower())
            case MappingKind.RUN_AS_ACCOUNT:
                mapping.auto_update = enabled(self._rng, mapping.name, account, RUN_AS_ACCOUNT)
            case MappingKind.ENABLED_COMPLIANT | MappingKind.ENABLED_UNHEALTHY:
                mapping.auto_update = enabled(self._rng, mapping.name, account)
                if kind is MappingKind.ENABLED_UNHEALTHY:
                    mapping.ailment = make_ailment(self._rng, self._since, curable=curable)


def _fabric(region: str) -> str:
    return f"asr-a2a-default-{region}"


def _key(source: str, name: str) -> tuple[str, str, str]:
    return _fabric(source), f"{_fabric(source)}-container", name
