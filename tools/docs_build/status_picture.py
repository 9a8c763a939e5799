"""Draws docs/status.svg, what ``vault-autoupdate status`` looks like."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from vault_autoupdate.cli.status_rows import fleet_rows
from vault_autoupdate.cli.status_table import fleet_table

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/status.svg"
_NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _resource(
    name: str, ready: str, reason: str, message: str, ago: timedelta, *, scope: int, compliant: int, **more: Any
) -> dict[str, Any]:
    conditions = [
        {
            "type": "Ready",
            "status": ready,
            "reason": reason,
            "message": message,
            "lastTransitionTime": (_NOW - ago).isoformat(),
        }
    ]
    if more.pop("stalled", False):
        conditions.append({"type": "Stalled", "status": "True", "reason": reason, "message": message})
    counts = {"inScope": scope, "compliant": compliant, "failed": more.pop("failed", 0)}
    return {
        "metadata": {"namespace": "recovery", "name": name},
        "spec": {"autoUpdate": "Enabled"},
        "status": {"vaultName": f"rsv-{name}", "conditions": conditions, "mappings": counts, **more},
    }


def _fleet() -> list[dict[str, Any]]:
    action = "Give the automation account's managed identity a role in the vault and try again."
    return [
        _resource("weu", "True", "Compliant", "", timedelta(days=12), scope=814, compliant=814),
        _resource("neu", "True", "Compliant", "", timedelta(hours=5), scope=96, compliant=96),
        _resource(
            "eastus",
            "False",
            "MappingsFailed",
            "",
            timedelta(hours=3, minutes=20),
            scope=412,
            compliant=405,
            failed=7,
            failures=[{"mapping": "eastus/east-container/m1", "code": "900001", "recommendedAction": action}],
        ),
        _resource(
            "sea",
            "False",
            "AuthorizationFailed",
            "Grant the calling identity the action Microsoft.RecoveryServices/vaults/replicationJobs/read on the "
            "vault; a new assignment takes some minutes to work.",
            timedelta(minutes=42),
            scope=55,
            compliant=55,
            stalled=True,
        ),
        _resource(
            "cus",
            "False",
            "Progressing",
            "Setting auto-update: 1,204 of 5,000 mappings as declared; 96 jobs in flight, 3,700 to start.",
            timedelta(minutes=7),
            scope=5000,
            compliant=1204,
            operations=[{}] * 96,
        ),
        _resource(
            "lab",
            "Unknown",
            "Suspended",
            "The vault is left alone. Set spec.suspend to false to go on.",
            timedelta(days=2),
            scope=12,
            compliant=9,
        ),
    ]


def render() -> str:
    """The picture."""
    console = Console(width=150, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(fleet_table(fleet_rows(_fleet()), _NOW))
    return console.export_svg(title="vault-autoupdate status", unique_id="status")
