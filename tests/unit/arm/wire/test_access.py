from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.arm.wire.access import permissions, read_claims, tenant_of
from vault_autoupdate.model.checkup import Permission, TokenClaims
from vault_autoupdate.model.errors import MalformedReply


def _token(claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


def test_the_claims_of_a_token_are_read() -> None:
    claims = {"aud": "https://arm", "tid": "t", "appid": "a", "oid": "o", "xms_mirid": "/x", "exp": 1_800_000_000}
    assert read_claims(_token(claims)) == TokenClaims(
        audience="https://arm",
        tenant="t",
        application="a",
        object="o",
        name="/x",
        expires_at=datetime.fromtimestamp(1_800_000_000, UTC),
    )


def test_a_token_of_a_service_account_has_a_list_of_audiences() -> None:
    assert (
        read_claims(_token({"aud": ["api://AzureADTokenExchange"], "sub": "s"})).audience
        == "api://AzureADTokenExchange"
    )


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b.c", "..", _token([1]), _token({"exp": "soon", "aud": 7, "oid": None})]
)
def test_of_what_is_no_such_token_nothing_is_read(token: str) -> None:
    assert read_claims(token) == TokenClaims()


@given(st.text())
def test_no_text_whatever_is_an_error(text: str) -> None:
    read_claims(text)
    read_claims(_token({"exp": 1e400, "aud": [[]], "tid": text}))


@pytest.mark.parametrize(
    ("header", "tenant"),
    [
        ('Bearer authorization_uri="https://login.windows.net/1-2", error="invalid_token"', "1-2"),
        ('Bearer authorization_uri="https://login.microsoftonline.us/1-2"', "1-2"),
        ("Bearer authorization_uri=https://login.windows.net/1-2", "1-2"),
        ("Bearer", ""),
        ("", ""),
    ],
)
def test_a_401_names_the_tenant(header: str, tenant: str) -> None:
    assert tenant_of({"www-authenticate": header}) == tenant


def test_permissions_are_read_as_far_as_they_are_there() -> None:
    page = {"value": [{"actions": ["*"], "notActions": ["*/write"], "dataActions": []}, {"actions": None}, None]}
    assert permissions(page) == [Permission(("*",), ("*/write",)), Permission((), ())]


def test_what_is_no_list_of_permissions_is_refused() -> None:
    with pytest.raises(MalformedReply):
        permissions({"value": [{"actions": "*"}]})
