"""Draws docs/scenario.png from what a real Prometheus has seen of a scenario: ``python -m tools.docs_build.scenario_plot``.

The scenario is that of tests/monitoring: simulated Azure, operator and Prometheus, at a slower pace.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from workbench.prometheus.monitored import Monitored, monitored, run_scenario
from workbench.prometheus.server import HOW_TO_ENABLE, find_program

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/scenario.png"

_STEP: Final = 0.5
_SCALE: Final = 8.0
"""Slower than in the tests, so that there is more to see between two scrapes."""
_COLOURS: Final = {"compliant": "#2e8b57", "updating": "#4f81bd", "drifted": "#e0b03a"}
_OF_VAULT: Final = 'namespace="default",name="dr-weu"'
_STAGES: Final = {
    "declared": "declared",
    "undone": "undone three times",
    "throttled": "another client\nuses up the limit",
    "free again": "alone again",
    "no tokens": "no tokens",
}


def draw(running: Monitored, path: Path) -> None:
    """Three panels over the same time: convergence, quota, refused calls."""
    import matplotlib as mpl  # noqa: PLC0415 - a second of start-up that only this needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    start = running.moments["declared"] - 1
    end = running.ended

    def over_time(expression: str) -> list[tuple[dict[str, str], list[float], list[float]]]:
        found = running.prometheus.query_range(expression, start, end, _STEP)
        return [
            (
                each["metric"],
                [(float(time) - running.moments["declared"]) * _SCALE / 60 for time, _ in each["values"]],
                [float(value) for _, value in each["values"]],
            )
            for each in sorted(found, key=lambda each: sorted(each["metric"].items()))
        ]

    figure, (mappings, quota, refused) = plt.subplots(
        3, 1, figsize=(10, 8.4), sharex=True, height_ratios=[2.2, 1.5, 1.2], layout="constrained"
    )
    _draw_mappings(mappings, over_time)
    region = 'region="westeurope",kind="write"'
    for expression, colour, label in (
        (
            f"min(vault_autoupdate_arm_quota_remaining{{{region}}})",
            "#4f81bd",
            "writes that the budget would let through",
        ),
        (f"200 * min(vault_autoupdate_arm_throttle_share_ratio{{{region}}})", "#8e44ad", "share of the limit in use"),
    ):
        for _, times, values in over_time(expression):
            quota.step(times, values, where="post", color=colour, label=label)
    quota.axhline(200, color="0.6", linestyle=":", label="Site Recovery's limit: 200 in 60 s")
    quota.set(ylabel="writes in 60 s", ylim=(0, 215))
    for _, times, values in over_time('sum(vault_autoupdate_arm_throttled_total{kind="write"})'):
        refused.step(times, values, where="post", color="#c0392b", label="calls refused with 429, in all")
    for _, times, values in over_time(
        'sum(vault_autoupdate_arm_requests_total{operation="update_mapping",code="202"})'
    ):
        refused.step(times, values, where="post", color="#2e8b57", label="changes accepted (202), in all")
    refused.set(ylabel="calls", ylim=(0, None), xlabel="minutes (simulated)")
    for axes in (mappings, quota, refused):
        axes.legend(loc="center", bbox_to_anchor=(0.34, 0.5), fontsize=8)
        axes.grid(visible=True, alpha=0.25)
        for name in _STAGES:
            axes.axvline(
                (running.moments[name] - running.moments["declared"]) * _SCALE / 60, color="0.4", linewidth=0.8
            )
    for name, text in _STAGES.items():
        at = (running.moments[name] - running.moments["declared"]) * _SCALE / 60
        mappings.annotate(
            text, (at, 1.0), (3, 4), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8
        )
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_mappings(axes: Any, over_time: Any) -> None:
    series = {
        labels["state"]: (times, values)
        for labels, times, values in over_time(f"max by (state) (vault_autoupdate_mappings{{{_OF_VAULT}}})")
    }
    states = [state for state in _COLOURS if state in series]
    times = series[states[0]][0]
    axes.stackplot(
        times,
        [series[state][1] for state in states],
        labels=states,
        colors=[_COLOURS[state] for state in states],
        step="post",
        alpha=0.85,
    )
    axes.set(ylabel="mappings in scope", ylim=(0, None), xlim=(times[0], times[-1]))


def main() -> int:
    """Run the scenario and draw."""
    program = find_program("prometheus")
    if program is None:
        sys.stderr.write(f"no prometheus: {HOW_TO_ENABLE}\n")
        return 1
    with tempfile.TemporaryDirectory() as directory, monitored(program, Path(directory), scale=_SCALE) as running:
        run_scenario(running)
        draw(running, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
