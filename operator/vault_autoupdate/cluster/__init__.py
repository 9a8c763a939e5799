"""All of Kubernetes: the watch, the Lease, what is read and written."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def _without_what_is_not_used(name: str) -> None:
    """Let parts of a package be imported without all the others, which its ``__init__`` imports.

    ``kubernetes`` brings a dynamic client, streams and OAuth along, twice; kopf and we need the generated client and
    the loader of kubeconfigs. The rest is a fifth of the time that the process needs to start, see
    docs/performance.md. Whoever has imported the package before keeps it as it is.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        return
    package = sys.modules[name] = ModuleType(name)
    package.__path__, package.__spec__ = spec.submodule_search_locations, spec
    parent, _, own_name = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own_name, package)


for _name in ("kubernetes", "kubernetes.aio"):
    _without_what_is_not_used(_name)


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Let a package that is loaded meanwhile not find ``name``, which it uses if it is there, and we do not."""
    known = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # so Python is told that there is none
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known
