"""``make release VERSION=``: all that a release consists of, in ``dist/release``; nothing is published by it.

The chart, the image as an OCI layout, the list of components, the notes and the checksums, made from a copy of the
checkout in which the version is set. The version stands in one place, the operator's ``__version__``; the chart and the
changelog are made to say the same. The workflow ``release.yml`` does this on a tag, and publishes what comes out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import helm_python

from tools.checks import sbom
from workbench.kube.go_build import BuildFailed
from workbench.node.images import build_layout
from workbench.node.requirements import missing

ROOT: Final = Path(__file__).resolve().parents[1]
NAME: Final = "vault-autoupdate"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")
_SOURCE: Final = Path("operator/vault_autoupdate/__init__.py")
_CHART: Final = Path("charts") / NAME
_UNRELEASED: Final = "## [Unreleased]"

__all__ = ["NotReleasable", "main", "notes_of", "set_version"]


class NotReleasable(Exception):
    """The checkout cannot become this version; the message says why."""


def set_version(root: Path, version: str, day: str) -> None:
    """Make the checkout in ``root`` say that it is this version, released on this day.

    Raises:
        NotReleasable: the version is none, or there is nothing in the changelog that would be in it.
    """
    if not _VERSION.fullmatch(version):
        raise NotReleasable(f"{version!r} is no version like 1.2.3 or 1.2.3-rc.1")
    _replace(root / _SOURCE, r'^__version__ = ".*"$', f'__version__ = "{version}"')
    for key in ("version", "appVersion"):
        _replace(root / _CHART / "Chart.yaml", rf"^{key}: .*$", f"{key}: {version}")
    _replace(root / _CHART / "Chart.yaml", rf"(?<=/{NAME}:)[\w.-]+$", version)
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text()
    if f"## [{version}]" not in text:
        changelog.write_text(text.replace(_UNRELEASED, f"{_UNRELEASED}\n\n## [{version}] - {day}", 1))
    notes_of(changelog.read_text(), version)


def notes_of(changelog: str, version: str) -> str:
    """The section of a version.

    Raises:
        NotReleasable: it is missing, or empty.
    """
    _, found, rest = changelog.partition(f"## [{version}]")
    section = rest.partition("\n## [")[0].partition("\n")[2].strip()
    if not found or not section:
        raise NotReleasable(f"CHANGELOG.md has nothing about {version}")
    return section


def _replace(path: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, text, path.read_text(), flags=re.MULTILINE)
    if count == 0:
        raise NotReleasable(f"{path.name} has no line like {pattern}")
    path.write_text(changed)


def _copy_of_checkout(target: Path) -> Path:
    """What git knows of, as it lies there now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return target


def _make(version: str, output: Path, *, image: bool) -> None:
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="release-") as scratch:
        checkout = _copy_of_checkout(Path(scratch))
        set_version(checkout, version, f"{datetime.now(UTC):%Y-%m-%d}")
        helm_python.package(checkout / _CHART, destination=output, version=version, app_version=version)
        components = sbom.describe(sbom.read_lock(), version)
        (output / f"{NAME}-{version}.cdx.json").write_text(json.dumps(components, indent=2) + "\n")
        (output / "notes.md").write_text(notes_of((checkout / "CHANGELOG.md").read_text(), version) + "\n")
        if image:
            if reason := missing():
                raise NotReleasable(f"the image cannot be built ({reason}); IMAGE=0 leaves it out")
            platforms, base = build_layout(checkout, output / "image", version)
            print(f"release: image for {', '.join(platforms)}, its base is from {base}")  # noqa: T201
    files = sorted(path for path in output.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(output)}\n" for path in files]
    (output / "SHA256SUMS").write_text("".join(sums))
    print(f"release: {version} is in {output.relative_to(ROOT)}; nothing was published")  # noqa: T201


def main(arguments: list[str] | None = None) -> int:
    """Make it; the exit code is 1 if it cannot be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("--no-image", action="store_true", help="leave the image out")
    parser.add_argument("--set-version", action="store_true", help="also set the version in this checkout")
    given = parser.parse_args(arguments)
    try:
        _make(given.version, ROOT / "dist" / "release", image=not given.no_image)
        if given.set_version:
            set_version(ROOT, given.version, f"{datetime.now(UTC):%Y-%m-%d}")
    except (NotReleasable, BuildFailed) as error:
        print(f"release: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
