"""A validator for the part of OpenAPI that the resource definition uses."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from workbench.kube.resources import load_definition

_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_TYPES: Final[dict[str, Any]] = {
    "object": Mapping,
    "array": list,
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
}
_MOST: Final = {"int32": 2**31 - 1, "int64": 2**63 - 1, "double": sys.float_info.max}

__all__ = ["SPEC", "STATUS", "violations"]

_PARTS: Final = load_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
SPEC: Final[dict[str, Any]] = _PARTS["spec"]
STATUS: Final[dict[str, Any]] = _PARTS["status"]


def violations(value: Any, schema: dict[str, Any], path: str = "status") -> Iterator[str]:
    """Yield what the API server would refuse in ``value``, or silently drop from it."""
    kind: str = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path}: {type(value).__name__} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    match kind:
        case "object":
            yield from (f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value)
            for name, field in value.items():
                if name in schema["properties"]:
                    yield from violations(field, schema["properties"][name], f"{path}.{name}")
                else:
                    yield f"{path}.{name}: unknown"
        case "array":
            if len(value) > schema["maxItems"]:
                yield f"{path}: {len(value)} items"
            for number, item in enumerate(value):
                yield from violations(item, schema["items"], f"{path}[{number}]")
        case "string":
            yield from _text_violations(value, schema, path)
        case "integer" | "number":
            if not schema["minimum"] <= value <= schema.get("maximum", _MOST[schema["format"]]):
                yield f"{path}: {value} is out of range"


def _text_violations(text: str, schema: dict[str, Any], path: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)):
        yield f"{path}: {len(text)} characters"
    if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), text):
        yield f"{path}: {text!r} does not match"
    if schema.get("format") == "date-time":
        try:
            datetime.fromisoformat(text)
        except ValueError:
            yield f"{path}: {text!r} is no time"
        else:
            if not _RFC3339.fullmatch(text):
                yield f"{path}: {text!r} is no RFC 3339 time"
