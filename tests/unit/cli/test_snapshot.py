from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.cli.manifest import InvalidManifest
from vault_autoupdate.cli.snapshot import read_snapshots
from workbench.core import ACCOUNT, VAULT

ONE: dict[str, Any] = {"mapping": "f/c/m", "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT}
PLAN: dict[str, Any] = {"resource": "default/dr", "vaultResourceId": VAULT, "mappings": [ONE], "counts": {}}


def _problems(text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidManifest) as refused:
        read_snapshots(io.StringIO(text))
    return refused.value.problems


def test_what_each_mapping_had_is_read() -> None:
    (snapshot,) = read_snapshots(io.StringIO(json.dumps([PLAN])))
    (recorded,) = snapshot.recorded
    assert recorded.key.startswith(f"{VAULT.lower()}/replicationfabrics/f/")
    assert (recorded.path, recorded.auto_update, str(recorded.automation_account)) == ("f/c/m", "Enabled", ACCOUNT)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "the document: must be a list"),
        ([1], "0: must be an object"),
        (
            [{**PLAN, "mappings": [ONE, {**ONE, "mapping": "F/c/m", "autoUpdate": "Disabled"}]}],
            "F/c/m: is there 2 times",
        ),
        ([PLAN, {**PLAN, "resource": "default/other"}], "default/other: f/c/m: is there 2 times"),
        ([{**PLAN, "vaultResourceId": "dr"}], "must start with /subscriptions"),
        ([{**PLAN, "resource": "../dr"}], "resource"),
        ([{**PLAN, "mappings": [{"mapping": "f/c/m", "action": "patch", "reason": ""}]}], "autoUpdate: required"),
        ([{**PLAN, "mappings": [{**ONE, "automationAccountResourceId": "aa"}]}], "must start with /subscriptions"),
        ([{**PLAN, "mappings": [{**ONE, "mapping": "f/../m"}]}], "is no mapping of its vault"),
        ([{**PLAN, "mappings": [{**ONE, "mapping": "/subscriptions/x"}]}], "is no mapping of its vault"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(document: object, said: str) -> None:
    assert any(said in problem for problem in _problems(json.dumps(document)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON: "),
        ("[", "not JSON: "),
        ("null", "it is empty"),
        ("[" * 100_000, "nested too deeply"),
        (f"[{'9' * 5000}]", "a number of thousands of digits"),
    ],
)
def test_what_is_no_json_is_refused(text: str, said: str) -> None:
    assert said in _problems(text)[0]


def test_a_file_that_a_shell_has_written_in_its_own_encoding_is_read_or_refused_in_words() -> None:
    text = json.dumps([PLAN])
    assert read_snapshots(io.StringIO(f"\ufeff{text}"))
    with pytest.raises(InvalidManifest, match=r"^not UTF-8: .*iconv"):
        read_snapshots(io.TextIOWrapper(io.BytesIO(text.encode("utf-16")), encoding="utf-8"))


_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["resource", "vaultResourceId", "mappings", "mapping", "autoUpdate"]), inner)
    ),
)


@given(_VALUES)
def test_no_document_whatever_is_another_error(document: object) -> None:
    with suppress(InvalidManifest):
        assert isinstance(read_snapshots(io.StringIO(json.dumps(document))), list)
