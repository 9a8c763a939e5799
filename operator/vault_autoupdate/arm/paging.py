"""Lists that ARM gives in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.wire.documents import next_link
from vault_autoupdate.model.errors import MalformedReply

__all__ = ["pages"]


async def pages(
    client: ArmClient,
    context: CallContext,
    operation: str,
    target: str,
    *,
    most_pages: int,
    check_link: Callable[[str], None] | None = None,
) -> AsyncIterator[Any]:
    """Read a list page by page, for as long as somebody asks for the next one.

    Args:
        client: sends the calls.
        context: on whose behalf.
        operation: what it is called in metrics and messages.
        target: of the first page.
        most_pages: what has more is no list that could be right.
        check_link: is shown each link before it is followed; raises `AzureError` if it leads to where it must not.

    Raises:
        AzureError: a page could not be read, or the pages never end.
    """
    seen: set[str] = set()
    following: str | None = target
    while following:
        seen.add(following)
        document = (await client.read(context, operation, following)).document()
        yield document
        following = next_link(document)
        if following and (following in seen or len(seen) >= most_pages):
            raise MalformedReply(
                f"The pages of {operation} never end: a nextLink leads to a page that was read already."
                if following in seen
                else f"More than {most_pages} pages of {operation}."
            )
        if following and check_link:
            check_link(following)
