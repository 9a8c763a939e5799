"""Resource definitions of Flux and Argo CD, as their makers publish them in modules of Go.

They are fetched by ``go mod download`` into Go's own cache, of a pinned version and checksum, so nothing of them is
kept here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workbench.ci import skip_unless_in_ci

_NEEDS: Final = "needs the definitions of Flux and Argo CD from Go's module proxy"

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True)
class Published:
    """A file within a module."""

    module: str
    version: str
    checksum: str
    """Of the module, as ``go.sum`` would have it."""
    file: str

    def fetch(self, folder: Path) -> Path:
        """The file, in Go's cache. Skips the test where there is no Go or no proxy of it, but in CI fails it."""
        if (go := shutil.which("go")) is None:
            skip_unless_in_ci(f"{_NEEDS}: no Go")
        done = subprocess.run(
            [go, "mod", "download", "-json", f"{self.module}@{self.version}"],
            cwd=folder, env=os.environ | {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout or "{}")
        if done.returncode:
            skip_unless_in_ci(f"{_NEEDS}: {self.module} cannot be fetched: {answer.get('Error', done.stderr)}")
        assert answer["Sum"] == self.checksum
        return Path(answer["Dir"]) / self.file


PUBLISHED: Final = (
    Published(
        "github.com/fluxcd/helm-controller",
        "v1.4.3",
        "h1:449LcGJXLCylvrNCq8ycevwa5mxE1Mn9vxTwlsj/no8=",
        "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
    ),
    Published(
        "github.com/fluxcd/source-controller",
        "v1.7.3",
        "h1:gFfeBiNUgF0kFFGap/rrMeJqz+0Tod0ARENJO8w/UA8=",
        "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
    ),
    Published(
        "github.com/argoproj/argo-cd/v3",
        "v3.5.7",
        "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
        "manifests/crds/application-crd.yaml",
    ),
)
