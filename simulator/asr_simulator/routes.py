"""Which call a path means. Paths are matched whatever their letter case, as Resource Manager does."""

from dataclasses import dataclass
from enum import StrEnum


class RouteKind(StrEnum):
    """The calls that the simulator knows; these names appear in faults and in the request log."""

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
    VAULT_HEALTH = "vault_health"
    VAULT_SETTINGS = "vault_settings"
    TOKEN = "token"  # noqa: S105 - the name of a route
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

    @property
    def scope(self) -> str:
        """The ARM id that an access error names."""
        scope = f"/subscriptions/{self.subscription}"
        if self.resource_group:
            scope += f"/resourceGroups/{self.resource_group}"
        if self.vault:
            scope += f"/providers/Microsoft.RecoveryServices/vaults/{self.vault}"
        if self.container:
            scope += f"/replicationFabrics/{self.fabric}/replicationProtectionContainers/{self.container}"
        if self.mapping:
            scope += f"/replicationProtectionContainerMappings/{self.mapping}"
        if self.job and not self.mapping:
            collection = "replicationOperationStatus" if self.kind is RouteKind.OPERATION_STATUS else "replicationJobs"
            scope += f"/{collection}/{self.job}"
        return scope


_PROVIDER = "microsoft.recoveryservices"
_VAULT_CHILDREN = {
    "replicationprotectioncontainermappings": RouteKind.MAPPINGS,
    "replicationjobs": RouteKind.JOBS,
    "replicationvaulthealth": RouteKind.VAULT_HEALTH,
    "replicationvaultsettings": RouteKind.VAULT_SETTINGS,
}
_MAPPING_TYPE = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/"
    "replicationProtectionContainerMappings"
)
_ACTIONS = {
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
    (RouteKind.VAULT_HEALTH, "GET"): "Microsoft.RecoveryServices/vaults/replicationVaultHealth/read",
    (RouteKind.VAULT_SETTINGS, "GET"): "Microsoft.RecoveryServices/vaults/replicationVaultSettings/read",
}


def action_of(kind: RouteKind, method: str) -> str | None:
    """Name the RBAC action of a call; None when the route has no such method."""
    return _ACTIONS.get((kind, method))


def match_path(path: str) -> Route:
    """Find out which call ``path`` means."""
    parts = path.strip("/").split("/")
    lower = path.lower().strip("/").split("/")
    count = len(parts)
    if count < 2 or lower[0] != "subscriptions":
        return Route(RouteKind.UNKNOWN)
    subscription = parts[1]
    if lower[2:] == ["providers", _PROVIDER, "vaults"]:
        return Route(RouteKind.VAULTS, subscription)
    if count < 7 or lower[2] != "resourcegroups" or lower[4:7] != ["providers", _PROVIDER, "vaults"]:
        return Route(RouteKind.UNKNOWN, subscription)
    group = parts[3]
    if count == 7:
        return Route(RouteKind.VAULTS, subscription, group)
    return _below_vault(parts[7], (subscription, group), parts[8:], lower[8:])


def _below_vault(vault: str, place: tuple[str, str], parts: list[str], lower: list[str]) -> Route:
    names = (*place, vault)
    unknown = Route(RouteKind.UNKNOWN, *names)
    match lower:
        case []:
            return Route(RouteKind.VAULT, *names)
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
        case ["replicationfabrics", _, "replicationprotectioncontainers", _, collection, *rest] if (
            collection == "replicationprotectioncontainermappings"
        ):
            where = (*names, parts[1], parts[3])
            match rest:
                case []:
                    return Route(RouteKind.CONTAINER_MAPPINGS, *where)
                case [_]:
                    return Route(RouteKind.MAPPING, *where, parts[5])
                case [_, "operationresults", _]:
                    return Route(RouteKind.OPERATION_RESULT, *where, parts[5], parts[7])
        case _:
            pass
    return unknown
