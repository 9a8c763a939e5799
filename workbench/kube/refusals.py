"""What kubectl prints when the API server refuses a manifest."""

from __future__ import annotations

from typing import Final

from workbench.kube.kubectl import Result

NO_DURATIONS: Final = (
    "", "1", "soon", "5 m", "-5m", "1d", "1.h", ".5h", "1h garbage", "PT5M", "99999999999h", "5M",
)  # fmt: skip
"""Texts that are not durations."""
UNCHECKED: Final = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation"
)
"""The API server's own second line when the form is so wrong that it did not look at the content."""

__all__ = ["NO_DURATIONS", "UNCHECKED", "problems_of"]


def problems_of(refusal: Result, name: str = "dr-weu", kind: str = "VaultAutoUpdate") -> list[str]:
    """What kubectl lists under "is invalid": one on the same line, or several below."""
    head = f'The {kind} "{name}" is invalid: '
    assert refusal.stderr.startswith(head), refusal.stderr
    return [line.removeprefix("* ") for line in refusal.stderr.removeprefix(head).strip().splitlines()]
