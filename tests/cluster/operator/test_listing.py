"""Lists of resources, read a page at a time from a real API server."""

from __future__ import annotations

import pytest

from vault_autoupdate.cluster import listing
from vault_autoupdate.cluster.connection import Connection
from vault_autoupdate.model.resource import SHARD_LABEL
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import collection_path, manifest, resource_path
from workbench.kube.rest import MERGE_PATCH

NAMES = [f"dr-{number}" for number in range(5)]


@pytest.fixture
def five(control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace with five resources, of which a page has two."""
    monkeypatch.setattr(listing, "_PAGE", 2)
    for name in NAMES:
        control_plane.rest.create(collection_path(namespace), manifest(name))
    return namespace


async def test_a_list_has_the_resources_of_all_pages(api: Connection, five: str) -> None:
    pages = [len(page) async for page in listing.each_page(api, five)]

    assert pages == [2, 2, 1]
    assert [each["metadata"]["name"] for each in await listing.list_resources(api, five)] == NAMES


async def test_the_main_shard_reads_all_resources_before_it_begins_only_where_one_has_another_shard(
    control_plane: ControlPlane, api: Connection, five: str
) -> None:
    async def names(shard: str) -> list[str]:
        found = listing.each_that_matters_to_shards(api, (five,), shard)
        return [each["metadata"]["name"] async for each in found]

    assert (await names(""), await names("emea")) == ([], NAMES)

    labelled = {"metadata": {"labels": {SHARD_LABEL: "emea"}}}
    control_plane.rest.request("PATCH", resource_path(five, NAMES[0]), labelled, content_type=MERGE_PATCH)
    assert await names("") == NAMES
