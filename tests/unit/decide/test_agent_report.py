"""The report on a vault's agents: what is wrong with which machine, and what the condition says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import HOUR, NOW, VAULT_ID, mapping, mapping_id_of
from tests.unit.strategies import HOSTILE_TEXTS, TIMES
from vault_autoupdate.decide.agent_report import (
    AgentReport,
    Concern,
    MachineConcern,
    build_report,
    concerns_of,
    mapping_of,
    newest_version,
)
from vault_autoupdate.model import bounds
from vault_autoupdate.model.azure import ContainerMapping, Machine
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.text import printable
from vault_autoupdate.report.conditions import ConditionValue, agents_current, not_known

DAY: Final = timedelta(days=1)
NEWEST: Final = "9.64.7100.1"
WEST: Final = f"{VAULT_ID}/replicationFabrics/westus/replicationProtectionContainers/west-container"
NORTH: Final = f"{VAULT_ID}/replicationFabrics/north/replicationProtectionContainers/north-container"


def _machine(name: str = "vm-1", *, container: str = "east-container", **changes: Any) -> Machine:
    """A machine with the newest agent, with which all is well."""
    fields: dict[str, Any] = {
        "id": mapping_id_of("x", container=container).rpartition("/replicationProtectionContainerMappings/")[0]
        + f"/replicationProtectedItems/{name}-item",
        "name": name,
        "target_container_id": WEST,
        "agent_version": NEWEST,
        "update_required": False,
    }
    return Machine(**(fields | changes))


def _behind(name: str = "vm-1", **changes: Any) -> Machine:
    return _machine(name, **({"update_required": True} | changes))


def _report(*machines: Machine, mappings: tuple[ContainerMapping, ...] = (), newest: str = "") -> AgentReport:
    return build_report(machines, mappings, newest=newest, now=NOW)


def _concerns(**changes: Any) -> tuple[Concern, ...]:
    return concerns_of(_machine(**changes), NEWEST, NOW)


def _said(*machines: Machine, auto_update: bool = True) -> tuple[str, str, str]:
    value = agents_current(_report(*machines), None, auto_update=auto_update)
    assert value.type == "AgentsCurrent"
    return value.status, value.reason, value.message


# What is wrong with one machine.


def test_with_a_current_agent_that_never_expires_nothing_is_wrong() -> None:
    assert _concerns() == ()
    assert _concerns(agent_expires_at=None, certificate_expires_at=None, certificate_update_required=False) == ()


@pytest.mark.parametrize(
    ("left", "concerns"),
    [
        (-3650 * DAY, (Concern.EXPIRED,)),
        (timedelta(), (Concern.EXPIRED,)),
        (timedelta(seconds=1), (Concern.EXPIRING,)),
        (60 * DAY, (Concern.EXPIRING,)),
        (60 * DAY + timedelta(seconds=1), ()),
    ],
)
def test_an_agent_expires_soon_from_sixty_days_before_and_then_it_is_expired(
    left: timedelta, concerns: tuple[Concern, ...]
) -> None:
    assert _concerns(agent_expires_at=NOW + left) == concerns


@pytest.mark.parametrize(
    ("version", "far"),
    [
        ("9.59.6900.1", True),
        ("9.60.6900.1", False),
        ("9.64.0.0", False),
        ("9.65.1.1", False),
        ("8.10.1.1", False),
        ("9.9", True),
        ("9", False),
        ("", False),
        ("unknown", False),
        ("9.x.1", False),
        ("9.59.", False),
        ("9.59-beta", False),
        ("9.5٩", False),
    ],
)
def test_more_than_four_releases_behind_is_far_and_a_version_that_cannot_be_read_is_not(
    version: str, far: bool
) -> None:
    assert _concerns(agent_version=version) == ((Concern.FAR_BEHIND,) if far else ())


@pytest.mark.parametrize("newest", ["", "unknown", "9", "10.64.1.1"])
def test_without_a_newest_version_to_compare_with_nobody_is_far_behind(newest: str) -> None:
    assert concerns_of(_machine(agent_version="9.1.1.1"), newest, NOW) == ()


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"certificate_update_required": True}, True),
        ({"certificate_update_required": True, "certificate_expires_at": None}, True),
        ({"certificate_expires_at": NOW + 60 * DAY}, True),
        ({"certificate_expires_at": NOW - DAY, "certificate_update_required": False}, True),
        ({"certificate_expires_at": NOW + 61 * DAY}, False),
        ({"certificate_update_required": None}, False),
    ],
)
def test_a_certificate_is_to_be_renewed_when_site_recovery_says_so_or_it_ends_within_sixty_days(
    changes: dict[str, Any], needed: bool
) -> None:
    assert _concerns(**changes) == ((Concern.CERTIFICATE_UPDATE,) if needed else ())


@pytest.mark.parametrize(
    ("flag", "concern"),
    [
        ("reinstall_required", Concern.REINSTALL_REQUIRED),
        ("retries_exhausted", Concern.RETRIES_EXHAUSTED),
        ("update_required", Concern.UPDATE_REQUIRED),
        ("upgrade_in_progress", Concern.UPGRADING),
    ],
)
def test_what_site_recovery_does_not_say_is_no_concern(flag: str, concern: Concern) -> None:
    assert [_concerns(**{flag: value}) for value in (True, False, None)] == [(concern,), (), ()]


def test_several_concerns_come_the_worst_first() -> None:
    everything = {
        "agent_expires_at": NOW,
        "certificate_update_required": True,
        "agent_version": "9.1.1.1",
        **dict.fromkeys(("reinstall_required", "retries_exhausted", "update_required", "upgrade_in_progress"), True),
    }

    assert _concerns(**everything) == tuple(concern for concern in Concern if concern is not Concern.EXPIRING)
    assert next(iter(Concern)) is Concern.EXPIRED


# Versions.


def test_the_newest_version_is_found_by_numbers_and_not_by_letters() -> None:
    assert newest_version(["9.9.1.1", "9.10.1.1", "9.10.0.9"]) == "9.10.1.1"
    assert newest_version(iter(["", "zzz", "9.1", "99"])) == "9.1"
    assert newest_version(["", "unknown"]) == ""
    assert newest_version([]) == ""


def test_machines_are_counted_by_version_the_newest_first_and_unreadable_ones_last() -> None:
    versions = ["9.9.1.1", "9.10.1.1", "beta", "9.10.1.1", "", "alpha", "9.9.1.1", "9.9.1.1", "unknown"]

    report = _report(*(_machine(str(number), agent_version=version) for number, version in enumerate(versions)))

    assert report.versions == (("9.10.1.1", 2), ("9.9.1.1", 3), ("alpha", 1), ("beta", 1), ("unknown", 2))
    assert report.other_versions == 0


def test_ten_versions_are_shown_and_the_machines_of_all_others_counted() -> None:
    machines = [_machine(f"{minor}-{copy}", agent_version=f"9.{minor}") for minor in range(13) for copy in range(2)]

    report = _report(*machines)

    assert [version for version, _ in report.versions] == [f"9.{minor}" for minor in range(12, 2, -1)]
    assert report.other_versions == 6


# The report.


def test_machines_that_are_behind_those_that_are_current_and_those_not_known_add_up() -> None:
    report = _report(
        _behind("a"), _behind("b", upgrade_in_progress=True), _machine("c"), _machine("d", update_required=None)
    )

    assert (report.total, report.behind, report.unknown, report.current) == (4, 2, 1, 1)
    assert report.concerns == {Concern.UPDATE_REQUIRED: 2, Concern.UPGRADING: 1}


def test_a_machine_with_several_concerns_counts_in_each_and_is_listed_once_with_the_worst() -> None:
    report = _report(_behind(agent_expires_at=NOW - DAY, agent_version="9.58.1.1"), newest=NEWEST)

    assert report.concerns == {Concern.EXPIRED: 1, Concern.FAR_BEHIND: 1, Concern.UPDATE_REQUIRED: 1}
    assert [(each.machine, each.version, each.concern) for each in report.worst] == [
        ("vm-1", "9.58.1.1", Concern.EXPIRED)
    ]


@pytest.mark.parametrize(("elsewhere", "far"), [("", 0), ("9.58.1.1", 0), ("9.63.1.1", 1), ("unknown", 0)])
def test_the_newest_version_may_be_known_from_another_vault(elsewhere: str, far: int) -> None:
    report = _report(_machine("a", agent_version="9.58.1.1"), _machine("b", agent_version="9.62.1.1"), newest=elsewhere)

    assert report.concerns.get(Concern.FAR_BEHIND, 0) == far


def test_of_many_machines_the_worst_ten_are_listed_those_that_expire_first_before_others_then_by_name() -> None:
    machines = [
        _behind("waiting"),
        _machine("upgrading", upgrade_in_progress=True),
        _machine("retries", retries_exhausted=True),
        _machine("late", agent_expires_at=NOW + 50 * DAY),
        _machine("soon", agent_expires_at=NOW + 2 * DAY),
        _machine("gone", agent_expires_at=NOW - DAY),
        *(_machine(f"{letter}-reinstall", reinstall_required=True, agent_expires_at=None) for letter in "dBca"),
        *(_machine(f"far-{number}", agent_version="9.1") for number in range(3)),
        *(_machine(f"fine-{number}") for number in range(30)),
    ]

    report = _report(*machines)

    assert [each.machine for each in report.worst] == [
        *("gone", "soon", "late"),
        *("a-reinstall", "B-reinstall", "c-reinstall", "d-reinstall"),
        *("retries", "far-0", "far-1"),
    ]
    assert report.total == len(machines)


def test_an_empty_vault_has_an_empty_report() -> None:
    assert _report(newest=NEWEST) == AgentReport()
    assert AgentReport().current == 0


# Which mapping a machine belongs to.


def test_a_machine_belongs_to_the_mapping_between_its_two_containers_in_any_letter_case() -> None:
    to_west = mapping("to-west", target_container_id=WEST.upper())
    to_north = mapping("to-north", target_container_id=NORTH)
    elsewhere = mapping("elsewhere", id=mapping_id_of("elsewhere", container="other"), target_container_id=WEST)
    mappings = (to_north, elsewhere, to_west)

    assert mapping_of(_machine(), mappings) is to_west
    assert mapping_of(_machine(target_container_id=NORTH.lower()), mappings) is to_north
    assert mapping_of(_machine(container="Other"), mappings) is elsewhere
    assert mapping_of(replace(_machine(), id=_machine().id.upper()), mappings) is to_west
    assert _report(_behind(), mappings=mappings).worst[0].mapping == "eastus/east-container/to-west"


@pytest.mark.parametrize("target", ["", NORTH])
def test_the_only_mapping_of_a_container_is_that_of_all_its_machines(target: str) -> None:
    only = mapping("only", target_container_id=target)

    assert mapping_of(_machine(), [only]) is only
    assert mapping_of(_machine(target_container_id=""), [only]) is only


def test_where_the_mapping_cannot_be_told_none_is_named() -> None:
    twins = (mapping("a", target_container_id=WEST), mapping("b", target_container_id=WEST))
    others = (mapping("a", target_container_id=""), mapping("b", target_container_id=NORTH))

    assert mapping_of(_machine(), twins) is None
    assert mapping_of(_machine(), others) is None
    assert mapping_of(_machine(target_container_id=""), others) is None, "two empty texts say nothing"
    assert mapping_of(_machine(), ()) is None
    assert mapping_of(_machine(container="nowhere"), twins) is None
    assert _report(_behind(), mappings=twins).worst[0].mapping == ""


# What somebody can do about it.

_HOW: Final = (
    "from the vault's page of replicated items in the portal, or with the annotation updateAgentsNow where "
    "spec.agentUpdates is set"
)
_AMONG_JOBS: Final = "among the vault's Site Recovery jobs"


@pytest.mark.parametrize(
    ("changes", "message", "action"),
    [
        (
            {"agent_expires_at": NOW - DAY},
            "The agent expired on 2026-02-28; replication may stop.",
            f"Update the agent {_HOW}. If that fails, reinstall it.",
        ),
        (
            {"agent_expires_at": NOW + DAY},
            "The agent expires on 2026-03-02.",
            f"Update the agent {_HOW}.",
        ),
        (
            {"reinstall_required": True},
            "The agent has to be installed anew.",
            "Reinstall the agent from the machine's page among the vault's replicated items in the portal.",
        ),
        (
            {"retries_exhausted": True},
            "Site Recovery has tried to update the agent as often as it does, and does not try again.",
            f"Look at the machine's last failed update {_AMONG_JOBS} and mend the cause; then update the agent {_HOW}.",
        ),
        (
            {"agent_version": "9.59.6900.1"},
            "Version 9.59.6900.1 is 5 releases behind 9.64.7100.1; Microsoft supports 4.",
            f"Update the agent {_HOW}, and reboot the machine afterwards.",
        ),
        (
            {"certificate_update_required": True},
            "The agent's certificate has to be renewed.",
            "Renew it from the machine's page among the vault's replicated items in the portal.",
        ),
        (
            {"certificate_expires_at": NOW + DAY},
            "The agent's certificate has to be renewed: it ends on 2026-03-02.",
            "Renew it from the machine's page among the vault's replicated items in the portal.",
        ),
        (
            {"certificate_update_required": True, "certificate_expires_at": None},
            "The agent's certificate has to be renewed.",
            "Renew it from the machine's page among the vault's replicated items in the portal.",
        ),
        (
            {"update_required": True, "agent_version": "9.63.1.1"},
            "There is a newer agent than version 9.63.1.1.",
            f"Wait for the next update, or update the agent now: {_HOW}.",
        ),
        (
            {"update_required": True, "agent_version": ""},
            "There is a newer agent than version unknown.",
            f"Wait for the next update, or update the agent now: {_HOW}.",
        ),
        ({"upgrade_in_progress": True}, "The agent is being updated.", "Wait for the end of the update."),
    ],
)
def test_each_concern_is_explained_with_what_to_do(changes: dict[str, Any], message: str, action: str) -> None:
    worst = _report(_machine(**changes), newest=NEWEST).worst

    assert [each.explanation for each in worst] == [Explanation(message=message, recommended_action=action)]


def test_why_an_agent_has_to_be_installed_anew_is_told_in_site_recoverys_words() -> None:
    blockers = (
        Explanation("", message="The disk is full.", recommended_action="Make room."),
        Explanation(
            "540", message="The kernel is too new.", possible_causes="An update.", recommended_action="Make room."
        ),
    )

    worst = _report(_machine(reinstall_required=True, blockers=blockers)).worst[0]

    assert worst.explanation == Explanation(
        code="540",
        message="The agent has to be installed anew. The disk is full. The kernel is too new.",
        possible_causes="An update.",
        recommended_action="Make room.",
    )


def test_texts_about_a_machine_are_cut_to_what_the_report_holds() -> None:
    long = "x" * 2000
    blockers = (Explanation(), Explanation(long, long, long, long), Explanation("2", "b", "b", "b"))
    machine = _machine(long, reinstall_required=True, agent_version=long, blockers=blockers)
    worst = _report(machine, mappings=(mapping(long, target_container_id=WEST),)).worst[0]

    texts = (worst.machine, worst.mapping, worst.version)
    assert [len(text.encode()) for text in texts] == [120, 400, 64]
    told = worst.explanation
    said = (told.code, told.message, told.possible_causes, told.recommended_action)
    assert [len(text.encode()) for text in said] == [120, 400, 400, 400]


def test_an_agent_that_has_to_be_installed_anew_for_no_known_reason_says_how() -> None:
    worst = _report(_machine(reinstall_required=True)).worst[0]

    assert worst.explanation == Explanation(
        message="The agent has to be installed anew.",
        recommended_action=(
            "Reinstall the agent from the machine's page among the vault's replicated items in the portal."
        ),
    )


# The condition.


def test_before_the_first_look_nothing_is_known() -> None:
    assert agents_current(None, None, auto_update=True) == ConditionValue(
        "AgentsCurrent", "Unknown", "NotLookedAt", "The agents have not been looked at yet."
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AuthorizationFailed", "AuthorizationFailed"),
        ("", "NotReadable"),
        ("538", "NotReadable"),
        ("camelCase", "NotReadable"),
        ("With space", "NotReadable"),
        ("A" * 65, "NotReadable"),
    ],
)
def test_why_nothing_is_known_is_said_in_azures_words_with_its_code_where_that_can_be_a_reason(
    code: str, reason: str
) -> None:
    problem = Explanation(code, "No right to do this.", "", "Grant the action X.")

    for report in (None, AgentReport(total=3)):
        assert agents_current(report, problem, auto_update=True) == ConditionValue(
            "AgentsCurrent", "Unknown", reason, "No right to do this. Grant the action X."
        )


def test_a_problem_without_words_is_not_an_empty_message() -> None:
    assert not_known("Kind", Explanation("Odd"), "Not known.") == ConditionValue("Kind", "Unknown", "Odd", "Not known.")


def test_a_vault_without_machines_has_no_agent_that_is_behind() -> None:
    assert _said() == ("True", "AgentsCurrent", "No machine is replicated.")


def test_agents_are_current_when_none_has_to_be_updated_also_while_one_is_being_updated() -> None:
    assert _said(_machine("a")) == ("True", "AgentsCurrent", "No agent of 1 machine has to be updated.")
    assert _said(_machine("a"), _machine("b", upgrade_in_progress=True)) == (
        "True",
        "AgentsCurrent",
        "No agent of 2 machines has to be updated.",
    )


def test_machines_that_wait_for_an_update_are_counted_with_who_updates_them() -> None:
    current = [_machine(f"ok-{number}") for number in range(117)]
    waiting = [_behind(f"vm-{number}") for number in range(3)]

    assert _said(*current, *waiting) == (
        "False",
        "UpdatesWaiting",
        "3 of 120 machines wait for an agent update; Site Recovery installs it by itself.",
    )
    assert _said(*current, *waiting, auto_update=False)[2] == (
        "3 of 120 machines wait for an agent update; an agentUpdates window or the portal updates them."
    )
    assert _said(waiting[0], auto_update=False)[2] == (
        "1 of 1 machine waits for an agent update; an agentUpdates window or the portal updates it."
    )


@pytest.mark.parametrize(
    ("changes", "reason", "one", "two"),
    [
        ({"agent_expires_at": NOW}, "AgentsExpired", "has an expired agent", "have an expired agent"),
        (
            {"agent_expires_at": NOW + HOUR},
            "AgentsExpiring",
            "has an agent that expires within 60 days",
            "have an agent that expires within 60 days",
        ),
        (
            {"reinstall_required": True},
            "ReinstallRequired",
            "needs the agent installed anew",
            "need the agent installed anew",
        ),
        (
            {"retries_exhausted": True},
            "RetriesExhausted",
            "is not tried again by Site Recovery",
            "are not tried again by Site Recovery",
        ),
        (
            {"agent_version": "9.1"},
            "FarBehind",
            "has an agent older than Microsoft supports",
            "have an agent older than Microsoft supports",
        ),
        (
            {"certificate_update_required": True},
            "CertificateUpdate",
            "needs a new agent certificate",
            "need a new agent certificate",
        ),
    ],
)
def test_the_worst_concern_is_the_reason_and_its_machines_are_named(
    changes: dict[str, Any], reason: str, one: str, two: str
) -> None:
    bad, worse = _machine("vm-1", **changes), _machine("vm-2", **changes)

    assert _said(bad, _machine("ok")) == (
        "False",
        reason,
        f"1 of 2 machines {one} (vm-1); status.agents.worst says what to do.",
    )
    assert _said(bad, worse, _machine("ok"), _behind("vm-3"))[1:] == (
        reason,
        f"2 of 4 machines {two} (vm-1, vm-2), 1 waits for an agent update; status.agents.worst says what to do.",
    )


def test_three_machines_are_named_at_most() -> None:
    message = _said(*(_machine(f"vm-{number}", reinstall_required=True) for number in range(5)))[2]

    assert "5 of 5 machines need the agent installed anew (vm-0, vm-1, vm-2);" in message


def test_machines_of_which_site_recovery_says_nothing_are_not_called_current() -> None:
    silent = _machine("b", update_required=None)

    status, reason, message = _said(_machine("a"), silent)

    assert (status, reason) == ("Unknown", "NotReported")
    assert message == (
        "Site Recovery does not say of 1 of 2 machines whether there is a newer agent: look at the vault's page of "
        "replicated items in the portal."
    )
    assert _said(_behind("a"), silent)[:2] == ("False", "UpdatesWaiting")


def test_what_a_restart_has_kept_of_a_report_is_enough_for_the_condition() -> None:
    kept = AgentReport(total=120, behind=3)

    assert agents_current(kept, None, auto_update=True).reason == "UpdatesWaiting"
    without_names = AgentReport(total=2, concerns={Concern.EXPIRED: 1})
    assert agents_current(without_names, None, auto_update=True).message == (
        "1 of 2 machines has an expired agent; status.agents.worst says what to do."
    )


# Whatever Azure says.

_MAYBE: Final = st.sampled_from([True, False, None])
_MACHINES: Final = st.lists(
    st.builds(
        Machine,
        id=st.integers(0, 10**6).map(lambda number: _machine(f"{number}").id) | HOSTILE_TEXTS,
        name=HOSTILE_TEXTS | st.sampled_from(["vm-1", "VM-1"]),
        target_container_id=HOSTILE_TEXTS | st.just(WEST),
        agent_version=HOSTILE_TEXTS | st.sampled_from(["9.1", "9.64.1.1", "9." + "9" * 400]),
        agent_expires_at=st.none() | TIMES | st.just(None) | st.just(NOW + DAY),
        certificate_expires_at=st.none() | TIMES | st.just(None),
        **dict.fromkeys(
            (
                "update_required",
                "certificate_update_required",
                "upgrade_in_progress",
                "retries_exhausted",
                "reinstall_required",
            ),
            _MAYBE,
        ),
        blockers=st.lists(st.builds(Explanation, *[HOSTILE_TEXTS] * 5), max_size=3).map(tuple),
    ),
    max_size=14,
    unique_by=lambda machine: machine.key,
)
_MAPPINGS: Final = st.lists(
    st.builds(mapping, st.sampled_from("abc"), target_container_id=st.just(WEST) | HOSTILE_TEXTS), max_size=3
)


@given(_MACHINES, _MAPPINGS, HOSTILE_TEXTS | st.just(NEWEST), st.booleans())
def test_reports_add_up_and_stay_small_whatever_azure_says(
    machines: list[Machine], mappings: list[ContainerMapping], newest: str, auto_update: bool
) -> None:
    report = build_report(machines, mappings, newest=newest, now=NOW)

    assert report.total == len(machines)
    assert report.current == sum(machine.update_required is False for machine in machines)
    assert sum(count for _, count in report.versions) + report.other_versions == report.total
    assert len(report.versions) <= bounds.VERSIONS
    assert report.concerns.get(Concern.UPDATE_REQUIRED, 0) == report.behind
    assert all(0 < count <= report.total for count in report.concerns.values())
    best = newest_version([newest, *(machine.agent_version for machine in machines)])
    concerned = sum(bool(concerns_of(machine, best, NOW)) for machine in machines)
    assert len(report.worst) == min(bounds.WORST_MACHINES, concerned)
    ranks = [list(Concern).index(each.concern) for each in report.worst]
    assert ranks == sorted(ranks)
    for each in report.worst:
        _check_texts(each)
    value = agents_current(report, None, auto_update=auto_update)
    assert printable(value.message) == value.message
    assert 0 < len(value.message.encode()) <= 1000
    assert (value.status == "False") == (any(each is not Concern.UPGRADING for each in report.concerns))


def _check_texts(each: MachineConcern) -> None:
    explanation = each.explanation
    assert explanation.message
    assert explanation.recommended_action
    texts = (each.machine, each.version, explanation.code, explanation.message)
    for text in (*texts, explanation.possible_causes, explanation.recommended_action):
        assert printable(text) == text
        assert len(text.encode()) <= 400


@given(_MACHINES, _MAPPINGS, st.randoms())
def test_the_order_of_machines_does_not_matter(
    machines: list[Machine], mappings: list[ContainerMapping], dice: Any
) -> None:
    shuffled = list(machines)
    dice.shuffle(shuffled)

    assert build_report(machines, mappings, newest="", now=NOW) == build_report(shuffled, mappings, newest="", now=NOW)


@given(HOSTILE_TEXTS, HOSTILE_TEXTS, HOSTILE_TEXTS)
def test_whatever_the_problem_is_called_the_condition_is_one_that_kubernetes_takes(
    code: str, message: str, action: str
) -> None:
    value = agents_current(None, Explanation(code, message, "", action), auto_update=False)

    assert value.status == "Unknown"
    assert value.reason.isascii()
    assert value.reason.isalnum()
    assert printable(value.message) == value.message
    assert 0 < len(value.message.encode()) <= 1000
