"""What can be the name of a region, whoever says so."""

from __future__ import annotations

import pytest

from vault_autoupdate.model.quota import is_region


@pytest.mark.parametrize("name", ["westeurope", "usgovvirginia", "chinanorth3", "west-europe", "a" * 64])
def test_names_of_regions(name: str) -> None:
    assert is_region(name)


@pytest.mark.parametrize("name", ["", "West Europe", "westeurope\n", 'a"b', "größe", "\u0663", "a" * 65, "a/b"])
def test_what_is_none_gets_neither_a_label_nor_a_budget(name: str) -> None:
    assert not is_region(name)
