"""What the body of an error says, in all the forms in which such bodies were met."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any

import pytest

from vault_autoupdate.arm.wire.error_body import ErrorBody, read_error_body

_SAID = {"code": "VaultUpgradePending", "message": "The vault is being upgraded."}
_FORMS: list[Any] = [
    {"error": _SAID},
    _SAID,
    {"Code": _SAID["code"], "Message": _SAID["message"]},
    {"Error": {"Code": _SAID["code"], "Message": _SAID["message"]}},
    {"odata.error": {"code": _SAID["code"], "message": {"lang": "en-US", "value": _SAID["message"]}}},
    {"error": {"code": _SAID["code"], "message": {"lang": "en-US", "value": _SAID["message"]}}},
    {"error": {"code": _SAID["code"], "message": [_SAID["message"]]}},
    {"error": {"error": _SAID}},
    {"errors": [_SAID]},
    {"details": [_SAID]},
    {"error": {"code": "", "message": "", "details": [_SAID]}},
    {"error": {"innererror": _SAID}},
    {"error": _SAID["code"], "error_description": _SAID["message"]},
    {"errorCode": _SAID["code"], "errorMessage": _SAID["message"]},
    {"fault": {"faultcode": _SAID["code"], "faultstring": _SAID["message"]}},
    {"error": {"message": json.dumps({"error": _SAID})}},
    [{"error": _SAID}],
    [_SAID],
    {"code": _SAID["code"], "title": "Conflict", "detail": _SAID["message"]},
    {"error_code": _SAID["code"], "error_msg": _SAID["message"]},
    {"error": {"code": _SAID["code"], "message": {"text": _SAID["message"]}}},
    {"response": {"status": 409, "body": {"error": _SAID}}},
    {"properties": {"statusCode": "Conflict", "statusMessage": json.dumps({"error": _SAID})}},
    {"errorDetails": [_SAID]},
    json.dumps({"error": _SAID}),
]


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("document", _FORMS)
def test_code_and_message_are_found_wherever_they_stand(document: object) -> None:
    said = read_error_body(_json(document))

    assert (said.code, said.message) == (_SAID["code"], _SAID["message"])
    assert said.is_error


_ENCODINGS: list[Callable[[str], bytes]] = [
    lambda text: codecs.BOM_UTF8 + text.encode(),
    lambda text: text.encode("utf-16"),
    lambda text: text.encode("utf-16-le"),
    lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    lambda text: text.encode("utf-32"),
    lambda text: f"\r\n {text} \n".encode(),
]


@pytest.mark.parametrize("encode", _ENCODINGS)
def test_in_any_encoding_that_json_may_have(encode: Callable[[str], bytes]) -> None:
    assert read_error_body(encode(json.dumps({"error": _SAID}))).code == _SAID["code"]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"The service is unavailable.", "", "The service is unavailable."),
        (codecs.BOM_UTF8 + b"Zutritt verweigert: Schl\xc3\xbcssel.", "", "Zutritt verweigert: Schlüssel."),
        ("Zutritt verweigert: Schlüssel.".encode("latin-1"), "", "Zutritt verweigert: Schlüssel."),
        (b'"Just a text."', "", "Just a text."),
        (b'["One.", "Two."]', "", "One. Two."),
        (b'{"Message": "Public network access is disabled."}', "", "Public network access is disabled."),
        (b'{"error": "Something is wrong."}', "", "Something is wrong."),
        (b'{"odd": {"form": "of an answer"}}', "", '{"odd": {"form": "of an answer"}}'),
        (b'<?xml version="1.0"?><Error xmlns="x"><Code>Busy</Code><Message>Later.</Message></Error>', "Busy", "Later."),
        (b"<s:Fault><s:faultcode>Busy</s:faultcode><s:faultstring>Later.</s:faultstring></s:Fault>", "Busy", "Later."),
        (b"<Error><Message><![CDATA[Later & later.]]></Message></Error>", "", "Later & later."),
        (b"<error>Later.</error>", "", "Later."),
        (b"<Error><Message>The <b>vault</b> is<br/>busy.</Message></Error>", "", "The vault is busy."),
        (b'<x:error code="Busy" message="Later."/>', "Busy", "Later."),
        (
            b"<s:Fault><s:Code><s:Value>Busy</s:Value></s:Code><s:Reason><s:Text>Later.</s:Text></s:Reason></s:Fault>",
            "Busy",
            "Later.",
        ),
        (b"{'error': {'code': 'Busy'}}", "", "{'error': {'code': 'Busy'}}"),
        (b"[error] The vault is busy.", "", "[error] The vault is busy."),
        (b'{"error": {"code": "Busy", "details": [{"message": "Later."}]}}\x00\x00', "Busy", "Later."),
        (
            b"<!DOCTYPE html><title>502 Bad</title><style>a{}</style><script>x()</script><h1>502 Bad</h1>by &amp; co",
            "",
            "502 Bad by & co",
        ),
        (b'{"error": {"code": "Busy", "message": "It was cut \\"he', "Busy", 'It was cut "he'),
        (b'{"error": {"code": "Busy", "message": "Long.", "details": [{"code": "X", "mess', "Busy", "Long."),
    ],
)
def test_what_is_no_json_or_of_no_known_form_is_told_all_the_same(body: bytes, code: str, message: str) -> None:
    said = read_error_body(body)

    assert (said.code, said.message) == (code, message)


def test_details_say_what_the_error_itself_does_not() -> None:
    first, second = {"code": "A1", "message": "First."}, {"code": "B2", "message": "Second."}
    said = read_error_body(
        _json({"error": {"code": "Many", "message": "Please see details.", "details": [first, second]}})
    )

    assert said == ErrorBody("Many", ("Many", "A1", "B2"), "Please see details. A1: First. B2: Second.", is_error=True)


def test_a_detail_that_says_the_same_is_told_once() -> None:
    said = read_error_body(_json({"error": {**_SAID, "details": [_SAID, _SAID]}}))

    assert said.message == _SAID["message"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"Message": "Not valid.", "ModelState": {"mapping.name": ["is required", "is empty"]}},
         "Not valid. mapping.name: is required is empty"),
        ({"title": "Not valid.", "errors": {"name": "is required"}}, "Not valid. name: is required"),
        ({"errors": {"name": ["is required"]}}, "name: is required"),
        ({"Message": "An error has occurred.", "ExceptionMessage": "No disk."}, "An error has occurred. No disk."),
        ({"error": {"code": "A", "message": "No.", "details": "The vault is locked."}}, "No. The vault is locked."),
        ({"error": {"code": "539", "message": "No.", "details": [{"possibleCauses": "It is gone."}]}}, "No."),
        ({"error": {"code": "539", "details": [{"possibleCauses": "It is gone."}]}}, "It is gone."),
    ],
)  # fmt: skip
def test_what_stands_beside_a_message_or_in_its_place_is_told_too(document: object, message: str) -> None:
    assert read_error_body(_json(document)).message == message


def test_an_error_whose_words_have_no_known_name_is_shown_as_it_came() -> None:
    body = b'{"error": {"code": "A", "wording": "The vault is frozen."}}'

    assert (read_error_body(body).code, read_error_body(body).message) == ("A", body.decode())


@pytest.mark.parametrize(
    ("charset", "words"),
    [
        ("shift_jis", "アクセス拒否"),
        ("windows-1251", "Доступ запрещён"),
        ("GBK", "访问被拒绝"),
        ("big5", "存取遭拒"),
        ("euc-kr", "액세스 거부"),
        ("ISO-8859-2", "Dostęp zabroniony"),
        ("windows-1252", "„Gesperrt“: 5 €"),
    ],
)
def test_a_page_of_a_proxy_is_read_in_its_own_alphabet_wherever_it_names_it(charset: str, words: str) -> None:
    plain = f"<html><title>{words}</title></html>"
    named = f'<html><meta charset="{charset}"><title>{words}</title></html>'

    assert read_error_body(plain.encode(charset), f"text/html; charset={charset}").message == words
    assert read_error_body(named.encode(charset), "text/html").message == words
    assert read_error_body(words.encode(charset), f"text/plain;charset={charset}").message == words


@pytest.mark.parametrize("charset", ["hex", "zip", "idna", "unicode_escape", "x-unknown", "gb9", "utf-7", "\x00"])
def test_an_alphabet_that_nobody_knows_or_that_is_none_is_not_asked_for(charset: str) -> None:
    assert read_error_body("Schlüssel".encode("cp1252"), f"text/plain; charset={charset}").message == "Schlüssel"


@pytest.mark.parametrize("body", [b"<h1>Blocked</h1>", b"<body>Blocked</body>", b"<center>Blocked</center>"])
def test_a_part_of_a_page_is_a_page_too(body: bytes) -> None:
    assert read_error_body(body, "text/html").is_page
    assert not read_error_body(b"<error>Blocked</error>", "application/xml").is_page


def test_names_that_come_twice_count_as_they_came_first() -> None:
    assert read_error_body(b'{"code": "A", "Code": "B", "message": "m"}').code == "A"


@pytest.mark.parametrize(
    "body",
    [
        _json({"error": {"code": "X" * 5000, "message": "m" * 50_000, "details": [{"message": "d" * 5000}] * 5000}}),
        b'{"error": ' * 5000 + b"1" + b"}" * 5000,
        b'{"message": "' + b'{\\"message\\":' * 2000 + b'"}',
        b"<a>" * 30_000 + b"text",
        b"<a>x" * 4_000,
        b"<a>x</b>" * 2_000,
        json.dumps({"x": [[{"y": [{"z": [1] * 50}] * 50}] * 50] * 20}).encode(),
        b"x" * 2_000_000,
        b'{"message": "' + b"/a" * 40_000 + b'"}',
        b'{"code": ' + b"9" * 100_000 + b', "message": 1e999}',
        b'{"error": {"code": "X", "message": "\\ud800\\u202e\\u0007"}}',
    ],
)  # fmt: skip
def test_however_much_there_is_of_it_what_is_told_is_bounded(body: bytes) -> None:
    said = read_error_body(body)

    assert len(said.message.encode()) <= 2400
    assert len(said.code.encode()) <= 120
    assert said.message.isprintable()
