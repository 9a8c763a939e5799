"""Writes the table of mutants in docs/reliability.md from docs/mutation.json.

Survivors that change nothing anybody could see are listed, with the reason, in tools/checks/equivalent_mutants.toml.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tools.docs_build.pages import between

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs/reliability.md"
RESULTS: Final = ROOT / "docs/mutation.json"
EQUIVALENT: Final = ROOT / "tools/checks/equivalent_mutants.toml"
_BEGIN: Final = "<!-- mutants: written by tools/docs_build/mutation.py -->"
_END: Final = "<!-- end of mutants -->"

__all__ = ["PAGE", "RESULTS", "equivalents", "known_equivalents", "render", "score"]


def score(counts: dict[str, int]) -> float:
    """The part of the mutants, in percent, that made a test fail or run without end."""
    total = sum(counts.values())
    return 100 * (counts["killed"] + counts["endless"]) / total if total else 100.0


def known_equivalents() -> dict[str, list[str]]:
    """By reason: the changes that are known to change nothing, as ``module.function: text``."""
    known: dict[str, list[str]] = tomllib.loads(EQUIVALENT.read_text())
    return known


def equivalents(survivors: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """By reason: the survivors that are known to change nothing."""
    return {
        why: [
            survivor
            for survivor in survivors
            if f"{survivor['module']}.{survivor['function']}: {survivor['mutant']}" in entries
        ]
        for why, entries in known_equivalents().items()
    }


def render() -> str:
    """The page with the table of the last run."""
    return between(PAGE.read_text(), _BEGIN, _END, f"\n{_table(json.loads(RESULTS.read_text()))}")


def _table(results: dict[str, Any]) -> str:
    by_reason = equivalents(results["survivors"])
    same = Counter(survivor["module"] for survivors in by_reason.values() for survivor in survivors)
    machine = results["machine"]
    total = Counter[str]()
    rows = []
    for name, counts in results["modules"].items():
        total.update(counts)
        if sum(counts.values()):
            rows.append(_row(name, counts, same[name]))
    rows.append(_row("all", total, same.total()))
    reasons = "\n".join(f"- {len(survivors)}: {why}" for why, survivors in by_reason.items() if survivors)
    return f"""\
`make mutants`, with mutmut {results["mutmut"]} and Python {machine["python"]} on {machine["cores"]} cores, printed:

| module | mutants | killed | endless | survived | of these equivalent | score |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{"".join(rows)}
{same.total()} of the {total["survived"] + total["untested"]} survivors are equivalent to the original:

{reasons}

The others are listed in [mutation.json](mutation.json), each with its module, its function and what was changed.
"""


def _row(name: str, counts: dict[str, int], same: int) -> str:
    survived = counts["survived"] + counts["untested"]
    return (
        f"| {name} | {sum(counts.values()):,} | {counts['killed']:,} | {counts['endless']} | {survived} | {same} "
        f"| {score(counts):.1f} % |\n"
    )
