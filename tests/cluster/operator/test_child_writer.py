"""What policies write to Kubernetes, one write at a time: each is for one very object, and for no later namesake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vault_autoupdate.cluster.child_writer import ChildWriter
from vault_autoupdate.cluster.connection import Connection
from vault_autoupdate.model.errors import NotLeading, NotWritten, ObjectChanged, ObjectGone
from vault_autoupdate.model.resource import ObjectRef, ResourceKey
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import collection_path, manifest, resource_path

NAME = "estate-dr-weu"


@pytest.fixture
def ref(control_plane: ControlPlane, namespace: str) -> ObjectRef:
    created = control_plane.rest.create(collection_path(namespace), manifest(NAME))
    return ObjectRef(ResourceKey(namespace, NAME), created["metadata"]["uid"])


async def test_a_resource_is_made_once_and_one_of_that_name_is_left_as_it_is(
    control_plane: ControlPlane, api: Connection, namespace: str
) -> None:
    writer = ChildWriter(api, (namespace,))

    await writer.create(manifest(NAME, namespace=namespace, interval="2h"))
    await writer.create(manifest(NAME, namespace=namespace, interval="3h"))

    assert control_plane.rest.request("GET", resource_path(namespace, NAME))["spec"]["interval"] == "2h"
    assert [each["metadata"]["name"] async for page in writer.pages() for each in page] == [NAME]


async def test_a_change_takes_fields_away_that_are_none_and_leaves_all_others(
    control_plane: ControlPlane, api: Connection, ref: ObjectRef
) -> None:
    spec = {"autoUpdate": "Disabled", "interval": "2h", "automationAccountResourceId": None}

    await ChildWriter(api, ()).change(ref, {"metadata": {"annotations": {"a": "b"}}, "spec": spec})

    body = control_plane.rest.request("GET", resource_path(ref.key.namespace, NAME))
    assert (body["spec"]["autoUpdate"], body["spec"]["interval"]) == ("Disabled", "2h")
    assert "automationAccountResourceId" not in body["spec"]
    assert body["metadata"]["annotations"] == {"a": "b"}
    assert body["metadata"]["uid"] == ref.uid


async def test_nothing_is_done_to_a_later_namesake_nor_to_what_is_gone(
    control_plane: ControlPlane, api: Connection, ref: ObjectRef
) -> None:
    writer, other = ChildWriter(api, ()), replace(ref, uid="00000000-0000-4000-8000-000000000000")

    with pytest.raises(ObjectChanged):
        await writer.change(other, {"spec": {"autoUpdate": "Disabled"}})
    with pytest.raises(ObjectChanged):
        await writer.remove(other)
    assert control_plane.rest.request("GET", resource_path(ref.key.namespace, NAME))["spec"]["autoUpdate"] == "Enabled"

    await writer.remove(ref)
    with pytest.raises(ObjectGone):
        await writer.remove(ref)
    with pytest.raises(ObjectGone):
        await writer.change(ref, {"spec": {"autoUpdate": "Disabled"}})


async def test_what_the_api_server_refuses_is_told_and_who_does_not_lead_writes_nothing(
    api: Connection, ref: ObjectRef
) -> None:
    with pytest.raises(NotWritten):
        await ChildWriter(api, ()).change(ref, {"spec": {"autoUpdate": "Perhaps"}})
    with pytest.raises(NotWritten):
        await ChildWriter(api, ()).create(manifest("x", namespace="no-such-namespace"))
    with pytest.raises(NotLeading):
        await ChildWriter(api, (), may_write=lambda: False).remove(ref)
