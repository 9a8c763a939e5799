"""The values that a status is made of."""

from __future__ import annotations

import json

from vault_autoupdate.report.values import fitting

ENTRIES = [{"mapping": "ä" * n} for n in range(1, 6)]


def test_what_fills_the_room_to_the_last_byte_fits() -> None:
    room = sum(len(json.dumps(entry, ensure_ascii=False).encode()) for entry in ENTRIES[:3])

    assert fitting(ENTRIES, 10, room) == ENTRIES[:3]
    assert fitting(ENTRIES, 10, room - 1) == ENTRIES[:2]


def test_no_more_entries_are_taken_than_asked_for() -> None:
    assert fitting(ENTRIES, 2, 10_000) == ENTRIES[:2]
    assert fitting(iter(ENTRIES), 10, 10_000) == ENTRIES
