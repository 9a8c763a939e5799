"""The values that a status is made of."""

from __future__ import annotations

import json

from tests.sample_status import full_status
from vault_autoupdate.report.values import compact, fitting

ENTRIES = [{"mapping": "ä" * n} for n in range(1, 6)]


def test_what_fills_the_room_to_the_last_byte_fits() -> None:
    room = sum(len(json.dumps(entry, ensure_ascii=False).encode()) for entry in ENTRIES[:3])

    assert fitting(ENTRIES, 10, room) == ENTRIES[:3]
    assert fitting(ENTRIES, 10, room - 1) == ENTRIES[:2]


def test_no_more_entries_are_taken_than_asked_for() -> None:
    assert fitting(ENTRIES, 2, 10_000) == ENTRIES[:2]
    assert fitting(iter(ENTRIES), 10, 10_000) == ENTRIES


def test_a_compact_document_says_the_same_and_shares_its_words_with_others() -> None:
    text = json.dumps({**full_status(), "note": "long texts are left as they are"})
    first, second = (compact(json.loads(text)) for _ in range(2))

    assert first == second == json.loads(text)
    for one, other in zip(first, second, strict=True):
        assert one is other
    assert first["conditions"][0]["status"] is second["conditions"][0]["status"]
