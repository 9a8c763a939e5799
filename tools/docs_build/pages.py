"""Pages, or parts of pages, that are made from something else: how each is written, or checked.

A module of this folder is a writer if it says what it writes (``PAGE``) and makes it (``render``).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, runtime_checkable

import tools.docs_build

__all__ = ["PageError", "Writer", "between", "write_or_check", "writers"]


class PageError(Exception):
    """A page cannot be made; the text says what to mend."""


@runtime_checkable
class Writer(Protocol):
    """A module that makes a page."""

    PAGE: Path

    def render(self) -> str:
        """Make the whole page; raises `PageError`."""


def writers() -> dict[str, Writer]:
    """All writers by name of their module."""
    names = sorted(each.name for each in iter_modules(tools.docs_build.__path__) if each.name != "__main__")
    modules = {name: import_module(f"{tools.docs_build.__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if isinstance(module, Writer)}


def write_or_check(page: Path, render: Callable[[], str], *, check: bool) -> bool:
    """Write a page if it is not as it should be, or with ``check`` leave it alone.

    Returns:
        Whether the page was as it should be.

    Raises:
        PageError: the page cannot be made.
    """
    rendered = render()
    if page.exists() and page.read_text() == rendered:
        return True
    if not check:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(rendered)
    return False


def between(page: str, begin: str, end: str, text: str) -> str:
    """Return ``page`` with ``text`` between two marks that each fill a line.

    Raises:
        PageError: the page lacks one of them.
    """
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise PageError(f"the page needs the lines {begin!r} and {end!r}")
    return f"{before}{begin}\n{text}\n{end}{after}"
