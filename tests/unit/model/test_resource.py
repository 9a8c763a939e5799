"""The resource as types: what is read from a manifest, and what is said about one that cannot be acted on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT_ID, SUBSCRIPTION, VAULT_ID, manifest, resource
from tests.unit.schema import SPEC
from vault_autoupdate.model.durations import parse_duration
from vault_autoupdate.model.resource import (
    LONG_AGO,
    POLICY_LABEL,
    REQUESTED_AT,
    UPDATE_AGENTS_NOW,
    AutoUpdate,
    DeletionPolicy,
    DriftAttribution,
    InvalidSpec,
    Mode,
    ObjectRef,
    ResourceKey,
    RolloutRules,
    VaultAutoUpdate,
    parse_resource,
)
from vault_autoupdate.model.windows import WindowSchedule

OTHER_SUBSCRIPTION = "00000000-0000-4000-8000-000000000000"


def _problems(body: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidSpec) as refused:
        parse_resource(body)
    assert str(refused.value) == "; ".join(refused.value.problems)
    return refused.value.problems


def _updates(**changes: Any) -> dict[str, Any]:
    """``spec.agentUpdates`` of a manifest; a value of None takes a field away."""
    fields = {"schedule": "0 22 * * SAT", "duration": "4h"} | changes
    return {name: value for name, value in fields.items() if value is not None}


def _rules(**changes: Any) -> RolloutRules:
    updates = resource(autoUpdate="Disabled", agentUpdates=_updates(**changes)).spec.agent_updates
    assert updates is not None
    return updates.rules()


def test_a_whole_manifest_is_read() -> None:
    body = manifest(
        mode="Audit", suspend=True, interval="30m", jobTimeout="2h", deletionPolicy="Disable", autoUpdate="Disabled"
    )
    body["metadata"] |= {
        "creationTimestamp": "2026-02-01T00:00:00Z",
        "annotations": {REQUESTED_AT: "monday", "other": "x"},
        "labels": {"ignored": "yes"},
        "managedFields": [],
    }
    body["status"] = {"anything": 1}
    read = parse_resource(body)
    spec = read.spec

    assert (read.key, read.uid, read.generation) == (ResourceKey("asr", "dr"), "uid-dr", 3)
    assert (read.created_at, read.deleting, read.requested_at) == (datetime(2026, 2, 1, tzinfo=UTC), False, "monday")
    assert (spec.vault_resource_id.text, spec.auto_update) == (VAULT_ID, AutoUpdate.DISABLED)
    assert spec.automation_account_resource_id is not None
    assert spec.automation_account_resource_id.text == ACCOUNT_ID
    assert (spec.mode, spec.suspend, spec.deletion_policy) == (Mode.AUDIT, True, DeletionPolicy.DISABLE)
    assert (spec.interval, spec.job_timeout) == (timedelta(minutes=30), timedelta(hours=2))


def test_a_manifest_from_a_file_needs_nothing_that_the_api_server_adds() -> None:
    body = manifest()
    body["metadata"] = {"name": "dr"}

    assert parse_resource(body) == VaultAutoUpdate(key=ResourceKey("default", "dr"), spec=resource().spec)
    assert parse_resource(body).created_at == LONG_AGO


def test_defaults_are_those_of_the_resource_definition() -> None:
    spec = resource().spec
    ours = {
        "mode": spec.mode,
        "suspend": spec.suspend,
        "interval": spec.interval,
        "jobTimeout": spec.job_timeout,
        "deletionPolicy": spec.deletion_policy,
        "automationAccountChecks": spec.automation_account_checks,
        "drift": {"attribution": "Disabled"},
    }
    theirs = {name: field["default"] for name, field in SPEC["properties"].items() if "default" in field}

    assert ours == theirs | {name: parse_duration(theirs[name]) for name in ("interval", "jobTimeout")}


def test_unless_it_is_declared_nobody_is_named_for_drift() -> None:
    field = SPEC["properties"]["drift"]["properties"]["attribution"]

    assert resource().spec.drift.attribution == field["default"] == "Disabled"
    assert set(field["enum"]) == set(DriftAttribution)


def test_defaults_of_the_updates_in_windows_are_those_of_the_resource_definition() -> None:
    fields = SPEC["properties"]["agentUpdates"]["properties"]
    theirs = {name: field["default"] for name, field in fields.items() if "default" in field}

    assert _rules(**theirs) == _rules() == RolloutRules(WindowSchedule("0 22 * * SAT", "UTC", timedelta(hours=4)))


def test_updates_in_windows_are_read() -> None:
    rules = _rules(
        schedule="30 1 * * TUE#2",
        timeZone="Europe/Amsterdam",
        duration="90m",
        maxConcurrent=50,
        maxFailures=3,
        order=["canary-*", "*-test-??", "A.b_c"],
        pause=True,
    )

    assert rules == RolloutRules(
        WindowSchedule("30 1 * * TUE#2", "Europe/Amsterdam", timedelta(minutes=90)),
        max_concurrent=50,
        max_failures=3,
        order=("canary-*", "*-test-??", "A.b_c"),
        pause=True,
    )


def test_without_them_there_are_no_updates_in_windows() -> None:
    assert resource().spec.agent_updates is None
    body = manifest()
    body["spec"]["agentUpdates"] = None
    assert parse_resource(body).spec.agent_updates is None


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("duration", ["15m", "24h", "1h30m", "1440m"]),
        ("maxConcurrent", [1, 50]),
        ("maxFailures", [1, 50]),
        ("order", [[], 20 * ["*"], ["x" * 64, "?"]]),
        ("timeZone", ["UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "America/Port-au-Prince"]),
        ("schedule", ["* * * * *", "*/15 0-6,22 1,L JAN-MAR MON-FRI", "0 2 L * *", "0 2 * * 7"]),
    ],
)
def test_the_bounds_of_updates_in_windows_are_allowed(field: str, values: list[Any]) -> None:
    for value in values:
        assert isinstance(_rules(**{field: value}), RolloutRules)


@pytest.mark.parametrize(
    ("updates", "problem"),
    [
        ({"schedule": "daily"}, ".schedule: the schedule 'daily' is not made of five fields: write minute"),
        ({"schedule": "0 24 * * *"}, ".schedule: the schedule '0 24 * * *' cannot be read (bad hour): write minute"),
        ({"schedule": None}, ".schedule: required"),
        ({"schedule": 5}, ".schedule: input should be a valid string"),
        ({"timeZone": "CEST"}, ".timeZone: 'CEST' is not a time zone: write a name from the IANA"),
        ({"timeZone": "../UTC"}, ".timeZone: '../UTC' is not a time zone: write a name"),
        ({"duration": None}, ".duration: required"),
        ({"duration": "14m59s"}, ".duration: 14m59s is out of bounds: at least 15m, at most 24h"),
        ({"duration": "24h1s"}, ".duration: 24h1s is out of bounds: at least 15m, at most 24h"),
        ({"duration": "long"}, ".duration: 'long' is not a duration: write it like"),
        ({"maxConcurrent": 0}, ".maxConcurrent: input should be greater than or equal to 1"),
        ({"maxConcurrent": 51}, ".maxConcurrent: input should be less than or equal to 50"),
        ({"maxConcurrent": "10"}, ".maxConcurrent: input should be a valid integer"),
        ({"maxFailures": 0}, ".maxFailures: input should be greater than or equal to 1"),
        ({"maxFailures": 51}, ".maxFailures: input should be less than or equal to 50"),
        ({"maxFailures": True}, ".maxFailures: input should be a valid integer"),
        ({"order": "canary-*"}, ".order: must be a list"),
        ({"order": 21 * ["*"]}, ".order: list should have at most 20 items"),
        ({"order": ["ok", "a b"]}, ".order.1: 'a b' is no pattern of machine names: write 1 to 64 letters, digits"),
        ({"order": [""]}, ".order.0: '' is no pattern of machine names"),
        ({"order": ["[ab]"]}, ".order.0: '[ab]' is no pattern of machine names"),
        ({"order": ["é"]}, ".order.0: 'é' is no pattern of machine names"),
        ({"order": ["x\n"]}, ".order.0: 'x\\n' is no pattern of machine names"),
        ({"order": [65 * "x"]}, f".order.0: '{64 * 'x'}' is no pattern of machine names"),
        ({"pause": "yes"}, ".pause: input should be a valid boolean"),
        ({"window": "4h"}, ".window: unknown field"),
        ({"time_zone": "UTC"}, ".time_zone: unknown field"),
    ],
)
def test_each_bad_value_of_updates_in_windows_is_told_with_what_to_write(updates: dict[str, Any], problem: str) -> None:
    problems = _problems(manifest(autoUpdate="Disabled", agentUpdates=_updates(**updates)))

    assert len(problems) == 1
    assert problems[0].startswith(f"spec.agentUpdates{problem}")


def test_updates_in_windows_are_only_for_vaults_that_do_not_update_by_themselves() -> None:
    (problem,) = _problems(manifest(agentUpdates=_updates()))

    assert problem == (
        "spec.agentUpdates: Site Recovery updates the agents by itself when autoUpdate is Enabled: set autoUpdate to "
        "Disabled to have them updated in windows, or remove agentUpdates"
    )


def test_what_is_wrong_inside_is_told_together_with_what_is_wrong_around_it() -> None:
    wrong = _updates(schedule="x", timeZone="Mars", duration="1m", order=["a b", "b", "c d"], maxFailures=0, odd=1)

    assert [problem.split(":")[0] for problem in _problems(manifest(mode="x", agentUpdates=wrong))] == [
        "spec.mode",
        "spec.agentUpdates",
        "spec.agentUpdates.schedule",
        "spec.agentUpdates.timeZone",
        "spec.agentUpdates.duration",
        "spec.agentUpdates.maxFailures",
        "spec.agentUpdates.order.0",
        "spec.agentUpdates.order.2",
        "spec.agentUpdates.odd",
    ]


def test_fields_and_values_are_those_of_the_resource_definition() -> None:
    for name, field in SPEC["properties"].items():
        for value in field.get("enum", ()):
            assert isinstance(resource(**{name: value}), VaultAutoUpdate)
    for kind, values in (("autoUpdate", AutoUpdate), ("mode", Mode), ("deletionPolicy", DeletionPolicy)):
        assert SPEC["properties"][kind]["enum"] == list(values)


def test_everything_is_read_that_the_api_server_adds_by_itself() -> None:
    complete = {name: field["default"] for name, field in SPEC["properties"].items() if "default" in field}

    assert resource(**complete).spec == resource().spec


def test_the_account_may_be_left_out_when_disabled_and_is_checked_if_given() -> None:
    assert resource(autoUpdate="Disabled", automationAccountResourceId=None).spec.automation_account_resource_id is None
    body = manifest(autoUpdate="Disabled")
    body["spec"]["automationAccountResourceId"] = None
    assert parse_resource(body).spec.automation_account_resource_id is None
    assert len(_problems(manifest(autoUpdate="Disabled", automationAccountResourceId="odd"))) == 1


def test_the_account_may_be_in_another_group_and_spelled_otherwise() -> None:
    account = ACCOUNT_ID.replace("rg-dr", "rg-automation").upper()

    assert resource(automationAccountResourceId=account).spec.automation_account_resource_id is not None


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"vaultResourceId": "dr"}, "spec.vaultResourceId: the vault id must start with /subscriptions; expected"),
        ({"vaultResourceId": 7}, "spec.vaultResourceId: the vault id must start with /subscriptions; expected"),
        ({"vaultResourceId": None}, "spec.vaultResourceId: required"),
        ({"autoUpdate": None}, "spec.autoUpdate: required"),
        ({"autoUpdate": "enabled"}, "spec.autoUpdate: input should be 'Enabled' or 'Disabled'"),
        ({"autoUpdate": True}, "spec.autoUpdate: input should be 'Enabled' or 'Disabled'"),
        (
            {"automationAccountResourceId": VAULT_ID},
            "spec.automationAccountResourceId: the automation account id must be of type",
        ),
        (
            {"automationAccountResourceId": None},
            "spec.automationAccountResourceId: required when autoUpdate is Enabled",
        ),
        (
            {"automationAccountResourceId": ""},
            "spec.automationAccountResourceId: the automation account id must start with /subscriptions",
        ),
        (
            {"automationAccountResourceId": ACCOUNT_ID.replace(SUBSCRIPTION, OTHER_SUBSCRIPTION)},
            f"spec.automationAccountResourceId: must be in the vault's subscription ({SUBSCRIPTION})",
        ),
        ({"mode": "Report"}, "spec.mode: input should be 'Enforce' or 'Audit'"),
        ({"suspend": "yes"}, "spec.suspend: input should be a valid boolean"),
        ({"suspend": 1}, "spec.suspend: input should be a valid boolean"),
        ({"automationAccountChecks": "no"}, "spec.automationAccountChecks: input should be a valid boolean"),
        ({"automationAccountChecks": 0}, "spec.automationAccountChecks: input should be a valid boolean"),
        ({"interval": "4m59s"}, "spec.interval: 4m59s is out of bounds: at least 5m, at most 168h"),
        ({"interval": "168h1s"}, "spec.interval: 168h1s is out of bounds"),
        ({"interval": 3600}, "spec.interval: '3600' is not a duration: write it like"),
        ({"interval": "soon"}, "spec.interval: 'soon' is not a duration"),
        ({"jobTimeout": "59s"}, "spec.jobTimeout: 59s is out of bounds: at least 1m, at most 24h"),
        ({"jobTimeout": "25h"}, "spec.jobTimeout: 25h is out of bounds"),
        ({"deletionPolicy": "Delete"}, "spec.deletionPolicy: input should be 'Retain' or 'Disable'"),
        ({"vaultResourceID": "x"}, "spec.vaultResourceID: unknown field"),
        ({"auto_update": "Enabled"}, "spec.auto_update: unknown field"),
        ({"job_timeout": "2h"}, "spec.job_timeout: unknown field"),
    ],
)
def test_each_bad_value_is_told_with_its_field_and_what_to_write(spec: dict[str, Any], problem: str) -> None:
    problems = _problems(manifest(**spec))

    assert len(problems) == 1
    assert problems[0].startswith(problem)


@pytest.mark.parametrize("interval", ["5m", "168h", "1h30m", "300s"])
def test_the_bounds_themselves_are_allowed(interval: str) -> None:
    assert resource(interval=interval).spec.interval == parse_duration(interval)


def test_all_problems_are_told_at_once() -> None:
    body = manifest(automationAccountResourceId=None, mode="x", interval="1s", jobTimeout="1s", extra=1)
    body["metadata"] = {"namespace": "asr"}
    body["kind"] = "Vault"
    body["data"] = {}

    assert [problem.split(":")[0] for problem in _problems(body)] == [
        "kind",
        "metadata.name",
        "spec.automationAccountResourceId",
        "spec.mode",
        "spec.interval",
        "spec.jobTimeout",
        "spec.extra",
        "data",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"apiVersion": "asr.vault-autoupdate.io/v2"}, "apiVersion: input should be"),
        ({"kind": "Secret"}, "kind: input should be 'VaultAutoUpdate'"),
        ({"metadata": None}, "metadata: "),
        ({"metadata": {"name": ""}}, "metadata.name: "),
        ({"metadata": {"name": "n", "annotations": {"a": 1}}}, "metadata.annotations.a: input should be a valid str"),
        ({"metadata": {"name": "n", "labels": ["a"]}}, "metadata.labels: must be an object"),
        ({"spec": None}, "spec: must be an object"),
        ({"spec": []}, "spec: must be an object"),
        ({"items": []}, "items: unknown field"),
    ],
)
def test_what_is_no_such_resource_is_refused(changes: dict[str, Any], problem: str) -> None:
    problems = _problems(manifest() | changes)

    assert len(problems) == 1
    assert problems[0].startswith(problem)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from([*SPEC["properties"], "odd"]), _JSON, max_size=6),
    st.none() | st.dictionaries(st.sampled_from([*SPEC["properties"]["agentUpdates"]["properties"], "odd"]), _JSON),
    st.dictionaries(st.sampled_from(["name", "namespace", "annotations", "creationTimestamp", "generation"]), _JSON),
)
def test_any_object_at_all_is_read_or_refused_with_reasons(
    spec: dict[str, Any], updates: dict[str, Any] | None, metadata: dict[str, Any]
) -> None:
    body = manifest()
    body["spec"] |= spec
    if updates is not None:
        body["spec"]["agentUpdates"] = _updates() | updates
    body["metadata"] |= metadata
    try:
        parse_resource(body)
    except InvalidSpec as error:
        assert error.problems  # noqa: PT017 - or no error at all - both outcomes are right
        assert all(problem and problem == problem.strip() for problem in error.problems)  # noqa: PT017 - or no error at all


# What the object's metadata means.


def test_a_resource_with_a_deletion_timestamp_is_being_deleted() -> None:
    assert resource(deleting=True).deleting
    assert not resource().deleting


@pytest.mark.parametrize("annotation", [REQUESTED_AT, UPDATE_AGENTS_NOW])
@pytest.mark.parametrize(
    ("value", "requested"),
    [("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"), ("", ""), (" a\nb ", "a b"), ("x" * 300, "x" * 253 + "…")],
)
def test_a_request_is_cut_to_what_the_status_can_answer_with(annotation: str, value: str, requested: str) -> None:
    body = manifest()
    body["metadata"]["annotations"] = {annotation: value}
    read = parse_resource(body)

    is_look = annotation == REQUESTED_AT
    assert (read.requested_at, read.update_agents_now) == ((requested, None) if is_look else (None, requested))


@pytest.mark.parametrize("annotations", [None, {}, {"other": "x"}])
def test_without_the_annotation_nothing_is_requested(annotations: dict[str, str] | None) -> None:
    body = manifest()
    body["metadata"]["annotations"] = annotations

    read = parse_resource(body)
    assert (read.requested_at, read.update_agents_now) == (None, None)


def test_keys_print_as_kubectl_does_and_sort_by_namespace() -> None:
    assert str(ResourceKey("asr", "dr")) == "asr/dr"
    assert ResourceKey("a", "b") < ResourceKey("b", "a")
    assert ObjectRef(ResourceKey("a", "b"), "1") != ObjectRef(ResourceKey("a", "b"), "2")


@pytest.mark.parametrize(
    "credential",
    [{}, {"secretName": "a", "serviceAccountName": "b"}, {"secretName": None}],
    ids=["empty", "both", "null"],
)
def test_a_credential_names_exactly_one_object(credential: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match="exactly one of secretName and serviceAccountName") as refused:
        resource(credential=credential)

    assert refused.value.problems[0].startswith("spec.credential: ")


@pytest.mark.parametrize("name", ["", "a/b", "../a", "A", "a_b", "-a", "a.", "a" * 254])
def test_a_credential_has_the_name_of_an_object(name: str) -> None:
    for field in ("secretName", "serviceAccountName"):
        with pytest.raises(InvalidSpec, match=f"spec.credential.{field}"):
            resource(credential={field: name})
        assert resource(credential={field: "azure-login.v2"}).spec.credential is not None


_NO_PATTERN = (
    "is no pattern of machine names: write 1 to 64 letters, digits, periods, underscores and hyphens, with * for any "
    "text and ? for any one character"
)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"agentUpdates": _updates(order=["a b"])}, f"spec.agentUpdates.order.0: 'a b' {_NO_PATTERN}"),
        ({"agentUpdates": _updates(order=["x" * 70])}, f"spec.agentUpdates.order.0: '{'x' * 64}' {_NO_PATTERN}"),
        (
            {"credential": {}},
            (
                "spec.credential: must name exactly one of secretName and serviceAccountName; without spec.credential "
                "the operator's own identity is used"
            ),
        ),
        ({"interval": "168h1s"}, "spec.interval: 168h1s is out of bounds: at least 5m, at most 168h"),
        (
            {"interval": "x" * 70},
            f"spec.interval: '{'x' * 64}' is not a duration: write it like 90s, 0.5s, 15m or 1h30m",
        ),
        (
            {"runbookSchedule": {"time": "02:30", "timeZone": "UTC"}},
            (
                "spec.runbookSchedule: Site Recovery has no schedule when autoUpdate is Disabled: set autoUpdate to "
                "Enabled, or remove runbookSchedule and say with agentUpdates when the operator updates the agents"
            ),
        ),
        ({"x" * 2000: 1}, f"spec.{'x' * 992}…"),
    ],
)
def test_a_problem_is_told_in_a_whole_sentence_of_bounded_length(spec: dict[str, Any], problem: str) -> None:
    assert _problems(manifest(autoUpdate="Disabled", automationAccountResourceId=None, **spec)) == [problem]


def test_an_account_of_another_subscription_is_told_of_whom_site_recovery_accepts() -> None:
    account = ACCOUNT_ID.replace(SUBSCRIPTION, OTHER_SUBSCRIPTION)

    assert _problems(manifest(automationAccountResourceId=account)) == [
        (
            "spec.automationAccountResourceId: must be in the vault's subscription "
            f"({SUBSCRIPTION}): Site Recovery accepts no other"
        )
    ]


def test_a_resource_of_a_policy_says_so_by_its_label() -> None:
    body = manifest()
    body["metadata"]["labels"] = {POLICY_LABEL: "estate", "other": "x"}

    assert parse_resource(body).policy == "estate"
    assert resource().policy == ""
