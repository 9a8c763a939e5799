"""Lists what the operator consists of, as CycloneDX: ``python -m tools.checks.sbom dist/vault-autoupdate.cdx.json``.

uv writes the list from the lock file: every package that the operator installs, with its package URL, its files'
SHA-256 and what needs what. Added here: the operator itself. The same lock file gives the same list, byte for byte.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from vault_autoupdate import __version__

ROOT: Final = Path(__file__).resolve().parents[2]
NAME: Final = "vault-autoupdate"
_BIN: Final = Path(sys.executable).parent

__all__ = ["describe", "main", "read_lock"]


def read_lock() -> dict[str, Any]:
    """Let uv list the operator's packages of the lock file."""
    command = [str(_BIN / "uv"), "export", "--quiet", "--frozen", "--no-default-groups", "--format", "cyclonedx1.5"]
    command += ["--preview-features", "sbom-export"]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def describe(document: dict[str, Any], version: str) -> dict[str, Any]:
    """Complete uv's list: name the operator, and drop what differs from run to run."""
    metadata = {name: value for name, value in document["metadata"].items() if name != "timestamp"}
    metadata["component"] |= {
        "type": "application",
        "version": version,
        "purl": f"pkg:pypi/{NAME}@{version}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    complete = document | {"metadata": metadata}
    del complete["serialNumber"]
    content = json.dumps(complete, sort_keys=True)
    return {"serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, content)}"} | complete


def main(arguments: list[str]) -> int:
    """Write the list."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tools.checks.sbom FILE\n")
        return 2
    path = Path(arguments[0])
    document = describe(read_lock(), __version__)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {len(document['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
