"""What the command line shows of agents and their updates: tables for people, plain lines where nobody looks on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from vault_autoupdate.decide.agent_report import AgentReport, Concern, MachineConcern
from vault_autoupdate.decide.rollout import Rollout
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.conditions import ConditionStatus
from vault_autoupdate.model.resource import RolloutRules, VaultAutoUpdate
from vault_autoupdate.model.text import plural
from vault_autoupdate.report.agent_fields import agent_fields
from vault_autoupdate.report.readiness import Readiness

_CURRENT: Final = "current"
_STYLES: Final = {
    Concern.EXPIRED: "bold red",
    Concern.EXPIRING: "red",
    Concern.REINSTALL_REQUIRED: "red",
    Concern.RETRIES_EXHAUSTED: "red",
    Concern.FAR_BEHIND: "red",
    Concern.CERTIFICATE_UPDATE: "yellow",
    Concern.UPDATE_REQUIRED: "yellow",
    Concern.UPGRADING: "cyan",
}
_WORST_FIRST: Final = {concern: rank for rank, concern in enumerate(Concern)}

__all__ = [
    "AgentRow",
    "UpdateGroup",
    "agents_document",
    "order_document",
    "rollout_document",
    "show_agents",
    "show_order",
    "show_rollout",
    "worst_first",
]


@dataclass(frozen=True)
class AgentRow:
    """One machine and what is wrong with its agent."""

    machine: Machine
    mapping: str
    """``fabric/container/mapping`` that it belongs to; empty where that cannot be told."""
    concern: MachineConcern | None
    """The worst; None when there is none."""

    @property
    def word(self) -> str:
        """The concern in words."""
        return self.concern.concern.replace("_", " ") if self.concern else _CURRENT

    @property
    def message(self) -> str:
        """What is wrong, in full."""
        return self.concern.explanation.message if self.concern else ""

    @property
    def advice(self) -> str:
        """The recommended action; before it what is in the way, where that is more than the concern says."""
        if self.concern is None:
            return ""
        why = self.message if self.concern.concern is Concern.REINSTALL_REQUIRED else ""
        return " ".join(text for text in (why, self.concern.explanation.recommended_action) if text)


@dataclass(frozen=True)
class UpdateGroup:
    """Machines that are updated before those of the next group begin."""

    pattern: str
    """By which ``order`` names them; empty for all others."""
    machines: tuple[Machine, ...]


def worst_first(row: AgentRow) -> tuple[int, str]:
    """Order of rows."""
    return (_WORST_FIRST[row.concern.concern] if row.concern else len(_WORST_FIRST), row.machine.name.casefold())


def show_agents(
    console: Console, resource: VaultAutoUpdate, rows: Sequence[AgentRow], report: AgentReport, *, everything: bool
) -> None:
    """Print the machines with a concern, or all, the worst first, and a line that sums them up."""
    shown = [row for row in sorted(rows, key=worst_first) if everything or row.concern]
    console.print(f"{resource.key}: vault {resource.spec.vault_resource_id}", markup=False, soft_wrap=True)
    if console.is_terminal and shown:
        console.print(_agent_table(shown))
    else:
        for row in shown:
            console.print(_agent_line(row), markup=False, soft_wrap=True)
    console.print(f"Agents: {_summary(report)}.", markup=False, soft_wrap=True)


def agents_document(resource: VaultAutoUpdate, rows: Sequence[AgentRow], report: AgentReport) -> dict[str, Any]:
    """The agents for programs: all machines, and the counts as ``status.agents`` has them."""
    counts = agent_fields(report, None, None, None, None)["agents"]
    counts.pop("worst", None)  # they are the first of the machines
    return {
        "resource": str(resource.key),
        "vaultResourceId": str(resource.spec.vault_resource_id),
        **counts,
        "machines": [_machine(row) for row in sorted(rows, key=worst_first)],
    }


def show_order(console: Console, resource: VaultAutoUpdate, rules: RolloutRules, groups: Sequence[UpdateGroup]) -> None:
    """Print which machines would be updated, in which groups, and within which bounds."""
    console.print(f"{resource.key}: vault {resource.spec.vault_resource_id}", markup=False, soft_wrap=True)
    for number, group in enumerate(groups, 1):
        named = f"order {group.pattern}" if group.pattern else "all others" if rules.order else "all"
        console.print(f"Group {number} ({named}): {plural(len(group.machines), 'machine')}", markup=False)
        for machine in group.machines:
            version = machine.agent_version or "unknown version"
            console.print(f"  {machine.name}  {version}", markup=False, soft_wrap=True)
    total = sum(len(group.machines) for group in groups)
    bounds = f"at most {rules.max_concurrent:,} at a time, no more after {plural(rules.max_failures, 'failure')}"
    console.print(f"Updates: {plural(total, 'machine')} in {plural(len(groups), 'group')}, {bounds}.", markup=False)


def order_document(resource: VaultAutoUpdate, rules: RolloutRules, groups: Sequence[UpdateGroup]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "resource": str(resource.key),
        "vaultResourceId": str(resource.spec.vault_resource_id),
        "maxConcurrent": rules.max_concurrent,
        "maxFailures": rules.max_failures,
        "groups": [
            {"pattern": group.pattern, "machines": [machine.name for machine in group.machines]} for group in groups
        ],
    }


def show_rollout(console: Console, state: VaultState, readiness: Readiness) -> None:
    """Print how updates ended: the words, and the counters."""
    rollout = state.rollout or Rollout()
    colour = "green" if readiness.ready == ConditionStatus.TRUE else "yellow" if readiness.reconciling else "red"
    console.print(f"[{colour}]{escape(readiness.reason)}[/]: {escape(readiness.message)}", soft_wrap=True)
    reboots = f" ({rollout.reboots:,} to be rebooted)" if rollout.reboots else ""
    left = len(state.rollout_decision.waiting) if state.rollout_decision else 0
    console.print(
        f"{rollout.started:,} started, {rollout.succeeded:,} succeeded{reboots}, {rollout.failed:,} failed, "
        f"{rollout.timed_out:,} timed out, {left:,} still to update.",
        markup=False,
    )


def rollout_document(resource: VaultAutoUpdate, state: VaultState, readiness: Readiness) -> dict[str, Any]:
    """How updates ended, for programs, with the fields of ``status.agentUpdates``."""
    fields = agent_fields(None, None, state.rollout, state.rollout_decision, None).get("agentUpdates", {})
    return {
        "resource": str(resource.key),
        "vaultResourceId": str(resource.spec.vault_resource_id),
        "ready": readiness.ready,
        "reason": readiness.reason,
        **fields,
        "message": readiness.message,
    }


def _agent_table(rows: Sequence[AgentRow]) -> Table:
    """One row for each machine, narrow enough to be read: mappings by their names alone, no advice twice in a row."""
    table = Table(
        Column("MACHINE", overflow="fold"),
        *(Column(name, no_wrap=True) for name in ("VERSION", "STATE", "EXPIRES")),
        *(Column(name, overflow="fold") for name in ("MAPPING", "WHAT TO DO")),
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    advice = ""
    for row in rows:
        style = _STYLES[row.concern.concern] if row.concern else "green"
        table.add_row(
            escape(row.machine.name),
            escape(row.machine.agent_version),
            f"[{style}]{row.word}[/]",
            _day(row.machine.agent_expires_at),
            escape(row.mapping.rpartition("/")[2]),
            escape(row.advice) if row.advice != advice else "",
        )
        advice = row.advice
    return table


def _agent_line(row: AgentRow) -> str:
    machine = row.machine
    expires = f"expires {_day(machine.agent_expires_at)}" if machine.agent_expires_at else ""
    action = row.concern.explanation.recommended_action if row.concern else ""
    parts = (f"{row.word:<18}", machine.name, machine.agent_version, row.mapping, expires, row.message, action)
    return "  ".join(part for part in parts if part)


def _summary(report: AgentReport) -> str:
    counted = [f"{report.current:,} current", f"{report.behind:,} behind"]
    counted += [f"{report.unknown:,} unknown"] if report.unknown else []
    counted += [
        f"{count:,} {concern.replace('_', ' ')}"
        for concern in Concern
        if concern is not Concern.UPDATE_REQUIRED and (count := report.concerns.get(concern, 0))
    ]
    newest = f"; newest version {report.versions[0][0]}" if report.versions else ""
    return f"{plural(report.total, 'machine')}, {', '.join(counted)}{newest}"


def _machine(row: AgentRow) -> dict[str, Any]:
    machine, concern = row.machine, row.concern
    optional = {
        "mapping": row.mapping,
        "version": machine.agent_version,
        "concern": "".join(word.capitalize() for word in concern.concern.split("_")) if concern else "",
        "expiresAt": machine.agent_expires_at.isoformat() if machine.agent_expires_at else "",
        "message": row.message,
        "recommendedAction": concern.explanation.recommended_action if concern else "",
    }
    return {"machine": machine.name, "item": machine.id, **{key: text for key, text in optional.items() if text}}


def _day(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d}" if time else ""
