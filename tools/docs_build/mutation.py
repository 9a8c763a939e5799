"""Writes the table of mutants in docs/reliability.md from docs/mutation.json.

Survivors that change nothing anybody could see are listed, with the reason, in tools/checks/equivalent_mutants.toml.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tools.checks.mutant_sample import interval
from tools.docs_build.pages import between

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs/reliability.md"
RESULTS: Final = ROOT / "docs/mutation.json"
EQUIVALENT: Final = ROOT / "tools/checks/equivalent_mutants.toml"
_BEGIN: Final = "<!-- mutants: written by tools/docs_build/mutation.py -->"
_END: Final = "<!-- end of mutants -->"

__all__ = ["PAGE", "RESULTS", "equivalents", "known_equivalents", "render", "score", "text"]


def score(counts: Mapping[str, int]) -> float:
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
    return between(PAGE.read_text(), _BEGIN, _END, f"\n{text(json.loads(RESULTS.read_text()))}")


def text(results: dict[str, Any]) -> str:
    """What the page says of the results of sample and whole runs."""
    return "\n".join(part for part in (_sample(results), _whole(results)) if part)


def _sample(results: dict[str, Any]) -> str:
    """What the last sample says about the modules as they are."""
    if (sample := results.get("sample")) is None:
        return ""
    total = Counter[str]()
    for counts in sample["rooms"].values():
        total.update(counts)
    same = Counter(
        survivor["module"] for survivors in equivalents(sample["survivors"]).values() for survivor in survivors
    )
    rows = "".join(_row(room, counts, _of_room(same, room)) for room, counts in sample["rooms"].items())
    low, high = interval(total["killed"] + total["endless"], total.total())
    return f"""\
On {sample["measured"]}, `python -m tools.checks.mutants --sample {total.total()} --seed {sample["seed"]}` drew {total.total():,} of the
{sample["of"]:,} mutants of `model`, `decide` and `report`, each with the same chance. {score(total):.1f} % were noticed; so the score
of all of them lies between {low:.1f} % and {high:.1f} % (the interval that holds in 95 of 100 samples).

| room | mutants | killed | endless | survived | of these equivalent | score |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}{_row("all", total, same.total())}"""


def _of_room(counts: Counter[str], room: str) -> int:
    return sum(number for module, number in counts.items() if module.startswith(f"{room}."))


def _whole(results: dict[str, Any]) -> str:
    """What the last whole run of each module said, and which modules have had none as they are."""
    by_reason = equivalents(results["survivors"])
    same = Counter(survivor["module"] for survivors in by_reason.values() for survivor in survivors)
    machine, changed = results["machine"], set(results.get("sample", {}).get("changed since the whole run", ()))
    total = Counter[str]()
    rows = []
    for name, entry in results["modules"].items():
        total.update(entry["mutants"])
        rows.append(
            _row(name, entry["mutants"], same[name], f" {entry['measured']} | {'yes' if name in changed else 'no'} |")
        )
    rows.append(_row("all", total, same.total(), " | |"))
    reasons = "\n".join(f"- {len(survivors)}: {why}" for why, survivors in by_reason.items() if survivors)
    return f"""\
All mutants of a module were tested last by `make mutants` (mutmut {results["mutmut"]}, Python {machine["python"]}, {machine["cores"]} cores):

| module | mutants | killed | endless | survived | of these equivalent | score | on | changed since |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |
{"".join(rows)}
{same.total()} of the {total["survived"] + total["untested"]} survivors are equivalent to the original:

{reasons}

The others are listed in [mutation.json](mutation.json), each with its module, its function and what was changed.
{_never(results)}"""


def _never(results: dict[str, Any]) -> str:
    names = results.get("sample", {}).get("in no whole run", ())
    if not names:
        return ""
    return f"\nNo whole run has had these; only the sample speaks of them: {', '.join(names)}.\n"


def _row(name: str, counts: Mapping[str, int], same: int, more: str = "") -> str:
    survived = counts["survived"] + counts["untested"]
    return (
        f"| {name} | {sum(counts.values()):,} | {counts['killed']:,} | {counts['endless']} | {survived} | {same} "
        f"| {score(counts):.1f} % |{more}\n"
    )
