"""The images that the node's pods run: the operator, the simulator, and pause; built by buildah, without a daemon.

The base is the one that the Dockerfile names. Where no registry can be reached, Debian's own packages stand in for it:
the same Python minor version, in another place of the file system. What the machine needs to reach its package index
(certificates, pip's configuration) is mounted while a step runs, so it is in no layer and in no file of the project.

An image is kept as an archive, under a name that has the hash of all that goes into it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workbench.caches import cache_root
from workbench.kube.go_build import BuildFailed
from workbench.kube.resources import ROOT
from workbench.node.stand_in import make_stand_in, stand_in_recipe

OPERATOR: Final = "docker.io/library/vault-autoupdate:ci"
SIMULATOR: Final = "docker.io/library/asr-simulator:ci"
PAUSE: Final = "registry.k8s.io/pause:3.10.1"

_STAND_IN: Final = "localhost/python-from-debian:3.13"
_REGISTRY: Final = "registry"
_DEBIAN: Final = "debian"
_PLATFORMS: Final = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_KEPT: Final = 4
_PULL_SECONDS: Final = 120
_TRUST: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP: Final = Path("/etc/pip.conf")

__all__ = ["OPERATOR", "PAUSE", "SIMULATOR", "Images", "build_images", "build_layout", "find_images"]


@dataclass(frozen=True)
class Images:
    """Archives that containerd can import, and where their base is from."""

    operator: Path
    simulator: Path
    pause: Path
    base: str
    """``registry`` for the base that the Dockerfile names, ``debian`` for the one that stands in for it."""

    @property
    def archives(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.pause, self.operator, self.simulator)

    @property
    def complete(self) -> bool:
        """Whether all are there."""
        return all(path.exists() for path in self.archives)


def _image_cache() -> Path:
    """The directory of the archives."""
    return cache_root("images")


def find_images(pause: Path) -> Images | None:
    """The images of this checkout, if they are built already; those on the real base before those on the other one."""
    sets = (_image_set(base, pause) for base in _wanted_bases())
    return next((images for images in sets if images.complete), None)


def build_images(pause: Path) -> Images:
    """Build what is missing and return all images. ``pause`` is that program.

    Raises:
        BuildFailed: a step failed; the message has the end of what it said.
    """
    if found := find_images(pause):
        return found
    cache = _image_cache()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as scratch:
        buildah = _Buildah(Path(scratch))
        base = _load_base(buildah)
        images = _image_set(base, pause)
        reference = () if base == _REGISTRY else ("--build-arg", f"BASE={_STAND_IN}")
        for archive, tag, dockerfile in (
            (images.operator, OPERATOR, ROOT / "Dockerfile"),
            (images.simulator, SIMULATOR, ROOT / "simulator" / "Dockerfile"),
        ):
            if not archive.exists():
                _say(f"building {tag}")
                ignored = dockerfile.with_name("Dockerfile.dockerignore")
                ignored = ignored if ignored.exists() else ROOT / ".dockerignore"
                buildah.build(ROOT, tag, "--file", dockerfile, "--ignorefile", ignored, *reference)
                buildah.save(tag, archive)
        if not images.pause.exists():
            buildah.build(_pause_context(Path(scratch), pause), PAUSE)
            buildah.save(PAUSE, images.pause)
    for archive in (images.operator, images.simulator):
        _forget_old_ones(archive)
    return images


def _forget_old_ones(archive: Path) -> None:
    """Keep the newest archives of an image: each change makes another one, of hundreds of megabytes."""
    kind = archive.name.rpartition("-")[0]
    for old in sorted(archive.parent.glob(f"{kind}-*.tar"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        old.unlink(missing_ok=True)


def build_layout(context: Path, layout: Path, tag: str) -> tuple[list[str], str]:
    """Build the operator's image for all platforms that can be built for here, as an OCI layout under ``layout``.

    Returns the platforms, and where the base is from. One that is not this machine's needs the base from its registry,
    and the kernel's help (binfmt_misc) to run its programs.

    Raises:
        BuildFailed: a step failed.
    """
    cache = _image_cache()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as scratch:
        buildah = _Buildah(Path(scratch))
        base = _load_base(buildah)
        platforms = [_PLATFORMS[platform.machine()]]
        if base == _REGISTRY:
            emulated = Path("/proc/sys/fs/binfmt_misc")
            platforms += [
                name
                for machine, name in _PLATFORMS.items()
                if name not in platforms and (emulated / f"qemu-{machine}").exists()
            ]
        buildah.build_for(platforms, context, tag, [] if base == _REGISTRY else ["--build-arg", f"BASE={_STAND_IN}"])
        buildah.save_layout(tag, layout)
    return platforms, base


def _operator_key(base: str) -> str:
    """The hash of all that goes into the operator's image."""
    names = ("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock", "README.md", "LICENSE", "tools/uv.txt")
    files = [ROOT / name for name in (*names, "simulator/pyproject.toml")]
    return _hash([*files, *_sources(ROOT / "operator")], _base_key(base))


def _simulator_key(base: str) -> str:
    files = [ROOT / name for name in ("pyproject.toml", "uv.lock", "tools/uv.txt")]
    return _hash([*files, *_sources(ROOT / "simulator")], _base_key(base))


def _base_key(base: str) -> str:
    return base if base == _REGISTRY else f"{base} {stand_in_recipe()}"  # the Dockerfile names the other one


def _sources(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _hash(files: Iterable[Path], *more: str) -> str:
    digest = hashlib.sha256("\n".join(more).encode())
    for path in files:
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_mode & 0o111}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _image_set(base: str, pause: Path) -> Images:
    cache = _image_cache()
    pause_key = hashlib.sha256(pause.read_bytes()).hexdigest()[:16]
    return Images(
        cache / f"vault-autoupdate-{base}-{_operator_key(base)}.tar",
        cache / f"asr-simulator-{base}-{_simulator_key(base)}.tar",
        cache / f"pause-{pause_key}.tar",
        base,
    )


def _wanted_bases() -> Sequence[str]:
    wanted = os.environ.get("VAULT_AUTOUPDATE_BASE_FROM", "")
    if wanted not in {"", _REGISTRY, _DEBIAN}:
        raise BuildFailed(f"VAULT_AUTOUPDATE_BASE_FROM is {wanted!r}: it may be {_REGISTRY}, {_DEBIAN}, or not be set")
    return (wanted,) if wanted else (_REGISTRY, _DEBIAN)


def _load_base(buildah: _Buildah) -> str:
    """Get the base into the storage: the real one if that can be had, and return which it is."""
    wanted = _wanted_bases()
    if _REGISTRY in wanted:
        reference = _base_reference()
        _say(f"pulling {reference}")
        if (problem := buildah.pull(reference)) is None:
            return _REGISTRY
        if _DEBIAN not in wanted:
            raise BuildFailed(f"the base image cannot be pulled: {problem}")
        _say(f"it cannot be pulled ({problem}): Debian's packages stand in for it")
    root = make_stand_in(_image_cache())
    context = buildah.scratch / "base"
    context.mkdir()
    os.link(root, context / "base.tar")
    (context / "Dockerfile").write_text('FROM scratch\nADD base.tar /\nENV LANG=C.UTF-8\nCMD ["python3"]\n')
    buildah.build(context, _STAND_IN)
    return _DEBIAN


def _base_reference() -> str:
    """What the Dockerfile names as its base."""
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ARG BASE="))
    return line.removeprefix("ARG BASE=")


def _pause_context(scratch: Path, pause: Path) -> Path:
    context = scratch / "pause"
    context.mkdir()
    shutil.copy(pause, context / "pause")
    (context / "Dockerfile").write_text('FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n')
    return context


@dataclass(frozen=True)
class _Buildah:
    """buildah with a storage of its own, each command in a mount namespace: its mounts go with it."""

    scratch: Path

    def pull(self, reference: str) -> str | None:
        """Pull an image; returns what went wrong, if anything did."""
        try:
            done = self._run("pull", "--quiet", reference, timeout=_PULL_SECONDS)
        except subprocess.TimeoutExpired:
            return f"no answer within {_PULL_SECONDS} s"
        return None if done.returncode == 0 else _last_line(done.stderr)

    def build(self, context: Path, tag: str, *options: str | Path) -> None:
        """Build an image from what is in the storage already."""
        with self._host_access() as access:
            self._must(
                "bud", "--isolation=chroot", "--pull-never", "--network=host", "--layers=false", "--format=docker",
                "--quiet", *access, "--tag", tag, *options, context,
            )  # fmt: skip

    def build_for(self, platforms: Sequence[str], context: Path, name: str, options: Sequence[str]) -> None:
        """Build an image for each platform, and a list of them under ``name``."""
        with self._host_access() as access:
            self._must(
                "bud", "--isolation=chroot", "--network=host", "--layers=false", "--format=oci", "--quiet", *access,
                *(["--pull-never"] if len(platforms) == 1 else []), f"--platform={','.join(platforms)}",
                "--manifest", name, *options, context,
            )  # fmt: skip

    def save_layout(self, name: str, layout: Path) -> None:
        """Write a list of images as an OCI layout."""
        self._must("manifest", "push", "--quiet", "--all", name, f"oci:{layout}:{name}")

    def save(self, tag: str, archive: Path) -> None:
        """Write an image to an archive, which is there as a whole or not at all."""
        partial = self.scratch / archive.name
        self._must("push", "--quiet", tag, f"docker-archive:{partial}:{tag}")
        partial.rename(archive)

    @contextmanager
    def _host_access(self) -> Iterator[list[str]]:
        """What a step needs to reach the package index as this machine does, mounted so that no layer has it."""
        uv = self.scratch / "uv"
        uv.mkdir(exist_ok=True)
        (uv / "uv.toml").write_text("native-tls = true\n")
        mounts = [(uv, "/etc/uv")] + [(path, str(path)) for path in (_TRUST, _PIP) if path.exists()]
        yield [f"--volume={source}:{target}:ro" for source, target in mounts]

    def _must(self, *arguments: str | Path) -> None:
        done = self._run(*arguments)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise BuildFailed(f"buildah {arguments[0]} failed:\n{tail}")

    def _run(self, *arguments: str | Path, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        storage = ("--root", str(self.scratch / "store"), "--runroot", str(self.scratch / "run"))
        command = ["unshare", "--mount", "--propagation=private", "buildah", *storage, *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=timeout
        )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1][:200]


def _say(text: str) -> None:
    print(f"images: {text}", flush=True)  # noqa: T201 - a command line program
