"""Strategies: values as Azure, people and bad luck make them. Small alphabets, so that things meet."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

from tests.unit.builders import (
    ACCOUNT_ID,
    DISABLE,
    ENABLE,
    HOUR,
    NOW,
    OTHER_ACCOUNT_ID,
    attempt,
    mapping,
    mapping_id_of,
    resource,
)
from vault_autoupdate.arm.wire.errors import classify
from vault_autoupdate.decide.account_report import AccountReport, Problem
from vault_autoupdate.decide.agent_report import AgentReport, Concern, MachineConcern
from vault_autoupdate.decide.attempts import Attempt, FailureReason
from vault_autoupdate.decide.attribution import Change, ChangedMapping, Drift
from vault_autoupdate.decide.jobs import Operation
from vault_autoupdate.decide.look import Look
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.decide.rollout import MachineFailure, Phase, Rollout, RolloutDecision
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.azure import Job, Machine, RunbookRun
from vault_autoupdate.model.errors import (
    AzureError,
    CredentialError,
    MalformedReply,
    NotLeading,
    Unreachable,
    UntrustedLink,
)
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.text import is_printable
from vault_autoupdate.model.windows import Window
from vault_autoupdate.report.readiness import Readiness

SLOW: Final = settings(max_examples=max(1, settings.default.max_examples * 2 // 3) if settings.default else 40)
"""For properties whose examples take a while: fewer of them, in proportion to the profile."""

JOB_ID: Final = "5a4c3b2a-0000-4000-8000-000000000001"

HOSTILE_TEXTS: Final = st.text(
    st.characters() | st.sampled_from("\x00\n\r\t\x1b\x7f\x85\u2028\u202e\u2066\ud800\"\\<>&'{}$`/?#%"), max_size=80
)
"""What a service, a proxy in between or a user may write anywhere."""

WORDS: Final = st.text(st.characters(categories=["L", "N"]).filter(is_printable), max_size=20)
"""Without the few letters that nobody sees: they are taken off all that is read."""

TIMES: Final = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them naive
SECONDS: Final = TIMES.map(lambda time: time.replace(microsecond=0))
"""Times as a status can tell them."""

# Mappings and what is known of them.

NAMES: Final = st.sampled_from([f"m{number}" for number in range(12)])
KEYS: Final = NAMES.map(lambda name: fold(mapping_id_of(name)))
GOALS: Final = st.sampled_from([ENABLE, DISABLE])
HEALTH_ERRORS: Final = st.builds(Explanation, *[HOSTILE_TEXTS] * 5)

MAPPINGS: Final = st.builds(
    mapping,
    name=NAMES,
    state=st.sampled_from(["Paired", "Paired", "paired", "Pairing", ""]),
    instance_type=st.sampled_from(["A2A", "A2A", "a2a", "InMageRcm", ""]),
    auto_update_status=st.sampled_from(["Enabled", "enabled", "Disabled", "", "Odd"]),
    automation_account_id=st.sampled_from([ACCOUNT_ID, ACCOUNT_ID.upper(), OTHER_ACCOUNT_ID, "", "odd"]),
    authentication_type=st.sampled_from(["SystemAssignedIdentity", "RunAsAccount", ""]),
    health_errors=st.just(()) | st.tuples(HEALTH_ERRORS),
)
VAULTS: Final = st.lists(MAPPINGS, max_size=10, unique_by=lambda seen: seen.key)
HOSTILE_VAULTS: Final = st.lists(
    st.builds(
        mapping,
        name=NAMES,
        **dict.fromkeys(("instance_type", "auto_update_status", "automation_account_id"), HOSTILE_TEXTS),
    )
    | MAPPINGS,
    max_size=6,
    unique_by=lambda seen: seen.key,
)
RUNNING: Final = st.dictionaries(KEYS, st.builds(Operation, KEYS, st.just("job"), st.just(NOW), adopted=st.booleans()))
ATTEMPTS_BY_KEY: Final = st.dictionaries(
    KEYS, st.builds(attempt, st.integers(1, 9), next_in=st.sampled_from([-HOUR, timedelta(), HOUR]))
)


def attempts(texts: st.SearchStrategy[str], times: st.SearchStrategy[datetime]) -> st.SearchStrategy[Attempt]:
    """Attempts explained in ``texts``, at ``times``."""
    return st.builds(
        Attempt,
        st.integers(1, 1000),
        times,
        times,
        st.sampled_from(FailureReason),
        st.builds(Explanation, texts, texts, texts, texts, texts),
        texts,
    )


RUNS: Final = st.builds(Run, st.just(JOB_ID), SECONDS, st.none() | SECONDS, *[st.integers(0, 9)] * 5)
OPERATIONS: Final = st.builds(
    lambda name, job, started_at, adopted: Operation(mapping_id_of(name), job, started_at, adopted=adopted),
    NAMES,
    st.sampled_from(["", JOB_ID]),
    SECONDS.map(lambda time: min(time, NOW)),
    st.booleans(),
)

_COUNTS: Final = st.integers(0, 9)


def _with_behind(report: AgentReport) -> AgentReport:
    behind = {Concern.UPDATE_REQUIRED: report.behind} if report.behind else {}
    return replace(report, concerns={**report.concerns, **behind})


AGENTS: Final = st.builds(
    AgentReport,
    total=_COUNTS,
    behind=_COUNTS,
    unknown=_COUNTS,
    concerns=st.dictionaries(
        st.sampled_from([each for each in Concern if each is not Concern.UPDATE_REQUIRED]), st.integers(1, 9)
    ),
    versions=st.lists(st.tuples(WORDS, _COUNTS), max_size=3).map(tuple),
    other_versions=_COUNTS,
).map(_with_behind)
"""Reports without machines, as the status brings them back."""


def rollouts(
    texts: st.SearchStrategy[str], items: st.SearchStrategy[str], times: st.SearchStrategy[datetime]
) -> st.SearchStrategy[Rollout]:
    """Updates of agents in a window."""
    updates = st.builds(Operation, items, texts, times, name=texts)
    explanations = st.builds(Explanation, texts, texts, texts, texts, texts)
    failures = st.builds(MachineFailure, items, texts, st.integers(1, 9), times, explanations, texts)
    return st.builds(
        lambda updates, failures, **fields: Rollout(
            updates={update.key: update for update in updates},
            failures={fold(failure.machine_id): failure for failure in failures},
            **fields,
        ),
        st.lists(updates, max_size=3),
        st.lists(failures, max_size=3),
        window=st.builds(Window, times, times),
        request=st.none() | texts,
        handled_request=st.none() | texts,
        started=_COUNTS,
        succeeded=_COUNTS,
        failed=_COUNTS,
        timed_out=_COUNTS,
        reboots=_COUNTS,
    )


_MACHINES: Final = st.builds(Machine, HOSTILE_TEXTS, HOSTILE_TEXTS)
_DECISIONS: Final = st.builds(
    RolloutDecision,
    st.sampled_from(Phase),
    waiting=st.lists(_MACHINES, max_size=3).map(tuple),
    reason=HOSTILE_TEXTS,
)
_WORST: Final = st.builds(
    MachineConcern,
    HOSTILE_TEXTS,
    HOSTILE_TEXTS,
    HOSTILE_TEXTS,
    st.sampled_from(Concern),
    st.builds(Explanation, HOSTILE_TEXTS, HOSTILE_TEXTS, HOSTILE_TEXTS, HOSTILE_TEXTS),
)
_GUIDS: Final = st.uuids().map(str)
_ROLES: Final = st.builds(
    RoleReport,
    st.sampled_from(RoleStanding),
    _GUIDS | HOSTILE_TEXTS,
    roles=st.lists(HOSTILE_TEXTS, max_size=12).map(tuple),
    note=HOSTILE_TEXTS,
    missing_since=st.none() | TIMES,
    former_principal_id=_GUIDS | HOSTILE_TEXTS,
    wrong=st.none() | st.builds(Explanation, HOSTILE_TEXTS, HOSTILE_TEXTS),
    unclear=st.none() | st.builds(Explanation, HOSTILE_TEXTS, HOSTILE_TEXTS),
)
_ACCOUNTS: Final = st.builds(
    AccountReport,
    name=HOSTILE_TEXTS,
    healthy=st.none() | st.booleans(),
    problems=st.lists(st.builds(Problem, st.sampled_from(["AccountNotFound", "ScheduleMissing"]), HOSTILE_TEXTS)).map(
        tuple
    ),
    state=HOSTILE_TEXTS,
    next_run=st.none() | TIMES,
    last_run=st.none() | st.builds(RunbookRun, HOSTILE_TEXTS, st.none() | TIMES, st.none() | TIMES),
    minutes_used=st.none() | st.floats(0, 1000),
    minutes_limit=st.none() | st.floats(0, 1000),
    schedules_missing=_COUNTS,
    schedules_disabled=_COUNTS,
    role=st.none() | _ROLES,
)
_PROBLEMS: Final = st.none() | st.builds(Explanation, HOSTILE_TEXTS, HOSTILE_TEXTS, HOSTILE_TEXTS, HOSTILE_TEXTS)

_CHANGES: Final = st.builds(
    Change,
    TIMES,
    HOSTILE_TEXTS,
    HOSTILE_TEXTS,
    caller=HOSTILE_TEXTS,
    object_id=HOSTILE_TEXTS,
    application_id=HOSTILE_TEXTS,
    others=_COUNTS,
)
DRIFTS: Final = st.builds(
    Drift,
    TIMES,
    st.none() | TIMES,
    _COUNTS,
    st.lists(
        st.builds(ChangedMapping, NAMES.map(mapping_id_of) | HOSTILE_TEXTS, HOSTILE_TEXTS, st.none() | _CHANGES),
        max_size=7,
    ).map(tuple),
    st.integers(0, 5),
    problem=_PROBLEMS,
)
"""What others may have changed, with whatever the activity log says of it."""

STATES: Final = st.builds(
    VaultState,
    looked=st.booleans(),
    vault_name=HOSTILE_TEXTS,
    location=HOSTILE_TEXTS,
    actions=st.dictionaries(KEYS | HOSTILE_TEXTS, st.sampled_from(Action), max_size=4),
    operations=st.dictionaries(
        KEYS | HOSTILE_TEXTS, st.builds(Operation, HOSTILE_TEXTS, HOSTILE_TEXTS, TIMES, st.booleans()), max_size=4
    ),
    attempts=st.dictionaries(KEYS | HOSTILE_TEXTS, attempts(HOSTILE_TEXTS, TIMES), max_size=4),
    paths=st.dictionaries(KEYS | HOSTILE_TEXTS, HOSTILE_TEXTS, max_size=4),
    samples=st.dictionaries(HOSTILE_TEXTS, HOSTILE_TEXTS, max_size=3),
    run=st.none() | st.builds(Run, HOSTILE_TEXTS, TIMES, st.none() | TIMES, st.integers(0, 9)),
    agents=st.builds(
        Look,
        st.none()
        | st.builds(replace, AGENTS, worst=st.lists(_WORST, max_size=3).map(tuple))
        | st.builds(AgentReport, versions=st.lists(st.tuples(HOSTILE_TEXTS, _COUNTS), max_size=12).map(tuple)),
        _PROBLEMS,
        st.booleans(),
    ),
    account=st.builds(Look, st.none() | _ACCOUNTS, _PROBLEMS, st.booleans()),
    rollout=st.none() | rollouts(HOSTILE_TEXTS, KEYS | HOSTILE_TEXTS, TIMES),
    rollout_decision=st.none() | _DECISIONS,
    next_window=st.none() | st.builds(Window, TIMES, TIMES),
    drift=st.none() | DRIFTS,
)
"""Any state, also such as no run of events leads to."""

RESOURCES: Final = st.builds(
    lambda deleting, spec: resource(deleting=deleting, **spec),
    st.booleans(),
    st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["Enforce", "Audit"]),
            "autoUpdate": st.sampled_from(["Enabled", "Disabled"]),
            "suspend": st.booleans(),
            "deletionPolicy": st.sampled_from(["Retain", "Disable"]),
        },
    ),
)

SITUATIONS: Final = st.builds(
    Readiness,
    st.sampled_from(["True", "False", "Unknown"]),
    st.sampled_from(["Compliant", "Progressing", "Http500", "Throttled"]),
    HOSTILE_TEXTS,
    st.booleans(),
    st.booleans(),
)

# What Azure answers.

_ENVELOPES: Final = st.dictionaries(
    st.sampled_from(["code", "message", "possibleCauses", "recommendedAction"]), HOSTILE_TEXTS
).map(lambda error: json.dumps({"error": error}).encode())

ERRORS: Final[st.SearchStrategy[AzureError]] = st.one_of(
    st.builds(classify, st.integers(300, 599), _ENVELOPES | st.binary(max_size=20), st.just({"retry-after": "5"})),
    *(
        st.builds(
            kind,
            HOSTILE_TEXTS.map(lambda text: f"It did not work: {text}"),
            possible_causes=HOSTILE_TEXTS,
            recommended_action=HOSTILE_TEXTS,
        )
        for kind in (Unreachable, MalformedReply, UntrustedLink, CredentialError, NotLeading)
    ),
)

TARGET_KINDS: Final = st.sampled_from(["", "ProtectionContainerMapping", "Server", "RecoveryPlan"])


def jobs(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Job]:
    """Jobs of a vault, about one of its mappings, about several, or about anything else."""
    return st.builds(
        Job,
        name=st.sampled_from(["a", "b", "c", "d", "A"]),
        state=st.sampled_from(["InProgress", "NotStarted", "Succeeded", "Failed", "Odd"]),
        started_at=st.none() | st.sampled_from([NOW - HOUR, NOW]),
        target_id=st.just("") | st.builds(mapping_id_of, NAMES) | st.builds(lambda n: mapping_id_of(n).upper(), NAMES),
        target_name=st.just("") | NAMES,
        target_type=TARGET_KINDS,
        **fields,
    )
