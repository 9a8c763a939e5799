"""The picture: how many mappings are as declared over time, for each way of getting there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.measure import Result
from benchmarks.scenarios import JOB_SECONDS, WINDOW, WRITES_PER_WINDOW, Contender

_LOOKS: Final = {
    Contender.OURS: ("vault-autoupdate", "#0b6e4f"),
    Contender.RUNBOOK: ("the runbook's pace", "#c8553d"),
    Contender.SDK: ("SDK + a thread per mapping", "#5b5f97"),
}

__all__ = ["draw"]


def draw(results: Sequence[Result], path: Path) -> None:
    """Draw the scenarios in which there is something to compare, side by side."""
    import matplotlib as mpl  # noqa: PLC0415 - a second of start-up that only this needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    compared = [name for name in dict.fromkeys(r.scenario for r in results) if _count(results, name) > 1]
    if not compared:
        return
    figure, panels = plt.subplots(1, len(compared), figsize=(6.2 * len(compared), 5.2), squeeze=False)
    for axes, name in zip(panels[0], compared, strict=True):
        chosen = [result for result in results if result.scenario == name]
        end = max(result.progress[-1][0] for result in chosen if result.progress)
        axes.step(*_limit(chosen[0].to_patch), where="post", color="0.6", linestyle=":", label="ASR's limit (T*)")
        for result in chosen:
            _draw_one(axes, result, end)
        axes.set(title=chosen[0].title, xlabel="minutes (simulated)", ylabel="mappings as declared", ylim=(0, None))
        axes.set_xlim(0, end / 60 * 1.03)
        axes.grid(visible=True, alpha=0.25)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_one(axes, result: Result, end: float) -> None:  # type: ignore[no-untyped-def]  # matplotlib has no types
    label, colour = _LOOKS[Contender(result.contender)]
    times = [0.0, *(time / 60 for time, _ in result.progress)]
    counts = [0, *(count for _, count in result.progress)]
    if result.seconds is not None:
        label += f": {_minutes(result.seconds)}"
    if not result.finished:
        label += ", its pollers never ended"
    elif result.known is not None and result.known > (result.seconds or 0) * 1.2:
        label += f", knew after {_minutes(result.known)}"
    axes.step([*times, end / 60], [*counts, counts[-1]], where="post", color=colour, linewidth=2, label=label)


def _limit(count: int) -> tuple[list[float], list[int]]:
    """The fastest that the limits allow."""
    times, counts = [0.0], [0]
    while counts[-1] < count:
        times.append(((len(times) - 1) * WINDOW + JOB_SECONDS) / 60)
        counts.append(min(count, counts[-1] + WRITES_PER_WINDOW))
    return times, counts


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds // 60)} min {int(seconds % 60):02} s"


def _count(results: Sequence[Result], name: str) -> int:
    return sum(result.scenario == name for result in results)
