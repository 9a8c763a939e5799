from __future__ import annotations

import pytest

from vault_autoupdate.arm.deadline import DeadlineSession
from vault_autoupdate.arm.greeting import way_to
from vault_autoupdate.model.checkup import Way

ARM = "https://management.azure.com"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_without_settings_the_way_is_direct() -> None:
    assert way_to(DeadlineSession(), ARM) == Way("", "")


@pytest.mark.parametrize("proxy", ["http://user:hunter2@proxy:3128", "user:hunter2@proxy:3128", "http://proxy:3128"])
def test_a_proxy_is_named_without_who_uses_it(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert way_to(DeadlineSession(), ARM).proxy == "proxy:3128"


def test_what_is_excepted_from_the_proxy_is_reached_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", ".azure.com")
    assert way_to(DeadlineSession(), ARM).proxy == ""


def test_neighbours_are_reached_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert way_to(DeadlineSession(), "http://127.0.0.1:80").proxy == ""


def test_the_authorities_that_are_trusted_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ca.crt")
    assert way_to(DeadlineSession(), ARM).trust == "/etc/ca.crt"
