"""Site Recovery jobs: what their states mean, and whose they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import HOUR, MINUTE, NOW, VAULT, disabled, mapping_id_of
from tests.unit.strategies import HOSTILE_TEXTS, TIMES, jobs
from vault_autoupdate.decide.jobs import (
    JobPhase,
    Operation,
    Standing,
    Verdict,
    WorkKind,
    adopt,
    explanation_of,
    judge,
    may_be_about,
    phase_by_target,
    phase_of,
    running_on,
    unplaced,
)
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import Job, Machine
from vault_autoupdate.model.explanation import Explanation

ALPHA, BETA = disabled("alpha"), disabled("beta")
NAMESAKE = disabled("alpha", id=mapping_id_of("alpha", fabric="westus"))


def _job(name: str = "job-1", state: str = "InProgress", **fields: Any) -> Job:
    return Job(name, state, **({"started_at": NOW - MINUTE} | fields))


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("Succeeded", JobPhase.SUCCEEDED),
        ("PartiallySucceeded", JobPhase.SUCCEEDED),
        ("CompletedWithInformation", JobPhase.SUCCEEDED),
        ("Failed", JobPhase.FAILED),
        ("Cancelled", JobPhase.FAILED),
        ("Canceled", JobPhase.FAILED),
        ("NotStarted", JobPhase.RUNNING),
        ("InProgress", JobPhase.RUNNING),
        ("Cancelling", JobPhase.RUNNING),
        ("Suspended", JobPhase.RUNNING),
        ("Other", JobPhase.RUNNING),
        ("Paused", JobPhase.UNKNOWN),
        ("Succeeded ", JobPhase.UNKNOWN),
        ("", JobPhase.UNKNOWN),
    ],
)
def test_every_state_has_a_meaning_in_any_letter_case(state: str, phase: JobPhase) -> None:
    assert {phase_of(state), phase_of(state.upper()), phase_of(state.lower())} == {phase}


def test_runbook_row_track_all_three_states_of_success_count_as_success() -> None:
    states = ("Succeeded", "PartiallySucceeded", "CompletedWithInformation")

    assert {phase_of(state) for state in states} == {JobPhase.SUCCEEDED}


def test_runbook_row_track_but_better_than_the_runbook_what_is_not_over_yet_is_no_failure() -> None:
    """The runbook takes everything but InProgress and success for a failure."""
    states = ("NotStarted", "Suspended", "Cancelling", "Other", "NobodyKnows")

    assert {judge(_operation(), phase_of(state), NOW, HOUR) for state in states} == {Verdict.RUNNING}


def _operation(started_at: datetime = NOW) -> Operation:
    return Operation(ALPHA.id, "job-1", started_at)


@pytest.mark.parametrize("phase", [JobPhase.RUNNING, JobPhase.UNKNOWN])
@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (timedelta(), Verdict.RUNNING),
        (160 * MINUTE - timedelta(seconds=1), Verdict.RUNNING),
        (160 * MINUTE, Verdict.TIMED_OUT),
        (24 * HOUR, Verdict.TIMED_OUT),
    ],
)
def test_what_runs_or_is_in_an_unknown_state_is_waited_for_until_the_deadline(
    phase: JobPhase, age: timedelta, verdict: Verdict
) -> None:
    assert judge(_operation(NOW - age), phase, NOW, 160 * MINUTE) is verdict


@pytest.mark.parametrize(
    ("phase", "verdict"), [(JobPhase.SUCCEEDED, Verdict.SUCCEEDED), (JobPhase.FAILED, Verdict.FAILED)]
)
def test_a_job_that_has_ended_has_not_timed_out_however_late_that_is_seen(phase: JobPhase, verdict: Verdict) -> None:
    assert judge(_operation(NOW - 24 * HOUR), phase, NOW, MINUTE) is verdict


# Which mapping a running job is at work on.


def _adopted(job: Job, *mappings: Any, known: Any = ()) -> list[Operation]:
    return adopt(mappings or (ALPHA, BETA), [job], WorkKind.MAPPING, known={name.lower() for name in known}, now=NOW)


def test_a_job_belongs_to_the_mapping_whose_id_is_its_target_in_any_letter_case() -> None:
    assert _adopted(_job(target_id=ALPHA.id.upper())) == [Operation(ALPHA.id, "job-1", NOW - MINUTE, adopted=True)]


def test_what_a_job_that_was_begun_elsewhere_does_is_kept() -> None:
    (operation,) = _adopted(replace(_job(target_id=ALPHA.id), scenario="UpdateMobilityService"))

    assert (operation.scenario, operation.adopted) == ("UpdateMobilityService", True)
    assert operation.in_words == (
        f"a job that was begun elsewhere is at work on it since {NOW - MINUTE:%Y-%m-%dT%H:%M:%SZ}: "
        "UpdateMobilityService job-1"
    )


def test_a_job_belongs_to_the_only_mapping_of_its_targets_name() -> None:
    assert [operation.target_id for operation in _adopted(_job(target_name="ALPHA"))] == [ALPHA.id]
    assert _adopted(_job(target_name="alpha", target_id="something/else"))[0].target_id == ALPHA.id


def test_a_name_that_several_mappings_have_tells_nothing_but_the_id_still_does() -> None:
    assert _adopted(_job(target_name="alpha"), ALPHA, NAMESAKE) == []
    assert _adopted(_job(target_name="alpha", target_id=NAMESAKE.id), ALPHA, NAMESAKE)[0].target_id == NAMESAKE.id


@pytest.mark.parametrize(
    "kind", ["ProtectionEntity", "ReplicationProtectedItem", "RecoveryPlan", "VirtualMachine", "Server"]
)
def test_a_job_about_a_machine_or_plan_is_not_taken_by_name(kind: str) -> None:
    assert _adopted(_job(target_name="alpha", target_type=kind)) == []


@pytest.mark.parametrize("kind", ["", "ProtectionContainerMapping", "ProtectionProfile", "CloudPairing"])
def test_a_job_about_anything_else_is_taken_by_name(kind: str) -> None:
    assert len(_adopted(_job(target_name="alpha", target_type=kind))) == 1


@pytest.mark.parametrize("state", ["Succeeded", "Failed", "Cancelled", "PartiallySucceeded"])
def test_a_job_that_has_ended_is_not_adopted(state: str) -> None:
    assert _adopted(_job(state=state, target_id=ALPHA.id)) == []


@pytest.mark.parametrize("state", ["NotStarted", "Suspended", "NobodyKnows", ""])
def test_a_job_that_has_not_ended_is_adopted_also_in_an_unknown_state(state: str) -> None:
    assert len(_adopted(_job(state=state, target_id=ALPHA.id))) == 1


def test_a_job_that_is_tracked_or_given_up_is_left_alone_in_any_letter_case() -> None:
    assert _adopted(_job("JOB-1", target_id=ALPHA.id), known={"job-1"}) == []
    assert _adopted(_job("job-1", target_id=ALPHA.id), known={"JOB-1"}) == []


def test_of_two_jobs_on_one_mapping_the_first_listed_is_adopted() -> None:
    jobs = [_job("newer", target_id=ALPHA.id), _job("older", target_id=ALPHA.id)]

    assert [operation.job_id for operation in adopt([ALPHA], jobs, WorkKind.MAPPING, known=(), now=NOW)] == ["newer"]


def test_jobs_that_are_known_or_have_ended_do_not_hide_those_behind_them() -> None:
    jobs = [_job("known"), _job("over", "Failed", target_id=ALPHA.id), _job("running", target_id=ALPHA.id)]

    assert [operation.job_id for operation in adopt([ALPHA], jobs, WorkKind.MAPPING, known={"known"}, now=NOW)] == [
        "running"
    ]


def test_a_job_that_does_not_say_when_it_started_counts_from_now() -> None:
    assert _adopted(_job(target_id=ALPHA.id, started_at=None))[0].started_at == NOW


@pytest.mark.parametrize("job", [_job(), _job(target_name="gamma"), _job(target_id="/odd"), _job(target_name=" alpha")])
def test_a_job_about_nothing_known_is_not_adopted(job: Job) -> None:
    assert _adopted(job) == []


@given(
    st.lists(
        st.builds(
            _job,
            st.sampled_from(["a", "b", "c", "d"]),
            st.sampled_from(["InProgress", "Failed", "Odd"]),
            target_id=st.sampled_from(["", ALPHA.id, BETA.id, NAMESAKE.id]),
            target_name=st.sampled_from(["", "alpha", "beta"]),
            target_type=st.sampled_from(["", "Server"]),
        ),
        max_size=6,
    ),
    st.sets(st.sampled_from(["a", "b"])),
)
def test_no_mapping_is_adopted_twice_and_no_known_or_ended_job_at_all(jobs: list[Job], known: set[str]) -> None:
    adopted = adopt([ALPHA, BETA, NAMESAKE], jobs, WorkKind.MAPPING, known=known, now=NOW)

    assert len({operation.key for operation in adopted}) == len(adopted)
    assert not {operation.job_id for operation in adopted} & known
    for operation in adopted:
        assert operation.adopted
        assert any(j.name == operation.job_id and j.state != "Failed" for j in jobs)


_VAULT_OF_NAMESAKES = [disabled(f"m{number}") for number in range(4)] + [
    disabled("m0", id=mapping_id_of("m0", fabric="westus"))
]


@given(
    st.lists(jobs(), max_size=8, unique_by=lambda job: job.key),
    st.sets(st.sampled_from(["a", "B"])),
    st.randoms(use_true_random=False),
)
def test_every_running_job_is_known_adopted_second_on_its_mapping_unidentified_or_about_something_else(
    listed: list[Job], known: set[str], random: Any
) -> None:
    lowered = {name.lower() for name in known}
    adopted = adopt(_VAULT_OF_NAMESAKES, listed, WorkKind.MAPPING, known=lowered, now=NOW)
    placed = {*lowered, *(operation.job_key for operation in adopted)}
    unidentified = unplaced(listed, WorkKind.MAPPING, placed=placed, since=NOW - HOUR)

    for job in listed:
        running = phase_of(job.state) in {JobPhase.RUNNING, JobPhase.UNKNOWN}
        about_another = not may_be_about(job, WorkKind.MAPPING)
        accounted = job.key in placed or job in unidentified or about_another
        assert accounted == (running or job.key in placed or about_another)
    shuffled = random.sample(_VAULT_OF_NAMESAKES, len(_VAULT_OF_NAMESAKES))
    assert adopt(shuffled, listed, WorkKind.MAPPING, known=lowered, now=NOW) == adopted, (
        "the order of the mappings decides nothing"
    )


@given(st.lists(jobs(), max_size=8, unique_by=lambda job: job.key))
def test_adopting_again_with_the_adopted_jobs_known_finds_only_further_jobs(listed: list[Job]) -> None:
    first = adopt(_VAULT_OF_NAMESAKES, listed, WorkKind.MAPPING, known=(), now=NOW)
    known = {operation.job_key for operation in first}
    second = adopt(_VAULT_OF_NAMESAKES, listed, WorkKind.MAPPING, known=known, now=NOW)

    assert not {operation.job_id for operation in first} & {operation.job_id for operation in second}
    assert {operation.key for operation in second} <= {operation.key for operation in first}, "second jobs only"


@given(HOSTILE_TEXTS, TIMES, TIMES, st.timedeltas(timedelta(minutes=1), timedelta(hours=24)))
def test_any_state_at_any_time_has_a_verdict_and_what_has_not_ended_times_out_for_good(
    state: str, started_at: datetime, now: datetime, timeout: timedelta
) -> None:
    verdict = judge(_operation(started_at), phase_of(state), now, timeout)
    later = judge(_operation(started_at), phase_of(state), now + HOUR, timeout)

    assert later is verdict or (verdict, later) == (Verdict.RUNNING, Verdict.TIMED_OUT)


# Machines, by the same rules.


def _machine(name: str, container: str) -> Machine:
    below = f"replicationFabrics/f/replicationProtectionContainers/{container}/replicationProtectedItems/{name}"
    return Machine(f"{VAULT.text}/{below}", name)


WEB_1, WEB_1_TOO, WEB_2 = _machine("web-1", "c1"), _machine("web-1", "c2"), _machine("web-2", "c1")


def _on_machines(*jobs: Job) -> dict[str, str]:
    found = running_on([WEB_1, WEB_1_TOO, WEB_2], jobs, WorkKind.AGENT)
    return {key: job.name for key, job in found.items()}


def test_of_two_machines_of_one_name_a_job_is_the_ones_whose_id_it_names() -> None:
    assert _on_machines(_job(target_name="web-1", target_id=WEB_1_TOO.id.upper())) == {WEB_1_TOO.key: "job-1"}
    assert _on_machines(_job(target_name="web-1")) == {}


@pytest.mark.parametrize("kind", ["ProtectionEntity", "ReplicationProtectedItem", "VirtualMachine", "Server", ""])
def test_a_job_about_a_machine_is_taken_by_a_name_that_no_other_has(kind: str) -> None:
    assert _on_machines(_job(target_name="WEB-2", target_type=kind)) == {WEB_2.key: "job-1"}


@pytest.mark.parametrize("kind", ["RecoveryPlan", "ProtectionContainerMapping"])
def test_a_job_about_a_plan_or_a_mapping_is_no_machines(kind: str) -> None:
    assert _on_machines(_job(target_name="web-2", target_type=kind)) == {}


@pytest.mark.parametrize("other", [_machine("web-2", "elsewhere").id, ALPHA.id, NAMESAKE.id.upper()])
def test_a_job_that_names_somebody_else_by_id_is_no_namesakes(other: str) -> None:
    assert _on_machines(_job(target_name="web-2", target_id=other)) == {}
    assert _adopted(_job(target_name="beta", target_id=other)) == [] or fold(other) == ALPHA.key


@pytest.mark.parametrize(
    ("standing", "is_young", "may_run", "phase"),
    [
        (Standing.DONE, True, True, JobPhase.SUCCEEDED),
        (Standing.GONE, True, True, JobPhase.FAILED),
        (Standing.BUSY, False, False, JobPhase.RUNNING),
        (Standing.AS_SET, True, False, JobPhase.RUNNING),
        (Standing.AS_SET, False, True, JobPhase.RUNNING),
        (Standing.AS_SET, False, False, JobPhase.SUCCEEDED),
        (Standing.DIFFERS, True, False, JobPhase.RUNNING),
        (Standing.DIFFERS, False, True, JobPhase.RUNNING),
        (Standing.DIFFERS, False, False, JobPhase.FAILED),
    ],
)
def test_without_a_job_the_target_tells_what_has_become_of_the_work(
    standing: Standing, is_young: bool, may_run: bool, phase: JobPhase
) -> None:
    assert phase_by_target(standing, is_young=is_young, may_run=may_run) is phase


# Jobs that may be ours although nothing says so.


@pytest.mark.parametrize(
    ("job", "unidentified"),
    [
        (_job(), True),
        (_job(state="NobodyKnows"), True),
        (_job(started_at=NOW - HOUR), True),
        (_job(started_at=None), True),
        (_job(target_type="ProtectionContainerMapping"), True),
        (_job(started_at=NOW - HOUR - timedelta(minutes=4)), True),  # Azure's clock may differ from ours
        (_job(started_at=NOW - HOUR - timedelta(minutes=5)), True),
        (_job(started_at=NOW - HOUR - timedelta(minutes=6)), False),
        (_job(state="Succeeded"), False),
        (_job(state="Failed"), False),
        (_job("KNOWN"), False),
        (_job(target_type="RecoveryPlan"), False),
    ],
)
def test_a_running_job_since_the_interrupted_run_began_may_be_ours(job: Job, unidentified: bool) -> None:
    found = unplaced([job], WorkKind.MAPPING, placed={"known"}, since=NOW - HOUR)

    assert found == ([job] if unidentified else [])


def test_an_operation_is_found_under_the_key_of_its_mapping() -> None:
    assert Operation(ALPHA.id.upper(), "job", NOW).key == ALPHA.key


def test_a_job_that_failed_is_explained_by_its_first_error_or_else_by_how_it_ended() -> None:
    words = Explanation("151130", "It failed.")

    assert explanation_of(Job("j", "Failed", errors=(words, Explanation("2")))) == words
    assert explanation_of(Job("j", "Cancelled", "By hand")) == Explanation(
        "Cancelled", "The job ended as Cancelled By hand."
    )
    assert explanation_of(Job("j", "Cancelled")).message == "The job ended as Cancelled."
