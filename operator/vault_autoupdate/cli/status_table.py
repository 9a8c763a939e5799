"""The fleet as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from vault_autoupdate.cli.policy_rows import PolicyRow
from vault_autoupdate.cli.status_rows import FleetRow, summary_of
from vault_autoupdate.model.conditions import ConditionStatus

_STYLES: Final = {0: "bold red", 1: "red", 2: "yellow", 3: "cyan", 4: "dim", 5: "yellow", 6: "green"}
_COLUMNS: Final = (
    "RESOURCE", "VAULT", "DESIRED", "COMPLIANT", "FAILED", "JOBS", "STATE", "SINCE",
    "MODE", "REGION", "BEHIND", "WINDOW", "NEXT TRY", "WORST MAPPING", "CODE", "JOB OF OTHERS", "LAST DRIFT",
    "SCHEDULES", "WHAT TO DO",
)  # fmt: skip
_POLICY_COLUMNS: Final = (
    "POLICY", "MODE", "COVERED", "NOT READY", "ORPHANED", "UNREACHABLE", "STATE", "SINCE", "WHAT IT SAYS",
)  # fmt: skip
_WIDE: Final = frozenset(
    {
        "MODE",
        "REGION",
        "BEHIND",
        "WINDOW",
        "NEXT TRY",
        "WORST MAPPING",
        "CODE",
        "JOB OF OTHERS",
        "LAST DRIFT",
        "SCHEDULES",
    }
)
_IF_ANY: Final = frozenset({"JOB OF OTHERS", "LAST DRIFT", "SCHEDULES"})
"""Columns that are left out where no row has anything in them: the others need the room."""
_WHOLE: Final = frozenset({"RESOURCE", "STATE"})
"""Columns whose words are copied or looked for, so that they are not broken while others can be."""
_NUMBERS: Final = frozenset({"COMPLIANT", "FAILED", "JOBS", "SINCE", "BEHIND"})
_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))

__all__ = ["fleet_table", "policy_table"]


def policy_table(rows: Sequence[PolicyRow], now: datetime) -> RenderableType:
    """The policies as a table."""
    table = Table(
        *(Column(name, overflow="fold", ratio=1 if name == "WHAT IT SAYS" else None) for name in _POLICY_COLUMNS),
        box=None,
        pad_edge=False,
        expand=True,
        header_style="bold",
    )
    for row in rows:
        state = Text(
            "Ready" if row.ready == ConditionStatus.TRUE else row.reason or "Pending", style=_STYLES[row.severity]
        )
        counts = (row.not_ready, row.orphaned, row.unreachable)
        numbers = (Text(f"{count:,}" if count else "", justify="right") for count in counts)
        since = Text(_ago(row.since, now), justify="right")
        table.add_row(f"{row.namespace}/{row.name}", row.mode, row.coverage, *numbers, state, since, Text(row.action))
    return Group(table, "")


def fleet_table(rows: Sequence[FleetRow], now: datetime, *, wide: bool = False) -> RenderableType:
    """The rows as a table, with a line that sums them up."""
    if not rows:
        return Text("There are no VaultAutoUpdate resources.")
    cells = [_cells(row, now) for row in rows]
    empty = {name for name in _IF_ANY if not any(each[name] for each in cells)}
    names = [name for name in _COLUMNS if name not in (empty if wide else _WIDE)]
    # Without a ratio: a column with one gets only what the others leave, and may end as wide as a letter.
    columns = (Column(name, overflow="fold", no_wrap=name in _WHOLE) for name in names)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row, each in zip(rows, cells, strict=True):
        table.add_row(*(_text(name, each[name], row) for name in names))
    return Group(table, Text(f"\n{summary_of(rows)}", style="dim"))


def _text(column: str, words: str, row: FleetRow) -> Text:
    style = _STYLES[row.severity] if column == "STATE" else ""
    return Text(words, style=style, justify="right" if column in _NUMBERS else "left")


def _cells(row: FleetRow, now: datetime) -> dict[str, str]:
    return {
        "RESOURCE": row.key,
        "VAULT": row.vault,
        "DESIRED": row.desired,
        "COMPLIANT": f"{row.compliant:,}/{row.in_scope:,}",
        "FAILED": f"{row.failed:,}" if row.failed else "",
        "JOBS": f"{row.jobs:,}" if row.jobs else "",
        "STATE": "Ready" if row.ready == ConditionStatus.TRUE else row.reason or "Pending",
        "SINCE": _ago(row.since, now),
        "MODE": row.mode,
        "REGION": row.region,
        "BEHIND": "" if row.behind is None else f"{row.behind:,}",
        "WINDOW": _until(row.next_window, now) if row.updates in {"", "Closed"} else row.updates,
        "NEXT TRY": _until(row.next_try, now),
        "WORST MAPPING": row.worst_mapping,
        "CODE": row.worst_reason,
        "JOB OF OTHERS": row.others_job,
        "LAST DRIFT": f"{_ago(row.last_drift, now)} {row.changed_by}".strip(),
        "SCHEDULES": row.schedules,
        "WHAT TO DO": row.action,
    }


def _ago(time: datetime | None, now: datetime) -> str:
    return _short((now - time).total_seconds()) if time else ""


def _until(time: datetime | None, now: datetime) -> str:
    if time is None:
        return ""
    seconds = (time - now).total_seconds()
    return f"in {_short(seconds)}" if seconds > 0 else "now"


def _short(seconds: float) -> str:
    """A time as kubectl shows ages: its largest unit, and the next one where that is small."""
    left = max(0, int(seconds))
    for number, (unit, length) in enumerate(_UNITS):
        if left >= length or length == 1:
            whole, rest = divmod(left, length)
            if whole < 3 and number + 1 < len(_UNITS) and rest >= _UNITS[number + 1][1]:
                smaller, size = _UNITS[number + 1]
                return f"{whole}{unit}{rest // size}{smaller}"
            return f"{whole}{unit}"
    return "0s"
