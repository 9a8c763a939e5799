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
_RUNS: Final = 7

__all__ = ["yardstick_seconds"]


def yardstick_seconds() -> float:
    """Processor seconds that the piece of work takes here and now: the median of several runs."""
    return median(_run() for _ in range(_RUNS))


def _run() -> float:
    began = time.process_time()
    for n in range(_ROUNDS):
        text = json.dumps({**_ENTRY, "n": n})
        entry = json.loads(text)
        entry["conditions"] = [dict(each, message=each["message"].upper()) for each in entry["conditions"]]
        if entry == _ENTRY or len(_WORD.findall(text)) == 0:
            raise AssertionError("the piece of work is not done")
    return time.process_time() - began
