"""A stand-in for the Kubernetes API server on machines that can run none: kmock's HTTP front, our own store.

kmock brings the parsing of Kubernetes' paths, discovery, the record of all requests (iterate over the emulator) and its
language for answers out of the ordinary (``emulator["patch"] << 500``). What an API server does to objects is in
`workbench.kube.emulator_store`. Missing on purpose: validation, CEL, authentication, RBAC, OpenAPI (so kubectl wants
``--validate=false``), listing namespaces.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import kmock
import yaml

from workbench.kube.emulator_store import CRDS, Document, ResourceType, Store, StoreError, TypeKey, matches
from workbench.kube.emulator_table import table

_BOOKMARKS_EVERY: Final = 15.0
_VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete")

BUILT_IN: Final = (
    ResourceType("", "v1", "namespaces", "Namespace", namespaced=False, short_names=("ns",)),
    ResourceType("", "v1", "events", "Event", short_names=("ev",)),
    ResourceType("", "v1", "configmaps", "ConfigMap", short_names=("cm",)),
    ResourceType("", "v1", "secrets", "Secret"),
    ResourceType("events.k8s.io", "v1", "events", "Event", short_names=("ev",)),
    ResourceType("coordination.k8s.io", "v1", "leases", "Lease"),
    ResourceType(*CRDS, "CustomResourceDefinition", namespaced=False, short_names=("crd",)),
)

__all__ = ["BUILT_IN", "Emulator"]


class Emulator(kmock.KubernetesScaffold):
    """Serves a `Store` as an API server would. Serve it with `workbench.kube.emulator_server.EmulatorServer`."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store(BUILT_IN)
        self._changed = asyncio.Event()
        super().__init__()
        self.store.on_change = self._wake
        for path in (r"/api/v1/.+", r"/apis/[^/]+/[^/]+/.+"):
            self.fallback[re.compile(path)] << self._serve
        self.fallback[re.compile(r"/(readyz|livez|healthz)")] << b"ok"
        self._announce()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _announce(self) -> None:
        """Tell kmock what there is, for the discovery of groups and versions."""
        self.resources.clear()
        for kind in self.store.types.values():
            self.resources[f"{kind.api_version}/{kind.plural}"] = kmock.ResourceInfo()

    async def _serve_version(self, request: kmock.Request) -> Any:
        # kmock repeats the short names and categories for subresources, which confuses kubectl.
        resource = request.resource
        assert resource is not None  # only such requests get here
        wanted = (resource.group, resource.version)
        kinds = [kind for kind in self.store.types.values() if (kind.group, kind.version) == wanted]
        if not kinds:
            return _respond(404, StoreError(404, "NotFound", "no such group and version").document())
        return {
            "apiVersion": "v1",
            "kind": "APIResourceList",
            "groupVersion": kinds[0].api_version,
            "resources": [entry for kind in kinds for entry in _discovery(kind)],
        }

    # --- requests ---------------------------------------------------------------------------------------------

    async def _serve(self, request: kmock.Request) -> Any:
        try:
            return self._answer(request)
        except StoreError as error:
            return _respond(error.code, error.document())

    def _answer(self, request: kmock.Request) -> Any:
        key, namespace, name = _address(request)
        kind = self.store.type_of(key)
        method = str(request.method.value)
        if method == "GET" and request.params.get("watch", "").lower() in {"true", "1"}:
            return _respond(200, self._watch(request, kind, namespace, name))
        if method == "GET":
            return _respond(200, self._read(request, kind, namespace, name))
        if method == "POST" and name is None:
            self._check_body(request.data)
            return self._changing(201, self.store.create(key, namespace or "", request.data))
        if name is None:
            raise StoreError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        where = (key, namespace or "", name)
        match method:
            case "PUT":
                self._check_body(request.data)
                document = self.store.replace(*where, request.data, request.subresource or "")
            case "PATCH":
                document = self._patch(request, where)
            case "DELETE":
                document = self.store.delete(*where)
            case _:
                raise StoreError(405, "MethodNotAllowed", f"the emulator does not know {method}")
        return self._changing(200, document)

    def _changing(self, status: int, document: Document) -> Any:
        if document["kind"] == "CustomResourceDefinition":
            self._announce()
        return _respond(status, document)

    def _check_body(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise StoreError(400, "BadRequest", "the body of the request is not a JSON object")

    def _patch(self, request: kmock.Request, where: tuple[TypeKey, str, str]) -> Document:
        content_type = request.headers.get("Content-Type", "").partition(";")[0]
        subresource = request.subresource or ""
        if content_type == "application/json-patch+json":
            return self.store.json_patch(*where, json.loads(request.text), subresource)
        patch = yaml.safe_load(request.text)
        self._check_body(patch)
        if content_type == "application/apply-patch+yaml":  # good enough: ownership of fields is not kept
            try:
                self.store.get(*where)
            except StoreError:
                return self.store.create(*where[:2], patch)
        return self.store.merge(*where, patch, subresource)

    def _read(self, request: kmock.Request, kind: ResourceType, namespace: str | None, name: str | None) -> Any:
        as_table = "as=Table" in request.headers.get("Accept", "")
        if name is not None:
            if kind.plural == "namespaces" and not kind.group:  # they all exist: nobody makes any here
                return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name}}
            one = self.store.get(kind.key, namespace or "", name)
            return table(kind, [one], self.store.revision) if as_table else one
        found = [document for document in self.store.objects(kind.key, namespace) if _selected(request, document)]
        if as_table:
            return table(kind, found, self.store.revision)
        return {
            "apiVersion": kind.api_version,
            "kind": f"{kind.kind}List",
            "metadata": {"resourceVersion": str(self.store.revision)},
            "items": found,
        }

    async def _watch(
        self, request: kmock.Request, kind: ResourceType, namespace: str | None, name: str | None
    ) -> AsyncIterator[Any]:
        yield b""  # sends the headers
        loop = asyncio.get_running_loop()
        end = loop.time() + float(request.params.get("timeoutSeconds") or 3600)
        bookmarks = request.params.get("allowWatchBookmarks", "").lower() in {"true", "1"}
        start = request.params.get("resourceVersion", "")
        revision = int(start) if start.isdigit() and start != "0" else self.store.revision
        initial = request.params.get("sendInitialEvents") == "true"
        if initial or start in {"", "0"}:
            revision = self.store.revision
            for document in self.store.objects(kind.key, namespace):
                if _selected(request, document, name):
                    yield self._event("ADDED", document, request, kind)
        if initial:
            yield _bookmark(kind, revision, {"annotations": {"k8s.io/initial-events-end": "true"}})
        while (now := loop.time()) < end:
            changed = self._changed
            try:
                for event in self.store.events_after(revision):
                    revision = event.revision
                    here = event.type == kind.key and namespace in {None, event.object["metadata"].get("namespace")}
                    if here and _selected(request, event.object, name):
                        yield self._event(event.action, event.object, request, kind)
            except StoreError as error:
                yield {"type": "ERROR", "object": error.document()}
                return
            try:
                await asyncio.wait_for(changed.wait(), min(end - now, _BOOKMARKS_EVERY))
            except TimeoutError:
                if bookmarks:
                    yield _bookmark(kind, revision)

    def _event(self, action: str, document: Document, request: kmock.Request, kind: ResourceType) -> Document:
        as_table = "as=Table" in request.headers.get("Accept", "")
        return {"type": action, "object": table(kind, [document], self.store.revision) if as_table else document}


def _respond(status: int, payload: Any) -> Any:
    # kmock has the class in its namespace, but not in its __all__.
    response = kmock.Response  # type: ignore[attr-defined]
    return response(status=status, payload=payload, headers={"Content-Type": "application/json"})


def _bookmark(kind: ResourceType, revision: int, more: Document | None = None) -> Document:
    metadata = {"resourceVersion": str(revision), "creationTimestamp": None} | (more or {})
    return {
        "type": "BOOKMARK",
        "object": {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata},
    }


def _discovery(kind: ResourceType) -> list[Document]:
    main = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(_VERBS),
        "shortNames": list(kind.short_names),
        "categories": list(kind.categories),
    }
    status = {
        "name": f"{kind.plural}/status",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": ["get", "patch", "update"],
    }
    return [main, status] if kind.has_status else [main]


def _address(request: kmock.Request) -> tuple[TypeKey, str | None, str | None]:
    """Return the type, namespace and name that a request is about."""
    resource = request.resource
    assert resource is not None  # only such requests get here
    group, version = resource.group or "", resource.version or ""
    if resource.plural is None:  # kmock takes /api/v1/namespaces/x for the inside of that namespace
        return (group, version, "namespaces"), None, request.namespace
    return (group, version, resource.plural), request.namespace, request.name


def _selected(request: kmock.Request, document: Document, name: str | None = None) -> bool:
    if name not in {None, document["metadata"]["name"]}:
        return False
    return matches(document, request.params.get("labelSelector", ""), request.params.get("fieldSelector", ""))
