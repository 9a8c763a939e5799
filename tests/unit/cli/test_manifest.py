"""Files that may come from a stranger: read within bounds, or refused in words."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import VAULT_ID, manifest
from vault_autoupdate.cli.main import main
from vault_autoupdate.cli.manifest import InvalidManifest, read_manifests
from vault_autoupdate.model.text import is_printable


def _read(text: str) -> Any:
    return read_manifests(io.StringIO(text))


def _problems(text: str) -> str:
    with pytest.raises(InvalidManifest) as refused:
        _read(text)
    return str(refused.value)


def _yaml(*documents: dict[str, Any]) -> str:
    return yaml.safe_dump_all(documents, allow_unicode=True)


def _with(text: str) -> str:
    """A manifest that is whole but for a line of its spec."""
    return f"{_yaml(manifest())}  {text}\n"


def _bomb(levels: int, first: str, each: str) -> str:
    lines = [f"x0: &a0 {first}"]
    lines += [f"x{n}: &a{n} {each.replace('*', f'*a{n - 1}')}" for n in range(1, levels)]
    return "\n".join([*lines, f"kind: VaultAutoUpdate\nspec: {{vaultResourceId: *a{levels - 1}}}"])


@pytest.mark.parametrize(
    "text",
    [
        _bomb(9, "[x,x,x,x,x,x,x,x,x,x]", "[*,*,*,*,*,*,*,*,*,*]"),
        _bomb(9, "{a: x, b: x}", "{a: *, b: *, c: *, d: *, e: *, f: *, g: *, h: *, i: *}"),
        _bomb(25, "{a: x}", "{<<: [*, *]}"),
        _bomb(25, "[x]", "[*, *]"),
        _bomb(3, f'"{"x" * 50_000}"', f"[{', '.join(['*'] * 100)}]"),
        "kind: &a [*a]",
        "kind: VaultAutoUpdate\nspec: &a {b: *a}",
        "&a {<<: *a}",
    ],
)
def test_aliases_that_stand_for_more_than_any_manifest_has_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    problems = _problems(text)

    assert "alias" in problems
    assert time.process_time() - began < 5


def test_aliases_that_are_of_use_stay() -> None:
    of_two = f"x-id: &id {VAULT_ID}\n---\n{_yaml(manifest())}"
    merged = "x: &m {autoUpdate: Disabled}\n" + _yaml({**manifest(), "spec": None}).replace(
        "spec: null", f"spec: {{<<: *m, vaultResourceId: {VAULT_ID}}}"
    )

    assert len(_read(of_two)) == 1
    assert "x: unknown field" in _problems(merged), "read, and refused for what it has beside"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_with(f"interval: {'9' * 5000}"), "a number of 5,000 digits"),
        (_with(f"interval: 0x{'f' * 5000}"), "a number of 5,002 digits"),
        (_with(f"interval: {'1' * 400}.5"), "a number of 402 digits"),
        (_with("interval: 1.0e+400"), "a number that is too large"),
        (_with("interval: .inf"), "a number that is too large, or none"),
        (_with("interval: .nan"), "a number that is too large, or none"),
        (_with("interval: 1e400"), "spec.interval: "),
        (_with("interval: 2001-99-99"), "spec.interval: "),
        (_with("interval: 2001-01-01"), "spec.interval: "),
        (_with("interval: !!timestamp 2001-99-99"), "not YAML"),
        (_with("interval: !!python/object:os.system x"), "could not determine a constructor"),
        (_with("interval: !!binary AAAA"), "spec.interval: "),
        (_with("suspend: !!bool maybe"), "not YAML"),
        (_with("suspend: !!int ''"), "not YAML"),
        (_with("interval: !!float ''"), "not YAML"),
        (_with("? [a]\n  : b"), "not YAML"),
        ("kind: VaultAutoUpdate\nmetadata: [a]\nspec: x", "metadata: must be an object\nspec: must be an object"),
        (_with("? {a: b}\n  : c"), "not YAML"),
        (_with("1: 2"), "spec"),
        (_with("autoUpdate: Disabled"), "the field 'autoUpdate' is there twice"),
        ("[" * 10_000, "nested too deeply"),
        ("a: " * 10_000, "not YAML"),
        ("- " * 10_000, "nested too deeply"),
        ("\x00", "not YAML"),
        ("x" * 2_000_001, "more than 2,000,000 characters"),
        ("", "no VaultAutoUpdate in it"),
        ("kind: VaultAutoUpdate", "required"),
    ],
)
def test_what_is_no_manifest_is_refused_in_words(text: str, said: str) -> None:
    assert said in _problems(text)


@pytest.mark.parametrize(
    "wrapped",
    [
        {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [manifest()]},
        {"apiVersion": "asr.vault-autoupdate.io/v1alpha1", "kind": "VaultAutoUpdateList", "items": [manifest()]},
        {"apiVersion": "v1", "kind": "List", "items": [None, "x", {"kind": "List", "items": [manifest()]}]},
    ],
)
def test_a_list_is_read_as_kubectl_prints_and_takes_it(wrapped: dict[str, Any]) -> None:
    assert [str(each.key) for each in _read(_yaml(wrapped))] == ["asr/dr"]


def test_files_that_were_put_together_may_each_begin_with_a_byte_order_mark() -> None:
    one, two = manifest(), manifest(vaultResourceId=f"{VAULT_ID}-2")
    two["metadata"]["name"] = "two"

    assert len(_read(f"\ufeff{_yaml(one)}---\n\ufeff{_yaml(two)}")) == 2


@pytest.mark.parametrize("text", ["ä: 1".encode("latin-1"), _yaml(manifest()).encode("utf-16")])
def test_a_file_in_another_encoding_is_refused_in_words(text: bytes) -> None:
    with pytest.raises(
        InvalidManifest, match=r"^not UTF-8: invalid .* byte at byte 0; convert it, with iconv for example$"
    ):
        read_manifests(io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))


@pytest.mark.parametrize("command", ["plan", "report"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_bomb(9, "[x,x,x,x,x,x,x,x,x,x]", "[*,*,*,*,*,*,*,*,*,*]"), "its aliases stand for more"),
        ("[" * 10_000, "nested too deeply"),
        ("a: 1e400\nb: 2001-99-99\nc: !!timestamp 2001-99-99", "not YAML"),
        ("x" * 2_000_001, "more than 2,000,000 characters"),
        ("kind: List\nitems: [1, null, [], {kind: VaultAutoUpdate}, {kind: VaultAutoUpdate, metadata: []}]", "not 0"),
    ],
)
def test_the_file_of_a_policy_is_read_within_the_same_bounds(command: str, text: str, said: str) -> None:
    result = CliRunner().invoke(main, ["policy", command, "-"], input=text)

    assert (result.exit_code, said in result.stderr) == (2, True)


def test_names_of_fields_are_made_fit_for_a_terminal() -> None:
    problems = _problems(_with('"\\e]0;owned\\a\\e[31mx\\r\\nFORGED ok \\u202e\\u200b": 1'))

    assert problems.endswith(": unknown field")
    assert is_printable(problems)


@pytest.mark.parametrize("name", ["A", "a\u001b[31mb", "a/b", "-a", "", "a\u202eb", "x" * 254])
def test_a_name_that_kubernetes_would_not_take_is_refused(name: str) -> None:
    body = manifest()
    body["metadata"]["name"] = name

    assert "metadata.name: " in _problems(_yaml(body))


def test_two_resources_of_one_vault_are_refused_before_any_call_however_its_id_is_spelt() -> None:
    one, two = manifest(), manifest(vaultResourceId=VAULT_ID.replace("rg-dr", "RG-DR"))
    two["metadata"]["name"] = "two"

    assert "asr/dr and asr/two name one vault" in _problems(_yaml(one, two))
    assert "asr/dr: is there 2 times" in _problems(_yaml(one, one))
    two["spec"]["vaultResourceId"] = VAULT_ID.replace("rg-dr", "rg-other")
    assert len(_read(_yaml(one, two))) == 2


_SCALARS = st.text(max_size=12) | st.sampled_from(
    ["1e400", ".inf", "0o9", "0b2", "1:99:99", "~", "*a", "&a x", "!!int x"]
)
_TEXTS = st.lists(st.sampled_from(["a: ", "- ", "[", "]", "{", "}", "\n", "  ", "? ", "<<: ", "*a", "&a "]) | _SCALARS)


@given(_TEXTS.map("".join))
def test_any_text_at_all_is_read_or_refused_in_words(text: str) -> None:
    try:
        _read(text)
    except InvalidManifest as error:
        assert error.problems  # noqa: PT017 - both outcomes are right
    try:
        _read(f"{_yaml(manifest())}{text}")
    except InvalidManifest as error:
        assert error.problems  # noqa: PT017 - as above
