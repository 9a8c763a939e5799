"""The emulator does what the real API server does, as far as a controller can tell: each test runs on both."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kmock
import pytest

from workbench.kube.control_plane import ControlPlane
from workbench.kube.embedded_api import EmbeddedApi, open_embedded_api
from workbench.kube.emulator_server import EmulatorServer
from workbench.kube.resources import EXAMPLE_FILE, collection_path, manifest, resource_path
from workbench.kube.rest import JSON_PATCH, MERGE_PATCH, ApiError
from workbench.process.children import ChildProcess
from workbench.process.waiting import wait_until

_NAMES = itertools.count()
_FINALIZER = {"metadata": {"finalizers": ["asr.vault-autoupdate.io/test"]}}


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    with open_embedded_api(tmp_path_factory.mktemp("emulator"), emulate=True) as running:
        yield running


@pytest.fixture(params=["real", "emulated"])
def api(request: pytest.FixtureRequest) -> EmbeddedApi:
    if request.param == "emulated":
        emulated: EmbeddedApi = request.getfixturevalue("emulated")
        return emulated
    plane: ControlPlane = request.getfixturevalue("control_plane")
    return EmbeddedApi(f"kube-apiserver {plane.version}", plane.admin_kubeconfig, plane.rest, plane)


@pytest.fixture
def where(api: EmbeddedApi) -> str:
    """A namespace of the test's own."""
    name = f"contract-{next(_NAMES)}-{os.urandom(3).hex()}"
    if isinstance(api.server, ControlPlane):
        api.server.create_namespace(name)
    return name


def _create(api: EmbeddedApi, where: str, name: str = "one", **spec: Any) -> dict[str, Any]:
    created: dict[str, Any] = api.rest.create(collection_path(where), manifest(name, **spec))
    return created


def _status(api: EmbeddedApi, where: str, body: dict[str, Any]) -> dict[str, Any]:
    path = resource_path(where, "one", subresource="status")
    written: dict[str, Any] = api.rest.request("PATCH", path, body, content_type=MERGE_PATCH)
    return written


def test_defaults_inside_a_part_of_the_spec_come_from_the_server_if_the_part_is_there(
    api: EmbeddedApi, where: str
) -> None:
    updates = {"schedule": "0 22 * * SAT", "duration": "4h", "maxConcurrent": 3}
    windows = _create(api, where, autoUpdate="Disabled", agentUpdates=updates)["spec"]
    none = _create(api, where, "two")["spec"]

    assert windows["agentUpdates"] == updates | {"timeZone": "UTC", "maxFailures": 1, "order": [], "pause": False}
    assert windows["automationAccountChecks"] is none["automationAccountChecks"] is True
    assert "agentUpdates" not in none


def test_a_new_object_gets_its_metadata_and_defaults_from_the_server(api: EmbeddedApi, where: str) -> None:
    created = _create(api, where)

    metadata = created["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["generation"]) == ("one", where, 1)
    assert {"uid", "resourceVersion", "creationTimestamp"} <= set(metadata)
    assert (created["spec"]["interval"], created["spec"]["deletionPolicy"]) == ("1h", "Retain")
    assert created["status"] == {"observedGeneration": -1}
    assert api.get("one", where)["metadata"]["uid"] == metadata["uid"]


def test_the_generation_counts_changes_of_the_spec_alone(api: EmbeddedApi, where: str) -> None:
    first = _create(api, where)
    annotated = api.patch("one", {"metadata": {"annotations": {"asr.vault-autoupdate.io/requestedAt": "1"}}}, where)
    changed = api.patch("one", {"spec": {"mode": "Audit"}}, where)

    assert [body["metadata"]["generation"] for body in (first, annotated, changed)] == [1, 1, 2]
    assert len({body["metadata"]["resourceVersion"] for body in (first, annotated, changed)}) == 3


def test_spec_and_status_are_written_apart(api: EmbeddedApi, where: str) -> None:
    _create(api, where)
    both = {"spec": {"mode": "Audit"}, "status": {"location": "westeurope"}}

    through_status = _status(api, where, both)
    assert (through_status["spec"]["mode"], through_status["metadata"]["generation"]) == ("Enforce", 1)
    assert through_status["status"] == {"observedGeneration": -1, "location": "westeurope"}

    through_main = api.patch("one", {"spec": {"mode": "Audit"}, "status": {"location": "moon"}}, where)
    assert (through_main["spec"]["mode"], through_main["status"]["location"]) == ("Audit", "westeurope")


def test_a_patch_that_changes_nothing_makes_no_new_version(api: EmbeddedApi, where: str) -> None:
    _create(api, where)
    first = _status(api, where, {"status": {"location": "westeurope"}})

    second = _status(api, where, {"status": {"location": "westeurope"}})

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_unknown_fields_are_dropped(api: EmbeddedApi, where: str) -> None:
    _create(api, where)

    assert "nonsense" not in _status(api, where, {"status": {"nonsense": 1}})["status"]


def test_a_stale_version_is_a_conflict(api: EmbeddedApi, where: str) -> None:
    old = _create(api, where)
    api.patch("one", {"spec": {"mode": "Audit"}}, where)

    with pytest.raises(ApiError, match="the object has been modified") as put:
        api.rest.request("PUT", resource_path(where, "one"), old)
    with pytest.raises(ApiError, match="the object has been modified") as patch:
        api.patch("one", {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "spec": {}}, where)
    assert (put.value.code, patch.value.code) == (409, 409)


def test_putting_the_newest_version_replaces_the_object(api: EmbeddedApi, where: str) -> None:
    body = _create(api, where)
    body["spec"] |= {"suspend": True}

    replaced = api.rest.request("PUT", resource_path(where, "one"), body)

    assert (replaced["spec"]["suspend"], replaced["metadata"]["generation"]) == (True, 2)
    assert replaced["metadata"]["uid"] == body["metadata"]["uid"]


def test_a_json_patch_whose_test_fails_is_refused_as_unprocessable(api: EmbeddedApi, where: str) -> None:
    created = _create(api, where)

    def patch(version: str) -> dict[str, Any]:
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/metadata/finalizers", "value": ["asr.vault-autoupdate.io/test"]},
        ]
        answer: dict[str, Any] = api.rest.request(
            "PATCH", resource_path(where, "one"), operations, content_type=JSON_PATCH
        )
        return answer

    with pytest.raises(ApiError) as refusal:
        patch("1")
    assert refusal.value.code == 422
    assert patch(created["metadata"]["resourceVersion"])["metadata"]["finalizers"] == ["asr.vault-autoupdate.io/test"]


def test_an_object_with_a_finalizer_stays_until_that_is_taken_off(api: EmbeddedApi, where: str) -> None:
    _create(api, where)
    api.patch("one", _FINALIZER, where)

    api.delete("one", where)
    assert "deletionTimestamp" in api.get("one", where)["metadata"]

    api.patch("one", {"metadata": {"finalizers": None}}, where)
    assert api.rest.get_or_none(resource_path(where, "one")) is None


def test_an_object_without_finalizers_is_gone_at_once(api: EmbeddedApi, where: str) -> None:
    _create(api, where)

    api.delete("one", where)

    assert api.list(where) == []
    with pytest.raises(ApiError) as missing:
        _status(api, where, {"status": {"location": "westeurope"}})
    assert missing.value.code == 404


def test_names_are_unique_or_made_up_by_the_server(api: EmbeddedApi, where: str) -> None:
    _create(api, where)
    with pytest.raises(ApiError, match='"one" already exists') as taken:
        _create(api, where)
    assert taken.value.code == 409

    event = {
        "metadata": {"generateName": "kopf-event-", "namespace": where},
        "involvedObject": {"namespace": where},
        "reason": "Test",
        "type": "Normal",
    }
    names = {api.rest.create(f"/api/v1/namespaces/{where}/events", event)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("kopf-event-") for name in names)


def test_a_list_says_what_it_is_and_can_be_narrowed(api: EmbeddedApi, where: str) -> None:
    _create(api, where)
    _create(api, where, "two")
    api.patch("two", {"metadata": {"labels": {"team": "dr"}}}, where)

    whole = api.rest.request("GET", collection_path(where))
    assert (whole["kind"], whole["apiVersion"]) == ("VaultAutoUpdateList", "asr.vault-autoupdate.io/v1alpha1")
    for query, names in {
        "labelSelector=team%3Ddr": ["two"],
        "labelSelector=team%3D%3Ddr": ["two"],
        "labelSelector=team": ["two"],
        "labelSelector=%21team": ["one"],
        "fieldSelector=metadata.name%3Dtwo": ["two"],
    }.items():
        narrowed = api.rest.request("GET", f"{collection_path(where)}?{query}")
        assert [item["metadata"]["name"] for item in narrowed["items"]] == names, query


def test_a_watch_tells_what_happened_since_a_version(api: EmbeddedApi, where: str) -> None:
    _create(api, where)
    version = api.rest.request("GET", collection_path(where))["metadata"]["resourceVersion"]
    _create(api, where, "two")
    api.patch("one", {"spec": {"mode": "Audit"}}, where)
    api.delete("two", where)

    events = itertools.islice(api.rest.watch(collection_path(where), resource_version=version), 3)

    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "two"),
        ("MODIFIED", "one"),
        ("DELETED", "two"),
    ]


def test_a_watch_without_a_version_begins_with_what_is_there(api: EmbeddedApi, where: str) -> None:
    _create(api, where)

    events = list(api.rest.watch(collection_path(where), seconds=1))

    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [("ADDED", "one")]


def test_a_watch_from_a_version_that_is_forgotten_gets_a_410(emulated: EmbeddedApi) -> None:
    version = emulated.rest.request("GET", collection_path("default"))["metadata"]["resourceVersion"]
    _create(emulated, "default", "later")
    assert isinstance(emulated.server, EmulatorServer)
    emulated.server.forget_history()

    (event,) = emulated.rest.watch(collection_path("default"), resource_version=version)

    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_the_emulator_records_requests_and_can_be_told_to_fail(emulated: EmbeddedApi) -> None:
    assert isinstance(emulated.server, EmulatorServer)
    emulator = emulated.server.emulator
    emulator["post", re.compile(".*/configmaps")] << 503

    with pytest.raises(ApiError) as failure:
        emulated.rest.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}})

    assert failure.value.code == 503
    last = list(emulator)[-1]
    assert (last.action, last.namespace) == (kmock.action.CREATE, "default")


def test_kubectl_shows_the_same_table(api: EmbeddedApi, where: str) -> None:
    _create(api, where)
    ready = {
        "type": "Ready", "status": "True", "reason": "Succeeded", "message": "all 3 mappings are Enabled",
        "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 1,
    }  # fmt: skip
    _status(api, where, {"status": {"vaultName": "dr-weu", "compliantSummary": "3/3", "conditions": [ready]}})

    header, row = api.kubectl("get", "vau", "-n", where).splitlines()

    assert header.split() == ["NAME", "VAULT", "DESIRED", "COMPLIANT", "READY", "STATUS", "AGE"]
    assert row.split()[:-1] == ["one", "dr-weu", "Enabled", "3/3", "True", *["all", "3", "mappings", "are", "Enabled"]]
    assert api.kubectl("wait", "vau/one", "-n", where, "--for=condition=Ready", "--timeout=5s")


def test_kubectl_applies_a_file_twice(api: EmbeddedApi) -> None:
    assert api.apply(EXAMPLE_FILE).endswith("dr-weu created\n")
    assert api.apply(EXAMPLE_FILE).endswith("dr-weu unchanged\n")
    assert api.kubectl("delete", "-f", EXAMPLE_FILE).startswith("vaultautoupdate.asr.vault-autoupdate.io")


_OPERATOR = """
import kopf
resource = ("asr.vault-autoupdate.io", "v1alpha1", "vaultautoupdates")

@kopf.on.startup()
def configure(settings, **_):
    settings.scanning.disabled = True
    settings.persistence.finalizer = "asr.vault-autoupdate.io/test"

@kopf.on.event(*resource)
def seen(type, name, **_):
    print("seen", type, name, flush=True)

@kopf.on.delete(*resource, when=lambda spec, **_: spec.get("deletionPolicy") == "Disable")
def deleted(name, **_):
    print("deleted", name, flush=True)
"""


def test_a_kopf_operator_works_on_it(api: EmbeddedApi, where: str, tmp_path: Path) -> None:
    script = tmp_path / "handlers.py"
    script.write_text(_OPERATOR)
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", where, str(script)]
    environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig)}
    _create(api, where, "before")
    with ChildProcess(command, log=tmp_path / "kopf.log", name="kopf", env=environment) as operator:
        operator.wait_for_log("seen None before", within=20)
        _create(api, where, "kept")
        operator.wait_for_log("seen ADDED kept", within=10)
        _create(api, where, "switched", deletionPolicy="Disable")
        wait_until(
            lambda: api.get("switched", where)["metadata"].get("finalizers") == ["asr.vault-autoupdate.io/test"],
            within=10,
            what=lambda: f"a finalizer; the log:\n{operator.log_tail()}",
        )
        assert "finalizers" not in api.get("kept", where)["metadata"]

        api.delete("switched", where)
        operator.wait_for_log("deleted switched", within=10)
        wait_until(
            lambda: api.rest.get_or_none(resource_path(where, "switched")) is None,
            within=10,
            what="the object without its finalizer",
        )
        operator.send_signal(signal.SIGTERM)
        assert operator.wait(within=20) == 0
