"""Tables for ``kubectl get``, from the printer columns of a resource definition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from workbench.kube.emulator_store import Document, ResourceType

_STEP: Final = re.compile(r"""\.(\w+)(?:\[\?\(@\.(\w+)==["'](\w+)["']\)\])?""")
_NAME: Final = {"name": "Name", "type": "string", "format": "name", "description": "Name of the object", "priority": 0}
_AGE: Final = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}

__all__ = ["table"]


def table(kind: ResourceType, documents: Iterable[Document], revision: int) -> Document:
    """Return the ``meta.k8s.io/v1`` Table that an API server answers kubectl with."""
    columns = kind.columns or (_AGE,)
    return {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "Table",
        "metadata": {"resourceVersion": str(revision)},
        "columnDefinitions": [
            _NAME,
            *({**_NAME, "format": "", **column} for column in columns),
        ],
        "rows": [
            {
                "cells": [document["metadata"]["name"], *(_cell(document, column) for column in columns)],
                "object": {
                    "apiVersion": "meta.k8s.io/v1",
                    "kind": "PartialObjectMetadata",
                    "metadata": document["metadata"],
                },
            }
            for document in documents
        ],
    }


def _cell(document: Document, column: Mapping[str, Any]) -> Any:
    value: Any = document
    for key, field, wanted in _STEP.findall(column["jsonPath"]):
        value = value.get(key) if isinstance(value, dict) else None
        if field:
            value = next((item for item in value or () if item.get(field) == wanted), None)
    if value is not None and column["type"] == "date":
        return _age(datetime.fromisoformat(value))
    return value


def _age(since: datetime) -> str:
    seconds = int((datetime.now(UTC) - since).total_seconds())
    for unit, length, enough in (("d", 86400, 2), ("h", 3600, 3), ("m", 60, 2)):
        if seconds >= enough * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
