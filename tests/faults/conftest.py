from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.saboteur import Surroundings
from tests.unit.arm_server import ArmServer, open_server
from workbench.faults.model import Elsewhere
from workbench.kube.certificates import Authority


@pytest.fixture(scope="module")
def listener() -> Iterator[ArmServer]:
    """Another host: whatever it is asked is a defect."""
    with open_server() as server:
        yield server


@pytest.fixture(scope="module")
def surroundings(listener: ArmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with ExitStack() as stack:
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        pair = Authority(tmp_path_factory.mktemp("certificates")).server("arm", ["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        untrusted = stack.enter_context(open_server(context))
        yield Surroundings(
            {
                Elsewhere.CLOSED_PORT: f"http://127.0.0.1:{closed.getsockname()[1]}",
                Elsewhere.UNKNOWN_NAME: "https://management.azure.invalid",
                Elsewhere.UNTRUSTED_CERTIFICATE: untrusted.url,
            },
            listener.url,
        )
        assert untrusted.seen == []
