"""Which call a path means. Paths are matched whatever their letter case, as Resource Manager does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = [
    "AUTHORIZATION",
    "AUTOMATION",
    "DIRECTORY",
    "LOGIN",
    "MSI_PATH",
    "TENANT_WIDE",
    "Route",
    "RouteKind",
    "action_of",
    "match_path",
]


class RouteKind(StrEnum):
    """The calls that the simulator knows; these names appear in faults and in the request log."""

    SUBSCRIPTIONS = "subscriptions"
    SUBSCRIPTION = "subscription"
    DESCENDANTS = "descendants"
    RESOURCE_GRAPH = "resource_graph"
    ACTIVITY_LOG = "activity_log"
    VAULT = "vault"
    VAULTS = "vaults"
    MAPPINGS = "mappings"
    CONTAINER_MAPPINGS = "container_mappings"
    MAPPING = "mapping"
    OPERATION_RESULT = "operation_result"
    OPERATION_STATUS = "operation_status"
    JOBS = "jobs"
    JOB = "job"
    JOB_CANCEL = "job_cancel"
    AUTOMATION_ACCOUNTS = "automation_accounts"
    AUTOMATION_ACCOUNT = "automation_account"
    SCHEDULES = "schedules"
    JOB_SCHEDULES = "job_schedules"
    AUTOMATION_JOBS = "automation_jobs"
    USAGES = "usages"
    ROLE_ASSIGNMENTS = "role_assignments"
    ROLE_DEFINITION = "role_definition"
    DENY_ASSIGNMENTS = "deny_assignments"
    REPLICATION_USAGES = "replication_usages"
    VAULT_HEALTH = "vault_health"
    VAULT_SETTINGS = "vault_settings"
    PERMISSIONS = "permissions"
    PROTECTED_ITEMS = "protected_items"
    CONTAINER_PROTECTED_ITEMS = "container_protected_items"
    PROTECTED_ITEM = "protected_item"
    UPDATE_AGENT = "update_agent"
    ITEM_OPERATION_RESULT = "item_operation_result"
    TOKEN = "token"  # noqa: S105 - the name of a route
    OAUTH_TOKEN = "oauth_token"  # noqa: S105 - the name of a route
    OPENID_CONFIGURATION = "openid_configuration"
    INSTANCE_DISCOVERY = "instance_discovery"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Route:
    """A call and the names in its path, as the client wrote them."""

    kind: RouteKind
    subscription: str = ""
    resource_group: str = ""
    vault: str = ""
    fabric: str = ""
    container: str = ""
    mapping: str = ""
    job: str = ""
    item: str = ""
    tenant: str = ""
    group: str = ""
    """A management group."""
    account: str = ""
    artifact: str = ""
    """A schedule or job schedule of the account."""
    role: str = ""
    """A role, by its GUID."""

    @property
    def account_id(self) -> str:
        """ARM id of the Automation account that the path names."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.Automation/automationAccounts/{self.account}"
        )

    @property
    def scope(self) -> str:
        """The ARM id that an access error names."""
        if self.kind is RouteKind.ACTIVITY_LOG:
            return f"/subscriptions/{self.subscription}/providers/microsoft.insights/eventtypes/management"
        if self.account:
            collection = _ACCOUNT_CHILDREN.get(self.kind, "")
            return "/".join(filter(None, (self.account_id, collection if self.artifact else "", self.artifact)))
        scope = f"/subscriptions/{self.subscription}"
        if self.resource_group:
            scope += f"/resourceGroups/{self.resource_group}"
        if self.vault:
            scope += f"/providers/Microsoft.RecoveryServices/vaults/{self.vault}"
        if self.container:
            scope += f"/replicationFabrics/{self.fabric}/replicationProtectionContainers/{self.container}"
        if self.mapping:
            scope += f"/replicationProtectionContainerMappings/{self.mapping}"
        if self.item:
            scope += f"/replicationProtectedItems/{self.item}"
        if self.job and not self.mapping and not self.item:
            collection = "replicationOperationStatus" if self.kind is RouteKind.OPERATION_STATUS else "replicationJobs"
            scope += f"/{collection}/{self.job}"
        return scope


LOGIN = frozenset(
    {RouteKind.TOKEN, RouteKind.OAUTH_TOKEN, RouteKind.OPENID_CONFIGURATION, RouteKind.INSTANCE_DISCOVERY}
)
"""What is asked before there is a token."""
MSI_PATH = "/msi/token"
AUTOMATION = frozenset(
    {
        RouteKind.AUTOMATION_ACCOUNTS,
        RouteKind.AUTOMATION_ACCOUNT,
        RouteKind.SCHEDULES,
        RouteKind.JOB_SCHEDULES,
        RouteKind.AUTOMATION_JOBS,
        RouteKind.USAGES,
    }
)
"""Answered by Automation, not by Site Recovery."""
AUTHORIZATION = frozenset({RouteKind.ROLE_ASSIGNMENTS, RouteKind.ROLE_DEFINITION, RouteKind.DENY_ASSIGNMENTS})
"""Answered by Azure's access control, whatever they are about."""
DIRECTORY = frozenset({RouteKind.SUBSCRIPTIONS, RouteKind.SUBSCRIPTION, RouteKind.DESCENDANTS, RouteKind.PERMISSIONS})
"""Answered by Resource Manager itself."""
TENANT_WIDE = frozenset({RouteKind.SUBSCRIPTIONS, RouteKind.DESCENDANTS, RouteKind.RESOURCE_GRAPH})
"""Not about one subscription."""
_PROVIDER = "microsoft.recoveryservices"
_AUTOMATION = ["providers", "microsoft.automation", "automationaccounts"]
_ACCOUNT_CHILDREN = {
    RouteKind.SCHEDULES: "schedules",
    RouteKind.JOB_SCHEDULES: "jobSchedules",
    RouteKind.AUTOMATION_JOBS: "jobs",
    RouteKind.USAGES: "usages",
}
_ACCOUNT_ROUTES = {name.lower(): kind for kind, name in _ACCOUNT_CHILDREN.items()}
_HAVE_ROLES = (RouteKind.VAULT, RouteKind.AUTOMATION_ACCOUNT)
_HAVE_NAMES = (RouteKind.SCHEDULES, RouteKind.JOB_SCHEDULES)
_VAULT_CHILDREN = {
    "replicationprotectioncontainermappings": RouteKind.MAPPINGS,
    "replicationjobs": RouteKind.JOBS,
    "replicationprotecteditems": RouteKind.PROTECTED_ITEMS,
    "replicationusages": RouteKind.REPLICATION_USAGES,
    "replicationvaulthealth": RouteKind.VAULT_HEALTH,
    "replicationvaultsettings": RouteKind.VAULT_SETTINGS,
}
_CONTAINER_TYPE = "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
_MAPPING_TYPE = f"{_CONTAINER_TYPE}/replicationProtectionContainerMappings"
_ITEM_TYPE = f"{_CONTAINER_TYPE}/replicationProtectedItems"
_PERMISSIONS = ["providers", "microsoft.authorization", "permissions"]
_ACTIONS = {
    (RouteKind.PERMISSIONS, "GET"): "Microsoft.Authorization/permissions/read",
    (RouteKind.SUBSCRIPTIONS, "GET"): "Microsoft.Resources/subscriptions/read",
    (RouteKind.SUBSCRIPTION, "GET"): "Microsoft.Resources/subscriptions/read",
    (RouteKind.DESCENDANTS, "GET"): "Microsoft.Management/managementGroups/descendants/read",
    (RouteKind.RESOURCE_GRAPH, "POST"): "Microsoft.ResourceGraph/resources/read",
    (RouteKind.ACTIVITY_LOG, "GET"): "microsoft.insights/eventtypes/values/read",
    (RouteKind.AUTOMATION_ACCOUNTS, "GET"): "Microsoft.Automation/automationAccounts/read",
    (RouteKind.REPLICATION_USAGES, "GET"): "Microsoft.RecoveryServices/vaults/replicationUsages/read",
    (RouteKind.VAULT, "GET"): "Microsoft.RecoveryServices/Vaults/read",
    (RouteKind.VAULTS, "GET"): "Microsoft.RecoveryServices/Vaults/read",
    (RouteKind.MAPPINGS, "GET"): "Microsoft.RecoveryServices/vaults/replicationProtectionContainerMappings/read",
    (RouteKind.CONTAINER_MAPPINGS, "GET"): f"{_MAPPING_TYPE}/read",
    (RouteKind.MAPPING, "GET"): f"{_MAPPING_TYPE}/read",
    (RouteKind.MAPPING, "PATCH"): f"{_MAPPING_TYPE}/write",
    (RouteKind.OPERATION_RESULT, "GET"): f"{_MAPPING_TYPE}/operationresults/read",
    (RouteKind.OPERATION_STATUS, "GET"): "Microsoft.RecoveryServices/vaults/replicationOperationStatus/read",
    (RouteKind.JOBS, "GET"): "Microsoft.RecoveryServices/vaults/replicationJobs/read",
    (RouteKind.JOB, "GET"): "Microsoft.RecoveryServices/vaults/replicationJobs/read",
    (RouteKind.JOB_CANCEL, "POST"): "Microsoft.RecoveryServices/vaults/replicationJobs/cancel/action",
    (RouteKind.PROTECTED_ITEMS, "GET"): "Microsoft.RecoveryServices/vaults/replicationProtectedItems/read",
    (RouteKind.CONTAINER_PROTECTED_ITEMS, "GET"): f"{_ITEM_TYPE}/read",
    (RouteKind.PROTECTED_ITEM, "GET"): f"{_ITEM_TYPE}/read",
    (RouteKind.UPDATE_AGENT, "POST"): f"{_ITEM_TYPE}/updateMobilityService/action",
    (RouteKind.ITEM_OPERATION_RESULT, "GET"): f"{_ITEM_TYPE}/operationresults/read",
    (RouteKind.AUTOMATION_ACCOUNT, "GET"): "Microsoft.Automation/automationAccounts/read",
    (RouteKind.SCHEDULES, "GET"): "Microsoft.Automation/automationAccounts/schedules/read",
    (RouteKind.SCHEDULES, "PUT"): "Microsoft.Automation/automationAccounts/schedules/write",
    (RouteKind.SCHEDULES, "PATCH"): "Microsoft.Automation/automationAccounts/schedules/write",
    (RouteKind.SCHEDULES, "DELETE"): "Microsoft.Automation/automationAccounts/schedules/delete",
    (RouteKind.JOB_SCHEDULES, "GET"): "Microsoft.Automation/automationAccounts/jobSchedules/read",
    (RouteKind.AUTOMATION_JOBS, "GET"): "Microsoft.Automation/automationAccounts/jobs/read",
    (RouteKind.USAGES, "GET"): "Microsoft.Automation/automationAccounts/usages/read",
    (RouteKind.ROLE_ASSIGNMENTS, "GET"): "Microsoft.Authorization/roleAssignments/read",
    (RouteKind.ROLE_DEFINITION, "GET"): "Microsoft.Authorization/roleDefinitions/read",
    (RouteKind.DENY_ASSIGNMENTS, "GET"): "Microsoft.Authorization/denyAssignments/read",
    (RouteKind.VAULT_HEALTH, "GET"): "Microsoft.RecoveryServices/vaults/replicationVaultHealth/read",
    (RouteKind.VAULT_SETTINGS, "GET"): "Microsoft.RecoveryServices/vaults/replicationVaultSettings/read",
}


def action_of(kind: RouteKind, method: str) -> str | None:
    """Name the RBAC action of a call; None when the route has no such method."""
    return _ACTIONS.get((kind, method))


def match_path(path: str) -> Route:
    """Find out which call ``path`` means."""
    if path == MSI_PATH:
        return Route(RouteKind.TOKEN)
    parts = path.strip("/").split("/")
    lower = path.lower().strip("/").split("/")
    match lower:
        case ["common", "discovery", "instance"]:
            return Route(RouteKind.INSTANCE_DISCOVERY)
        case [_, "oauth2", "v2.0", "token"]:
            return Route(RouteKind.OAUTH_TOKEN, tenant=parts[0])
        case [_, "v2.0", ".well-known", "openid-configuration"]:
            return Route(RouteKind.OPENID_CONFIGURATION, tenant=parts[0])
        case _:
            return _match_authorization(parts, lower) or _match_resource(parts, lower)


def _match_authorization(parts: list[str], lower: list[str]) -> Route | None:
    """What asks about the roles on something: a subscription, a group in one, a vault or an account."""
    match lower:
        case [*_, "providers", "microsoft.authorization", "roleassignments"]:
            kind, names = RouteKind.ROLE_ASSIGNMENTS, 3
        case [*_, "providers", "microsoft.authorization", "denyassignments"]:
            kind, names = RouteKind.DENY_ASSIGNMENTS, 3
        case [*_, "providers", "microsoft.authorization", "roledefinitions", _]:
            kind, names = RouteKind.ROLE_DEFINITION, 4
        case _:
            return None
    about, role = parts[:-names], parts[-1] if names == 4 else ""
    match lower[:-names]:
        case ["subscriptions", _]:
            return Route(kind, about[1], role=role)
        case ["subscriptions", _, "resourcegroups", _]:
            return Route(kind, about[1], about[3], role=role)
        case resource:
            found = _match_resource(about, resource)
    return replace(found, kind=kind, role=role) if found.kind in _HAVE_ROLES else None


def _match_tenant(parts: list[str], lower: list[str]) -> Route | None:
    match lower:
        case ["subscriptions"]:
            return Route(RouteKind.SUBSCRIPTIONS)
        case ["subscriptions", _]:
            return Route(RouteKind.SUBSCRIPTION, parts[1])
        case ["providers", "microsoft.resourcegraph", "resources"]:
            return Route(RouteKind.RESOURCE_GRAPH)
        case ["providers", "microsoft.management", "managementgroups", _, "descendants"]:
            return Route(RouteKind.DESCENDANTS, group=parts[3])
        case ["subscriptions", _, "providers", "microsoft.insights", "eventtypes", "management", "values"]:
            return Route(RouteKind.ACTIVITY_LOG, parts[1])
        case ["subscriptions", _, *provider] if provider == _AUTOMATION:
            return Route(RouteKind.AUTOMATION_ACCOUNTS, parts[1])
        case _:
            return None


def _match_resource(parts: list[str], lower: list[str]) -> Route:
    if route := _match_tenant(parts, lower):
        return route
    count = len(parts)
    if count < 2 or lower[0] != "subscriptions":
        return Route(RouteKind.UNKNOWN)
    subscription = parts[1]
    if lower[2:] == ["providers", _PROVIDER, "vaults"]:
        return Route(RouteKind.VAULTS, subscription)
    if count >= 8 and lower[2] == "resourcegroups" and lower[4:7] == _AUTOMATION:
        return _below_account(parts, lower[8:])
    if count < 7 or lower[2] != "resourcegroups" or lower[4:7] != ["providers", _PROVIDER, "vaults"]:
        return Route(RouteKind.UNKNOWN, subscription)
    group = parts[3]
    if count == 7:
        return Route(RouteKind.VAULTS, subscription, group)
    return _below_vault(parts[7], (subscription, group), parts[8:], lower[8:])


def _below_account(parts: list[str], lower: list[str]) -> Route:
    kind, artifact = RouteKind.UNKNOWN, ""
    match lower:
        case []:
            kind = RouteKind.AUTOMATION_ACCOUNT
        case _ if lower == _PERMISSIONS:
            kind = RouteKind.PERMISSIONS
        case [collection]:
            kind = _ACCOUNT_ROUTES.get(collection, RouteKind.UNKNOWN)
        case [collection, _] if _ACCOUNT_ROUTES.get(collection) in _HAVE_NAMES:
            kind, artifact = _ACCOUNT_ROUTES[collection], parts[9]
        case _:
            pass  # the output of a job, for one: nobody has to read that
    return Route(kind, parts[1], parts[3], account=parts[7], artifact=artifact)


def _below_vault(vault: str, place: tuple[str, str], parts: list[str], lower: list[str]) -> Route:
    names = (*place, vault)
    unknown = Route(RouteKind.UNKNOWN, *names)
    match lower:
        case []:
            return Route(RouteKind.VAULT, *names)
        case _ if lower == _PERMISSIONS:
            return Route(RouteKind.PERMISSIONS, *names)
        case [collection]:
            kind = _VAULT_CHILDREN.get(collection)
            return Route(kind, *names) if kind else unknown
        case ["replicationjobs", _]:
            return Route(RouteKind.JOB, *names, job=parts[1])
        case ["replicationjobs", _, "cancel"]:
            return Route(RouteKind.JOB_CANCEL, *names, job=parts[1])
        case ["replicationoperationstatus", _]:
            return Route(RouteKind.OPERATION_STATUS, *names, job=parts[1])
        case ["replicationvaultsettings", "default"]:
            return Route(RouteKind.VAULT_SETTINGS, *names)
        case ["replicationfabrics", _, "replicationprotectioncontainers", _, *rest]:
            return _below_container((*names, parts[1], parts[3]), parts[4:], rest) or unknown
        case _:
            pass
    return unknown


def _below_container(container: tuple[str, str, str, str, str], parts: list[str], lower: list[str]) -> Route | None:
    match lower:
        case ["replicationprotectioncontainermappings"]:
            return Route(RouteKind.CONTAINER_MAPPINGS, *container)
        case ["replicationprotectioncontainermappings", _]:
            return Route(RouteKind.MAPPING, *container, parts[1])
        case ["replicationprotectioncontainermappings", _, "operationresults", _]:
            return Route(RouteKind.OPERATION_RESULT, *container, parts[1], parts[3])
        case ["replicationprotecteditems"]:
            return Route(RouteKind.CONTAINER_PROTECTED_ITEMS, *container)
        case ["replicationprotecteditems", _]:
            return Route(RouteKind.PROTECTED_ITEM, *container, item=parts[1])
        case ["replicationprotecteditems", _, "updatemobilityservice"]:
            return Route(RouteKind.UPDATE_AGENT, *container, item=parts[1])
        case ["replicationprotecteditems", _, "operationresults", _]:
            return Route(RouteKind.ITEM_OPERATION_RESULT, *container, item=parts[1], job=parts[3])
        case _:
            return None
