"""What a test does where something that it needs is missing on this machine."""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

IN_CI: Final = os.environ.get("CI", "").lower() == "true"

__all__ = ["IN_CI", "skip_unless_in_ci"]


def skip_unless_in_ci(reason: str) -> NoReturn:
    """Skip the test that runs, and say why; in CI fail it, since there nobody would see that it never runs."""
    if IN_CI:
        pytest.fail(f"in CI this test must not be skipped: {reason}")
    pytest.skip(reason)
