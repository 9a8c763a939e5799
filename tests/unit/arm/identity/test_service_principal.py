"""What resources log in to Azure with: what a Secret or ServiceAccount must hold, and that nothing of it is shown."""

from __future__ import annotations

import pytest

from vault_autoupdate.arm.identity.service_principal import (
    CLIENT_ANNOTATION,
    TENANT_ANNOTATION,
    login_of_secret,
    login_of_service_account,
)
from vault_autoupdate.model.errors import CredentialUnusable, Disposition
from vault_autoupdate.model.resource import CredentialSource

TENANT, CLIENT = "0c7f7b2e-95a4-4ff5-b8ef-1b07f1ac2f11", "aaaaaaaa-0000-4000-8000-000000000002"
SECRET = CredentialSource.model_validate({"secretName": "azure-login"})
ACCOUNT = CredentialSource.model_validate({"serviceAccountName": "dr"})
WHOLE = {"AZURE_TENANT_ID": b"contoso.onmicrosoft.com", "AZURE_CLIENT_ID": CLIENT.encode()}
PEM = b"-----BEGIN PRIVATE KEY-----\n"


def test_a_secret_is_read_without_the_line_breaks_that_editors_leave() -> None:
    login = login_of_secret(
        "blue",
        SECRET,
        {
            "AZURE_TENANT_ID": f"{TENANT}\n".encode(),
            "AZURE_CLIENT_ID": b" " + CLIENT.encode(),
            "AZURE_CLIENT_SECRET": b" xX \r\n",
        },
    )

    assert (login.tenant, login.client, login.secret, login.certificate) == (TENANT, CLIENT, " xX ", "")
    assert str(login) == "Secret blue/azure-login"


@pytest.mark.parametrize("secret", [" xX ", " xX"])
def test_of_a_secret_and_a_password_nothing_but_line_breaks_at_the_end_is_left_out(secret: str) -> None:
    written = f"{secret}\r\n".encode()
    certificate = {"AZURE_CLIENT_CERTIFICATE": PEM, "AZURE_CLIENT_CERTIFICATE_PASSWORD": written}
    with_certificate = login_of_secret("blue", SECRET, {**WHOLE, **certificate})
    with_secret = login_of_secret("blue", SECRET, {**WHOLE, "AZURE_CLIENT_SECRET": written})

    assert (with_secret.secret, with_secret.certificate, with_secret.password) == (secret, "", "")
    assert (with_certificate.secret, with_certificate.certificate) == ("", PEM.decode())
    assert with_certificate.password == secret


def test_nothing_secret_is_in_any_text_about_it() -> None:
    login = login_of_secret(
        "blue", SECRET, {**WHOLE, "AZURE_CLIENT_CERTIFICATE": PEM, "AZURE_CLIENT_CERTIFICATE_PASSWORD": b"s3cret"}
    )
    other = login_of_secret("blue", SECRET, {**WHOLE, "AZURE_CLIENT_SECRET": b"s3cret"})

    for text in (repr(login), str(login), repr(other), str(other)):
        assert "s3cret" not in text
        assert "BEGIN" not in text


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ({}, ["AZURE_TENANT_ID is missing", "AZURE_CLIENT_ID is missing", "is needed: neither is there"]),
        ({**WHOLE, "AZURE_CLIENT_SECRET": b"s3cret", "AZURE_CLIENT_CERTIFICATE": PEM}, ["is needed: both are there"]),
        ({**WHOLE, "AZURE_CLIENT_CERTIFICATE": b"s3cret"}, ["AZURE_CLIENT_CERTIFICATE must be PEM"]),
        ({**WHOLE, "AZURE_CLIENT_SECRET": b"\xffs3cret"}, ["AZURE_CLIENT_SECRET is not text"]),
        (
            {**WHOLE, "AZURE_CLIENT_ID": b"s3cret", "AZURE_CLIENT_SECRET": b"x"},
            ["AZURE_CLIENT_ID must be the client id, a GUID"],
        ),
        ({**WHOLE, "AZURE_TENANT_ID": b"../s3cret", "AZURE_CLIENT_SECRET": b"x"}, ["AZURE_TENANT_ID must be the GUID"]),
        ({**WHOLE, "AZURE_TENANT_ID": b"a/s3cret", "AZURE_CLIENT_SECRET": b"x"}, ["AZURE_TENANT_ID must be the GUID"]),
    ],
)
def test_every_key_to_mend_is_named_and_no_value_repeated(data: dict[str, bytes], problems: list[str]) -> None:
    with pytest.raises(CredentialUnusable) as refused:
        login_of_secret("blue", SECRET, data)

    told = str(refused.value)
    assert told.startswith("Secret blue/azure-login cannot be used: ")
    assert told.split(". ", maxsplit=1)[0].count("; ") == len(problems) - 1
    for problem in problems:
        assert problem in told
    assert "s3cret" not in told
    assert (refused.value.reason, refused.value.disposition) == ("CredentialInvalid", Disposition.SLOW)
    assert told.endswith(". Mend it; it is read again at the interval, or when the resource asks for a look.")


def test_a_service_account_needs_both_annotations() -> None:
    login = login_of_service_account("blue", ACCOUNT, {CLIENT_ANNOTATION: CLIENT, TENANT_ANNOTATION: TENANT, "x": "y"})
    assert (login.tenant, login.client, login.secret, login.certificate) == (TENANT, CLIENT, "", "")
    assert str(login) == "ServiceAccount blue/dr"

    with pytest.raises(CredentialUnusable) as refused:
        login_of_service_account("blue", ACCOUNT, {})
    assert str(refused.value).startswith(
        f"ServiceAccount blue/dr cannot be used: annotation {TENANT_ANNOTATION} is missing; "
        f"annotation {CLIENT_ANNOTATION} is missing."
    )
