"""The metrics: as documented, well-formed, initialised, bounded, and gone with what they are about."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.monitoring.served import HOUR, NOW, REPORT, WELL, Served, status_of
from tools.docs_build import metrics as metrics_docs
from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.decide.account_report import AccountReport
from vault_autoupdate.decide.agent_report import AgentReport, Concern
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.attribution import ChangedMapping, Drift, Standing
from vault_autoupdate.decide.jobs import Operation, Verdict, WorkKind
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.rollout import Phase, Rollout, RolloutDecision
from vault_autoupdate.decide.schedule_report import ScheduleReport
from vault_autoupdate.metrics.resource_specs import ACCOUNT_PROBLEMS
from vault_autoupdate.metrics.spec_types import Kind
from vault_autoupdate.metrics.specs import OPERATIONS, SPECS
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.quota import Caller, QuotaScope
from vault_autoupdate.model.resource import ResourceKey
from workbench.kube.resources import manifest
from workbench.process.waiting import wait_until
from workbench.prometheus.monitored import Monitored

POLICY_STATUS: dict[str, Any] = {
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "Uncovered"},
        {"type": "DiscoveryComplete", "status": "False", "reason": "AuthorizationFailed"},
        {"type": "RolloutPaused", "status": "False", "reason": "WithinLimits"},
        {"type": "RemovalsBlocked", "status": "True", "reason": "AboveLimits"},
    ],
    "vaults": {
        "found": 100, "selected": 71, "managed": 60, "excluded": 9, "notAllowed": 7, "withoutReplication": 4,
        "withoutAccount": 3, "foreign": 2, "conflicting": 1, "orphaned": 8, "ready": 59, "notReady": 1,
    },
    "pending": {"create": 5, "update": 0, "remove": 6},
    "discovery": {
        "source": "Graph",
        "startedAt": "2026-03-01T11:00:00Z",
        "completedAt": "2026-03-01T11:00:12Z",
        "lastCompleteAt": "2026-03-01T09:00:00Z",
        "subscriptions": {"expected": 3, "read": 2, "unreachable": 1, "disabled": 0},
    },
}  # fmt: skip


@pytest.fixture
async def served() -> Served:
    return Served()


def test_names_follow_the_conventions() -> None:
    for spec in SPECS:
        assert spec.name.startswith("vault_autoupdate_")
        assert (spec.kind is Kind.COUNTER) == spec.name.endswith("_total")
        assert spec.text.endswith((".", ")."))
        assert not {"vault", "subscription", "message", "error", "mapping", "job"} & set(spec.labels)


async def test_what_is_served_is_what_is_documented_with_the_labels_that_are_documented(served: Served) -> None:
    entry = served.see_windows("weu", status_of("False", "MappingsFailed", Reconciling="True"))
    entry.state.attempts = {"a": Attempt(4, NOW, NOW, reason=FailureReason.JOB_FAILED)}
    entry.state.operations = {"b": Operation("b", "job", NOW)}
    entry.state.schedules.look.report = ScheduleReport("at night", 3, 1)
    entry.state.drift = Drift(NOW, None, 1, ())
    entry.changed_at = NOW
    served.see("neu", {"mappings": {"compliant": 1}}, suspend=True, mode="Audit")
    await served.throttle.call(Caller(QuotaScope("sub", "westeurope"), "dr", "vault"), CallKind.WRITE).__aenter__()
    served.metrics.quota_reported(CallKind.READ, 1)
    served.metrics.credential_expires(0.0)
    served.health.contact("dr")
    served.see_policy(POLICY_STATUS)
    labels: dict[str, set[str]] = {}
    for name, pairs in await served.samples():
        if name.startswith("vault_autoupdate_"):
            labels.setdefault(name, set()).update(key for key, _ in pairs)
    documented = {name: set(spec.labels) for spec in SPECS for name in spec.series}
    assert labels.keys() == documented.keys()
    for name, found in labels.items():
        assert found - {"le"} == documented[name], name


async def test_each_vault_of_a_policy_has_one_standing_and_what_is_said_of_the_policy_is_told(served: Served) -> None:
    served.see_policy(POLICY_STATUS, mode="Enforce", discovery={"interval": "2h"})
    of = {"namespace": "platform", "name": "estate"}

    standings = {
        dict(labels)["standing"]: value
        for (name, labels), value in (await served.samples()).items()
        if name == "vault_autoupdate_policy_vaults"
    }
    assert standings == {
        "managed": 60, "missing": 5, "without_account": 3, "foreign": 2, "conflicting": 1, "excluded": 9,
        "without_replication": 4, "not_selected": 16, "not_allowed": 7,
    }  # fmt: skip
    assert await served.value("policy_coverage_ratio", **of) == 60 / 71
    assert await served.value("policy_ready", **of, reason="Uncovered") == 0
    assert await served.value("policy_enforced", **of) == 1
    assert await served.value("policy_discovery_complete", **of) == 0
    assert await served.value("policy_removals_blocked", **of) == 1
    assert await served.value("policy_rollout_paused", **of) == 0
    assert await served.value("policy_subscriptions", **of, state="unreachable") == 1
    assert await served.value("policy_resources_orphaned", **of) == 8
    assert await served.value("policy_discovery_duration_seconds", **of) == 12
    assert await served.value("policy_discovery_interval_seconds", **of) == 7200
    last = datetime(2026, 3, 1, 9, tzinfo=UTC).timestamp()
    assert await served.value("policy_last_complete_discovery_timestamp_seconds", **of) == last
    assert await served.value("policy_pending", **of, step="remove") == 6


async def test_promtool_has_nothing_to_say_about_the_exposition(served: Served, promtool: str) -> None:
    served.see_windows("weu")
    ended = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "metrics"],
        input=await served.text(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


async def test_counters_are_there_from_the_start_so_that_a_rate_sees_the_first_event(served: Served) -> None:
    counted = {
        name: [value for (found, _), value in (await served.samples()).items() if found == name]
        for name in (spec.name for spec in SPECS if spec.kind is Kind.COUNTER)
        if "resource" not in name
    }
    assert all(values and set(values) == {0.0} for values in counted.values()), counted
    served.see("weu")
    assert await served.value("resource_reverts_total", namespace="dr", name="weu") == 0.0


async def test_series_about_a_resource_go_with_the_resource(served: Served) -> None:
    served.see("weu")
    served.see("neu")
    served.controller.on_delete(ResourceKey("dr", "weu"))
    text = await served.text()
    assert 'name="weu"' not in text
    assert 'name="neu"' in text


async def test_a_resource_that_needs_nobody_has_as_many_series_as_the_page_says(served: Served) -> None:
    entry = served.see("weu", status_of("True", "Compliant", **WELL))
    entry.state.looked = True
    entry.state.actions = {f"m{number}": (Action.KEEP, Action.IGNORE)[number % 2] for number in range(300)}
    entry.state.agents.report = AgentReport(300, versions=tuple((f"9.{number}", 1) for number in range(300)))
    entry.state.account.report = AccountReport("aa", healthy=True, next_run=NOW + HOUR, minutes_used=12.5)
    about_it = [labels for _, labels in await served.samples() if ("name", "weu") in labels]
    assert f"has about {len(about_it)} of them" in metrics_docs.PAGE.read_text()


async def test_a_resource_with_all_there_is_has_few_more_however_much_its_vault_holds(served: Served) -> None:
    entry = served.see_windows("weu", status_of("False", "MappingsFailed", AgentsCurrent="False"))
    entry.state.looked = True
    entry.state.agents.report = replace(REPORT, versions=tuple((f"9.{number}", 1) for number in range(300)))
    for number in range(300):
        entry.state.actions[f"m{number}"] = Action.WAIT
        entry.state.attempts[f"m{number}"] = Attempt(number, NOW, NOW, reason=FailureReason.JOB_FAILED)
        entry.state.rollout.updates[f"v{number}"] = Operation(f"v{number}", "job", NOW, name="vm")
    about_it = [labels for _, labels in await served.samples() if ("name", "weu") in labels]
    assert len(about_it) <= 30


async def test_without_series_of_resources_the_totals_stay(served: Served) -> None:
    served.resources = False
    served.see("weu", status_of("False", "AuthorizationFailed", Stalled="True"))
    assert 'name="weu"' not in await served.text()
    assert await served.value("resources", ready="False", reason="AuthorizationFailed") == 1
    assert await served.value("resources_in_trouble", trouble="stalled") == 1
    assert await served.value("resources_in_trouble", trouble="jobs_failing") == 0
    assert await served.value("all_mappings", state="drifted") == 0


async def test_a_reason_that_the_operator_does_not_know_is_no_label(served: Served) -> None:
    served.see("weu", status_of("False", "SomethingOfAzure"))
    assert await served.value("resource_not_ready_seconds", namespace="dr", name="weu", reason="Other") == 3 * 3600
    assert await served.value("resources", ready="False", reason="Other") == 1


async def test_mappings_and_failures_are_known_before_the_first_look_from_the_status(served: Served) -> None:
    counts = {"total": 9, "inScope": 8, "compliant": 5, "drifted": 0, "updating": 0, "failed": 3, "ignored": 1}
    failures = [
        {
            "mapping": f"f/c/m{number}",
            "reason": "JobFailed",
            "attempts": 2,
            "lastAttemptAt": "2026-03-01T09:00:00Z",
            "nextAttemptAt": "2026-03-01T15:00:00Z",
        }
        for number in range(2)
    ]
    served.see(
        "weu", {**status_of("False", "MappingsFailed"), "mappings": counts, "failures": failures, "failuresOmitted": 1}
    )
    labels = {"namespace": "dr", "name": "weu"}
    assert await served.value("mappings", state="compliant", **labels) == 5
    assert await served.value("mappings", state="failed", **labels) == 3
    assert await served.value("mappings", state="drifted", **labels) is None
    assert await served.value("resource_failures", reason="JobFailed", **labels) == 3


async def test_mappings_are_absent_until_anything_is_known_of_them(served: Served) -> None:
    served.see("weu")
    assert "vault_autoupdate_mappings{" not in await served.text()


async def test_when_agents_and_account_were_looked_at_outlives_the_process_and_is_absent_before_the_first_look(
    served: Served,
) -> None:
    labels, told = {"namespace": "dr", "name": "weu"}, "resource_last_look_timestamp_seconds"
    status = {"agents": {"total": 3, "lookedAt": "2026-02-27T12:00:00Z"}, "automationAccount": {"name": "aa"}}
    document = manifest("weu", namespace="dr")
    document["metadata"] |= {"uid": "uid", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    served.controller.on_change({**document, "status": status})
    entry = served.controller.resources[ResourceKey("dr", "weu")]
    long_ago = datetime(2026, 2, 27, 12, tzinfo=UTC).timestamp()
    assert await served.value(told, subject="agents", **labels) == long_ago
    assert await served.value(told, subject="automation_account", **labels) is None
    assert await served.value(told, subject="runbook_schedules", **labels) is None
    assert await served.value("oldest_look_timestamp_seconds", subject="agents") == long_ago
    assert await served.value("look_interval_seconds", subject="agents") == 6 * 3600
    assert await served.value("resources_in_trouble", trouble="looks_old") == 0, "the vault is not seen either"

    entry.history.looked_at(NOW, NOW)
    assert await served.value("resources_in_trouble", trouble="looks_old") == 1
    entry.state.agents.found(REPORT, NOW, NOW + 6 * HOUR)
    assert await served.value(told, subject="agents", **labels) == NOW.timestamp()
    assert await served.value("resources_in_trouble", trouble="looks_old") == 0
    entry.state.agents.failed(Explanation("AuthorizationFailed", "no"), NOW)
    assert await served.value(told, subject="agents", **labels) is None, "nothing is known that could be old"


async def test_schedules_that_are_amiss_are_counted_and_in_mode_audit_they_are_no_trouble(served: Served) -> None:
    labels = {"namespace": "dr", "name": "weu"}
    entry = served.see("weu", {"runbookSchedule": {"declared": "at night", "schedules": 5, "inSync": 3}})
    assert await served.value("runbook_schedules", state="in_sync", **labels) == 3, "as an earlier process found them"
    assert await served.value("runbook_schedules", state="amiss", **labels) == 2
    assert await served.value("all_runbook_schedules", state="amiss") == 2
    assert await served.value("resources_in_trouble", trouble="schedules_amiss") == 1

    entry.state.schedules.look.report = ScheduleReport("at night", 5, 5)
    assert await served.value("runbook_schedules", state="amiss", **labels) is None
    assert await served.value("all_runbook_schedules", state="amiss") == 0
    served.see("neu", mode="Audit").state.schedules.look.report = ScheduleReport("at night", 5, 3)
    assert await served.value("resources_in_trouble", trouble="schedules_amiss") == 0


async def test_how_far_it_is_known_who_undid_something_is_told_with_when_that_was(served: Served) -> None:
    labels = {"namespace": "dr", "name": "weu"}
    entry = served.see("weu")
    assert "vault_autoupdate_drift_found_timestamp_seconds{" not in await served.text()
    entry.state.drift = Drift(NOW, NOW - HOUR, 1, (ChangedMapping("m", "Disabled"),), problem=Explanation("403", "no"))
    told = {
        standing: await served.value("drift_found_timestamp_seconds", attribution=standing, **labels)
        for standing in Standing
    }
    assert told == {**dict.fromkeys(Standing), Standing.NOT_READABLE: NOW.timestamp()}


async def test_agents_have_no_series_while_nobody_knows_about_them(served: Served) -> None:
    entry = served.see("weu")
    assert await served.value("agents", namespace="dr", name="weu", state="current") == 25
    entry.state.agents.report = None
    text = await served.text()
    for name in ("agents", "agents_concern", "agent_versions"):
        assert f"vault_autoupdate_{name}{{" not in text


async def test_agents_are_counted_by_concern_without_those_that_none_has(served: Served) -> None:
    served.see("weu")
    found = {
        concern: value
        for concern in Concern
        if (value := await served.value("agents_concern", namespace="dr", name="weu", concern=concern)) is not None
    }
    assert found == {Concern.EXPIRING: 3, Concern.UPDATE_REQUIRED: 4}
    totals = {concern: await served.value("all_agents_concern", concern=concern) for concern in Concern}
    assert totals == dict.fromkeys(Concern, 0) | found


async def test_agents_are_counted_by_version_and_what_is_no_version_is_among_the_others(served: Served) -> None:
    entry = served.see("weu")
    entry.state.agents.report = AgentReport(
        9, versions=(("9.66.7000.1", 4), ("unknown", 2), ("", 1), ("id 6f3b9f5e", 2))
    )
    counts = {"9.66.7000.1": 4, "unknown": 2, "other": 3}
    assert {version: await served.value("agent_versions", version=version) for version in counts} == counts
    assert "6f3b9f5e" not in await served.text()


async def test_updates_in_windows_are_shown_while_a_window_is_open(served: Served) -> None:
    served.see_windows("weu")
    labels = {"namespace": "dr", "name": "weu"}
    assert await served.value("agent_updates_in_flight", **labels) == 2
    assert await served.value("agent_updates_waiting", **labels) == 4
    assert await served.value("agent_updates_failed_machines", **labels) == 1
    assert await served.value("agent_window_open", **labels) == 1
    assert await served.value("agent_next_window_timestamp_seconds", **labels) == (NOW + 24 * HOUR).timestamp()
    assert await served.value("agent_updates_attempts_most", **labels) == 3
    phases = {phase: await served.value("agent_updates_phase", phase=phase, **labels) for phase in Phase}
    assert phases == {**dict.fromkeys(Phase), Phase.ROLLING: 1}
    served.now += HOUR
    assert await served.value("agent_window_open", **labels) is None


async def test_without_windows_there_are_no_series_of_them_but_those_of_updates_left_over(served: Served) -> None:
    entry = served.see("weu")
    assert "vault_autoupdate_agent_updates_in_flight{" not in await served.text()
    entry.state.rollout = Rollout(updates={"a": Operation("a", "job", NOW, name="vm-a")})
    entry.state.rollout_decision = RolloutDecision(Phase.CLOSED)
    text = await served.text()
    assert 'vault_autoupdate_agent_updates_in_flight{namespace="dr",name="weu"} 1\n' in text
    for name in ("agent_updates_waiting", "agent_updates_phase", "agent_updates_failed_machines", "agent_window_open"):
        assert f"vault_autoupdate_{name}{{" not in text


async def test_updates_of_agents_are_counted_by_how_they_ended_and_timed(served: Served) -> None:
    words = Explanation("1", "words")
    served.metrics.work_failed_to_start(WorkKind.AGENT, "vm-a", words)
    served.metrics.work_ended(WorkKind.AGENT, "vm-b", Verdict.SUCCEEDED, timedelta(seconds=90), words)
    served.metrics.work_ended(WorkKind.AGENT, "vm-c", Verdict.FAILED, timedelta(seconds=30), words)
    served.metrics.work_ended(WorkKind.AGENT, "vm-d", Verdict.TIMED_OUT, timedelta(seconds=-1), words)
    ended = ("failed_to_start", "succeeded", "failed", "timed_out")
    assert {each: await served.value("agent_updates_total", outcome=each) for each in ended} == dict.fromkeys(ended, 1)
    assert await served.value("agent_update_duration_seconds_count") == 3
    assert await served.value("agent_update_duration_seconds_sum") == 120
    assert "vm-" not in await served.text()


async def test_the_automation_account_is_healthy_or_has_known_problems_or_is_absent(served: Served) -> None:
    entry = served.see("weu")
    labels = {"namespace": "dr", "name": "weu"}
    assert await served.value("automation_account_healthy", **labels) == 0
    problems = {r: await served.value("automation_account_problem", reason=r, **labels) for r in ACCOUNT_PROBLEMS}
    assert problems == {**dict.fromkeys(ACCOUNT_PROBLEMS), "ScheduleMissing": 1}
    assert await served.value("automation_account_next_run_timestamp_seconds") == (NOW + HOUR).timestamp()
    assert await served.value("automation_account_run_time_used_seconds", **labels) == 750
    assert await served.value("automation_account_run_time_limit_seconds", **labels) == 30_000
    entry.state.account.report = AccountReport("aa", True)
    assert await served.value("automation_account_healthy", **labels) == 1
    assert await served.value("automation_account_problem", reason="ScheduleMissing", **labels) is None
    assert "vault_autoupdate_automation_account_run_time_limit_seconds{" not in await served.text()
    for unknown in (AccountReport("aa", None), None):
        entry.state.account.report = unknown
        assert "vault_autoupdate_automation_account_healthy{" not in await served.text()
        assert "vault_autoupdate_automation_account_problem{" not in await served.text()


async def test_series_about_resources_can_be_switched_off() -> None:
    served = Served(resources=False)
    served.see("weu")
    assert 'name="weu"' not in await served.text()
    assert await served.value("queue_depth") == 0


async def test_nothing_served_tells_a_subscription_or_vault_and_the_log_says_once_which_is_which(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    served.see("weu")
    scope = QuotaScope("6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10", "westeurope")
    async with served.throttle.call(Caller(scope, "dr", "vault"), CallKind.READ):
        text = await served.text()
        await served.text()
    assert "6f3b9f5e" not in text
    label = hashlib.sha256(scope.subscription.encode()).hexdigest()[:8]
    assert f'vault_autoupdate_arm_quota_remaining{{kind="read",region="westeurope",scope="{label}"}} 9999.0' in text
    assert [each for each in caplog.messages if label in each] == [
        f"in metrics, scope {label} is subscription {scope.subscription}"
    ]


async def test_a_region_that_is_no_name_is_no_label(served: Served) -> None:
    for number, region in enumerate(("westeurope", "", 'x"} 1', "ü" * 300)):
        async with served.throttle.call(Caller(QuotaScope(f"sub-{number}", region), "dr", "vault"), CallKind.READ):
            pass
    text = await served.text()
    remaining = [line for line in text.splitlines() if line.startswith("vault_autoupdate_arm_quota_remaining{")]
    assert [line.partition(',scope')[0].rpartition("region=")[2] for line in remaining] == [
        '"westeurope"', '""', '"other"', '"other"',
    ]  # fmt: skip


async def test_time_without_being_ready_outlives_a_restart_and_a_change_between_false_and_unknown(
    served: Served,
) -> None:
    labels = {"namespace": "dr", "name": "weu"}
    served.see("weu", status_of("False", "Progressing"))
    assert await served.value("resource_not_ready_seconds", reason="Progressing", **labels) == 3 * 3600
    served.see("weu", status_of("Unknown", "Throttled", since="2026-03-01T11:59:00Z"))
    assert await served.value("resource_not_ready_seconds", reason="Throttled", **labels) == 3 * 3600
    served.see("weu", status_of("True", "Compliant"))
    assert "vault_autoupdate_resource_not_ready_seconds{" not in await served.text()
    served.now += timedelta(minutes=5)
    served.see("weu", status_of("False", "Progressing"))
    served.now += timedelta(minutes=1)
    assert await served.value("resource_not_ready_seconds", reason="Progressing", **labels) == 60


async def test_nobody_waits_for_a_suspended_resource_to_be_ready(served: Served) -> None:
    served.see("weu", status_of("Unknown", "Suspended"), suspend=True)
    labels = {"namespace": "dr", "name": "weu"}
    assert "vault_autoupdate_resource_not_ready_seconds{" not in await served.text()
    assert await served.value("resource_suspended", **labels) == 1
    assert await served.value("resources_expected_fresh") == 0


async def test_nobody_waits_for_mode_audit_to_mend_a_difference_but_for_all_else(served: Served) -> None:
    labels = {"namespace": "dr", "name": "weu"}
    served.see("weu", status_of("False", "DriftDetected"), mode="Audit")
    assert "vault_autoupdate_resource_not_ready_seconds{" not in await served.text()
    assert await served.value("resource_audited", **labels) == 1
    served.see("weu", status_of("False", "AuthorizationFailed"), mode="Audit")
    seconds = await served.value("resource_not_ready_seconds", reason="AuthorizationFailed", **labels)
    assert seconds == 3 * 3600


async def test_conditions_are_shown_that_are_not_as_they_are_of_a_resource_which_needs_nobody(served: Served) -> None:
    labels = {"namespace": "dr", "name": "weu"}
    served.see("weu", status_of("True", "Compliant", Stalled="False", **WELL))
    assert "vault_autoupdate_resource_condition{" not in await served.text()
    served.see("weu", status_of("False", "InvalidSpec", Stalled="True", AgentsCurrent="Unknown"))
    for kind, status in {"Stalled": "True", "AgentsCurrent": "Unknown"}.items():
        found = await served.value("resource_condition", type=kind, status=status, reason="InvalidSpec", **labels)
        assert found == 1, kind


async def test_failures_are_counted_by_reason_and_the_most_tried_mapping_is_shown(served: Served) -> None:
    entry = served.see("weu")
    entry.state.looked = True
    entry.state.actions = {"a": Action.WAIT, "b": Action.WAIT, "c": Action.TRACK}
    entry.state.attempts = {
        "a": Attempt(4, NOW, NOW, reason=FailureReason.JOB_FAILED),
        "b": Attempt(1, NOW, NOW, reason=FailureReason.STILL_DIFFERS),
        "c": Attempt(1, NOW, NOW, reason=FailureReason.STILL_DIFFERS),
    }
    labels = {"namespace": "dr", "name": "weu"}
    assert await served.value("resource_failures", reason="JobFailed", **labels) == 1
    assert await served.value("resource_failures", reason="StillDiffers", **labels) == 1
    assert await served.value("resource_attempts_most", **labels) == 4
    assert await served.value("resources_in_trouble", trouble="jobs_failing") == 1


async def test_the_last_word_of_the_api_server_is_absent_before_watching_began(served: Served) -> None:
    assert await served.value("watch_last_contact_timestamp_seconds", watched_namespace="") is None
    assert await served.value("watching", watched_namespace="") == 0
    served.health.contact("dr")
    served.health.ready.set()
    assert await served.value("watch_last_contact_timestamp_seconds", watched_namespace="") == NOW.timestamp()
    assert await served.value("watching", watched_namespace="") == 1


async def test_each_namespace_tells_whether_it_is_watched_and_when_it_was_last_heard_of() -> None:
    served = Served(namespaces=("blue", "green"))
    served.health.begin()
    served.health.ready.set()
    served.now += HOUR
    served.health.contact("green")
    served.health.watches["blue"].refused = 403
    assert await served.value("watching", watched_namespace="blue") == 0
    assert await served.value("watching", watched_namespace="green") == 1
    contact = "watch_last_contact_timestamp_seconds"
    assert await served.value(contact, watched_namespace="blue") == NOW.timestamp()
    assert await served.value(contact, watched_namespace="green") == served.now.timestamp()


async def test_writes_that_fail_are_told_until_one_goes_well_or_the_namespace_has_no_resources(served: Served) -> None:
    served.see("weu")
    served.writes.failed("dr", refused=True)
    served.writes.failed("another", refused=True)
    served.now += HOUR
    assert await served.value("cluster_writes_failing_seconds") == 3600
    served.writes.written("dr")
    assert await served.value("cluster_writes_failing_seconds") == 0


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


def test_prometheus_takes_every_sample(scenario: Monitored) -> None:
    # One that takes longer than the half second that it may is no news on a busy machine; one that cannot be read is.
    (up,) = scenario.prometheus.query("quantile_over_time(0.5, up[20s])", at=scenario.ended)
    assert float(up["value"][1]) == 1

    # What is as it should be has no series, so that their number changes: both are asked for until they agree.
    def taken() -> bool:
        samples = {float(each["value"][1]) for each in scenario.prometheus.query("scrape_samples_scraped > 0")}
        return len(scenario.operator.metrics()) in samples

    wait_until(taken, within=30, what="a scrape with as many samples as the page has")
