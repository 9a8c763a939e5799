"""Text from elsewhere: one line, bounded, without secrets."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vault_autoupdate.model.text import clean, is_printable, plural, whole_number

SIGNED = (
    "https://management.azure.com/Subscriptions/x/replicationOperationStatus/5a4c?api-version=2022-08-01"
    "&t=638289000000000000&c=MIIHSECRET&s=SECRETsignature&h=SECRET"
)
_ANYTHING = st.text(
    st.one_of(st.characters(), st.sampled_from("\x00\n\r\t\x1b\x7f\x85\u2028\u202e\u2066\ud800?#&=<>\"' ")),
    max_size=120,
)


@given(_ANYTHING, st.integers(3, 200))
@example("a" * 200, 10)
@example("\x1b]0;title\x07", 50)
def test_what_comes_back_is_one_bounded_line_without_control_characters(text: str, max_bytes: int) -> None:
    cleaned = clean(text, max_bytes)

    assert len(cleaned.encode()) <= max_bytes
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in cleaned)
    assert not any("\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" for character in cleaned)
    assert cleaned == cleaned.strip()
    assert len(cleaned.splitlines()) <= 1


@given(_ANYTHING, st.integers(3, 200))
@example("https://h\ud800x", 100)
@example("\x00bearer \x00abcdefgh", 100)
@example("https://h?x \u3000", 100)
def test_what_is_clean_stays_as_it_is(text: str, max_bytes: int) -> None:
    cleaned = clean(text, max_bytes)

    assert clean(cleaned, max_bytes) == cleaned


def test_tokens_are_not_kept_wherever_they_stand() -> None:
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl-_c2ln"

    assert clean(f"refused assertion='{token}', {token}: eyJ", 200) == "refused assertion='***', ***: eyJ"


_SECRETS = st.text("abcdefABCDEF0123456789-_.~+/=", min_size=12, max_size=60).map(lambda text: f"s3cret{text}")
_AROUND = st.text("ab .,'\"<>()[]{}\n", max_size=20)


@given(_AROUND, st.sampled_from(["https", "http", "HTTPS", "Https"]), st.sampled_from("?#"), _SECRETS, _AROUND)
def test_nothing_behind_the_question_mark_of_a_url_is_kept(
    before: str, scheme: str, mark: str, secret: str, after: str
) -> None:
    cleaned = clean(f"{before}{scheme}://host/path{mark}sig={secret}{after}", 1000)

    assert "s3cret" not in cleaned
    assert f"{scheme}://host/path?***" in cleaned


@given(_AROUND, st.sampled_from(["Bearer ", "bearer\t", "BEARER\n", "Authorization: Bearer  "]), _SECRETS, _AROUND)
def test_no_bearer_token_is_kept(before: str, word: str, secret: str, after: str) -> None:
    assert "s3cret" not in clean(f"{before} {word}{secret}{after}", 1000)


@given(_AROUND, st.text("abcXYZ019_-", min_size=20, max_size=40), st.integers(0, 2), _AROUND)
def test_no_json_web_token_is_kept_whole_or_cut_off(before: str, part: str, parts: int, after: str) -> None:
    cleaned = clean(f"{before} eyJ{part}{f'.s3cret{part}' * parts} {after}", 1000)

    assert part not in cleaned
    assert "s3cret" not in cleaned


def test_of_a_signed_url_the_operation_is_kept_and_the_signature_is_not() -> None:
    cleaned = clean(f"could not read {SIGNED}: time-out", 1000)

    assert cleaned == (
        "could not read https://management.azure.com/Subscriptions/x/replicationOperationStatus/5a4c?***: time-out"
    ) or cleaned.endswith("/replicationOperationStatus/5a4c?*** time-out")
    assert "SECRET" not in cleaned


@pytest.mark.parametrize(
    ("text", "max_bytes", "cleaned"),
    [
        (None, 10, ""),
        ("", 10, ""),
        (42, 10, "42"),
        (ValueError("no"), 10, "no"),
        ("  a\r\n\tb  ", 10, "a b"),
        ("0123456789", 10, "0123456789"),
        ("0123456789a", 10, "0123456…"),
        ("abcd", 3, "…"),
        ("ééééé", 10, "ééééé"),
        ("ééééééé", 10, "ééé…"),
        ("😀😀😀", 10, "😀…"),
        ("bearer of bad news", 50, "bearer of bad news"),
        ("with Bearer abcdefgh1234, refused", 50, "with Bearer ***, refused"),
        ("what? why#", 50, "what? why#"),
    ],
)
def test_texts_are_cut_at_whole_characters_and_marked(text: object, max_bytes: int, cleaned: str) -> None:
    assert clean(text, max_bytes) == cleaned


def test_a_huge_text_costs_no_more_than_what_is_shown_of_it() -> None:
    assert clean("x" * 50_000_000, 100).endswith("x…")
    assert [clean(f"{' ' * blanks}?", 10) for blanks in (39, 40)] == ["?", ""]


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("0017", 17), ("", None), ("-1", None), ("1.5", None), (" 1", None), ("1\n", None), ("²", None),
     ("٣", None), ("9" * 18, 10**18 - 1), ("9" * 5000, None)],
)  # fmt: skip
def test_a_whole_number_is_one_or_nothing(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (1000, "1,000 jobs"), (-1, "-1 jobs")]
)
def test_numbers_of_things(count: int, text: str) -> None:
    assert plural(count, "job") == text


def test_what_nobody_sees_does_not_come_back() -> None:
    """All that Unicode calls formats and surrogates, and the letters and marks that are drawn as nothing."""
    invisible = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs"}]
    invisible += ["\u034f", "\u115f", "\u1160", "\u17b4", "\u3164", "\uffa0", "\ufe0f", "\U000e0100", "\u180b"]

    assert [character for character in invisible if is_printable(character)] == []
    assert {clean(f"a{character}b", 20) for character in invisible} == {"a b", "a?b"}
    assert is_printable("größe 資源 שלום 😀")
