"""A bare client of the simulator: sees exactly what is on the wire, and follows nothing by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from asr_simulator import ManualTime, Scenario, SimulatorThread, parse_scenario
from asr_simulator.clock import Clock

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
GROUP = "rg-dr"
VAULT = "dr-vault"
ACCOUNT = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Automation/automationAccounts/aa-dr"
)
VAULT_PATH = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.RecoveryServices/vaults/{VAULT}"
API_VERSION = "2025-08-01"
MAPPINGS = "/replicationProtectionContainerMappings"


def vault(**changes: Any) -> dict[str, Any]:
    """Describe a vault of three disabled mappings, or another one."""
    described: dict[str, Any] = {
        "subscription": SUBSCRIPTION,
        "resource_group": GROUP,
        "name": VAULT,
        "automation_account": ACCOUNT,
        "mappings": [{"name": name} for name in ("alpha", "beta", "gamma")],
    }
    return described | changes


def scenario(*vaults: dict[str, Any], **changes: Any) -> Scenario:
    """Describe a scenario with jobs of exactly 10 seconds."""
    described: dict[str, Any] = {"jobs": {"duration": {"min": 10, "max": 10}}, "vaults": vaults or (vault(),)}
    return parse_scenario(described | changes)


def update(status: str = "Enabled", **changes: Any) -> dict[str, Any]:
    """Make the body of a PATCH; a value of None leaves a field out."""
    given: dict[str, Any] = {
        "instanceType": "A2A",
        "agentAutoUpdateStatus": status,
        "automationAccountArmId": ACCOUNT if status == "Enabled" else None,
        "automationAccountAuthenticationType": "SystemAssignedIdentity",
    }
    fields = {name: value for name, value in (given | changes).items() if value is not None}
    return {"properties": {"providerSpecificInput": fields}}


@dataclass
class Arm:
    """A simulator with a clock that stands still, and a client with a token."""

    sim: SimulatorThread
    time: ManualTime

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = ""

    def close(self) -> None:
        self.session.close()

    def get_token(self, resource: str = "https://management.azure.com/", **query: str) -> requests.Response:
        return self.session.get(
            f"{self.sim.url}/msi/token",
            params={"api-version": "2019-08-01", "resource": resource, **query},
            headers={"X-IDENTITY-HEADER": self.sim.scenario.identity.secret},
        )

    def call(
        self, method: str, path: str, *, json: Any = None, version: str | None = API_VERSION, **more: Any
    ) -> requests.Response:
        """Call a path below the base URL, or a whole URL, which is taken as it is."""
        if not self.token:
            self.token = self.get_token().json()["access_token"]
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        url = path
        if not path.startswith("http"):
            url = f"{self.sim.url}{path}"
            if version is not None:
                url += f"{'&' if '?' in path else '?'}api-version={version}"
        return self.session.request(
            method, url, json=json, headers=headers, allow_redirects=False, timeout=more.pop("timeout", 10), **more
        )

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.call("GET", path, **more)

    def below(self, path: str, **more: Any) -> requests.Response:
        """GET something below the vault."""
        return self.get(VAULT_PATH + path, **more)

    def mapping_path(self, name: str) -> str:
        return next(str(item["id"]) for item in self.sim.control.mappings() if item["name"] == name)

    def mapping(self, name: str) -> dict[str, Any]:
        body: dict[str, Any] = self.get(self.mapping_path(name)).json()
        return body

    def details(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.mapping(name)["properties"]["providerSpecificDetails"]
        return found

    def patch(self, name: str, body: dict[str, Any] | None = None, **more: Any) -> requests.Response:
        return self.call("PATCH", self.mapping_path(name), json=update() if body is None else body, **more)

    def start_job(self, name: str, body: dict[str, Any] | None = None) -> str:
        """PATCH a mapping and return the name of the job."""
        answer = self.patch(name, body)
        assert answer.status_code == 202, answer.text
        return answer.headers["Azure-AsyncOperation"].partition("?")[0].rpartition("/")[2]

    def job(self, name: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.below(f"/replicationJobs/{name}").json()["properties"]
        return properties

    def pages(self, path: str, limit: int = 100) -> list[list[dict[str, Any]]]:
        """Follow nextLink to the end."""
        pages = []
        answer = self.get(path)
        for _ in range(limit):
            assert answer.status_code == 200, answer.text
            pages.append(answer.json()["value"])
            link = answer.json().get("nextLink")
            if not link:
                return pages
            answer = self.get(link)
        raise AssertionError("the list has no end")


def open_arm(of: Scenario) -> Arm:
    """Start a simulator whose clock stands still; the caller stops it."""
    manual = ManualTime()
    return Arm(SimulatorThread(of, clock=Clock.manual(manual, of.time_scale)).start(), manual)
