"""Tokens: where they come from and when they are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from asr_simulator import Scenario
from tests.simulator.helpers import MAPPINGS, VAULT_PATH, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]


def _identity(client_id: str, **more: Any) -> dict[str, Any]:
    return {"client_id": client_id, **more}


def _refusal(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_token_answer_has_the_fields_of_app_service(arm: Arm) -> None:
    body = arm.get_token().json()
    assert body["token_type"] == "Bearer"
    assert body["resource"] == "https://management.azure.com/"
    assert int(body["expires_on"]) == int(arm.time.wall() + 86_400)


def test_every_token_is_another_one(arm: Arm) -> None:
    assert arm.get_token().json()["access_token"] != arm.get_token().json()["access_token"]


def test_the_token_endpoint_wants_its_secret(arm: Arm) -> None:
    url = f"{arm.sim.url}/msi/token?api-version=2019-08-01&resource=https://management.azure.com/"
    assert arm.session.get(url).status_code == 401
    assert arm.session.get(url, headers={"X-IDENTITY-HEADER": "guess"}).status_code == 401
    assert arm.session.post(url).status_code == 405


@pytest.mark.parametrize("query", [{"api-version": "2018-02-01"}, {"resource": ""}])
def test_a_token_request_must_be_complete(arm: Arm, query: dict[str, str]) -> None:
    answer = arm.get_token(**({"resource": "https://management.azure.com/"} | query))
    assert answer.status_code == 400
    assert answer.json()["statusCode"] == 400


def test_only_known_identities_get_a_token(serve: Serve) -> None:
    arm = serve(scenario(identity={"identities": [_identity("aaaa"), _identity("bbbb")]}))
    assert arm.get_token(client_id="BBBB").json()["client_id"] == "bbbb"
    assert arm.get_token().json()["client_id"] == "aaaa"
    assert arm.get_token(client_id="cccc").status_code == 400


def test_a_call_without_a_token_is_refused(arm: Arm) -> None:
    answer = arm.session.get(f"{arm.sim.url}{VAULT_PATH}?api-version=2025-08-01")
    assert _refusal(answer) == (401, "AuthenticationFailed")
    assert "'Authorization' header is missing" in answer.json()["error"]["message"]
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer a.b.c", "InvalidAuthenticationToken"),
        ("Bearer ", "InvalidAuthenticationToken"),
        ("Bearer é", "InvalidAuthenticationToken"),
        ("Basic YTpi", "AuthenticationFailedInvalidHeader"),
    ],
)
def test_a_made_up_token_is_refused(arm: Arm, header: str, code: str) -> None:
    answer = arm.get(VAULT_PATH, headers={"Authorization": header.encode()})
    assert _refusal(answer) == (401, code)


def test_a_token_of_another_simulator_is_refused(serve: Serve) -> None:
    one, other = serve(scenario(seed=1)), serve(scenario(seed=2))
    one.token = other.get_token().json()["access_token"]
    assert _refusal(one.get(VAULT_PATH)) == (401, "InvalidAuthenticationToken")


def test_a_token_expires_in_real_time(serve: Serve) -> None:
    arm = serve(scenario(time_scale=1000, identity={"token_lifetime": 60}))
    arm.token = arm.get_token().json()["access_token"]
    arm.time.advance(59)
    assert arm.get(VAULT_PATH).ok
    arm.time.advance(1)
    answer = arm.get(VAULT_PATH)
    assert _refusal(answer) == (401, "ExpiredAuthenticationToken")
    assert "expiry UTC time '11/14/2023 10:14:20 PM'" in answer.json()["error"]["message"]


def test_a_token_for_another_audience_is_refused(arm: Arm) -> None:
    arm.token = arm.get_token("https://vault.azure.net").json()["access_token"]
    assert _refusal(arm.get(VAULT_PATH)) == (401, "InvalidAuthenticationTokenAudience")


@pytest.mark.parametrize("audience", ["https://management.core.windows.net/", "https://MANAGEMENT.azure.com"])
def test_all_audiences_of_resource_manager_are_good(arm: Arm, audience: str) -> None:
    arm.token = arm.get_token(audience).json()["access_token"]
    assert arm.get(VAULT_PATH).ok


def test_a_token_of_another_tenant_is_refused(serve: Serve) -> None:
    arm = serve(scenario(identity={"identities": [_identity("aaaa", tenant_id="elsewhere")]}))
    answer = arm.get(VAULT_PATH)
    assert _refusal(answer) == (401, "InvalidAuthenticationTokenTenant")
    assert "https://sts.windows.net/elsewhere/" in answer.json()["error"]["message"]


def test_a_denied_vault_is_forbidden_with_action_and_scope(serve: Serve) -> None:
    denied = [_identity("aaaa", denied=[{"vault": "secret-*"}])]
    arm = serve(scenario(vault(), vault(name="secret-one"), identity={"identities": denied}))
    assert arm.below(MAPPINGS).ok
    path = VAULT_PATH.replace("dr-vault", "secret-one")
    answer = arm.get(path + MAPPINGS)
    assert _refusal(answer) == (403, "AuthorizationFailed")
    message = answer.json()["error"]["message"]
    assert "'Microsoft.RecoveryServices/vaults/replicationProtectionContainerMappings/read'" in message
    assert f"over scope '{path}'" in message


def test_a_denied_action_leaves_the_others(serve: Serve) -> None:
    denied = [_identity("aaaa", denied=[{"action": "*/replicationProtectionContainerMappings/write"}])]
    arm = serve(scenario(identity={"identities": denied}))
    path = arm.mapping_path("alpha")
    assert arm.get(path).ok
    answer = arm.call("PATCH", path, json=update())
    assert _refusal(answer) == (403, "AuthorizationFailed")
    assert f"over scope '/subscriptions{path.removeprefix('/Subscriptions')}'" in answer.json()["error"]["message"]
