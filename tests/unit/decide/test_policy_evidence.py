from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.builders import NOW
from tests.unit.decide.policy_builders import policy_of, vault_of
from vault_autoupdate.decide.policy_evidence import Evidence, Finding, is_fresh, is_proved, learn
from vault_autoupdate.model.estate import Look, Verdict

_SPEC = policy_of(vaultSelector={"matchTags": {"dr": ["gold"]}}).spec
_GONE = Look(NOW, Verdict.GONE)
_LEFT = Look(NOW, Verdict.THERE, vault_of())
_MEANT = Look(NOW, Verdict.THERE, vault_of(dr="gold"))
_LOST = Look(NOW, Verdict.UNREACHABLE)


def _learn(*looks: tuple[int, Look]) -> Evidence | None:
    """What is known of a vault after looks, each so many minutes after `NOW`."""
    known: dict[str, Evidence] = {}
    for minutes, look in looks:
        at = NOW + timedelta(minutes=minutes)
        known = learn(known, {"v": Look(at, look.verdict, look.vault)}, _SPEC)
    return known.get("v")


@pytest.mark.parametrize(
    ("looks", "proved"),
    [
        ([(0, _GONE)], False),
        ([(0, _GONE), (59, _GONE)], False),
        ([(0, _GONE), (60, _GONE)], True),
        ([(0, _LEFT), (60, _LEFT)], True),
        ([(0, _GONE), (30, _LOST), (60, _GONE)], True),
        ([(0, _LOST), (60, _LOST)], False),
        ([(0, _GONE), (60, _LOST)], False),
        ([(0, _GONE), (30, _MEANT), (60, _GONE)], False),
        ([(0, _LEFT), (60, _GONE)], False),
        ([(0, _MEANT), (60, _MEANT)], False),
    ],
)
def test_two_looks_an_hour_apart_that_say_the_same_prove_it(looks: list[tuple[int, Look]], proved: bool) -> None:
    assert is_proved(_learn(*looks)) is proved


def test_what_was_found_is_said_in_words() -> None:
    gone, left = _learn((0, _GONE)), _learn((0, _LEFT))

    assert gone
    assert left
    assert (gone.finding, gone.why) == (Finding.GONE, "the vault was deleted")
    assert (left.finding, left.why) == (Finding.LEFT, "spec.vaultSelector does not select it")


def test_a_look_is_fresh_if_it_is_the_latest_and_has_seen_something() -> None:
    evidence = Evidence(Finding.GONE, NOW, NOW, "")

    assert is_fresh(evidence, _GONE)
    assert not is_fresh(evidence, None)
    assert not is_fresh(evidence, _LOST)
    assert not is_fresh(None, _GONE)
    assert not is_fresh(evidence, Look(NOW - timedelta(minutes=1), Verdict.GONE))


def test_evidence_keeps_the_first_and_the_latest_look_that_said_the_same_and_its_last_words() -> None:
    hour = timedelta(hours=1)
    known = {"v": Evidence(Finding.LEFT, NOW, NOW + hour, "old words"), "other": Evidence(Finding.GONE, NOW, NOW, "x")}
    words = "spec.vaultSelector does not select it"

    later = learn(known, {"v": Look(NOW + 2 * hour, Verdict.THERE, vault_of())}, _SPEC)
    earlier = learn(known, {"v": Look(NOW, Verdict.THERE, vault_of())}, _SPEC)
    other = learn(known, {"v": Look(NOW + 2 * hour, Verdict.GONE)}, _SPEC)

    assert later == known | {"v": Evidence(Finding.LEFT, NOW, NOW + 2 * hour, words)}
    assert earlier == known | {"v": Evidence(Finding.LEFT, NOW, NOW + hour, words)}
    assert other == known | {"v": Evidence(Finding.GONE, NOW + 2 * hour, NOW + 2 * hour, "the vault was deleted")}
    assert learn(known, {"v": _MEANT}, _SPEC) == {"other": known["other"]}
    assert learn(known, {"v": _LOST}, _SPEC) == learn(known, {"v": Look(NOW, Verdict.THERE)}, _SPEC) | {"v": known["v"]}
    assert learn({}, {"v": _MEANT}, _SPEC) == {}
    assert list(learn({}, {"lost": _LOST, "v": _GONE}, _SPEC)) == ["v"]


def test_that_a_vault_replicates_nothing_proves_nothing() -> None:
    spec = policy_of(vaultSelector={"replication": "Present"}).spec
    idle = replace(vault_of(), replicates=False)

    assert learn({}, {"v": Look(NOW, Verdict.THERE, idle)}, spec) == {}
