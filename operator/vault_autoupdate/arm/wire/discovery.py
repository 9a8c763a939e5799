"""From the documents of discovery to what they say: subscriptions, what is in a group, vaults, accounts, query rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from vault_autoupdate.arm.wire.documents import Document, Name, Page, Text, read
from vault_autoupdate.decide.policy_discovery import GraphPage
from vault_autoupdate.model import bounds
from vault_autoupdate.model.arm_id import InvalidResourceId, parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.errors import MalformedReply
from vault_autoupdate.model.estate import FoundAccount, FoundVault
from vault_autoupdate.model.text import clean

__all__ = ["Rows", "accounts", "descendants", "graph_page", "subscriptions", "usages", "vault", "vaults"]


def _tags(value: object) -> object:
    """Tags as they are meant: Resource Manager has null for none at all, and for one without a value."""
    if isinstance(value, Mapping):
        return {name: "" if text is None else text for name, text in value.items()}
    return {} if value is None else value


Tags = Annotated[dict[str, str], BeforeValidator(_tags)]
"""Not made fit for people: values are compared exactly, and shown only through `clean`."""


class _Subscription(Document):
    subscription_id: Name
    state: Text = ""


class _Descendant(Document):
    type: Name
    name: Name


class _Resource(Document):
    id: str
    location: Text = ""
    tags: Tags = Field(default_factory=dict)


class _Usage(Document):
    protected_item_count: int | None = None


class _Answer(Document):
    total_records: int
    result_truncated: str = "false"
    data: list[dict[str, Any]]
    skip_token: str | None = Field(None, alias="$skipToken")


@dataclass(frozen=True)
class Rows:
    """A page of an answer of Resource Graph."""

    rows: list[dict[str, Any]]
    page: GraphPage
    token: str | None


def subscriptions(document: object) -> list[tuple[str, str]]:
    """Ids of subscriptions, in lower case, with their states."""
    page = _entries(document, "a page of subscriptions")
    found = [read(_Subscription, item, "a subscription") for item in page]
    return [(each.subscription_id.casefold(), each.state) for each in found]


def descendants(document: object) -> list[str]:
    """The subscriptions, in lower case, on a page of what is in a management group."""
    page = _entries(document, "a page of what is in a management group")
    found = [read(_Descendant, item, "something in a management group") for item in page]
    return [each.name.casefold() for each in found if each.type.casefold().endswith("/subscriptions")]


def vaults(document: object) -> list[FoundVault]:
    """The vaults on a page."""
    return [vault(item) for item in _entries(document, "a page of vaults")]


def vault(document: object) -> FoundVault:
    """A vault, of a list, of a GET, or of a row of Resource Graph."""
    found = read(_Resource, document, "a vault")
    try:
        return FoundVault(parse_vault_id(found.id), found.location, found.tags)
    except InvalidResourceId as error:
        raise _no_id(found.id) from error


def accounts(document: object) -> list[FoundAccount]:
    """The Automation accounts on a page."""
    return [account(item) for item in _entries(document, "a page of Automation accounts")]


def account(document: object) -> FoundAccount:
    """An Automation account, of a list or of a row of Resource Graph."""
    found = read(_Resource, document, "an Automation account")
    try:
        return FoundAccount(parse_automation_account_id(found.id), found.tags)
    except InvalidResourceId as error:
        raise _no_id(found.id) from error


def usages(document: object) -> bool:
    """Whether a vault replicates anything."""
    page = _entries(document, "the usages of a vault")
    return any(read(_Usage, item, "a usage").protected_item_count for item in page)


def graph_page(document: object, headers: Mapping[str, str]) -> Rows:
    """A page of an answer of Resource Graph. ``resultTruncated`` is a text there, and an empty token is none."""
    answer = read(_Answer, document, "an answer of Resource Graph")
    page = GraphPage(
        answer.total_records,
        tuple(str(row.get("id", "")) for row in answer.data),
        is_truncated=answer.result_truncated.casefold() != "false",
        is_limited=headers.get("x-ms-tenant-subscription-limit-hit", "").casefold() == "true",
    )
    return Rows(answer.data, page, answer.skip_token or None)


def _entries(document: object, what: str) -> list[Any]:
    """The entries of a page. Of what is there every one is read: a list that lacks one proves nothing."""
    return [entry for entry in read(Page, document, what).value or () if entry is not None]


def _no_id(text: str) -> MalformedReply:
    return MalformedReply(f"ARM lists {clean(text, bounds.QUOTED)}, which is not the id of such a resource.")
