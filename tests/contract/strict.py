"""Checks JSON against the models of Microsoft's client libraries, more strictly than the libraries do.

They keep what they do not know and hand out values of a wrong type as they are. Here both are problems, and so are a
missing required field, a value that the model's enum does not have, and a date that the library cannot read.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from types import ModuleType, NoneType, UnionType
from typing import Any, Final

from azure.mgmt import automation, recoveryservices, recoveryservicessiterecovery

__all__ = ["BEYOND_THE_MODELS", "list_problems", "problems"]

_PACKAGES: Final = (automation, recoveryservices, recoveryservicessiterecovery)

BEYOND_THE_MODELS: Final[Mapping[str, frozenset[str]]] = {
    "ErrorDetail": frozenset({"possibleCauses", "recommendedAction", "clientRequestId", "activityId"})
}
"""Fields that the live service was seen to send though no model has them, by model."""

Model = Any
"""A model class of a library; they have nothing in common but private members."""
Beyond = Mapping[str, frozenset[str]]


def problems(model: Model, document: Any, *, beyond: Beyond = BEYOND_THE_MODELS) -> list[str]:
    """Say what is wrong with ``document`` as a ``model``; nothing when it is exactly one."""
    return _model_problems(model, document, model.__name__, beyond)


def list_problems(model: Model, document: Any) -> list[str]:
    """Say what is wrong with a page of a list of ``model``."""
    if not isinstance(document, dict) or not isinstance(document.get("value"), list):
        return ["page: no list of values"]
    found = [f"page: unknown field {name}" for name in document.keys() - {"value", "nextLink"}]
    if not isinstance(document.get("nextLink"), str | None):
        found.append("page.nextLink: not a string")
    for index, item in enumerate(document["value"]):
        found += _model_problems(model, item, f"{model.__name__}[{index}]", BEYOND_THE_MODELS)
    return found


def _model_problems(model: Model, document: Any, path: str, beyond: Beyond) -> list[str]:
    if not isinstance(document, dict):
        return [f"{path}: not an object"]
    model, found = _most_derived(model, document, path)
    fields, hints = _fields(model), _hints(model)
    names = {field._rest_name: attribute for attribute, field in fields.items()}
    unknown = document.keys() - names.keys() - beyond.get(model.__name__, frozenset())
    found += [f"{path}: unknown field {name}" for name in sorted(unknown)]
    for name, attribute in names.items():
        hint = hints[attribute]
        if name not in document:
            if not _may_be_none(hint):
                found.append(f"{path}: required field {name} is missing")
            continue
        value = document[name]
        wrong = _value_problems(hint, value, f"{path}.{name}", beyond)
        found += wrong
        is_date = value is not None and not wrong and datetime in _alternatives(hint)
        if is_date and not isinstance(getattr(model({name: value}), attribute), datetime):
            found.append(f"{path}.{name}: not a date that the library can read")
    return found


def _most_derived(model: Model, document: dict[str, Any], path: str) -> tuple[Model, list[str]]:
    """Choose the model that the discriminator names."""
    discriminators = [field._rest_name for field in _fields(model).values() if field._is_discriminator]
    variants: dict[str, type[Any]] = model.__dict__.get("__mapping__", {})
    if not discriminators or not variants:
        return model, []
    value = document.get(discriminators[0])
    if value not in variants:
        return model, [f"{path}.{discriminators[0]}: {value!r} is no variant of {model.__name__}"]
    return variants[value], []


def _value_problems(hint: Any, value: Any, path: str, beyond: Beyond) -> list[str]:
    if Any in _alternatives(hint):
        return []
    if value is None:
        return [] if _may_be_none(hint) else [f"{path}: null"]
    choices = [choice for choice in _alternatives(hint) if choice is not NoneType]
    enums = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, Enum)]
    if enums or typing.get_origin(choices[0]) is typing.Literal:
        members = typing.get_args(choices[0]) if not enums else [member for enum in enums for member in enum]
        values = {member.value if isinstance(member, Enum) else member for member in members}
        return [] if value in values else [f"{path}: {value!r} is not one of {sorted(values)}"]
    (kind,) = choices
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        nested = [_value_problems(arguments[0], item, f"{path}[{index}]", beyond) for index, item in enumerate(value)]
        return [problem for part in nested for problem in part]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        nested = [_value_problems(arguments[1], item, f"{path}.{key}", beyond) for key, item in value.items()]
        return [problem for part in nested for problem in part]
    if hasattr(kind, "_deserialize"):
        return _model_problems(kind, value, path, beyond)
    return [] if _is_a(kind, value) else [f"{path}: {value!r} is not of type {kind.__name__}"]


def _is_a(kind: type[Any], value: Any) -> bool:
    """Compare with JSON's types: true is no number, a whole number may stand for a fraction, dates are text."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str if kind is datetime else kind)


@cache
def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return tuple(each for part in typing.get_args(hint) for each in _alternatives(part))
    return (hint,)


def _may_be_none(hint: Any) -> bool:
    return not {Any, NoneType}.isdisjoint(_alternatives(hint))


@cache
def _fields(model: Model) -> dict[str, Any]:
    fields: dict[str, Any] = model({})._attr_to_rest_field  # worked out when the first instance is made
    return fields


@cache
def _hints(model: Model) -> dict[str, Any]:
    package = next(each for each in _PACKAGES if model.__module__.startswith(f"{each.__name__}."))
    models: ModuleType = package.models
    return typing.get_type_hints(model, localns={"_models": models})
