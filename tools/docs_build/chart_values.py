"""Writes the table of values in the chart's README from the comments in its values.yaml.

    python -m tools.docs_build.chart_values            # writes it
    python -m tools.docs_build.chart_values --check    # exit code 1 if it is not up to date

A comment that starts with ``# --`` documents the value below it and goes on over the comment lines that follow. A line
``## Title`` starts a section. What is documented is shown as one row, with all that is in it; every value has to be
in some row.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).resolve().parents[2] / "charts" / "vault-autoupdate"
BEGIN: Final = "<!-- values: written by tools/docs_build/chart_values.py -->"
END: Final = "<!-- end of values -->"
_KEY = re.compile(r"^( *)([A-Za-z][\w.-]*):")

__all__ = ["Row", "main", "read_rows", "rewrite", "undocumented"]


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


def rewrite(readme: str, rows: list[Row]) -> str:
    """Return ``readme`` with new tables between the two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the README needs the lines {BEGIN!r} and {END!r}")
    lines: list[str] = []
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"### {section}", "", "| Value | Default | Meaning |", "| --- | --- | --- |"]
        lines.append(f"| `{row.name}` | {_default(row.default)} | {row.text.replace('|', '&#124;')} |")
    return "\n".join([before + BEGIN, *lines, "", END + after])


def main(arguments: list[str] | None = None) -> int:
    """Write the README, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the README is up to date")
    check = parser.parse_args(arguments).check
    text = (CHART / "values.yaml").read_text()
    if missing := undocumented(text):
        sys.stderr.write(f"values.yaml: without a comment: {', '.join(missing)}\n")
        return 1
    readme = CHART / "README.md"
    old = readme.read_text()
    new = rewrite(old, read_rows(text))
    if old == new:
        return 0
    if check:
        sys.stderr.write(f"{readme} is not up to date: run python -m tools.docs_build.chart_values\n")
        return 1
    readme.write_text(new)
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
