from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.decide.plan import Action, Decision, Plan, make_plan
from vault_autoupdate.decide.way_back import Recorded, Step, steps_back, to_put_back
from vault_autoupdate.model.arm_id import parse_automation_account_id
from vault_autoupdate.model.azure import AUTHENTICATION, PROVIDER, ContainerMapping
from vault_autoupdate.model.resource import AutoUpdate, Goal

NOW = datetime(2026, 11, 28, tzinfo=UTC)
GROUP = "/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10/resourceGroups/rg/providers/Microsoft.Automation"
ACCOUNTS = [parse_automation_account_id(f"{GROUP}/automationAccounts/{name}") for name in ("one", "two")]
SETTINGS = [("Disabled", None), *(("Enabled", account) for account in ACCOUNTS)]


def _mapping(number: int, status: str, account: str = "") -> ContainerMapping:
    authentication = AUTHENTICATION if account else ""
    return ContainerMapping(f"/m/{number}", str(number), "Paired", PROVIDER, status, account, authentication)


def test_mappings_with_one_setting_are_one_step_whatever_the_letter_case() -> None:
    other_case = parse_automation_account_id(ACCOUNTS[0].text.upper().replace("/SUBSCRIPTIONS", "/subscriptions"))
    steps = steps_back(
        [
            Recorded("a", "a", "Enabled", ACCOUNTS[0]),
            Recorded("b", "b", "enabled", other_case),
            Recorded("c", "c", "DISABLED"),
            Recorded("d", "d", "Enabled", ACCOUNTS[1]),
        ]
    )
    assert [(step.goal, set(step.keys)) for step in steps] == [
        (Goal(AutoUpdate.ENABLED, ACCOUNTS[0]), {"a", "b"}),
        (Goal(AutoUpdate.DISABLED), {"c"}),
        (Goal(AutoUpdate.ENABLED, ACCOUNTS[1]), {"d"}),
    ]


def test_what_had_no_setting_or_one_that_cannot_be_given_is_left_alone() -> None:
    not_to_give = [Recorded("a", "a", ""), Recorded("b", "b", "Enabled"), Recorded("c", "c", "Later")]

    assert steps_back(not_to_give) == []
    assert steps_back([*not_to_give, Recorded("d", "d", "Disabled")]) == [
        Step(Goal(AutoUpdate.DISABLED), frozenset({"d"}))
    ]


def test_what_is_as_it_was_is_not_touched_even_where_it_is_unhealthy() -> None:
    decisions = [Decision(_mapping(number, "Enabled"), action, "", None) for number, action in enumerate(Action)]
    wanted = {each.key for each in decisions if each.action in {Action.PATCH, Action.TRACK}}
    assert to_put_back(Plan(tuple(decisions))) == wanted
    assert len(wanted) == 2


@given(st.lists(st.tuples(st.sampled_from(SETTINGS), st.sampled_from(SETTINGS)), max_size=8))
def test_each_mapping_that_differs_is_put_back_by_exactly_one_step_and_no_other_is(
    pairs: list[tuple[tuple[str, object], tuple[str, object]]],
) -> None:
    """For whatever they had and whatever they have."""
    now = [_mapping(number, status, str(account or "")) for number, (_, (status, account)) in enumerate(pairs)]
    recorded = [
        Recorded(mapping.key, mapping.name, status, account)  # type: ignore[arg-type]  # of SETTINGS
        for mapping, ((status, account), _) in zip(now, pairs, strict=True)
    ]
    put_back = [
        key
        for step in steps_back(recorded)
        for key in to_put_back(
            make_plan(step.goal, [each for each in now if step.includes(each)], running={}, attempts={}, now=NOW)
        )
    ]
    assert sorted(put_back) == [mapping.key for mapping, (then, today) in zip(now, pairs, strict=True) if then != today]
