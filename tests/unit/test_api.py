"""The resource as types: what is read from a manifest, and what is said about one that cannot be acted on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT_ID, SUBSCRIPTION, VAULT_ID, manifest, resource
from tests.unit.schema import SPEC
from vault_autoupdate.api import (
    LONG_AGO,
    REQUESTED_AT,
    AutoUpdate,
    DeletionPolicy,
    InvalidSpec,
    Mode,
    ObjectRef,
    ResourceKey,
    VaultAutoUpdate,
    parse_resource,
)
from vault_autoupdate.durations import parse_duration

OTHER_SUBSCRIPTION = "00000000-0000-4000-8000-000000000000"


def _problems(body: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidSpec) as refused:
        parse_resource(body)
    assert str(refused.value) == "; ".join(refused.value.problems)
    return refused.value.problems


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
    }
    theirs = {name: field["default"] for name, field in SPEC["properties"].items() if "default" in field}

    assert ours == theirs | {name: parse_duration(theirs[name]) for name in ("interval", "jobTimeout")}


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
        ({"spec": None}, "spec: "),
        ({"spec": []}, "spec: "),
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
    st.dictionaries(st.sampled_from(["name", "namespace", "annotations", "creationTimestamp", "generation"]), _JSON),
)
def test_any_object_at_all_is_read_or_refused_with_reasons(spec: dict[str, Any], metadata: dict[str, Any]) -> None:
    body = manifest()
    body["spec"] |= spec
    body["metadata"] |= metadata
    try:
        parse_resource(body)
    except InvalidSpec as error:
        assert error.problems  # noqa: PT017 - both outcomes are right
        assert all(problem and problem == problem.strip() for problem in error.problems)  # noqa: PT017


# What the object's metadata means.


def test_a_resource_with_a_deletion_timestamp_is_being_deleted() -> None:
    assert resource(deleting=True).deleting
    assert not resource().deleting


@pytest.mark.parametrize(
    ("value", "requested"),
    [("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"), ("", ""), (" a\nb ", "a b"), ("x" * 300, "x" * 253 + "…")],
)
def test_a_request_is_cut_to_what_the_status_can_answer_with(value: str, requested: str) -> None:
    body = manifest()
    body["metadata"]["annotations"] = {REQUESTED_AT: value}

    assert parse_resource(body).requested_at == requested


@pytest.mark.parametrize("annotations", [None, {}, {"other": "x"}])
def test_without_the_annotation_nothing_is_requested(annotations: dict[str, str] | None) -> None:
    body = manifest()
    body["metadata"]["annotations"] = annotations

    assert parse_resource(body).requested_at is None


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
