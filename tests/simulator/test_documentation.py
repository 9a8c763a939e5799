"""The reference names everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

from asr_simulator import Scenario
from asr_simulator.control import PREFIX, Control
from asr_simulator.control_accounts import AccountRequest, ScheduleChange, SchedulesRequest
from asr_simulator.control_activity import ActivityRequest
from asr_simulator.control_agents import ItemsRequest, ReleaseRequest
from asr_simulator.control_requests import DriftKind
from asr_simulator.control_roles import RolesRequest
from asr_simulator.control_tenant import SubscriptionRequest, TagsRequest, VaultsRequest
from asr_simulator.faults import Fault, FaultKind
from asr_simulator.routes import RouteKind
from asr_simulator.scenario import MappingKind
from asr_simulator.world import World
from tests.simulator.helpers import scenario

_CONTROL = (
    ActivityRequest,
    AccountRequest,
    SchedulesRequest,
    ItemsRequest,
    ReleaseRequest,
    RolesRequest,
    SubscriptionRequest,
    TagsRequest,
    VaultsRequest,
)
_TEXT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def _fields() -> set[str]:
    schema = Scenario.model_json_schema()
    others = [model.model_json_schema() for model in _CONTROL]
    sections = [schema, *schema["$defs"].values(), Fault.model_json_schema()]
    sections += [section for other in others for section in (other, *other.get("$defs", {}).values())]
    return {name for section in sections for name in section.get("properties", {})}


def _is_explained(name: str) -> bool:
    return re.search(rf"`[^`]*\b{name}\b[^`]*`", _TEXT) is not None


def test_every_field_is_explained() -> None:
    assert {name for name in _fields() if not _is_explained(name)} == set()


def test_every_kind_is_explained() -> None:
    kinds = [
        *FaultKind,
        *DriftKind,
        *ScheduleChange,
        *MappingKind,
        *(kind for kind in RouteKind if kind is not RouteKind.UNKNOWN),
    ]
    assert [kind for kind in kinds if not _is_explained(kind)] == []


def test_every_control_call_is_explained() -> None:
    calls = [
        f"{route.method} {route.path.removeprefix(PREFIX).strip('/').replace('{id}', 'ID')}"
        for route in Control(World(scenario())).routes()
    ]
    assert [call for call in calls if f"`{call}" not in _TEXT] == []
