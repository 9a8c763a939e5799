"""The dashboard's rows about drift, repair and jobs."""

from __future__ import annotations

from tools.docs_build.dashboard_queries import CHOSEN, FEW, P, few, of, own
from tools.docs_build.grafana import Panel, bars_of, heatmap, series, stat

_ANY = 'attribution=~".+"'

__all__ = ["drift_row", "jobs_row"]


def drift_row() -> list[Panel]:
    """What is found to differ, who undoes it, and what no try cures."""
    reverts = f"sum by (namespace, name) (increase({P}_resource_reverts_total{{{CHOSEN}}}[$__rate_interval]))"
    by_reason = of("resource_failures", 'reason=~".+"')
    return [
        series(
            "Found to differ",
            [
                (f"sum(increase({own('drift_detected_total', window='[$__rate_interval]')}))", "differ"),
                (f"sum(increase({own('repairs_total', window='[$__rate_interval]')}))", "unhealthy"),
            ],
            bars=True,
            text="Mappings, at each look. The first run over a vault is in here too.",
            book="DriftReturns",
        ),
        series(
            "Undone by somebody else",
            [(f"topk({FEW}, round({reverts}) > 0)", "{{namespace}}/{{name}}")],
            bars=True,
            text="Looks that found mappings changed after they had been as declared. Again and again: two are at odds.",
            book="DriftReturns",
        ),
        series(
            "Tried without success",
            [(f"sum by (reason) ({by_reason})", "{{reason}}")],
            stacked=True,
            text="Mappings that wait for the next try, by why. StillDiffers: the job succeeded and cured nothing.",
            book="RepairNotCuring",
        ),
        series(
            "Most tries of a mapping",
            [(few(of("resource_attempts_most")), "{{namespace}}/{{name}}")],
            text="Of the resources with most of them. Each try doubles the wait before the next one.",
            book="JobsFailing",
        ),
        bars_of(
            "Is it known who it was?",
            f"count by (attribution) ({of('drift_found_timestamp_seconds', _ANY)})",
            "{{attribution}}",
            width=24,
            colour="blue",
            text="Resources by what the activity log has said of the last time that something was undone. Named: "
            "status.lastDrift says who. Only where spec.drift.attribution asks for it.",
            book="AttributionNotReadable",
        ),
    ]


def jobs_row() -> list[Panel]:
    """Changes, how they end, and how long they take."""
    return [
        series(
            "Changes by outcome",
            [(f"sum by (outcome) (increase({own('jobs_total', window='[$__rate_interval]')}))", "{{outcome}}")],
            bars=True,
            stacked=True,
            text="Changes of mappings that have come to an end.",
            book="JobsFailing",
        ),
        heatmap(
            "Duration of jobs",
            f"sum by (le) (increase({own('job_duration_seconds_bucket', window='[$__rate_interval]')}))",
            text="From the PATCH to the end of its job as it was seen.",
        ),
        series(
            "Jobs in flight",
            [(few(of("jobs_in_flight")), "{{namespace}}/{{name}}")],
            stacked=True,
            width=18,
            text="Of the resources with most of them.",
            book="JobsTimingOut",
        ),
        stat(
            "Looks at undocumented job states",
            f"sum(increase({own('job_unknown_states_total', window='[$__range]')}))",
            width=6,
            height=8,
            text="Such jobs are waited for like running ones.",
        ),
    ]
