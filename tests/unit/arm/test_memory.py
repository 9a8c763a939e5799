"""What an answer is worth in memory at the most, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit.arm_server import Exchange, open_server

_MIB = 1024 * 1024
_READER = """
import sys
from pathlib import Path
from azure.core.credentials import AccessToken
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.session import ArmCall, ArmSession
from vault_autoupdate.model.errors import AzureError

class Credential:
    def get_token(self, *scopes, **options):
        return AccessToken("token", 4070908800)

session = ArmSession(endpoint=sys.argv[1], api_version="1", tokens=TokenSource(Credential, "https://a"), timeout=50)
def peak():  # of this program alone: ru_maxrss is inherited from the one that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])

before = peak()
try:
    session.send(ArmCall("GET", "/x", "run/call")).document()
    said = "read"
except AzureError as error:
    said = str(error)
print(peak() - before, said)
"""


def _peak(answer: Callable[[Exchange], None]) -> tuple[int, str]:
    """MiB that a process grows by while it reads an answer, and what it says of it."""
    with open_server() as arm:
        arm.answer = answer
        command = [sys.executable, "-P", "-c", _READER, arm.url]
        printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    kib, _, said = printed.partition(" ")
    return int(kib) // 1024, said


def _page(unit: bytes, size: int) -> Callable[[Exchange], None]:
    body = b'{"value":[' + unit * (size // len(unit)) + b"0]}"

    def answer(exchange: Exchange) -> None:
        try:
            exchange.reply(200, body)
        except OSError:
            exchange.close_connection = True  # the reader has had enough

    return answer


@pytest.mark.parametrize("unit", [b"{},", b'{"a":1},', b'"ab",'], ids=["objects", "fields", "texts"])
@pytest.mark.parametrize("size", [15, 63])
def test_an_answer_takes_no_more_memory_than_a_page_may(unit: bytes, size: int) -> None:
    """63 MiB of ``{}`` took 1.8 GiB."""
    peak, said = _peak(_page(unit, size * _MIB))

    assert peak < 64
    assert "too large" in said or "parts, which no list of it has" in said


def test_the_largest_page_that_is_read_fits_into_the_memory_of_a_pod() -> None:
    """As many parts as are read at all, each as dear as any can be."""
    peak, said = _peak(_page(b'{"a":{}},', 9 * 160_000))

    assert said.strip() == "read"
    assert peak < 128
