"""All alerts together, on all that an operator serves, in what may happen to any installation and is no fault of it.

What is served is a real page. A healthy fleet must call nobody, a refused one must be told, whatever happens around it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from vault_autoupdate.metrics.page import write_page
from workbench.prometheus.fleet import Mood, make_fleet
from workbench.prometheus.monitored import ALERTS

_MINUTES: Final = 50
_RESOURCES: Final = 6
_GAP: Final = range(20, 30)
"""Minutes without a scrape."""

_ASKED_ABOUT: Final = frozenset(re.findall(r"vault_autoupdate_\w+", ALERTS.read_text()))
"""What no alert asks about only costs time."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Series:
    """One series, sampled each minute."""

    name: str
    labels: Labels
    values: tuple[str, ...]

    def with_labels(self, **more: str) -> Series:
        return Series(self.name, {**self.labels, **more}, self.values)

    def without(self, minutes: range) -> Series:
        values = tuple("_" if minute in minutes else value for minute, value in enumerate(self.values))
        return Series(self.name, self.labels, values)

    def document(self) -> dict[str, str]:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()))
        return {"series": f"{self.name}{{{labels}}}", "values": " ".join(self.values)}


Fleet = Sequence[Series]
Change = Callable[[Fleet], Iterator[Series]]


def _nothing(fleet: Fleet) -> Iterator[Series]:
    yield from fleet


def _ten_minutes_without_a_scrape(fleet: Fleet) -> Iterator[Series]:
    yield from (each.without(_GAP) for each in fleet)


def _a_pod_that_is_replaced(fleet: Fleet) -> Iterator[Series]:
    """Two minutes without any, then another instance."""
    for each in fleet:
        yield each.without(range(30, _MINUTES + 1))
        yield each.with_labels(instance="10.0.0.8:9090").without(range(32))


def _a_prometheus_that_begins_anew(fleet: Fleet) -> Iterator[Series]:
    """Without any past, so that whatever looks back has nothing to look at."""
    yield from (each.without(range(30)) for each in fleet)


def _scraped_by_two_monitors(fleet: Fleet) -> Iterator[Series]:
    for each in fleet:
        yield each
        yield each.with_labels(job="ops/vault-autoupdate", endpoint="metrics")


def _scraped_every_two_minutes(fleet: Fleet) -> Iterator[Series]:
    yield from (each.without(range(1, _MINUTES + 1, 2)) for each in fleet)


def _labels_that_are_not_honoured(fleet: Fleet) -> Iterator[Series]:
    for each in fleet:
        namespace = each.labels.get("namespace", "ops")
        of_resource = "name" in each.labels
        yield each.with_labels(namespace="ops", exported_namespace=namespace) if of_resource else each


def _a_second_cluster_and_a_second_release(fleet: Fleet) -> Iterator[Series]:
    for each in fleet:
        yield each.with_labels(cluster="a")
        yield each.with_labels(cluster="b", instance="10.1.0.7:9090")
        if "name" not in each.labels:  # a release for a team that has no resources yet
            yield each.with_labels(cluster="a", namespace="team", job="team-metrics", instance="10.0.0.9:9090")


def _a_standby(fleet: Fleet) -> Iterator[Series]:
    """One more replica, which does not lead and knows of no resource."""
    for each in fleet:
        yield each
        if each.name in {"vault_autoupdate_build_info", "vault_autoupdate_start_timestamp_seconds"}:
            yield each.with_labels(instance="10.0.0.8:9090")
        elif each.name in {"vault_autoupdate_leading", "vault_autoupdate_watching"}:
            yield Series(each.name, {**each.labels, "instance": "10.0.0.8:9090"}, ("0",) * len(each.values))


def _a_shard_without_resources(fleet: Fleet) -> Iterator[Series]:
    """Scraped by the same job: it leads, watches, and has nothing to look after."""
    for each in fleet:
        yield each
        if "name" not in each.labels:
            own = {"shard": "west"} if each.name == "vault_autoupdate_build_info" else {}
            of_process = re.search("build_info|leading|watch|timestamp|interval|ratio", each.name)
            counts = each.values if of_process else ("0",) * len(each.values)
            yield Series(each.name, {**each.labels, **own, "instance": "10.0.0.9:9090"}, counts)


def _scraped_every_five_minutes(fleet: Fleet) -> Iterator[Series]:
    for each in fleet:
        yield Series(each.name, each.labels, tuple(v if n % 5 == 2 else "_" for n, v in enumerate(each.values)))


def _all_suspended(fleet: Fleet) -> Iterator[Series]:
    yield from fleet
    for each in fleet:
        if each.name == "vault_autoupdate_resource_ready":
            yield Series("vault_autoupdate_resource_suspended", each.labels, ("1",) * len(each.values))


CIRCUMSTANCES: Final = (
    _nothing,
    _ten_minutes_without_a_scrape,
    _a_pod_that_is_replaced,
    _a_prometheus_that_begins_anew,
    _scraped_by_two_monitors,
    _scraped_every_two_minutes,
    _labels_that_are_not_honoured,
    _a_second_cluster_and_a_second_release,
    _a_standby,
    _a_shard_without_resources,
    _scraped_every_five_minutes,
)


async def served(mood: Mood) -> Fleet:
    """What an operator serves over the minutes: points in time go on with the clock while looks go well."""
    fleet = make_fleet(_RESOURCES)
    fleet.become(mood)
    await fleet.meet_scopes()
    snapshot = await fleet.standing().snapshot()
    page = write_page(fleet.metrics.registry, snapshot, per_resource=True)
    samples = [
        sample
        for family in text_string_to_metric_families(page.text.decode())
        for sample in family.samples
        if sample.name in _ASKED_ABOUT and sample.labels.get("code", "200") in {"200", "401", "403"}
    ]
    own = {"job": "vault-autoupdate-metrics", "instance": "10.0.0.7:9090"}
    return [
        Series(
            sample.name,
            {"namespace": "ops", **own, **sample.labels},
            tuple(_values(sample.name, sample.value, snapshot.at, mood)),
        )
        for sample in samples
    ]


def _values(name: str, value: float, at: float, mood: Mood) -> Iterator[str]:
    for minute in range(_MINUTES + 1):
        if name.endswith("_timestamp_seconds"):
            moves = mood is Mood.WELL and name != "vault_autoupdate_start_timestamp_seconds"
            yield f"{value - at + 60 * minute * moves:.0f}"
        elif name == "vault_autoupdate_resource_not_ready_seconds":
            yield f"{value + 60 * minute:.0f}"
        elif name in {"vault_autoupdate_leading", "vault_autoupdate_watching"}:
            yield "1"
        else:
            yield f"{value:g}"


def document(change: Change, fleet: Fleet, expected: Mapping[int, str]) -> dict[str, Any]:
    """A case: by minute, an expression that has to be 1."""
    return {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "2m",
        "tests": [
            {
                "name": change.__name__,
                "interval": "1m",
                "input_series": [each.document() for each in change(fleet)],
                "promql_expr_test": [
                    {"expr": expr, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}]}
                    for minute, expr in expected.items()
                ],
            }
        ],
    }


def told_by(promtool: str, folder: Path, case: dict[str, Any]) -> str:
    """What promtool says; empty when all is as it should be."""
    path = folder / "case.yaml"
    path.write_text(yaml.safe_dump(case))
    ended = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


def _none_of(alerts: str) -> str:
    return f'(count(ALERTS{{alertstate="firing",{alerts}}}) or vector(0)) == bool 0'


@pytest.mark.parametrize("change", [*CIRCUMSTANCES, _all_suspended], ids=lambda each: each.__name__.strip("_"))
async def test_a_healthy_fleet_calls_nobody(promtool: str, tmp_path: Path, change: Change) -> None:
    quiet = _none_of('alertname=~".+"')
    moments = (45, 50) if change is _a_prometheus_that_begins_anew else (28, 45, 50)
    case = document(change, await served(Mood.WELL), dict.fromkeys(moments, quiet))
    assert told_by(promtool, tmp_path, case) == ""


@pytest.mark.parametrize("change", CIRCUMSTANCES, ids=lambda each: each.__name__.strip("_"))
async def test_a_fleet_that_azure_refuses_is_told_once_and_for_all(
    promtool: str, tmp_path: Path, change: Change
) -> None:
    both = 'ALERTS{alertstate="firing",alertname=~"VaultAutoUpdate(MostlyNotReady|Stalled)"}'
    told = f"count(count by (alertname) ({both})) == bool 2"
    case = document(change, await served(Mood.REFUSED), {50: told})
    assert told_by(promtool, tmp_path, case) == ""


async def test_of_a_suspended_fleet_nothing_is_told_though_azure_refuses_it(promtool: str, tmp_path: Path) -> None:
    quiet = _none_of('name!="",alertname!~"VaultAutoUpdatePolicy.+"')
    case = document(_all_suspended, await served(Mood.REFUSED), {45: quiet, 50: quiet})
    assert told_by(promtool, tmp_path, case) == ""
