"""ARM resource ids: parse, compare, print.

ARM treats ids without regard to letter case and does not keep it: a client that asks for ``/subscriptions/…``
gets ids that begin with ``/Subscriptions/`` back. Every comparison of ids goes through `fold`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from vault_autoupdate.model.text import is_printable

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME = re.compile(r"[\w.()-]{0,89}[\w()-]")
"""What ARM allows in the names of groups, vaults and accounts; anything else could change the meaning of a URL."""
_PLAIN = re.compile(r"(?!\.{1,2}\Z)[^/\\?#%\s\x00-\x1f\x7f-\x9f]{1,260}")
"""A segment of a path that can mean nothing but itself."""
_PLAINEST = re.compile(r"[\w()-][\w.()-]{0,259}(/[\w()-][\w.()-]{0,259})*", re.ASCII)
"""What nearly all paths are made of: several such segments, told by one look."""
_SPACE = re.compile(r"\s")
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_VAULT_PROVIDER = "microsoft.recoveryservices/vaults"
_ACCOUNT_PROVIDER = "microsoft.automation/automationaccounts"
_ITEM_TYPES = ["replicationfabrics", "replicationprotectioncontainers", "replicationprotecteditems"]
_MAPPING_TYPES = ["replicationfabrics", "replicationprotectioncontainers", "replicationprotectioncontainermappings"]

__all__ = [
    "ArmId",
    "InvalidResourceId",
    "fold",
    "is_below",
    "is_guid",
    "is_resource_name",
    "item_id",
    "item_path",
    "mapping_id",
    "mapping_path",
    "parse_automation_account_id",
    "parse_vault_id",
]


class InvalidResourceId(ValueError):
    """A text that is not the ARM id that was asked for; the message says what to write instead."""


@dataclass(frozen=True, slots=False)
class ArmId:
    """The id of a resource in a resource group, as it was written."""

    text: str
    subscription: str
    resource_group: str
    provider: str
    """Namespace and type, for example ``Microsoft.RecoveryServices/vaults``."""
    name: str

    @cached_property
    def key(self) -> str:
        """The id for comparing: equal for two spellings of one resource."""
        return fold(self.text)

    def __str__(self) -> str:
        return self.text


def fold(text: str) -> str:
    """Return an id, or the name of something in Azure, for comparing: A to Z become small letters, and nothing else.

    What Azure takes for one name where other letters are concerned is not known for all of them. Two names that are
    wrongly taken for one would give one's vault to the other: ``str.casefold`` makes ``strasse`` of ``straße``.
    """
    return text.lower() if text.isascii() else text.translate(_LOWER)


def is_guid(text: str) -> bool:
    """Tell whether ``text`` is a GUID in the 8-4-4-4-12 form."""
    return _GUID.fullmatch(text) is not None


def is_resource_name(text: str) -> bool:
    """Tell whether ``text`` can be the name of a resource group, a vault or an account."""
    return _NAME.fullmatch(text) is not None and is_printable(text)


def is_below(text: str, parent_key: str) -> bool:
    """Tell whether an id is that of something in the resource whose `ArmId.key` is ``parent_key``, and nothing else.

    Ids of what is in a vault come from ARM, and after a restart from a status: they must not be able to lead a call
    to another vault. A URL with dots or percent signs in its path may mean another path than it shows, and what people
    cannot see may make one id look like another.
    """
    folded = fold(text)
    below = folded.removeprefix(f"{parent_key}/")
    if len(below) == len(folded):
        return False
    return _PLAINEST.fullmatch(below) is not None or all(map(_is_plain, below.split("/")))


def _is_plain(segment: str) -> bool:
    return _PLAIN.fullmatch(segment) is not None and is_printable(segment)


def parse_vault_id(text: str) -> ArmId:
    """Parse the id of a Recovery Services vault.

    The checks and their order are those of Microsoft's runbook (starts with ``/subscriptions``, pairs of names
    and values, exactly four pairs), and then what it leaves to ARM: the subscription is a GUID and the type is
    that of a vault.

    Raises:
        InvalidResourceId: with a message of its own for each check.
    """
    return _parse(
        text,
        what="vault id",
        provider=_VAULT_PROVIDER,
        example="/subscriptions/<guid>/resourceGroups/<group>/providers/Microsoft.RecoveryServices/vaults/<name>",
    )


@lru_cache(maxsize=1024)
def parse_automation_account_id(text: str) -> ArmId:
    """Parse the id of an Automation account, which many vaults have in common: so they share what is kept of it.

    Raises:
        InvalidResourceId: with a message that says what is wrong and what to write.
    """
    return _parse(
        text,
        what="automation account id",
        provider=_ACCOUNT_PROVIDER,
        example=(
            "/subscriptions/<guid>/resourceGroups/<group>/providers/Microsoft.Automation/automationAccounts/<name>"
        ),
    )


def mapping_path(mapping_id: str) -> str:
    """Return the part of a container mapping's id that tells it from others in its vault.

    ``fabric/container/mapping``, in the letter case given; an id of another form comes back whole, since it is
    only for people to read and for keys.
    """
    return _path(mapping_id, _MAPPING_TYPES)


def item_path(item_id: str) -> str:
    """Return the part of a replicated item's id that tells it from others in its vault, as `mapping_path` does it."""
    return _path(item_id, _ITEM_TYPES)


def _path(resource_id: str, types: list[str]) -> str:
    segments = resource_id.split("/")
    if [fold(segment) for segment in segments[-6::2]] != types:
        return resource_id
    return "/".join(segments[-5::2])


def mapping_id(vault: ArmId, path: str) -> str:
    """Return the id of the mapping that `mapping_path` gave ``path`` for."""
    return _id(vault, path, "replicationProtectionContainerMappings")


def item_id(vault: ArmId, path: str) -> str:
    """Return the id of the replicated item that `item_path` gave ``path`` for."""
    return _id(vault, path, "replicationProtectedItems")


def _id(vault: ArmId, path: str, kind: str) -> str:
    segments = path.split("/")
    if len(segments) != 3:
        return path
    fabric, container, name = segments
    return f"{vault.text}/replicationFabrics/{fabric}/replicationProtectionContainers/{container}/{kind}/{name}"


def _parse(text: str, *, what: str, provider: str, example: str) -> ArmId:
    def refuse(problem: str) -> InvalidResourceId:
        return InvalidResourceId(f"the {what} {problem}; expected {example}")

    if not re.match(r"/subscriptions(/|$)", text, re.IGNORECASE | re.ASCII):
        raise refuse("must start with /subscriptions")
    tokens = text.removeprefix("/").split("/")
    if len(tokens) % 2:
        raise refuse("must be made of pairs of names and values")
    if len(tokens) != 8:
        raise refuse(f"must have exactly four pairs of names and values, not {len(tokens) // 2}")
    if not all(tokens) or _SPACE.search(text):
        raise refuse("must have no empty parts and no white space")
    if fold(tokens[2]) != "resourcegroups" or fold(tokens[4]) != "providers":
        raise refuse("must name a resource group and then a provider")
    if not is_guid(tokens[1]):
        raise refuse("must have the subscription's GUID after /subscriptions/")
    if fold(f"{tokens[5]}/{tokens[6]}") != provider:
        raise refuse(f"must be of type {example.split('/providers/')[1].rsplit('/', 1)[0]}")
    if not (is_resource_name(tokens[3]) and is_resource_name(tokens[7])):
        raise refuse("must have names of up to 90 letters, digits and -_.() that do not end with a period")
    # What thousands of ids have in common is kept once.
    subscription, group, namespace_and_type = map(sys.intern, (tokens[1], tokens[3], "/".join(tokens[5:7])))
    return ArmId(text, subscription, group, namespace_and_type, name=tokens[7])
