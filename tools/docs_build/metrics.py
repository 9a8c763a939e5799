"""Writes docs/metrics.md from the metrics themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vault_autoupdate.metrics.spec_types import OF_THE_RESOURCE, MetricSpec, Section
from vault_autoupdate.metrics.specs import SPECS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/metrics.md"

_INTRODUCTION: Final = """# Metrics

<!-- Written by tools/docs_build/metrics.py from the metrics themselves. Do not edit. -->

`/metrics` is served on port 9090 (`VAULT_AUTOUPDATE_METRICS_ADDRESS`), in Prometheus' text format. How to scrape and protect it, and what to look at, is in
[observability.md](observability.md).

- Seconds, and points in time as Unix time. A histogram has `_bucket`, `_sum` and `_count`.
- Counters are there from the start with all their labels, so that `rate()` and `increase()` see the first event.
- No label is the id of a subscription or a vault, or words of an error. A resource is known by `namespace` and `name`.
- Series about a resource go when the resource goes. A resource that needs nobody has about {of_one} of them; what says
  nothing (a count of 0, a condition that is as it should be) is left out, so that a query which needs the 0 says
  `or 0 * vault_autoupdate_resource_ready`. `VAULT_AUTOUPDATE_RESOURCE_METRICS=false` leaves all of them out: the totals
  stay, with one alert that counts what the others would name.
- With several replicas only the one that leads has series about resources.
- `process_*` are there too: memory, CPU, open files, start.
"""


def render() -> str:
    """The whole page."""
    text = _INTRODUCTION.format(of_one=_series_of_one_resource())
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
    return sum(each.usual for each in SPECS)
