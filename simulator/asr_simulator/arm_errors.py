"""Errors as Resource Manager and Site Recovery send them, and the answer type of every call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON_TYPE = "application/json; charset=utf-8"

__all__ = [
    "JSON_TYPE",
    "Answer",
    "ArmError",
    "authorization_failed",
    "bad_signature",
    "dumps",
    "entity_missing",
    "invalid_request_content",
    "method_not_allowed",
    "missing_api_version",
    "no_such_route",
    "operation_in_progress",
    "resource_group_not_found",
    "resource_not_found",
    "site_recovery_error",
    "subscription_not_found",
    "subscription_requests_throttled",
    "too_many_requests",
    "unknown_api_version",
]


def dumps(document: Any) -> bytes:
    """Serialise to compact JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(slots=True)
class Answer:
    """What goes back to the client, before the headers that every answer has."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class ArmError(Exception):
    """A refused call."""

    status: int
    code: str
    message: str
    details: list[dict[str, Any]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> Answer:
        """Render the ``{"error": {...}}`` envelope."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return Answer(self.status, dumps({"error": error}), dict(self.headers))


def site_recovery_error(
    status: int,
    code: str,
    detail_code: str,
    message: str,
    *,
    possible_causes: str,
    recommended_action: str,
) -> ArmError:
    """Make an error of Site Recovery, which keeps its own form of details.

    The form (a general code, one detail with causes and advice) is seen in user reports of real answers.
    ``clientRequestId`` and ``activityId`` are filled in when the answer is sent.
    """
    detail = {
        "code": detail_code,
        "message": message,
        "possibleCauses": possible_causes,
        "recommendedAction": recommended_action,
    }
    return ArmError(status, code, message, [detail])


def missing_api_version() -> ArmError:
    """The query has no ``api-version``."""
    return ArmError(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )


def unknown_api_version(version: str, supported: tuple[str, ...]) -> ArmError:
    """The ``api-version`` does not exist; the message names those that do."""
    listed = ",".join(supported)
    return ArmError(
        400,
        "InvalidApiVersionParameter",
        f"The api-version '{version}' is invalid. The supported versions are '{listed}'.",
    )


def subscription_not_found(subscription: str) -> ArmError:
    """No such subscription, or none that the caller may see."""
    return ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def resource_group_not_found(group: str) -> ArmError:
    """No such resource group."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def resource_not_found(resource: str, group: str) -> ArmError:
    """No such resource; the gateway says so, not the resource provider (seen in a recording)."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{resource}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        headers={"x-ms-failure-cause": "gateway"},
    )


def entity_missing(kind: str, name: str) -> ArmError:
    """Site Recovery itself does not know a mapping or job (form seen for fabrics; the code is inferred)."""
    return site_recovery_error(
        404,
        "NotFound",
        f"{kind}ArmEntityMissing",
        f"{kind} with name {name} could not be located.",
        possible_causes="The object might have been removed from the Site Recovery vault.",
        recommended_action="Retry the operation with a valid name.",
    )


def authorization_failed(client: str, object_id: str, action: str, scope: str) -> ArmError:
    """The identity has no role that allows the action."""
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{client}' with object id '{object_id}' does not have authorization to perform action "
        f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
        "your credentials.",
    )


def method_not_allowed(method: str) -> ArmError:
    """The route exists but not for this method (inferred)."""
    return ArmError(405, "MethodNotAllowed", f"The HTTP method '{method}' is not supported for this resource.")


def no_such_route(path: str) -> ArmError:
    """Nothing in the simulator answers this path (what the gateway says about unknown types)."""
    return ArmError(404, "InvalidResourceType", f"The resource type could not be found for the path '{path}'.")


def bad_signature() -> ArmError:
    """An operation URL was changed (the status and code are inferred)."""
    return ArmError(
        400,
        "InvalidOperationUrlSignature",
        "The signature of the operation URL is missing or does not match the URL.",
    )


def invalid_request_content(reason: str) -> ArmError:
    """The body cannot be read."""
    return ArmError(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: '{reason}'.",
    )


def operation_in_progress(mapping: str, job: str) -> ArmError:
    """Another job runs on the object (status and texts inferred; code 532 from a user's report)."""
    return site_recovery_error(
        409,
        "Conflict",
        "532",
        f"The requested operation cannot be performed on '{mapping}' as job '{job}' is in progress on it.",
        possible_causes="Another operation is in progress on the object.",
        recommended_action="Wait until the other operation has ended, then retry.",
    )


def too_many_requests(kind: str, limit: str, seconds: int) -> ArmError:
    """Site Recovery's own limit is used up (the texts are inferred)."""
    return site_recovery_error(
        429,
        "TooManyRequests",
        "TooManyRequests",
        f"The limit of {limit} {kind} requests was exceeded. Please try again after '{seconds}' seconds.",
        possible_causes="Too many requests were made in a short time.",
        recommended_action=f"Retry after {seconds} seconds.",
    )


def subscription_requests_throttled(kind: str, subscription: str, actor: str, seconds: int) -> ArmError:
    """Resource Manager's bucket is empty (documented)."""
    return ArmError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of '{kind}' requests for subscription '{subscription}' actor '{actor}' exceeded. "
        f"Please try again after '{seconds}' seconds.",
    )
