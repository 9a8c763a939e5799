"""What the log says of a change of a spec: which fields, between which generations, and none of their values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.builders import ACCOUNT_ID
from vault_autoupdate.controller.changes import tell_of_change
from vault_autoupdate.controller.tracked import Declaration, read_declaration
from vault_autoupdate.decide.tenancy import TenancyRules
from workbench.kube.resources import manifest


def declared(generation: int, **spec: Any) -> Declaration:
    document = manifest("weu", namespace="dr", **spec)
    document["metadata"] |= {"uid": "uid", "generation": generation}
    return read_declaration(document, TenancyRules())


def told(before: Declaration, after: Declaration, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level("INFO"):
        assert tell_of_change(before, after) == bool(caplog.records)
    assert {(each.levelname, getattr(each, "resource", "")) for each in caplog.records} <= {("INFO", "dr/weu")}
    return [each.getMessage() for each in caplog.records]


def test_the_fields_that_differ_are_named_as_in_the_manifest_and_their_values_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, after = declared(3), declared(5, interval="2h", credential={"secretName": "hidden"})
    (line,) = told(before, after, caplog)
    assert line == "the spec of dr/weu was changed, generation 3 to 5: interval, credential"


def test_a_change_that_comes_to_the_same_and_specs_that_cannot_be_read_are_told_as_such(
    caplog: pytest.LogCaptureFixture,
) -> None:
    usual, written_out = declared(1), declared(2, interval="1h")
    assert told(usual, written_out, caplog)[0].endswith("generation 1 to 2: nothing that differs in effect")
    broken = declared(3, interval="never")
    assert broken.resource is None
    assert told(written_out, broken, caplog)[0].endswith("it cannot be read any more")
    assert told(broken, declared(4), caplog)[0].endswith("it can be read now")


def test_what_is_no_change_of_the_spec_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    before = declared(1, automationAccountResourceId=ACCOUNT_ID)
    assert told(before, replace(before, finalizers=("ours",)), caplog) == []
