"""Kubernetes' own schemas of the newest minors, from the package kubernetes-validate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
from kubernetes_validate import utils

MINORS: Final[list[str]] = [version.rpartition(".")[0] for version in utils.all_versions()[-3:]]
"""The three newest minors that the package knows, oldest first: ``1.35``, for example."""

_OTHERS: Final = {"monitoring.coreos.com"}
"""Groups that are not Kubernetes' own."""

# It reads a megabyte of definitions for each object anew.
utils.schema_contents = cache(utils.schema_contents)

__all__ = ["MINORS", "problems"]


def problems(item: dict[str, Any], minor: str) -> Iterator[str]:
    """Yield what is wrong with an object, unknown fields included."""
    if item["apiVersion"].partition("/")[0] in _OTHERS:
        return
    try:
        kubernetes_validate.validate(item, minor, strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(str(step) for step in error.path)
        yield f"{item['kind']} {item['metadata']['name']}: {where}: {error.message}"
