"""Writes docs/metrics.md from the metrics themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vault_autoupdate.metrics.specs import OF_THE_RESOURCE, SPECS, MetricSpec, Section

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/metrics.md"

_INTRODUCTION: Final = """# Metrics

<!-- Written by tools/docs_build/metrics.py from the metrics themselves. Do not edit. -->

`/metrics` is served on port 9090 (`VAULT_AUTOUPDATE_METRICS_ADDRESS`), as OpenMetrics to those who ask for it and in
Prometheus' text format to all others. How to scrape and protect it, and what to look at, is in
[observability.md](observability.md).

- Seconds, and points in time as Unix time. A histogram has `_bucket`, `_sum` and `_count`.
- Counters are there from the start with all their labels, so that `rate()` and `increase()` see the first event.
- No label is the id of a subscription or a vault, or words of an error. A resource is known by `namespace` and `name`.
- Series about a resource go when the resource goes. Each resource has at most {of_one}; `VAULT_AUTOUPDATE_RESOURCE_METRICS=false`
  leaves them out, and with them the alerts and panels that need them.
- With several replicas only the one that leads has series about resources.
- `process_*` are there too: memory, CPU, open files, start.
"""


def render() -> str:
    """The whole page."""
    text = _INTRODUCTION.format(of_one=f"{_series_of_one_resource()} series")
    for section in Section:
        text += f"\n## {section}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n"
        text += "".join(_row(each) for each in SPECS if each.section is section)
    return text


def _row(each: MetricSpec) -> str:
    own = {name: values for name, values in each.labels.items() if values != OF_THE_RESOURCE}
    shared = ["`namespace`, `name`"] if len(own) < len(each.labels) else []
    labels = "<br>".join([*shared, *(f"`{name}`: {values}" for name, values in own.items())])
    buckets = f" Buckets: {', '.join(f'{edge:g}' for edge in each.buckets)}." if each.buckets else ""
    return f"| `{each.name}` | {each.kind} | {labels} | {each.text}{buckets} |\n"


def _series_of_one_resource() -> int:
    return sum(_series_of(each) for each in SPECS if "namespace" in each.labels)


def _series_of(each: MetricSpec) -> int:
    if each.most is not None:
        return each.most
    own = [values for label, values in each.labels.items() if label not in {"namespace", "name"}]
    return max((values.count("`") // 2 for values in own), default=1)  # the values of a label stand in backquotes
