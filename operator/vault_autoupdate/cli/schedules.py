"""What ``vault-autoupdate plan`` shows of the schedules of the update runbook."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from vault_autoupdate.core import Core
from vault_autoupdate.decide.runbook_schedule import Standing
from vault_autoupdate.decide.schedule_report import ScheduleReport
from vault_autoupdate.model.errors import AzureError
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.model.text import clean

_LINE_BYTES = 600

__all__ = ["look_at_schedules", "schedules_document", "show_schedules"]


async def look_at_schedules(core: Core, resource: VaultAutoUpdate) -> ScheduleReport | None:
    """Where the schedules stand; None where no time is declared. That they cannot be read is in the report."""
    declared = resource.spec.runbook_schedule
    try:
        return await core.reconciler.plan_schedules(resource)
    except AzureError as error:
        return ScheduleReport(str(declared), refusal=error.explanation, reason=error.reason)


def show_schedules(console: Console, report: ScheduleReport | None) -> None:
    """Print what would be moved, what is left alone and why, and a line that sums it up."""
    if report is None:
        return
    if report.refusal:
        said = f"{report.refusal.message} {report.refusal.recommended_action}".strip()
        console.print(f"Schedules: cannot be read. {said}", markup=False, soft_wrap=True)
        return
    for each in report.findings:
        sign = "~" if each.standing is Standing.DIFFERS else "!"
        why = f" ({each.standing}: {each.message})" if each.message else ""
        line = f"{sign} schedule of {each.target.mapping}: {each.was or 'nothing'} → {each.target.wanted}{why}"
        console.print(clean(line, _LINE_BYTES), markup=False, soft_wrap=True)
    to_move = sum(each.standing is Standing.DIFFERS for each in report.findings)
    console.print(
        f"Schedules: {to_move:,} to move, {len(report.findings) - to_move:,} left alone, {report.in_sync:,} in sync: "
        f"{report.declared}.",
        markup=False,
        soft_wrap=True,
    )


def schedules_document(report: ScheduleReport) -> dict[str, Any]:
    """The same for programs."""
    return {
        "declared": report.declared,
        "schedules": report.total,
        "inSync": report.in_sync,
        **({"problem": f"{report.reason}: {report.refusal.message}"} if report.refusal else {}),
        "differing": [
            {
                "mapping": each.target.mapping,
                "schedule": each.target.name,
                "reason": "Differs" if each.standing is Standing.DIFFERS else str(each.standing),
                "was": each.was,
                "wanted": str(each.target.wanted),
                "message": each.message,
            }
            for each in report.findings
        ],
    }
