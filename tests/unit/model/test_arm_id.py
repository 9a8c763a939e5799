"""ARM ids: the runbook's checks, each with a message of its own, and keys that do not know letter case."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT_ID, SUBSCRIPTION, VAULT, VAULT_ID, mapping_id_of
from vault_autoupdate.model.arm_id import (
    ArmId,
    InvalidResourceId,
    fold,
    is_below,
    is_guid,
    item_id,
    item_path,
    mapping_id,
    mapping_path,
    parse_automation_account_id,
    parse_vault_id,
)

EXAMPLE = "/subscriptions/<guid>/resourceGroups/<group>/providers/Microsoft.RecoveryServices/vaults/<name>"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dr"
START, PAIRS = "must start with /subscriptions", "must be made of pairs of names and values"
FOUR = "must have exactly four pairs of names and values"
GAPS = "must have no empty parts and no white space"
ORDER = "must name a resource group and then a provider"
GUID = "must have the subscription's GUID after /subscriptions/"
VAULT_TYPE = "must be of type Microsoft.RecoveryServices/vaults"
NAMES = "must have names of up to 90 letters, digits and -_.() that do not end with a period"

_BAD = [
    ("", START),
    ("dr", START),
    (VAULT_ID[1:], START),
    (f" {VAULT_ID}", START),
    ("/subscription/x", START),
    ("/subscriptionsx/y", START),
    ("/resourceGroups/rg/subscriptions/x", START),
    (f"https://management.azure.com{VAULT_ID}", START),
    ("/\u017fubscriptions/x", START),
    ("/subscriptions", PAIRS),
    (GROUP + "/providers", PAIRS),
    (VAULT_ID + "/", PAIRS),
    ("/subscriptions/x", f"{FOUR}, not 1"),
    (GROUP, f"{FOUR}, not 2"),
    (VAULT_ID + "/replicationFabrics/f", f"{FOUR}, not 5"),
    (VAULT_ID.replace("rg-dr", ""), GAPS),
    (VAULT_ID.replace("/vaults/dr", "/vaults/"), GAPS),
    (VAULT_ID.replace("rg-dr", "rg dr"), GAPS),
    (VAULT_ID + "\n", GAPS),
    (VAULT_ID.replace("resourceGroups", "groups"), ORDER),
    (VAULT_ID.replace("providers", "provider"), ORDER),
    (VAULT_ID.replace("resourceGroups", "resourceGroup\u017f"), ORDER),
    (VAULT_ID.replace(SUBSCRIPTION, "my-subscription"), GUID),
    (VAULT_ID.replace(SUBSCRIPTION, SUBSCRIPTION + "0"), GUID),
    (VAULT_ID.replace(SUBSCRIPTION, SUBSCRIPTION.replace("-", "")), GUID),
    (ACCOUNT_ID, VAULT_TYPE),
    (VAULT_ID.replace("/vaults/", "/vault/"), VAULT_TYPE),
    (VAULT_ID.replace("vaults/dr", "vaults/dr?x=1"), NAMES),
    (VAULT_ID.replace("vaults/dr", "vaults/dr#x"), NAMES),
    (VAULT_ID.replace("vaults/dr", "vaults/.."), NAMES),
    (VAULT_ID.replace("vaults/dr", "vaults/dr."), NAMES),
    (VAULT_ID.replace("vaults/dr", "vaults/" + "d" * 91), NAMES),
    (VAULT_ID.replace("rg-dr", "rg%2e"), NAMES),
    (VAULT_ID.replace("rg-dr", "rg;dr"), NAMES),
    (VAULT_ID.replace("rg-dr", "rg\u200bdr"), NAMES),
    (VAULT_ID.replace("rg-dr", "rg\u3164dr"), NAMES),
    (VAULT_ID.replace("rg-dr", "rg\u202edr"), NAMES),
]


@pytest.mark.parametrize(("text", "problem"), _BAD)
def test_each_check_of_a_vault_id_has_a_message_of_its_own_and_shows_what_is_expected(text: str, problem: str) -> None:
    with pytest.raises(InvalidResourceId) as refused:
        parse_vault_id(text)

    assert str(refused.value) == f"the vault id {problem}; expected {EXAMPLE}"


def test_runbook_row_validation_the_checks_come_in_the_runbooks_order() -> None:
    """Starts with /subscriptions, pairs, exactly four of them; what ARM would find out comes after these."""
    assert [
        problem.split(",")[0] for text, problem in _BAD if text in {"dr", "/subscriptions", "/subscriptions/x"}
    ] == [START, PAIRS, FOUR]


def test_an_automation_account_id_is_checked_alike() -> None:
    account = parse_automation_account_id(ACCOUNT_ID)

    assert (account.name, account.resource_group) == ("aa-dr", "rg-dr")
    with pytest.raises(
        InvalidResourceId, match=r"the automation account id must be of type Microsoft\.Automation/automationAccounts;"
    ):
        parse_automation_account_id(VAULT_ID)


def test_what_thousands_of_ids_have_in_common_is_kept_once() -> None:
    one, another = parse_vault_id(f"{VAULT_ID}-1"), parse_vault_id(f"{VAULT_ID}-2")
    assert one.subscription is another.subscription
    assert one.resource_group is another.resource_group
    assert one.provider is another.provider
    text = "".join([ACCOUNT_ID[:10], ACCOUNT_ID[10:]])
    assert parse_automation_account_id(text) is parse_automation_account_id(ACCOUNT_ID)


def test_the_parts_of_an_id() -> None:
    vault = parse_vault_id(VAULT_ID)

    assert (vault.subscription, vault.resource_group, vault.name) == (SUBSCRIPTION, "rg-dr", "dr")
    assert (vault.provider, str(vault)) == ("Microsoft.RecoveryServices/vaults", VAULT_ID)


@pytest.mark.parametrize("group", ["a", "A-1_2.(x)", "g" * 90, "größe", "資源"])
def test_names_are_what_the_resource_definition_and_azure_allow(group: str) -> None:
    assert parse_vault_id(VAULT_ID.replace("rg-dr", group)).resource_group == group


@pytest.mark.parametrize("spell", [str.upper, str.lower, str.swapcase, lambda text: text.replace("/sub", "/Sub")])
def test_letter_case_is_kept_and_does_not_matter(spell: Callable[[str], str]) -> None:
    vault = parse_vault_id(spell(VAULT_ID))

    assert vault.text == spell(VAULT_ID)
    assert vault.key == VAULT.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("stra\u00dfe", "strasse"),
        ("\u017ftore", "store"),  # a long s
        ("\u212a", "k"),  # the sign of kelvin
        ("\ufb01n", "fin"),  # a ligature
        ("gr\u00f6\u00dfe", "GR\u00d6SSE"),
        ("\u03c3", "\u03c2"),  # a sigma, and one that ends a word
    ],
)
def test_names_that_differ_in_more_than_the_case_of_a_to_z_are_two_names(one: str, other: str) -> None:
    assert one.casefold() == other.casefold()
    vault, another = (parse_vault_id(VAULT_ID.replace("rg-dr", name)) for name in (one, other))

    assert vault.key != another.key
    assert not is_below(f"{another.text}/replicationFabrics/f", vault.key)


@given(st.text(max_size=30))
def test_folding_changes_a_to_z_and_nothing_else(text: str) -> None:
    assert fold(text) == "".join(c.lower() if c.isascii() else c for c in text)
    assert fold(fold(text)) == fold(text)


_NAMES = st.from_regex(r"[A-Za-z0-9_.()-]{0,89}[A-Za-z0-9_()-]", fullmatch=True)
_IDS = st.builds(
    lambda guid, group, name: f"/subscriptions/{guid}/resourceGroups/{group}/{VAULT.text.split('/', 5)[5][:-2]}{name}",
    st.uuids().map(str),
    _NAMES,
    _NAMES,
)


@given(_IDS)
def test_every_id_that_azure_may_give_is_read_and_made_of_its_parts(text: str) -> None:
    vault = parse_vault_id(text)

    assert str(vault) == vault.text == text
    assert text == (
        f"/subscriptions/{vault.subscription}/resourceGroups/{vault.resource_group}"
        f"/providers/{vault.provider}/{vault.name}"
    )


@given(_IDS, st.data())
def test_two_spellings_of_one_id_have_one_key_and_two_ids_have_two(text: str, data: st.DataObject) -> None:
    upper = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    spelled = "".join(c.upper() if up else c.lower() for c, up in zip(text, upper, strict=True))
    vault, other = parse_vault_id(text), parse_vault_id(data.draw(_IDS))

    assert parse_vault_id(spelled).key == vault.key
    assert (other.key == vault.key) == (other.text.lower() == text.lower())


@given(st.text(max_size=60) | st.lists(st.sampled_from(VAULT_ID.split("/")) | st.text(max_size=3)).map("/".join))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    for parse in (parse_vault_id, parse_automation_account_id):
        try:
            parsed = parse(text)
        except InvalidResourceId as error:
            assert "expected /subscriptions/<guid>/" in str(error)  # noqa: PT017 - both outcomes are right
        else:
            assert isinstance(parsed, ArmId)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (SUBSCRIPTION, True),
        (SUBSCRIPTION.upper(), True),
        (SUBSCRIPTION + "\n", False),
        (f"{{{SUBSCRIPTION}}}", False),
        (SUBSCRIPTION.replace("6", "g"), False),
        ("", False),
    ],
)
def test_guids(text: str, answer: bool) -> None:
    assert is_guid(text) is answer


# The short name of a mapping.


def test_the_path_of_a_mapping_is_fabric_container_and_name_as_they_are_written() -> None:
    assert mapping_path(mapping_id_of("Alpha")) == "eastus/east-container/Alpha"
    assert mapping_path(mapping_id_of("Alpha").upper()) == "EASTUS/EAST-CONTAINER/ALPHA"


@pytest.mark.parametrize("text", ["", "odd", VAULT_ID, VAULT_ID + "/replicationFabrics/f", "a/b"])
def test_an_id_of_another_form_stands_for_itself(text: str) -> None:
    assert mapping_path(text) == text


_SEGMENTS = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=12) | st.sampled_from(
    ["replicationFabrics", "replicationProtectionContainers", "replicationprotectioncontainermappings"]
)


@given(_SEGMENTS, _SEGMENTS, _SEGMENTS)
def test_the_path_leads_back_to_the_mapping_whatever_its_parts_are_called(
    fabric: str, container: str, name: str
) -> None:
    whole = mapping_id_of(name, fabric=fabric, container=container)

    assert mapping_path(whole) == f"{fabric}/{container}/{name}"
    assert mapping_id(VAULT, mapping_path(whole)) == whole


@given(_SEGMENTS, _SEGMENTS, _SEGMENTS)
def test_the_path_leads_back_to_the_item_whatever_its_parts_are_called(fabric: str, container: str, name: str) -> None:
    whole = (
        f"{VAULT_ID}/replicationFabrics/{fabric}/replicationProtectionContainers/{container}"
        f"/replicationProtectedItems/{name}"
    )

    assert item_path(whole) == f"{fabric}/{container}/{name}"
    assert item_id(VAULT, item_path(whole)) == whole


def test_a_mapping_has_no_path_as_an_item_and_an_item_none_as_a_mapping() -> None:
    mapping = mapping_id_of("m")
    item = mapping.replace("replicationProtectionContainerMappings", "replicationProtectedItems")

    assert item_path(mapping) == mapping
    assert mapping_path(item) == item


@given(st.text(max_size=40))
def test_any_text_has_a_path_and_any_path_an_id(text: str) -> None:
    assert isinstance(mapping_path(text), str)
    assert isinstance(mapping_id(VAULT, text), str)
    assert isinstance(item_path(text), str)
    assert isinstance(item_id(VAULT, text), str)


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("{vault}/replicationFabrics/f/x", True),
        ("{VAULT}/replicationFabrics/f", True),
        ("{vault}", False),
        ("{vault}/", False),
        ("{vault}2/replicationFabrics/f", False),
        ("{vault}//f", False),
        ("{vault}/../other/x", False),
        ("{vault}/./x", False),
        ("{vault}/%2e%2e/other", False),
        ("{vault}/x?y", False),
        ("{vault}/x#y", False),
        ("{vault}/x\\y", False),
        ("{vault}/x y", False),
        ("{vault}/x\x1by", False),
        ("{vault}/" + "x" * 261, False),
        ("{vault}/x\u202ey", False),
        ("{vault}/x\u200by", False),
        ("{vault}/x\u3164y", False),
        ("{vault}/x\ufe0fy", False),
        ("{vault}/x\U000e0041y", False),
        ("{vault}/x\ud800y", False),
        ("https://elsewhere{vault}/x", False),
        ("", False),
    ],
)
def test_what_is_below_a_vault_can_mean_nothing_outside_of_it(text: str, *, below: bool) -> None:
    vault = parse_vault_id(VAULT_ID)

    assert is_below(text.format(vault=VAULT_ID, VAULT=VAULT_ID.upper()), vault.key) is below
