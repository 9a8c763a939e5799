"""Free loopback ports for servers that have to be told their port."""

from __future__ import annotations

import random
import socket
from typing import Final

_RANGE: Final = range(20_000, 30_000)

__all__ = ["free_ports"]


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports of 127.0.0.1 that nobody listens on at the moment.

    They are drawn from below the range that the kernel takes the ports of outgoing connections from. So a server
    that is stopped and started again finds its port free, and parallel test workers, who each draw from ten
    thousand, hardly ever meet; who starts a server still has to be ready to try another port.
    """
    generator = random.SystemRandom()
    ports: list[int] = []
    while len(ports) < count:
        port = generator.choice(_RANGE)
        if port not in ports and _is_free(port):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
