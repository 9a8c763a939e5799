"""What can be the name of a region, whoever says so."""

from __future__ import annotations

import pytest

from vault_autoupdate.model.quota import QuotaScope, is_region


@pytest.mark.parametrize("name", ["westeurope", "usgovvirginia", "chinanorth3", "west-europe", "a" * 64])
def test_names_of_regions(name: str) -> None:
    assert is_region(name)


@pytest.mark.parametrize("name", ["", "West Europe", "westeurope\n", 'a"b', "größe", "\u0663", "a" * 65, "a/b"])
def test_what_is_none_gets_neither_a_label_nor_a_budget(name: str) -> None:
    assert not is_region(name)


def test_what_stands_for_a_subscription_is_the_same_in_all_its_regions_and_does_not_tell_it() -> None:
    subscription = "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"
    labels = {QuotaScope(subscription, region).label for region in ("", "westeurope", "northeurope")}
    assert labels == {"5076f16b"}
    assert QuotaScope("another", "westeurope").label not in labels


def test_what_cannot_be_the_name_of_a_region_shares_no_series() -> None:
    assert len({QuotaScope("sub", region).label for region in ("westeurope", "a b", "c d")}) == 3
