"""What is made of a journal: who owned a vault, what was wished for it, which jobs the log tells of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from tests.chaos.accounting import Goal, Wish
from tests.chaos.journal import ResourceNote
from tests.chaos.verdict import concluded, owner_of, wishes_of

ON, OFF = Goal("Enabled", "/account"), Goal("Disabled")


def _body(name: str, created: int, **spec: Any) -> dict[str, Any]:
    fields = {
        "vaultResourceId": "/vault",
        "autoUpdate": "Enabled",
        "automationAccountResourceId": "/Account",
        "deletionPolicy": "Retain",
        "suspend": False,
        **spec,
    }
    metadata = {"name": name, "uid": f"uid-{name}", "creationTimestamp": f"2026-01-01T00:00:{created:02}Z"}
    return {"metadata": metadata, "spec": fields}


def _wishes(*notes: tuple[float, Literal["declared", "deleted"], dict[str, Any]]) -> list[Wish]:
    return list(wishes_of([ResourceNote(*note) for note in notes], "/vault"))


def test_the_oldest_owns_a_vault_and_of_two_of_one_second_the_first_by_name() -> None:
    assert owner_of([_body("b", 2), _body("c", 1), _body("a", 2)]) == _body("c", 1)
    assert owner_of([_body("b", 2), _body("a", 2)]) == _body("a", 2)
    assert owner_of([]) is None


def test_what_is_wished_is_what_the_oldest_says_and_when_it_goes_what_the_next_one_says() -> None:
    first, second = _body("a", 1), _body("b", 2, autoUpdate="Disabled")
    assert _wishes(
        (1, "declared", first),
        (2, "declared", second),
        (3, "declared", _body("other", 0, vaultResourceId="/another")),
        (4, "deleted", first),
        (5, "deleted", second),
    ) == [Wish(1, ON), Wish(2, ON), Wish(4, OFF), Wish(5, None)]


def test_deletion_with_disable_is_a_wish_unless_somebody_else_has_the_vault_or_it_is_suspended() -> None:
    going = _body("a", 1, deletionPolicy="Disable")
    assert _wishes((1, "declared", going), (2, "deleted", going))[-1] == Wish(2, OFF)
    assert _wishes((1, "declared", going), (2, "declared", _body("b", 2)), (3, "deleted", going))[-1] == Wish(3, ON)
    asleep = _body("a", 1, deletionPolicy="Disable", suspend=True)
    assert _wishes((1, "declared", asleep), (2, "deleted", asleep))[-1] == Wish(2, None)


def test_the_log_tells_which_jobs_were_seen_to_end_and_a_line_that_was_cut_off_does_not_matter(tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    lines = [
        {"message": "changing f/c/m: declared Enabled", "job": "STARTED"},
        {"message": "job succeeded", "job": "GOOD"},
        {"message": "job of f/c/m: failed: 42 no", "job": "BAD"},
    ]
    log.write_text("\n".join(map(json.dumps, lines)) + '\n{"message": "job succeeded", "job": "CU')

    assert concluded(log) == {"good", "bad"}
