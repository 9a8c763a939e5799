"""What holds for each group of commands."""

from __future__ import annotations

from typing import Final

CONTEXT_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}

__all__ = ["CONTEXT_SETTINGS"]
