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


def test_names_that_come_twice_count_as_they_came_first() -> None:
    assert read_error_body(b'{"code": "A", "Code": "B", "message": "m"}').code == "A"


@pytest.mark.parametrize(
    "body",
    [
        _json({"error": {"code": "X" * 5000, "message": "m" * 50_000, "details": [{"message": "d" * 5000}] * 5000}}),
        b'{"error": ' * 5000 + b"1" + b"}" * 5000,
        b'{"message": "' + b'{\\"message\\":' * 2000 + b'"}',
        b"<a>" * 30_000 + b"text",
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
