"""Scopes and callers for tests, in short."""

from __future__ import annotations

from vault_autoupdate.model.quota import Caller, QuotaScope

__all__ = ["caller_of", "scope_of"]


def scope_of(text: str) -> QuotaScope:
    """The scope ``subscription/region``, or a subscription's whose region is not known."""
    subscription, _, region = text.partition("/")
    return QuotaScope(subscription, region)


def caller_of(key: str, scope: str = "s", namespace: str = "") -> Caller:
    """A vault of a namespace, in a scope."""
    return Caller(scope_of(scope), namespace, key)
