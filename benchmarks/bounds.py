"""What a result must keep to. Ratios and counts in simulated time; nothing depends on how fast the machine is."""

from __future__ import annotations

from typing import Final

from benchmarks.measure import Result
from benchmarks.scenarios import WRITES_PER_WINDOW, Bounds

READS_PER_HOUR: Final = 10_000

__all__ = ["is_late", "violations"]


def is_late(result: Result, bounds: Bounds) -> bool:
    """Whether ``result`` took longer than it may: what a slow machine can do, too."""
    timed = ((result.ratio, bounds.ratio), (result.late_seconds, bounds.late_seconds))
    return any(most is not None and (value is None or value > most) for value, most in timed)


def violations(result: Result, bounds: Bounds) -> list[str]:
    """Say what ``result`` does not keep to, one line each."""
    found = []

    def expect(what: str, value: float | None, most: float | None) -> None:
        if most is not None and (value is None or value > most):
            found.append(
                f"{result.scenario}: {what} is {'unknown' if value is None else f'{value:.4g}'}, over {most:g}"
            )

    expect("time over the shortest", result.ratio, bounds.ratio)
    expect("answers 429", result.throttled, bounds.throttled)
    expect("most writes in 60 s", result.peak_writes, WRITES_PER_WINDOW)
    expect("most reads in 60 min", result.peak_reads, READS_PER_HOUR)
    expect("seconds for the late vault", result.late_seconds, bounds.late_seconds)
    expect("reads", result.reads_on_hold if result.reads_on_hold is not None else result.reads, bounds.reads)
    expect("status writes at rest", result.status_writes_on_hold or 0, 0)
    if bounds.share_of_left is not None and (result.left_used or 0.0) < bounds.share_of_left:
        found.append(
            f"{result.scenario}: {result.left_used or 0:.0%} of what the other client left was used, "
            f"under {bounds.share_of_left:.0%}"
        )
    if result.compliant < result.to_patch and bounds.late_seconds is None:
        found.append(f"{result.scenario}: {result.compliant} of {result.to_patch} mappings became as declared")
    return found
