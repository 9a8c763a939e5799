"""What is installed is what was locked: every artefact by its SHA-256, from one index."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final
from urllib.parse import urlsplit

from workbench.kube.resources import ROOT

_LOCK: Final[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
_OWN: Final = {"vault-autoupdate", "asr-simulator"}


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
