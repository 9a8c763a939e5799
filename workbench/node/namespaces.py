"""Stepping into the network of another process, for a while."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CLONE_NEWNET: Final = 0x40000000

__all__ = ["enter_network_of", "network_of"]


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Be in the network namespace of a process: this thread, and the threads and processes that it starts meanwhile."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_network_of(pid)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def enter_network_of(pid: int) -> None:
    """Go into the network namespace of a process, for good."""
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
    finally:
        os.close(there)


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter the network namespace: {os.strerror(number)}")
