"""Writes all pages that are made from the code: ``python -m tools.docs_build [--check]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.docs_build.pages import PageError, write_or_check, writers

_ROOT: Final = Path(__file__).resolve().parents[2]

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages that differ; with ``--check`` only name them, and return 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs_build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is not up to date")
    check = parser.parse_args(arguments).check
    done = True
    for name, writer in writers().items():
        page = writer.PAGE.relative_to(_ROOT)
        try:
            if not write_or_check(writer.PAGE, writer.render, check=check):
                sys.stderr.write(f"{page} is not up to date: run make docs\n" if check else f"wrote {page}\n")
                done = done and not check
        except PageError as error:
            sys.stderr.write(f"{page}: {name}: {error}\n")
            done = False
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
