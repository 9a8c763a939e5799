"""Where the mappings of a vault stand: a table by their ids, which keeps each part of an id once."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import VAULT, mapping_id_of
from vault_autoupdate.decide.plan import Action
from vault_autoupdate.decide.standings import Standings
from vault_autoupdate.model.arm_id import fold

ACTIONS = st.sampled_from(Action)
KEYS = st.sampled_from(
    [
        *(fold(mapping_id_of(name, fabric=fabric)) for name in "ab" for fabric in ("eastus", "westus")),
        *(f"{VAULT.key}{end}" for end in ("", "2/replicationfabrics/eastus", "/replicationfabrics", "/machines/a")),
        "/replicationfabrics/eastus",
        "a",
    ]
)


@given(st.lists(st.tuples(KEYS, st.none() | ACTIONS)), st.lists(st.tuples(KEYS, ACTIONS)))
def test_it_holds_what_was_put_in_whatever_the_ids_look_like(
    changes: list[tuple[str, Action | None]], first: list[tuple[str, Action]]
) -> None:
    standings, expected = Standings(first), dict(first)

    for key, action in changes:
        if action is None:
            assert standings.pop(key, None) is expected.pop(key, None)
        else:
            standings[key] = expected[key] = action

    assert standings == expected
    assert sorted(standings.values()) == sorted(expected.values())


def test_of_another_vault_whose_mappings_have_the_same_names_little_is_kept() -> None:
    def standings_of(number: int) -> Standings:
        ids = (mapping_id_of(f"eastus-westus-{each}").replace("/dr/", f"/dr{number}/") for each in range(20))
        return Standings((fold(each), Action.KEEP) for each in ids)

    kept = [standings_of(0)]
    tracemalloc.start()
    try:
        kept.extend(standings_of(number) for number in range(1, 101))
        bytes_each = tracemalloc.get_traced_memory()[0] / 100
    finally:
        tracemalloc.stop()

    assert len(kept) == 101
    assert bytes_each < 2000
