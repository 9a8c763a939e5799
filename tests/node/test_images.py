"""The images: what is in them, and what of the machine that built them is not."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from workbench.node.node import Node

_OF_THE_MACHINE = ("etc/uv/", "etc/pip.conf", "etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt", "root/.c")


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[dict[str, Any], list[tarfile.TarFile]]]:
    """The configuration of an image, and its layers from the bottom up."""
    with ExitStack() as stack:
        image = stack.enter_context(tarfile.open(archive))
        (manifest,) = json.load(_file(image, "manifest.json"))
        layers = [stack.enter_context(tarfile.open(fileobj=_file(image, name))) for name in manifest["Layers"]]
        yield json.load(_file(image, manifest["Config"])), layers


def _file(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["operator", "simulator"])
def test_nothing_of_the_machine_is_in_a_layer_above_the_base(node: Node, name: str) -> None:
    """Where something was mounted while a step ran, there is an empty place for it."""
    with _opened(getattr(node.images, name)) as (_, (_, *layers)):
        assert layers
        left = [member for layer in layers for member in layer.getmembers() if member.name.startswith(_OF_THE_MACHINE)]
        assert [member.name for member in left if member.size] == []


def test_the_operator_is_the_only_program_and_nobody_is_root(node: Node) -> None:
    with _opened(node.images.operator) as (configuration, layers):
        told = configuration["config"]
        assert (told["Entrypoint"], told["Cmd"], told["User"]) == (["vault-autoupdate"], ["run"], "65532:65532")
        assert "USER=vault-autoupdate" in told["Env"]
        names = {name for layer in layers for name in layer.getnames()}
        assert not [name for name in names if name.endswith(("/bin/uv", "/bin/gcc"))]


def test_the_standard_library_is_compiled(node: Node) -> None:
    """Else each start in a read-only file system compiles it anew."""
    with _opened(node.images.operator) as (_, layers):
        names = {name for layer in layers for name in layer.getnames()}
        sources = [name for name in names if name.endswith(("/asyncio/base_events.py", "/json/decoder.py"))]
        assert sources
        for source in sources:
            directory, _, module = source.rpartition("/")
            compiled = f"{directory}/__pycache__/{module.removesuffix('.py')}.cpython-313.pyc"
            assert compiled in names
