"""What the operator writes to Kubernetes, one write at a time, when the object is not what it was."""

from __future__ import annotations

import pytest

from vault_autoupdate.cluster.connection import Connection
from vault_autoupdate.cluster.writer import KubeWriter
from vault_autoupdate.model.errors import NotLeading, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.resource import ObjectRef, ResourceKey
from vault_autoupdate.report.readiness import already_managed
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import collection_path, manifest, resource_path
from workbench.kube.rest import MERGE_PATCH
from workbench.site import FINALIZER

OTHERS = ["example.com/a", "example.com/b"]


@pytest.fixture
def ref(control_plane: ControlPlane, namespace: str) -> ObjectRef:
    created = control_plane.rest.create(collection_path(namespace), manifest())
    return ObjectRef(ResourceKey(namespace, "dr-weu"), created["metadata"]["uid"])


def _set_finalizers(plane: ControlPlane, ref: ObjectRef, finalizers: list[str]) -> None:
    path = resource_path(ref.key.namespace, ref.key.name)
    plane.rest.request("PATCH", path, {"metadata": {"finalizers": finalizers}}, content_type=MERGE_PATCH)


def _finalizers(plane: ControlPlane, ref: ObjectRef) -> list[str]:
    metadata = plane.rest.request("GET", resource_path(ref.key.namespace, ref.key.name))["metadata"]
    return list(metadata.get("finalizers", []))


async def test_finalizers_that_others_have_added_meanwhile_are_not_overwritten(
    control_plane: ControlPlane, api: Connection, ref: ObjectRef
) -> None:
    writer = KubeWriter(api, instance="test")
    _set_finalizers(control_plane, ref, OTHERS)

    with pytest.raises(ObjectChanged):
        await writer.add_finalizer(ref, ())

    assert _finalizers(control_plane, ref) == OTHERS
    await writer.add_finalizer(ref, tuple(OTHERS))
    assert _finalizers(control_plane, ref) == [*OTHERS, FINALIZER]


async def test_a_finalizer_that_stands_elsewhere_by_now_is_not_mistaken_for_another(
    control_plane: ControlPlane, api: Connection, ref: ObjectRef
) -> None:
    writer = KubeWriter(api, instance="test")
    _set_finalizers(control_plane, ref, [FINALIZER, *OTHERS])

    with pytest.raises(ObjectChanged):
        await writer.remove_finalizer(ref, (*OTHERS, FINALIZER))

    assert _finalizers(control_plane, ref) == [FINALIZER, *OTHERS]
    await writer.remove_finalizer(ref, (FINALIZER, *OTHERS))
    assert _finalizers(control_plane, ref) == OTHERS


async def test_a_status_never_gets_onto_a_later_object_of_the_same_name(
    control_plane: ControlPlane, api: Connection, ref: ObjectRef
) -> None:
    writer = KubeWriter(api, instance="test")
    path = resource_path(ref.key.namespace, ref.key.name)
    await writer.check_present(ref)
    control_plane.rest.request("DELETE", path)

    with pytest.raises(ObjectGone):
        await writer.write_status(ref, {"vaultName": "old"}, patient=True)
    control_plane.rest.create(collection_path(ref.key.namespace), manifest())
    with pytest.raises(ObjectGone):
        await writer.write_status(ref, {"vaultName": "old"}, patient=True)
    with pytest.raises(ObjectGone):
        await writer.check_present(ref)

    assert "vaultName" not in control_plane.rest.request("GET", path).get("status", {})


async def test_a_status_that_the_schema_refuses_does_not_count_as_an_object_that_is_gone(
    api: Connection, ref: ObjectRef
) -> None:
    with pytest.raises(NotWritten, match="422"):
        await KubeWriter(api, instance="test").write_status(ref, {"observedGeneration": "one"}, patient=False)


async def test_a_process_that_may_not_write_writes_nothing(
    control_plane: ControlPlane, api: Connection, ref: ObjectRef
) -> None:
    writer = KubeWriter(api, instance="test", may_write=lambda: False)

    with pytest.raises(NotLeading):
        await writer.write_status(ref, {"vaultName": "mine"}, patient=True)
    with pytest.raises(NotLeading):
        await writer.add_finalizer(ref, ())

    assert not _finalizers(control_plane, ref)


async def test_an_event_says_how_often_it_has_come_to_this_and_what_else_has_to_do_with_it(
    control_plane: ControlPlane, api: Connection, ref: ObjectRef
) -> None:
    writer = KubeWriter(api, instance="test")
    await writer.emit_event(ref, already_managed(ResourceKey(ref.key.namespace, "older")), count=7)

    path = f"/apis/events.k8s.io/v1/namespaces/{ref.key.namespace}/events"
    (event,) = control_plane.rest.request("GET", path)["items"]
    assert (event["reason"], event["type"], event["series"]["count"]) == ("VaultAlreadyManaged", "Warning", 7)
    assert (event["related"]["kind"], event["related"]["name"]) == ("VaultAutoUpdate", "older")
    assert event["regarding"]["uid"] == ref.uid
