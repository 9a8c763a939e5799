"""A fixed piece of work, to say how much processor time something takes without saying on which machine.

It is of the kind that the operator does: JSON read and written, dictionaries compared, text searched.
"""

from __future__ import annotations

import json
import re
import time
from statistics import median
from typing import Final

_ENTRY: Final = {
    "id": "/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/rg/providers/Microsoft/vaults/vault",
    "conditions": [{"type": f"Type{n}", "status": "True", "reason": "Reason", "message": "m" * 80} for n in range(6)],
    "counts": {str(n): n for n in range(20)},
}
_WORD: Final = re.compile(r"[A-Z]\w+")
_ROUNDS: Final = 60

__all__ = ["Yardstick"]


class Yardstick:
    """Does the piece of work now and then while something else is measured, so that both meet the same machine."""

    def __init__(self) -> None:
        self._took: list[float] = []

    def measure(self) -> None:
        """Do it once more: some milliseconds."""
        self._took.append(_run())

    @property
    def seconds(self) -> float:
        """Processor seconds that it took: the median."""
        return median(self._took)


def _run() -> float:
    began = time.process_time()
    for n in range(_ROUNDS):
        text = json.dumps({**_ENTRY, "n": n})
        entry = json.loads(text)
        entry["conditions"] = [dict(each, message=each["message"].upper()) for each in entry["conditions"]]
        if entry == _ENTRY or len(_WORD.findall(text)) == 0:
            raise AssertionError("the piece of work is not done")
    return time.process_time() - began
