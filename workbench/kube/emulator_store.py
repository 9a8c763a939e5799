"""What the emulator knows and does with objects: the rules of a Kubernetes API server, without HTTP.

Only those rules that a controller meets: metadata that the server sets, the status subresource, defaults, finalizers,
optimistic locking, and a history that a watch can resume from. No validation, no CEL, no RBAC.
"""

from __future__ import annotations

import copy
import json
import secrets
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import jsonpatch

Document = dict[str, Any]

CRDS: Final = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")
_KEPT_EVENTS: Final = 10_000

__all__ = ["CRDS", "Document", "ResourceType", "Store", "StoreError", "TypeKey", "WatchEvent", "matches"]

TypeKey = tuple[str, str, str]
"""Group, version and plural name."""
_ObjectKey = tuple[TypeKey, str, str]


class StoreError(Exception):
    """A request that an API server would refuse."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message

    def document(self) -> Document:
        """Return the answer's body."""
        return {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }


@dataclass(frozen=True)
class ResourceType:
    """A kind of objects that the server stores."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_status: bool = False
    """Whether there is a status subresource, which keeps the two ways of writing apart."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """Where the defaults come from, and which fields are kept; empty for "all"."""
    columns: tuple[Mapping[str, Any], ...] = ()

    @property
    def key(self) -> TypeKey:
        """What the type is found under."""
        return self.group, self.version, self.plural

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def from_definition(cls, definition: Document) -> ResourceType:
        """Read the first served version of a CustomResourceDefinition."""
        spec = definition["spec"]
        version = next(version for version in spec["versions"] if version["served"])
        return cls(
            group=spec["group"],
            version=version["name"],
            plural=spec["names"]["plural"],
            kind=spec["names"]["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(spec["names"].get("shortNames", ())),
            categories=tuple(spec["names"].get("categories", ())),
            has_status="status" in version.get("subresources", {}),
            schema=version["schema"]["openAPIV3Schema"],
            columns=tuple(version.get("additionalPrinterColumns", ())),
        )


@dataclass(frozen=True)
class WatchEvent:
    """Something that happened to an object, in the order of revisions."""

    revision: int
    type: TypeKey
    action: str
    """ADDED, MODIFIED or DELETED."""
    object: Document


class Store:
    """Objects, in memory. Not for use from several threads."""

    def __init__(self, types: tuple[ResourceType, ...] = ()) -> None:
        self.types: dict[TypeKey, ResourceType] = {kind.key: kind for kind in types}
        self.revision = 1
        self._objects: dict[_ObjectKey, Document] = {}
        self._history: deque[WatchEvent] = deque(maxlen=_KEPT_EVENTS)
        self._forgotten = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change, for those who wait in a watch."""

    # --- reading ----------------------------------------------------------------------------------------------

    def type_of(self, key: TypeKey) -> ResourceType:
        """Return the type, or refuse with 404."""
        if key not in self.types:
            raise StoreError(404, "NotFound", "the server could not find the requested resource")
        return self.types[key]

    def get(self, key: TypeKey, namespace: str, name: str) -> Document:
        """Return an object, or refuse with 404."""
        kind = self.type_of(key)
        found = self._objects.get((key, namespace, name))
        if found is None:
            raise StoreError(404, "NotFound", f'{_qualified(kind)} "{name}" not found')
        return copy.deepcopy(found)

    def objects(self, key: TypeKey, namespace: str | None = None) -> list[Document]:
        """Return the objects of a type, in one namespace or in all."""
        self.type_of(key)
        return [
            copy.deepcopy(document)
            for (kind, where, _), document in self._objects.items()
            if kind == key and namespace in {None, where}
        ]

    def events_after(self, revision: int) -> Iterator[WatchEvent]:
        """Yield what happened after a revision, or refuse with 410 if that is no longer known."""
        if revision < self._forgotten:
            raise StoreError(410, "Expired", f"too old resource version: {revision} ({self._forgotten})")
        return (event for event in list(self._history) if event.revision > revision)

    def forget_history(self) -> None:
        """Make every watch that resumes from before now get a 410, as after a compaction of etcd."""
        self._history.clear()
        self._forgotten = self.revision

    # --- writing ----------------------------------------------------------------------------------------------

    def create(self, key: TypeKey, namespace: str, body: Document) -> Document:
        """Store a new object, or refuse with 409."""
        kind = self.type_of(key)
        document = copy.deepcopy(body)
        metadata = document.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        name = metadata.get("name")
        if not name:
            raise StoreError(422, "Invalid", f"{kind.kind} is invalid: metadata.name: Required value")
        if (key, namespace, name) in self._objects:
            raise StoreError(409, "AlreadyExists", f'{_qualified(kind)} "{name}" already exists')
        if kind.has_status:
            document.pop("status", None)
        document |= {"apiVersion": kind.api_version, "kind": kind.kind}
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
        if kind.namespaced:
            metadata["namespace"] = namespace
        if key == CRDS:
            self._define(document)
        return self._put((key, namespace, name), _conform(document, kind.schema), "ADDED")

    def replace(self, key: TypeKey, namespace: str, name: str, body: Document, subresource: str = "") -> Document:
        """Put ``body`` in the place of an object; a stale ``resourceVersion`` in it is refused with 409."""
        return self._write(key, namespace, name, copy.deepcopy(body), subresource)

    def merge(self, key: TypeKey, namespace: str, name: str, patch: Document, subresource: str = "") -> Document:
        """Apply a merge patch: null removes, lists are replaced as a whole."""
        return self._write(key, namespace, name, _merged(self.get(key, namespace, name), patch), subresource)

    def json_patch(
        self, key: TypeKey, namespace: str, name: str, patch: list[Document], subresource: str = ""
    ) -> Document:
        """Apply a JSON patch; one that does not fit, also by its tests, is refused with 422."""
        try:
            before = self.get(key, namespace, name)
            document = jsonpatch.apply_patch(before, [each for each in patch if not _tests_absence(each, before)])
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise StoreError(422, "Invalid", f"the server rejected our request: {error}") from None
        return self._write(key, namespace, name, document, subresource)

    def delete(self, key: TypeKey, namespace: str, name: str) -> Document:
        """Remove an object, or mark it as to be removed if it has finalizers."""
        document = self.get(key, namespace, name)
        if not document["metadata"].get("finalizers"):
            return self._remove((key, namespace, name), document)
        if "deletionTimestamp" in document["metadata"]:
            return document
        document["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": 0}
        document["metadata"]["generation"] += 1
        return self._put((key, namespace, name), document, "MODIFIED")

    def _write(self, key: TypeKey, namespace: str, name: str, wanted: Document, subresource: str) -> Document:
        kind = self.type_of(key)
        old = self.get(key, namespace, name)
        asked = wanted.get("metadata", {}).get("resourceVersion")
        if asked and asked != old["metadata"]["resourceVersion"]:
            message = (
                f'Operation cannot be fulfilled on {_qualified(kind)} "{name}": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
            raise StoreError(409, "Conflict", message)
        if subresource == "status" and kind.has_status:
            new = {**old, "status": wanted.get("status", {})}
        else:
            kept = ("uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp")
            metadata = {**wanted.get("metadata", {}), "name": name}
            metadata |= {field: old["metadata"][field] for field in kept if field in old["metadata"]}
            if kind.namespaced:
                metadata["namespace"] = namespace
            new = {**wanted, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
            if kind.has_status:
                new.pop("status", None)
                new |= {"status": old["status"]} if "status" in old else {}
        new = _conform(new, kind.schema)
        if new == old:
            return old
        if _essence(new, kind) != _essence(old, kind):
            new["metadata"] = {**new["metadata"], "generation": old["metadata"]["generation"] + 1}
        if key == CRDS:
            self._define(new)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            return self._remove((key, namespace, name), new)
        return self._put((key, namespace, name), new, "MODIFIED")

    def _put(self, where: _ObjectKey, document: Document, action: str) -> Document:
        self._record(where, document, action)
        self._objects[where] = document
        return copy.deepcopy(document)

    def _remove(self, where: _ObjectKey, document: Document) -> Document:
        del self._objects[where]
        self._record(where, document, "DELETED")
        if where[0] == CRDS:
            self._undefine(document)
        return copy.deepcopy(document)

    def _record(self, where: _ObjectKey, document: Document, action: str) -> None:
        self.revision += 1
        document["metadata"]["resourceVersion"] = str(self.revision)
        if len(self._history) == _KEPT_EVENTS:
            self._forgotten = self._history[0].revision
        self._history.append(WatchEvent(self.revision, where[0], action, copy.deepcopy(document)))
        self.on_change()

    def _define(self, definition: Document) -> None:
        kind = ResourceType.from_definition(definition)
        self.types[kind.key] = kind
        condition = {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "message": ""}
        definition["status"] = {"conditions": [condition | {"lastTransitionTime": _now()}]}

    def _undefine(self, definition: Document) -> None:
        kind = ResourceType.from_definition(definition)
        for where, document in list(self._objects.items()):
            if where[0] == kind.key:
                self._remove(where, document)
        del self.types[kind.key]


def matches(document: Document, labels: str, fields: str) -> bool:
    """Tell whether an object is selected by a label and a field selector: equality, and whether there is a label."""
    own = document["metadata"].get("labels", {})
    for selector, value_of in ((labels, own.get), (fields, lambda path: _text(_at(document, path)))):
        for term in filter(None, selector.split(",")):
            name, operator, wanted = term.replace("==", "=").partition("=")
            if not operator and selector is fields:
                raise StoreError(400, "BadRequest", f"a field selector needs a value: {term}")
            if not operator:
                if (name.removeprefix("!") in own) is name.startswith("!"):
                    return False
                continue
            differs = name.endswith("!")
            if (value_of(name.removesuffix("!")) == wanted) is differs:
                return False
    return True


def _at(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _qualified(kind: ResourceType) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _essence(document: Document, kind: ResourceType) -> Document:
    """What a change of makes a new generation."""
    without = {"metadata", "status"} if kind.has_status else {"metadata"}
    return {key: value for key, value in document.items() if key not in without}


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _conform(value: Any, schema: Mapping[str, Any]) -> Any:
    """Fill in the defaults of a schema and drop what it does not know."""
    if isinstance(value, list) and "items" in schema:
        return [_conform(item, schema["items"]) for item in value]
    properties = schema.get("properties")
    if not isinstance(value, dict) or not properties:
        return value
    known = {name: item for name, item in value.items() if name in properties}
    missing = {
        name: copy.deepcopy(p["default"]) for name, p in properties.items() if "default" in p and name not in known
    }
    return {name: _conform(item, properties[name]) for name, item in (known | missing).items()}


def _tests_absence(operation: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether it is a test for null of what is not there, which holds for the API server but not for jsonpatch."""
    if operation.get("op") != "test" or operation.get("value") is not None:
        return False
    return jsonpatch.JsonPointer(operation["path"]).resolve(document, None) is None
