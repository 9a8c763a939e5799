"""The metrics: as documented, well-formed, initialised, bounded, and gone with what they are about."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from tools.docs_build import metrics as metrics_docs
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.cluster.write_health import WriteHealth
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.decide.account_report import AccountReport, Problem
from vault_autoupdate.decide.agent_report import AgentReport, Concern
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.jobs import Verdict
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.rollout import AgentUpdate, MachineFailure, Phase, Rollout, RolloutDecision
from vault_autoupdate.metrics.counters import Metrics
from vault_autoupdate.metrics.specs import ACCOUNT_PROBLEMS, OPERATIONS, SPECS, Kind
from vault_autoupdate.model.azure import Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.limits import Limit
from vault_autoupdate.model.quota import Caller, QuotaScope
from vault_autoupdate.model.resource import ResourceKey
from vault_autoupdate.model.windows import Window
from workbench.kube.resources import manifest
from workbench.prometheus.monitored import Monitored

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOWS = {"autoUpdate": "Disabled", "agentUpdates": {"schedule": "0 12 * * *", "duration": "2h"}}
REPORT = AgentReport(
    total=30,
    behind=4,
    unknown=1,
    concerns={Concern.EXPIRING: 3, Concern.UPDATE_REQUIRED: 4},
    versions=tuple((f"9.{66 - number}.1.1", 2) for number in range(10)),
    other_versions=10,
)
ACCOUNT = AccountReport(
    "aa", False, (Problem("ScheduleMissing", "words"),), next_run=NOW + HOUR, minutes_used=12.5, minutes_limit=500.0
)


class Served:
    """Metrics of a controller without work, read as Prometheus reads them."""

    def __init__(self, *, resources: bool = True, namespaces: tuple[str, ...] = ()) -> None:
        unused: Any = None
        self.now = NOW
        self.health = WatchHealth(namespaces, clock=lambda: self.now.timestamp())  # noqa: PLW0108 - it changes
        self.writes = WriteHealth(clock=lambda: self.now.timestamp())  # noqa: PLW0108 - as above
        self.throttle = Throttle({CallKind.WRITE: [Limit(200, 60)], CallKind.READ: [Limit(10_000, 3600)]}, lambda: 0.0)
        self.metrics = Metrics()
        self.controller = Controller(
            reconciler=unused,
            writer=unused,
            timing=unused,
            observer=self.metrics,
            wake=lambda *_: None,
            startup_spread=timedelta(),
            paused_for=lambda *_: 0.0,
            now=lambda: self.now,
        )
        queue: WorkQueue[ResourceKey] = WorkQueue()
        self.metrics.watch(
            self.controller, queue, self.throttle, self.health, self.writes, now=lambda: self.now, resources=resources
        )

    def see(self, name: str, status: dict[str, Any] | None = None, **spec: Any) -> Any:
        """Let the controller see a resource, and return what it knows of it."""
        document = manifest(name, namespace="dr", **spec)
        document["metadata"] |= {"uid": f"uid-{name}", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.controller.on_change({**document, "status": status or {}})
        entry = self.controller.resources[ResourceKey("dr", name)]
        entry.state.agents = REPORT
        entry.state.account = ACCOUNT
        return entry

    def see_windows(self, name: str, status: dict[str, Any] | None = None) -> Any:
        """Let the controller see a resource whose agents are being updated in a window."""
        entry = self.see(name, status, **WINDOWS)
        entry.state.rollout = Rollout(
            window=Window(NOW - HOUR, NOW + HOUR),
            updates={"a": AgentUpdate("a", "vm-a", "job", NOW), "b": AgentUpdate("b", "vm-b", "job", NOW)},
            failures={"c": MachineFailure("c", "vm-c", 3, NOW, Explanation("1", "words"))},
        )
        waiting = tuple(Machine(name, name) for name in "defg")
        entry.state.rollout_decision = RolloutDecision(Phase.ROLLING, waiting=waiting)
        entry.state.next_window = Window(NOW + 24 * HOUR, NOW + 26 * HOUR)
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


def status_of(ready: str, reason: str, since: str = "2026-03-01T09:00:00Z", **others: str) -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": since}
        for kind, status in {"Ready": ready, **others}.items()
    ]
    return {"observedGeneration": 1, "conditions": conditions}


def test_names_follow_the_conventions() -> None:
    for spec in SPECS:
        assert spec.name.startswith("vault_autoupdate_")
        assert (spec.kind is Kind.COUNTER) == spec.name.endswith("_total")
        assert spec.text.endswith((".", ")."))
        assert not {"vault", "subscription", "message", "error", "mapping", "job"} & set(spec.labels)


async def test_what_is_served_is_what_is_documented_with_the_labels_that_are_documented(served: Served) -> None:
    served.see_windows("weu")
    await served.throttle.call(Caller(QuotaScope("sub", "westeurope"), "dr", "vault"), CallKind.WRITE).__aenter__()
    served.metrics.quota_reported(CallKind.READ, 1)
    served.metrics.credential_expires(0.0)
    served.health.contact("dr")
    labels: dict[str, set[str]] = {}
    for name, pairs in served.samples():
        if name.startswith("vault_autoupdate_"):
            labels.setdefault(name, set()).update(key for key, _ in pairs)
    documented = {name: set(spec.labels) for spec in SPECS for name in spec.series}
    assert labels.keys() == documented.keys()
    for name, found in labels.items():
        assert found - {"le"} == documented[name], name


async def test_promtool_has_nothing_to_say_about_the_exposition(served: Served, promtool: str) -> None:
    served.see_windows("weu")
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
    served.controller.on_delete(ResourceKey("dr", "weu"))
    text = served.text()
    assert 'name="weu"' not in text
    assert 'name="neu"' in text


async def test_a_resource_has_as_many_series_as_the_page_says_whatever_its_vault_holds(served: Served) -> None:
    healthy = {"AgentsCurrent": "True", "AutomationAccountHealthy": "True"}
    entry = served.see_windows("weu", status_of("True", "Compliant", **healthy))
    entry.state.agents = replace(REPORT, versions=tuple((f"9.{number}", 1) for number in range(300)))
    for number in range(300):
        entry.state.actions[f"m{number}"] = Action.WAIT
        entry.state.attempts[f"m{number}"] = Attempt(number, NOW, NOW, reason=FailureReason.JOB_FAILED)
        entry.state.rollout.updates[f"v{number}"] = AgentUpdate(f"v{number}", "vm", "job", NOW)
    about_it = [labels for _, labels in served.samples() if ("name", "weu") in labels]
    assert f"Each resource has at most {len(about_it)} series" in metrics_docs.PAGE.read_text()


async def test_agents_have_no_series_while_nobody_knows_about_them(served: Served) -> None:
    entry = served.see("weu")
    assert served.value("agents", namespace="dr", name="weu", state="current") == 25.0
    entry.state.agents = None
    text = served.text()
    for name in ("agents", "agents_concern", "agent_versions"):
        assert f"vault_autoupdate_{name}{{" not in text


async def test_agents_are_counted_by_concern_with_a_zero_where_there_is_none(served: Served) -> None:
    served.see("weu")
    seen = {concern: served.value("agents_concern", namespace="dr", name="weu", concern=concern) for concern in Concern}
    assert seen == dict.fromkeys(Concern, 0) | {Concern.EXPIRING: 3, Concern.UPDATE_REQUIRED: 4}


async def test_agents_are_counted_by_version_and_what_is_no_version_is_among_the_others(served: Served) -> None:
    entry = served.see("weu")
    entry.state.agents = AgentReport(9, versions=(("9.66.7000.1", 4), ("unknown", 2), ("", 1), ("id 6f3b9f5e", 2)))
    counts = {"9.66.7000.1": 4, "unknown": 2, "other": 3}
    seen = {version: served.value("agent_versions", namespace="dr", name="weu", version=version) for version in counts}
    assert seen == counts
    assert "6f3b9f5e" not in served.text()


async def test_updates_in_windows_are_shown_while_a_window_is_open(served: Served) -> None:
    served.see_windows("weu")
    labels = {"namespace": "dr", "name": "weu"}
    assert served.value("agent_updates_in_flight", **labels) == 2
    assert served.value("agent_updates_waiting", **labels) == 4
    assert served.value("agent_updates_failed_machines", **labels) == 1
    assert served.value("agent_window_open", **labels) == 1
    assert served.value("agent_next_window_timestamp_seconds", **labels) == (NOW + 24 * HOUR).timestamp()
    phases = {phase: served.value("agent_updates_phase", phase=phase, **labels) for phase in Phase}
    assert phases == {phase: float(phase is Phase.ROLLING) for phase in Phase}
    served.now += HOUR
    assert served.value("agent_window_open", **labels) == 0


async def test_without_windows_there_are_no_series_of_them_but_those_of_updates_left_over(served: Served) -> None:
    entry = served.see("weu")
    assert "vault_autoupdate_agent_updates_in_flight{" not in served.text()
    entry.state.rollout = Rollout(updates={"a": AgentUpdate("a", "vm-a", "job", NOW)})
    entry.state.rollout_decision = RolloutDecision(Phase.CLOSED)
    text = served.text()
    assert 'vault_autoupdate_agent_updates_in_flight{name="weu",namespace="dr"} 1.0' in text
    for name in ("agent_updates_waiting", "agent_updates_phase", "agent_updates_failed_machines", "agent_window_open"):
        assert f"vault_autoupdate_{name}{{" not in text


async def test_updates_of_agents_are_counted_by_how_they_ended_and_timed(served: Served) -> None:
    words = Explanation("1", "words")
    served.metrics.agent_update_failed_to_start("vm-a", words)
    served.metrics.agent_update_ended("vm-b", Verdict.SUCCEEDED, 90.0, words)
    served.metrics.agent_update_ended("vm-c", Verdict.FAILED, 30.0, words)
    served.metrics.agent_update_ended("vm-d", Verdict.TIMED_OUT, -1.0, words)
    ended = ("failed_to_start", "succeeded", "failed", "timed_out")
    assert {each: served.value("agent_updates_total", outcome=each) for each in ended} == dict.fromkeys(ended, 1)
    assert served.value("agent_update_duration_seconds_count") == 3
    assert served.value("agent_update_duration_seconds_sum") == 120
    assert "vm-" not in served.text()


async def test_the_automation_account_is_healthy_or_has_known_problems_or_is_absent(served: Served) -> None:
    entry = served.see("weu")
    labels = {"namespace": "dr", "name": "weu"}
    assert served.value("automation_account_healthy", **labels) == 0
    problems = {r: served.value("automation_account_problem", reason=r, **labels) for r in ACCOUNT_PROBLEMS}
    assert problems == dict.fromkeys(ACCOUNT_PROBLEMS, 0) | {"ScheduleMissing": 1}
    assert served.value("automation_account_next_run_timestamp_seconds", **labels) == (NOW + HOUR).timestamp()
    assert served.value("automation_account_run_time_used_seconds", **labels) == 750
    assert served.value("automation_account_run_time_limit_seconds", **labels) == 30_000
    entry.state.account = AccountReport("aa", True)
    assert served.value("automation_account_healthy", **labels) == 1
    assert served.value("automation_account_problem", reason="ScheduleMissing", **labels) == 0
    assert "vault_autoupdate_automation_account_run_time_limit_seconds{" not in served.text()
    for unknown in (AccountReport("aa", None), None):
        entry.state.account = unknown
        assert "vault_autoupdate_automation_account_healthy{" not in served.text()
        assert "vault_autoupdate_automation_account_problem{" not in served.text()


async def test_series_about_resources_can_be_switched_off() -> None:
    served = Served(resources=False)
    served.see("weu")
    assert 'name="weu"' not in served.text()
    assert served.value("queue_depth") == 0


async def test_nothing_served_tells_a_subscription_or_vault(served: Served) -> None:
    served.see("weu")
    scope = QuotaScope("6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10", "westeurope")
    async with served.throttle.call(Caller(scope, "dr", "vault"), CallKind.READ):
        text = served.text()
    assert "6f3b9f5e" not in text
    assert 'vault_autoupdate_arm_quota_remaining{kind="read",region="westeurope",scope="0"} 9999.0' in text


async def test_time_without_being_ready_outlives_a_restart_and_a_change_between_false_and_unknown(
    served: Served,
) -> None:
    entry = served.see("weu", status_of("False", "Progressing"))
    labels = {"namespace": "dr", "name": "weu"}
    assert served.value("resource_not_ready_seconds", **labels) == 3 * 3600
    entry.history.status_is(status_of("Unknown", "Throttled"), NOW)
    assert served.value("resource_not_ready_seconds", **labels) == 3 * 3600
    entry.history.status_is(status_of("True", "Compliant"), NOW)
    assert served.value("resource_not_ready_seconds", **labels) == 0
    served.now += timedelta(minutes=5)
    entry.history.status_is(status_of("False", "Progressing"), served.now)
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
    assert served.value("resource_condition", type="AutomationAccountHealthy", status="Unknown", **labels) is None


async def test_conditions_that_not_every_resource_has_are_shown_where_they_are(served: Served) -> None:
    served.see("weu", status_of("True", "Compliant", AgentsCurrent="False"))
    labels = {"namespace": "dr", "name": "weu", "type": "AgentsCurrent"}
    seen = {status: served.value("resource_condition", status=status, **labels) for status in ("True", "False")}
    assert seen == {"True": 0, "False": 1}


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
    assert served.value("watch_last_contact_timestamp_seconds", watched_namespace="") is None
    assert served.value("watching", watched_namespace="") == 0
    served.health.contact("dr")
    served.health.ready.set()
    assert served.value("watch_last_contact_timestamp_seconds", watched_namespace="") == NOW.timestamp()
    assert served.value("watching", watched_namespace="") == 1


async def test_each_namespace_tells_whether_it_is_watched_and_when_it_was_last_heard_of() -> None:
    served = Served(namespaces=("blue", "green"))
    served.health.begin()
    served.health.ready.set()
    served.now += HOUR
    served.health.contact("green")
    served.health.watches["blue"].refused = 403
    assert served.value("watching", watched_namespace="blue") == 0
    assert served.value("watching", watched_namespace="green") == 1
    contact = "watch_last_contact_timestamp_seconds"
    assert served.value(contact, watched_namespace="blue") == NOW.timestamp()
    assert served.value(contact, watched_namespace="green") == served.now.timestamp()


async def test_writes_that_fail_are_told_until_one_goes_well_or_the_namespace_has_no_resources(served: Served) -> None:
    served.see("weu")
    served.writes.failed("dr", refused=True)
    served.writes.failed("another", refused=True)
    served.now += HOUR
    assert served.value("cluster_writes_failing_seconds") == 3600
    served.writes.written("dr")
    assert served.value("cluster_writes_failing_seconds") == 0


def test_the_watch_was_heard_of_in_the_scenario_though_nothing_else_happened_first(scenario: Monitored) -> None:
    (contact,) = scenario.prometheus.query("min_over_time(vault_autoupdate_watch_last_contact_timestamp_seconds[5m])")
    assert float(contact["value"][1]) > scenario.began - 15


def test_every_operation_that_is_called_is_one_of_those_that_are_documented(scenario: Monitored) -> None:
    found = scenario.prometheus.query("sum by (operation) (vault_autoupdate_arm_requests_total) > 0", at=scenario.ended)
    called = {each["metric"]["operation"] for each in found}
    assert {"update_mapping", "list_items", "update_agent", "get_account", "list_schedules", "list_usages"} <= called
    assert called <= set(OPERATIONS)


def test_the_updates_that_the_scenario_has_are_counted_by_how_they_ended(scenario: Monitored) -> None:
    query = "sum by (outcome) (vault_autoupdate_agent_updates_total)"
    found = scenario.prometheus.query(query, at=scenario.ended)
    counts = {each["metric"]["outcome"]: float(each["value"][1]) for each in found}
    assert (counts["failed"], counts["failed_to_start"], counts["timed_out"]) == (2, 0, 0)
    assert 2 <= counts["succeeded"] <= 4, "the canaries, and those that began between one failure and the other"


def test_prometheus_negotiates_openmetrics_and_takes_every_sample(scenario: Monitored) -> None:
    # One that takes longer than the half second that it may is no news on a busy machine; one that cannot be read is.
    (up,) = scenario.prometheus.query("quantile_over_time(0.5, up[20s])", at=scenario.ended)
    assert float(up["value"][1]) == 1
    samples = "last_over_time((scrape_samples_scraped > 0)[20s:500ms])"
    (seen,) = scenario.prometheus.query(samples, at=scenario.ended)
    assert float(seen["value"][1]) == len(scenario.operator.metrics())
