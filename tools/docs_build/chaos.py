"""Writes the numbers into docs/reliability.md, section Chaos, from docs/chaos.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from tools.docs_build.pages import between

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = DOCS / "reliability.md"
NUMBERS: Final = DOCS / "chaos.json"
_BEGIN: Final = "<!-- numbers of make chaos: written by tools/docs_build/chaos.py, do not edit -->"
_END: Final = "<!-- end of the numbers of make chaos -->"

__all__ = ["NUMBERS", "PAGE", "render", "table"]


def table(document: Mapping[str, Any]) -> str:
    """The table of a run of many seeds."""
    counts: Mapping[str, int] = document["counts"]
    growth = [after - before for before, after in document["memory_kib"]]
    settled: Sequence[float] = document["settled_seconds"]
    failed = ", ".join(map(str, document["failed"])) or "none"
    machine = document["machine"]

    def count(name: str) -> str:
        return f"{counts.get(name, 0):,}"

    rows = [
        ("seeds; of these failed", f"{len(document['seeds'])}; {failed}"),
        ("calls to Azure; of these hit by a fault", f"{count('requests')}; {count('faults')}"),
        ("kill -9; SIGTERM; freezes", f"{count('Kill')}; {count('Terminate')}; {count('Freeze')}"),
        ("outages of the API server; of the token endpoint", f"{count('Outage')}; {count('TokenOutage')}"),
        ("mappings changed behind the operator's back", count("drifted mappings")),
        ("resources created; edited; deleted", f"{count('Create')}; {count('Edit')}; {count('Delete')}"),
        ("PATCHes accepted, each with its cause", count("PATCHes")),
        ("updates of agents accepted, each with its cause", count("updates of agents")),
        (
            "jobs whose end the operator noted; saw by their effect",
            f"{document['jobs_concluded']:,}; {document['jobs_observed']:,}",
        ),
        ("versions of resources checked", count("versions")),
        ("seconds until all was right again: median; most", f"{median(settled):.1f}; {max(settled):.1f}"),
        (
            "growth of the operator's memory: median; most",
            f"{median(growth) / 1024:.1f} MiB; {max(growth) / 1024:.1f} MiB",
        ),
        ("wall time", f"{document['seconds'] / 60:.0f} min on {machine['cores']} cores ({machine['processor']})"),
    ]
    return "| | |\n| --- | --- |\n" + "".join(f"| {name} | {value} |\n" for name, value in rows)


def render() -> str:
    """The page with the numbers of the last run."""
    return between(PAGE.read_text(), _BEGIN, _END, f"\n{table(json.loads(NUMBERS.read_text()))}")
