"""What mkdocs asks when it builds the site.

Links that lead out of ``docs`` go to the repository, and have to exist there; each runbook is in the navigation.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
_LINK: Final = re.compile(r"(?<=\]\()(\.\./[^)#\s]*)")

__all__ = ["on_config", "on_page_markdown"]


def on_config(config: Any) -> Any:
    """Put the runbooks below their overview."""
    found = sorted(path.name for path in (ROOT / "docs" / "runbooks").glob("*.md") if path.name != "README.md")
    sections = {title: pages for entry in config.nav if isinstance(entry, dict) for title, pages in entry.items()}
    (runbooks,) = (entry["Runbooks"] for entry in sections["Run"] if isinstance(entry, dict))
    runbooks.extend(f"runbooks/{name}" for name in found)
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrite a page's links to files of the repository.

    Raises:
        FileNotFoundError: there is no such file.
    """

    def resolve(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[1]))
        if path.startswith("docs/"):
            return match[1]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"docs/{page.file.src_uri}: {match[1]} leads nowhere")
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{config.repo_url}/{kind}/main/{path}"

    return _LINK.sub(resolve, markdown)
