"""Which namespaces may name what: the rules of a cluster that several teams share. Pure.

The operator's Azure identity is one for all namespaces. Without rules, whoever may create a VaultAutoUpdate
anywhere has the operator change any vault that this identity may change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final

from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import (
    InvalidResourceId,
    fold,
    is_guid,
    is_resource_name,
    parse_automation_account_id,
    parse_vault_id,
)
from vault_autoupdate.model.conditions import Reason
from vault_autoupdate.model.resource import CredentialSource, VaultAutoUpdate
from vault_autoupdate.model.text import clean

_PATTERN = re.compile(r"[a-z0-9*-]{1,63}")
_FORMS: Final = (
    "write /subscriptions/<guid>, /subscriptions/<guid>/resourceGroups/<group>, the id of a vault or of an Automation "
    "account, or / for everything"
)
_EXAMPLE: Final = '{"team-a": ["/subscriptions/<guid>/resourceGroups/<group>"]}'

__all__ = [
    "ArmScope", "Refusal", "ResourceCredentials", "TenancyRules", "VaultScopes", "parse_arm_scope",
    "parse_vault_scopes",
]  # fmt: skip


class ResourceCredentials(StrEnum):
    """Whether resources may, or must, name a credential of their own in ``spec.credential``."""

    REFUSED = "refused"
    ALLOWED = "allowed"
    REQUIRED = "required"


@dataclass(frozen=True)
class ArmScope:
    """A part of Azure: everything, a subscription, a resource group, or one resource."""

    text: str
    segments: tuple[str, ...]

    def covers(self, resource_id: str) -> bool:
        """Tell whether a resource lies in it: by whole segments, in any letter case.

        Only A to Z have two cases here. Other letters must be written alike: what Azure takes for the same name is
        not known for all of them, and a name that is wrongly taken for another one would open that one's vaults.
        """
        return _segments(resource_id)[: len(self.segments)] == self.segments


@dataclass(frozen=True)
class VaultScopes:
    """From patterns of namespaces to what these may name. Without entries nobody is restricted."""

    entries: tuple[tuple[str, tuple[ArmScope, ...]], ...] | None = None

    def patterns_for(self, namespace: str) -> list[str]:
        """The patterns that fit a namespace. What all of them list counts together."""
        return [pattern for pattern, _ in self.entries or () if fnmatchcase(namespace, pattern)]

    def allows(self, namespace: str, resource_id: str) -> bool:
        """Tell whether resources of ``namespace`` may name this id."""
        if self.entries is None:
            return True
        fitting = set(self.patterns_for(namespace))
        return any(
            scope.covers(resource_id) for pattern, scopes in self.entries if pattern in fitting for scope in scopes
        )


@dataclass(frozen=True)
class Refusal:
    """Why a resource is not worked on, although it is valid."""

    reason: str
    message: str


@dataclass(frozen=True)
class TenancyRules:
    """What the operator's settings allow to the resources of each namespace."""

    scopes: VaultScopes = VaultScopes()
    credentials: ResourceCredentials = ResourceCredentials.REFUSED
    shard: str = ""
    """That of this process; empty for the main one."""

    def refusal(self, resource: VaultAutoUpdate) -> Refusal | None:
        """Why ``resource`` may not be worked on; None if it may. Decided without a call to anything."""
        namespace, spec = resource.key.namespace, resource.spec
        named = {"spec.vaultResourceId": spec.vault_resource_id}
        if spec.automation_account_resource_id:
            named["spec.automationAccountResourceId"] = spec.automation_account_resource_id
        outside = [field for field, named_id in named.items() if not self.scopes.allows(namespace, named_id.text)]
        if outside:
            return Refusal(Reason.SCOPE_NOT_ALLOWED, _outside(self.scopes, namespace, outside))
        return self.credential_refusal(spec.credential)

    def credential_refusal(self, credential: CredentialSource | None) -> Refusal | None:
        """Why something may not log in by this credential, or without one; None if it may."""
        if credential and self.credentials is ResourceCredentials.REFUSED:
            return Refusal(
                Reason.CREDENTIAL_NOT_ALLOWED,
                "Nothing is done: this operator takes no credentials from resources. Remove spec.credential to have "
                "its own identity used, or ask those who run it for VAULT_AUTOUPDATE_RESOURCE_CREDENTIALS=allowed "
                "(resourceCredentials.mode in the chart).",
            )
        if not credential and self.credentials is ResourceCredentials.REQUIRED:
            return Refusal(
                Reason.CREDENTIAL_REQUIRED,
                "Nothing is done: this operator does not lend its own identity. Name a credential of this namespace "
                "in spec.credential: a Secret (secretName) or a ServiceAccount (serviceAccountName).",
            )
        return None


def _outside(scopes: VaultScopes, namespace: str, fields: Iterable[str]) -> str:
    fitting = scopes.patterns_for(namespace)
    listed = [scope.text for pattern, allowed in scopes.entries or () if pattern in fitting for scope in allowed]
    by = f"by its entries for {', '.join(map(repr, fitting))}" if fitting else "as no entry is for it"
    may = f"only what is in {', '.join(listed)}" if listed else "nothing"
    return clean(
        f"Nothing is done: {' and '.join(fields)} outside of what namespace {namespace} may name. Name what it may, or "
        "ask those who run the operator to extend VAULT_AUTOUPDATE_VAULT_SCOPES (vaultScopes in the chart); "
        f"{by}, this namespace may name {may}.",
        bounds.MESSAGE,
    )


def parse_arm_scope(text: str) -> ArmScope:
    """Read one scope.

    Raises:
        ValueError: it is none; the message says what to write.
    """
    if text == "/":
        return ArmScope(text, ())
    segments = _segments(text)
    problem = f"{clean(text, bounds.QUOTED)!r} is not a scope: {_FORMS}"
    if not text.startswith("/"):
        raise ValueError(problem)
    match segments:
        case ("subscriptions", subscription) if is_guid(subscription):
            return ArmScope(text, segments)
        case ("subscriptions", subscription, "resourcegroups", _) if is_guid(subscription):
            if is_resource_name(text.rpartition("/")[2]):
                return ArmScope(text, segments)
        case (_, _, _, _, "providers", _, _, _):
            for parse in (parse_vault_id, parse_automation_account_id):
                try:
                    parse(text)
                except InvalidResourceId:
                    continue
                return ArmScope(text, segments)
    raise ValueError(problem)


def parse_vault_scopes(value: object) -> VaultScopes:
    """Read the setting: a JSON object from namespaces to lists of scopes.

    Raises:
        ValueError: it is something else; the message names every mistake in it.
    """
    if isinstance(value, VaultScopes):
        return value
    problems: list[str] = []
    try:
        document = json.loads(str(value), object_pairs_hook=lambda pairs: _unique(pairs, problems))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({clean(error, bounds.QUOTED)}): write for example {_EXAMPLE}") from None
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a JSON object, for example {_EXAMPLE}")  # noqa: TRY004 - of a setting's text
    entries = []
    for pattern, listed in document.items():
        if not _PATTERN.fullmatch(pattern):
            problems.append(
                f"{clean(pattern, bounds.QUOTED_NAME)!r} is neither a namespace nor a pattern of one "
                "(* is for any letters)"
            )
        entries.append((pattern, tuple(_scopes(pattern, listed, problems))))
    if problems:
        raise ValueError("; ".join(problems))
    return VaultScopes(tuple(entries))


def _scopes(pattern: str, listed: object, problems: list[str]) -> Iterable[ArmScope]:
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        problems.append(f"{clean(pattern, bounds.QUOTED_NAME)!r}: must be a list of scopes: {_FORMS}")
        return
    for text in listed:
        try:
            yield parse_arm_scope(text)
        except ValueError as error:
            problems.append(f"{clean(pattern, bounds.QUOTED_NAME)!r}: {error}")


def _unique(pairs: list[tuple[str, Any]], problems: list[str]) -> dict[str, Any]:
    """Of two entries for one name, JSON readers keep the last without a word: a rule would be lost."""
    found = dict(pairs)
    problems += [
        f"{clean(name, bounds.QUOTED_NAME)!r} is there more than once"
        for name in found
        if [key for key, _ in pairs].count(name) > 1
    ]
    return found


def _segments(text: str) -> tuple[str, ...]:
    path = fold(text).removeprefix("/")
    return tuple(path.split("/"))
