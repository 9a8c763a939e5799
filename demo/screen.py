"""What the demo prints: headings, and lines below them."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.markup import escape

console: Final = Console(highlight=False)

__all__ = ["console", "note", "say"]


def say(text: str) -> None:
    """Print a heading."""
    console.print(f"\n[bold]» {escape(text)}[/]", soft_wrap=True)


def note(text: str) -> None:
    """Print a line below a heading."""
    console.print(f"  {text}", markup=False, soft_wrap=True)
