"""Lists that ARM gives in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.session import ArmReply
from vault_autoupdate.arm.wire.documents import next_link
from vault_autoupdate.model.arm_id import ArmId, is_below
from vault_autoupdate.model.errors import MalformedReply, UntrustedLink
from vault_autoupdate.model.text import clean

_MOST_ENTRIES: Final = 20_000
"""In a list. A vault has at most some thousand machines, and fewer mappings than that."""
_MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all pages of a list together: 10,000 entries of 6 kB each. What is kept of them takes no more."""

T = TypeVar("T")

__all__ = ["PagedList", "pages"]


@dataclass(frozen=True)
class PagedList(Generic[T]):
    """A list, and what is known of it before it is read."""

    operation: str
    """What it is called in metrics and messages."""
    target: str
    """Of the first page."""
    parent: ArmId
    """What it belongs to: no link leads out of that."""
    kind: str
    """Of ``parent``, in words."""
    read_page: Callable[[Any], Sequence[T]]
    """From the document of a page to its entries; raises `AzureError`."""
    most_pages: int
    """What has more is no list that could be right."""


@dataclass(frozen=True)
class _Page(Generic[T]):
    entries: Sequence[T]
    link: str | None
    size: int


async def pages(client: ArmClient, context: CallContext, wanted: PagedList[T]) -> AsyncIterator[Sequence[T]]:
    """Read a list page by page, for as long as somebody asks for the next one.

    Raises:
        AzureError: a page could not be read, the pages never end or are too many, or a link leads elsewhere.
    """

    def parse(reply: ArmReply) -> _Page[T]:
        document = reply.document()
        return _Page(wanted.read_page(document), next_link(document), len(reply.body))

    seen: set[str] = set()
    entries = size = 0
    following: str | None = wanted.target
    while following:
        seen.add(following)
        page = await client.read(context, wanted.operation, following, parse)
        entries, size = entries + len(page.entries), size + page.size
        if entries > _MOST_ENTRIES or size > _MOST_BYTES:
            raise _endless(f"The list of {wanted.operation} has more than {_MOST_ENTRIES:,} entries or 64 MiB.")
        yield page.entries
        following = _resolved(page.link, following, wanted) if page.link else None
        if following in seen:
            raise _endless(f"The pages of {wanted.operation} never end: a nextLink leads to one that was read already.")
        if following and len(seen) >= wanted.most_pages:
            raise _endless(f"More than {wanted.most_pages} pages of {wanted.operation}.")


def _endless(message: str) -> MalformedReply:
    return MalformedReply(message, recommended_action="If this stays, look for a proxy that answers in ARM's place.")


def _resolved(link: str, page: str, wanted: PagedList[T]) -> str:
    """The link as it is to be followed: whole, and of the same API version if it names none.

    A relative one is taken as it is meant, from the page that has it (RFC 3986, 5).

    Raises:
        UntrustedLink: it leads out of what the list belongs to.
    """
    try:
        whole = urljoin(page, link)
        parts = urlsplit(whole)
        path = unquote(parts.path)  # as the server reads it; percent signs that are left then are refused
    except ValueError:
        path, whole, parts = "", "", urlsplit("")
    if not is_below(path, wanted.parent.key):
        raise UntrustedLink(
            f"A nextLink of {wanted.operation} leads away from the {wanted.kind} {wanted.parent.name}: "
            f"{clean(f'{_host(whole)}{path}', 200)}.",
            recommended_action="It is not followed. Look for a proxy that answers in ARM's place.",
        )
    pairs = urlsplit(wanted.target).query.split("&")
    version = next((pair for pair in pairs if pair.startswith("api-version=")), "")
    if version and "api-version=" not in parts.query.lower():
        whole = parts._replace(query=f"{parts.query}&{version}".lstrip("&")).geturl()
    return whole


def _host(link: str) -> str:
    """Of a link that names one: without a user, who may be a secret."""
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""
