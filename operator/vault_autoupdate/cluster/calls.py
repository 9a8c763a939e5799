"""Counts what the API server is asked, and how it answers: a right that was lost shows there, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import aiohttp

from vault_autoupdate.model.resource import PLURAL, POLICY_PLURAL

NO_ANSWER: Final = "NoAnswer"
"""Instead of an HTTP status where there was none."""
OPERATIONS: Final = (
    "list_resources", "watch_resources", "write_status", "write_finalizers", "create_resource", "delete_resource",
    "list_policies", "write_policy_status", "post_event", "read_lease", "renew_lease", "read_secret",
    "read_service_account", "request_token", "other",
)  # fmt: skip

_PATHS: Final = (
    ("GET", rf"/{PLURAL}", "list_resources"),
    ("PATCH", rf"/{PLURAL}/[^/]+/status", "write_status"),
    ("PATCH", rf"/{PLURAL}/[^/]+", "write_finalizers"),  # and what a policy changes in its resources
    ("POST", rf"/{PLURAL}", "create_resource"),
    ("DELETE", rf"/{PLURAL}/[^/]+", "delete_resource"),
    ("GET", rf"/{POLICY_PLURAL}", "list_policies"),
    ("PATCH", rf"/{POLICY_PLURAL}/[^/]+/status", "write_policy_status"),
    ("POST", r"/apis/events\.k8s\.io/v1/.*/events", "post_event"),
    ("GET", r"/leases/[^/]+", "read_lease"),
    ("PUT|POST|PATCH", r"/leases(/[^/]+)?", "renew_lease"),
    ("GET", r"/secrets/[^/]+", "read_secret"),
    ("POST", r"/serviceaccounts/[^/]+/token", "request_token"),
    ("GET", r"/serviceaccounts/[^/]+", "read_service_account"),
)
_OPERATIONS: Final = [(re.compile(method), re.compile(f".*{path}"), operation) for method, path, operation in _PATHS]

KubeCallObserver = Callable[[str, str], None]
"""Is told of every call to the API server: its operation, and the HTTP status or `NO_ANSWER`."""

__all__ = ["NO_ANSWER", "OPERATIONS", "KubeCallObserver", "operation_of", "tracing"]


def operation_of(method: str, path: str, *, is_watch: bool = False) -> str:
    """What a request is for, one of `OPERATIONS`."""
    if is_watch:
        return "watch_resources"
    for methods, paths, operation in _OPERATIONS:
        if methods.fullmatch(method) and paths.fullmatch(path):
            return operation
    return "other"


def tracing(observer: KubeCallObserver) -> aiohttp.TraceConfig:
    """What makes a session tell ``observer`` of every call. A call that was given up counts as without an answer."""

    async def answered(_session: Any, _context: Any, answer: aiohttp.TraceRequestEndParams) -> None:
        observer(_operation(answer.method, answer.url), str(answer.response.status))

    async def failed(_session: Any, _context: Any, failure: aiohttp.TraceRequestExceptionParams) -> None:
        observer(_operation(failure.method, failure.url), NO_ANSWER)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(answered)
    trace.on_request_exception.append(failed)
    return trace


def _operation(method: str, url: Any) -> str:
    return operation_of(method, url.path, is_watch=url.query.get("watch", "") in {"true", "True", "1"})
