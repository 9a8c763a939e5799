"""What is installed is what was locked: every artefact by its SHA-256, from one index."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from workbench.kube.resources import ROOT

_LOCK: Final[dict[str, Any]] = {
    "package": [
        package
        for lock in (ROOT / "uv.lock", ROOT / "tools/azure_cli/uv.lock")
        for package in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    ]
}
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
_OWN: Final = {"vault-autoupdate", "asr-simulator", "azure-cli-of-the-pages"}


def test_every_artefact_has_a_hash() -> None:
    for package in _LOCK["package"]:
        artefacts = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        assert bool(artefacts) is (package["name"] not in _OWN), package["name"]
        for artefact in artefacts:
            assert _SHA256.fullmatch(artefact.get("hash", "")), artefact


def test_everything_comes_from_the_public_index() -> None:
    sources = {tuple(package["source"].items()) for package in _LOCK["package"] if package["name"] not in _OWN}
    assert {(kind, urlsplit(place).hostname) for source in sources for kind, place in source} == {
        ("registry", "pypi.org")
    }
    hosts = {artefact["url"].split("/")[2] for package in _LOCK["package"] for artefact in package.get("wheels", ())}
    assert hosts == {"files.pythonhosted.org"}


def test_the_installer_itself_has_hashes() -> None:
    requirements = (ROOT / "tools" / "uv.txt").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pinned = [line for line in requirements if line.strip() and not line.startswith("#")]
    assert pinned
    for line in pinned:
        assert re.match(r"[a-z]+==[\d.]+ ", line)
        assert _SHA256.search(line)


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"UV_SYSTEM_CERTS": "0"}, "0")], ids=["unset", "set"])
def test_make_lets_uv_trust_whom_the_system_trusts_unless_told_otherwise(given: dict[str, str], expected: str) -> None:
    """As pip does by itself: behind a proxy that opens TLS connections, its authority is known to the system alone."""
    shown = subprocess.run(
        ["make", "--silent", "--eval", 'show-certs: ; @echo "$${UV_SYSTEM_CERTS}"', "show-certs"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == expected
    told = subprocess.run(
        [Path(sys.executable).parent / "uv", "sync", "--help"], capture_output=True, text=True, check=True
    )
    assert "UV_SYSTEM_CERTS" in told.stdout, "uv knows the variable by this name"
