"""The Mobility service on a vault's replicated machines: what is wrong with which, and how much. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import ContainerMapping, Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.text import clean

SOON: Final = timedelta(days=60)
"""Microsoft's mails about an agent that is to expire begin so long before."""
MOST_RELEASES_BEHIND: Final = 4
"""Microsoft supports the newest release and the four before it (its page on service updates)."""

_VERSION: Final = re.compile(r"\d{1,9}(\.\d{1,9}){1,5}", re.ASCII)

__all__ = [
    "SOON",
    "AgentReport",
    "Concern",
    "MachineConcern",
    "build_report",
    "concerns_of",
    "mapping_of",
    "newest_version",
]


class Concern(StrEnum):
    """What may be wrong with the agent of a machine, the worst first. A machine may have several."""

    EXPIRED = "expired"
    EXPIRING = "expiring"
    REINSTALL_REQUIRED = "reinstall_required"
    RETRIES_EXHAUSTED = "retries_exhausted"
    FAR_BEHIND = "far_behind"
    CERTIFICATE_UPDATE = "certificate_update"
    UPDATE_REQUIRED = "update_required"
    UPGRADING = "upgrading"


@dataclass(frozen=True)
class MachineConcern:
    """One machine that somebody should look at."""

    machine: str
    """Name of the machine."""
    mapping: str
    """``fabric/container/mapping`` that it belongs to; empty where that cannot be told."""
    version: str
    concern: Concern
    explanation: Explanation
    """In words, with the recommended action."""


@dataclass(frozen=True)
class AgentReport:
    """All agents of a vault."""

    total: int = 0
    behind: int = 0
    """There is a newer version."""
    unknown: int = 0
    """Site Recovery does not say whether there is one."""
    concerns: Mapping[Concern, int] = field(default_factory=dict)
    """How many machines have each concern; those with none are left out."""
    versions: tuple[tuple[str, int], ...] = ()
    """Machines by version, the newest first, bounded."""
    other_versions: int = 0
    """Machines of versions that ``versions`` has no room for."""
    worst: tuple[MachineConcern, ...] = ()
    """The worst few."""

    @property
    def current(self) -> int:
        """Those that need no update."""
        return self.total - self.behind - self.unknown


def build_report(
    machines: Sequence[Machine], mappings: Sequence[ContainerMapping], *, newest: str, now: datetime
) -> AgentReport:
    """Count what is wrong with the agents of a vault and pick the worst few.

    Args:
        machines: all replicated machines of the vault, in any order.
        mappings: all container mappings of the vault.
        newest: the newest agent version known from elsewhere; empty for none. Those of ``machines`` count too.
        now: the present.
    """
    newest = newest_version([newest, *(machine.agent_version for machine in machines)])
    found = [(machine, concerns_of(machine, newest, now)) for machine in machines]
    counts = Counter(concern for _, concerns in found for concern in concerns)
    versions = Counter(clean(machine.agent_version, bounds.WORD) or "unknown" for machine in machines)
    newest_first = sorted(versions.items())
    newest_first.sort(key=lambda item: _numbers(item[0]), reverse=True)
    worst_first = sorted(
        ((machine, concerns) for machine, concerns in found if concerns), key=lambda item: _how_bad(*item)
    )
    return AgentReport(
        total=len(machines),
        behind=sum(machine.update_required is True for machine in machines),
        unknown=sum(machine.update_required is None for machine in machines),
        concerns={concern: counts[concern] for concern in Concern if counts[concern]},
        versions=tuple(newest_first[: bounds.VERSIONS]),
        other_versions=sum(count for _, count in newest_first[bounds.VERSIONS :]),
        worst=tuple(
            _entry(machine, concerns, mapping_of(machine, mappings), newest)
            for machine, concerns in worst_first[: bounds.WORST_MACHINES]
        ),
    )


def newest_version(versions: Iterable[str]) -> str:
    """The newest of ``versions``, by its numbers; empty when none can be read."""
    return max((version for version in versions if _numbers(version)), key=_numbers, default="")


def mapping_of(machine: Machine, mappings: Iterable[ContainerMapping]) -> ContainerMapping | None:
    """The container mapping by which ``machine`` is replicated; None where that cannot be told.

    It is the one from the machine's container to the container that it is replicated to. That rule is inferred from
    recorded replies; Site Recovery names no mapping on a machine.
    """
    of_container = [mapping for mapping in mappings if _container_of(mapping) == machine.container_id]
    target = fold(machine.target_container_id)
    matching = [mapping for mapping in of_container if target and fold(mapping.target_container_id) == target]
    for candidates in (matching, of_container):
        if len(candidates) == 1:
            return candidates[0]
    return None


def concerns_of(machine: Machine, newest: str, now: datetime) -> tuple[Concern, ...]:
    """What is wrong with the agent of ``machine``, the worst first.

    Args:
        machine: as Site Recovery describes it.
        newest: the newest agent version that is known; empty for none.
        now: the present.
    """
    expired = _ends_by(machine.agent_expires_at, now)
    has = {
        Concern.EXPIRED: expired,
        Concern.EXPIRING: not expired and _ends_by(machine.agent_expires_at, now + SOON),
        Concern.REINSTALL_REQUIRED: machine.reinstall_required is True,
        Concern.RETRIES_EXHAUSTED: machine.retries_exhausted is True,
        Concern.FAR_BEHIND: _releases_behind(machine.agent_version, newest) > MOST_RELEASES_BEHIND,
        Concern.CERTIFICATE_UPDATE: machine.certificate_update_required is True
        or _ends_by(machine.certificate_expires_at, now + SOON),
        Concern.UPDATE_REQUIRED: machine.update_required is True,
        Concern.UPGRADING: machine.upgrade_in_progress is True,
    }
    return tuple(concern for concern in Concern if has[concern])


def _container_of(mapping: ContainerMapping) -> str:
    return mapping.key.rsplit("/", 2)[0]


def _numbers(version: str) -> tuple[int, ...]:
    """``version`` for comparing; nothing when it is not made of numbers and points."""
    return tuple(map(int, version.split("."))) if _VERSION.fullmatch(version) else ()


def _releases_behind(version: str, newest: str) -> int:
    """How many releases lie between two versions: each has raised the second number by one so far.

    Nothing across a change of the first number, of which there has been none.
    """
    older, newer = _numbers(version), _numbers(newest)
    return newer[1] - older[1] if older and newer and older[0] == newer[0] else 0


def _ends_by(end: datetime | None, moment: datetime) -> bool:
    return end is not None and end <= moment


def _how_bad(machine: Machine, concerns: tuple[Concern, ...]) -> tuple[int, float, str, str]:
    """For sorting: the worst first, of those the one that expires first."""
    expires_at = machine.agent_expires_at
    expires = expires_at.timestamp() if expires_at is not None else math.inf
    return list(Concern).index(concerns[0]), expires, machine.name.casefold(), machine.key


def _entry(
    machine: Machine, concerns: tuple[Concern, ...], mapping: ContainerMapping | None, newest: str
) -> MachineConcern:
    return MachineConcern(
        machine=clean(machine.name, bounds.NAMED),
        mapping=clean(mapping.path, bounds.PATH) if mapping else "",
        version=clean(machine.agent_version, bounds.WORD),
        concern=concerns[0],
        explanation=_explain(machine, concerns[0], newest),
    )


_HOW: Final = (
    "from the vault's page of replicated items in the portal, or with the annotation updateAgentsNow where "
    "spec.agentUpdates is set"
)


def _explain(machine: Machine, concern: Concern, newest: str) -> Explanation:
    version = clean(machine.agent_version, bounds.WORD) or "unknown"
    match concern:
        case Concern.EXPIRED:
            return Explanation(
                message=f"The agent expired on {_day(machine.agent_expires_at)}; replication may stop.",
                recommended_action=f"Update the agent {_HOW}. If that fails, reinstall it.",
            )
        case Concern.EXPIRING:
            return Explanation(
                message=f"The agent expires on {_day(machine.agent_expires_at)}.",
                recommended_action=f"Update the agent {_HOW}.",
            )
        case Concern.REINSTALL_REQUIRED:
            return _blocked(machine)
        case Concern.RETRIES_EXHAUSTED:
            return Explanation(
                message="Site Recovery has tried to update the agent as often as it does, and does not try again.",
                recommended_action="Look at the machine's last failed update among the vault's Site Recovery jobs and "
                f"mend the cause; then update the agent {_HOW}.",
            )
        case Concern.FAR_BEHIND:
            behind = _releases_behind(machine.agent_version, newest)
            return Explanation(
                message=f"Version {version} is {behind:,} releases behind {clean(newest, bounds.WORD)}; "
                f"Microsoft supports {MOST_RELEASES_BEHIND}.",
                recommended_action=f"Update the agent {_HOW}, and reboot the machine afterwards.",
            )
        case Concern.CERTIFICATE_UPDATE:
            ends = machine.certificate_expires_at
            until = f": it ends on {_day(ends)}" if ends is not None else ""
            return Explanation(
                message=f"The agent's certificate has to be renewed{until}.",
                recommended_action="Renew it from the machine's page among the vault's replicated items in the portal.",
            )
        case Concern.UPDATE_REQUIRED:
            return Explanation(
                message=f"There is a newer agent than version {version}.",
                recommended_action=f"Wait for the next update, or update the agent now: {_HOW}.",
            )
        case Concern.UPGRADING:
            return Explanation(
                message="The agent is being updated.", recommended_action="Wait for the end of the update."
            )


def _blocked(machine: Machine) -> Explanation:
    """Why the agent has to be installed anew: in the words of Site Recovery, where it has any."""
    blockers = machine.blockers

    def joined(texts: Iterable[str]) -> str:
        return clean(" ".join(dict.fromkeys(filter(None, texts))), bounds.EXPLANATION)

    causes = joined(blocker.message for blocker in blockers)
    return Explanation(
        code=clean(next((blocker.code for blocker in blockers if blocker.code), ""), bounds.CODE),
        message=clean(f"The agent has to be installed anew. {causes}", bounds.EXPLANATION),
        possible_causes=joined(blocker.possible_causes for blocker in blockers),
        recommended_action=joined(blocker.recommended_action for blocker in blockers)
        or "Reinstall the agent from the machine's page among the vault's replicated items in the portal.",
    )


def _day(time: datetime | None) -> str:
    return str(time)[:10]
