"""Writes the table of values in the chart's README from the comments in its values.yaml.

A comment that starts with ``# --`` documents the value below it and goes on over the comment lines that follow. A line
``## Title`` starts a section. What is documented is shown as one row, with all that is in it; every value has to be
in some row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools.docs_build.pages import PageError, between

CHART: Final = Path(__file__).resolve().parents[2] / "charts" / "vault-autoupdate"
PAGE: Final = CHART / "README.md"
_BEGIN: Final = "<!-- values: written by tools/docs_build/chart_values.py -->"
_END: Final = "<!-- end of values -->"
_KEY = re.compile(r"^( *)([A-Za-z][\w.-]*):")

__all__ = ["PAGE", "Row", "read_rows", "render", "undocumented"]


@dataclass(frozen=True)
class Row:
    """One documented value."""

    section: str
    path: tuple[str, ...]
    text: str
    default: Any

    @property
    def name(self) -> str:
        """The value as ``--set`` takes it."""
        return ".".join(self.path)


def read_rows(text: str) -> list[Row]:
    """Read the documented values, in the order of the file."""
    values = yaml.safe_load(text)
    rows: list[Row] = []
    section = ""
    comment: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("## "):
            section, comment = stripped.removeprefix("## "), []
        elif stripped.startswith("# -- "):
            comment = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("#"):
            if comment:
                comment.append(stripped.removeprefix("#").strip())
        elif match := _KEY.match(line):
            indent = len(match[1])
            path = [(depth, key) for depth, key in path if depth < indent] + [(indent, match[2])]
            if comment:
                keys = tuple(key for _, key in path)
                rows.append(Row(section, keys, " ".join(comment), _look_up(values, keys)))
            comment = []
        else:
            comment = []
    return rows


def undocumented(text: str) -> list[str]:
    """Return the values that no row is about."""
    covered = {row.path for row in read_rows(text)}
    return [
        ".".join(path)
        for path in _leaves(yaml.safe_load(text), ())
        if not any(path[:length] in covered for length in range(1, len(path) + 1))
    ]


def render() -> str:
    """The README with the values as they are now; raises `PageError` if one has no comment."""
    text = (CHART / "values.yaml").read_text()
    if missing := undocumented(text):
        raise PageError(f"values.yaml: without a comment: {', '.join(missing)}")
    return between(PAGE.read_text(), _BEGIN, _END, _tables(read_rows(text)))


def _tables(rows: list[Row]) -> str:
    """One table for each section."""
    lines: list[str] = []
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"### {section}", "", "| Value | Default | Meaning |", "| --- | --- | --- |"]
        lines.append(f"| `{row.name}` | {_default(row.default)} | {row.text.replace('|', '&#124;')} |")
    return "\n".join([*lines, ""])


def _look_up(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def _leaves(values: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path


def _default(value: Any) -> str:
    if value == "":
        return '`""`'
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "&#124;")
