"""The metrics: as documented, well-formed, initialised, bounded, and gone with what they are about."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from tests.support.monitored import Monitored
from tests.support.resources import manifest
from tools import metrics_docs
from vault_autoupdate.api import ResourceKey
from vault_autoupdate.attempts import Attempt, FailureReason
from vault_autoupdate.budget import Limit
from vault_autoupdate.fleet import Fleet
from vault_autoupdate.metric_specs import SPECS, Kind
from vault_autoupdate.metrics import Metrics
from vault_autoupdate.observed import AgentCounts
from vault_autoupdate.plan import Action
from vault_autoupdate.queue import WorkQueue
from vault_autoupdate.throttle import CallKind, Throttle
from vault_autoupdate.watch_health import WatchHealth

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Served:
    """Metrics of a fleet without work, read as Prometheus reads them."""

    def __init__(self, *, resources: bool = True) -> None:
        unused: Any = None
        self.now = NOW
        self.health = WatchHealth(clock=lambda: self.now.timestamp())  # noqa: PLW0108 - it changes
        self.throttle = Throttle({CallKind.WRITE: [Limit(200, 60)], CallKind.READ: [Limit(10_000, 3600)]}, lambda: 0.0)
        self.metrics = Metrics()
        self.fleet = Fleet(
            reconciler=unused,
            writer=unused,
            timing=unused,
            observer=self.metrics,
            wake=lambda *_: None,
            startup_spread=timedelta(),
            paused_for=lambda *_: 0.0,
            now=lambda: self.now,
        )
        queue: WorkQueue[ResourceKey] = WorkQueue(self.fleet.work)
        self.metrics.watch(self.fleet, queue, self.throttle, self.health, now=lambda: self.now, resources=resources)

    def see(self, name: str, status: dict[str, Any] | None = None, **spec: Any) -> Any:
        """Let the fleet see a resource, and return what it knows of it."""
        document = manifest(name, namespace="dr", **spec)
        document["metadata"] |= {"uid": f"uid-{name}", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.fleet.seen({**document, "status": status or {}})
        entry = self.fleet.entries[ResourceKey("dr", name)]
        entry.state.agents = AgentCounts(total=30, behind=4, unknown=1)
        return entry

    def text(self) -> str:
        return generate_latest(self.metrics.registry).decode()

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        }

    def value(self, metric: str, /, **labels: str) -> float | None:
        return self.samples().get((f"vault_autoupdate_{metric}", frozenset(labels.items())))


@pytest.fixture
async def served() -> Served:
    return Served()


def status_of(ready: str, reason: str, since: str = "2026-03-01T09:00:00Z") -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": "", "lastTransitionTime": since}
    return {"observedGeneration": 1, "conditions": [condition]}


def test_the_page_of_the_metrics_is_what_the_code_says() -> None:
    assert metrics_docs.PAGE.read_text() == metrics_docs.render(), "run python -m tools.metrics_docs"


def test_names_follow_the_conventions() -> None:
    for spec in SPECS:
        assert spec.name.startswith("vault_autoupdate_")
        assert (spec.kind is Kind.COUNTER) == spec.name.endswith("_total")
        assert spec.text.endswith((".", ")."))
        assert not {"vault", "subscription", "message", "error", "mapping", "job"} & set(spec.labels)


async def test_what_is_served_is_what_is_documented_with_the_labels_that_are_documented(served: Served) -> None:
    served.see("weu")
    await served.throttle.call("sub/westeurope", CallKind.WRITE, "vault").__aenter__()
    served.metrics.quota_reported(CallKind.READ, 1)
    served.metrics.credential_expires(0.0)
    served.health.contact()
    labels: dict[str, set[str]] = {}
    for name, pairs in served.samples():
        if name.startswith("vault_autoupdate_"):
            labels.setdefault(name, set()).update(key for key, _ in pairs)
    documented = {name: set(spec.labels) for spec in SPECS for name in spec.series}
    assert labels.keys() == documented.keys()
    for name, found in labels.items():
        assert found - {"le"} == documented[name], name


async def test_promtool_has_nothing_to_say_about_the_exposition(served: Served, promtool: str) -> None:
    served.see("weu")
    ended = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=served.text(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


async def test_the_openmetrics_exposition_can_be_read(served: Served) -> None:
    served.see("weu")
    text = openmetrics.generate_latest(served.metrics.registry).decode()  # type: ignore[no-untyped-call]
    families = {family.name for family in openmetrics_parser.text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    assert {spec.name.removesuffix("_total") for spec in SPECS} <= families | {
        "vault_autoupdate_credential_expiry_timestamp_seconds"
    }


async def test_counters_are_there_from_the_start_so_that_a_rate_sees_the_first_event(served: Served) -> None:
    counted = {
        name: [value for (found, _), value in served.samples().items() if found == name]
        for name in (spec.name for spec in SPECS if spec.kind is Kind.COUNTER)
        if "resource" not in name
    }
    assert all(values and set(values) == {0.0} for values in counted.values()), counted
    served.see("weu")
    assert served.value("resource_reverts_total", namespace="dr", name="weu") == 0.0


async def test_series_about_a_resource_go_with_the_resource(served: Served) -> None:
    served.see("weu")
    served.see("neu")
    served.fleet.gone(ResourceKey("dr", "weu"))
    text = served.text()
    assert 'name="weu"' not in text
    assert 'name="neu"' in text


async def test_a_resource_has_as_many_series_as_the_page_says_whatever_its_vault_holds(served: Served) -> None:
    entry = served.see("weu")
    for number in range(300):
        entry.state.actions[f"m{number}"] = Action.WAIT
        entry.state.attempts[f"m{number}"] = Attempt(number, NOW, NOW, reason=FailureReason.JOB_FAILED)
    about_it = [labels for _, labels in served.samples() if ("name", "weu") in labels]
    assert f"Each resource has at most {len(about_it)} series" in metrics_docs.PAGE.read_text()


async def test_agents_have_no_series_while_nobody_knows_about_them(served: Served) -> None:
    entry = served.see("weu")
    assert served.value("agents", namespace="dr", name="weu", state="current") == 25.0
    entry.state.agents = None
    assert "vault_autoupdate_agents{" not in served.text()


async def test_series_about_resources_can_be_switched_off() -> None:
    served = Served(resources=False)
    served.see("weu")
    assert 'name="weu"' not in served.text()
    assert served.value("queue_depth") == 0


async def test_nothing_served_tells_a_subscription_or_vault(served: Served) -> None:
    served.see("weu")
    async with served.throttle.call("6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10/westeurope", CallKind.READ, "vault"):
        text = served.text()
    assert "6f3b9f5e" not in text
    assert 'vault_autoupdate_arm_quota_remaining{kind="read",region="westeurope",scope="0"} 9999.0' in text


async def test_time_without_being_ready_outlives_a_restart_and_a_change_between_false_and_unknown(
    served: Served,
) -> None:
    entry = served.see("weu", status_of("False", "Progressing"))
    labels = {"namespace": "dr", "name": "weu"}
    assert served.value("resource_not_ready_seconds", **labels) == 3 * 3600
    entry.vitals.status_is(status_of("Unknown", "Throttled"), NOW)
    assert served.value("resource_not_ready_seconds", **labels) == 3 * 3600
    entry.vitals.status_is(status_of("True", "Compliant"), NOW)
    assert served.value("resource_not_ready_seconds", **labels) == 0
    served.now += timedelta(minutes=5)
    entry.vitals.status_is(status_of("False", "Progressing"), served.now)
    served.now += timedelta(minutes=1)
    assert served.value("resource_not_ready_seconds", **labels) == 60


async def test_nobody_waits_for_a_suspended_resource_to_be_ready(served: Served) -> None:
    served.see("weu", status_of("Unknown", "Suspended"), suspend=True)
    labels = {"namespace": "dr", "name": "weu"}
    assert served.value("resource_not_ready_seconds", **labels) == 0
    assert served.value("resource_suspended", **labels) == 1


async def test_conditions_have_one_for_the_status_that_they_have(served: Served) -> None:
    served.see("weu", status_of("Unknown", "Throttled"))
    labels = {"namespace": "dr", "name": "weu"}
    seen = {
        s: served.value("resource_condition", type="Ready", status=s, **labels) for s in ("True", "False", "Unknown")
    }
    assert seen == {"True": 0, "False": 0, "Unknown": 1}
    assert served.value("resource_condition", type="Stalled", status="False", **labels) == 1


async def test_failures_are_counted_by_reason_and_the_most_tried_mapping_is_shown(served: Served) -> None:
    entry = served.see("weu")
    entry.state.actions = {"a": Action.WAIT, "b": Action.WAIT, "c": Action.TRACK}
    entry.state.attempts = {
        "a": Attempt(4, NOW, NOW, reason=FailureReason.JOB_FAILED),
        "b": Attempt(1, NOW, NOW, reason=FailureReason.STILL_DIFFERS),
        "c": Attempt(1, NOW, NOW, reason=FailureReason.STILL_DIFFERS),
    }
    labels = {"namespace": "dr", "name": "weu"}
    assert served.value("resource_failures", reason="JobFailed", **labels) == 1
    assert served.value("resource_failures", reason="StillDiffers", **labels) == 1
    assert served.value("resource_attempts_most", **labels) == 4


async def test_the_last_word_of_the_api_server_is_absent_before_watching_began(served: Served) -> None:
    assert served.value("watch_last_contact_timestamp_seconds") is None
    assert served.value("watching") == 0
    served.health.contact()
    served.health.ready.set()
    assert served.value("watch_last_contact_timestamp_seconds") == NOW.timestamp()
    assert served.value("watching") == 1


def test_the_watch_was_heard_of_in_the_scenario_though_nothing_else_happened_first(scenario: Monitored) -> None:
    (contact,) = scenario.prometheus.query("min_over_time(vault_autoupdate_watch_last_contact_timestamp_seconds[5m])")
    assert float(contact["value"][1]) > scenario.began - 15


def test_prometheus_negotiates_openmetrics_and_takes_every_sample(scenario: Monitored) -> None:
    (up,) = scenario.prometheus.query("min_over_time(up[20s])", at=scenario.ended)
    assert float(up["value"][1]) == 1
    (seen,) = scenario.prometheus.query("scrape_samples_scraped", at=scenario.ended)
    assert float(seen["value"][1]) == len(scenario.operator.metrics())
