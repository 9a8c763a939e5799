"""The check of the Automation account: what is wrong, in which order, and the exact thing to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT, ACCOUNT_ID, HOUR, NOW, OTHER_ACCOUNT_ID, disabled, mapping
from tests.unit.strategies import HOSTILE_TEXTS, TIMES
from vault_autoupdate.decide.account_report import AccountReport, Problem, absent_artifacts, build_account_report
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.model.azure import (
    RUNBOOK,
    Account,
    AccountFacts,
    ContainerMapping,
    LostArtifact,
    RunbookRun,
    Schedule,
)
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.text import printable
from vault_autoupdate.report.conditions import ConditionValue, account_healthy

SCHEDULE: Final = "alpha_A85EA38F"
BINDING: Final = "3D6F1E0C-0000-4000-8000-000000000001"
FINE: Final = Account("aa-dr", "Ok", "SystemAssigned")
TONIGHT: Final = NOW + 12 * HOUR
REPAIR: Final = (
    "Setting auto-update of the mapping again makes it anew: mode Enforce does so; by hand, use Repair in the vault's "
    "Site Recovery Infrastructure > Extension Update Settings."
)


def _mapping(name: str = "alpha", **changes: Any) -> ContainerMapping:
    """A mapping that the account updates, by a schedule of its own."""
    return mapping(name, **({"schedule_name": SCHEDULE, "job_schedule_name": BINDING} | changes))


def _facts(**changes: Any) -> AccountFacts:
    """What is read of an account with which all is well."""
    fields: dict[str, Any] = {
        "account": FINE,
        "schedules": {SCHEDULE.casefold(): Schedule(SCHEDULE, enabled=True, next_run=TONIGHT)},
        "job_schedules": {BINDING.casefold(): SCHEDULE},
        "runs": (RunbookRun("Completed", NOW - 12 * HOUR, NOW - 11 * HOUR),),
    }
    return AccountFacts(**(fields | changes))


def _report(*mappings: ContainerMapping, **facts: Any) -> AccountReport:
    return build_account_report(_facts(**facts), ACCOUNT, mappings or (_mapping(),), NOW)


def _only_problem(report: AccountReport) -> tuple[str, str]:
    assert report.healthy is False
    (problem,) = report.problems
    return problem.reason, problem.message


def _check(report: AccountReport, reason: str, message: str) -> None:
    """Make sure that this is the only problem."""
    assert _only_problem(report) == (reason, message)


def _reasons(report: AccountReport) -> list[str]:
    return [problem.reason for problem in report.problems]


# All is well.


def test_an_account_that_can_update_the_agents_is_healthy() -> None:
    run = RunbookRun("Completed", NOW - 12 * HOUR, NOW - 11 * HOUR)

    assert _report() == AccountReport("aa-dr", healthy=True, state="Ok", next_run=TONIGHT, last_run=run, schedules=1)


def test_letter_case_does_not_matter() -> None:
    shouting = _mapping(
        instance_type="a2a",
        state="PAIRED",
        auto_update_status="enabled",
        automation_account_id=ACCOUNT_ID.upper(),
        schedule_name=SCHEDULE.upper(),
        job_schedule_name=BINDING.lower(),
    )

    report = _report(shouting, account=Account("AA-DR", "OK", "systemassigned"))

    assert report.healthy is True
    assert report.next_run == TONIGHT


def test_an_account_whose_state_azure_does_not_tell_is_neither_healthy_nor_not() -> None:
    report = _report(account=replace(FINE, state=""))

    assert (report.healthy, report.problems) == (None, ())
    assert account_healthy(report, None) == ConditionValue(
        "AutomationAccountHealthy",
        "Unknown",
        "NotReported",
        "Azure does not say in what state Automation account aa-dr is: look at its page in the portal.",
    )


def test_the_next_run_is_the_first_of_an_enabled_schedule_of_our_mappings_that_is_not_over() -> None:
    times = {"over": -HOUR, "disabled": HOUR, "late": 9 * HOUR, "unsaid": 3 * HOUR, "others": 2 * HOUR}
    schedules = {name: Schedule(name, enabled=True, next_run=NOW + ahead) for name, ahead in times.items()}
    schedules["disabled"] = replace(schedules["disabled"], enabled=False)
    schedules["unsaid"] = replace(schedules["unsaid"], enabled=None)
    schedules["none"] = Schedule("none", enabled=True)
    mappings = [_mapping(name, schedule_name=name) for name in schedules if name != "others"]

    report = _report(*mappings, schedules=schedules)

    assert report.next_run == NOW + 3 * HOUR
    assert _report(schedules={SCHEDULE.casefold(): Schedule(SCHEDULE, enabled=True, next_run=NOW)}).next_run == NOW
    assert _report(schedules={SCHEDULE.casefold(): Schedule(SCHEDULE, enabled=True)}).next_run is None


# Each problem.


def test_an_account_that_does_not_exist_is_the_only_problem() -> None:
    report = build_account_report(AccountFacts(None), ACCOUNT, [_mapping()], NOW)

    _check(
        report,
        "AccountNotFound",
        "Automation account aa-dr does not exist in resource group rg-dr. Create it, or set "
        "spec.automationAccountResourceId to one that exists.",
    )
    assert (report.name, report.schedules_missing, report.missing) == ("aa-dr", 0, {}), "a PATCH would mend nothing"


@pytest.mark.parametrize("state", ["Suspended", "Unavailable"])
def test_an_account_in_another_state_than_ok_runs_nothing(state: str) -> None:
    report = _report(account=replace(FINE, state=state))

    assert report.state == state
    _check(
        report,
        "AccountNotOk",
        f"Automation account aa-dr is in state {state}, so it runs nothing. Its page in the portal says why.",
    )


@pytest.mark.parametrize(
    ("identity", "is_there"),
    [
        ("SystemAssigned", True),
        ("SystemAssigned, UserAssigned", True),
        ("UserAssigned, SystemAssigned", True),
        ("UserAssigned,SystemAssigned", True),
        ("UserAssigned", False),
        ("None", False),
        ("", False),
        ("NotSystemAssigned", False),
    ],
)
def test_the_runbook_needs_a_system_assigned_identity(identity: str, is_there: bool) -> None:
    report = _report(account=replace(FINE, identity_type=identity))

    assert report.healthy is is_there
    if not is_there:
        _check(
            report,
            "NoSystemAssignedIdentity",
            "Automation account aa-dr has no system-assigned identity, with which the update runbook logs in. Switch "
            "it on in the portal (Automation account > Identity > System assigned) and give it a role on the vault.",
        )


def test_a_schedule_that_is_gone_is_named_with_its_mapping_and_the_cure() -> None:
    report = _report(schedules={})

    _check(
        report,
        "ScheduleMissing",
        f"Schedule {SCHEDULE} of mapping eastus/east-container/alpha is not in Automation account aa-dr. {REPAIR}",
    )
    assert report.schedules_missing == 1
    assert report.missing == {_mapping().key: LostArtifact(SCHEDULE, f"schedule {SCHEDULE} is missing")}
    assert report.next_run is None


def test_what_binds_a_schedule_to_the_runbook_is_missed_as_well() -> None:
    report = _report(job_schedules={})

    _check(
        report,
        "JobScheduleMissing",
        f"Job schedule {BINDING} of mapping eastus/east-container/alpha is not in Automation account aa-dr. {REPAIR}",
    )
    assert report.schedules_missing == 0
    assert report.missing == {_mapping().key: LostArtifact(BINDING, f"job schedule {BINDING} is missing")}


def test_of_a_mapping_that_has_lost_both_the_schedule_is_told() -> None:
    report = _report(schedules={}, job_schedules={})

    assert _reasons(report) == ["ScheduleMissing", "JobScheduleMissing"]
    assert report.missing == {_mapping().key: LostArtifact(SCHEDULE, f"schedule {SCHEDULE} is missing")}


def test_of_several_mappings_the_first_is_named_and_the_others_are_counted() -> None:
    mappings = [_mapping(name, schedule_name=f"{name}-nightly") for name in ("gamma", "alpha", "beta")]

    report = _report(*mappings, schedules={"beta-nightly": Schedule("beta-nightly", enabled=True)})
    message = _only_problem(report)[1]
    assert message.startswith(
        "Schedule alpha-nightly of mapping eastus/east-container/alpha (and of 1 more mapping) is not in "
    )
    assert report.schedules_missing == 2
    assert set(report.missing) == {mappings[0].key, mappings[1].key}
    assert "(and of 2 more mappings)" in _only_problem(_report(*mappings))[1]


def test_a_schedule_that_several_mappings_share_is_counted_once() -> None:
    mappings = [_mapping(name, schedule_name=f"Shared-{name}"[:6]) for name in ("alpha", "beta")]

    gone = _report(*mappings, schedules={})
    off = _report(*mappings, schedules={"shared": Schedule("Shared", enabled=False)})

    assert (gone.schedules_missing, gone.schedules_disabled) == (1, 0)
    assert (off.schedules_missing, off.schedules_disabled) == (0, 1)
    assert len(gone.missing) == 2


@pytest.mark.parametrize(
    "other",
    [
        _mapping(instance_type="InMageRcm"),
        _mapping(state="Pairing"),
        disabled(schedule_name=SCHEDULE, job_schedule_name=BINDING),
        _mapping(auto_update_status=""),
        _mapping(automation_account_id=OTHER_ACCOUNT_ID),
        _mapping(automation_account_id=""),
        mapping(),
    ],
)
def test_a_mapping_that_the_account_does_not_update_or_that_names_no_schedule_is_not_judged(
    other: ContainerMapping,
) -> None:
    report = _report(other, schedules={}, job_schedules={})

    assert report.healthy is True
    assert report.missing == {}


def test_a_disabled_schedule_is_named_with_where_to_enable_it() -> None:
    schedules = {SCHEDULE.casefold(): Schedule(SCHEDULE, enabled=False, next_run=TONIGHT)}

    report = _report(schedules=schedules)

    _check(
        report,
        "ScheduleDisabled",
        f"Schedule {SCHEDULE} of mapping eastus/east-container/alpha is disabled, so the update runbook does not run. "
        "Enable it in the portal (Automation account aa-dr > Schedules), or declare "
        "autoUpdate: Disabled if that is meant.",
    )
    assert (report.schedules_missing, report.schedules_disabled) == (0, 1)
    assert report.missing == {}, "a PATCH does not enable it"
    assert report.next_run is None


def test_a_schedule_of_which_azure_does_not_say_whether_it_is_enabled_is_no_problem() -> None:
    assert _report(schedules={SCHEDULE.casefold(): Schedule(SCHEDULE)}).healthy is True


@pytest.mark.parametrize("status", ["Failed", "Suspended", "Stopped", "Blocked", "Disconnected", "NobodyKnows"])
def test_the_runbook_is_failing_when_its_last_run_did_not_complete(status: str) -> None:
    report = _report(runs=(RunbookRun(status, NOW - HOUR), RunbookRun("Completed", NOW - 25 * HOUR)))

    _check(
        report,
        "RunbookFailing",
        f"The last run of 2026-03-01T11:00:00Z of the update runbook ended as {status}. Look at it in the portal "
        f"(Automation account aa-dr > Jobs > {RUNBOOK}). One cause that Microsoft names: the account's identity has no "
        "role on the vault.",
    )
    assert report.last_run == RunbookRun(status, NOW - HOUR)


def test_a_failure_before_the_last_run_is_over() -> None:
    runs = (RunbookRun("completed", NOW - HOUR), RunbookRun("Failed", NOW - 25 * HOUR))

    assert _report(runs=runs).healthy is True


@pytest.mark.parametrize("status", ["New", "Activating", "Running", "Resuming", "Stopping", "Suspending", "Removing"])
def test_while_a_run_goes_on_the_one_before_it_tells(status: str) -> None:
    running = RunbookRun(status, NOW)

    for before, healthy in (("Completed", True), ("Failed", False)):
        report = _report(runs=(running, RunbookRun(before)))
        assert report.healthy is healthy
        assert report.last_run == running
    assert _report(runs=(running,)).healthy is True
    assert _report(runs=(running, RunbookRun("Failed"))).problems[0].message.startswith("The last run of the update ")


def test_an_account_that_has_not_run_anything_yet_is_healthy() -> None:
    report = _report(runs=())

    assert (report.healthy, report.last_run) == (True, None)


@pytest.mark.parametrize(
    ("used", "nearly"), [(449.9, False), (450.0, True), (500.0, True), (1200.0, True), (0.0, False)]
)
def test_free_minutes_are_a_problem_from_nine_tenths_of_a_limit(used: float, nearly: bool) -> None:
    report = _report(minutes_used=used, minutes_limit=500.0)

    assert report.healthy is not nearly
    assert (report.minutes_used, report.minutes_limit) == (used, 500.0)
    if nearly:
        _check(
            report,
            "FreeMinutesNearlyUsed",
            f"Automation account aa-dr has used {used:,.0f} of its 500 minutes of job time this month, and runs "
            "nothing once they are used up. Move other runbooks to another account, or let the account be billed.",
        )


@pytest.mark.parametrize(("used", "limit"), [(9000.0, -1.0), (9000.0, None), (0.0, 0.0), (None, 500.0), (None, None)])
def test_without_a_limit_or_a_count_no_minutes_can_run_out(used: float | None, limit: float | None) -> None:
    report = _report(minutes_used=used, minutes_limit=limit)

    assert report.healthy is True
    assert report.minutes_limit in {None, 500.0}
    assert report.minutes_used == used


def test_a_limit_of_a_single_minute_is_one() -> None:
    assert _report(minutes_used=0.5, minutes_limit=1.0).minutes_limit == 1.0
    assert _reasons(_report(minutes_used=0.9, minutes_limit=1.0)) == ["FreeMinutesNearlyUsed"]


def test_several_problems_come_the_worst_first() -> None:
    mappings = [_mapping("a", schedule_name="off"), _mapping("b", schedule_name="gone", job_schedule_name="lost")]

    report = _report(
        *mappings,
        account=Account("aa-dr", "Suspended", "None"),
        schedules={"off": Schedule("off", enabled=False)},
        runs=(RunbookRun("Failed"),),
        minutes_used=500.0,
        minutes_limit=500.0,
    )

    assert _reasons(report) == [
        "AccountNotOk",
        "NoSystemAssignedIdentity",
        "ScheduleMissing",
        "JobScheduleMissing",
        "ScheduleDisabled",
        "RunbookFailing",
        "FreeMinutesNearlyUsed",
    ]


# The condition.


def test_what_the_lists_do_not_show_of_our_mappings_is_to_be_asked_for_by_name() -> None:
    mappings = [
        _mapping("alpha", schedule_name="S-here", job_schedule_name="J-gone"),
        _mapping("beta", schedule_name="S-gone-2", job_schedule_name="J-here"),
        _mapping("gamma", schedule_name="S-gone-1", job_schedule_name="J-gone"),
        _mapping("none", schedule_name="", job_schedule_name=""),
        _mapping("theirs", automation_account_id=OTHER_ACCOUNT_ID, schedule_name="S-x", job_schedule_name="J-x"),
    ]
    facts = replace(_facts(), schedules={"s-here": Schedule("S-here")}, job_schedules={"j-here": ""})
    assert absent_artifacts(facts, ACCOUNT, mappings) == (["S-gone-1", "S-gone-2"], ["J-gone"])
    assert absent_artifacts(facts, ACCOUNT, mappings[:1]) == ([], ["J-gone"])


def test_before_the_first_look_nothing_is_known() -> None:
    assert account_healthy(None, None) == ConditionValue(
        "AutomationAccountHealthy", "Unknown", "NotLookedAt", "The Automation account has not been looked at yet."
    )


def test_without_the_right_to_read_the_action_to_grant_is_said() -> None:
    problem = Explanation(
        "AuthorizationFailed",
        "The identity may not do this.",
        "",
        "Grant the calling identity the action Microsoft.Automation/automationAccounts/read.",
    )

    for report in (None, _report()):
        assert account_healthy(report, problem) == ConditionValue(
            "AutomationAccountHealthy",
            "Unknown",
            "AuthorizationFailed",
            "The identity may not do this. Grant the calling identity the action "
            "Microsoft.Automation/automationAccounts/read.",
        )


def test_a_healthy_account_is_said_to_be_so() -> None:
    assert account_healthy(_report(), None) == ConditionValue(
        "AutomationAccountHealthy",
        "True",
        "Healthy",
        "Automation account aa-dr can update the agents: its state, identity, schedules and last run are right.",
    )


_NO_SCHEDULE, _NO_RUN = "no mapping names a schedule of it", "the update runbook has not run"


@pytest.mark.parametrize(
    ("mappings", "facts", "said"),
    [
        ((), {"runs": ()}, "state, identity and schedules are right. So far, the update runbook has not run."),
        ((mapping(),), {}, "state, identity and last run are right. So far, no mapping names a schedule of it."),
        (
            (mapping(),),
            {"runs": ()},
            f"state and identity are right. So far, {_NO_SCHEDULE} and {_NO_RUN}.",
        ),
    ],
)
def test_nothing_is_called_right_that_is_not_there(
    mappings: tuple[ContainerMapping, ...], facts: dict[str, Any], said: str
) -> None:
    value = account_healthy(_report(*mappings, **facts), None)

    assert (value.status, value.reason) == ("True", "Healthy")
    assert value.message == f"Automation account aa-dr can update the agents: its {said}"


_JUDGED = "Automation account aa-dr can update the agents: its state, identity, schedules and last run are right."
_ENOUGH = _JUDGED.replace("identity,", "identity, role,")


@pytest.mark.parametrize(
    ("role", "said"),
    [
        (None, _JUDGED),
        (
            RoleReport(RoleStanding.ENOUGH, roles=("Owner on the vault",)),
            f"{_ENOUGH} Its identity is Owner on the vault.",
        ),
        (RoleReport(RoleStanding.ENOUGH), _ENOUGH),
        (
            RoleReport(RoleStanding.ENOUGH, roles=("Owner on the vault", "Reader on the group"), note="By a group."),
            f"{_ENOUGH} Its identity is Owner on the vault, Reader on the group. By a group.",
        ),
        (
            RoleReport(RoleStanding.NOT_JUDGED, roles=("Our role on the vault",)),
            f"{_JUDGED} Its identity is Our role on the vault; nobody says whether that is enough.",
        ),
        (
            RoleReport(RoleStanding.NOT_JUDGED, roles=("Our role on the vault",), note="By a group."),
            f"{_JUDGED} Its identity is Our role on the vault; nobody says whether that is enough. By a group.",
        ),
        (RoleReport(RoleStanding.UNKNOWN, note="It may not be read."), f"{_JUDGED} It may not be read."),
    ],
)
def test_the_role_is_called_right_where_it_is_enough_and_named_in_any_case(role: RoleReport | None, said: str) -> None:
    report = replace(_report(), role=role)

    assert account_healthy(report, None) == ConditionValue("AutomationAccountHealthy", "True", "Healthy", said)


def test_where_it_is_not_clear_whether_there_is_a_role_that_is_the_condition_and_a_problem_comes_before_it() -> None:
    role = RoleReport(RoleStanding.NOT_SEEN, unclear=Explanation("RoleNotSeen", "It is not seen.", "", "Look again."))
    kind = "AutomationAccountHealthy"

    assert account_healthy(replace(_report(), role=role, healthy=None), None) == ConditionValue(
        kind, "Unknown", "RoleNotSeen", "It is not seen. Look again."
    )
    problems = (Problem("Worst", "x" * 2000),)
    worst = account_healthy(replace(_report(), role=role, healthy=False, problems=problems), None)
    assert (worst.type, worst.status, worst.reason, len(worst.message.encode())) == (kind, "False", "Worst", 1000)
    named = account_healthy(replace(_report(), name="x" * 2000), None)
    assert len(named.message.encode()) == 1000


def test_the_worst_problem_is_the_reason_and_all_are_explained() -> None:
    report = AccountReport(
        "aa-dr", healthy=False, problems=(Problem("Worst", "Do this."), Problem("Other", "And that."))
    )

    assert account_healthy(report, None) == ConditionValue(
        "AutomationAccountHealthy", "False", "Worst", "Do this. And that."
    )


# Whatever Azure says.

_SCHEDULES: Final = st.builds(
    Schedule, HOSTILE_TEXTS | st.just(SCHEDULE), st.sampled_from([True, False, None]), st.none() | TIMES
)
_FACTS: Final = st.builds(
    AccountFacts,
    st.none()
    | st.builds(Account, HOSTILE_TEXTS, st.just("Ok") | HOSTILE_TEXTS, st.just("SystemAssigned") | HOSTILE_TEXTS),
    st.dictionaries(HOSTILE_TEXTS | st.just(SCHEDULE.casefold()), _SCHEDULES, max_size=3),
    st.dictionaries(HOSTILE_TEXTS | st.just(BINDING.casefold()), HOSTILE_TEXTS, max_size=3),
    st.lists(st.builds(RunbookRun, HOSTILE_TEXTS | st.just("Completed"), st.none() | TIMES), max_size=3).map(tuple),
    st.none() | st.floats(),
    st.none() | st.floats(),
)
_MAPPINGS: Final = st.lists(
    st.builds(
        _mapping,
        st.sampled_from("abcdef"),
        schedule_name=HOSTILE_TEXTS | st.just(SCHEDULE),
        job_schedule_name=HOSTILE_TEXTS | st.just(BINDING),
        auto_update_status=st.sampled_from(["Enabled", "Enabled", "Disabled", ""]),
    ),
    max_size=5,
    unique_by=lambda each: each.key,
)


@given(_FACTS, _MAPPINGS, st.randoms())
def test_reports_are_consistent_and_small_whatever_azure_says(
    facts: AccountFacts, mappings: list[ContainerMapping], dice: Any
) -> None:
    report = build_account_report(facts, ACCOUNT, mappings, NOW)
    shuffled = list(mappings)
    dice.shuffle(shuffled)

    assert build_account_report(facts, ACCOUNT, shuffled, NOW) == report
    assert (report.healthy is False) == bool(report.problems)
    assert len(_reasons(report)) == len(set(_reasons(report)))
    assert bool(report.missing) == bool({"ScheduleMissing", "JobScheduleMissing"} & set(_reasons(report)))
    assert set(report.missing) <= {each.key for each in mappings}
    assert report.next_run is None or report.next_run >= NOW
    for problem in report.problems:
        assert problem.reason.isalnum()
        assert printable(problem.message) == problem.message
        assert len(problem.message.encode()) <= 1000
    value = account_healthy(report, None)
    assert value.status == {True: "True", False: "False", None: "Unknown"}[report.healthy]
    assert printable(value.message) == value.message
    assert 0 < len(value.message.encode()) <= 1000


def test_a_moment_in_any_zone_is_as_good() -> None:
    elsewhere = datetime.fromisoformat("2026-03-02T05:30:00+05:30")
    report = _report(schedules={SCHEDULE.casefold(): Schedule(SCHEDULE, enabled=True, next_run=elsewhere)})

    assert report.next_run == NOW + timedelta(hours=12)
