"""The fleet as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from vault_autoupdate.fleet_status import FleetRow, summary_of

_STYLES: Final = {0: "bold red", 1: "red", 2: "yellow", 3: "cyan", 4: "dim", 5: "green"}
_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))

__all__ = ["fleet_table"]


def fleet_table(rows: Sequence[FleetRow], now: datetime, *, wide: bool = False) -> RenderableType:
    """The rows as a table, with a line that sums them up."""
    if not rows:
        return Text("There are no VaultAutoUpdate resources.")
    columns = [
        Column("RESOURCE", overflow="fold"),
        Column("VAULT", overflow="fold"),
        Column("DESIRED"),
        Column("COMPLIANT", justify="right"),
        Column("FAILED", justify="right"),
        Column("JOBS", justify="right"),
        Column("STATE", overflow="fold"),
        Column("SINCE", justify="right"),
    ]
    if wide:
        columns += [
            Column("MODE"),
            Column("REGION", overflow="fold"),
            Column("NEXT TRY", justify="right"),
            Column("WORST MAPPING", overflow="fold"),
            Column("CODE", overflow="fold"),
        ]
    columns.append(Column("WHAT TO DO", overflow="fold", ratio=1))
    table = Table(*columns, box=None, pad_edge=False, expand=True, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in _cells(row, now, wide=wide)[:6]), *_rest(row, now, wide=wide))
    return Group(table, Text(f"\n{summary_of(rows)}", style="dim"))


def _cells(row: FleetRow, now: datetime, *, wide: bool) -> list[str]:
    state = "Ready" if row.ready == "True" else row.reason or "Pending"
    cells = [
        row.key,
        row.vault,
        row.desired,
        f"{row.compliant:,}/{row.in_scope:,}",
        f"{row.failed:,}" if row.failed else "",
        f"{row.jobs:,}" if row.jobs else "",
        state,
        _ago(row.since, now),
    ]
    if wide:
        cells += [row.mode, row.region, _until(row.next_try, now), row.worst_mapping, row.worst_reason]
    return [*cells, row.action]


def _rest(row: FleetRow, now: datetime, *, wide: bool) -> list[Text]:
    state, *others = _cells(row, now, wide=wide)[6:]
    return [Text(state, style=_STYLES[row.severity]), *(Text(cell) for cell in others)]


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
