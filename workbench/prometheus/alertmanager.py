"""amtool, which reads a configuration of Alertmanager and routes alerts by it as Alertmanager does.

``python -m workbench.prometheus.alertmanager`` builds it once, into a cache that is keyed by what is pinned. AMTOOL
names one that is there already. Alertmanager itself cannot be built of its Go module, which lacks its user interface.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from workbench.caches import cache_of, pinned_version
from workbench.ci import skip_unless_in_ci
from workbench.kube.go_build import BuildFailed, GoBuild, GoProgram

_MODULE: Final = Path(__file__).resolve().parents[1] / "go" / "alertmanager"
_PACKAGE: Final = "github.com/prometheus/alertmanager"
_BUILD: Final = GoBuild("alertmanager", instead="set AMTOOL to the program, which is part of Alertmanager's releases")

__all__ = ["build", "require_amtool", "run_amtool"]


def _built() -> Path:
    """Where the program belongs that is built of what is pinned now."""
    sources = (_MODULE / "go.mod", _MODULE / "go.sum")
    return cache_of("alertmanager", sources, pinned_version(_MODULE, _PACKAGE)) / "amtool"


def build() -> Path:
    """Return amtool, after building it if it is not there yet. Raises `BuildFailed`."""
    program = GoProgram("amtool", f"{_PACKAGE}/cmd/amtool", _MODULE)
    _BUILD.into(_built().parent, [program], "a minute of processor time, and 1 GB in the caches of Go")
    return _built()


def require_amtool() -> str:
    """Path of amtool; skips the test where there is none, and fails it in CI."""
    found = os.environ.get("AMTOOL") or str(_built())
    if not os.access(found, os.X_OK):
        how = "run `python -m workbench.prometheus.alertmanager` once (needs Go), or set AMTOOL to the program"
        skip_unless_in_ci(f"needs amtool: {how}")
    return found


def run_amtool(amtool: str, *arguments: str | Path) -> str:
    """What amtool says. Raises `CalledProcessError` where it is not content."""
    ended = subprocess.run([amtool, *map(str, arguments)], capture_output=True, text=True, check=True)
    return ended.stdout


if __name__ == "__main__":
    try:
        _BUILD.say(f"amtool is {build()}")
    except BuildFailed as error:
        _BUILD.say(str(error))
        sys.exit(1)
