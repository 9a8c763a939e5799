"""What Resource Manager itself tells: subscriptions, what is in a management group, and what a caller may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asr_simulator.arm_errors import Answer, ArmError, dumps, subscription_not_found
from asr_simulator.calls import Call, page_answer
from asr_simulator.routes import RouteKind
from asr_simulator.tenant import ManagementGroup, Subscription
from asr_simulator.world import World

_PAGE = 500
"""Items on a page of descendants (the real number is not published)."""

__all__ = ["Directory"]


class Directory:
    """Answers calls about the tenant of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, call: Call, may_read: Callable[[str], bool]) -> Answer:
        """Answer a call.

        Args:
            call: the call.
            may_read: whether the caller may see a subscription.

        Raises:
            ArmError: a refusal.
        """
        match call.route.kind:
            case RouteKind.SUBSCRIPTIONS:
                # Whoever may see none gets an empty list, and no error (azure-sdk-for-python#40403).
                seen = [each for key, each in self._world.tenant.subscriptions.items() if may_read(key)]
                return self._pages(call, [self._subscription(each) for each in seen])
            case RouteKind.SUBSCRIPTION:
                found = self._world.tenant.subscriptions.get(call.route.subscription.lower())
                if found is None or not may_read(call.route.subscription.lower()):
                    raise subscription_not_found(call.route.subscription)
                return Answer(200, dumps(self._subscription(found)))
            case _:
                return self._descendants(call)

    def permissions(self, denied: Sequence[str]) -> Answer:
        """What the caller may do on a resource: everything but what it is denied, as one role would give it."""
        role = {"actions": ["*"], "notActions": list(denied), "dataActions": [], "notDataActions": []}
        return Answer(200, dumps({"value": [role]}))

    def _descendants(self, call: Call) -> Answer:
        group = self._world.tenant.groups.get(call.route.group.lower())
        if group is None:
            raise ArmError(404, "NotFound", f"The management group '{call.route.group}' cannot be found.")
        return self._pages(call, [_descendant(self._world, each) for each in self._world.tenant.below(group.name)])

    def _pages(self, call: Call, documents: list[dict[str, Any]]) -> Answer:
        start = int(call.query.get("$skiptoken", 0))
        size = int(call.query.get("$top", _PAGE))
        following = None if start + size >= len(documents) else f"%24skiptoken={start + size}&%24top={size}"
        page = [dumps(document) for document in documents[start : start + size]]
        return page_answer(
            call,
            page,
            following,
            beginning="%24skiptoken=0",
            explicit_null=self._world.scenario.explicit_null_next_link,
        )

    def _subscription(self, subscription: Subscription) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{subscription.id}",
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "tags": subscription.tags,
            "subscriptionId": subscription.id,
            "tenantId": self._world.scenario.identity.tenant_id,
            "displayName": subscription.name,
            "state": subscription.state,
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
        }


def _descendant(world: World, each: ManagementGroup | Subscription) -> dict[str, Any]:
    if isinstance(each, Subscription):
        parent = world.tenant.groups[each.group.lower()].id
        return {
            "id": f"/subscriptions/{each.id}",
            "type": "/subscriptions",
            "name": each.id,
            "properties": {"displayName": each.name, "parent": {"id": parent}},
        }
    return {
        "id": each.id,
        "type": "Microsoft.Management/managementGroups",
        "name": each.name,
        "properties": {
            "displayName": each.display_name,
            "parent": {"id": world.tenant.groups[each.parent.lower()].id},
        },
    }
