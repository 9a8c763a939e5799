"""Which namespaces may name what."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT_ID, GROUP, SUBSCRIPTION, VAULT_ID, resource
from vault_autoupdate.decide.tenancy import (
    Refusal,
    ResourceCredentials,
    TenancyRules,
    VaultScopes,
    parse_arm_scope,
    parse_vault_scopes,
)
from vault_autoupdate.report.readiness import not_allowed
from vault_autoupdate.settings import InvalidSettings, load_settings

OTHER = "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11"


def _scopes(**entries: list[str]) -> VaultScopes:
    return parse_vault_scopes(json.dumps({name.replace("_", "-"): listed for name, listed in entries.items()}))


def _refusal(scopes: VaultScopes, **spec: Any) -> Refusal | None:
    return TenancyRules(scopes, ResourceCredentials.ALLOWED).refusal(resource(**spec))


# One scope.


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("/", True),
        (f"/subscriptions/{SUBSCRIPTION}", True),
        (f"/SUBSCRIPTIONS/{SUBSCRIPTION.upper()}/ResourceGroups/RG-DR", True),
        (GROUP, True),
        (VAULT_ID, True),
        (VAULT_ID.upper(), True),
        (f"/subscriptions/{OTHER}", False),
        (f"{GROUP}2", False),
        (GROUP[:-1], False),
        (f"{VAULT_ID}2", False),
        (VAULT_ID[:-1], False),
        (ACCOUNT_ID, False),
    ],
)
def test_a_scope_covers_what_lies_in_it_by_whole_segments_in_any_letter_case(scope: str, *, covered: bool) -> None:
    assert parse_arm_scope(scope).covers(VAULT_ID) is covered


_NAME = st.text("abskABSKé.-_()0\u017fß\u212a", min_size=1, max_size=6).filter(lambda name: not name.endswith("."))


@given(_NAME, _NAME, st.booleans())
def test_a_group_covers_a_group_only_if_their_names_differ_in_nothing_but_the_case_of_a_to_z(
    allowed: str, named: str, same: bool
) -> None:
    named = allowed.swapcase() if same and allowed.isascii() else named
    scope = parse_arm_scope(GROUP.replace("rg-dr", allowed))
    vault = VAULT_ID.replace("rg-dr", named)

    ascii_lower = [
        "".join(letter.lower() if letter.isascii() else letter for letter in name) for name in (allowed, named)
    ]
    assert scope.covers(vault) is (ascii_lower[0] == ascii_lower[1])


@given(st.lists(_NAME, min_size=1, max_size=4), st.integers(0, 4), _NAME)
def test_a_scope_covers_all_that_begins_with_its_segments_and_nothing_that_differs_in_one_of_them(
    names: list[str], cut: int, other: str
) -> None:
    segments = VAULT_ID.split("/")[1:]
    scope = parse_arm_scope("/" + "/".join(segments[: [0, 2, 4, 8][cut % 4]]))
    assert scope.covers(VAULT_ID)
    for position in range(len(scope.segments)):
        assume(other.lower() != segments[position].lower())
        changed = [*segments[:position], other, *segments[position + 1 :]]
        assert not scope.covers("/" + "/".join(changed))
    assert not scope.covers("/" + "/".join(segments[: len(scope.segments) - 1])) or not scope.segments


@pytest.mark.parametrize(
    "text",
    [
        "",
        "subscriptions",
        f"subscriptions/{SUBSCRIPTION}",
        f"/subscriptions/{SUBSCRIPTION}/",
        "/subscriptions/production",
        "/subscriptions/*",
        "/subscriptions",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg.",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/r g",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.RecoveryServices",
        f"/subscriptions/{SUBSCRIPTION}/groups/rg",
        f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm",
        f"{VAULT_ID}/replicationFabrics/f",
        f"//subscriptions/{SUBSCRIPTION}",
    ],
)
def test_what_is_no_scope_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="is not a scope: write /subscriptions/<guid>"):
        parse_arm_scope(text)


# The setting.


def test_unset_nobody_is_restricted_and_set_only_those_listed_may_name_anything() -> None:
    assert _refusal(load_settings({}, {}).vault_scopes) is None
    for text in ("{}", '{"other": ["/"]}', '{"asr": []}'):
        assert _refusal(load_settings({"vault_scopes": text}, {}).vault_scopes) is not None


def test_all_entries_that_fit_a_namespace_count_together() -> None:
    scopes = _scopes(**{"*": [f"/subscriptions/{OTHER}"], "as*": [VAULT_ID], "asr": [ACCOUNT_ID]})

    assert _refusal(scopes) is None
    assert scopes.patterns_for("asr") == ["*", "as*", "asr"]
    assert scopes.patterns_for("as") == ["*", "as*"]
    assert not scopes.allows("as", ACCOUNT_ID)


def test_a_pattern_knows_no_signs_but_the_asterisk() -> None:
    for pattern in ("team-?", "team-[ab]", "Team", "", "a.b", "x" * 64):
        with pytest.raises(ValueError, match="neither a namespace nor a pattern"):
            parse_vault_scopes(json.dumps({pattern: ["/"]}))


def test_all_mistakes_are_told_at_once_with_those_of_other_settings() -> None:
    scopes = '{"A": ["/x"], "b": "/", "c": ["/subscriptions/1"], "d": ["/"], "d": []}'

    with pytest.raises(InvalidSettings) as refused:
        load_settings({}, {"VAULT_AUTOUPDATE_VAULT_SCOPES": scopes, "VAULT_AUTOUPDATE_CLOUD": "Moon"})

    (told,) = [problem for problem in refused.value.problems if "VAULT_SCOPES" in problem]
    assert len(refused.value.problems) == 2
    assert told.startswith("VAULT_AUTOUPDATE_VAULT_SCOPES (--vault-scopes): ")
    for part in (
        "'d' is there more than once",
        "'A' is neither",
        "'A': '/x' is not",
        "'b': must be a list",
        "'c': '/sub",
    ):
        assert part in told


@pytest.mark.parametrize("text", ["[]", "1", "null", '"/"', "{", "team-a=/", "[" * 100_000])
def test_what_is_no_json_object_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="for example"):
        parse_vault_scopes(text)


# The decision.


def test_vault_and_account_are_both_checked_and_the_message_says_what_may_be_named_and_whom_to_ask() -> None:
    only_vault = _refusal(_scopes(asr=[VAULT_ID]))
    assert only_vault is not None
    assert only_vault.reason == "ScopeNotAllowed"
    assert "spec.automationAccountResourceId outside of what namespace asr may name" in only_vault.message
    assert "spec.vaultResourceId" not in only_vault.message
    assert f"by its entries for 'asr', this namespace may name only what is in {VAULT_ID}" in only_vault.message
    assert "vaultScopes in the chart" in only_vault.message
    assert _refusal(_scopes(asr=[VAULT_ID]), autoUpdate="Disabled", automationAccountResourceId=None) is None
    assert _refusal(_scopes(asr=[VAULT_ID, ACCOUNT_ID])) is None

    nothing = _refusal(_scopes(other=["/"]))
    assert nothing is not None
    assert "spec.vaultResourceId and spec.automationAccountResourceId" in nothing.message
    assert nothing.message.endswith("as no entry is for it, this namespace may name nothing.")


def test_a_long_list_of_scopes_leaves_the_message_bounded_with_what_to_do() -> None:
    refusal = _refusal(_scopes(asr=[f"{GROUP}-{number}" for number in range(500)]))

    assert refusal is not None
    assert len(not_allowed(refusal).message.encode()) <= 1000
    assert "ask those who run the operator" in refusal.message


@pytest.mark.parametrize(
    ("mode", "own", "reason"),
    [
        (ResourceCredentials.REFUSED, False, None),
        (ResourceCredentials.REFUSED, True, "CredentialNotAllowed"),
        (ResourceCredentials.ALLOWED, False, None),
        (ResourceCredentials.ALLOWED, True, None),
        (ResourceCredentials.REQUIRED, False, "CredentialRequired"),
        (ResourceCredentials.REQUIRED, True, None),
    ],
)
def test_a_credential_of_its_own_may_be_refused_or_required(
    mode: ResourceCredentials, reason: str | None, *, own: bool
) -> None:
    wanted = resource(credential={"secretName": "login"} if own else None)
    refusal = TenancyRules(credentials=mode).refusal(wanted)

    assert (refusal and refusal.reason) == reason
    if refusal:
        told = not_allowed(refusal)
        assert (told.ready, told.stalled, told.reason) == ("False", True, reason)
        assert "spec.credential" in told.message


def test_what_may_not_be_named_is_told_before_what_is_wrong_with_the_credential() -> None:
    refusal = TenancyRules(_scopes(other=["/"])).refusal(resource(credential={"secretName": "login"}))

    assert refusal is not None
    assert refusal.reason == "ScopeNotAllowed"


NOT_ALLOWED = (
    "Nothing is done: this operator takes no credentials from resources. Remove spec.credential to have its own "
    "identity used, or ask those who run it for VAULT_AUTOUPDATE_RESOURCE_CREDENTIALS=allowed "
    "(resourceCredentials.mode in the chart)."
)
REQUIRED = (
    "Nothing is done: this operator does not lend its own identity. Name a credential of this namespace in "
    "spec.credential: a Secret (secretName) or a ServiceAccount (serviceAccountName)."
)
OUTSIDE = (
    "Nothing is done: spec.automationAccountResourceId outside of what namespace asr may name. Name what it may, or "
    "ask those who run the operator to extend VAULT_AUTOUPDATE_VAULT_SCOPES (vaultScopes in the chart); by its entries "
    f"for 'as*', 'asr', this namespace may name only what is in /subscriptions/{OTHER}, {VAULT_ID}, {GROUP}X."
)


@pytest.mark.parametrize(
    ("rules", "spec", "message"),
    [
        (TenancyRules(), {"credential": {"secretName": "login"}}, NOT_ALLOWED),
        (TenancyRules(credentials=ResourceCredentials.REQUIRED), {}, REQUIRED),
        (TenancyRules(_scopes(**{"as*": [f"/subscriptions/{OTHER}"], "asr": [VAULT_ID, f"{GROUP}X"]})), {}, OUTSIDE),
    ],
)
def test_a_refusal_says_what_is_the_matter_and_what_to_do(
    rules: TenancyRules, spec: dict[str, Any], message: str
) -> None:
    refusal = rules.refusal(resource(**spec))

    assert refusal is not None
    assert refusal.message == message


@pytest.mark.parametrize("text", ["/", f"/subscriptions/{OTHER}", GROUP, VAULT_ID, ACCOUNT_ID, f"{GROUP}X"])
def test_a_scope_is_told_as_it_was_written(text: str) -> None:
    assert parse_arm_scope(text).text == text


def test_mistakes_are_told_one_after_the_other() -> None:
    with pytest.raises(ValueError, match=r"'A' is neither a namespace nor a pattern .*; 'b': must be a list of"):
        parse_vault_scopes('{"A": [], "b": "/"}')
    with pytest.raises(ValueError, match=r"^not JSON \(Expecting value: line 1 column 7 .*\): write for example "):
        parse_vault_scopes('{"a": }')


_FORMS = (
    "write /subscriptions/<guid>, /subscriptions/<guid>/resourceGroups/<group>, the id of a vault or of an Automation "
    "account, or / for everything"
)
_EXAMPLE = '{"team-a": ["/subscriptions/<guid>/resourceGroups/<group>"]}'
_LONG = "X" * 300


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'{{"{_LONG}": []}}', f"'{'X' * 77}…' is neither a namespace nor a pattern of one (* is for any letters)"),
        (f'{{"{"x" * 63}": ["{_LONG}"]}}', f"'{'x' * 63}': '{'X' * 197}…' is not a scope: {_FORMS}"),
        ('{"a": ["/", 1]}', f"'a': must be a list of scopes: {_FORMS}"),
        (
            f'{{"a": 1, "{"b" * 63}": "/"}}',
            (f"'a': must be a list of scopes: {_FORMS}; '{'b' * 63}': must be a list of scopes: {_FORMS}"),
        ),
        ('{"a": [], "b": [], "a": []}', "'a' is there more than once"),
        ("[]", f"must be a JSON object, for example {_EXAMPLE}"),
        (
            "{",
            (
                "not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)): write for "
                f"example {_EXAMPLE}"
            ),
        ),
    ],
)
def test_each_mistake_of_the_setting_is_told_in_one_sentence_of_bounded_length(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_vault_scopes(text)


def test_long_names_that_are_there_twice_or_have_no_list_are_cut() -> None:
    with pytest.raises(ValueError, match="more than once") as refused:
        parse_vault_scopes(f'{{"{_LONG}": 1, "{_LONG}": 1}}')

    cut = f"'{'X' * 77}…'"
    assert str(refused.value) == (
        f"{cut} is there more than once; {cut} is neither a namespace nor a pattern of one (* is for any letters); "
        f"{cut}: must be a list of scopes: {_FORMS}"
    )


def test_what_was_read_is_taken_as_it_is() -> None:
    scopes = _scopes(asr=["/"])
    assert parse_vault_scopes(scopes) is scopes


def test_of_a_namespace_that_several_entries_fit_all_scopes_are_told_and_no_others() -> None:
    refusal = _refusal(_scopes(**{"x": ["/"], "as*": [f"/subscriptions/{OTHER}"], "asr": []}))

    assert refusal is not None
    assert refusal.message.endswith(
        f"; by its entries for 'as*', 'asr', this namespace may name only what is in /subscriptions/{OTHER}."
    )
