"""What a checkup of Azure finds: what was learned by asking once, and one finding for each thing that must work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from vault_autoupdate.model.arm_id import fold

__all__ = ["Finding", "Greeting", "Login", "Permission", "Read", "Standing", "TokenClaims", "Way", "is_allowed"]


class Standing(StrEnum):
    """How things stand with one of the things that must work."""

    OK = "ok"
    NOT_OK = "not ok"
    UNKNOWN = "not known"
    """It could not be told, because of something that another finding is about, or without changing anything."""


@dataclass(frozen=True)
class Finding:
    """One line of a checkup."""

    check: str
    standing: Standing
    message: str
    recommended_action: str = ""
    about: str = ""
    """Id of the vault or account; empty where it is about all of them."""


@dataclass(frozen=True)
class Greeting:
    """What an answer to a call without a token tells. ARM refuses it, and names the subscription's tenant by that."""

    status: int
    date: datetime | None
    """The answer's own clock."""
    received_at: datetime
    """This machine's clock when the answer began."""
    tenant: str
    """Of the subscription that was asked about; empty where the answer does not say."""
    tls: str
    """Version of TLS; empty for plain HTTP."""
    issuer: str
    """Who issued the certificate of the server, or of the proxy that looks into the connection."""


@dataclass(frozen=True)
class Way:
    """How calls to ARM leave this process."""

    proxy: str
    """Host and port of the proxy; empty without one."""
    trust: str
    """File with the authorities that are trusted; empty for those that come with the libraries."""


@dataclass(frozen=True)
class TokenClaims:
    """What a token says about itself, as far as it can be read. Nothing of it is verified, and nothing is secret."""

    audience: str = ""
    issuer: str = ""
    subject: str = ""
    tenant: str = ""
    application: str = ""
    object: str = ""
    name: str = ""
    """Resource id of a managed identity, or name of a user who has logged in."""
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Login:
    """A token that was got."""

    claims: TokenClaims
    source: str
    """The class of azure-identity that got it."""
    expires_at: datetime | None


@dataclass(frozen=True)
class Read:
    """What came of reading one thing."""

    entries: int | None = None
    """On the first page, where it is a list."""
    replicates: bool = True
    """Whether Site Recovery knows the vault: it does not where nothing is replicated with it."""
    quotas: tuple[tuple[str, str], ...] = ()
    """What is left, by the names of the headers that say so."""


@dataclass(frozen=True)
class Permission:
    """What one assignment of a role allows."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...]

    def allows(self, action: str) -> bool:
        """Whether it allows ``action``: letter case does not matter, and ``*`` stands for anything."""
        return _matches(self.actions, action) and not _matches(self.not_actions, action)


def is_allowed(permissions: Sequence[Permission], action: str) -> bool:
    """Whether any assignment allows ``action``.

    What one excludes (``notActions``) another may still allow: that is how roles add up (Azure's "Understand role
    definitions"). Deny assignments are in no list of permissions.
    """
    return any(permission.allows(action) for permission in permissions)


def _matches(patterns: Sequence[str], action: str) -> bool:
    # Sets in brackets are no feature of actions.
    return any(fnmatchcase(fold(action), fold(pattern).replace("[", "[[]")) for pattern in patterns)
