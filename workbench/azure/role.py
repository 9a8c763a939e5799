"""Which action of Azure's access control each call stands for, to compare with the role in the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

__all__ = ["POLICY_ROLE", "ROLE", "action_of"]

_DOCS: Final = Path(__file__).parents[2] / "docs"
ROLE: Final[dict[str, Any]] = json.loads((_DOCS / "azure-role.json").read_text(encoding="utf-8"))
POLICY_ROLE: Final[dict[str, Any]] = json.loads((_DOCS / "azure-policy-role.json").read_text(encoding="utf-8"))
_VAULT: Final = "Microsoft.RecoveryServices/vaults"
_CONTAINER: Final = f"{_VAULT}/replicationFabrics/replicationProtectionContainers"
_ACCOUNT: Final = "Microsoft.Automation/automationAccounts"
_ITEM: Final = r"/replicationProtectionContainers/[^/]+/replicationProtectedItems/[^/]+"
_MAPPING: Final = r"/replicationProtectionContainerMappings/[^/]+"
_ACTIONS: Final = [
    ("GET", r"/vaults/[^/]+", f"{_VAULT}/read"),
    *(
        ("GET", rf"/vaults/[^/]+/{kind}", f"{_VAULT}/{kind}/read")
        for kind in (
            "replicationProtectionContainerMappings",
            "replicationJobs",
            "replicationProtectedItems",
            "replicationUsages",
        )
    ),
    ("GET", r"/vaults/[^/]+/replicationJobs/[^/]+", f"{_VAULT}/replicationJobs/read"),
    ("GET", _MAPPING, f"{_CONTAINER}/replicationProtectionContainerMappings/read"),
    ("PATCH", _MAPPING, f"{_CONTAINER}/replicationProtectionContainerMappings/write"),
    ("GET", _ITEM, f"{_CONTAINER}/replicationProtectedItems/read"),
    ("POST", f"{_ITEM}/updateMobilityService", f"{_CONTAINER}/replicationProtectedItems/updateMobilityService/action"),
    ("GET", r"/eventtypes/management/values", "Microsoft.Insights/eventtypes/values/read"),
    ("GET", r"/automationAccounts/[^/]+", f"{_ACCOUNT}/read"),
    ("GET", r"/subscriptions", "Microsoft.Resources/subscriptions/read"),
    ("GET", r"/managementGroups/[^/]+/descendants", "Microsoft.Management/managementGroups/descendants/read"),
    ("GET", r"/subscriptions/[^/]+/providers/Microsoft.RecoveryServices/vaults", f"{_VAULT}/read"),
    ("GET", r"/subscriptions/[^/]+/providers/Microsoft.Automation/automationAccounts", f"{_ACCOUNT}/read"),
    ("POST", r"/providers/Microsoft.ResourceGraph/resources", "Microsoft.ResourceGraph/resources/read"),
    *(
        ("GET", rf"/automationAccounts/[^/]+/{kind}", f"{_ACCOUNT}/{kind}/read")
        for kind in ("schedules", "jobSchedules", "jobs", "usages")
    ),
    *(
        ("GET", rf"/vaults/[^/]+/providers/Microsoft.Authorization/{path}", f"Microsoft.Authorization/{kind}/read")
        for kind, path in (
            ("roleAssignments", "roleAssignments"),
            ("roleDefinitions", "roleDefinitions/[^/]+"),
            ("denyAssignments", "denyAssignments"),
        )
    ),
]


def action_of(method: str, target: str) -> str:
    """The action that a call to ARM needs, by its method and its path or URL; of no call there are two."""
    path = target.split("?", maxsplit=1)[0]
    found = [
        action
        for each, pattern, action in _ACTIONS
        if each == method and re.search(rf"{pattern}\Z", path, re.IGNORECASE)
    ]
    assert len(found) == 1, f"{method} {path}: {found}"
    return found[0]
